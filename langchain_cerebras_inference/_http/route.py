"""The route of a request: the proxy, the trusted certificates, the client certificate."""

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
from typing import TYPE_CHECKING, TypeAlias

from langchain_cerebras_inference.errors import CerebrasConnectionError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROXY_VARIABLES_OF_ALL_SCHEMES = ("all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")
HTTP_PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", *_PROXY_VARIABLES_OF_ALL_SCHEMES)
HTTPS_PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", *_PROXY_VARIABLES_OF_ALL_SCHEMES)
"""The environment variables that determine the proxy of a server."""

ClientCert: TypeAlias = str | tuple[str, str] | None

_ContextKey: TypeAlias = tuple[bool | str, ClientCert, str | None, str | None]

_tls_contexts: dict[_ContextKey, ssl.SSLContext] = {}
"""The TLS contexts. aiohttp reuses a connection only for requests with the same context."""


@dataclass(frozen=True, slots=True)
class Route:
    """The settings that determine how to reach a server.

    Attributes:
        proxy: The setting `proxy`: the URL of a proxy, `""` for no proxy, or `None` for the
            proxy in the environment variables.
        verify: Whether to check certificates, or the path of a CA bundle.
        connect_timeout: Time limit in seconds for DNS, TCP and TLS together; `inf` is no
            limit.
        url_setting: The name of the setting with the server's URL, for error messages.
        client_cert: The path of a PEM file with a client certificate and its private key, or
            a pair of paths, certificate and key, or `None`.
    """

    proxy: str | None = field(default=None, repr=False)
    verify: bool | str = True
    connect_timeout: float = 10.0
    url_setting: str = "base_url"
    client_cert: ClientCert = None


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
        variables: The current values of the variables for the scheme. They are only part of
            the cache key, so that a change of the environment is noticed.

    Raises:
        ValueError: If the setting is invalid. The message does not quote the URL, because it
            may contain a password.
        CerebrasConnectionError: If the proxy in the environment variables is invalid. The
            request is not sent without it, because the proxy may be required.
    """
    target = urllib.parse.urlsplit(origin)
    source = None
    if proxy is None and not urllib.request.proxy_bypass(target.netloc):
        proxies = urllib.request.getproxies()
        source = next((name for name in (target.scheme, "all") if proxies.get(name)), None)
        proxy = proxies[source] if source else None
    if not proxy:
        return Proxy()
    parts = _split_url(proxy)
    problem = _find_proxy_problem(parts)
    if parts is None or problem is not None:
        if source is None:
            raise ValueError(f"The proxy (setting proxy, or CEREBRAS_PROXY) {problem}.")
        raise CerebrasConnectionError(
            f"The proxy in {_find_variable(source, proxy)} {problem}. Correct it, or set the"
            f" setting proxy. If no proxy is needed, add {target.hostname} to NO_PROXY.",
            is_retryable=False,
        )
    host = parts.netloc.rpartition("@")[2]
    url = urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
    if parts.username is None:
        return Proxy(url)
    login = urllib.parse.unquote_to_bytes(f"{parts.username}:{parts.password or ''}")
    return Proxy(url, {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"})


def _split_url(url: str) -> urllib.parse.SplitResult | None:
    try:
        return urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    except ValueError:  # an invalid host; this error quotes it, so it is not passed on
        return None


def _find_proxy_problem(parts: urllib.parse.SplitResult | None) -> str | None:
    """Return the problem of a proxy URL as a phrase that continues "The proxy …", or `None`."""
    if parts is not None and parts.scheme not in ("http", "https"):
        return f"must be an http or https URL, not {parts.scheme}://"
    if parts is None or not _has_valid_address(parts):
        return "must be a URL with a host, as in http://user:password@host:80"
    return None


def _has_valid_address(parts: urllib.parse.SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port; this error quotes it, so it is not passed on
        return False


def _find_variable(scheme: str, proxy: str) -> str:
    """Return the name of the environment variable from which a proxy comes."""
    for name, value in os.environ.items():
        if name.lower() == f"{scheme}_proxy" and value == proxy:
            return name
    return "the settings of the operating system"


async def get_tls_context(route: Route) -> ssl.SSLContext | bool:
    """Return the TLS context of a route; `False` turns off certificate checks.

    Creating a context takes 20 ms, so it is created only once, and in a thread.

    Raises:
        ValueError: If `verify` is a path, but not that of a CA bundle, or if the client
            certificate cannot be used.
    """
    verify, client_cert = route.verify, route.client_cert
    if verify is False and client_cert is None:
        return False
    variables = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    key = (verify, client_cert, *variables)
    if key not in _tls_contexts:
        _tls_contexts[key] = await asyncio.to_thread(_create_tls_context, verify, client_cert)
    return _tls_contexts[key]


def _create_tls_context(verify: bool | str, client_cert: ClientCert) -> ssl.SSLContext:
    context = _create_verifying_context(verify)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert is not None:
        _load_client_cert(context, client_cert)
    return context


def _create_verifying_context(verify: bool | str) -> ssl.SSLContext:
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


def _load_client_cert(context: ssl.SSLContext, client_cert: str | tuple[str, str]) -> None:
    paths = (client_cert,) if isinstance(client_cert, str) else client_cert
    cert, key = (Path(path).expanduser() for path in (paths[0], paths[-1]))

    def reject_password() -> str:
        # Without this function, OpenSSL would ask for the password in the terminal.
        raise ValueError(
            f"client_cert: The private key in {str(key)!r} is encrypted. Store it without a"
            " password, as with: openssl pkey -in KEY -out NEW_KEY."
        )

    for path in (cert, key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ValueError(
                f"client_cert: {str(path)!r} cannot be read ({error.strerror}). Set client_cert"
                " to the path of a PEM file, or to a pair of paths, certificate and key."
            ) from None
    try:
        context.load_cert_chain(cert, key, reject_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(
                f"client_cert: The private key in {str(key)!r} does not belong to the"
                f" certificate in {str(cert)!r}. Set client_cert to the paths of a pair."
            ) from None
        raise ValueError(
            f"client_cert: {str(cert)!r} must contain a certificate and {str(key)!r} its"
            " private key, in PEM format."
        ) from None
