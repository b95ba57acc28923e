"""Send one HTTP request and wait for the headers of its response.

Callers of `send` get no objects and no exceptions of aiohttp.
"""

from __future__ import annotations

import asyncio
import functools
import io
import math
import os
from typing import TYPE_CHECKING

import aiohttp

from langchain_cerebras_inference._http import aiohttp_errors, connection_pool
from langchain_cerebras_inference._http.response import (
    GRACE_PERIOD,
    NETWORK_ERRORS,
    Response,
)
from langchain_cerebras_inference._http.route import (
    HTTP_PROXY_VARIABLES,
    HTTPS_PROXY_VARIABLES,
    Proxy,
    find_proxy,
    get_tls_context,
)
from langchain_cerebras_inference.errors import CerebrasConnectionError, CerebrasError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_cerebras_inference._http.route import Route

_MAX_BODY_AS_BYTES = 1024 * 1024
"""aiohttp warns about a larger body that is `bytes` and not a file."""


class DeadConnectionError(CerebrasConnectionError):
    """A reused connection broke before the first byte of the response arrived."""


async def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    route: Route,
    timeout: float,
    owner: object = None,
    use_fresh_connection: bool = False,
) -> Response:
    """Send a request and return its response as soon as the headers have arrived.

    Args:
        method: The HTTP method.
        url: An absolute URL.
        headers: All headers except `Host` and `Content-Length`.
        body: The request body, if any.
        route: How to reach the server.
        timeout: The idle timeout in seconds, which starts when the request has got a
            connection; see `Response`.
        owner: The model that makes the request, if any; see `connection_pool`.
        use_fresh_connection: Whether to open a new connection, and to close it afterwards.

    Raises:
        DeadConnectionError: If a reused connection broke before the first byte of the
            response arrived.
        CerebrasConnectionError: If the server or the proxy cannot be reached, or the proxy in
            the environment variables is invalid.
        CerebrasTimeoutError: If no connection or no response came in time.
        CerebrasProtocolError: If the response is not valid HTTP, or aiohttp does not accept
            the URL.
        ValueError: If the setting `proxy`, `verify` or `client_cert` is invalid.
    """
    pool = await connection_pool.acquire_pool(url, owner)
    pending_request = _PendingRequest(timeout)
    proxy = Proxy()
    try:
        is_secure = url.startswith("https:")
        # The variables are read for each request, because a program may set them at any time.
        names = HTTPS_PROXY_VARIABLES if is_secure else HTTP_PROXY_VARIABLES
        proxy = find_proxy(pool.origin, route.proxy, tuple(map(os.environ.get, names)))
        needs_tls = is_secure or (proxy.url or "").startswith("https:")
        tls = await get_tls_context(route) if needs_tls else True
        client_session = pool.get_client_session(fresh=use_fresh_connection)
        token = connection_pool.on_connected.set(pending_request.start)
        try:
            async with pending_request.timeout_scope:
                aiohttp_response = await client_session.request(
                    method,
                    url,
                    headers=headers if is_secure else {**headers, **proxy.headers},
                    data=io.BytesIO(body) if body and len(body) > _MAX_BODY_AS_BYTES else body,
                    ssl=tls,
                    proxy=proxy.url,
                    proxy_headers=proxy.headers,
                    allow_redirects=False,
                    timeout=_create_client_timeout(route.connect_timeout),
                )
        finally:
            connection_pool.on_connected.reset(token)
            pending_request.stop()
    except NETWORK_ERRORS as error:
        pool.end_request()
        # Raise our error outside the `except` block, so that its `__context__` does not keep
        # aiohttp's error, which may refer to the request and so to the key.
        failure = pending_request.create_error(error, url, proxy.url, route)
    except BaseException:
        pool.end_request()
        raise
    else:
        response = Response(
            aiohttp_response,
            pool,
            url=url,
            idle_timeout=timeout,
            deadline=pending_request.deadline,
        )
        if response.status != 407:
            return response
        response.close()
        failure = aiohttp_errors.create_proxy_error(response.status, proxy.url)
    raise failure


@functools.cache
def _create_client_timeout(connect_timeout: float) -> aiohttp.ClientTimeout:
    limit = connect_timeout if math.isfinite(connect_timeout) else None
    return aiohttp.ClientTimeout(total=None, connect=limit)


class _PendingRequest:
    """A request that waits for its response headers: its idle timeout and its errors.

    The timeout starts when the request has got a connection. `timeout_scope` is an
    `asyncio.timeout` without a deadline; when the time is over, the timer sets one.
    """

    def __init__(self, seconds: float) -> None:
        self.timeout_scope = asyncio.timeout(None)
        self.deadline = math.inf
        self._seconds = seconds
        self._is_connected = False
        self._is_connection_reused = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self, *, is_reused: bool) -> None:
        """Start the timeout, or start it again if the request gets another connection."""
        self.stop()
        self._is_connected = True
        self._is_connection_reused = is_reused
        if math.isfinite(self._seconds):
            loop = asyncio.get_running_loop()
            self.deadline = loop.time() + self._seconds
            self._timer = loop.call_at(self.deadline, self._expire)

    def stop(self) -> None:
        """Stop the timer; `deadline` keeps its value for `Response`."""
        if self._timer is not None:
            self._timer.cancel()

    def create_error(
        self, error: BaseException, url: str, proxy: str | None, route: Route
    ) -> CerebrasError:
        """Return the error of this package for an exception of aiohttp."""
        if self._is_connected and isinstance(error, TimeoutError):
            return aiohttp_errors.create_idle_timeout_error(url, self._seconds)
        request_error = aiohttp_errors.create_request_error(
            error,
            url,
            proxy,
            setting=route.url_setting,
            connect_timeout=route.connect_timeout,
        )
        is_connection_error = type(request_error) is CerebrasConnectionError
        if (
            is_connection_error
            and self._is_connection_reused
            and not _has_response_begun(error)
        ):
            return DeadConnectionError(str(request_error))
        return request_error

    def _expire(self) -> None:
        """End the request soon; data that has arrived meanwhile is still read."""
        self.timeout_scope.reschedule(asyncio.get_running_loop().time() + GRACE_PERIOD)


def _has_response_begun(error: BaseException) -> bool:
    """Return whether the connection broke after the first bytes of a response.

    The error of aiohttp then contains a parsed message instead of a string.
    """
    message = getattr(error, "message", "")
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(message, str)
