"""aiohttp's errors → ours: what happened on the way to a host, and what to do.

They are never chained: some of them carry the request, and with it the key.
"""

from __future__ import annotations

import ssl

import aiohttp

from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasProtocolError,
    CerebrasTimeoutError,
)


def broken(error: BaseException, status: int) -> CerebrasError:
    """The connection broke after the answer's headers had come."""
    reason = getattr(error, "strerror", None) or type(error).__name__
    return CerebrasConnectionError(
        f"The connection broke before the answer's end ({reason}); try again.",
        status=status,
    )


def silence(seconds: float) -> CerebrasTimeoutError:
    return CerebrasTimeoutError(
        f"Nothing came from Cerebras for {seconds:g} s; raise timeout if it may take longer."
    )


def to_error(error: BaseException, url: str, connect_timeout: float) -> CerebrasError:
    host = url.split("/")[2]
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return _tls_error(error, host)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return CerebrasConnectionError(
            f"The proxy refused the way to {host} ({error.status}); check proxy.",
            is_retryable=error.status >= 500,
        )
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return CerebrasConnectionError("The proxy cannot be reached; check proxy.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return CerebrasConnectionError(
            f"The name of {host} cannot be resolved; check base_url and the network."
        )
    if isinstance(error, TimeoutError):
        return CerebrasTimeoutError(f"No connection to {host} within {connect_timeout:g} s.")
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.InvalidURL)):
        return CerebrasProtocolError(f"What answers at {host} does not speak HTTP.")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return CerebrasConnectionError(f"No connection to {host}: {reason}.")


def _tls_error(error: BaseException, host: str) -> CerebrasError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return CerebrasConnectionError(
            f"The certificate of {host} does not verify; for a CA of your own set verify"
            " to its bundle, or SSL_CERT_FILE.",
            is_retryable=False,
        )
    return CerebrasConnectionError(f"TLS with {host} failed; is base_url right?")
