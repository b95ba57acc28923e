"""Exchange the cookies of a browser session for a demo key.

The session endpoint of Cerebras' playground returns JSON about the signed-in user, with a
key for the API in `user.demoApiKey`. The endpoint is not documented and may change, so the
parser expects nothing and has a clear error for every unusable response.

The demo key is kept in `_demo_keys` below: in memory only, until it expires or the API
rejects it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import json
import os
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeGuard

from langchain_cerebras_inference import _urls
from langchain_cerebras_inference._auth import cookie_sources
from langchain_cerebras_inference._http import portal, rate_limits, request
from langchain_cerebras_inference._http.response import Response
from langchain_cerebras_inference._http.route import Route
from langchain_cerebras_inference._version import get_user_agent
from langchain_cerebras_inference.errors import CerebrasCookieError, CerebrasError

_MAX_TIMEOUT = 60.0
_MAX_RESPONSE_BYTES = 256 * 1024
_MAX_KEY_LENGTH = 512
_MAX_DEMO_KEYS = 256

_SIGN_IN = "Sign in at https://cloud.cerebras.ai and copy the cookies again."
_CHECK_URL = "Check session_url."
_ORIGIN = re.compile(r"https?://[\w.:-]+(?![^/?#])")


@dataclass(frozen=True, slots=True)
class Bearer:
    """A key for the `Authorization` header.

    Attributes:
        key: The key.
        is_demo: Whether it is a demo key, which came from cookies.
        expires: When it expires, if that is known.
    """

    key: str = field(repr=False)
    is_demo: bool = False
    expires: datetime | None = None

    @property
    def has_expired(self) -> bool:
        return self.expires is not None and self.expires.timestamp() <= time.time()


# --- demo keys in memory -------------------------------------------------------------

_demo_keys: OrderedDict[bytes, Bearer] = OrderedDict()
"""The demo keys of this process, by a digest of session URL and cookies.

A key is dropped when it has expired, and when the API rejects it. If there are more than
`_MAX_DEMO_KEYS`, the oldest one is dropped. Keys are never written to disk or pickled. Any
thread may read and drop keys; only the portal's event loop stores them.
"""


def drop_demo_key(bearer: Bearer) -> None:
    """Drop a demo key that the API has rejected; the next call exchanges the cookies again."""
    for digest, stored in list(_demo_keys.items()):
        if stored == bearer:
            _demo_keys.pop(digest, None)


def _find_demo_key(digest: bytes) -> Bearer | None:
    bearer = _demo_keys.get(digest)
    if bearer is None or not bearer.has_expired:
        return bearer
    drop_demo_key(bearer)
    return None


def _store_demo_key(digest: bytes, bearer: Bearer) -> None:
    _demo_keys[digest] = bearer
    while len(_demo_keys) > _MAX_DEMO_KEYS:
        _demo_keys.popitem(last=False)


# --- the exchange --------------------------------------------------------------------

_running: dict[tuple[bytes, Route], asyncio.Task[Bearer]] = {}
"""The exchanges in progress, by digest and route."""

if hasattr(os, "register_at_fork"):  # the tasks run in the parent process only
    os.register_at_fork(after_in_child=_running.clear)


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """Exchanges cookies for a demo key at the session endpoint.

    Attributes:
        session_url: The endpoint, and the only URL that cookies are sent to.
        route: How to reach it.
        timeout: Seconds to wait for the response, but never more than a minute.
    """

    session_url: str
    route: Route
    timeout: float

    async def get_demo_key(self, cookies: str) -> Bearer:
        """Return the demo key for these cookies; exchange them only if none is stored.

        All callers that wait for the same key share one exchange, whatever their thread or
        event loop.

        Args:
            cookies: The normalized text from `cookie_input`. Files and browsers are read
                again for every exchange, because the user may have signed in again.

        Raises:
            CerebrasCookieError: If the exchange fails or would expose the cookies.
        """
        if not self._is_encrypted and not _urls.is_loopback(self.session_url):
            raise _exchange_error(
                "Cookies are only sent over https with certificate checks. Set verify to"
                " True or to the path of a CA bundle."
            )
        digest = self._hash_cookies(cookies)
        if bearer := _find_demo_key(digest):
            return bearer
        return await portal.run_from_event_loop(self._join_exchange(digest, cookies))

    @property
    def _is_encrypted(self) -> bool:
        """Whether the cookies travel over TLS, with a checked certificate."""
        return self.session_url.startswith("https:") and self.route.verify is not False

    def _hash_cookies(self, cookies: str) -> bytes:
        """Identify cookies in memory without keeping them."""
        text = f"{self.session_url}\n{cookies}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    async def _join_exchange(self, digest: bytes, cookies: str) -> Bearer:
        """Wait for the running exchange of these cookies; start one if there is none.

        It runs on the portal's event loop, like all exchanges, so it needs no lock.
        """
        if bearer := _find_demo_key(digest):  # another caller's exchange has just ended
            return bearer
        identity = digest, self.route
        task = _running.get(identity)
        if task is None:
            task = asyncio.create_task(self._exchange(digest, cookies))
            _running[identity] = task
            task.add_done_callback(functools.partial(_end_exchange, identity))
        return await asyncio.shield(task)  # a cancelled caller does not cancel the others

    async def _exchange(self, digest: bytes, cookies: str) -> Bearer:
        selected = await cookie_sources.read_cookies(cookies, self.session_url)
        try:
            with await self._send(selected.header) as response:
                body = await response.read(_MAX_RESPONSE_BYTES)
        except CerebrasError as error:
            raise _exchange_error(
                str(error), error.status, is_retryable=error.is_retryable
            ) from error
        bearer = parse_session_response(
            response.status, response.headers, body, selected.expired
        )
        _store_demo_key(digest, bearer)
        return bearer

    async def _send(self, cookie_header: str) -> Response:
        route = self.route
        if not self._is_encrypted:  # a proxy could read them; this machine needs none
            route = dataclasses.replace(route, proxy="")
        headers = {
            "Cookie": cookie_header,
            "Accept": "application/json",
            "User-Agent": get_user_agent(),
        }
        timeout = min(self.timeout, _MAX_TIMEOUT)
        return await request.send(
            "GET",
            self.session_url,
            headers=headers,
            route=route,
            timeout=timeout,
            use_fresh_connection=True,
        )


def _end_exchange(identity: tuple[bytes, Route], task: asyncio.Task[Bearer]) -> None:
    _running.pop(identity, None)
    if not task.cancelled():
        task.exception()  # asyncio logs an exception that nobody has retrieved


# --- the response --------------------------------------------------------------------


def parse_session_response(
    status: int, headers: Mapping[str, str], body: bytes, expired: Sequence[str] = ()
) -> Bearer:
    """Return the demo key in a response of the session endpoint.

    Args:
        status: The HTTP status.
        headers: The response headers.
        body: The response body; never quoted in an error, because it may hold a key.
        expired: Names of cookies that were not sent because they have expired.

    Raises:
        CerebrasCookieError: If the response has no usable key.
    """
    is_page = "text/html" in headers.get("content-type", "") or body.lstrip()[:1] == b"<"
    if status != 200:
        raise _status_error(status, headers, is_page=is_page)
    session = _decode_session(body, is_page=is_page)
    user = session.get("user")
    if not user:
        without = f" without the expired ones ({', '.join(expired)})" if expired else ""
        raise _exchange_error(f"No signed-in session for these cookies{without}. {_SIGN_IN}")
    key = user.get("demoApiKey") if isinstance(user, dict) else None
    if not _is_usable_key(key):
        raise _exchange_error(
            "The session is signed in but has no demo key. Use an API key from"
            " https://cloud.cerebras.ai."
        )
    return Bearer(key, is_demo=True, expires=_parse_expiry(session.get("expires")))


def _decode_session(body: bytes, *, is_page: bool) -> dict[str, Any]:
    if len(body) > _MAX_RESPONSE_BYTES:
        raise _exchange_error(f"The response is too large for a session. {_CHECK_URL}")
    try:
        session = json.loads(body)
    except (ValueError, RecursionError):
        if is_page:
            raise _page_error() from None
        raise _exchange_error(f"The response is not JSON. {_CHECK_URL}") from None
    if session is None:  # not signed in
        return {}
    if not isinstance(session, dict):
        raise _exchange_error(f"The response is not a session object. {_CHECK_URL}")
    return session


def _is_usable_key(key: Any) -> TypeGuard[str]:
    """Whether this is a string that can be sent in a header."""
    return (
        isinstance(key, str)
        and 0 < len(key) <= _MAX_KEY_LENGTH
        and all("!" <= char <= "~" for char in key)
    )


def _parse_expiry(value: Any) -> datetime | None:
    try:
        expires = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return expires if expires.tzinfo else None


def _status_error(
    status: int, headers: Mapping[str, str], *, is_page: bool
) -> CerebrasCookieError:
    if "cf-mitigated" in headers or (status == 403 and is_page):
        return _page_error(status)
    if 300 <= status < 400:
        # Only the origin is quoted: the rest of the URL may hold a secret.
        origin = _ORIGIN.match(headers.get("location", ""))
        target = f"to {origin[0]}" if origin else "to another page"
        return _exchange_error(
            f"The session endpoint redirects {target}. {_SIGN_IN} If that does not help,"
            " check session_url.",
            status,
        )
    if status in (401, 403):
        return _exchange_error(
            f"The session endpoint rejected the cookies ({status}). {_SIGN_IN}", status
        )
    if status == 429 or status >= 500:
        reason = "Too many key exchanges" if status == 429 else "The session endpoint failed"
        error = _exchange_error(
            f"{reason} ({status}). Try again later.", status, is_retryable=True
        )
        error.retry_after = rate_limits.get_retry_after(headers, time.time())
        return error
    return _exchange_error(
        f"The session endpoint returned status {status}. {_CHECK_URL}", status
    )


def _page_error(status: int | None = None) -> CerebrasCookieError:
    return _exchange_error(
        f"The response is a web page (a sign-in page or a bot check). {_SIGN_IN}", status
    )


def _exchange_error(
    reason: str, status: int | None = None, *, is_retryable: bool = False
) -> CerebrasCookieError:
    return CerebrasCookieError(
        f"The key exchange failed: {reason}", status=status, is_retryable=is_retryable
    )
