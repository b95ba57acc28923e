"""Cookies as users give them → one text to keep; a text, or cookies → a URL's header.

Pure: what a file or a browser holds is read elsewhere. The text is `browser`,
`browser:NAME`, a path, the JSON of cookies that know where they belong, or a `Cookie`
header. It shows which, so a copy, a pickle and the environment are read as the model is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from http.cookies import Morsel
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.request import Request

from pydantic import SecretStr

from langchain_cerebras_inference._auth import cookie_files

Kind: TypeAlias = Literal["browser", "file", "json", "header"]

_UNSENDABLE = re.compile("[\0-\x1f\x7f;\ud800-\udfff]")
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]{1,64}", re.ASCII)
_ATTRIBUTES = ("path", "domain", "expires", "max-age", "samesite", "secure", "httponly")


class Chosen(NamedTuple):
    """The header for a URL, and which of its cookies are left out as expired."""

    header: str
    expired: tuple[str, ...] = ()


def to_text(given: Any) -> str:
    """Make one text of whatever form cookies are given in; nothing is read yet.

    Raises:
        ValueError: If the form is unknown, or a cookie cannot travel in a header.
    """
    if isinstance(given, SecretStr):
        given = given.get_secret_value()
    if isinstance(given, CookieJar):
        given = [cookie_files.to_object(cookie) for cookie in given]
    if cookie_files.is_export(given):
        return _normal(json.dumps(given, default=_plain))
    if isinstance(given, Mapping):
        return _unmistakable(_joined((name, _plain(given[name])) for name in given))
    if isinstance(given, os.PathLike):
        return _absolute(os.fsdecode(given))
    if isinstance(given, str):
        return _normal(given.strip())
    kind = type(given).__name__
    raise ValueError(f"cookies must be a mapping, a CookieJar, a path or text, not {kind}.")


def kind_of(text: str) -> Kind:
    """What a text is, by how it looks alone."""
    if text == "browser" or text.startswith("browser:"):
        return "browser"
    if text[:1] + text[-1:] in ("[]", "{}"):
        return "json"
    if "=" not in text or text.startswith("~") or text.endswith((".txt", ".json")):
        return "file"
    return "file" if PurePath(text).is_absolute() else "header"


def to_header(text: str) -> str:
    """The pairs of a `Cookie` header, without its name and what is no pair.

    One that comes without its name may be of `Set-Cookie`, which has attributes too.

    Raises:
        ValueError: If a cookie cannot travel in a header.
    """
    is_named = text[:7].lower() == "cookie:"
    parts = [part.partition("=") for part in text[7 * is_named :].split(";")]
    pairs = [(name.strip(), value.strip()) for name, is_pair, value in parts if is_pair]
    more = [pair for pair in pairs[1:] if is_named or pair[0].lower() not in _ATTRIBUTES]
    return _joined([*pairs[:1], *more])


def choose(cookies: Iterable[Cookie], url: str) -> Chosen:
    """Pick a URL's cookies, as the standard library would send them.

    Raises:
        ValueError: If one of them cannot travel in a header.
    """
    policy = _Policy()
    jar = CookieJar(policy)
    for cookie in cookies:
        jar.set_cookie(cookie)
    request = Request(url)  # noqa: S310 # it is never opened
    jar.add_cookie_header(request)
    return Chosen(request.get_header("Cookie") or "", tuple(policy.expired))


class _Policy(DefaultCookiePolicy):
    """The standard library's, strict about hosts; it notes what has expired."""

    def __init__(self) -> None:
        super().__init__(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)
        self.expired: list[str] = []

    def return_ok_expires(self, cookie: Cookie, request: Request) -> bool:
        is_valid = super().return_ok_expires(cookie, request)
        if not is_valid:
            self.expired.append(cookie.name)
        return is_valid

    def return_ok(self, cookie: Cookie, request: Request) -> bool:
        is_sent = super().return_ok(cookie, request)
        if is_sent:
            _pair(cookie.name, cookie.value or "")
        return is_sent


def _normal(text: str) -> str:
    """Check a text, and make it as any other way to give the same cookies makes it."""
    match kind_of(text):
        case "file":
            return _absolute(text)
        case "json":
            cookie_files.parse(text, "")
        case "header":
            return _unmistakable(to_header(text))
    return text


def _absolute(path: str) -> str:
    """A path that no other form looks like, and that means the same in every directory."""
    return path if path.startswith("~") else str(Path(path).absolute())


def _unmistakable(header: str) -> str:
    """A header that looks like no other form, as `a=b.txt` looks like a file."""
    is_plain = kind_of(header) == "header" and to_header(header) == header
    return header if is_plain else f"Cookie: {header};"


def _plain(value: Any) -> str | None:
    """The text of a value that may be given as something else, if it has one."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Morsel):  # of a `SimpleCookie`
        return value.value
    return str(value) if isinstance(value, (str, int)) else None


def _joined(pairs: Iterable[tuple[Any, str | None]]) -> str:
    return "; ".join(_pair(name, value) for name, value in pairs)


def _pair(name: Any, value: str | None) -> str:
    is_text = isinstance(name, str) and name != "" and value is not None
    if not is_text or "=" in name or _UNSENDABLE.search(f"{name}{value}"):
        # What is no usual name may be a value, or all that was given: it is not quoted.
        who = f"the cookie {name!r}" if _TOKEN.fullmatch(str(name)) else "a cookie"
        msg = f"{who} cannot be sent: it needs a name and a text, without CR, LF and ;."
        raise ValueError(msg)
    return f"{name}={value}"
