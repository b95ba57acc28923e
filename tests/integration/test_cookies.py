"""Cookies in every form: how they are read and sent, and that they stay secret."""

import asyncio
import json
import logging
import os
import pickle
from collections.abc import Callable, Mapping
from http.cookiejar import Cookie, CookieJar
from http.cookies import SimpleCookie
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps, load
from pydantic import SecretStr

from langchain_cerebras_inference import CerebrasCookieError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Redirect, Refuse, Session
from tests.integration.call_styles import CALL_STYLES
from tests.integration.helpers import create_cookie_model, get_cookie_header, get_key_exchanges
from tests.integration.programs import run_program


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, so that no test reads real cookies."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


# --- the forms -----------------------------------------------------------------------


def get_cookie(server: Emulator) -> tuple[str, str]:
    [(name, value)] = server.cookies.items()
    return name, value


def make_export(server: Emulator) -> list[dict[str, Any]]:
    """Return the emulator's cookie and one of another host, as extensions export them."""
    name, value = get_cookie(server)
    cookie = {"name": name, "value": value, "domain": "127.0.0.1", "path": "/"}
    return [cookie, {**cookie, "name": "elsewhere", "domain": "cloud.cerebras.ai"}]


def make_netscape(server: Emulator, expires: int = 0) -> str:
    """Return the same as the text of a `cookies.txt`."""
    name, value = get_cookie(server)
    return (
        "# Netscape HTTP Cookie File\n\n"
        f"#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t{expires}\t{name}\t{value}\n"
        "cloud.cerebras.ai\tFALSE\t/\tTRUE\t0\telsewhere\t1\n"
    )


def make_jar(server: Emulator) -> CookieJar:
    jar = CookieJar()
    for cookie in make_export(server):
        domain = cookie["domain"]
        jar.set_cookie(
            Cookie(
                0, cookie["name"], cookie["value"], None, False, domain, True, False,
                "/", True, False, None, False, None, None, {},
            )
        )  # fmt: skip
    return jar


def write(home: Path, name: str, text: str) -> Path:
    path = home / name
    path.write_text(text, "utf-8")
    return path


TEXT_FORMS: Mapping[str, Callable[[Emulator, Path], str]] = {
    "header": lambda server, _: get_cookie_header(server),
    "header with its name": lambda server, _: f"Cookie: {get_cookie_header(server)}",
    "Set-Cookie header": lambda server, _: (
        f"{get_cookie_header(server)}; Path=/; HttpOnly; Max-Age=9"
    ),
    "JSON": lambda server, _: json.dumps(make_export(server)),
}
TEXT_FORMS_OF_FILES: Mapping[str, Callable[[Emulator, Path], str]] = {
    "Netscape file": lambda server, home: str(write(home, "a.txt", make_netscape(server))),
    "JSON file": lambda server, home: str(
        write(home, "a.json", json.dumps(make_export(server)))
    ),
    "file in the home directory": lambda server, home: (
        f"~/{write(home, 'a', make_netscape(server)).name}"
    ),
}
FORMS_OF_FILES: Mapping[str, Callable[[Emulator, Path], Any]] = {
    **TEXT_FORMS_OF_FILES,
    "path object": lambda server, home: write(home, "a=b", make_netscape(server)),
}
FORMS: Mapping[str, Callable[[Emulator, Path], Any]] = {
    **TEXT_FORMS,
    **FORMS_OF_FILES,
    "mapping": lambda server, _: server.cookies,
    "secret": lambda server, _: SecretStr(get_cookie_header(server)),
    "SimpleCookie": lambda server, _: SimpleCookie(server.cookies),
    "list of objects": lambda server, _: make_export(server),
    "storage state": lambda server, _: {"cookies": make_export(server), "origins": []},
    "cookie jar": lambda server, _: make_jar(server),
}
ENVIRONMENT_FORMS = {**TEXT_FORMS, **TEXT_FORMS_OF_FILES}


@pytest.mark.parametrize("style", ["invoke", "astream"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_cookies_sends_only_those_for_the_session_host(
    form: str, style: str, server: Emulator, home: Path
) -> None:
    model = create_cookie_model(server, cookies=FORMS[form](server, home))

    CALL_STYLES[style](model, "Hello!")

    sent = [request.headers["Cookie"] for request in get_key_exchanges(server)]
    assert sent == [get_cookie_header(server)]
    assert server.requests[-1].bearer == server.demo_key


@pytest.mark.parametrize("form", ENVIRONMENT_FORMS)
def test_every_text_form_of_cookies_works_from_the_environment(
    form: str, server: Emulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_COOKIES", ENVIRONMENT_FORMS[form](server, home))
    monkeypatch.setenv("CEREBRAS_SESSION_URL", server.session_url)
    monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)

    assert ChatCerebrasInference().invoke("Hello!").text

    assert get_key_exchanges(server)[0].headers["Cookie"] == get_cookie_header(server)


@pytest.mark.parametrize("form", FORMS)
def test_copies_of_a_model_share_its_cookies_and_demo_key(
    form: str, server: Emulator, home: Path
) -> None:
    model = create_cookie_model(server, cookies=FORMS[form](server, home))

    copies = [
        create_cookie_model(server, cookies=model.cookies),
        pickle.loads(pickle.dumps(model)),  # noqa: S301 # our own bytes
        model.model_copy(deep=True),
    ]

    assert [copy.cookies for copy in copies] == [model.cookies] * 3
    assert all(copy.invoke("Hello!").text for copy in copies)
    assert len(get_key_exchanges(server)) == 1


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
@pytest.mark.parametrize("form", ENVIRONMENT_FORMS)
def test_loaded_model_has_the_cookies_of_the_environment(
    form: str, server: Emulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookies = ENVIRONMENT_FORMS[form](server, home)
    monkeypatch.setenv("CEREBRAS_COOKIES", cookies)
    model = create_cookie_model(server, cookies=cookies)

    copy = load(
        dumpd(model),
        allowed_objects=[ChatCerebrasInference],
        secrets_from_env=True,
        valid_namespaces=["langchain_cerebras_inference"],
    )

    assert copy.cookies == model.cookies


# --- reading files -------------------------------------------------------------------


def test_construction_opens_no_file_and_no_browser(server: Emulator) -> None:
    """The audit hook sees every file that Python opens; all modules are imported before."""
    script = """
        import sys
        from http.cookiejar import CookieJar
        from pathlib import Path
        from langchain_cerebras_inference import ChatCerebrasInference

        forms = ["browser", "browser:firefox", "cookies.txt", "~/a", Path("a"), {"a": "b"},
                 "a=b", "[]", CookieJar()]
        ChatCerebrasInference(cookies="a=b")
        events = []
        sys.addaudithook(lambda event, _: events.append(event))
        for form in forms:
            ChatCerebrasInference(cookies=form)
        io = ("open", "os.", "socket.", "sqlite3.", "subprocess.", "glob.", "pathlib.")
        print([event for event in events if event.startswith(io)])
    """
    assert run_program(dedent(script), server) == "[]\n"


def test_reading_a_file_does_not_block_the_event_loop(server: Emulator, home: Path) -> None:
    """Opening a pipe blocks until somebody writes to it."""
    pipe = home / "pipe.txt"
    os.mkfifo(pipe)
    model = create_cookie_model(server, cookies=pipe)

    async def call_while_the_pipe_blocks() -> str:
        call = asyncio.create_task(model.ainvoke("Hello!"))
        await asyncio.to_thread(create_cookie_model(server).invoke, "Hello!")
        await asyncio.to_thread(pipe.write_text, make_netscape(server))
        return (await call).text

    assert asyncio.run(call_while_the_pipe_blocks())


def test_file_is_read_again_for_the_next_exchange(server: Emulator, home: Path) -> None:
    name, value = get_cookie(server)
    path = write(home, "a.json", json.dumps({"theme": "dark", name: value}))
    model = create_cookie_model(server, cookies=path)
    model.invoke("Hello!")
    path.write_text(json.dumps({name: value}))
    server.rotate_demo_key()

    model.invoke("Hello!")

    sent = [request.headers["Cookie"] for request in get_key_exchanges(server)]
    assert sent == [f"theme=dark; {name}={value}", f"{name}={value}"]


def test_file_that_is_written_after_a_failure_is_read_at_the_next_call(
    server: Emulator, home: Path
) -> None:
    model = create_cookie_model(server, cookies=home / "late.txt")
    with pytest.raises(CerebrasCookieError, match="no such file"):
        model.invoke("Hello!")

    write(home, "late.txt", make_netscape(server))

    assert model.invoke("Hello!").text


@pytest.mark.parametrize("style", ["invoke", "astream"])
@pytest.mark.parametrize(
    "cookies",
    [
        "missing.txt",
        "SECRET",
        "browser",
        '[{"name": "a", "value": "SECRET", "domain": "another.example"}]',
    ],
    ids=["missing file", "value without name", "missing browser", "cookies of another host"],
)
def test_cookies_that_cannot_be_read_raise_cookie_error_before_any_request(
    cookies: str, style: str, server: Emulator
) -> None:
    model = create_cookie_model(server, cookies=cookies)

    with pytest.raises(CerebrasCookieError, match="Cannot read the cookies") as caught:
        CALL_STYLES[style](model, "Hello!")

    assert "SECRET" not in str(caught.value)
    assert server.requests == []


def test_error_for_a_signed_out_session_names_the_expired_cookies(
    server: Emulator, home: Path
) -> None:
    expired = make_netscape(server, expires=1_600_000_000)
    path = write(home, "a.txt", f"{expired}127.0.0.1\tFALSE\t/\tFALSE\t0\ta\tb\n")

    with pytest.raises(CerebrasCookieError, match="they have expired: next-auth"):
        create_cookie_model(server, cookies=path).invoke("Hello!")

    assert get_key_exchanges(server)[0].headers["Cookie"] == "a=b"


# --- the credential ------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
async def test_credential_names_the_source_of_the_cookies(
    form: str, server: Emulator, home: Path
) -> None:
    model = create_cookie_model(server, cookies=FORMS[form](server, home))

    credential = await model.acredential()

    assert credential.source == ("file" if form in FORMS_OF_FILES else "argument")
    assert credential.kind == "demo key"
    assert credential.host == server.origin.removeprefix("http://")
    assert credential.expires is not None
    assert credential.expires.year == 2099
    assert server.demo_key not in repr(credential)


def test_credential_names_the_environment_as_source(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    constructed_before = create_cookie_model(server, cookies=None)
    monkeypatch.setenv("CEREBRAS_COOKIES", get_cookie_header(server))

    assert create_cookie_model(server, cookies=None).credential().source == "environment"
    assert constructed_before.credential().source == "environment"


@pytest.mark.parametrize("invalid", ["=SECRET", "[", "SECRET\n\tb=c"])
def test_invalid_cookies_in_the_environment_raise_an_error_only_if_they_are_used(
    invalid: str, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_cookies = create_cookie_model(server, cookies=None)
    monkeypatch.setenv("CEREBRAS_COOKIES", invalid)

    assert create_cookie_model(server).credential().source == "argument"
    with pytest.raises(CerebrasCookieError, match="Cannot read the cookies") as caught:
        without_cookies.credential()
    assert "SECRET" not in str(caught.value)


# --- secrecy -------------------------------------------------------------------------


def test_pickle_of_a_model_with_a_path_holds_no_cookie(server: Emulator, home: Path) -> None:
    path = write(home, "a.txt", make_netscape(server))
    model = create_cookie_model(server, cookies=path)
    model.invoke("Hello!")

    pickled = pickle.dumps(model)

    assert str(path).encode() in pickled
    assert get_cookie(server)[1].encode() not in pickled
    assert server.demo_key.encode() not in pickled


def test_pickle_of_a_model_with_a_browser_holds_its_name_only(server: Emulator) -> None:
    model = create_cookie_model(server, cookies="browser:chromium")

    copy = pickle.loads(pickle.dumps(model))  # noqa: S301 # our own bytes

    assert copy.cookies == SecretStr("browser:chromium")


def test_pickle_of_a_model_with_cookies_holds_them(server: Emulator) -> None:
    """A pickle holds an API key, too: whoever can read a pickle knows its secrets."""
    pickled = pickle.dumps(create_cookie_model(server))

    assert get_cookie(server)[1].encode() in pickled


@pytest.mark.parametrize("form", FORMS)
def test_cookies_and_demo_key_are_not_shown_logged_or_dumped(
    form: str, server: Emulator, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script_session(Refuse(503, headers={"Retry-After": "0"}))
    model = create_cookie_model(server, cookies=FORMS[form](server, home))

    message = model.invoke("Hello!")

    shown = f"{model!r} {model} {dumps(model)} {model.model_dump()} {message!r} {caplog.text}"
    assert get_cookie(server)[1] not in shown
    assert server.demo_key not in shown


@pytest.mark.parametrize("act", [Session("empty"), Redirect("/signin"), Refuse(403)])
@pytest.mark.parametrize("form", FORMS)
def test_error_holds_no_cookie(
    act: Session | Redirect | Refuse, form: str, server: Emulator, home: Path
) -> None:
    server.script_session(act)
    model = create_cookie_model(server, cookies=FORMS[form](server, home), max_retries=0)

    with pytest.raises(CerebrasCookieError) as caught:
        model.invoke("Hello!")

    error: BaseException | None = caught.value
    while error is not None:
        assert get_cookie(server)[1] not in f"{error!r} {vars(error)}"
        error = error.__cause__ or error.__context__


def test_nothing_is_written_to_disk(
    server: Emulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.chdir(home)
    path = write(home, "a.txt", make_netscape(server))
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}

    create_cookie_model(server, cookies=path).invoke("Hello!")
    create_cookie_model(server).invoke("Hello!")

    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_cookies_without_certificate_checks_are_sent_to_loopback_only(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = "https://session.invalid/api/auth/session"

    with pytest.raises(ValueError, match="verify=False"):
        ChatCerebrasInference(cookies="a=b", session_url=elsewhere, verify=False)

    without_cookies = ChatCerebrasInference(session_url=elsewhere, verify=False)
    monkeypatch.setenv("CEREBRAS_COOKIES", "a=b")
    with pytest.raises(CerebrasCookieError, match="only sent over https with certificate"):
        without_cookies.invoke("Hello!")

    assert create_cookie_model(server, verify=False).invoke("Hello!").text
