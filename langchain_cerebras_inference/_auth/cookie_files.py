"""Browsers' exports ⇄ cookies: JSON of the common extensions, Netscape's `cookies.txt`.

Pure. Errors say where in the text the fault is and what was expected, and quote nothing.
Source: https://curl.se/docs/http-cookies.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.cookiejar import Cookie
from typing import Any

_FIELDS = "domain, TRUE or FALSE, path, TRUE or FALSE, expiry, name, value"
_FLAGS = {"TRUE": True, "FALSE": False}
_EXPIRIES = ("expires", "expirationDate", "expiry")
_TEXTS = ("name", "value", "domain", "path")

_FIRST_MILLISECONDS = 1e11
"""Firefox has counted milliseconds since version 142; as seconds, this is in 5138."""


def is_export(data: Any) -> bool:
    """Whether this is what the JSON of an export would hold, and no mapping of cookies."""
    if isinstance(data, Mapping):  # Playwright's storage state
        return isinstance(data.get("cookies"), list)
    return isinstance(data, list)


def parse(text: str, host: str) -> list[Cookie]:
    """Read an export; a cookie that has no domain is the host's.

    What has no name or no value is left out: browsers know such cookies, headers do not.

    Raises:
        ValueError: If it is none.
    """
    is_json = text.lstrip()[:1] in ("[", "{")
    objects = _from_json(text) if is_json else list(_from_netscape(text))
    whole = [each for each in objects if each.get("name") and each.get("value") is not None]
    if objects and not whole:
        raise ValueError("cookie 1: expected a name and a value.")
    return [to_cookie(each, host) for each in whole]


def to_object(cookie: Cookie) -> dict[str, Any]:
    """A cookie as plain data, in the words of the exports."""
    return {
        "name": cookie.name,
        "value": cookie.value or "",
        "domain": cookie.domain,
        "hostOnly": not cookie.domain_specified,
        "path": cookie.path,
        "secure": bool(cookie.secure),
        "expires": cookie.expires,
    }


def to_cookie(given: Mapping[str, Any], host: str) -> Cookie:
    """A cookie of plain data, whoever wrote it."""
    domain = given.get("domain") or ""
    is_shared = domain != "" and (domain[0] == "." or given.get("hostOnly") is False)
    expires = next((given[name] for name in _EXPIRIES if given.get(name)), None)
    return Cookie(
        version=0,
        name=given["name"],
        value=given["value"],
        port=None,
        port_specified=False,
        domain=_dotted(domain or host),
        domain_specified=is_shared,
        domain_initial_dot=is_shared,
        path=given.get("path") or "/",
        path_specified=True,
        secure=bool(given.get("secure")),
        expires=_seconds(expires),
        discard=False,
        comment=None,
        comment_url=None,
        rest={},
    )


def _from_json(text: str) -> list[dict[str, Any]]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}"
    except RecursionError:
        where = "line 1"
    else:
        return list(_objects(data))
    raise ValueError(f"{where}: expected JSON, as browsers export it.")


def _objects(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, dict):
        pairs = [{"name": name, "value": value} for name, value in data.items()]
        data = data["cookies"] if is_export(data) else pairs
    for number, each in enumerate(data, 1):
        if not _is_cookie(each):
            raise ValueError(f"cookie {number}: expected an object with a name and a value.")
        yield each


def _is_cookie(each: Any) -> bool:
    return isinstance(each, dict) and all(
        isinstance(each.get(name), str | None) for name in _TEXTS
    )


def _from_netscape(text: str) -> Iterator[dict[str, Any]]:
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r").removeprefix("#HttpOnly_")
        if not line.strip() or line.startswith("#"):
            continue
        try:
            yield _object(*line.split("\t"))
        except (KeyError, TypeError, ValueError):
            msg = f"line {number}: expected seven fields between tabs: {_FIELDS}."
            raise ValueError(msg) from None


def _object(
    domain: str, shared: str, path: str, secure: str, expires: str, name: str, value: str = ""
) -> dict[str, Any]:
    """The fields of a line; some write no tab before a value that is empty."""
    return {
        "domain": domain,
        "hostOnly": not _FLAGS[shared.upper()],
        "path": path,
        "secure": _FLAGS[secure.upper()],
        "expires": float(expires or 0),
        "name": name,
        "value": value,
    }


def _dotted(domain: str) -> str:
    """The standard library calls a bare name, such as `localhost`, `localhost.local`."""
    return domain if "." in domain else f"{domain}.local"


def _seconds(value: Any) -> int | None:
    """When a cookie ends, in Unix time; `None` where it ends with the browser's session."""
    if not isinstance(value, (int, float)) or not 0 < value < 1e18:
        return None
    return int(value / 1000 if value > _FIRST_MILLISECONDS else value)
