"""Convert every form of `cookies` to one string.

The string has one of four forms. The form is detected from the string itself, so it survives
copying, pickling and environment variables:

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

_FORBIDDEN_CHARACTERS = re.compile("[\0-\x1f\x7f;\ud800-\udfff]")
_HTTP_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]{1,64}", re.ASCII)
_SET_COOKIE_ATTRIBUTES = frozenset(
    {"path", "domain", "expires", "max-age", "samesite", "secure", "httponly"}
)


def normalize_cookies(value: Any) -> str:
    """Convert cookies of any accepted type to one string.

    This is idempotent: a normalized string is returned unchanged.

    Raises:
        ValueError: If the form is unknown, or a cookie cannot be sent in a header.
    """
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, CookieJar):
        value = [cookie_files.cookie_to_dict(cookie) for cookie in value]
    if cookie_files.has_cookie_objects(value):
        return _normalize_text(json.dumps(value, default=_unwrap_value))
    if isinstance(value, Mapping):
        return _mark_header(_join_pairs((name, _unwrap_value(value[name])) for name in value))
    if isinstance(value, os.PathLike):
        return _absolute_path(os.fsdecode(value))
    if isinstance(value, str):
        return _normalize_text(value.strip())
    type_name = type(value).__name__
    raise ValueError(
        "cookies must be a mapping, a list of cookie objects, a CookieJar, a path or a string,"
        f" not {type_name}."
    )


def detect_form(text: str) -> CookieForm:
    """Detect the form of a string from its syntax."""
    if text == "browser" or text.startswith("browser:"):
        return "browser"
    if text[:1] + text[-1:] in ("[]", "{}"):
        return "json"
    if "=" not in text or text.startswith("~") or text.endswith((".txt", ".json")):
        return "file"
    return "file" if PurePath(text).is_absolute() else "header"


def parse_header(text: str) -> str:
    """Return only the `name=value` pairs of a header.

    A text without `Cookie:` may be a `Set-Cookie` header, so its attributes are removed.

    Raises:
        ValueError: If a cookie cannot be sent in a header.
    """
    is_cookie_header = text[:7].lower() == "cookie:"
    parts = text[7:].split(";") if is_cookie_header else text.split(";")
    splits = (part.partition("=") for part in parts)
    pairs = [(name.strip(), value.strip()) for name, equals, value in splits if equals]
    if is_cookie_header:
        return _join_pairs(pairs)
    others = (pair for pair in pairs[1:] if pair[0].lower() not in _SET_COOKIE_ATTRIBUTES)
    return _join_pairs([*pairs[:1], *others])


def check_cookie(name: Any, value: Any) -> None:
    """Check that a cookie can be sent in a header.

    Raises:
        ValueError: If it cannot. The message never quotes the value.
    """
    is_text = isinstance(name, str) and name != "" and isinstance(value, str)
    if is_text and "=" not in name and not _FORBIDDEN_CHARACTERS.search(name + value):
        return
    # A name that is not an HTTP token may be a misplaced value, so it is not quoted.
    cookie = f"the cookie {name!r}" if _HTTP_TOKEN.fullmatch(str(name)) else "a cookie"
    raise ValueError(
        f"{cookie} cannot be sent: its name and its value must be strings without semicolons,"
        " control characters or lone surrogates; the name must not be empty or contain `=`."
    )


def _normalize_text(text: str) -> str:
    match detect_form(text):
        case "file":
            return _absolute_path(text)
        case "json":
            cookie_files.parse_export(text, host="")  # raises if the text is invalid
        case "header":
            return _mark_header(parse_header(text))
    return text


def _absolute_path(path: str) -> str:
    """Make a path absolute, so that the working directory does not matter."""
    return path if path.startswith("~") else str(Path(path).absolute())


def _mark_header(header: str) -> str:
    """Add `Cookie:` and a final `;` if the header would not be read back as it is.

    It might be detected as another form, or lose a cookie that has the name of an attribute
    of `Set-Cookie`, such as `path`. The `;` is needed because a text that ends in `.txt` is a
    path.
    """
    is_unambiguous = detect_form(header) == "header" and parse_header(header) == header
    return header if is_unambiguous else f"Cookie: {header};"


def _unwrap_value(value: Any) -> str | None:
    """Return a cookie's value as a string, or `None` if its type is not supported."""
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
