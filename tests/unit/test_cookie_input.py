"""Cookies in every form that users pass, normalized to one string."""

import json
import re
import time
from http.cookiejar import CookieJar
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from langchain_cerebras_inference._auth.cookie_files import dict_to_cookie, parse_export
from langchain_cerebras_inference._auth.cookie_input import detect_form, normalize_cookies


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"session": "abc", "other": "x=y"}, "session=abc; other=x=y"),
        ({"empty": ""}, "empty="),
        ({"number": 5}, "number=5"),
        ({"secret": SecretStr("abc")}, "secret=abc"),
        ({"session": "abc", "path": "d"}, "Cookie: session=abc; path=d;"),
        (SimpleCookie("session=abc; other=d"), "session=abc; other=d"),
        ([{"name": "a", "value": "b"}], '[{"name": "a", "value": "b"}]'),
        ([{"name": "a", "value": SecretStr("b")}], '[{"name": "a", "value": "b"}]'),
        (({"name": "a", "value": "b"},), '[{"name": "a", "value": "b"}]'),
        (
            {"cookies": [{"name": "a", "value": "b"}], "origins": []},
            '{"cookies": [{"name": "a", "value": "b"}], "origins": []}',
        ),
        (
            {"cookies": ({"name": "a", "value": "b"},)},
            '{"cookies": [{"name": "a", "value": "b"}]}',
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
def test_equal_cookies_become_equal_text(value: Any, text: str) -> None:
    assert normalize_cookies(value) == text
    assert normalize_cookies(SecretStr(text)) == text


@pytest.mark.parametrize("name", ["cookies.txt", "a=b/cookies.txt", "a=b.json", "session"])
def test_path_becomes_absolute(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert normalize_cookies(name) == str(tmp_path / name)
    assert normalize_cookies(Path(name)) == str(tmp_path / name)


@pytest.mark.parametrize("name", ["browser", "browser:firefox", "a=b", "a=b; c=d", "[a]", "{}"])
def test_path_object_is_always_a_file(name: str) -> None:
    text = normalize_cookies(Path(name))

    assert detect_form(text) == "file"
    assert Path(text).name == name
    assert normalize_cookies(text) == text


@pytest.mark.parametrize(
    ("text", "form"),
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
def test_form_is_detected_from_the_text_alone(text: str, form: str) -> None:
    assert detect_form(text) == form


@pytest.mark.parametrize("value", ["b.txt", "b.json"])
@pytest.mark.parametrize("name", ["a", "~a", "/a", "browser:a"])
def test_mapping_that_looks_like_a_file_stays_a_header(name: str, value: str) -> None:
    text = normalize_cookies({name: value})

    assert detect_form(text) == "header"
    assert normalize_cookies(text) == text


@given(
    st.dictionaries(
        st.from_regex(r"[!-9<>-~]{1,8}", fullmatch=True),
        st.from_regex(r"[!-:<-~]{0,12}", fullmatch=True),
        min_size=1,
    )
)
def test_normalization_is_idempotent(cookies: dict[str, str]) -> None:
    text = normalize_cookies(cookies)

    assert detect_form(text) == "header"
    assert normalize_cookies(text) == normalize_cookies(SecretStr(text)) == text
    assert not set("\r\n\0") & set(text)


def make_jar(*entries: dict[str, Any]) -> CookieJar:
    jar = CookieJar()
    for entry in entries:
        jar.set_cookie(dict_to_cookie({"value": "1", **entry}, "inference.cerebras.ai"))
    return jar


def test_jar_becomes_json_that_keeps_domain_path_and_expiry() -> None:
    expires = int(time.time()) + 100
    jar = make_jar(
        {"name": "a", "domain": ".cerebras.ai", "expires": expires},
        {"name": "b", "path": "/api", "secure": True},
    )

    text = normalize_cookies(jar)

    assert [vars(cookie) for cookie in parse_export(text, "")] == [
        vars(cookie) for cookie in jar
    ]
    assert normalize_cookies(SecretStr(text)) == text


def test_later_changes_of_a_jar_have_no_effect() -> None:
    jar = make_jar({"name": "a"})
    text = normalize_cookies(jar)

    jar.clear()

    assert json.loads(text)[0]["name"] == "a"


@pytest.mark.parametrize("value", [5, {"session", "abc"}, b"session=abc"])
def test_other_types_are_rejected(value: Any) -> None:
    message = (
        "cookies must be a mapping, a list of cookie objects, a CookieJar, a path or a string,"
        f" not {type(value).__name__}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        normalize_cookies(value)


@pytest.mark.parametrize(
    "value",
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
def test_cookie_that_is_invalid_in_a_header_is_rejected_and_not_quoted(value: Any) -> None:
    with pytest.raises(ValueError, match="cannot be sent") as caught:
        normalize_cookies(value)

    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        '[{"name": "a", "value": ["abc"]}]',
        [("a", "abc")],
        (("a", "abc"),),
        ("a", "abc"),
        [{"name": b"abc"}],
    ],
)
def test_list_that_is_not_a_cookie_export_is_rejected_and_not_quoted(value: Any) -> None:
    with pytest.raises(ValueError, match=r"cookie 1: expected|no cookie has a name") as caught:
        normalize_cookies(value)

    assert "abc" not in str(caught.value)
