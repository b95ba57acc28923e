"""Parse exported cookies: JSON from common browser extensions, and Netscape `cookies.txt`.

Errors name the line or the cookie and what was expected. They never quote the input.
Source: https://curl.se/docs/http-cookies.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.cookiejar import Cookie
from typing import Any

_NETSCAPE_FIELDS = "domain, TRUE or FALSE, path, TRUE or FALSE, expiry, name, value"
_NETSCAPE_FLAGS = {"TRUE": True, "FALSE": False}
_EXPIRY_KEYS = ("expires", "expirationDate", "expiry")
_TEXT_KEYS = ("name", "value", "domain", "path")

_MAX_SECONDS = 1e11
"""Larger expiry times are in milliseconds, as written by Firefox since version 142. As seconds,
this limit is in the year 5138."""


def has_cookie_objects(data: Any) -> bool:
    """Whether this is a list of cookie objects, or an object that contains such a list.

    A tuple counts as a list, which it becomes in JSON.
    """
    if isinstance(data, Mapping):  # Playwright's storage state
        data = data.get("cookies")
    return isinstance(data, (list, tuple))


def parse_export(text: str, host: str) -> list[Cookie]:
    """Parse an export, or a JSON object of names and values.

    A cookie without a domain belongs to `host`. Cookies without a name or a value are
    skipped: browsers have them, but they cannot be sent in a header.

    Raises:
        ValueError: If the text is in none of these formats, or no cookie has a name and a
            value.
    """
    is_json = text.lstrip()[:1] in ("[", "{")
    entries = list(_parse_json(text) if is_json else _parse_netscape(text))
    complete = [
        entry for entry in entries if entry.get("name") and entry.get("value") is not None
    ]
    if entries and not complete:
        raise ValueError("no cookie has a name and a value.")
    return [dict_to_cookie(entry, host) for entry in complete]


def cookie_to_dict(cookie: Cookie) -> dict[str, Any]:
    """Convert a cookie to a dict with the keys of the JSON exports."""
    return {
        "name": cookie.name,
        "value": cookie.value or "",
        "domain": cookie.domain,
        "hostOnly": not cookie.domain_specified,
        "path": cookie.path,
        "secure": bool(cookie.secure),
        "expires": cookie.expires,
    }


def dict_to_cookie(entry: Mapping[str, Any], host: str) -> Cookie:
    """Convert an entry of any export to a cookie."""
    domain = entry.get("domain") or ""
    includes_subdomains = domain.startswith(".") or (
        domain != "" and entry.get("hostOnly") is False
    )
    expiry = next((entry[key] for key in _EXPIRY_KEYS if entry.get(key)), None)
    return Cookie(
        version=0,
        name=entry["name"],
        value=entry["value"],
        port=None,
        port_specified=False,
        domain=_add_local_suffix(domain or host),
        domain_specified=includes_subdomains,
        domain_initial_dot=includes_subdomains,
        path=entry.get("path") or "/",
        path_specified=True,
        secure=bool(entry.get("secure")),
        expires=_parse_cookie_expiry(expiry),
        discard=False,
        comment=None,
        comment_url=None,
        rest={},
    )


def _parse_json(text: str) -> Iterator[dict[str, Any]]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        line = error.lineno
    except RecursionError:
        line = 1
    else:
        return _check_entries(data)
    # Raised outside of `except`, because the original error contains the text.
    raise ValueError(f"line {line}: expected JSON, as browsers export it.")


def _check_entries(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, dict):
        pairs = [{"name": name, "value": value} for name, value in data.items()]
        data = data["cookies"] if has_cookie_objects(data) else pairs
    for number, entry in enumerate(data, 1):
        if not _is_entry(entry):
            raise ValueError(f"cookie {number}: expected an object with a name and a value.")
        yield entry


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), str | None) for key in _TEXT_KEYS
    )


def _parse_netscape(text: str) -> Iterator[dict[str, Any]]:
    for number, raw_line in enumerate(text.split("\n"), 1):
        line = raw_line.rstrip("\r").removeprefix("#HttpOnly_")
        if not line.strip() or line.startswith("#"):
            continue
        try:
            yield _parse_netscape_fields(*line.split("\t"))
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"line {number}: expected seven fields between tabs: {_NETSCAPE_FIELDS}."
            ) from None


def _parse_netscape_fields(
    domain: str,
    includes_subdomains: str,
    path: str,
    secure: str,
    expiry: str,
    name: str,
    value: str = "",  # some exporters write no tab before an empty value
) -> dict[str, Any]:
    return {
        "domain": domain,
        "hostOnly": not _NETSCAPE_FLAGS[includes_subdomains.upper()],
        "path": path,
        "secure": _NETSCAPE_FLAGS[secure.upper()],
        "expires": float(expiry or 0),
        "name": name,
        "value": value,
    }


def _add_local_suffix(domain: str) -> str:
    """Add `.local` to a host without a dot, as `http.cookiejar` does."""
    return domain if "." in domain else f"{domain}.local"


def _parse_cookie_expiry(value: Any) -> int | None:
    """Return Unix time in seconds. `None` means until the browser is closed."""
    if not isinstance(value, (int, float)) or not 0 < value < 1e18:
        return None
    return int(value / 1000 if value > _MAX_SECONDS else value)
