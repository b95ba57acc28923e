"""Which key a request has, the key exchange, and what is sent to which host."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from langchain_cerebras_inference import (
    CerebrasAuthenticationError,
    CerebrasCookieError,
    CerebrasProtocolError,
    CerebrasRateLimitError,
    ChatCerebrasInference,
    __version__,
)
from langchain_cerebras_inference.emulator import (
    Act,
    Cut,
    Emulator,
    Redirect,
    Refuse,
    Reply,
    Request,
    Session,
    Stall,
)
from tests.integration.call_styles import CALL_STYLES
from tests.integration.helpers import (
    create_cookie_model,
    create_model,
    get_chat_requests,
    get_cookie_header,
    get_key_exchanges,
)
from tests.integration.limiter import Limiter

SYNC_AND_ASYNC = ["invoke", "astream"]
OWN_USER_AGENT = f"langchain-cerebras-inference/{__version__}"
INTEGRATION_HEADER = "X-Cerebras-3rd-Party-Integration"


@pytest.fixture
def cookie_model(server: Emulator) -> ChatCerebrasInference:
    """A model that has the cookies of the emulator's browser session."""
    return create_cookie_model(server)


# --- which credential is used --------------------------------------------------------


class KeyObject:
    """A callable object whose call is asynchronous."""

    def __init__(self, key: str) -> None:
        self.key = key

    async def __call__(self) -> str:
        return self.key


def make_async_function(key: str) -> object:
    async def fetch() -> str:
        return key

    return fetch


API_KEYS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "text with whitespace": lambda key: f"  {key}\n",
    "secret": SecretStr,
    "function": lambda key: lambda: key,
    "function that returns a secret": lambda key: lambda: SecretStr(key),
    "async function": make_async_function,
    "object with async call": KeyObject,
}


@pytest.mark.parametrize("style", SYNC_AND_ASYNC)
@pytest.mark.parametrize("form", API_KEYS)
def test_api_key_can_be_a_string_a_secret_or_a_function(
    form: str, style: str, server: Emulator
) -> None:
    key = API_KEYS[form](server.api_key)
    model = ChatCerebrasInference(base_url=server.base_url, api_key=key)

    CALL_STYLES[style](model, "Hello!")

    assert [request.bearer for request in server.requests] == [server.api_key]


def test_key_function_is_called_for_each_call(server: Emulator) -> None:
    keys = iter([server.api_key, server.demo_key])
    model = ChatCerebrasInference(base_url=server.base_url, api_key=lambda: next(keys))

    model.invoke("Hello!")
    model.invoke("Hello!")

    bearers = [request.bearer for request in server.requests]
    assert bearers == [server.api_key, server.demo_key]


@pytest.mark.parametrize(
    ("arguments", "in_environment", "expected"),
    [
        ({"api_key", "cookies"}, {}, "api key"),
        ({"cookies"}, {"api_key"}, "demo key"),
        ({}, {"api_key", "cookies"}, "api key"),
        ({}, {"cookies"}, "demo key"),
    ],
)
@pytest.mark.parametrize("blank", ["", "  ", None])
def test_credential_settings_override_the_environment_and_api_keys_override_cookies(
    arguments: set[str],
    in_environment: set[str],
    expected: str,
    blank: str | None,
    server: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    credentials = {"api_key": server.api_key, "cookies": get_cookie_header(server)}
    for name, credential in credentials.items():
        variable = credential if name in in_environment else blank or ""
        monkeypatch.setenv(f"CEREBRAS_{name.upper()}", variable)
    settings = {
        name: credential if name in arguments else blank
        for name, credential in credentials.items()
    }

    create_cookie_model(server, **settings).invoke("Hello!")

    is_api_key = expected == "api key"
    assert len(get_key_exchanges(server)) == (0 if is_api_key else 1)
    expected_key = server.api_key if is_api_key else server.demo_key
    assert get_chat_requests(server)[0].bearer == expected_key


def test_url_in_the_environment_is_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRAS_SESSION_URL", "http://example.com/api/auth/session")

    with pytest.raises(ValueError, match="session_url must be https"):
        ChatCerebrasInference()


def test_key_is_read_at_construction(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)
    model = ChatCerebrasInference(base_url=server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", "another")

    model.invoke("Hello!")

    assert server.requests[0].bearer == server.api_key


def test_key_that_is_missing_at_construction_is_read_at_the_call(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ChatCerebrasInference(base_url=server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)

    model.invoke("Hello!")

    assert server.requests[0].bearer == server.api_key


@pytest.mark.parametrize("style", CALL_STYLES)
def test_call_without_a_credential_raises_an_error_that_says_how_to_set_one(
    style: str, server: Emulator
) -> None:
    model = create_cookie_model(server, cookies=None)

    with pytest.raises(CerebrasAuthenticationError) as caught:
        CALL_STYLES[style](model, "Hello!")

    message = str(caught.value)
    assert "\n" not in message
    for name in ("api_key", "CEREBRAS_API_KEY", "cookies", "CEREBRAS_COOKIES"):
        assert re.search(rf"\b{name}\b", message)
    assert caught.value.status is None
    assert caught.value.is_retryable is False
    assert server.requests == []


# --- the key exchange ----------------------------------------------------------------


async def test_a_hundred_first_calls_on_one_event_loop_share_one_exchange(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    server.script_session(Session(delay=0.1))

    await asyncio.gather(*(cookie_model.ainvoke("Hello!") for _ in range(100)))

    assert len(get_key_exchanges(server)) == 1
    assert {request.bearer for request in get_chat_requests(server)} == {server.demo_key}
    assert len(get_chat_requests(server)) == 100


def test_first_calls_from_all_threads_and_event_loops_share_one_exchange(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    server.script_session(Session(delay=0.3))

    async def call_concurrently() -> None:
        await asyncio.gather(*(cookie_model.ainvoke("Hello!") for _ in range(45)))

    with ThreadPoolExecutor(24) as threads:
        calls: list[Future[Any]] = [
            *(threads.submit(asyncio.run, call_concurrently()) for _ in range(4)),
            *(threads.submit(cookie_model.invoke, "Hello!") for _ in range(20)),
        ]
        for call in calls:
            call.result()

    assert len(get_key_exchanges(server)) == 1
    assert {request.bearer for request in get_chat_requests(server)} == {server.demo_key}
    assert len(get_chat_requests(server)) == 200


def test_models_with_equal_cookies_share_the_demo_key(server: Emulator) -> None:
    create_cookie_model(server, cookies=server.cookies).invoke("Hello!")
    create_cookie_model(server, cookies=get_cookie_header(server)).invoke("Hello!")

    assert len(get_key_exchanges(server)) == 1
    assert len(get_chat_requests(server)) == 2


def test_different_cookies_are_exchanged_separately(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    cookie_model.invoke("Hello!")

    create_cookie_model(server, cookies=f"{get_cookie_header(server)}; a=b").invoke("Hello!")

    assert len(get_key_exchanges(server)) == 2


def test_cookies_are_exchanged_again_when_the_demo_key_has_expired(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    server.script_session(Session(expires="2020-01-01T00:00:00.000Z"))

    for _ in range(3):
        cookie_model.invoke("Hello!")

    assert len(get_key_exchanges(server)) == 2


@pytest.mark.parametrize("style", CALL_STYLES)
def test_cookies_are_exchanged_again_when_the_demo_key_is_rejected(
    style: str, server: Emulator
) -> None:
    model = create_cookie_model(server, max_retries=0)
    model.invoke("Hello!")
    server.rotate_demo_key()

    CALL_STYLES[style](model, "Hello!")

    assert len(get_key_exchanges(server)) == 2
    assert len(get_chat_requests(server)) == 3
    assert get_chat_requests(server)[-1].bearer == server.demo_key


@pytest.mark.parametrize("style", CALL_STYLES)
def test_demo_key_that_is_rejected_twice_raises_authentication_error(
    style: str, server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    server.script(Refuse(401), Refuse(401))

    with pytest.raises(CerebrasAuthenticationError) as caught:
        CALL_STYLES[style](cookie_model, "Hello!")

    assert caught.value.status == 401
    assert len(get_key_exchanges(server)) == 2
    assert len(get_chat_requests(server)) == 2


async def test_calls_with_the_same_rejected_demo_key_share_one_new_exchange(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    await cookie_model.ainvoke("Hello!")
    server.rotate_demo_key()
    server.script_session(Session(delay=0.1))

    await asyncio.gather(*(cookie_model.ainvoke("Hello!") for _ in range(20)))

    assert len(get_key_exchanges(server)) == 2


def test_rejected_api_key_is_not_sent_again(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(401))

    with pytest.raises(CerebrasAuthenticationError):
        model.invoke("Hello!")

    assert len(server.requests) == 1


# The table in unit/test_key_exchange.py has many more responses.
UNUSABLE_RESPONSES: dict[str, tuple[Act, str, int | None, bool]] = {
    "empty object": (Session("empty"), "no signed-in session", None, False),
    "null": (Session("null"), "no signed-in session", None, False),
    "null user": (Session("null_user"), "no signed-in session", None, False),
    "no demo key": (Session("no_key"), "has no demo key", None, False),
    "key with a line break": (Session(demo_key="d\r\nX: 1"), "has no demo key", None, False),
    "list": (Reply(body="[1]"), "not a JSON object", None, False),
    "web page": (Session("html"), "is a web page", None, False),
    "plain text": (Session("not_json"), "not JSON", None, False),
    "eight megabytes": (Session("too_large"), "larger than 262144 bytes", None, False),
    "redirect": (Redirect("https://a.example/b"), "to https://a.example. S", 307, False),
    "rejected cookies": (Refuse(401), "rejected the cookies", 401, False),
    "wrong path": (Refuse(404), "Check session_url", 404, False),
    "rate limit": (Refuse(429), "Too many key exchanges", 429, True),
    "server error": (Refuse(500), "endpoint failed", 500, True),
    "connection reset": (Cut(after=None, how="reset"), "The connection to", None, True),
}


@pytest.mark.parametrize("style", SYNC_AND_ASYNC)
@pytest.mark.parametrize("name", UNUSABLE_RESPONSES)
def test_unusable_session_response_raises_cookie_error_with_its_own_message(
    name: str, style: str, server: Emulator
) -> None:
    act, message, status, is_retryable = UNUSABLE_RESPONSES[name]
    server.script_session(act, act)  # aiohttp itself repeats a GET that was reset

    with pytest.raises(CerebrasCookieError) as caught:
        CALL_STYLES[style](create_cookie_model(server, max_retries=0), "Hello!")

    assert message in str(caught.value)
    assert str(caught.value).startswith("The key exchange failed: ")
    assert "\n" not in str(caught.value)
    assert caught.value.status == status
    assert caught.value.is_retryable is is_retryable
    assert get_chat_requests(server) == []


def test_silent_session_endpoint_raises_retryable_cookie_error(server: Emulator) -> None:
    server.script_session(Stall(after=None))
    model = create_cookie_model(server, max_retries=0, timeout=0.3)

    with pytest.raises(CerebrasCookieError, match=r"0\.3 s") as caught:
        model.invoke("Hello!")

    assert caught.value.is_retryable is True


def test_temporary_failure_of_the_exchange_is_retried(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    server.script_session(Refuse(503, headers={"Retry-After": "0.01"}))

    cookie_model.invoke("Hello!")

    assert len(get_key_exchanges(server)) == 2
    assert len(get_chat_requests(server)) == 1


def test_error_of_the_exchange_has_the_retry_after_of_the_server(server: Emulator) -> None:
    server.script_session(Refuse(429, headers={"Retry-After": "7"}))

    with pytest.raises(CerebrasCookieError) as caught:
        create_cookie_model(server, max_retries=0).invoke("Hello!")

    assert caught.value.retry_after == 7.0


async def test_failed_exchange_fails_all_waiting_callers_and_is_not_cached(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    server.script_session(lambda _: Session("empty", delay=0.2))
    calls = (cookie_model.ainvoke("Hello!") for _ in range(10))

    results = await asyncio.gather(*calls, return_exceptions=True)
    later = await cookie_model.ainvoke("Hello!")

    assert {type(result) for result in results} == {CerebrasCookieError}
    assert len(get_key_exchanges(server)) == 2
    assert later.text


async def test_cancelled_caller_does_not_cancel_the_shared_exchange(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    server.script_session(Session(delay=0.3))
    cancelled = asyncio.create_task(cookie_model.ainvoke("Hello!"))
    others = [asyncio.create_task(cookie_model.ainvoke("Hello!")) for _ in range(3)]
    await asyncio.sleep(0.1)

    cancelled.cancel()
    messages = await asyncio.gather(*others)

    assert all(message.text for message in messages)
    assert cancelled.cancelled()
    assert len(get_key_exchanges(server)) == 1
    assert len(get_chat_requests(server)) == 3


async def test_failed_exchange_that_nobody_waits_for_is_not_logged(
    server: Emulator, cookie_model: ChatCerebrasInference, caplog: pytest.LogCaptureFixture
) -> None:
    server.script_session(Session("empty", delay=0.2))
    call = asyncio.create_task(cookie_model.ainvoke("Hello!"))
    await asyncio.sleep(0.1)

    call.cancel()
    await asyncio.sleep(0.3)

    assert caplog.records == []


# --- what is sent to which host ------------------------------------------------------


def dump_request(request: Request) -> str:
    """Return everything in a request, as text to search."""
    return f"{request.path} {dict(request.query)} {request.raw_headers} {request.content!r}"


def test_exchange_request_has_the_cookies_and_only_necessary_headers(server: Emulator) -> None:
    create_cookie_model(server, default_headers={"X-Mine": "1"}).invoke("Hello!")

    request = get_key_exchanges(server)[0]
    names = {name for name, _ in request.raw_headers}
    assert request.method == "GET"
    assert request.content == b""
    assert names == {"Host", "Connection", "Cookie", "Accept", "User-Agent"}
    assert request.headers["Cookie"] == get_cookie_header(server)
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"].startswith(OWN_USER_AGENT)


def test_request_with_demo_key_has_the_user_agent_of_the_playground(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    cookie_model.invoke("Hello!")

    request = get_chat_requests(server)[0]
    assert request.headers["User-Agent"] == "ex/JS 1.5.0"
    assert INTEGRATION_HEADER not in request.headers


def test_request_with_api_key_names_this_package(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    model.invoke("Hello!")

    request = server.requests[0]
    assert request.headers["User-Agent"].startswith(OWN_USER_AGENT)
    assert request.headers[INTEGRATION_HEADER] == "langchain"
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("credential", ["api key", "cookies"])
def test_default_headers_replace_other_headers_case_insensitively(
    credential: str, server: Emulator
) -> None:
    settings = {"api_key": server.api_key} if credential == "api key" else {}
    headers = {"uSER-aGENT": "mine", INTEGRATION_HEADER.lower(): "langgraph", "X-More": "1"}

    create_cookie_model(server, default_headers=headers, **settings).invoke("Hello!")

    sent = [(name.lower(), value) for name, value in get_chat_requests(server)[0].raw_headers]
    for name, value in headers.items():
        assert [header for header in sent if header[0] == name.lower()] == [
            (name.lower(), value)
        ]


def test_authorization_in_default_headers_replaces_the_key(server: Emulator) -> None:
    model = ChatCerebrasInference(
        base_url=server.base_url,
        api_key="another",
        default_headers={"authorization": f"Bearer {server.api_key}"},
    )

    model.invoke("Hello!")

    assert server.requests[0].bearer == server.api_key


@pytest.mark.parametrize("style", CALL_STYLES)
@pytest.mark.parametrize("value", [str, SecretStr])
def test_extra_headers_are_sent_with_one_call_and_replace_other_headers(
    value: Callable[[str], Any], style: str, server: Emulator
) -> None:
    model = create_model(server, default_headers={"X-Tenant": "all", "X-Region": "eu"})
    headers = {"x-tenant": value("one"), "User-Agent": value("mine"), "X-Trace": value("é")}

    CALL_STYLES[style](model.bind(extra_headers=headers), "Hello!")
    CALL_STYLES[style](model, "Hello!")

    first, second = (
        {name.lower(): text for name, text in request.raw_headers}
        for request in server.requests
    )
    assert len(first) == len(server.requests[0].raw_headers)
    assert (first["x-tenant"], first["x-region"], first["user-agent"]) == ("one", "eu", "mine")
    assert first["x-trace"] == "é"
    assert (second["x-tenant"], second["user-agent"]) == ("all", OWN_USER_AGENT)
    assert "x-trace" not in second


@pytest.mark.parametrize("style", CALL_STYLES)
@pytest.mark.parametrize("credential", ["none", "api key", "cookies", "default headers"])
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_authorization_in_extra_headers_is_sent_and_needs_no_other_credential(
    name: str, credential: str, style: str, server: Emulator
) -> None:
    credentials: dict[str, dict[str, Any]] = {
        "none": {"cookies": None},
        "api key": {"cookies": None, "api_key": lambda: pytest.fail("the key was requested")},
        "cookies": {},
        "default headers": {"cookies": None, "default_headers": {"authorization": "Bearer no"}},
    }
    model = create_cookie_model(server, **credentials[credential])

    CALL_STYLES[style](model.bind(extra_headers={name: f"Bearer {server.api_key}"}), "Hello!")

    [request] = server.requests
    assert request.bearer == server.api_key
    assert sum(header.lower() == "authorization" for header, _ in request.raw_headers) == 1


@pytest.mark.parametrize("style", SYNC_AND_ASYNC)
def test_authorization_in_default_headers_needs_no_other_credential(
    style: str, server: Emulator
) -> None:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    model = create_cookie_model(server, cookies=None, default_headers=headers)

    CALL_STYLES[style](model, "Hello!")

    assert [info.id for info in model.list_models()]
    assert {request.bearer for request in get_chat_requests(server)} == {server.api_key}


@pytest.mark.parametrize("style", SYNC_AND_ASYNC)
@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_authorization_in_extra_headers_decides_the_quota(name: str, style: str) -> None:
    def call_with(authorization: str) -> None:
        CALL_STYLES[style](model.bind(extra_headers={name: authorization}), "Hello!")

    with Limiter(requests_per_second=0.001).serve() as limiter:
        model = ChatCerebrasInference(base_url=limiter.url, api_key="key", max_tokens=100)
        limiter.request_level = 1.0
        CALL_STYLES[style](model, "Hello!")  # uses up the quota of this key
        limiter.request_level = 1.0

        with pytest.raises(CerebrasRateLimitError):
            call_with("Bearer key")
        call_with("Bearer tenant")

    authorizations = [authorization for _, authorization, _ in limiter.accepted]
    assert authorizations == ["bearer key", "bearer tenant"]
    assert limiter.rejected == []


@pytest.mark.parametrize("key", ["csk-1\nX-More: 1", "csk-1\r\n", "csk\0", "csk\x7f1", "c\ts"])
@pytest.mark.parametrize("source", ["variable", "function", "async function"])
def test_key_with_a_control_character_raises_an_error_that_names_its_source(
    source: str, key: str, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"cookies": None}
    if source == "function":
        settings["api_key"] = lambda: f"{key}1"
    elif source == "async function":
        settings["api_key"] = make_async_function(f"{key}1")
    model = create_cookie_model(server, **settings)
    monkeypatch.setenv("CEREBRAS_API_KEY", f"{key}1".replace("\0", "\1"))

    for style in SYNC_AND_ASYNC:
        with pytest.raises(CerebrasAuthenticationError, match="control character") as caught:
            CALL_STYLES[style](model, "Hello!")

        assert ("CEREBRAS_API_KEY" if source == "variable" else "api_key") in str(caught.value)
        assert "csk" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert server.requests == []


def test_cookies_are_sent_to_the_session_url_only() -> None:
    with Emulator() as playground, Emulator(api_key=playground.demo_key) as api:
        api.script(lambda _: Reply(headers={"Set-Cookie": "seen=1"}))
        model = create_cookie_model(playground, base_url=api.base_url)

        model.invoke("Hello!")
        model.invoke("Hello!")

        cookies = [*playground.cookies, *playground.cookies.values(), "seen=1"]
        sent = "".join(dump_request(request) for request in api.requests)
        assert len(api.requests) == 2
        assert not [cookie for cookie in cookies if cookie in sent]
        assert all("Cookie" not in request.headers for request in api.requests)
        assert len(playground.requests) == 1


def test_cookie_set_by_the_session_endpoint_is_ignored(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    cookie_model.invoke("Hello!")
    server.rotate_demo_key()

    cookie_model.invoke("Hello!")

    assert all("Cookie" not in request.headers for request in get_chat_requests(server))
    assert get_key_exchanges(server)[1].headers["Cookie"] == get_cookie_header(server)


@pytest.mark.parametrize("credential", ["api key", "cookies"])
def test_openai_variables_are_never_sent(
    credential: str, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "ORGANIZATION", "PROJECT_ID", "PROXY"):
        monkeypatch.setenv(f"OPENAI_{name}", "sk-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://sk-openai.invalid/v1")
    monkeypatch.setenv("OPENAI_API_BASE", "http://sk-openai.invalid/v1")
    settings = {"api_key": server.api_key} if credential == "api key" else {}

    create_cookie_model(server, **settings).invoke("Hello!")

    sent = "".join(dump_request(request) for request in server.requests)
    assert "sk-openai" not in sent


def test_netrc_is_ignored(
    server: Emulator,
    cookie_model: ChatCerebrasInference,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password of-another\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    cookie_model.invoke("Hello!")

    assert "Authorization" not in get_key_exchanges(server)[0].headers
    assert get_chat_requests(server)[0].bearer == server.demo_key


@pytest.mark.parametrize("style", CALL_STYLES)
def test_redirect_of_the_api_is_not_followed(
    style: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    with Emulator() as target:
        server.script(Redirect(f"{target.base_url}/chat/completions"))

        with pytest.raises(CerebrasProtocolError) as caught:
            CALL_STYLES[style](model, "Hello!")

        assert caught.value.status == 307
        assert caught.value.is_retryable is False
        assert len(server.requests) == 1
        assert target.requests == []


def test_redirect_of_the_session_endpoint_is_not_followed(
    server: Emulator, cookie_model: ChatCerebrasInference
) -> None:
    with Emulator() as target:
        server.script_session(Redirect(target.session_url))

        with pytest.raises(CerebrasCookieError):
            cookie_model.invoke("Hello!")

        assert target.requests == []
