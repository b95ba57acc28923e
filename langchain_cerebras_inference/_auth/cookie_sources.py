"""Files and browsers → a URL's cookies, read in a thread, and anew each time."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from http.cookiejar import Cookie
from pathlib import Path
from urllib.parse import urlsplit

from langchain_cerebras_inference._auth import browser_cookies, cookie_files, cookie_input
from langchain_cerebras_inference._auth.cookie_input import Chosen
from langchain_cerebras_inference.errors import CerebrasCookieError

_MOST_BYTES = 16 * 1024 * 1024
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_SUFFIXES = (".txt", ".json")


async def choose(text: str, url: str) -> Chosen:
    """Find a URL's cookies where a text says that they are.

    Raises:
        CerebrasCookieError: If they cannot be read, or there are none.
    """
    try:
        return await asyncio.to_thread(_choose, text, url)
    except ValueError as error:
        why = str(error)  # but not the error, which may hold what was read
    raise CerebrasCookieError(f"There are no cookies to sign in with: {why}")


def _choose(text: str, url: str) -> Chosen:
    match cookie_input.kind_of(text):
        case "header":
            return Chosen(cookie_input.to_header(text))
        case "json":
            return _some(cookie_files.parse(text, _host_of(url)), url, "what was given")
        case "file":
            return _from_file(Path(os.path.expanduser(text)), url)  # noqa: PTH111 # never raises
    name = text.partition(":")[2].strip().lower()
    return _from_browser(name, url) if name else _from_any_browser(url)


def _from_file(path: Path, url: str) -> Chosen:
    try:
        text = _read(path)
    except OSError as error:
        if error.errno in _ABSENT:
            raise ValueError(_absent(path)) from None
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from None
    try:
        found = cookie_files.parse(text, _host_of(url))
    except ValueError as error:
        raise ValueError(f"{path}, {error}") from None
    return _some(found, url, str(path))


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OSError(0, "it is too large for cookies")
    return data.decode("utf-8-sig", "surrogateescape")


def _absent(path: Path) -> str:
    """That a file is not there; cookies may have been taken for its name."""
    if path.suffix in _SUFFIXES and not set(str(path)) & set("=;"):
        return f"no such file: {path}."
    where = f" in {path.parent}" if os.path.isdir(path.parent) else ""  # noqa: PTH112
    return f"no such file{where}; a header would have the form name=value."


def _from_browser(name: str, url: str) -> Chosen:
    return _some(browser_cookies.read(name, _host_of(url)), url, name)


def _from_any_browser(url: str) -> Chosen:
    """The cookies of the first browser that is signed in, or that has any.

    Raises:
        ValueError: If there are none; it says what kept each browser from it.
    """
    found, failures = [], []
    for name in browser_cookies.installed():
        try:
            found.append(_from_browser(name, url))
        except ValueError as error:
            failures.append(str(error))
        else:
            if browser_cookies.SESSION in found[-1].header:
                return found[-1]
    if found:
        return found[0]
    raise ValueError(" ".join(failures) or "no browser was found; give a file or a header.")


def _some(found: Sequence[Cookie], url: str, source: str) -> Chosen:
    chosen = cookie_input.choose(found, url)
    if chosen.header:
        return chosen
    host = _host_of(url)
    if cookie_input.choose(found, url.replace("http:", "https:", 1)).header:
        raise ValueError(f"those for {host} in {source} are Secure: session_url must be https.")
    if chosen.expired:
        names = ", ".join(chosen.expired)
        raise ValueError(f"those for {host} in {source} have expired ({names}); sign in again.")
    raise ValueError(f"{source} holds none for {host}; sign in there first.")


def _host_of(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host
