"""Read one host's cookies from installed browsers, without copying the databases.

Firefox stores cookies in plain text. Chromium and the browsers that are based on it encrypt
them. yt-dlp, from the extra `browser`, finds the encryption key in the desktop's keyring and
decrypts them. No other library for this supports current browsers, machines without a desktop
and all versions of Python.
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
from typing import Any, NamedTuple, TypeAlias

from langchain_cerebras_inference._auth import cookie_files

SESSION_COOKIE_NAME_PART = "session-token"
"""Part of the name of every cookie that holds a signed-in session."""

_Row: TypeAlias = dict[str, Any]
"""A cookie in the form of the database, with the keys of `cookie_files.dict_to_cookie`."""

_ADVICE = "give an exported file or a header."


class _Chromium(NamedTuple):
    """A Chromium browser: its folders, and the name of its encryption key in the keyring."""

    linux_folder: str
    macos_folder: str
    linux_key: str
    macos_key: str


_BRAVE_FOLDER = "BraveSoftware/Brave-Browser"
_CHROMIUM_BROWSERS = {
    "chrome": _Chromium("google-chrome", "Google/Chrome", "Chrome", "Chrome"),
    "chromium": _Chromium("chromium", "Chromium", "Chromium", "Chromium"),
    "edge": _Chromium("microsoft-edge", "Microsoft Edge", "Chromium", "Microsoft Edge"),
    "brave": _Chromium(_BRAVE_FOLDER, _BRAVE_FOLDER, "Brave", "Brave"),
    "vivaldi": _Chromium("vivaldi", "Vivaldi", "Chrome", "Vivaldi"),
}
_BROWSERS = ("firefox", *_CHROMIUM_BROWSERS)

_CONFIG = ".config/"
_LINUX_FOLDERS = (".config/{}", "snap/*/common/{}", ".var/app/*/config/{}")
_CHROMIUM_FILES = ("*/Cookies", "*/Network/Cookies")
_FIREFOX_FOLDERS = {
    "darwin": ("Library/Application Support/Firefox/Profiles",),
    "win32": ("AppData/Roaming/Mozilla/Firefox/Profiles",),
    "linux": (
        *(folder.format("mozilla/firefox") for folder in _LINUX_FOLDERS),
        ".mozilla/firefox",
        "snap/*/common/.mozilla/firefox",
        ".var/app/*/.mozilla/firefox",
    ),
}

# A host receives its own cookies and those of the domains above it. Partitioned cookies (for
# pages that are embedded in another site) are excluded. The default container of Firefox
# comes last, so it overrides the others.
_FIREFOX_QUERY = """
    SELECT name, value, host AS domain, path, isSecure AS secure, expiry AS expires
    FROM moz_cookies WHERE '.' || ? LIKE '%' || host AND name <> ''
        AND originAttributes NOT LIKE '%partitionKey%' ORDER BY originAttributes DESC
"""
_CHROMIUM_QUERY = """
    SELECT *, host_key AS domain, is_secure AS secure,
        -- microseconds since 1601; 0 means until the browser is closed
        iif(expires_utc, expires_utc / 1000000 - 11644473600, 0) AS expires,
        (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'version') AS version
    FROM cookies WHERE '.' || ? LIKE '%' || host_key AND name <> ''
"""
_JOURNAL_SUFFIXES = ("-wal", "-journal")
_LOCK_TIMEOUT = 0.5


def find_browsers() -> list[str]:
    """Return the browsers that have a profile on this machine."""
    return [browser for browser in _BROWSERS if _find_databases(browser)]


def read_browser(browser: str, host: str) -> list[Cookie]:
    """Read a host's cookies from one profile of a browser.

    A profile with a signed-in session is preferred, then one with any cookies for the host.
    Among equal profiles, the most recently used one is read.

    Raises:
        ValueError: If the browser is unknown, has no profile, or cannot be read.
    """
    if browser not in _BROWSERS:
        # A text that is not a short word may be a cookie, so it is not quoted.
        is_word = re.fullmatch("[a-z-]{1,20}", browser)
        name = repr(browser) if is_word else "the text after browser:"
        raise ValueError(f"{name} is not one of {', '.join(_BROWSERS)}; {_ADVICE}")
    databases = _find_databases(browser)
    if not databases:
        raise ValueError(_explain_missing_profile(browser))
    rows = _read_best_profile(browser, databases, host)
    if browser != "firefox":
        rows = _decrypt_rows(browser, rows)
    return [cookie_files.dict_to_cookie(row, host) for row in rows]


# --- profiles ------------------------------------------------------------------------


def _explain_missing_profile(browser: str) -> str:
    if sys.platform == "win32" and browser != "firefox":
        return (
            f"the cookies of {browser} cannot be read on Windows, because only {browser} has"
            f" the encryption key; {_ADVICE}"
        )
    return f"no profile of {browser} was found; {_ADVICE}"


def _find_databases(browser: str) -> list[Path]:
    """Find the databases of a browser's profiles, the most recently used one first."""
    home = Path.home()
    patterns = _get_patterns(browser)
    paths = [path for pattern in patterns for path in home.glob(pattern)]
    if config := os.environ.get("XDG_CONFIG_HOME"):  # used instead of ~/.config
        for pattern in patterns:
            if pattern.startswith(_CONFIG):
                paths += (home / config).glob(pattern.removeprefix(_CONFIG))
    return sorted(filter(Path.is_file, paths), key=os.path.getmtime, reverse=True)


def _get_patterns(browser: str) -> list[str]:
    """Return glob patterns of a browser's databases, relative to the home directory."""
    if browser == "firefox":
        folders = _FIREFOX_FOLDERS.get(sys.platform, _FIREFOX_FOLDERS["linux"])
        return [f"{folder}/*/cookies.sqlite" for folder in folders]
    chromium = _CHROMIUM_BROWSERS[browser]
    match sys.platform:
        case "darwin":
            folders = (f"Library/Application Support/{chromium.macos_folder}",)
        case "win32":  # there, only the browser itself can read its encryption key
            folders = ()
        case _:
            folders = tuple(path.format(chromium.linux_folder) for path in _LINUX_FOLDERS)
    return [f"{folder}/{file}" for folder in folders for file in _CHROMIUM_FILES]


def _read_best_profile(browser: str, databases: Iterable[Path], host: str) -> list[_Row]:
    """Return the first signed-in profile, or else the first profile with cookies."""
    profiles: list[list[_Row]] = []
    errors: list[ValueError] = []
    for database in databases:
        try:
            profiles.append(_read_database(browser, database, host))
        except ValueError as error:
            errors.append(error)
    best = max(profiles, key=lambda rows: (_has_session(rows), bool(rows)), default=[])
    if errors and not best:
        raise errors[0]
    return best


def _has_session(rows: Iterable[_Row]) -> bool:
    return any(SESSION_COOKIE_NAME_PART in row["name"] for row in rows)


# --- one database --------------------------------------------------------------------


def _read_database(browser: str, database: Path, host: str) -> list[_Row]:
    """Read a database, even if its browser is running.

    A database without a journal is opened as immutable, so that SQLite creates no file
    beside it. If the database is locked, it is opened as immutable as well. Cookies that are
    only in the journal are then not found.
    """
    has_journal = any(Path(f"{database}{suffix}").exists() for suffix in _JOURNAL_SUFFIXES)
    try:
        return _query_database(
            browser, database, "mode=ro" if has_journal else "immutable=1", host
        )
    except sqlite3.DatabaseError as error:
        reason = str(error)
    rows: list[_Row] = []
    with suppress(sqlite3.DatabaseError):
        rows = _query_database(browser, database, "immutable=1", host)
    if not rows:
        raise ValueError(
            f"the cookies of {browser} cannot be read ({reason}); close it and try again."
        )
    return rows


def _query_database(browser: str, database: Path, mode: str, host: str) -> list[_Row]:
    query = _FIREFOX_QUERY if browser == "firefox" else _CHROMIUM_QUERY
    uri = f"{database.as_uri()}?{mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_TIMEOUT)) as connection:
        connection.row_factory = sqlite3.Row
        # Without this, the error for a value that is not valid UTF-8 would quote it.
        connection.text_factory = lambda data: data.decode(errors="surrogateescape")
        rows = [dict(row) for row in connection.execute(query, (host,))]
    # Partitioned cookies. Older versions of Chromium do not have this column, so the query
    # cannot use it.
    return [row for row in rows if not row.get("top_frame_site_key")]


# --- decryption ----------------------------------------------------------------------


def _decrypt_rows(browser: str, rows: list[_Row]) -> list[_Row]:
    """Decrypt the values that are encrypted; leave out those that cannot be decrypted."""
    encrypted = [row for row in rows if row["encrypted_value"] and not row["value"]]
    if not encrypted:
        return rows
    decryptor = _create_decryptor(browser, encrypted[0]["version"])
    for row in encrypted:
        try:
            row["value"] = decryptor.decrypt(row["encrypted_value"])
        except Exception:  # noqa: BLE001 # every error of yt-dlp may quote the cookie
            row["value"] = None
    readable = [row for row in rows if row["value"] is not None]
    if not readable:
        raise ValueError(
            f"the encryption key for {browser}'s cookies cannot be found; {_ADVICE}"
        )
    return readable


def _create_decryptor(browser: str, version: int) -> Any:
    """Create yt-dlp's decryptor, which asks the desktop for the encryption key once.

    yt-dlp does not document this function. If it is missing or has changed, the error says
    what to install.
    """
    chromium = _CHROMIUM_BROWSERS[browser]
    key_name = chromium.macos_key if sys.platform == "darwin" else chromium.linux_key
    try:
        from yt_dlp.cookies import get_cookie_decryptor

        return get_cookie_decryptor("", key_name, _SilentLogger(), meta_version=version)
    except (ImportError, TypeError):
        extra = "pip install --upgrade 'langchain-cerebras-inference[browser]'"
        raise ValueError(f"reading {browser} needs a current yt-dlp: {extra}.") from None


class _SilentLogger:
    """A logger that ignores every method call."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None
