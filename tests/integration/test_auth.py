import asyncio
import re
import threading
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
from tests.integration.call_styles import CALL_STYLES, ainvoke

OUR_AGENT = f"langchain-cerebras-inference/{__version__}"
ATTRIBUTION = "X-Cerebras-3rd-Party-Integration"


@pytest.fixture
def signed_in(server: Emulator) -> ChatCerebrasInference:
    return with_cookies(server)


def with_cookies(server: Emulator, **fields: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(
        base_url=server.base_url,
        session_url=server.session_url,
        **{"cookies": server.cookies, **fields},
    )


def cookie_header(server: Emulator) -> str:
    return "; ".join(f"{name}={value}" for name, value in server.cookies.items())


def exchanges(server: Emulator) -> list[Request]:
    return [each for each in server.requests if each.path == "/api/auth/session"]


def chats(server: Emulator) -> list[Request]:
    return [each for each in server.requests if each.path == "/v1/chat/completions"]


def everything(request: Request) -> str:
    return f"{request.path} {dict(request.query)} {request.raw_headers} {request.content!r}"


# --- which credential ---------------------------------------------------------------


class Vault:
    """A callable object with an asynchronous call."""

    def __init__(self, key: str) -> None:
        self.key = key

    async def __call__(self) -> str:
        return self.key


def as_text(key: str) -> object:
    return key


def as_padded_text(key: str) -> object:
    return f"  {key}\n"


def as_secret(key: str) -> object:
    return SecretStr(key)


def as_function(key: str) -> object:
    return lambda: key


def as_function_of_secret(key: str) -> object:
    return lambda: SecretStr(key)


def as_coroutine_function(key: str) -> object:
    async def fetch() -> str:
        return key

    return fetch


FORMS = [
    as_text,
    as_padded_text,
    as_secret,
    as_function,
    as_function_of_secret,
    as_coroutine_function,
    Vault,
]


@pytest.mark.parametrize("style", CALL_STYLES)
@pytest.mark.parametrize("form", FORMS)
def test_a_key_may_be_text_a_secret_or_a_function(
    form: Callable[[str], Any], style: str, server: Emulator
) -> None:
    model = ChatCerebrasInference(base_url=server.base_url, api_key=form(server.api_key))

    CALL_STYLES[style](model, "Hello!")

    assert [request.bearer for request in server.requests] == [server.api_key]


def test_a_function_is_asked_for_each_call(server: Emulator) -> None:
    keys = iter([server.api_key, server.demo_key])
    model = ChatCerebrasInference(base_url=server.base_url, api_key=lambda: next(keys))

    model.invoke("Hello!")
    model.invoke("Hello!")

    bearers = [request.bearer for request in server.requests]
    assert bearers == [server.api_key, server.demo_key]


def test_a_function_does_not_block_the_loop(server: Emulator) -> None:
    main = threading.current_thread()
    called_on: list[threading.Thread] = []

    def fetch() -> str:
        called_on.append(threading.current_thread())
        return server.api_key

    ainvoke(ChatCerebrasInference(base_url=server.base_url, api_key=fetch), "Hello!")

    assert called_on
    assert main not in called_on


@pytest.mark.parametrize("nothing", ["", " ", None, 7])
def test_a_function_that_returns_no_key_is_an_authentication_error(
    nothing: Any, server: Emulator
) -> None:
    model = ChatCerebrasInference(base_url=server.base_url, api_key=lambda: nothing)

    with pytest.raises(CerebrasAuthenticationError, match="function given as api_key"):
        model.invoke("Hello!")

    assert server.requests == []


def test_an_error_of_the_function_is_the_callers_own(server: Emulator) -> None:
    def fetch() -> str:
        raise LookupError("sealed")

    model = ChatCerebrasInference(base_url=server.base_url, api_key=fetch)

    with pytest.raises(LookupError, match="sealed"):
        model.invoke("Hello!")


@pytest.mark.parametrize("style", CALL_STYLES)
@pytest.mark.parametrize("form", ["mapping", "header", "header with its name"])
def test_cookies_may_be_a_mapping_or_a_header(form: str, style: str, server: Emulator) -> None:
    given: dict[str, Any] = {
        "mapping": server.cookies,
        "header": f"theme=dark; {cookie_header(server)}; lang=en",
        "header with its name": f"Cookie: {cookie_header(server)}",
    }
    model = with_cookies(server, cookies=given[form])

    CALL_STYLES[style](model, "Hello!")

    assert cookie_header(server) in exchanges(server)[0].headers["Cookie"]
    assert [request.bearer for request in chats(server)] == [server.demo_key]


def test_a_key_given_wins_over_cookies_given(server: Emulator) -> None:
    with_cookies(server, api_key=server.api_key).invoke("Hello!")

    assert exchanges(server) == []
    assert chats(server)[0].bearer == server.api_key


def test_cookies_given_win_over_a_key_in_the_environment(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)

    with_cookies(server).invoke("Hello!")

    assert chats(server)[0].bearer == server.demo_key


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_what_is_blank_is_not_given(
    blank: str | None, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)

    with_cookies(server, api_key=blank, cookies=blank).invoke("Hello!")

    assert chats(server)[0].bearer == server.api_key


def test_a_key_in_the_environment_wins_over_cookies_there(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_COOKIES", cookie_header(server))
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)

    with_cookies(server, cookies=None).invoke("Hello!")

    assert chats(server)[0].bearer == server.api_key


def test_the_environment_alone_is_enough(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", " ")
    monkeypatch.setenv("CEREBRAS_COOKIES", cookie_header(server))
    monkeypatch.setenv("CEREBRAS_SESSION_URL", server.session_url)
    monkeypatch.setenv("CEREBRAS_API_BASE", server.origin)

    ChatCerebrasInference().invoke("Hello!")

    assert chats(server)[0].bearer == server.demo_key


def test_a_url_in_the_environment_is_held_to_the_same_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CEREBRAS_SESSION_URL", "http://example.com/api/auth/session")

    with pytest.raises(ValueError, match="session_url must be https"):
        ChatCerebrasInference()


def test_a_model_keeps_the_environment_it_was_made_in(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)
    model = ChatCerebrasInference(base_url=server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", "another")

    model.invoke("Hello!")

    assert server.requests[0].bearer == server.api_key


def test_what_is_set_after_construction_is_found_by_the_first_call(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ChatCerebrasInference(base_url=server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)

    model.invoke("Hello!")

    assert server.requests[0].bearer == server.api_key


@pytest.mark.parametrize("style", CALL_STYLES)
def test_without_a_credential_the_call_says_in_one_line_how_to_give_one(
    style: str, server: Emulator
) -> None:
    model = ChatCerebrasInference(base_url=server.base_url, session_url=server.session_url)

    with pytest.raises(CerebrasAuthenticationError) as caught:
        CALL_STYLES[style](model, "Hello!")

    said = str(caught.value)
    assert "\n" not in said
    for way in ("api_key", "CEREBRAS_API_KEY", "cookies", "CEREBRAS_COOKIES"):
        assert re.search(rf"\b{way}\b", said)
    assert caught.value.status is None
    assert server.requests == []


def test_a_model_says_what_it_signs_in_with(server: Emulator) -> None:
    credential = with_cookies(server).credential()

    assert (credential.source, credential.kind) == ("argument", "demo key")
    assert credential.host == server.origin.removeprefix("http://")
    assert credential.expires is not None
    assert credential.expires.year == 2099
    assert server.demo_key not in repr(credential)


# --- the exchange -------------------------------------------------------------------


async def test_a_hundred_first_calls_on_one_loop_share_one_exchange(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    server.script_session(Session(delay=0.1))

    await asyncio.gather(*(signed_in.ainvoke("Hello!") for _ in range(100)))

    assert len(exchanges(server)) == 1
    assert {request.bearer for request in chats(server)} == {server.demo_key}
    assert len(chats(server)) == 100


async def test_loops_threads_and_synchronous_callers_share_one_exchange(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    server.script_session(Session(delay=0.3))
    ways = [CALL_STYLES["invoke"], CALL_STYLES["ainvoke"]] * 8

    with ThreadPoolExecutor(len(ways)) as threads:
        loop = asyncio.get_running_loop()
        elsewhere = [loop.run_in_executor(threads, way, signed_in, "Hi!") for way in ways]
        await asyncio.gather(signed_in.ainvoke("Hello!"), *elsewhere)

    assert len(exchanges(server)) == 1
    assert len(chats(server)) == 17


def test_two_hundred_first_calls_from_everywhere_share_one_exchange(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    server.script_session(Session(delay=0.3))

    async def together() -> None:
        await asyncio.gather(*(signed_in.ainvoke("Hello!") for _ in range(45)))

    with ThreadPoolExecutor(24) as threads:
        loops: list[Future[Any]] = [threads.submit(asyncio.run, together()) for _ in range(4)]
        others = [threads.submit(signed_in.invoke, "Hello!") for _ in range(20)]
        for each in [*loops, *others]:
            each.result()

    assert len(exchanges(server)) == 1
    assert len(chats(server)) == 200


def test_models_with_the_same_cookies_share_the_key(server: Emulator) -> None:
    with_cookies(server, cookies=server.cookies).invoke("Hello!")
    with_cookies(server, cookies=cookie_header(server)).invoke("Hello!")

    assert len(exchanges(server)) == 1
    assert len(chats(server)) == 2


def test_other_cookies_have_an_exchange_of_their_own(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    signed_in.invoke("Hello!")

    with_cookies(server, cookies=f"{cookie_header(server)}; a=b").invoke("Hello!")

    assert len(exchanges(server)) == 2


def test_a_key_past_its_expiry_is_exchanged_again(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    server.script_session(Session(expires="2020-01-01T00:00:00.000Z"))

    signed_in.invoke("Hello!")
    signed_in.invoke("Hello!")
    signed_in.invoke("Hello!")

    assert len(exchanges(server)) == 2


@pytest.mark.parametrize("style", CALL_STYLES)
def test_a_demo_key_that_is_refused_is_exchanged_once_more(
    style: str, server: Emulator
) -> None:
    model = with_cookies(server, max_retries=0)
    model.invoke("Hello!")
    server.rotate_demo_key()

    CALL_STYLES[style](model, "Hello!")

    assert len(exchanges(server)) == 2
    assert len(chats(server)) == 3
    assert chats(server)[-1].bearer == server.demo_key


@pytest.mark.parametrize("style", CALL_STYLES)
def test_a_demo_key_that_is_refused_twice_is_an_authentication_error(
    style: str, server: Emulator
) -> None:
    server.script(Refuse(401), Refuse(401))
    model = with_cookies(server)

    with pytest.raises(CerebrasAuthenticationError) as caught:
        CALL_STYLES[style](model, "Hello!")

    assert caught.value.status == 401
    assert len(exchanges(server)) == 2
    assert len(chats(server)) == 2


async def test_many_calls_whose_key_is_refused_share_one_new_exchange(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    await signed_in.ainvoke("Hello!")
    server.rotate_demo_key()
    server.script_session(Session(delay=0.1))

    await asyncio.gather(*(signed_in.ainvoke("Hello!") for _ in range(20)))

    assert len(exchanges(server)) == 2


def test_a_refused_key_of_ones_own_is_not_sent_again(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(401))

    with pytest.raises(CerebrasAuthenticationError):
        model.invoke("Hello!")

    assert len(server.requests) == 1


LONG = "k" * 513
CHALLENGE = {"cf-mitigated": "challenge"}

ANSWERS: dict[str, tuple[Act, str, int | None, bool]] = {
    "{}": (Session("empty"), "nobody who is signed in", None, False),
    "null": (Session("null"), "nobody who is signed in", None, False),
    "a null user": (Session("null_user"), "nobody who is signed in", None, False),
    "no demoApiKey": (Session("no_key"), "holds no demo key", None, False),
    "an empty key": (
        Reply(body={"user": {"demoApiKey": ""}}),
        "holds no demo key",
        None,
        False,
    ),
    "a key of another type": (
        Reply(body={"user": {"demoApiKey": 7}}),
        "holds no demo key",
        None,
        False,
    ),
    "a key with a line break": (
        Session(demo_key="demo\r\nX-Evil: 1"),
        "holds no demo key",
        None,
        False,
    ),
    "a key beyond ASCII": (Session(demo_key="dé"), "holds no demo key", None, False),
    "a key too long": (Session(demo_key=LONG), "holds no demo key", None, False),
    "a user of another type": (
        Reply(body={"user": ["Ada"]}),
        "holds no demo key",
        None,
        False,
    ),
    "a list": (Reply(body="[1]"), "no session", None, False),
    "HTML": (Session("html"), "A web page came", None, False),
    "plain text": (Session("not_json"), "no JSON", None, False),
    "eight megabytes": (Session("too_large"), "too large", None, False),
    "a sign-in": (Redirect("/signin"), "sign-in page", 307, False),
    "a redirect": (Redirect("https://a.example/b"), "to https://a.example; is", 307, False),
    "401": (Refuse(401), "refuses the cookies", 401, False),
    "a bot check": (Refuse(403, headers=CHALLENGE), "A web page came", 403, False),
    "403": (Refuse(403), "refuses the cookies", 403, False),
    "404": (Refuse(404), "is session_url right", 404, False),
    "429": (Refuse(429), "too many exchanges", 429, True),
    "500": (Refuse(500), "the site failed", 500, True),
    "503": (Refuse(503), "the site failed", 503, True),
    "silence": (Stall(after=None), "Nothing came", None, True),
    "a reset": (Cut(after=None, how="reset"), "No connection", None, True),
}


@pytest.mark.parametrize("style", ["invoke", "astream"])
@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_without_a_key_has_its_own_words(
    name: str, style: str, server: Emulator
) -> None:
    act, words, status, is_retryable = ANSWERS[name]
    server.script_session(act, act)  # aiohttp itself repeats a GET that was reset
    model = with_cookies(server, max_retries=0, timeout=0.5)

    with pytest.raises(CerebrasCookieError) as caught:
        CALL_STYLES[style](model, "Hello!")

    said = str(caught.value)
    assert words in said
    assert "\n" not in said
    assert caught.value.status == status
    assert caught.value.is_retryable is is_retryable
    assert chats(server) == []


def test_what_failed_for_now_is_tried_again(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    server.script_session(Refuse(503, headers={"Retry-After": "0.01"}))

    signed_in.invoke("Hello!")

    assert len(exchanges(server)) == 2
    assert len(chats(server)) == 1


async def test_a_failure_is_shared_by_those_who_waited_and_then_forgotten(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    server.script_session(lambda _: Session("empty", delay=0.2))
    calls = (signed_in.ainvoke("Hello!") for _ in range(10))

    answers = await asyncio.gather(*calls, return_exceptions=True)
    again = await signed_in.ainvoke("Hello!")

    assert {type(answer) for answer in answers} == {CerebrasCookieError}
    assert len(exchanges(server)) == 2
    assert again.text


async def test_a_waiter_who_is_cancelled_cancels_nobody(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    server.script_session(Session(delay=0.3))
    impatient = asyncio.create_task(signed_in.ainvoke("Hello!"))
    patient = [asyncio.create_task(signed_in.ainvoke("Hello!")) for _ in range(3)]
    await asyncio.sleep(0.1)

    impatient.cancel()
    answers = await asyncio.gather(*patient)

    assert all(answer.text for answer in answers)
    assert impatient.cancelled()
    assert len(exchanges(server)) == 1
    assert len(chats(server)) == 3


# --- what travels where -------------------------------------------------------------


def names_of(request: Request) -> set[str]:
    return {name for name, _ in request.raw_headers}


def test_the_session_request_carries_cookies_and_nothing_that_tells_more(
    server: Emulator,
) -> None:
    with_cookies(server, default_headers={"X-Mine": "1"}).invoke("Hello!")

    request = exchanges(server)[0]
    assert request.method == "GET"
    assert request.content == b""
    assert names_of(request) == {"Host", "Cookie", "Accept", "User-Agent"}
    assert request.headers["Cookie"] == cookie_header(server)
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"].startswith(OUR_AGENT)


def test_a_request_with_a_demo_key_comes_from_the_playgrounds_client(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    signed_in.invoke("Hello!")

    request = chats(server)[0]
    assert request.headers["User-Agent"] == "ex/JS 1.5.0"
    assert ATTRIBUTION not in request.headers


def test_a_request_with_an_api_key_says_who_sends_it(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    model.invoke("Hello!")

    request = server.requests[0]
    assert request.headers["User-Agent"].startswith(OUR_AGENT)
    assert request.headers[ATTRIBUTION] == "langchain"
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("signs_in", ["key", "cookies"])
def test_default_headers_win_whatever_their_case(signs_in: str, server: Emulator) -> None:
    credential = {"api_key": server.api_key} if signs_in == "key" else {}
    given = {"uSER-aGENT": "mine", ATTRIBUTION.lower(): "langgraph", "X-More": "1"}
    model = with_cookies(server, default_headers=given, **credential)

    model.invoke("Hello!")

    sent = [(name.lower(), value) for name, value in chats(server)[0].raw_headers]
    for name, value in given.items():
        assert [each for each in sent if each[0] == name.lower()] == [(name.lower(), value)]


def test_an_authorization_of_ones_own_wins(server: Emulator) -> None:
    model = ChatCerebrasInference(
        base_url=server.base_url,
        api_key="not this",
        default_headers={"authorization": f"Bearer {server.api_key}"},
    )

    model.invoke("Hello!")

    assert server.requests[0].bearer == server.api_key


def test_cookies_go_to_the_session_host_alone() -> None:
    with Emulator() as playground, Emulator() as api:
        api.script(lambda _: Reply(headers={"Set-Cookie": "seen=1"}))
        model = ChatCerebrasInference(
            base_url=api.base_url,
            session_url=playground.session_url,
            cookies=playground.cookies,
            default_headers={"Authorization": f"Bearer {api.api_key}"},
        )

        model.invoke("Hello!")
        model.invoke("Hello!")

        secrets = [*playground.cookies, *playground.cookies.values(), "seen=1"]
        sent = "".join(everything(request) for request in api.requests)
        assert len(api.requests) == 2
        assert not [secret for secret in secrets if secret in sent]
        assert all("Cookie" not in request.headers for request in api.requests)
        assert len(playground.requests) == 1


def test_a_cookie_that_the_session_sets_goes_nowhere(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    signed_in.invoke("Hello!")
    server.rotate_demo_key()

    signed_in.invoke("Hello!")

    assert all("Cookie" not in request.headers for request in chats(server))
    assert exchanges(server)[1].headers["Cookie"] == cookie_header(server)


@pytest.mark.parametrize("signs_in", ["key", "cookies"])
def test_what_belongs_to_openai_never_travels(
    signs_in: str, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "ORGANIZATION", "PROJECT_ID", "PROXY"):
        monkeypatch.setenv(f"OPENAI_{name}", "sk-of-another")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://sk-of-another.invalid/v1")
    monkeypatch.setenv("OPENAI_API_BASE", "http://sk-of-another.invalid/v1")
    credential = {"api_key": server.api_key} if signs_in == "key" else {}

    with_cookies(server, **credential).invoke("Hello!")

    sent = "".join(everything(request) for request in server.requests)
    assert "sk-of-another" not in sent


def test_a_netrc_changes_nothing(
    server: Emulator,
    signed_in: ChatCerebrasInference,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password of-another\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    signed_in.invoke("Hello!")

    assert "Authorization" not in exchanges(server)[0].headers
    assert chats(server)[0].bearer == server.demo_key


@pytest.mark.parametrize("style", CALL_STYLES)
def test_the_api_is_not_followed_elsewhere(
    style: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    with Emulator() as elsewhere:
        server.script(Redirect(f"{elsewhere.base_url}/chat/completions"))

        with pytest.raises(CerebrasProtocolError) as caught:
            CALL_STYLES[style](model, "Hello!")

        assert caught.value.status == 307
        assert caught.value.is_retryable is False
        assert len(server.requests) == 1
        assert elsewhere.requests == []


def test_the_session_is_not_followed_elsewhere(
    server: Emulator, signed_in: ChatCerebrasInference
) -> None:
    with Emulator() as elsewhere:
        server.script_session(Redirect(elsewhere.session_url))

        with pytest.raises(CerebrasCookieError):
            signed_in.invoke("Hello!")

        assert elsewhere.requests == []


@pytest.mark.parametrize("style", CALL_STYLES)
def test_a_key_that_the_server_echoes_is_masked(style: str, server: Emulator) -> None:
    server.script(Refuse(400, message=f"Not so with {server.api_key}!"))
    model = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)

    with pytest.raises(Exception, match="Not so with") as caught:
        CALL_STYLES[style](model, "Hello!")

    assert server.api_key not in f"{caught.value!r} {vars(caught.value)}"
