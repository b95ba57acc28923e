"""Cookies as users give them → a `Cookie` header's text."""

from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from langchain_cerebras_inference._credentials.cookies import to_header


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({"session": "abc", "other": "x=y"}, "session=abc; other=x=y"),
        ({"empty": ""}, "empty="),
        ({"number": 5}, "number=5"),
        ({}, ""),
        ("", ""),
        ("  ", ""),
        ("session=abc", "session=abc"),
        (" session = abc ;other=x=y; ", "session=abc; other=x=y"),
        ("Cookie: session=abc; other=d", "session=abc; other=d"),
        ("cookie:session=abc", "session=abc"),
        ("session=abc; flag; other=d", "session=abc; other=d"),
        ('session="quoted"', 'session="quoted"'),
        ("session=a.txt; other=d", "session=a.txt; other=d"),
        ("browsers=chrome", "browsers=chrome"),
        (SecretStr("session=a.txt"), "session=a.txt"),
        (SecretStr("Cookie: ~a=b"), "~a=b"),
    ],
)
def test_a_mapping_or_a_header_becomes_a_header(given: Any, header: str) -> None:
    assert to_header(given) == header


@pytest.mark.parametrize(
    ("given", "source"),
    [
        ("browser", "a browser"),
        (" browser ", "a browser"),
        ("browser:firefox", "a browser"),
        ("browser:profile=work", "a browser"),
        ("cookies.txt", "a file"),
        ("a=b/cookies.txt", "a file"),
        ("a=b/cookies.json", "a file"),
        ("/home/me/a=b", "a file"),
        ("~/a=b", "a file"),
        ("session", "a file"),
        (Path("cookies"), "a file"),
        (CookieJar(), "a CookieJar"),
        (SecretStr("cookies.txt"), "a file"),
        (5, "this type"),
        ([("session", "abc")], "this type"),
    ],
)
def test_other_sources_are_refused_in_words(given: Any, source: str) -> None:
    with pytest.raises(ValueError, match=f"^cookies from {source} is not supported yet; give"):
        to_header(given)


@pytest.mark.parametrize(
    "given",
    [
        {"session": "abc\r\nX-Evil: 1"},
        {"session": "abc\n"},
        {"session": "abc\0"},
        {"session": "abc; other=d"},
        {"ses\rsion": "abc"},
        {"": "abc"},
        "=abc",
        "session=a\nb",
    ],
)
def test_what_cannot_travel_in_a_header_is_refused_without_its_value(given: Any) -> None:
    with pytest.raises(ValueError, match="cannot be sent") as caught:
        to_header(given)

    assert "abc" not in str(caught.value)


@given(
    st.dictionaries(
        st.from_regex(r"[!-9<>-~]{1,8}", fullmatch=True),
        st.from_regex(r"[!-:<-~]{0,12}", fullmatch=True),
        min_size=1,
    )
)
def test_a_header_that_was_made_here_can_be_given_again(cookies: dict[str, str]) -> None:
    header = to_header(cookies)

    again = to_header(SecretStr(header))

    assert again == header
    assert not set("\r\n\0") & set(header)
