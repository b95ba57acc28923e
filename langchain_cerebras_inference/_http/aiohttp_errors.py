"""Convert exceptions of aiohttp into errors of this package.

An exception of aiohttp may refer to the request, and so to the key. The functions here
therefore copy data from it, and never chain it.
"""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import aiohttp

from langchain_cerebras_inference._urls import get_wrong_server_advice
from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasProtocolError,
    CerebrasTimeoutError,
)

_ENCODING_PREFIX = "content-encoding: "
"""What precedes the name of an unknown content encoding in aiohttp's message."""


def create_body_error(error: BaseException, status: int) -> CerebrasError:
    """Return the error for a connection that broke within a response body."""
    return CerebrasConnectionError(
        f"The connection broke before the end of the response ({_describe(error)}). Try again.",
        status=status,
    )


def create_idle_timeout_error(url: str, seconds: float) -> CerebrasTimeoutError:
    """Return the error for a server that was idle for too long."""
    return CerebrasTimeoutError(
        f"No data arrived from {urlsplit(url).netloc} for {seconds:g} s. If the model needs"
        " more time, increase the setting timeout."
    )


def create_request_error(
    error: BaseException,
    url: str,
    proxy: str | None,
    *,
    setting: str,
    connect_timeout: float,
) -> CerebrasError:
    """Return the error for a request that got no response.

    Args:
        error: The exception that aiohttp raised.
        url: The URL of the request.
        proxy: The URL of the proxy, without user and password; `None` without a proxy.
        setting: The setting that contains the server's URL.
        connect_timeout: The time limit for the connection, in seconds.
    """
    host, setting = _find_failed_host(error, url, proxy, setting)
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return _create_tls_error(error, host, setting)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return create_proxy_error(error.status, proxy)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return CerebrasConnectionError(
            f"The proxy {host} cannot be reached. Check the setting proxy and the network."
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return CerebrasConnectionError(
            f"The host name of {host} cannot be resolved. Check the setting {setting} and the"
            " network."
        )
    if isinstance(error, TimeoutError):
        return CerebrasTimeoutError(
            f"No connection to {host} within {connect_timeout:g} s. Check the setting"
            f" {setting} and the network, or increase the setting connect_timeout."
        )
    if isinstance(error, aiohttp.InvalidURL):
        return CerebrasProtocolError(
            f"aiohttp does not accept the URL of {host}. Check the setting {setting}."
        )
    if isinstance(error, aiohttp.ClientResponseError):
        return _create_response_error(error, host, setting)
    return CerebrasConnectionError(
        f"The connection to {host} failed ({_describe(error)}). Check the setting {setting} and"
        " the network."
    )


def create_proxy_error(status: int, proxy: str | None) -> CerebrasError:
    """Return the error for a proxy that did not forward the request.

    Args:
        status: The status of the proxy's response.
        proxy: The URL of the proxy, without user and password; `None` for a proxy that this
            package does not know, but that is on the route to the server.
    """
    name = f"proxy {urlsplit(proxy).netloc}" if proxy else "proxy on the route to the server"
    advice = (
        "Set the setting proxy to its URL with the right user and password."
        if status == 407
        else "Check the setting proxy and the network."
    )
    return CerebrasConnectionError(
        f"The {name} did not forward the request (status {status}). {advice}",
        status=status,
        is_retryable=status >= 500,
    )


def _find_failed_host(
    error: BaseException, url: str, proxy: str | None, setting: str
) -> tuple[str, str]:
    """Return the host at which the request failed, and the setting with its URL."""
    proxy_parts = urlsplit(proxy or "")
    proxy_port = proxy_parts.port or (443 if proxy_parts.scheme == "https" else 80)
    address = getattr(error, "host", None), getattr(error, "port", None)
    if address == (proxy_parts.hostname, proxy_port):
        return proxy_parts.netloc, "proxy"
    return urlsplit(url).netloc, setting


def _create_tls_error(error: BaseException, host: str, setting: str) -> CerebrasError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return CerebrasConnectionError(
            f"The certificate of {host} cannot be verified. If your own CA issued it, set"
            " the setting verify or the variable SSL_CERT_FILE to the path of the CA's"
            " certificate, or SSL_CERT_DIR to its folder.",
            is_retryable=False,
        )
    return CerebrasConnectionError(
        f"The TLS handshake with {host} failed. Check the setting {setting}."
    )


def _create_response_error(
    error: aiohttp.ClientResponseError, host: str, setting: str
) -> CerebrasError:
    advice = get_wrong_server_advice(setting)
    if _ENCODING_PREFIX in error.message:
        encoding = error.message.partition(_ENCODING_PREFIX)[2].partition(".")[0]
        return CerebrasProtocolError(
            f"The response of {host} has the content encoding {encoding}, which was not"
            f" requested. {advice}"
        )
    return CerebrasProtocolError(f"The response of {host} is not valid HTTP. {advice}")


def _describe(error: BaseException) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
