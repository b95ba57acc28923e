"""Exchange the cookies of a browser session for a demo key.

The session endpoint of Cerebras' playground returns JSON about the signed-in user, with a
key for the API in `user.demoApiKey`. The endpoint is not documented and may change, so the
parser assumes nothing about the response and raises a clear error for every unusable one.

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
"""An origin, followed by a path, a query, a fragment or the end of the URL."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key for the `Authorization` header: an API key or a demo key.

    Attributes:
        value: The text of the key.
        is_demo: Whether it is a demo key, which was received in exchange for cookies.
        expires: When it expires; `None` means that this is not known.
    """

    value: str = field(repr=False)
    is_demo: bool = False
    expires: datetime | None = None

    @property
    def has_expired(self) -> bool:
        return self.expires is not None and self.expires.timestamp() <= time.time()


# --- demo keys in memory -------------------------------------------------------------

_demo_keys: OrderedDict[bytes, Key] = OrderedDict()
"""The demo keys of this process. The dictionary key is a digest of session URL and cookies.

A demo key is dropped when it has expired, and when the API rejects it. If there are more than
`_MAX_DEMO_KEYS`, the oldest one is dropped. Demo keys are never written to disk or
pickled. Any thread may read and drop them; only the portal's event loop stores them.
"""


def drop_demo_key(key: Key) -> None:
    """Drop a demo key that the API has rejected; the next call exchanges the cookies again."""
    for digest, stored in list(_demo_keys.items()):
        if stored == key:
            _demo_keys.pop(digest, None)


def _find_demo_key(digest: bytes) -> Key | None:
    key = _demo_keys.get(digest)
    if key is None or not key.has_expired:
        return key
    drop_demo_key(key)
    return None


def _store_demo_key(digest: bytes, key: Key) -> None:
    _demo_keys[digest] = key
    while len(_demo_keys) > _MAX_DEMO_KEYS:
        _demo_keys.popitem(last=False)


# --- the exchange --------------------------------------------------------------------

_running_exchanges: dict[tuple[bytes, Route], asyncio.Task[Key]] = {}
"""The exchanges in progress, by digest and route."""

if hasattr(os, "register_at_fork"):  # the tasks run in the parent process only
    os.register_at_fork(after_in_child=_running_exchanges.clear)


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """Exchanges cookies for a demo key at the session endpoint.

    Attributes:
        session_url: The endpoint, and the only URL that cookies are sent to.
        route: The route to the endpoint: proxy, TLS and connect timeout.
        timeout: Seconds to wait for the response; values above 60 count as 60.
    """

    session_url: str
    route: Route
    timeout: float

    async def get_demo_key(self, cookies: str) -> Key:
        """Return the demo key for these cookies. If none is stored, exchange the cookies.

        All callers that wait for the same key share one exchange, whatever their thread or
        event loop.

        Args:
            cookies: The normalized text from `cookie_input`. Files and browsers are read
                again for every exchange, because the user may have signed in again.

        Raises:
            CerebrasCookieError: If the exchange fails or would expose the cookies.
        """
        if not self._is_encrypted and not _urls.is_loopback(self.session_url):
            raise _create_exchange_error(
                "Cookies are only sent over https with certificate checks. Set verify to"
                " True or to the path of a CA bundle."
            )
        digest = self._hash_cookies(cookies)
        if key := _find_demo_key(digest):
            return key
        return await portal.run_from_event_loop(self._join_exchange(digest, cookies))

    @property
    def _is_encrypted(self) -> bool:
        """Whether the cookies travel over TLS, with a checked certificate."""
        return self.session_url.startswith("https:") and self.route.verify is not False

    def _hash_cookies(self, cookies: str) -> bytes:
        """Hash the session URL and the cookies, so that the cookies are not kept."""
        text = f"{self.session_url}\n{cookies}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    async def _join_exchange(self, digest: bytes, cookies: str) -> Key:
        """Wait for the running exchange of these cookies; start one if there is none.

        This runs on the portal's event loop only, so it needs no lock.
        """
        if key := _find_demo_key(digest):  # another caller's exchange has just ended
            return key
        exchange_id = digest, self.route
        task = _running_exchanges.get(exchange_id)
        if task is None:
            task = asyncio.create_task(self._exchange(digest, cookies))
            _running_exchanges[exchange_id] = task
            task.add_done_callback(functools.partial(_end_exchange, exchange_id))
        return await asyncio.shield(task)  # a cancelled caller does not cancel the others

    async def _exchange(self, digest: bytes, cookies: str) -> Key:
        selected = await cookie_sources.read_cookies(cookies, self.session_url)
        try:
            with await self._send(selected.header) as response:
                body = await response.read(_MAX_RESPONSE_BYTES)
        except CerebrasError as error:
            raise _create_exchange_error(
                str(error), error.status, is_retryable=error.is_retryable
            ) from error
        key = parse_session_response(response.status, response.headers, body, selected.expired)
        _store_demo_key(digest, key)
        return key

    async def _send(self, cookie_header: str) -> Response:
        route = self.route
        if not self._is_encrypted:  # a proxy could read the cookies
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


def _end_exchange(exchange_id: tuple[bytes, Route], task: asyncio.Task[Key]) -> None:
    _running_exchanges.pop(exchange_id, None)
    if not task.cancelled():
        task.exception()  # without this, asyncio may log that it was never retrieved


# --- the response --------------------------------------------------------------------


def parse_session_response(
    status: int, headers: Mapping[str, str], body: bytes, expired: Sequence[str] = ()
) -> Key:
    """Return the demo key in a response of the session endpoint.

    Args:
        status: The HTTP status.
        headers: The response headers.
        body: The response body. No error quotes it, because it may contain a key.
        expired: Names of cookies that were not sent because they have expired.

    Raises:
        CerebrasCookieError: If the response has no usable key.
    """
    is_html = "text/html" in headers.get("content-type", "") or body.lstrip()[:1] == b"<"
    if status != 200:
        raise _create_status_error(status, headers, is_html=is_html)
    session = _decode_session(body, is_html=is_html)
    user = session.get("user")
    if not user:
        not_sent = ""
        if expired:
            names = ", ".join(expired)
            not_sent = f" These cookies were not sent, because they have expired: {names}."
        raise _create_exchange_error(
            f"These cookies have no signed-in session.{not_sent} {_SIGN_IN}"
        )
    demo_key = user.get("demoApiKey") if isinstance(user, dict) else None
    if not _is_usable_key(demo_key):
        raise _create_exchange_error(
            "The user is signed in but has no demo key. Use an API key from"
            " https://cloud.cerebras.ai."
        )
    return Key(demo_key, is_demo=True, expires=_parse_session_expiry(session.get("expires")))


def _decode_session(body: bytes, *, is_html: bool) -> dict[str, Any]:
    if len(body) > _MAX_RESPONSE_BYTES:
        raise _create_exchange_error(
            f"The response of the session endpoint is larger than {_MAX_RESPONSE_BYTES} bytes."
            f" {_CHECK_URL}"
        )
    try:
        session = json.loads(body)
    except (ValueError, RecursionError):
        if is_html:
            raise _create_html_error() from None
        raise _create_exchange_error(f"The response is not JSON. {_CHECK_URL}") from None
    if session is None:  # not signed in
        return {}
    if not isinstance(session, dict):
        raise _create_exchange_error(f"The response is not a JSON object. {_CHECK_URL}")
    return session


def _is_usable_key(key: Any) -> TypeGuard[str]:
    """Whether this is a string that can be sent in a header."""
    return (
        isinstance(key, str)
        and 0 < len(key) <= _MAX_KEY_LENGTH
        and all("!" <= char <= "~" for char in key)
    )


def _parse_session_expiry(value: Any) -> datetime | None:
    """Parse an ISO date; return `None` if it is invalid or has no time zone."""
    try:
        expires = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return expires if expires.tzinfo else None


def _create_status_error(
    status: int, headers: Mapping[str, str], *, is_html: bool
) -> CerebrasCookieError:
    if "cf-mitigated" in headers or (status == 403 and is_html):
        return _create_html_error(status)
    if 300 <= status < 400:
        # Only the origin is quoted: the path and the query may contain a secret.
        origin = _ORIGIN.match(headers.get("location", ""))
        target = f"to {origin[0]}" if origin else "to another page"
        return _create_exchange_error(
            f"The session endpoint redirects {target}. {_SIGN_IN} If that does not help,"
            " check session_url.",
            status,
        )
    if status in (401, 403):
        return _create_exchange_error(
            f"The session endpoint rejected the cookies ({status}). {_SIGN_IN}", status
        )
    if status == 429 or status >= 500:
        reason = "Too many key exchanges" if status == 429 else "The session endpoint failed"
        error = _create_exchange_error(
            f"{reason} ({status}). Try again later.", status, is_retryable=True
        )
        error.retry_after = rate_limits.get_retry_after(headers, time.time())
        return error
    return _create_exchange_error(
        f"The session endpoint returned status {status}. {_CHECK_URL}", status
    )


def _create_html_error(status: int | None = None) -> CerebrasCookieError:
    return _create_exchange_error(
        f"The response is a web page (a sign-in page or a bot check). {_SIGN_IN}", status
    )


def _create_exchange_error(
    reason: str, status: int | None = None, *, is_retryable: bool = False
) -> CerebrasCookieError:
    return CerebrasCookieError(
        f"The key exchange failed: {reason}", status=status, is_retryable=is_retryable
    )
