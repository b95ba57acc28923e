"""Cookies in each of their forms, from the constructor to the answer; who sees them."""

import asyncio
import json
import logging
import os
import pickle
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import Cookie, CookieJar
from http.cookies import SimpleCookie
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeAlias

import pytest
from langchain_core.load import dumpd, dumps, load
from pydantic import SecretStr

from langchain_cerebras_inference import CerebrasCookieError, ChatCerebrasInference
from langchain_cerebras_inference._auth.api_key import Keys
from langchain_cerebras_inference._auth.key_exchange import Exchange
from langchain_cerebras_inference._http.request import Route
from langchain_cerebras_inference.emulator import Emulator, Redirect, Refuse, Request, Session
from tests.integration.call_styles import CALL_STYLES
from tests.integration.programs import run_program

Given: TypeAlias = Any


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads the cookies of whoever runs it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def with_cookies(server: Emulator, cookies: Given, **fields: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(
        base_url=server.base_url, session_url=server.session_url, cookies=cookies, **fields
    )


def exchanges(server: Emulator) -> list[Request]:
    return [each for each in server.requests if each.path == "/api/auth/session"]


def token_of(server: Emulator) -> tuple[str, str]:
    [(name, value)] = server.cookies.items()
    return name, value


def header_of(cookies: Mapping[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


# --- the forms ------------------------------------------------------------------------


def objects_of(server: Emulator) -> list[dict[str, Any]]:
    name, value = token_of(server)
    own = {"name": name, "value": value, "domain": "127.0.0.1", "path": "/"}
    return [own, {**own, "name": "elsewhere", "domain": "cloud.cerebras.ai"}]


def netscape_of(server: Emulator, expires: int = 0) -> str:
    name, value = token_of(server)
    lines = [f"#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t{expires}\t{name}\t{value}"]
    lines.append("cloud.cerebras.ai\tFALSE\t/\tTRUE\t0\telsewhere\t1")
    return "\n".join(["# Netscape HTTP Cookie File", "", *lines, ""])


def jar_of(server: Emulator) -> CookieJar:
    jar = CookieJar()
    for each in objects_of(server):
        domain = each["domain"]
        jar.set_cookie(
            Cookie(
                0, each["name"], each["value"], None, False, domain, True, False,
                "/", True, False, None, False, None, None, {},
            )
        )  # fmt: skip
    return jar


def written(home: Path, name: str, text: str) -> Path:
    path = home / name
    path.write_text(text, "utf-8")
    return path


FORMS: dict[str, Callable[[Emulator, Path], Given]] = {
    "mapping": lambda server, _: server.cookies,
    "header": lambda server, _: header_of(server.cookies),
    "header with its name": lambda server, _: f"Cookie: {header_of(server.cookies)}",
    "secret": lambda server, _: SecretStr(header_of(server.cookies)),
    "Set-Cookie": lambda server, _: f"{header_of(server.cookies)}; Path=/; HttpOnly; Max-Age=9",
    "SimpleCookie": lambda server, _: SimpleCookie(server.cookies),
    "objects": lambda server, _: objects_of(server),
    "storage state": lambda server, _: {"cookies": objects_of(server), "origins": []},
    "jar": lambda server, _: jar_of(server),
    "JSON": lambda server, _: json.dumps(objects_of(server)),
    "path": lambda server, home: written(home, "a=b", netscape_of(server)),
    "Netscape": lambda server, home: str(written(home, "a.txt", netscape_of(server))),
    "extension": lambda server, home: str(
        written(home, "a.json", json.dumps(objects_of(server)))
    ),
    "Playwright": lambda server, home: str(
        written(home, "state.json", json.dumps({"cookies": objects_of(server), "origins": []}))
    ),
    "home": lambda server, home: f"~/{written(home, 'a', netscape_of(server)).name}",
}
OBJECTS = ("mapping", "secret", "SimpleCookie", "objects", "storage state", "jar", "path")
TEXTS = [name for name in FORMS if name not in OBJECTS]


@pytest.mark.parametrize("style", ["invoke", "astream"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_signs_in_and_sends_what_is_for_the_host(
    form: str, style: str, server: Emulator, home: Path
) -> None:
    model = with_cookies(server, FORMS[form](server, home))

    CALL_STYLES[style](model, "Hello!")

    assert [each.headers["Cookie"] for each in exchanges(server)] == [header_of(server.cookies)]
    assert server.requests[-1].bearer == server.demo_key


@pytest.mark.parametrize("form", TEXTS)
def test_every_text_works_from_the_environment_alone(
    form: str, server: Emulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_COOKIES", FORMS[form](server, home))
    monkeypatch.setenv("CEREBRAS_SESSION_URL", server.session_url)
    monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)

    assert ChatCerebrasInference().invoke("hi").text

    assert exchanges(server)[0].headers["Cookie"] == header_of(server.cookies)


@pytest.mark.parametrize("form", FORMS)
def test_a_model_made_of_another_ones_fields_signs_in_alike(
    form: str, server: Emulator, home: Path
) -> None:
    model = with_cookies(server, FORMS[form](server, home))

    copies = [
        with_cookies(server, model.cookies),
        pickle.loads(pickle.dumps(model)),  # noqa: S301
        model.model_copy(deep=True),
    ]

    assert [each.cookies for each in copies] == [model.cookies] * 3
    assert all(each.invoke("Hello!").text for each in copies)
    assert len(exchanges(server)) == 1


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
@pytest.mark.parametrize("form", TEXTS)
def test_a_model_is_loaded_with_the_cookies_of_the_environment(
    form: str, server: Emulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_COOKIES", FORMS[form](server, home))
    model = with_cookies(server, FORMS[form](server, home))

    copy = load(
        dumpd(model),
        allowed_objects=[ChatCerebrasInference],
        secrets_from_env=True,
        valid_namespaces=["langchain_cerebras_inference"],
    )

    assert copy.cookies == model.cookies


def test_construction_reads_no_file_and_no_browser(server: Emulator) -> None:
    """The hook sees whatever Python opens; all modules are imported before."""
    script = """
        import sys
        from http.cookiejar import CookieJar
        from pathlib import Path
        from langchain_cerebras_inference import ChatCerebrasInference

        forms = ["browser", "browser:firefox", "cookies.txt", "~/a", Path("a"), {"a": "b"},
                 "a=b", "[]", CookieJar()]
        ChatCerebrasInference(cookies="a=b")
        seen = []
        sys.addaudithook(lambda event, _: seen.append(event))
        for form in forms:
            ChatCerebrasInference(cookies=form)
        io = ("open", "os.", "socket.", "sqlite3.", "subprocess.", "glob.", "pathlib.")
        print([event for event in seen if event.startswith(io)])
    """
    assert run_program(dedent(script), server) == "[]\n"


def test_files_are_read_off_the_loop(server: Emulator, home: Path) -> None:
    """A pipe that nobody writes to would stop whatever loop read it."""
    pipe = home / "pipe.txt"
    os.mkfifo(pipe)
    model = with_cookies(server, pipe)

    async def others_go_on() -> str:
        call = asyncio.create_task(model.ainvoke("Hello!"))
        await asyncio.to_thread(with_cookies(server, server.cookies).invoke, "Hello!")
        await asyncio.to_thread(pipe.write_text, netscape_of(server))
        return (await call).text

    assert asyncio.run(others_go_on())


def test_a_file_is_read_again_before_a_second_exchange(server: Emulator, home: Path) -> None:
    name, value = token_of(server)
    path = written(home, "a.json", json.dumps({"theme": "dark", name: value}))
    model = with_cookies(server, path)
    model.invoke("Hello!")
    path.write_text(json.dumps({name: value}))
    server.rotate_demo_key()

    model.invoke("Hello!")

    sent = [each.headers["Cookie"] for each in exchanges(server)]
    assert sent == [f"theme=dark; {name}={value}", f"{name}={value}"]


def test_a_file_that_was_mended_is_read_at_the_next_call(server: Emulator, home: Path) -> None:
    model = with_cookies(server, home / "late.txt")
    with pytest.raises(CerebrasCookieError, match="no such file"):
        model.invoke("Hello!")

    written(home, "late.txt", netscape_of(server))

    assert model.invoke("Hello!").text


def test_a_byte_of_another_site_that_is_no_text_does_not_matter(
    server: Emulator, home: Path
) -> None:
    path = written(home, "a.txt", netscape_of(server))
    path.write_bytes(path.read_bytes() + b"example.com\tFALSE\t/\tFALSE\t0\ta\t\xe9\n")

    assert with_cookies(server, path).invoke("Hello!").text


@pytest.mark.parametrize("form", FORMS)
async def test_cookies_need_no_model_to_become_a_key(
    form: str, server: Emulator, home: Path
) -> None:
    exchange = Exchange(server.session_url, Route(), 5.0)

    bearer = await Keys(None, FORMS[form](server, home), exchange).bearer()

    assert bearer.key == server.demo_key


# --- one exchange ---------------------------------------------------------------------


def test_two_hundred_first_calls_from_four_loops_and_threads_make_one_exchange(
    server: Emulator, home: Path
) -> None:
    server.script_session(Session(delay=0.2))
    model = with_cookies(server, FORMS["Netscape"](server, home))

    async def many() -> None:
        await asyncio.gather(*(model.ainvoke("Hello!") for _ in range(45)))

    with ThreadPoolExecutor(24) as threads:
        for _ in range(4):
            threads.submit(asyncio.run, many())
        for _ in range(20):
            threads.submit(model.invoke, "Hello!")

    assert len(exchanges(server)) == 1
    assert len(server.requests) == 201
    assert {each.bearer for each in server.requests[1:]} == {server.demo_key}


async def test_a_failure_that_nobody_waits_for_any_more_is_silent(
    server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    server.script_session(Session("empty", delay=0.2))
    model = with_cookies(server, server.cookies)
    call = asyncio.create_task(model.ainvoke("Hello!"))
    await asyncio.sleep(0.1)

    call.cancel()
    await asyncio.sleep(0.3)

    assert caplog.records == []


# --- the words ------------------------------------------------------------------------


def expired(server: Emulator, home: Path) -> Given:
    return written(home, "a.txt", netscape_of(server, expires=1_600_000_000))


UNUSABLE: dict[str, tuple[Callable[[Emulator, Path], Given], str]] = {
    "a file that is missing": (lambda _, home: home / "a.txt", "no such file: .*a.txt"),
    "a file of another name": (lambda _, home: home / "a", "no such file in .*; a header"),
    "a name that may be a value": (lambda _, __: "SECRET", "no such file in .*; a header"),
    "a long value": (lambda _, __: "SECRET" * 100, "no such file in .*; a header would"),
    "a value like a file's name": (lambda _, __: "a=SECRET.txt", "no such file in .*; a head"),
    "a header with a URL": (
        lambda _, __: "a=SECRET; b=https://a.example/b.json",
        "no such file; a header would",
    ),
    "a header like a path": (lambda _, __: "/a=SECRET", "no such file in /; a header would"),
    "a header like a home": (lambda _, __: "~a=SECRET", "no such file in .*; a header would"),
    "no browser's name": (lambda _, __: "browser:firefox; a=SECRET", "what follows browser:"),
    "a value with slashes": (lambda _, __: "SECRET/SECRET", "no such file; a header would"),
    "nobody's home": (lambda _, __: "~nobody-here/a.txt", "no such file: ~nobody-here/a.txt"),
    "a directory": (lambda _, home: home, "cannot be read .*directory"),
    "a file that is no text": (
        lambda _, home: written(home, "a.txt", "").write_bytes(b"\xff\xfe") and home / "a.txt",
        "a.txt, line 1: expected seven fields",
    ),
    "a bad line": (
        lambda server, home: written(home, "a.txt", f"{netscape_of(server)}SECRET"),
        "a.txt, line 5: expected seven fields",
    ),
    "half of JSON": (lambda _, home: written(home, "a.json", "{"), "a.json, line 1: expected"),
    "an empty file": (lambda _, home: written(home, "a.txt", ""), "holds none for 127.0.0.1"),
    "cookies of another host": (
        lambda _, __: '[{"name": "a", "value": "SECRET", "domain": "cerebras.ai"}]',
        "what was given holds none for 127.0.0.1",
    ),
    "cookies for https": (
        lambda _, __: '[{"name": "a", "value": "SECRET", "secure": true}]',
        "those for 127.0.0.1 in what was given are Secure: session_url must be https",
    ),
    "expired cookies": (expired, r"have expired \(next-auth.session-token\)"),
    "a cookie with a line end": (
        lambda _, __: '{"a": "SECRET\\r\\nX-Evil: 1"}',
        "'a' cannot be sent",
    ),
    "no browser at all": (lambda _, __: "browser", "no browser was found"),
    "an unknown browser": (lambda _, __: "browser:netscape", "'netscape' is none of"),
    "a browser that is not there": (lambda _, __: "browser:chrome", "no profile of chrome"),
}


@pytest.mark.parametrize("style", ["invoke", "astream"])
@pytest.mark.parametrize("name", UNUSABLE)
def test_cookies_that_cannot_be_used_say_why_and_nothing_is_sent(
    name: str, style: str, server: Emulator, home: Path
) -> None:
    make, words = UNUSABLE[name]
    model = with_cookies(server, make(server, home))

    with pytest.raises(CerebrasCookieError, match=words) as caught:
        CALL_STYLES[style](model, "Hello!")

    assert caught.value.is_retryable is False
    assert caught.value.status is None
    assert "\n" not in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert server.requests == []


def test_a_file_too_large_for_cookies_is_not_read_whole(server: Emulator) -> None:
    with pytest.raises(CerebrasCookieError, match="too large for cookies"):
        with_cookies(server, Path("/dev/zero")).invoke("Hello!")


def test_one_who_is_signed_out_is_told_which_cookies_had_expired(
    server: Emulator, home: Path
) -> None:
    text = f"{netscape_of(server, expires=1_600_000_000)}127.0.0.1\tFALSE\t/\tFALSE\t0\ta\tb\n"
    model = with_cookies(server, written(home, "a.txt", text))

    with pytest.raises(CerebrasCookieError, match="without the expired next-auth"):
        model.invoke("Hello!")

    assert exchanges(server)[0].headers["Cookie"] == "a=b"


def test_a_wait_that_the_site_asks_for_is_handed_on(server: Emulator) -> None:
    server.script_session(Refuse(429, headers={"Retry-After": "7"}))

    with pytest.raises(CerebrasCookieError) as caught:
        with_cookies(server, server.cookies, max_retries=0).invoke("Hello!")

    assert (caught.value.status, caught.value.retry_after) == (429, 7.0)
    assert caught.value.is_retryable is True


# --- who am I -------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
async def test_a_credential_says_where_the_cookies_are_from(
    form: str, server: Emulator, home: Path
) -> None:
    is_file = form in ("path", "Netscape", "extension", "Playwright", "home")
    model = with_cookies(server, FORMS[form](server, home))

    credential = await model.acredential()

    assert credential.source == ("file" if is_file else "argument")
    assert credential.kind == "demo key"
    assert credential.expires is not None
    assert server.demo_key not in repr(credential)


def test_a_credential_knows_the_environments_cookies(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = with_cookies(server, None)
    monkeypatch.setenv("CEREBRAS_COOKIES", header_of(server.cookies))

    assert with_cookies(server, None).credential().source == "environment"
    assert late.credential().source == "environment"


@pytest.mark.parametrize("unreadable", ["=SECRET", "[", "SECRET\n\tb=c"])
def test_what_cannot_be_read_in_the_environment_is_not_what_was_given(
    unreadable: str, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = with_cookies(server, None)
    monkeypatch.setenv("CEREBRAS_COOKIES", unreadable)

    assert with_cookies(server, server.cookies).credential().source == "argument"
    with pytest.raises(CerebrasCookieError, match="no cookies to sign in with") as caught:
        late.credential()
    assert "SECRET" not in str(caught.value)


# --- privacy --------------------------------------------------------------------------


def test_a_pickle_of_a_path_holds_the_path_and_no_cookie(server: Emulator, home: Path) -> None:
    path = written(home, "a.txt", netscape_of(server))
    model = with_cookies(server, path)
    model.invoke("Hello!")

    pickled = pickle.dumps(model)

    assert str(path).encode() in pickled
    assert token_of(server)[1].encode() not in pickled
    assert server.demo_key.encode() not in pickled


def test_a_pickle_of_a_browser_holds_its_name_alone(server: Emulator) -> None:
    model = with_cookies(server, "browser:chromium")

    copy = pickle.loads(pickle.dumps(model))  # noqa: S301

    assert copy.cookies == SecretStr("browser:chromium")


def test_a_pickle_of_given_cookies_holds_them_as_it_holds_a_key(server: Emulator) -> None:
    pickled = pickle.dumps(with_cookies(server, server.cookies))

    assert token_of(server)[1].encode() in pickled


@pytest.mark.parametrize("form", FORMS)
def test_neither_cookies_nor_demo_key_are_shown_logged_or_traced(
    form: str, server: Emulator, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script_session(Refuse(503, headers={"Retry-After": "0"}))
    model = with_cookies(server, FORMS[form](server, home))

    answer = model.invoke("Hello!")

    shown = f"{model!r} {model} {dumps(model)} {model.model_dump()} {answer!r} {caplog.text}"
    assert token_of(server)[1] not in shown
    assert server.demo_key not in shown


@pytest.mark.parametrize("act", [Session("empty"), Redirect("/signin"), Refuse(403)])
@pytest.mark.parametrize("form", FORMS)
def test_an_error_holds_no_cookie(
    act: Session | Redirect | Refuse, form: str, server: Emulator, home: Path
) -> None:
    server.script_session(act)

    with pytest.raises(CerebrasCookieError) as caught:
        with_cookies(server, FORMS[form](server, home), max_retries=0).invoke("Hello!")

    error: BaseException | None = caught.value
    while error is not None:
        assert token_of(server)[1] not in f"{error!r} {vars(error)}"
        error = error.__cause__ or error.__context__


def test_nothing_is_written_to_disk(
    server: Emulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.chdir(home)
    path = written(home, "a.txt", netscape_of(server))
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}

    with_cookies(server, path).invoke("Hello!")
    with_cookies(server, server.cookies).invoke("Hello!")

    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_verification_may_be_off_for_this_machine_alone(server: Emulator) -> None:
    elsewhere = "https://inference.cerebras.ai/api/auth/session"

    with pytest.raises(ValueError, match="would show the cookies to anybody"):
        ChatCerebrasInference(cookies="a=b", session_url=elsewhere, verify=False)

    assert with_cookies(server, server.cookies, verify=False).invoke("Hello!").text


def test_unverified_cookies_stay_even_where_the_environment_brings_them_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = "https://session.invalid/api/auth/session"
    model = ChatCerebrasInference(session_url=elsewhere, verify=False)
    monkeypatch.setenv("CEREBRAS_COOKIES", "a=b")

    with pytest.raises(CerebrasCookieError, match="verify=False would show them"):
        model.invoke("Hello!")


def test_what_expires_soon_is_sent_until_then(server: Emulator, home: Path) -> None:
    soon = int(time.time()) + 60

    model = with_cookies(server, written(home, "a.txt", netscape_of(server, expires=soon)))

    assert model.invoke("Hello!").text
