"""The route of a request: the proxy to use and the certificates to trust."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PROXY_VARIABLES = (
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
)

_PROXY_DESCRIPTION = "The proxy (setting proxy, or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY)"

_tls_contexts: dict[tuple[bool | str, str | None, str | None], ssl.SSLContext] = {}


@dataclass(frozen=True, slots=True)
class Route:
    """The settings that determine how to reach a server.

    Attributes:
        proxy: The setting `proxy`: the URL of a proxy, `""` for no proxy, or `None` for the
            proxy in the environment variables.
        verify: Whether to check certificates, or the path of a CA bundle.
        connect_timeout: Time limit in seconds for DNS, TCP and TLS together; `inf` is no
            limit.
        setting: The name of the setting with the server's URL, for error messages.
    """

    proxy: str | None = field(default=None, repr=False)
    verify: bool | str = True
    connect_timeout: float = 10.0
    setting: str = "base_url"


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy for a request, as aiohttp expects it.

    Attributes:
        url: The URL without user and password; `None` for no proxy.
        headers: Headers that are sent only to the proxy.
    """

    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@lru_cache(maxsize=256)
def find_proxy(
    origin: str,
    proxy: str | None,
    variables: tuple[str | None, ...],  # noqa: ARG001 # only part of the cache key
) -> Proxy:
    """Find the proxy for a server.

    Args:
        origin: The server's scheme, host and port, as the beginning of a URL.
        proxy: The setting `proxy`, as in `Route`.
        variables: The current values of `PROXY_VARIABLES`. They are only part of the cache
            key, so that a change of the environment is noticed.

    Raises:
        ValueError: If the URL of the proxy is invalid. The message does not quote the URL,
            because it may contain a password.
    """
    target = urllib.parse.urlsplit(origin)
    if proxy is None and not urllib.request.proxy_bypass(target.netloc):
        proxies = urllib.request.getproxies()
        proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy:
        return Proxy()
    parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in ("http", "https"):
        raise ValueError(
            f"{_PROXY_DESCRIPTION} must be an http or https URL, not {parts.scheme}://."
        )
    if not _has_valid_address(parts):
        raise ValueError(
            f"{_PROXY_DESCRIPTION} must be a URL with a host, as in"
            " http://user:password@host:80."
        )
    host = parts.netloc.rpartition("@")[2]
    url = urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
    if parts.username is None:
        return Proxy(url)
    login = urllib.parse.unquote_to_bytes(f"{parts.username}:{parts.password or ''}")
    return Proxy(url, {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"})


def _has_valid_address(parts: urllib.parse.SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port, which the error quotes
        return False


async def get_tls_context(verify: bool | str) -> ssl.SSLContext | bool:
    """Return the TLS context for the setting `verify`; `False` turns off certificate checks.

    Creating a context takes 20 ms, so it is created only once, and in a thread.

    Raises:
        ValueError: If `verify` is a path, but not that of a CA bundle.
    """
    if verify is False:
        return False
    key = (verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    if key not in _tls_contexts:
        _tls_contexts[key] = await asyncio.to_thread(_create_tls_context, verify)
    return _tls_contexts[key]


def _create_tls_context(verify: bool | str) -> ssl.SSLContext:
    if isinstance(verify, bool):
        return ssl.create_default_context()
    path = Path(verify).expanduser()
    if not path.exists():
        raise ValueError(
            f"verify must be the path of a CA bundle, but {str(path)!r} does not exist."
        )
    if path.is_dir():
        return ssl.create_default_context(capath=path)
    try:
        return ssl.create_default_context(cafile=path)
    except OSError:
        raise ValueError(
            f"verify must be the path of a CA bundle in PEM format, which {str(path)!r} is not."
        ) from None
