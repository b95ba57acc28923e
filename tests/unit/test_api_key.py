"""Which key a request gets, in the cases that need no network."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pydantic import SecretStr

from langchain_cerebras_inference._auth.api_key import Credential, KeyProvider
from langchain_cerebras_inference._auth.key_exchange import Key, KeyExchange
from langchain_cerebras_inference._http.route import Route
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasCookieError,
)

KEY = "csk-0123456789abcdef"
EXCHANGE = KeyExchange("https://unreachable.invalid/session", Route(None, True, 1.0), 1.0)


def make_provider(key: Any = None, cookies: str | None = None) -> KeyProvider:
    return KeyProvider(key, SecretStr(cookies) if cookies else None, EXCHANGE)


async def fetch_async() -> str:
    await asyncio.sleep(0)
    return "fetched"


def fetch_awaitable() -> Coroutine[Any, Any, str]:
    return fetch_async()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (SecretStr("given"), "given"),
        (lambda: " returned\n", "returned"),
        (lambda: SecretStr("secret"), "secret"),
        (fetch_async, "fetched"),
        (fetch_awaitable, "fetched"),
    ],
)
async def test_key_is_a_value_or_is_returned_by_a_function(key: Any, expected: str) -> None:
    assert await make_provider(key).get_key() == Key(expected)
    assert await make_provider(key, cookies="a=b").get_key() == Key(expected)


async def test_function_is_called_in_another_thread() -> None:
    threads: list[threading.Thread] = []

    def fetch() -> str:
        threads.append(threading.current_thread())
        return "k"

    await make_provider(fetch).get_key()

    assert threads != [threading.current_thread()]


@pytest.mark.parametrize(
    ("result", "type_name"), [(None, "NoneType"), ("", "str"), (" ", "str"), (5, "int")]
)
async def test_function_that_returns_no_key_raises_authentication_error(
    result: Any, type_name: str
) -> None:
    with pytest.raises(CerebrasAuthenticationError, match=rf"no key \(.* {type_name}\)"):
        await make_provider(lambda: result).get_key()


async def test_function_that_raises_stop_iteration_does_not_hang() -> None:
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        await make_provider(lambda: next(iter(()))).get_key()


async def test_error_of_the_function_is_raised_unchanged() -> None:
    def fetch() -> str:
        raise LookupError("the vault is closed")

    with pytest.raises(LookupError, match="the vault is closed"):
        await make_provider(fetch).get_key()


async def test_environment_is_read_again_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = make_provider()
    monkeypatch.setenv("CEREBRAS_API_KEY", " late ")

    assert await provider.get_key() == Key("late")


async def test_unusable_cookies_in_the_environment_raise_cookie_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CEREBRAS_COOKIES", "=abc")

    with pytest.raises(CerebrasCookieError, match="a cookie cannot be sent"):
        await make_provider().get_key()


@pytest.mark.parametrize(
    ("key", "variable", "source", "hint"),
    [
        (SecretStr(KEY), "", "argument", "csk-…ef"),
        (SecretStr(KEY), KEY, "environment", "csk-…ef"),
        (None, "short", "environment", "…"),
        (lambda: KEY, KEY, "argument", "csk-…ef"),
    ],
)
async def test_credential_has_the_source_and_a_hint_of_the_key(
    key: SecretStr | Callable[[], Any] | None,
    variable: str,
    source: Any,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", variable)

    credential = await make_provider(key).describe_credential("https://api.example:8080/v1")

    assert credential == Credential(source, "API key", "api.example:8080", None, hint)
