"""Read cookies from a header, JSON, a file or a browser, and select those for one URL.

Nothing is cached: every call reads the file or the browser again.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import Request

from langchain_cerebras_inference._auth import browser_cookies, cookie_files, cookie_input
from langchain_cerebras_inference.errors import CerebrasCookieError

_MAX_FILE_BYTES = 16 * 1024 * 1024
_NOT_FOUND = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class SelectedCookies(NamedTuple):
    """The cookies for a URL.

    Attributes:
        header: The value of the `Cookie` header.
        expired: Names of cookies that are left out because they have expired.
    """

    header: str
    expired: tuple[str, ...] = ()


async def read_cookies(text: str, url: str) -> SelectedCookies:
    """Read the cookies for `url`, in a thread.

    Args:
        text: The string from `cookie_input.normalize_cookies`.
        url: The URL that the cookies will be sent to.

    Raises:
        CerebrasCookieError: If the cookies cannot be read, or there are none for the URL.
    """
    try:
        return await asyncio.to_thread(_read_cookies, text, url)
    except ValueError as error:
        reason = str(error)
    # Raised outside of `except`, because the original error may contain cookies.
    raise CerebrasCookieError(f"Cannot read the cookies: {reason}")


def select_cookies(cookies: Sequence[Cookie], url: str) -> SelectedCookies:
    """Select the cookies that a browser would send to `url`.

    Raises:
        ValueError: If one of them cannot be sent in a header.
    """
    policy = _RecordingPolicy()
    jar = CookieJar(policy)
    for cookie in cookies:
        jar.set_cookie(cookie)
    request = Request(url)  # noqa: S310 # only for `add_cookie_header`; it is never sent
    jar.add_cookie_header(request)
    for cookie in policy.selected:
        cookie_input.check_cookie(cookie.name, cookie.value or "")
    expired = tuple(cookie.name for cookie in policy.expired)
    return SelectedCookies(request.get_header("Cookie") or "", expired)


class _RecordingPolicy(DefaultCookiePolicy):
    """The standard policy, with a record of the selected and of the expired cookies."""

    def __init__(self) -> None:
        # A host-only cookie of `cerebras.ai` is not sent to its subdomains.
        super().__init__(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)
        self.selected: list[Cookie] = []
        self.expired: list[Cookie] = []

    def return_ok(self, cookie: Cookie, request: Request) -> bool:
        is_selected = super().return_ok(cookie, request)
        if is_selected:
            self.selected.append(cookie)
        elif cookie.is_expired():
            self.expired.append(cookie)
        return is_selected


def _read_cookies(text: str, url: str) -> SelectedCookies:
    match cookie_input.detect_form(text):
        case "header":  # a header has no domains, so all its cookies are sent
            return SelectedCookies(cookie_input.parse_header(text))
        case "json":
            cookies = cookie_files.parse_export(text, _get_host(url))
            return _require_cookies(cookies, url, "the given JSON")
        case "file":
            path = Path(os.path.expanduser(text))  # noqa: PTH111 # `Path.expanduser` raises RuntimeError
            return _require_cookies(_read_file(path, _get_host(url)), url, str(path))
    browser = text.partition(":")[2].strip().lower()
    return _read_browser(browser, url) if browser else _read_any_browser(url)


def _read_file(path: Path, host: str) -> list[Cookie]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        if error.errno in _NOT_FOUND:
            raise ValueError(_describe_missing_file(path)) from None
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from None
    if len(data) > _MAX_FILE_BYTES:
        raise ValueError(f"{path} is too large for a cookie file.")
    text = data.decode("utf-8-sig", "surrogateescape")
    try:
        return cookie_files.parse_export(text, host)
    except ValueError as error:
        raise ValueError(f"{path}, {error}") from None


def _describe_missing_file(path: Path) -> str:
    """Describe a missing file. A name that may be a cookie is not quoted."""
    if path.suffix in (".txt", ".json") and not set(str(path)) & set("=;"):
        return f"no such file: {path}."
    has_folder = os.path.isdir(path.parent)  # noqa: PTH112 # `Path.is_dir` raises for a long name
    folder = f" in {path.parent}" if has_folder else ""
    return f"no such file{folder}; a cookie header has the form name=value."


def _read_browser(browser: str, url: str) -> SelectedCookies:
    cookies = browser_cookies.read_browser(browser, _get_host(url))
    return _require_cookies(cookies, url, browser)


def _read_any_browser(url: str) -> SelectedCookies:
    """Read the first browser that is signed in, or else the first one with any cookies.

    Raises:
        ValueError: If no browser has any cookies. The message has the reason for each browser.
    """
    found: list[SelectedCookies] = []
    reasons: list[str] = []
    for browser in browser_cookies.find_browsers():
        try:
            found.append(_read_browser(browser, url))
        except ValueError as error:
            reasons.append(str(error))
        else:
            if browser_cookies.SESSION_COOKIE_NAME_PART in found[-1].header:
                return found[-1]
    if found:
        return found[0]
    raise ValueError(" ".join(reasons) or "no browser was found; give a file or a header.")


def _require_cookies(cookies: Sequence[Cookie], url: str, source: str) -> SelectedCookies:
    """Select the cookies for a URL.

    Raises:
        ValueError: If there are none. The message says why.
    """
    selected = select_cookies(cookies, url)
    if selected.header:
        return selected
    host = _get_host(url)
    if select_cookies(cookies, url.replace("http:", "https:", 1)).header:
        raise ValueError(f"the cookies for {host} in {source} need an https session_url.")
    if selected.expired:
        names = ", ".join(selected.expired)
        raise ValueError(
            f"the cookies for {host} in {source} have expired ({names}); sign in again."
        )
    raise ValueError(f"{source} has no cookies for {host}; sign in there first.")


def _get_host(url: str) -> str:
    """Return the host of a URL; an IPv6 address stays in brackets, as in cookies."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host
