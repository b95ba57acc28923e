"""Where the bearer key comes from, and the exchange of cookies for one, once.

The playground's session endpoint answers a signed-in browser's cookies with a session
that holds a `demoApiKey`. It is an undocumented route of somebody else's site, so every
way in which it may answer differently has its own words here.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import os
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeGuard
from urllib.parse import urlsplit

from pydantic import SecretStr

from langchain_cerebras_inference._credentials import cookies as _cookies
from langchain_cerebras_inference._transport import http, pacing, portal
from langchain_cerebras_inference._version import user_agent
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasCookieError,
    CerebrasError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_MAX_SESSION_BYTES = 256 * 1024
_MAX_KEY_LENGTH = 512
_MAX_DEMO_KEYS = 256
_SIGN_IN = "Sign in at https://cloud.cerebras.ai and copy the cookies again."

_NO_CREDENTIAL = (
    "There is no credential for Cerebras: pass api_key or set CEREBRAS_API_KEY"
    " (https://cloud.cerebras.ai has keys), or pass cookies or set CEREBRAS_COOKIES."
)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a model signs in with; it holds no secret.

    Attributes:
        source: Where it comes from.
        kind: What it is.
        host: The host it is sent to.
        expires: When it ends, if that is known.
        hint: The key's first and last characters.
    """

    source: Literal["argument", "environment"]
    kind: Literal["API key", "demo key"]
    host: str
    expires: datetime | None
    hint: str


@dataclass(frozen=True, slots=True)
class Bearer:
    """A key, and whether it came from cookies."""

    key: str
    is_demo: bool = False
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """A model's way to a key.

    Attributes:
        key: The key, a function that returns it, or `None`.
        cookies: A `Cookie` header, or `None`.
        session_url: Where cookies become a key.
        route: How to get there.
        timeout: Seconds the exchange may be silent.
    """

    key: SecretStr | Callable[[], Any] | None
    cookies: SecretStr | None
    session_url: str
    route: http.Route
    timeout: float

    async def bearer(self) -> Bearer:
        """The key to sign the next request with.

        Raises:
            CerebrasAuthenticationError: If there is no credential.
            CerebrasCookieError: If the cookies do not become a key.
        """
        if isinstance(self.key, SecretStr):
            return Bearer(self.key.get_secret_value())
        if self.key is not None:
            return Bearer(await _called(self.key))
        if self.cookies is not None:
            return await self._demo(self.cookies.get_secret_value())
        return await self._from_environment()

    def reject(self, bearer: Bearer) -> bool:
        """Forget a demo key the server refused; whether a new one may be had."""
        for digest in [each for each, known in _demo_keys.items() if known == bearer]:
            _demo_keys.pop(digest, None)
        return bearer.is_demo

    async def _from_environment(self) -> Bearer:
        """The environment may have been filled since the model was made."""
        if key := os.environ.get("CEREBRAS_API_KEY", "").strip():
            return Bearer(key)
        if header := _cookies.to_header(os.environ.get("CEREBRAS_COOKIES", "")):
            return await self._demo(header)
        raise CerebrasAuthenticationError(_NO_CREDENTIAL)

    async def _demo(self, header: str) -> Bearer:
        digest = hashlib.sha256(f"{self.session_url}\n{header}".encode()).digest()
        known = _demo_keys.get(digest)
        if known is not None and not _has_expired(known):
            return known
        return await portal.run_from_loop(self._exchange_once(digest, header))

    async def _exchange_once(self, digest: bytes, header: str) -> Bearer:
        """Share one exchange among all who wait, whoever of them is cancelled."""
        task = _exchanges.get(digest)
        if task is None:
            task = asyncio.get_running_loop().create_task(
                self._exchange(digest, header)
            )
            _exchanges[digest] = task
            task.add_done_callback(lambda _: _exchanges.pop(digest, None))
        return await asyncio.shield(task)

    async def _exchange(self, digest: bytes, header: str) -> Bearer:
        try:
            answer = await http.send(
                "GET",
                self.session_url,
                headers=_session_headers(header),
                route=self.route,
                timeout=self.timeout,
            )
            try:
                body = await answer.read(_MAX_SESSION_BYTES)
            finally:
                answer.close()
        except CerebrasError as error:
            raise _failed(str(error), is_retryable=error.is_retryable) from error
        if len(body) > _MAX_SESSION_BYTES:
            raise _failed("What came is too large for a session; is session_url right?")
        bearer = _to_bearer(answer.status, answer.headers, body)
        _demo_keys[digest] = bearer
        while len(_demo_keys) > _MAX_DEMO_KEYS:
            _demo_keys.popitem(last=False)
        return bearer

    async def credential(self, api_base: str) -> Credential:
        """What the next request would be signed with, without the secret."""
        bearer = await self.bearer()
        variable = "CEREBRAS_COOKIES" if bearer.is_demo else "CEREBRAS_API_KEY"
        held = self.cookies if bearer.is_demo else self.key
        text = held.get_secret_value() if isinstance(held, SecretStr) else None
        from_environment = held is None or text == os.environ.get(variable, "").strip()
        return Credential(
            source="environment" if from_environment else "argument",
            kind="demo key" if bearer.is_demo else "API key",
            host=urlsplit(api_base).netloc,
            expires=bearer.expires,
            hint=f"{bearer.key[:4]}…{bearer.key[-2:]}"
            if len(bearer.key) >= 16
            else "…",  # noqa: PLR2004
        )


# Both are written on the portal's loop alone, where every exchange runs.
_demo_keys: OrderedDict[bytes, Bearer] = OrderedDict()
_exchanges: dict[bytes, asyncio.Task[Bearer]] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_exchanges.clear)


def _session_headers(header: str) -> Mapping[str, str]:
    return {
        "Cookie": header,
        "Accept": "application/json",
        "User-Agent": user_agent(),
    }


async def _called(
    function: Callable[[], str | SecretStr | Awaitable[str | SecretStr]],
) -> str:
    """Call a user's function off the loop: it may ask a vault over the network."""
    if inspect.iscoroutinefunction(function):
        value = await function()
    else:
        value = await asyncio.to_thread(function)
        if inspect.isawaitable(value):
            value = await value
    key = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(key, str) or not key.strip():
        msg = f"The function given as api_key returned no key but {type(key).__name__}."
        raise CerebrasAuthenticationError(msg)
    return key.strip()


def _to_bearer(status: int, headers: Mapping[str, str], body: bytes) -> Bearer:
    """The key in a session's answer, or what is wrong with the answer."""
    if status != 200:  # noqa: PLR2004
        raise _refused(status, headers)
    session = _decoded(body)
    user = session.get("user") if session else None
    if not user:
        raise _failed(f"The cookies are of nobody who is signed in. {_SIGN_IN}")
    key = user.get("demoApiKey") if isinstance(user, dict) else None
    if not _is_key(key):
        raise _failed(
            "The session is signed in but holds no demo key; use an API key"
            " from https://cloud.cerebras.ai."
        )
    return Bearer(key, is_demo=True, expires=_expiry(session.get("expires")))


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        session = json.loads(body)
    except ValueError:
        if b"<html" in body[:1024].lower():
            raise _failed(
                "A web page came instead of a session: a sign-in or a bot check."
                f" {_SIGN_IN}"
            ) from None
        raise _failed("What came is no JSON; is session_url right?") from None
    if session is not None and not isinstance(session, dict):
        raise _failed("What came is no session; is session_url right?")
    return session or {}


def _refused(status: int, headers: Mapping[str, str]) -> CerebrasCookieError:
    if 300 <= status < 400:  # noqa: PLR2004
        return _failed(
            f"The site sends the cookies to its sign-in page. {_SIGN_IN}", status
        )
    if status in (401, 403):
        return _failed(f"The site refuses the cookies ({status}). {_SIGN_IN}", status)
    if status == 429 or status >= 500:  # noqa: PLR2004
        why = "too many exchanges" if status == 429 else "the site failed"  # noqa: PLR2004
        failure = _failed(
            f"{why} ({status}); try again later.", status, is_retryable=True
        )
        failure.retry_after = pacing.asked_wait(headers, time.time())
        return failure
    return _failed(f"The site answers {status}; is session_url right?", status)


def _failed(
    why: str, status: int | None = None, *, is_retryable: bool = False
) -> CerebrasCookieError:
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


def _has_expired(bearer: Bearer) -> bool:
    return bearer.expires is not None and bearer.expires.timestamp() <= time.time()
