"""Browsers' databases → one host's cookies, read in place and never copied.

Firefox keeps cookies as they are. Chromium and its kin encrypt them; yt-dlp, which the
extra `browser` brings, knows where a desktop keeps the key. No library made for this
alone reads what current browsers write, on a machine without a desktop, on every Python.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from http.cookiejar import Cookie
from pathlib import Path
from typing import Any, NamedTuple

from langchain_cerebras_inference._auth import cookie_files

SESSION = "session-token"
"""What the names of cookies that sign in have in them."""

_INSTEAD = "give an exported file or a header."


class _Chromium(NamedTuple):
    """Where one of its kin keeps its profiles, and what its key is called there."""

    linux: str
    macos: str
    linux_key: str
    macos_key: str


_BRAVE = "BraveSoftware/Brave-Browser"
_CHROMIUMS = {
    "chrome": _Chromium("google-chrome", "Google/Chrome", "Chrome", "Chrome"),
    "chromium": _Chromium("chromium", "Chromium", "Chromium", "Chromium"),
    "edge": _Chromium("microsoft-edge", "Microsoft Edge", "Chromium", "Microsoft Edge"),
    "brave": _Chromium(_BRAVE, _BRAVE, "Brave", "Brave"),
    "vivaldi": _Chromium("vivaldi", "Vivaldi", "Chrome", "Vivaldi"),
}
_NAMES = ("firefox", *_CHROMIUMS)

_LINUX = (".config/{}", "snap/*/common/{}", ".var/app/*/config/{}")
_CHROMIUM_FILES = ("*/Cookies", "*/Network/Cookies")
_FIREFOX = {
    "darwin": ("Library/Application Support/Firefox/Profiles",),
    "win32": ("AppData/Roaming/Mozilla/Firefox/Profiles",),
    "linux": (
        *(place.format("mozilla/firefox") for place in _LINUX),
        ".mozilla/firefox",
        "snap/*/common/.mozilla/firefox",
        ".var/app/*/.mozilla/firefox",
    ),
}

# A host's cookies are its own and those of the domains above it, but not those for its
# pages inside another site's. Of Firefox's containers, the default one comes last and wins.
_FIREFOX_QUERY = """
    SELECT name, value, host AS domain, path, isSecure AS secure, expiry AS expires
    FROM moz_cookies WHERE '.' || ? LIKE '%' || host AND name <> ''
        AND originAttributes NOT LIKE '%partitionKey%' ORDER BY originAttributes DESC
"""
_CHROMIUM_QUERY = """
    SELECT *, host_key AS domain, is_secure AS secure,
        -- microseconds since 1601; 0 is a session's cookie
        iif(expires_utc, expires_utc / 1000000 - 11644473600, 0) AS expires,
        (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'version') AS version
    FROM cookies WHERE '.' || ? LIKE '%' || host_key AND name <> ''
"""
_LOGS = ("-wal", "-journal")
_LOCK_PATIENCE = 0.5


def installed() -> list[str]:
    """The browsers that have been used here."""
    return [name for name in _NAMES if _databases(name)]


def read(name: str, host: str) -> list[Cookie]:
    """A host's cookies, of the profile used last that is signed in, or that has any.

    Raises:
        ValueError: If there is no such browser, or it keeps its cookies to itself.
    """
    if name not in _NAMES:
        shown = repr(name) if re.fullmatch("[a-z-]{1,20}", name) else "what follows browser:"
        raise ValueError(f"{shown} is none of {', '.join(_NAMES)}; {_INSTEAD}")
    databases = _databases(name)
    if not databases:
        raise ValueError(f"no profile of {name} was found; {_INSTEAD}")
    rows = _best(name, databases, host)
    if name != "firefox":
        rows = _decrypted(name, rows)
    return [cookie_files.to_cookie(row, host) for row in rows]


def _databases(name: str) -> list[Path]:
    """The databases of a browser's profiles, that of the one used last first."""
    home = Path.home()
    found = [path for place in _places(name) for path in home.glob(place)]
    if config := os.environ.get("XDG_CONFIG_HOME"):
        below = (place.removeprefix(".config/") for place in _places(name))
        found += [path for place in below for path in (home / config).glob(place)]
    return sorted(filter(Path.is_file, found), key=os.path.getmtime, reverse=True)


def _places(name: str) -> Iterable[str]:
    if name == "firefox":
        folders = _FIREFOX.get(sys.platform, _FIREFOX["linux"])
        return [f"{folder}/*/cookies.sqlite" for folder in folders]
    browser = _CHROMIUMS[name]
    folders = {
        "darwin": (f"Library/Application Support/{browser.macos}",),
        "win32": (),  # there the key is for the browser's own eyes
    }.get(sys.platform, tuple(place.format(browser.linux) for place in _LINUX))
    return [f"{folder}/{file}" for folder in folders for file in _CHROMIUM_FILES]


def _best(name: str, databases: Iterable[Path], host: str) -> list[dict[str, Any]]:
    """The rows of the first database that has a session, or any."""
    found, failures = [], []
    for database in databases:
        try:
            found.append(_rows(name, database, host))
        except ValueError as error:
            failures.append(error)
    best = max(found, key=lambda rows: (_has_session(rows), bool(rows)), default=[])
    if failures and not best:
        raise failures[0]
    return best


def _has_session(rows: Iterable[dict[str, Any]]) -> bool:
    return any(SESSION in row["name"] for row in rows)


def _rows(name: str, database: Path, host: str) -> list[dict[str, Any]]:
    """Ask a database; one that its browser holds locked, for what was written down last.

    One that is at rest is asked as one that cannot change: sqlite puts no log beside it.
    """
    is_at_rest = not any(Path(f"{database}{log}").exists() for log in _LOGS)
    try:
        return _asked(name, database, "immutable=1" if is_at_rest else "mode=ro", host)
    except sqlite3.DatabaseError as error:
        why = str(error)
    rows: list[dict[str, Any]] = []
    with suppress(sqlite3.DatabaseError):
        rows = _asked(name, database, "immutable=1", host)
    if not rows:
        raise ValueError(
            f"the cookies of {name} cannot be read ({why}); close it and try again."
        )
    return rows


def _asked(name: str, database: Path, mode: str, host: str) -> list[dict[str, Any]]:
    query = _FIREFOX_QUERY if name == "firefox" else _CHROMIUM_QUERY
    uri = f"{database.as_uri()}?{mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_PATIENCE)) as connection:
        connection.row_factory = sqlite3.Row
        # sqlite's own error would quote what is no text.
        connection.text_factory = lambda data: data.decode(errors="surrogateescape")
        rows = [dict(row) for row in connection.execute(query, (host,))]
    return [row for row in rows if not row.get("top_frame_site_key")]  # Chromium's partition


def _decrypted(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows whose values can be read; the desktop is asked for its key once."""
    encrypted = [row for row in rows if row["encrypted_value"] and not row["value"]]
    if not encrypted:
        return rows
    decryptor = _decryptor(name, encrypted[0]["version"])
    for row in encrypted:
        try:
            row["value"] = decryptor.decrypt(row["encrypted_value"])
        except Exception:  # noqa: BLE001 # whatever it is, it may quote the cookie
            row["value"] = None
    readable = [row for row in rows if row["value"] is not None]
    if not readable:
        msg = f"{name} encrypts its cookies with a key that cannot be had; {_INSTEAD}"
        raise ValueError(msg)
    return readable


def _decryptor(name: str, version: int) -> Any:
    try:
        from yt_dlp.cookies import get_cookie_decryptor
    except ImportError:
        extra = "pip install 'langchain-cerebras-inference[browser]'"
        raise ValueError(f"reading {name} needs an extra: {extra}.") from None
    browser = _CHROMIUMS[name]
    key = browser.macos_key if sys.platform == "darwin" else browser.linux_key
    return get_cookie_decryptor("", key, _Silence(), meta_version=version)


class _Silence:
    """A logger that says nothing."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None
