"""Browsers' exports → cookies."""

import json
from typing import Any

import pytest

from langchain_cerebras_inference._auth.cookie_files import parse, to_object

HOST = "inference.cerebras.ai"
SESSION = "__Secure-next-auth.session-token"

COOKIE_EDITOR = [
    {
        "domain": HOST,
        "expirationDate": 4102444800.25,
        "hostOnly": True,
        "httpOnly": True,
        "name": SESSION,
        "path": "/",
        "sameSite": "lax",
        "secure": True,
        "session": False,
        "storeId": None,
        "value": "abc",
    },
    {
        "domain": ".cerebras.ai",
        "hostOnly": False,
        "httpOnly": False,
        "name": "theme",
        "path": "/",
        "sameSite": None,
        "secure": False,
        "session": True,
        "storeId": None,
        "value": "",
    },
]
EDIT_THIS_COOKIE = [{**each, "id": 1, "storeId": "0"} for each in COOKIE_EDITOR]
PLAYWRIGHT = {
    "cookies": [
        {
            "name": SESSION,
            "value": "abc",
            "domain": HOST,
            "path": "/",
            "expires": 4102444800.25,
            "httpOnly": True,
            "secure": True,
            "sameSite": "Lax",
        },
        {
            "name": "theme",
            "value": "",
            "domain": ".cerebras.ai",
            "path": "/",
            "expires": -1,
            "httpOnly": False,
            "secure": False,
            "sameSite": "Lax",
        },
    ],
    "origins": [],
}
SELENIUM = [
    {"name": SESSION, "value": "abc", "domain": HOST, "secure": True, "expiry": 4102444800},
    {"name": "theme", "value": "", "domain": ".cerebras.ai", "path": "/"},
]
NETSCAPE = f"""\
# Netscape HTTP Cookie File
# https://curl.se/docs/http-cookies.html

#HttpOnly_{HOST}\tFALSE\t/\tTRUE\t4102444800\t{SESSION}\tabc
.cerebras.ai\tTRUE\t/\tFALSE\t0\ttheme\t
"""

GOOD = f"{HOST}\tFALSE\t/\tTRUE\t0\ta\tb\n"
NAMELESS = GOOD.replace("\ta\t", "\t\t")

EXPORTS = {
    "Cookie-Editor": json.dumps(COOKIE_EDITOR),
    "EditThisCookie": json.dumps(EDIT_THIS_COOKIE, indent=4),
    "Playwright": json.dumps(PLAYWRIGHT),
    "Selenium": json.dumps(SELENIUM),
    "Netscape": NETSCAPE,
    "Netscape on Windows": NETSCAPE.replace("\n", "\r\n"),
    "Netscape without comments": "\n".join(NETSCAPE.splitlines()[3:]),
    "Netscape in lower case": NETSCAPE.replace("TRUE", "true").replace("FALSE", "false"),
    "Netscape without a last tab": NETSCAPE.replace("theme\t", "theme"),
}


def plain(name: str, value: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "path": "/", **attributes}


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_keeps_where_and_how_long_each_cookie_holds(name: str) -> None:
    cookies = parse(EXPORTS[name], HOST)

    session = {"domain": HOST, "hostOnly": True, "secure": True, "expires": 4102444800}
    theme = {"domain": ".cerebras.ai", "hostOnly": False, "secure": False, "expires": None}
    assert [to_object(each) for each in cookies] == [
        plain(SESSION, "abc", **session),
        plain("theme", "", **theme),
    ]


@pytest.mark.parametrize("text", ['{"a": "b"}', '[{"name": "a", "value": "b"}]'])
def test_what_has_no_domain_is_the_hosts_own(text: str) -> None:
    [cookie] = parse(text, HOST)

    assert (cookie.name, cookie.value, cookie.domain) == ("a", "b", HOST)
    assert not cookie.domain_specified


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "a", "value": "b"}, {"name": "", "value": "c"}]',
        '[{"name": "a", "value": "b"}, {"value": "c"}]',
        '[{"name": "a", "value": "b"}, {"name": "c"}]',
        '[{"name": "a", "value": "b"}, {"name": "c", "value": null}]',
        '{"a": "b", "c": null}',
        NAMELESS + GOOD,
    ],
)
def test_what_has_no_name_or_no_value_is_left_out(text: str) -> None:
    assert [(each.name, each.value) for each in parse(text, HOST)] == [("a", "b")]


@pytest.mark.parametrize("text", ["", "\n", "# Netscape HTTP Cookie File\n", "[]", "{}"])
def test_an_empty_export_holds_nothing(text: str) -> None:
    assert parse(text, HOST) == []


SECRET = "SECRET"

BAD = {
    "a header": (f"session={SECRET}", "line 1: expected seven fields"),
    "spaces for tabs": (GOOD + GOOD.replace("\t", " "), "line 2: expected seven fields"),
    "fields too few": (f"{GOOD}\n{HOST}\tFALSE\t/\tTRUE\t{SECRET}", "line 3"),
    "a field too many": (f"{GOOD.strip()}\t{SECRET}", "line 1"),
    "no flag": (GOOD.replace("FALSE", SECRET), "TRUE or FALSE"),
    "no time": (GOOD.replace("\t0\t", f"\t{SECRET}\t"), "expiry"),
    "a web page": (f"<html>{SECRET}</html>", "line 1"),
    "half of JSON": (f'[\n{{"name": "a", "value": "{SECRET}', "line 2: expected JSON"),
    "deep JSON": ("[" * 100_000, "line 1: expected JSON"),
    "no objects": (f'["{SECRET}"]', "cookie 1: expected an object with a name and a value"),
    "no name": (f'[{{"value": "{SECRET}"}}]', "cookie 1: expected a name and a value"),
    "no value": ('[{"name": "c"}]', "cookie 1: expected a name and a value"),
    "a value of another type": ('{"a": {"b": 1}}', "cookie 1"),
    "a domain of another type": ('[{"name": "a", "value": "b", "domain": 1}]', "cookie 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_export_is_told_where_and_what_was_expected_and_not_quoted(name: str) -> None:
    text, words = BAD[name]

    with pytest.raises(ValueError, match=words) as caught:
        parse(text, HOST)

    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
