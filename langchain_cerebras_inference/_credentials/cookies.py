"""Cookies as users give them → the one form they are kept in: a `Cookie` header's text.

Pure: what a file or a browser holds is read elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from http.cookiejar import CookieJar
from pathlib import PurePath
from typing import Any

from pydantic import SecretStr

_LATER = "is not supported yet; give a mapping of names to values, or a Cookie header."


def to_header(cookies: Any) -> str:
    """Make a `Cookie` header of a mapping of names to values, or of a header.

    A secret is always a header, so that what was made here can be given again.

    Returns:
        The header's text; `""` where there is no cookie in it.

    Raises:
        ValueError: If the form is unknown, or a cookie cannot travel in a header.
    """
    if isinstance(cookies, SecretStr):  # as a model holds them, whatever they end in
        cookies = cookies.get_secret_value()
        is_header = "=" in cookies
    else:
        is_header = isinstance(cookies, str) and not _names_a_source(cookies)
    if isinstance(cookies, Mapping):
        pairs = [(str(name), str(value)) for name, value in cookies.items()]
    elif is_header:
        pairs = _pairs_of(cookies)
    else:
        msg = f"cookies from {_source_of(cookies)} {_LATER}"
        raise ValueError(msg)
    return "; ".join(_pair(name, value) for name, value in pairs)


def _names_a_source(text: str) -> bool:
    """Whether the text names a browser or a file; a header has a `=` and is neither."""
    text = text.strip()
    if not text:
        return False
    return (
        text == "browser"
        or text.startswith(("browser:", "~"))
        or "=" not in text
        or PurePath(text).is_absolute()
        or text.endswith((".txt", ".json"))
    )


def _source_of(cookies: Any) -> str:
    if isinstance(cookies, CookieJar):
        return "a CookieJar"
    if isinstance(cookies, str) and cookies.strip().startswith("browser"):
        return "a browser"
    return "a file" if isinstance(cookies, (str, PurePath, os.PathLike)) else "this type"


def _pairs_of(header: str) -> list[tuple[str, str]]:
    text = header.strip()
    if text.lower().startswith("cookie:"):
        text = text[len("cookie:") :]
    parts = [part.strip().partition("=") for part in text.split(";")]
    return [(name.strip(), value.strip()) for name, is_pair, value in parts if is_pair]


def _pair(name: str, value: str) -> str:
    if not name or any(char in name or char in value for char in "\r\n\0;"):
        msg = f"the cookie {name!r} cannot be sent: a name is missing, or CR, LF or ; is in it."
        raise ValueError(msg)
    return f"{name}={value}"
