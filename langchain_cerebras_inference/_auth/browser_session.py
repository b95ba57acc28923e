"""A session's answer → the demo key in it, or what kept it from having one.

Pure. The endpoint is an undocumented route of somebody else's site, so every way in
which it may answer differently has its own words here.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeGuard

from langchain_cerebras_inference._http import rate_limits
from langchain_cerebras_inference.errors import CerebrasCookieError

MAX_BYTES = 256 * 1024
_MAX_KEY_LENGTH = 512
_SIGN_IN = "Sign in at https://cloud.cerebras.ai and copy the cookies again."
_PAGE = f"A web page came instead of a session: a sign-in or a bot check. {_SIGN_IN}"
_SIGN_IN_PAGE = re.compile(r"[^?#]*(log|sign)-?in", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://[\w.:-]+(?![^/?#])")


@dataclass(frozen=True, slots=True)
class Bearer:
    """A key, and whether it came from cookies."""

    key: str = field(repr=False)
    is_demo: bool = False
    expires: datetime | None = None

    @property
    def has_expired(self) -> bool:
        return self.expires is not None and self.expires.timestamp() <= time.time()


def to_bearer(
    status: int, headers: Mapping[str, str], body: bytes, expired: Sequence[str] = ()
) -> Bearer:
    """The key in a session's answer to cookies of which some had `expired`.

    Raises:
        CerebrasCookieError: If there is none; it says why.
    """
    is_page = "text/html" in headers.get("content-type", "") or body.lstrip()[:1] == b"<"
    if status != 200:
        raise _refused(status, headers, is_page=is_page)
    if len(body) > MAX_BYTES:
        raise failed("What came is too large for a session; is session_url right?")
    session = _decoded(body, is_page=is_page)
    user = session.get("user") if session else None
    if not user:
        without = f" without the expired {', '.join(expired)}" if expired else ""
        raise failed(f"The cookies are of nobody who is signed in{without}. {_SIGN_IN}")
    key = user.get("demoApiKey") if isinstance(user, dict) else None
    if not _is_key(key):
        raise failed(
            "The session is signed in but holds no demo key; use an API key"
            " from https://cloud.cerebras.ai."
        )
    return Bearer(key, is_demo=True, expires=_expiry(session.get("expires")))


def _decoded(body: bytes, *, is_page: bool) -> dict[str, Any]:
    try:
        session = json.loads(body)
    except (ValueError, RecursionError):
        if is_page:
            raise failed(_PAGE) from None
        raise failed("What came is no JSON; is session_url right?") from None
    if session is not None and not isinstance(session, dict):
        raise failed("What came is no session; is session_url right?")
    return session or {}


def _refused(status: int, headers: Mapping[str, str], *, is_page: bool) -> CerebrasCookieError:
    if 300 <= status < 400:
        return _redirected(status, headers.get("location", ""))
    if "cf-mitigated" in headers or (status == 403 and is_page):
        return failed(_PAGE, status)
    if status in (401, 403):
        return failed(f"The site refuses the cookies ({status}). {_SIGN_IN}", status)
    if status == 429 or status >= 500:
        why = "too many exchanges" if status == 429 else "the site failed"
        failure = failed(f"{why} ({status}); try again later.", status, is_retryable=True)
        failure.retry_after = rate_limits.get_retry_after(headers, time.time())
        return failure
    return failed(f"The site answers {status}; is session_url right?", status)


def _redirected(status: int, location: str) -> CerebrasCookieError:
    if _SIGN_IN_PAGE.match(location):
        return failed(f"The site sends the cookies to its sign-in page. {_SIGN_IN}", status)
    origin = _ORIGIN.match(location)
    where = f"to {origin[0]}" if origin else "elsewhere"
    return failed(f"The site sends the cookies {where}; is session_url right?", status)


def failed(
    why: str, status: int | None = None, *, is_retryable: bool = False
) -> CerebrasCookieError:
    """The error of an exchange."""
    return CerebrasCookieError(
        f"The cookies did not become a key: {why}",
        status=status,
        is_retryable=is_retryable,
    )


def _is_key(key: Any) -> TypeGuard[str]:
    return (
        isinstance(key, str)
        and 0 < len(key) <= _MAX_KEY_LENGTH
        and all("!" <= char <= "~" for char in key)
    )


def _expiry(value: Any) -> datetime | None:
    try:
        expires = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return expires if expires.tzinfo else None
