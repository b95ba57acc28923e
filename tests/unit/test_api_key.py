"""Where the bearer key comes from, as far as no network is needed."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pydantic import SecretStr

from langchain_cerebras_inference._auth.api_key import Credential, Keys
from langchain_cerebras_inference._auth.browser_session import Bearer
from langchain_cerebras_inference._auth.key_exchange import Exchange
from langchain_cerebras_inference._http.request import Route
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasCookieError,
)

EXCHANGE = Exchange("https://unreachable.invalid/session", Route(None, True, 1.0), 1.0)


def keys(key: Any = None, cookies: str | None = None) -> Keys:
    return Keys(key, SecretStr(cookies) if cookies else None, EXCHANGE)


async def later() -> str:
    await asyncio.sleep(0)
    return "later"


def soon() -> Coroutine[Any, Any, str]:
    return later()


@pytest.mark.parametrize(
    ("key", "bearer"),
    [
        (SecretStr("given"), "given"),
        (lambda: " returned\n", "returned"),
        (lambda: SecretStr("hidden"), "hidden"),
        (later, "later"),
        (soon, "later"),
    ],
)
async def test_a_key_is_given_or_returned_by_a_function(key: Any, bearer: str) -> None:
    assert await keys(key).bearer() == Bearer(bearer)
    assert await keys(key, "a=b").bearer() == Bearer(bearer)


async def test_a_function_is_called_off_the_loop() -> None:
    threads: list[threading.Thread] = []

    def key() -> str:
        threads.append(threading.current_thread())
        return "k"

    await keys(key).bearer()

    assert threads != [threading.current_thread()]


@pytest.mark.parametrize(
    ("returned", "kind"), [(None, "NoneType"), ("", "str"), (" ", "str"), (5, "int")]
)
async def test_a_function_that_returns_no_key_is_an_authentication_error(
    returned: Any, kind: str
) -> None:
    with pytest.raises(CerebrasAuthenticationError, match=f"returned no key but {kind}"):
        await keys(lambda: returned).bearer()


async def test_a_function_that_has_run_out_of_keys_does_not_hang() -> None:
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        await keys(lambda: next(iter(()))).bearer()


async def test_what_a_function_raises_is_its_own() -> None:
    def key() -> str:
        raise LookupError("the vault is shut")

    with pytest.raises(LookupError, match="the vault is shut"):
        await keys(key).bearer()


async def test_without_a_credential_the_error_names_every_way_to_give_one() -> None:
    with pytest.raises(CerebrasAuthenticationError) as caught:
        await keys().bearer()

    assert caught.value.status is None
    assert caught.value.is_retryable is False
    for way in ("api_key", "CEREBRAS_API_KEY", "cookies", "CEREBRAS_COOKIES"):
        assert way in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_the_environment_is_read_once_more_at_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_before = keys()
    monkeypatch.setenv("CEREBRAS_API_KEY", " later ")

    assert await made_before.bearer() == Bearer("later")


@pytest.mark.parametrize("held", [None, {"": "abc"}, "=abc"])
async def test_cookies_that_no_model_has_read_fail_as_cookies(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_COOKIES", "=abc")

    with pytest.raises(CerebrasCookieError, match="a cookie cannot be sent"):
        await Keys(None, held, EXCHANGE).bearer()


@pytest.mark.parametrize(
    ("url", "verify", "words"),
    [
        ("http://127.0.0.2/session", True, "session_url must be https"),
        ("https://127.0.0.2/session", False, "verify=False would show them"),
    ],
)
async def test_an_exchange_sends_no_cookies_where_others_see_them(
    url: str, verify: bool, words: str
) -> None:
    exchange = Exchange(url, Route(None, verify, 1.0), 1.0)

    with pytest.raises(CerebrasCookieError, match=words):
        await Keys(None, SecretStr("a=b"), exchange).bearer()


@pytest.mark.parametrize(
    ("bearer", "another"), [(Bearer("k"), False), (Bearer("k", True), True)]
)
def test_another_key_may_be_had_for_cookies_alone(bearer: Bearer, another: bool) -> None:
    assert keys().reject(bearer) is another


@pytest.mark.parametrize(
    ("key", "environment", "credential"),
    [
        (
            SecretStr("csk-0123456789abcdef"),
            "",
            Credential("argument", "API key", "api.example:8080", None, "csk-…ef"),
        ),
        (
            SecretStr("csk-0123456789abcdef"),
            "csk-0123456789abcdef",
            Credential("environment", "API key", "api.example:8080", None, "csk-…ef"),
        ),
        (
            None,
            "short",
            Credential("environment", "API key", "api.example:8080", None, "…"),
        ),
        (
            lambda: "csk-0123456789abcdef",
            "csk-0123456789abcdef",
            Credential("argument", "API key", "api.example:8080", None, "csk-…ef"),
        ),
    ],
)
async def test_a_credential_says_where_a_key_is_from_and_not_what_it_is(
    key: SecretStr | Callable[[], Any] | None,
    environment: str,
    credential: Credential,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", environment)

    assert await keys(key).credential("https://api.example:8080/v1") == credential
