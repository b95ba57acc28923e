"""Cookie exports: JSON of browser extensions, and Netscape `cookies.txt`."""

import json

import pytest

from langchain_cerebras_inference._auth.cookie_files import cookie_to_dict, parse_export

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
EDIT_THIS_COOKIE = [{**entry, "id": 1, "storeId": "0"} for entry in COOKIE_EDITOR]
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

LINE = f"{HOST}\tFALSE\t/\tTRUE\t0\ta\tb\n"
LINE_WITHOUT_NAME = LINE.replace("\ta\t", "\t\t")

EXPORTS = {
    "Cookie-Editor": json.dumps(COOKIE_EDITOR),
    "EditThisCookie": json.dumps(EDIT_THIS_COOKIE, indent=4),
    "Playwright": json.dumps(PLAYWRIGHT),
    "Selenium": json.dumps(SELENIUM),
    "Netscape": NETSCAPE,
    "Netscape on Windows": NETSCAPE.replace("\n", "\r\n"),
    "Netscape without comments": "\n".join(NETSCAPE.splitlines()[3:]),
    "Netscape with lower-case flags": NETSCAPE.replace("TRUE", "true").replace(
        "FALSE", "false"
    ),
    "Netscape without a tab before an empty value": NETSCAPE.replace("theme\t", "theme"),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_export_keeps_domain_and_expiry_of_each_cookie(name: str) -> None:
    cookies = parse_export(EXPORTS[name], HOST)

    assert [cookie_to_dict(cookie) for cookie in cookies] == [
        {
            "name": SESSION,
            "value": "abc",
            "domain": HOST,
            "hostOnly": True,
            "path": "/",
            "secure": True,
            "expires": 4102444800,
        },
        {
            "name": "theme",
            "value": "",
            "domain": ".cerebras.ai",
            "hostOnly": False,
            "path": "/",
            "secure": False,
            "expires": None,
        },
    ]


@pytest.mark.parametrize("text", ['{"a": "b"}', '[{"name": "a", "value": "b"}]'])
def test_cookie_without_domain_belongs_to_the_host(text: str) -> None:
    [cookie] = parse_export(text, HOST)

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
        LINE_WITHOUT_NAME + LINE,
    ],
)
def test_entry_without_name_or_value_is_skipped(text: str) -> None:
    assert [(cookie.name, cookie.value) for cookie in parse_export(text, HOST)] == [("a", "b")]


@pytest.mark.parametrize("text", ["", "\n", "# Netscape HTTP Cookie File\n", "[]", "{}"])
def test_empty_export_has_no_cookies(text: str) -> None:
    assert parse_export(text, HOST) == []


SECRET = "SECRET"

INVALID = {
    "header": (f"session={SECRET}", "line 1: expected seven fields"),
    "spaces instead of tabs": (LINE + LINE.replace("\t", " "), "line 2: expected seven fields"),
    "too few fields": (f"{LINE}\n{HOST}\tFALSE\t/\tTRUE\t{SECRET}", "line 3"),
    "too many fields": (f"{LINE.strip()}\t{SECRET}", "line 1"),
    "invalid flag": (LINE.replace("FALSE", SECRET), "TRUE or FALSE"),
    "invalid expiry": (LINE.replace("\t0\t", f"\t{SECRET}\t"), "expiry"),
    "web page": (f"<html>{SECRET}</html>", "line 1"),
    "truncated JSON": (f'[\n{{"name": "a", "value": "{SECRET}', "line 2: expected JSON"),
    "deeply nested JSON": ("[" * 100_000, "line 1: expected JSON"),
    "list of strings": (
        f'["{SECRET}"]',
        "cookie 1: expected an object with a name and a value",
    ),
    "missing name": (f'[{{"value": "{SECRET}"}}]', "no cookie has a name and a value"),
    "missing value": ('[{"name": "c"}]', "no cookie has a name and a value"),
    "value that is not text": ('{"a": {"b": 1}}', "cookie 1"),
    "domain that is not text": ('[{"name": "a", "value": "b", "domain": 1}]', "cookie 1"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_export_names_the_line_and_is_not_quoted(name: str) -> None:
    text, message = INVALID[name]

    with pytest.raises(ValueError, match=message) as caught:
        parse_export(text, HOST)

    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
