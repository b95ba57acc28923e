"""Where the bearer key comes from: given, returned by a function, or for cookies."""

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

from langchain_cerebras_inference._auth import cookie_input as _cookies
from langchain_cerebras_inference._auth import key_exchange
from langchain_cerebras_inference._auth.browser_session import Bearer
from langchain_cerebras_inference._auth.key_exchange import Exchange
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasCookieError,
)

Source: TypeAlias = Literal["argument", "environment", "file", "browser"]

_SHORTEST_HINTED = 16
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

    source: Source
    kind: Literal["API key", "demo key"]
    host: str
    expires: datetime | None
    hint: str


@dataclass(frozen=True, slots=True)
class Keys:
    """A model's way to a key.

    Attributes:
        key: The key, a function that returns it, or `None`.
        cookies: Cookies in any form, as one text if they are a secret, or `None`.
        exchange: Where cookies become a key.
    """

    key: SecretStr | str | Callable[[], Any] | None
    cookies: Any
    exchange: Exchange

    async def bearer(self) -> Bearer:
        """The key to sign the next request with.

        Raises:
            CerebrasAuthenticationError: If there is no credential.
            CerebrasCookieError: If the cookies do not become a key.
        """
        if isinstance(self.key, SecretStr):
            return Bearer(self.key.get_secret_value())
        if isinstance(self.key, str):  # set on the model after it was made
            return Bearer(self.key)
        if self.key is not None:
            return Bearer(await _called(self.key))
        if self.cookies is not None:
            return await self.exchange.key_for(_text_of(self.cookies))
        return await self._from_environment()

    def reject(self, bearer: Bearer) -> bool:
        """Forget a demo key the API refused; say whether another one may be had."""
        if bearer.is_demo:
            key_exchange.forget(bearer)
        return bearer.is_demo

    async def credential(self, api_base: str) -> Credential:
        """What the next request would be signed with, without the secret."""
        bearer = await self.bearer()
        return Credential(
            source=self._source_of(bearer),
            kind="demo key" if bearer.is_demo else "API key",
            host=urlsplit(api_base).netloc,
            expires=bearer.expires,
            hint=_hint(bearer.key),
        )

    async def _from_environment(self) -> Bearer:
        """The environment may have been filled since the model was made."""
        if key := _key_of_environment():
            return Bearer(key)
        if cookies := _cookies_of_environment():
            return await self.exchange.key_for(cookies)
        raise CerebrasAuthenticationError(_NO_CREDENTIAL)

    def _source_of(self, bearer: Bearer) -> Source:
        """A model takes in the environment at construction, so the values tell."""
        if bearer.is_demo:
            return self._source_of_cookies()
        key = self.key.get_secret_value() if isinstance(self.key, SecretStr) else self.key
        return "environment" if key in (None, _key_of_environment()) else "argument"

    def _source_of_cookies(self) -> Source:
        there = ""
        with contextlib.suppress(CerebrasCookieError):  # unreadable, so not what is held
            there = _cookies_of_environment()
        text = there if self.cookies is None else _text_of(self.cookies)
        kind = _cookies.kind_of(text)
        if kind in ("file", "browser"):
            return kind
        return "environment" if text == there else "argument"


def _key_of_environment() -> str:
    return os.environ.get("CEREBRAS_API_KEY", "").strip()


def _cookies_of_environment() -> str:
    given = os.environ.get("CEREBRAS_COOKIES", "").strip()
    return _text_of(given) if given else ""


def _text_of(cookies: Any) -> str:
    """Cookies as one text; a secret is one already, for a model made it."""
    if isinstance(cookies, SecretStr):
        return cookies.get_secret_value()
    try:
        return _cookies.to_text(cookies)
    except ValueError as error:
        raise CerebrasCookieError(f"There are no cookies to sign in with: {error}") from None


def _hint(key: str) -> str:
    return f"{key[:4]}…{key[-2:]}" if len(key) >= _SHORTEST_HINTED else "…"


def _result_of(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except StopIteration as error:  # no future carries it: who waits would wait for ever
        raise RuntimeError("the function given as api_key raised StopIteration") from error


async def _called(
    function: Callable[[], str | SecretStr | Awaitable[str | SecretStr]],
) -> str:
    """Call a user's function off the loop: it may ask a vault over the network."""
    if inspect.iscoroutinefunction(function):
        value = await function()
    else:
        value = await asyncio.to_thread(_result_of, function)
        if inspect.isawaitable(value):
            value = await value
    key = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(key, str) or not key.strip():
        raise CerebrasAuthenticationError(
            f"The function given as api_key returned no key but {type(key).__name__}."
        )
    return key.strip()
