"""How a request reaches a server: the proxy to use and the certificates to trust."""

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
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)

_tls_contexts: dict[tuple[bool | str, str | None, str | None], ssl.SSLContext] = {}


@dataclass(frozen=True, slots=True)
class Route:
    """The settings that say how to reach a server.

    Attributes:
        proxy: A proxy's URL; `""` is no proxy, and `None` reads the usual environment
            variables.
        verify: Whether to check certificates, or the path of a CA bundle.
        connect_timeout: Seconds for DNS, TCP and TLS together; `inf` is no limit.
        setting: The setting that names the server, for error messages.
    """

    proxy: str | None = field(default=None, repr=False)
    verify: bool | str = True
    connect_timeout: float = 10.0
    setting: str = "base_url"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, or no proxy.

    Attributes:
        url: Its URL without user and password; `None` is no proxy.
        headers: Headers for the proxy alone.
    """

    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@lru_cache(maxsize=256)
def find_proxy(
    origin: str,
    proxy: str | None,
    variables: tuple[str | None, ...],  # noqa: ARG001 # part of the cache key
) -> Proxy:
    """Find the proxy for a server.

    Args:
        origin: The server's scheme, host and port, as the beginning of a URL.
        proxy: The URL of the proxy to use; `""` is no proxy, and `None` looks into the
            environment.
        variables: The current values of `PROXY_VARIABLES`. A program may set them at any
            time, and other values make the cache look into the environment again.

    Raises:
        ValueError: If the URL is not that of a proxy. The message does not quote the URL,
            which may contain a password.
    """
    target = urllib.parse.urlsplit(origin)
    if proxy is None and not urllib.request.proxy_bypass(target.netloc):
        proxies = urllib.request.getproxies()
        proxy = proxies.get(target.scheme) or proxies.get("all")
    if not proxy:
        return Proxy()
    parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"proxy must be http:// or https://, not {parts.scheme}://.")
    if not _has_valid_address(parts):
        raise ValueError("proxy must be a URL with a host, as in http://user:password@host:80.")
    host = parts.netloc.rpartition("@")[2]
    url = urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
    if parts.username is None:
        return Proxy(url)
    login = urllib.parse.unquote_to_bytes(f"{parts.username}:{parts.password or ''}")
    return Proxy(url, {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"})


def _has_valid_address(parts: urllib.parse.SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port; the error quotes it
        return False


async def get_tls_context(verify: bool | str) -> ssl.SSLContext | bool:  # the `verify` setting
    """Return the TLS context for a `verify` setting.

    A context takes 20 ms to create, so it is created once, in a thread, and kept.

    Raises:
        ValueError: If `verify` is a path that does not lead to a CA bundle.
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
        raise ValueError(f"The CA bundle that verify names does not exist: {str(path)!r}.")
    if path.is_dir():
        return ssl.create_default_context(capath=path)
    try:
        return ssl.create_default_context(cafile=path)
    except OSError:
        msg = f"The file that verify names is not a CA bundle in PEM format: {str(path)!r}."
        raise ValueError(msg) from None
