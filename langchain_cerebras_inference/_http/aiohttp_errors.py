"""aiohttp's errors → ours: what happened on the way to a host, and what to do.

They are never chained: some of them carry the request, and with it the key.
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

_ENCODING = "content-encoding: "
"""What aiohttp writes before the name of an encoding that it cannot decode."""


def broken(error: BaseException, status: int) -> CerebrasError:
    """The connection broke after the answer's headers had come."""
    reason = getattr(error, "strerror", None) or type(error).__name__
    return CerebrasConnectionError(
        f"The connection broke before the answer's end ({reason}); try again.",
        status=status,
    )


def silence(url: str, seconds: float) -> CerebrasTimeoutError:
    return CerebrasTimeoutError(
        f"Nothing came from {urlsplit(url).netloc} for {seconds:g} s;"
        " raise timeout if it may take longer."
    )


def to_error(
    error: BaseException,
    url: str,
    proxy: str | None,
    *,
    setting: str,
    connect_timeout: float,
) -> CerebrasError:
    """What kept a request to `url`, which `setting` names, from being answered."""
    host, setting = _place(error, url, proxy, setting)
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return _tls_error(error, host, setting)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return refused_by_proxy(error.status, proxy)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return CerebrasConnectionError(f"The proxy {host} cannot be reached; check proxy.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return CerebrasConnectionError(
            f"The name of {host} cannot be resolved; check {setting} and the network."
        )
    if isinstance(error, TimeoutError):
        return CerebrasTimeoutError(f"No connection to {host} within {connect_timeout:g} s.")
    if isinstance(error, aiohttp.ClientResponseError) and _ENCODING in error.message:
        encoding = error.message.partition(_ENCODING)[2].partition(".")[0]
        return CerebrasProtocolError(
            f"What {host} answers is encoded, unasked, as {encoding}; is {setting} right,"
            " or does a proxy answer for it?"
        )
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.InvalidURL)):
        return CerebrasProtocolError(f"What answers at {host} does not speak HTTP.")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return CerebrasConnectionError(f"No connection to {host}: {reason}.")


def refused_by_proxy(status: int, proxy: str | None) -> CerebrasError:
    where = urlsplit(proxy).netloc if proxy else "a proxy on the way"
    what = "the user and password for" if status == 407 else "proxy, which is"
    return CerebrasConnectionError(
        f"The proxy refused to pass the request on ({status}); check {what} {where}.",
        status=status,
        is_retryable=status >= 500,
    )


def _place(error: BaseException, url: str, proxy: str | None, setting: str) -> tuple[str, str]:
    """Where it failed, and the setting that names that place: the server or the proxy."""
    there = urlsplit(proxy or "")
    address = getattr(error, "host", None), getattr(error, "port", None)
    if address == (there.hostname, there.port or (443 if there.scheme == "https" else 80)):
        return there.netloc, "proxy"
    return urlsplit(url).netloc, setting


def _tls_error(error: BaseException, host: str, setting: str) -> CerebrasError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return CerebrasConnectionError(
            f"The certificate of {host} does not verify; for a CA of your own set verify"
            " to its bundle, or SSL_CERT_FILE.",
            is_retryable=False,
        )
    return CerebrasConnectionError(f"TLS with {host} failed; is {setting} right?")
