"""Cookies as users give them → one text; which of them go to a URL."""

import json
import time
from http.cookiejar import Cookie, CookieJar
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from langchain_cerebras_inference._auth.cookie_files import parse, to_cookie
from langchain_cerebras_inference._auth.cookie_input import choose, kind_of, to_text

HOST = "inference.cerebras.ai"
URL = f"https://{HOST}/api/auth/session"


def cookie(name: str = "a", **attributes: Any) -> Cookie:
    return to_cookie({"name": name, "value": "1", **attributes}, HOST)


def jar_of(*cookies: Cookie) -> CookieJar:
    jar = CookieJar()
    for each in cookies:
        jar.set_cookie(each)
    return jar


# --- one text ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"session": "abc", "other": "x=y"}, "session=abc; other=x=y"),
        ({"empty": ""}, "empty="),
        ({"number": 5}, "number=5"),
        ({"secret": SecretStr("abc")}, "secret=abc"),
        ({"session": "abc", "path": "d"}, "Cookie: session=abc; path=d;"),
        (SimpleCookie("session=abc; other=d"), "session=abc; other=d"),
        ([{"name": "a", "value": "b"}], '[{"name": "a", "value": "b"}]'),
        ([{"name": "a", "value": SecretStr("b")}], '[{"name": "a", "value": "b"}]'),
        (
            {"cookies": [{"name": "a", "value": "b"}], "origins": []},
            '{"cookies": [{"name": "a", "value": "b"}], "origins": []}',
        ),
        ("session=abc", "session=abc"),
        (" session = abc ;other=x=y; ", "session=abc; other=x=y"),
        ("Cookie: session=abc; other=d", "session=abc; other=d"),
        ("cookie:session=abc", "session=abc"),
        ("session=abc; HttpOnly; other=d", "session=abc; other=d"),
        ("session=abc; Path=/; Max-Age=5; SameSite=Lax; other=d", "session=abc; other=d"),
        ("Cookie: session=abc; path=d", "Cookie: session=abc; path=d;"),
        ("path=abc", "path=abc"),
        ('session="quoted"', 'session="quoted"'),
        ("s.0=abc; s.1=def", "s.0=abc; s.1=def"),
        ("a=1; a=2", "a=1; a=2"),
        ("browsers=chrome", "browsers=chrome"),
        ("browser", "browser"),
        (" browser:firefox ", "browser:firefox"),
        ("~/a=b", "~/a=b"),
        ("/home/me/a=b", "/home/me/a=b"),
        ('{"a": "b"}', '{"a": "b"}'),
    ],
)
def test_what_means_the_same_is_kept_as_the_same_text(given: Any, text: str) -> None:
    assert to_text(given) == text
    assert to_text(SecretStr(to_text(given))) == text


@pytest.mark.parametrize("name", ["cookies.txt", "a=b/cookies.txt", "a=b.json", "session"])
def test_a_file_is_kept_by_a_path_that_holds_in_every_directory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert to_text(name) == to_text(Path(name)) == str(tmp_path / name)


@pytest.mark.parametrize("name", ["browser", "browser:firefox", "a=b", "a=b; c=d", "[a]", "{}"])
def test_a_path_object_is_a_file_whatever_it_is_called(name: str) -> None:
    text = to_text(Path(name))

    assert kind_of(text) == "file"
    assert Path(text).name == name
    assert to_text(text) == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("browser", "browser"),
        ("browser:profile=work", "browser"),
        ("cookies.txt", "file"),
        ("a=b/cookies.json", "file"),
        ("/home/me/a=b", "file"),
        ("~/a=b", "file"),
        ("session", "file"),
        ('[{"name": "a", "value": "b"}]', "json"),
        ("session=abc", "header"),
        ("session=a.txt; other=d", "header"),
    ],
)
def test_each_form_is_told_by_how_it_looks(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize("value", ["b.txt", "b.json"])
@pytest.mark.parametrize("name", ["a", "~a", "/a", "browser:a"])
def test_cookies_that_look_like_a_file_stay_cookies(name: str, value: str) -> None:
    text = to_text({name: value})

    assert kind_of(text) == "header"
    assert to_text(text) == text


@given(
    st.dictionaries(
        st.from_regex(r"[!-9<>-~]{1,8}", fullmatch=True),
        st.from_regex(r"[!-:<-~]{0,12}", fullmatch=True),
        min_size=1,
    )
)
def test_a_text_that_was_made_here_can_be_given_again(cookies: dict[str, str]) -> None:
    text = to_text(cookies)

    assert kind_of(text) == "header"
    assert to_text(text) == to_text(SecretStr(text)) == text
    assert not set("\r\n\0") & set(text)


def test_a_jar_becomes_plain_data_that_knows_where_each_cookie_belongs() -> None:
    ends = int(time.time()) + 100
    given = jar_of(
        cookie("a", domain=".cerebras.ai", expires=ends),
        cookie("b", path="/api", secure=True),
    )

    text = to_text(given)

    assert [vars(each) for each in parse(text, "")] == [vars(each) for each in given]
    assert to_text(SecretStr(text)) == text


def test_a_jar_that_changes_later_changes_nothing() -> None:
    jar = jar_of(cookie())
    text = to_text(jar)

    jar.clear()

    assert json.loads(text)[0]["name"] == "a"


@pytest.mark.parametrize("given", [5, ("session", "abc"), b"session=abc"])
def test_another_type_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="must be a mapping, a CookieJar, a path or text"):
        to_text(given)


@pytest.mark.parametrize(
    "given",
    [
        {"session": "abc\r\nX-Evil: 1"},
        {"session": "abc\n"},
        {"session": "abc\0"},
        {"session": "abc; other=d"},
        {"session": "abc\ud800"},
        {"ses\rsion": "abc"},
        {"session": b"abc"},
        {"session": None},
        {b"session": "abc"},
        {"a=b": "abc"},
        {"": "abc"},
        {"abc" * 22: "a name for a value\n"},
        "=abc",
        "session=a\nb",
        ".cerebras.ai\tTRUE\t/\tTRUE\t0\tsession\tabc=\n.cerebras.ai\tTRUE",
    ],
)
def test_what_cannot_travel_in_a_header_is_refused_without_its_value(given: Any) -> None:
    with pytest.raises(ValueError, match="cannot be sent") as caught:
        to_text(given)

    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    "given", ['[{"name": "a", "value": ["abc"]}]', [("a", "abc")], [{"name": b"abc"}]]
)
def test_what_is_no_export_is_refused_without_its_values(given: Any) -> None:
    with pytest.raises(ValueError, match="cookie 1: expected") as caught:
        to_text(given)

    assert "abc" not in str(caught.value)


# --- which of them go to a URL -------------------------------------------------------------


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
def test_a_cookie_that_matches_is_sent(attributes: dict[str, Any]) -> None:
    assert choose([cookie(**attributes)], URL).header == "a=1"


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
def test_a_cookie_of_another_place_is_not_sent(attributes: dict[str, Any]) -> None:
    assert choose([cookie(**attributes)], URL) == ("", ())


def test_a_secure_cookie_needs_https() -> None:
    secure = to_cookie({"name": "a", "value": "1", "secure": True}, "127.0.0.1")

    assert choose([secure], "http://127.0.0.1:8000/session").header == ""
    assert choose([secure], "https://127.0.0.1:8000/session").header == "a=1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_local_host_is_a_host(host: str) -> None:
    own = to_cookie({"name": "a", "value": "1", "domain": host}, host)
    other = to_cookie({"name": "b", "value": "1", "domain": "another"}, host)

    assert choose([own, other], f"http://{host}:8000/session").header == "a=1"


def test_what_has_expired_is_left_out_and_named() -> None:
    past, future = time.time() - 10, time.time() + 100
    cookies = [
        cookie("old", expires=past),
        cookie("new", expires=future),
        cookie("elsewhere", domain="example.com", expires=past),
    ]

    assert choose(cookies, URL) == ("new=1", ("old",))


def test_a_chunked_session_passes_through() -> None:
    cookies = [cookie(f"session.{part}", secure=True) for part in range(3)]

    assert choose(cookies, URL).header == "session.0=1; session.1=1; session.2=1"


def test_a_value_is_sent_as_it_is() -> None:
    quoted = to_cookie({"name": "a", "value": '"x y" = é'}, HOST)

    assert choose([quoted], URL).header == 'a="x y" = é'


def test_one_that_would_break_the_header_is_refused_without_its_value() -> None:
    broken = to_cookie({"name": "a", "value": "abc\r\nX-Evil: 1"}, HOST)

    with pytest.raises(ValueError, match="the cookie 'a' cannot be sent") as caught:
        choose([broken], URL)

    assert "abc" not in str(caught.value)
