"""Find the key for a request: in `api_key`, `cookies` or the environment variables."""

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

from langchain_cerebras_inference import _settings
from langchain_cerebras_inference._auth import cookie_input
from langchain_cerebras_inference._auth.key_exchange import Key, KeyExchange
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
    """A description of the key that a model uses, without the key itself.

    Attributes:
        source: Where the key or the cookies come from. `argument` means the constructor.
        kind: Whether it is an API key, or a demo key in exchange for cookies.
        host: The host that the key is sent to.
        expires: When the key expires; `None` means that this is not known.
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
        api_key: The model's API key, a function that returns it, or `None`.
        cookies: The model's cookies as a normalized string, or `None`.
        exchange: Exchanges cookies for a demo key.
    """

    api_key: SecretStr | Callable[[], Any] | None
    cookies: SecretStr | None
    exchange: KeyExchange

    async def get_key(self) -> Key:
        """Return the key for the next request.

        Raises:
            CerebrasAuthenticationError: If there is no key and there are no cookies, or if
                the key cannot be sent.
            CerebrasCookieError: If the cookies cannot be exchanged for a key.
        """
        if isinstance(self.api_key, SecretStr):
            return Key(self.api_key.get_secret_value())
        if self.api_key is not None:
            return Key(await _call_key_function(self.api_key))
        if self.cookies is not None:
            return await self.exchange.get_demo_key(self.cookies.get_secret_value())
        # The environment variables may have been set after the model was constructed.
        if api_key := _read_key_variable():
            if _settings.has_control_character(api_key):
                raise CerebrasAuthenticationError(
                    "CEREBRAS_API_KEY has a control character, such as a line break. Set it"
                    " to the key alone."
                )
            return Key(api_key)
        if cookies := _read_cookies_variable():
            return await self.exchange.get_demo_key(cookies)
        raise CerebrasAuthenticationError(_NO_CREDENTIAL)

    async def describe_credential(self, api_base: str) -> Credential:
        """Describe the key for the next request, without the key itself."""
        key = await self.get_key()
        is_long = len(key.value) >= _MIN_LENGTH_FOR_HINT
        return Credential(
            source=self._get_cookie_source() if key.is_demo else self._get_key_source(),
            kind="demo key" if key.is_demo else "API key",
            host=urlsplit(api_base).netloc,
            expires=key.expires,
            hint=f"{key.value[:4]}…{key.value[-2:]}" if is_long else "…",
        )

    # At construction `_settings.convert_settings` copies the environment variables into the
    # settings. So a setting that equals its variable counts as "environment".

    def _get_key_source(self) -> Source:
        if self.api_key is None:
            return "environment"
        if not isinstance(self.api_key, SecretStr):  # a function
            return "argument"
        is_variable = self.api_key.get_secret_value() == _read_key_variable()
        return "environment" if is_variable else "argument"

    def _get_cookie_source(self) -> Source:
        variable = ""
        # If the variable is invalid, the cookies do not come from it.
        with contextlib.suppress(CerebrasCookieError):
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
    """Call the function given as `api_key`. If it is not async, call it in a thread."""
    if inspect.iscoroutinefunction(function):
        result = await function()
    else:
        result = await asyncio.to_thread(_call_without_stop_iteration, function)
        if inspect.isawaitable(result):
            result = await result
    key = result.get_secret_value() if isinstance(result, SecretStr) else result
    if not isinstance(key, str) or not key.strip():
        raise CerebrasAuthenticationError(
            "The function given as api_key returned no key (its result has the type"
            f" {type(key).__name__}). It must return a string that is not empty."
        )
    key = key.strip()
    if _settings.has_control_character(key):
        raise CerebrasAuthenticationError(
            "The function given as api_key returned a key with a control character, such as a"
            " line break. It must return the key alone."
        )
    return key


def _call_without_stop_iteration(function: Callable[[], Any]) -> Any:
    """Call a function; if it raises `StopIteration`, raise `RuntimeError` instead.

    In Python 3.11, awaiting a thread whose function raises `StopIteration` never ends.
    """
    try:
        return function()
    except StopIteration as error:
        raise RuntimeError("The function given as api_key raised StopIteration.") from error
