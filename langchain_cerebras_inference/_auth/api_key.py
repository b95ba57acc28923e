"""Get the key for a request: from `api_key`, from `cookies`, or from the environment."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from langchain_cerebras_inference._auth import cookie_input
from langchain_cerebras_inference._auth.key_exchange import Bearer, KeyExchange
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasCookieError,
)

Source: TypeAlias = Literal["argument", "environment", "file", "browser"]

_MIN_LENGTH_FOR_HINT = 16
_NO_CREDENTIAL = (
    "No credential for Cerebras. Pass api_key or set CEREBRAS_API_KEY (get a key at"
    " https://cloud.cerebras.ai), or pass cookies or set CEREBRAS_COOKIES."
)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a model authenticates with, without the secret itself.

    Attributes:
        source: Where the key or the cookies come from.
        kind: Whether the key is an API key, or a demo key from cookies.
        host: The host that the key is sent to.
        expires: When the key expires, if that is known.
        hint: The first four and last two characters of the key; `"…"` for a short key.
    """

    source: Source
    kind: Literal["API key", "demo key"]
    host: str
    expires: datetime | None
    hint: str


@dataclass(frozen=True, slots=True)
class KeyProvider:
    """Provides the key for each request of a model.

    Attributes:
        key: The model's API key, or a function that returns it, or `None`.
        cookies: The model's cookies as normalized text, or `None`.
        exchange: Exchanges cookies for a demo key.
    """

    key: SecretStr | Callable[[], Any] | None
    cookies: SecretStr | None
    exchange: KeyExchange

    async def get_bearer(self) -> Bearer:
        """Return the key for the next request.

        Raises:
            CerebrasAuthenticationError: If there is no key and there are no cookies.
            CerebrasCookieError: If the cookies cannot be exchanged for a key.
        """
        if isinstance(self.key, SecretStr):
            return Bearer(self.key.get_secret_value())
        if self.key is not None:
            return Bearer(await _call_key_function(self.key))
        if self.cookies is not None:
            return await self.exchange.get_demo_key(self.cookies.get_secret_value())
        # The model read the environment at construction; it may have been set since then.
        if key := _read_key_variable():
            return Bearer(key)
        if cookies := _read_cookies_variable():
            return await self.exchange.get_demo_key(cookies)
        raise CerebrasAuthenticationError(_NO_CREDENTIAL)

    async def get_credential(self, api_base: str) -> Credential:
        """Describe the key for the next request, without the secret."""
        bearer = await self.get_bearer()
        key = bearer.key
        return Credential(
            source=self._get_cookie_source() if bearer.is_demo else self._get_key_source(),
            kind="demo key" if bearer.is_demo else "API key",
            host=urlsplit(api_base).netloc,
            expires=bearer.expires,
            hint=f"{key[:4]}…{key[-2:]}" if len(key) >= _MIN_LENGTH_FOR_HINT else "…",
        )

    # At construction `_settings.convert_settings` copies the environment variables into the
    # settings. So a setting that is equal to its variable counts as coming from there.

    def _get_key_source(self) -> Source:
        key = self.key.get_secret_value() if isinstance(self.key, SecretStr) else self.key
        return "environment" if key in (None, _read_key_variable()) else "argument"

    def _get_cookie_source(self) -> Source:
        variable = ""
        with contextlib.suppress(CerebrasCookieError):  # unusable, so not what is used
            variable = _read_cookies_variable()
        cookies = self.cookies.get_secret_value() if self.cookies else variable
        form = cookie_input.detect_form(cookies)
        if form in ("file", "browser"):
            return form
        return "environment" if cookies == variable else "argument"


def _read_key_variable() -> str:
    return os.environ.get("CEREBRAS_API_KEY", "").strip()


def _read_cookies_variable() -> str:
    value = os.environ.get("CEREBRAS_COOKIES", "").strip()
    try:
        return cookie_input.normalize_cookies(value) if value else ""
    except ValueError as error:
        raise CerebrasCookieError(f"Cannot read the cookies: {error}") from None


async def _call_key_function(
    function: Callable[[], str | SecretStr | Awaitable[str | SecretStr]],
) -> str:
    """Call the function given as `api_key`; in a thread, if it is not async."""
    if inspect.iscoroutinefunction(function):
        result = await function()
    else:
        result = await asyncio.to_thread(_call_without_stop_iteration, function)
        if inspect.isawaitable(result):
            result = await result
    key = result.get_secret_value() if isinstance(result, SecretStr) else result
    if not isinstance(key, str) or not key.strip():
        raise CerebrasAuthenticationError(
            "The function given as api_key returned no key (the result is of type"
            f" {type(key).__name__}). It must return a string that is not empty."
        )
    return key.strip()


def _call_without_stop_iteration(function: Callable[[], Any]) -> Any:
    """Call a function, and replace `StopIteration`: in Python 3.11 awaiting it never ends."""
    try:
        return function()
    except StopIteration as error:
        raise RuntimeError("The function given as api_key raised StopIteration.") from error
