"""The way to a server: through which proxy, and whose certificates are trusted."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROXY_VARIABLES = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)

_contexts: dict[tuple[bool | str, str | None, str | None], ssl.SSLContext] = {}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, or none.

    Attributes:
        url: Its URL without a user or a password.
        headers: What it is told besides, and nobody else.
    """

    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def proxy_variables() -> tuple[str | None, ...]:
    """The usual variables as they are now: a program may set them after its first call."""
    return tuple(map(os.environ.get, _PROXY_VARIABLES))


def find_proxy(origin: str, proxy: str | None) -> Proxy:
    """The proxy on the way to `origin`: the one given, else the environment's.

    Raises:
        ValueError: If it is none; nothing of it is repeated, for it may hold a password.
    """
    target = urllib.parse.urlsplit(origin)
    if proxy is None and not urllib.request.proxy_bypass(target.netloc):
        known = urllib.request.getproxies()
        proxy = known.get(target.scheme) or known.get("all")
    if not proxy:
        return Proxy()
    parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"proxy must be http:// or https://, not {parts.scheme}://.")
    if not _has_address(parts):
        raise ValueError("proxy must be a URL with a host, as in http://user:password@host:80.")
    host = parts.netloc.rpartition("@")[2]
    url = urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
    if parts.username is None:
        return Proxy(url)
    given = f"{parts.username}:{parts.password or ''}"
    credentials = base64.b64encode(urllib.parse.unquote_to_bytes(given)).decode()
    return Proxy(url, {"Proxy-Authorization": f"Basic {credentials}"})


def _has_address(parts: urllib.parse.SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is none; it quotes it
        return False


async def tls_context(verify: bool | str) -> ssl.SSLContext | bool:  # one setting
    """The TLS context of a `verify` setting: made once a process, off the loop."""
    if verify is False:
        return False
    key = (verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    if key not in _contexts:
        _contexts[key] = await asyncio.to_thread(_make_context, verify)
    return _contexts[key]


def _make_context(verify: bool | str) -> ssl.SSLContext:
    if isinstance(verify, bool):
        return ssl.create_default_context()
    path = Path(verify).expanduser()
    if not path.exists():
        raise ValueError(f"verify names a CA bundle that is not there: {str(path)!r}.")
    if path.is_dir():
        return ssl.create_default_context(capath=path)
    try:
        return ssl.create_default_context(cafile=path)
    except OSError:
        msg = f"verify names a file that is no CA bundle in PEM: {str(path)!r}."
        raise ValueError(msg) from None
