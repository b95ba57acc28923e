"""Cookies → a demo key: the exchange, once for all who need it, and what comes of it.

The playground's session endpoint answers a signed-in browser's cookies with a session
that holds a `demoApiKey`. It is an undocumented route of somebody else's site, so every
way in which it may answer differently has its own words here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard

from langchain_cerebras_inference._transport import http, pacing, portal
from langchain_cerebras_inference._version import user_agent
from langchain_cerebras_inference.errors import CerebrasCookieError, CerebrasError

_MAX_SESSION_BYTES = 256 * 1024
_MAX_KEY_LENGTH = 512
_MAX_KEYS = 256
_SIGN_IN = "Sign in at https://cloud.cerebras.ai and copy the cookies again."


@dataclass(frozen=True, slots=True)
class Bearer:
    """A key, and whether it came from cookies."""

    key: str
    is_demo: bool = False
    expires: datetime | None = None

    @property
    def has_expired(self) -> bool:
        return self.expires is not None and self.expires.timestamp() <= time.time()


@dataclass(frozen=True, slots=True)
class Exchange:
    """Where cookies become a key, and how to get there.

    Attributes:
        url: The session endpoint.
        route: The way to it.
        timeout: Seconds for the answer.
    """

    url: str
    route: http.Route
    timeout: float

    async def key_for(self, cookies: str) -> Bearer:
        """The key a `Cookie` header is good for, exchanged if it is not known yet.

        Raises:
            CerebrasCookieError: If the cookies do not become a key.
        """
        digest = hashlib.sha256(f"{self.url}\n{cookies}".encode()).digest()
        known = _keys.get(digest)
        if known is not None and not known.has_expired:
            return known
        return await portal.run_from_loop(self._shared(digest, cookies))

    async def _shared(self, digest: bytes, cookies: str) -> Bearer:
        """Share one exchange among all who wait, whoever of them is cancelled."""
        task = _running.get(digest)
        if task is None:
            exchange = self._exchange(digest, cookies)
            task = _running[digest] = asyncio.get_running_loop().create_task(exchange)
            task.add_done_callback(lambda _: _running.pop(digest, None))
        return await asyncio.shield(task)

    async def _exchange(self, digest: bytes, cookies: str) -> Bearer:
        try:
            with await self._ask(cookies) as answer:
                body = await answer.read(_MAX_SESSION_BYTES)
        except CerebrasError as error:
            raise failed(str(error), is_retryable=error.is_retryable) from error
        bearer = to_bearer(answer.status, answer.headers, body)
        _keys[digest] = bearer
        while len(_keys) > _MAX_KEYS:
            _keys.popitem(last=False)
        return bearer

    async def _ask(self, cookies: str) -> http.Answer:
        headers = {
            "Cookie": cookies,
            "Accept": "application/json",
            "User-Agent": user_agent(),
        }
        return await http.send(
            "GET", self.url, headers=headers, route=self.route, timeout=self.timeout
        )


# Written on the portal's loop alone, where every exchange runs; read from anywhere.
_keys: OrderedDict[bytes, Bearer] = OrderedDict()
_running: dict[bytes, asyncio.Task[Bearer]] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)


def forget(bearer: Bearer) -> None:
    """Drop one key, which the API has refused."""
    for digest, known in list(_keys.items()):
        if known == bearer:
            _keys.pop(digest, None)


def to_bearer(status: int, headers: Mapping[str, str], body: bytes) -> Bearer:
    """The key in a session's answer.

    Raises:
        CerebrasCookieError: If there is none; it says why.
    """
    if len(body) > _MAX_SESSION_BYTES:
        raise failed("What came is too large for a session; is session_url right?")
    if status != 200:
        raise _refused(status, headers)
    session = _decoded(body)
    user = session.get("user") if session else None
    if not user:
        raise failed(f"The cookies are of nobody who is signed in. {_SIGN_IN}")
    key = user.get("demoApiKey") if isinstance(user, dict) else None
    if not _is_key(key):
        raise failed(
            "The session is signed in but holds no demo key; use an API key"
            " from https://cloud.cerebras.ai."
        )
    return Bearer(key, is_demo=True, expires=_expiry(session.get("expires")))


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        session = json.loads(body)
    except (ValueError, RecursionError):
        if any(tag in body[:1024].lower() for tag in (b"<html", b"<!doctype html")):
            raise failed(
                f"A web page came instead of a session: a sign-in or a bot check. {_SIGN_IN}"
            ) from None
        raise failed("What came is no JSON; is session_url right?") from None
    if session is not None and not isinstance(session, dict):
        raise failed("What came is no session; is session_url right?")
    return session or {}


def _refused(status: int, headers: Mapping[str, str]) -> CerebrasCookieError:
    if 300 <= status < 400:
        return failed(f"The site sends the cookies to its sign-in page. {_SIGN_IN}", status)
    if status in (401, 403):
        return failed(f"The site refuses the cookies ({status}). {_SIGN_IN}", status)
    if status == 429 or status >= 500:
        why = "too many exchanges" if status == 429 else "the site failed"
        failure = failed(f"{why} ({status}); try again later.", status, is_retryable=True)
        failure.retry_after = pacing.asked_wait(headers, time.time())
        return failure
    return failed(f"The site answers {status}; is session_url right?", status)


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
