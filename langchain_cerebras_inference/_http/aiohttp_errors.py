"""The errors of this package for those of aiohttp: what happened, and what to do.

An error of aiohttp may hold the request, and with it the key. The functions here therefore
copy facts from it and never chain it.
"""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import aiohttp

from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasProtocolError,
    CerebrasTimeoutError,
)

_ENCODING_PREFIX = "content-encoding: "
"""aiohttp's text before the name of a content encoding that it cannot decode."""


def convert_body_error(error: BaseException, status: int) -> CerebrasError:
    """Return the error for a connection that broke within a response body."""
    return CerebrasConnectionError(
        f"The connection broke before the end of the response ({_describe(error)}); try again.",
        status=status,
    )


def create_idle_timeout_error(url: str, seconds: float) -> CerebrasTimeoutError:
    """Return the error for a server that sent nothing for too long."""
    return CerebrasTimeoutError(
        f"No data arrived from {urlsplit(url).netloc} for {seconds:g} s; if the model needs"
        " longer, raise timeout."
    )


def convert_request_error(
    error: BaseException,
    url: str,
    proxy: str | None,
    *,
    setting: str,
    connect_timeout: float,
) -> CerebrasError:
    """Return the error for a request that got no response.

    Args:
        error: The error that aiohttp raised.
        url: The URL of the request.
        proxy: The URL of the proxy, if there is one.
        setting: The setting that names the server.
        connect_timeout: The time limit for the connection, in seconds.
    """
    host, setting = _find_culprit(error, url, proxy, setting)
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return _convert_tls_error(error, host, setting)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return create_proxy_error(error.status, proxy)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return CerebrasConnectionError(f"The proxy {host} cannot be reached; check proxy.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return CerebrasConnectionError(
            f"The host name of {host} cannot be resolved; check {setting} and the network."
        )
    if isinstance(error, TimeoutError):
        return CerebrasTimeoutError(
            f"No connection to {host} within {connect_timeout:g} s; check {setting} and the"
            " network, or raise connect_timeout."
        )
    if isinstance(error, aiohttp.ClientResponseError) and _ENCODING_PREFIX in error.message:
        encoding = error.message.partition(_ENCODING_PREFIX)[2].partition(".")[0]
        return CerebrasProtocolError(
            f"The response of {host} has the content encoding {encoding}, which was not"
            f" requested; check {setting}, and whether a proxy responds in its place."
        )
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.InvalidURL)):
        return CerebrasProtocolError(
            f"The response of {host} is not valid HTTP; check {setting}, and whether a proxy"
            " responds in its place."
        )
    return CerebrasConnectionError(
        f"No connection to {host} ({_describe(error)}); check {setting} and the network."
    )


def create_proxy_error(status: int, proxy: str | None) -> CerebrasError:
    """Return the error for a proxy that did not forward the request."""
    where = urlsplit(proxy).netloc if proxy else "a proxy on the way"
    advice = (
        f"check the user and password for {where}"
        if status == 407
        else f"check proxy, which is {where}"
    )
    return CerebrasConnectionError(
        f"The proxy did not forward the request (status {status}); {advice}.",
        status=status,
        is_retryable=status >= 500,
    )


def _find_culprit(
    error: BaseException, url: str, proxy: str | None, setting: str
) -> tuple[str, str]:
    """Return the host at which the request failed, and the setting that names it."""
    proxy_parts = urlsplit(proxy or "")
    proxy_port = proxy_parts.port or (443 if proxy_parts.scheme == "https" else 80)
    address = getattr(error, "host", None), getattr(error, "port", None)
    if address == (proxy_parts.hostname, proxy_port):
        return proxy_parts.netloc, "proxy"
    return urlsplit(url).netloc, setting


def _convert_tls_error(error: BaseException, host: str, setting: str) -> CerebrasError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return CerebrasConnectionError(
            f"The certificate of {host} cannot be verified; if a CA of your own signed it, set"
            " verify or SSL_CERT_FILE to the path of its certificates.",
            is_retryable=False,
        )
    return CerebrasConnectionError(f"The TLS handshake with {host} failed; check {setting}.")


def _describe(error: BaseException) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
