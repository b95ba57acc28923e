"""Normalize the `cookies` setting: one text, in whatever form the user gives the cookies.

The text has one of four forms, and its syntax alone tells which one. So a copy, a pickle
and the environment variable mean the same as the setting:

- browser: `browser` or `browser:NAME`
- file: a path
- JSON: an exported list of cookies, or an object of names and values
- header: `name=value; name=value`, the value of a `Cookie` header

Files and browsers are not read here, but in `cookie_sources`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from http.cookiejar import CookieJar
from http.cookies import Morsel
from pathlib import Path, PurePath
from typing import Any, Literal, TypeAlias

from pydantic import SecretStr

from langchain_cerebras_inference._auth import cookie_files

CookieForm: TypeAlias = Literal["browser", "file", "json", "header"]

_FORBIDDEN = re.compile("[\0-\x1f\x7f;\ud800-\udfff]")
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]{1,64}", re.ASCII)
_SET_COOKIE_ATTRIBUTES = frozenset(
    {"path", "domain", "expires", "max-age", "samesite", "secure", "httponly"}
)


def normalize_cookies(value: Any) -> str:
    """Turn cookies in any accepted form into one text.

    Raises:
        ValueError: If the form is unknown, or a cookie cannot be sent in a header.
    """
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, CookieJar):
        value = [cookie_files.cookie_to_dict(cookie) for cookie in value]
    if cookie_files.is_export(value):
        return _normalize_text(json.dumps(value, default=_unwrap_value))
    if isinstance(value, Mapping):
        return _mark_header(_join_pairs((name, _unwrap_value(value[name])) for name in value))
    if isinstance(value, os.PathLike):
        return _absolute_path(os.fsdecode(value))
    if isinstance(value, str):
        return _normalize_text(value.strip())
    type_name = type(value).__name__
    raise ValueError(
        f"cookies must be a mapping, a CookieJar, a path or text, not {type_name}."
    )


def detect_form(text: str) -> CookieForm:
    """Tell the form of a text from its syntax alone."""
    if text == "browser" or text.startswith("browser:"):
        return "browser"
    if text[:1] + text[-1:] in ("[]", "{}"):
        return "json"
    if "=" not in text or text.startswith("~") or text.endswith((".txt", ".json")):
        return "file"
    return "file" if PurePath(text).is_absolute() else "header"


def parse_header(text: str) -> str:
    """Return the `name=value` pairs of a header, without `Cookie:` and anything else.

    Without `Cookie:` the text may be a `Set-Cookie` header, so its attributes are removed.

    Raises:
        ValueError: If a cookie cannot be sent in a header.
    """
    has_name = text[:7].lower() == "cookie:"
    parts = text[7:].split(";") if has_name else text.split(";")
    splits = (part.partition("=") for part in parts)
    pairs = [(name.strip(), value.strip()) for name, equals, value in splits if equals]
    if has_name:
        return _join_pairs(pairs)
    others = (pair for pair in pairs[1:] if pair[0].lower() not in _SET_COOKIE_ATTRIBUTES)
    return _join_pairs([*pairs[:1], *others])


def check_cookie(name: Any, value: Any) -> None:
    """Check that a cookie can be sent in a header.

    Raises:
        ValueError: If not. It never quotes the value.
    """
    is_text = isinstance(name, str) and name != "" and isinstance(value, str)
    if is_text and "=" not in name and not _FORBIDDEN.search(name + value):
        return
    # An unusual name may be a misplaced value, so it is not quoted.
    cookie = f"the cookie {name!r}" if _TOKEN.fullmatch(str(name)) else "a cookie"
    raise ValueError(
        f"{cookie} cannot be sent: it needs a name and a text value, without control"
        " characters and semicolons."
    )


def _normalize_text(text: str) -> str:
    match detect_form(text):
        case "file":
            return _absolute_path(text)
        case "json":
            cookie_files.parse_export(text, host="")  # raises if it is none
        case "header":
            return _mark_header(parse_header(text))
    return text


def _absolute_path(path: str) -> str:
    """Make a path independent of the working directory, and not look like another form."""
    return path if path.startswith("~") else str(Path(path).absolute())


def _mark_header(header: str) -> str:
    """Add `Cookie:` if the header would otherwise be read as something else."""
    is_clear = detect_form(header) == "header" and parse_header(header) == header
    return header if is_clear else f"Cookie: {header};"


def _unwrap_value(value: Any) -> str | None:
    """Return the text of a cookie's value, or `None` if its type is unknown."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Morsel):  # from a `SimpleCookie`
        return value.value
    return str(value) if isinstance(value, (str, int)) else None


def _join_pairs(pairs: Iterable[tuple[Any, str | None]]) -> str:
    checked = []
    for name, value in pairs:
        check_cookie(name, value)
        checked.append(f"{name}={value}")
    return "; ".join(checked)
