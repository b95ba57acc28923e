"""Reading cookies from the source that a string names, and selecting those for one URL."""

import json
import sys
import time
from collections.abc import Callable
from http.cookiejar import Cookie
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference._auth.cookie_files import dict_to_cookie
from langchain_cerebras_inference._auth.cookie_input import normalize_cookies
from langchain_cerebras_inference._auth.cookie_sources import (
    SelectedCookies,
    read_cookies,
    select_cookies,
)
from langchain_cerebras_inference.errors import CerebrasCookieError

HOST = "inference.cerebras.ai"
URL = f"https://{HOST}/api/auth/session"
LOCAL_URL = "http://127.0.0.1:8000/session"


def make_cookie(name: str = "a", host: str = HOST, **attributes: Any) -> Cookie:
    return dict_to_cookie({"name": name, "value": "1", **attributes}, host)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, so that no test reads real cookies."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


# --- selecting -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"domain": HOST},
        {"domain": f".{HOST}"},
        {"domain": ".cerebras.ai"},
        {"domain": "cerebras.ai", "hostOnly": False},
        {"path": "/api"},
        {"path": "/api/auth/session"},
        {"secure": True},
        {"expires": 0},
        {"expires": -1},
        {"expires": 4102444800},
        {"expires": 4102444800.5},
        {"expires": 4102444800000},
    ],
)
def test_matching_cookie_is_selected(attributes: dict[str, Any]) -> None:
    assert select_cookies([make_cookie(**attributes)], URL).header == "a=1"


@pytest.mark.parametrize(
    "attributes",
    [
        {"domain": "cerebras.ai"},
        {"domain": "cloud.cerebras.ai"},
        {"domain": ".cloud.cerebras.ai"},
        {"domain": ".evil-cerebras.ai"},
        {"domain": "inference.cerebras.ai.example"},
        {"domain": ".ai.example"},
        {"path": "/other"},
        {"path": "/api/auth/sessions"},
    ],
)
def test_cookie_of_another_host_or_path_is_not_selected(attributes: dict[str, Any]) -> None:
    assert select_cookies([make_cookie(**attributes)], URL) == ("", ())


def test_secure_cookie_needs_https() -> None:
    cookie = make_cookie(host="127.0.0.1", secure=True)

    assert select_cookies([cookie], "http://127.0.0.1:8000/session").header == ""
    assert select_cookies([cookie], "https://127.0.0.1:8000/session").header == "a=1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_local_host_matches_its_own_cookies_only(host: str) -> None:
    own = make_cookie("a", host, domain=host)
    other = make_cookie("b", host, domain="another")

    assert select_cookies([own, other], f"http://{host}:8000/session").header == "a=1"


def test_expired_cookies_are_left_out_and_named() -> None:
    past, future = time.time() - 10, time.time() + 100
    cookies = [
        make_cookie("old", expires=past),
        make_cookie("new", expires=future),
        make_cookie("elsewhere", domain="example.com", expires=past),
    ]

    assert select_cookies(cookies, URL) == ("new=1", ("old",))


def test_all_parts_of_a_split_session_cookie_are_selected() -> None:
    cookies = [make_cookie(f"session.{part}", secure=True) for part in range(3)]

    assert select_cookies(cookies, URL).header == "session.0=1; session.1=1; session.2=1"


def test_value_is_sent_unchanged() -> None:
    assert select_cookies([make_cookie(value='"x y" = é')], URL).header == 'a="x y" = é'


def test_value_that_is_invalid_in_a_header_is_rejected_and_not_quoted() -> None:
    cookie = make_cookie(value="abc\r\nX-Evil: 1")

    with pytest.raises(ValueError, match="the cookie 'a' cannot be sent") as caught:
        select_cookies([cookie], URL)

    assert "abc" not in str(caught.value)


# --- reading -------------------------------------------------------------------------


def make_netscape(name: str = "a", value: str = "1", expires: int = 0) -> str:
    return f"127.0.0.1\tFALSE\t/\tFALSE\t{expires}\t{name}\t{value}\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


SOURCES: dict[str, Callable[[Path], object]] = {
    "header": lambda _: "a=1",
    "JSON": lambda _: '[{"name": "a", "value": "1"}]',
    "Netscape file": lambda home: write(home / "cookies.txt", make_netscape()),
    "JSON file": lambda home: write(home / "cookies.json", '{"a": "1"}'),
    "file in the home directory": lambda home: (
        f"~/{write(home / 'cookies', make_netscape()).name}"
    ),
    "file with a byte order mark": lambda home: write(
        home / "cookies.txt", b"\xef\xbb\xbf" + make_netscape().encode()
    ),
    "file with a value of another host that is not UTF-8": lambda home: write(
        home / "cookies.txt",
        make_netscape().encode() + b"example.com\tFALSE\t/\tFALSE\t0\ta\t\xe9\n",
    ),
    "cookie that expires soon": lambda home: write(
        home / "cookies.txt", make_netscape(expires=int(time.time()) + 60)
    ),
}


@pytest.mark.parametrize("source", SOURCES)
async def test_cookies_are_read_from_every_source(source: str, home: Path) -> None:
    text = normalize_cookies(SOURCES[source](home))

    assert await read_cookies(text, LOCAL_URL) == SelectedCookies("a=1")


EXPIRED = make_netscape("old", expires=1_600_000_000)

UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing file": (lambda home: home / "a.txt", "no such file: .*a.txt"),
    "missing file without a suffix": (
        lambda home: home / "a",
        "no such file in .*; a cookie h",
    ),
    "value without a name": (lambda _: "SECRET", "no such file in .*; a cookie header"),
    "long value": (lambda _: "SECRET" * 100, "no such file in .*; a cookie header"),
    "value like a file name": (lambda _: "a=SECRET.txt", "no such file in .*; a cookie h"),
    "value with slashes": (lambda _: "SECRET/SECRET", "no such file; a cookie header"),
    "header like a path": (lambda _: "/a=SECRET", "no such file in /; a cookie header"),
    "header like a home directory": (lambda _: "~a=SECRET", "no such file in .*; a cookie"),
    "header with a URL at its end": (
        lambda _: "a=SECRET; b=https://a.example/b.json",
        "no such file; a cookie header",
    ),
    "unknown home directory": (
        lambda _: "~nobody-here/a.txt",
        "no such file: ~nobody-here/a.txt",
    ),
    "directory": (lambda home: home, "cannot be read .*directory"),
    "endless file": (lambda _: Path("/dev/zero"), "/dev/zero is too large for a cookie file"),
    "file that is not text": (
        lambda home: write(home / "a.txt", b"\xff\xfe"),
        "a.txt, line 1: expected seven fields",
    ),
    "invalid line": (
        lambda home: write(home / "a.txt", f"{make_netscape()}SECRET"),
        "a.txt, line 2: expected seven fields",
    ),
    "half of a JSON file": (lambda home: write(home / "a.json", "{"), "a.json, line 1: expect"),
    "empty file": (lambda home: write(home / "a.txt", ""), "has no cookies for 127.0.0.1"),
    "cookies of another host": (
        lambda _: '[{"name": "a", "value": "SECRET", "domain": "cerebras.ai"}]',
        "the given JSON has no cookies for 127.0.0.1",
    ),
    "secure cookies": (
        lambda _: '[{"name": "a", "value": "SECRET", "secure": true}]',
        "the cookies for 127.0.0.1 in the given JSON need an https session_url",
    ),
    "expired cookies": (
        lambda home: write(home / "a.txt", EXPIRED),
        r"have expired \(old\); sign in again",
    ),
    "value with a line break": (
        lambda _: '{"a": "SECRET\\r\\nX-Evil: 1"}',
        "the cookie 'a' cannot be sent",
    ),
    "no browser": (lambda _: "browser", "no browser was found"),
    "unknown browser": (lambda _: "browser:netscape", "'netscape' is not one of"),
    "missing browser": (lambda _: "browser:chrome", "no profile of chrome was found"),
    "cookie after the browser": (
        lambda _: "browser:firefox; a=SECRET",
        "the text after browser: is not one of",
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="the paths are those of POSIX systems")
@pytest.mark.parametrize("name", UNUSABLE)
async def test_error_for_unusable_cookies_gives_the_reason_without_quoting_them(
    name: str, home: Path
) -> None:
    make_source, message = UNUSABLE[name]
    text = normalize_cookies(make_source(home))

    with pytest.raises(CerebrasCookieError, match=message) as caught:
        await read_cookies(text, LOCAL_URL)

    assert str(caught.value).startswith("Cannot read the cookies: ")
    assert "\n" not in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert caught.value.status is None
    assert caught.value.is_retryable is False
    assert caught.value.__context__ is None


async def test_expired_cookies_of_a_file_are_named_if_others_are_valid(home: Path) -> None:
    path = write(home / "a.txt", EXPIRED + make_netscape())

    assert await read_cookies(str(path), LOCAL_URL) == SelectedCookies("a=1", ("old",))


async def test_file_is_read_again_at_every_call(home: Path) -> None:
    path = home / "cookies.json"
    headers = []
    for value in ("1", "2"):
        path.write_text(json.dumps({"a": value}))
        headers.append((await read_cookies(str(path), LOCAL_URL)).header)

    assert headers == ["a=1", "a=2"]
