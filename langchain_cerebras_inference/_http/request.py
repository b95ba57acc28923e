"""Sending one HTTP request and waiting for the headers of its response.

Only this folder uses aiohttp: callers of `send` see none of its objects and errors.
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
    PROXY_VARIABLES,
    Proxy,
    find_proxy,
    get_tls_context,
)
from langchain_cerebras_inference.errors import CerebrasConnectionError, CerebrasError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_cerebras_inference._http.route import Route

_MAX_BYTES_OBJECT = 1024 * 1024
"""aiohttp warns about a larger body that is given as `bytes` instead of as a file."""

_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class DeadConnectionError(CerebrasConnectionError):
    """A reused connection was dead before any byte of a response arrived."""


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
    """Send a request and return its response as soon as the headers are there.

    Args:
        method: The HTTP method.
        url: An absolute URL.
        headers: All headers besides those that HTTP itself needs.
        body: The request body, if any.
        route: How to reach the server.
        timeout: Seconds from the established connection to the first part of the response
            body, and later between such parts; `inf` is no limit.
        owner: The model whose connection it is, if any; see `connection_pool`.
        use_fresh_connection: Whether to open a connection for this request alone.

    Raises:
        DeadConnectionError: If a reused connection broke before the response began.
        CerebrasConnectionError: If the server cannot be reached.
        CerebrasTimeoutError: If the server did not connect or respond in time.
        CerebrasProtocolError: If the response is not HTTP.
    """
    pool = await connection_pool.acquire(url, owner)
    wait = _ResponseWait(timeout)
    proxy = Proxy()
    try:
        variables = tuple(map(os.environ.get, PROXY_VARIABLES))
        proxy = find_proxy(pool.origin, route.proxy, variables)
        is_secure = url.startswith("https:")
        needs_tls = is_secure or (proxy.url or "").startswith("https:")
        tls = await get_tls_context(route.verify) if needs_tls else True
        client_session = pool.get_client_session(fresh=use_fresh_connection)
        token = connection_pool.on_connected.set(wait.start)
        try:
            async with wait.timeout_scope:
                response = await client_session.request(
                    method,
                    url,
                    headers=headers if is_secure else {**headers, **proxy.headers},
                    data=io.BytesIO(body) if body and len(body) > _MAX_BYTES_OBJECT else body,
                    ssl=tls,
                    proxy=proxy.url,
                    proxy_headers=proxy.headers,
                    skip_auto_headers=_AUTOMATIC_HEADERS,
                    allow_redirects=False,
                    timeout=_client_timeout(route.connect_timeout),
                )
        finally:
            connection_pool.on_connected.reset(token)
            wait.stop()
    except NETWORK_ERRORS as error:
        pool.release()
        # aiohttp's error may hold the request with its key, so ours is raised below and
        # not in this block, where it would refer to it.
        failure = wait.convert_error(error, url, proxy.url, route)
    except BaseException:
        pool.release()
        raise
    else:
        result = Response(response, pool, url=url, idle_timeout=timeout, deadline=wait.deadline)
        if response.status != 407:
            return result
        result.close()
        failure = aiohttp_errors.create_proxy_error(response.status, proxy.url)
    raise failure


@functools.cache
def _client_timeout(connect_timeout: float) -> aiohttp.ClientTimeout:
    limit = connect_timeout if math.isfinite(connect_timeout) else None
    return aiohttp.ClientTimeout(total=None, connect=limit)


class _ResponseWait:
    """The wait for a response's headers; its clock starts when a connection is there."""

    def __init__(self, timeout: float) -> None:
        self.timeout_scope = asyncio.timeout(None)
        self.deadline = math.inf
        self._timeout = timeout
        self._is_connected = False
        self._is_connection_reused = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self, *, is_reused: bool) -> None:
        """Start the clock, or start it again for another connection."""
        self.stop()
        self._is_connected = True
        self._is_connection_reused = is_reused
        if math.isfinite(self._timeout):
            loop = asyncio.get_running_loop()
            self.deadline = loop.time() + self._timeout
            self._timer = loop.call_at(self.deadline, self._expire)

    def stop(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()

    def convert_error(
        self, error: BaseException, url: str, proxy: str | None, route: Route
    ) -> CerebrasError:
        """Return the error of this package for one of aiohttp."""
        if self._is_connected and isinstance(error, TimeoutError):
            return aiohttp_errors.create_idle_timeout_error(url, self._timeout)
        converted = aiohttp_errors.convert_request_error(
            error,
            url,
            proxy,
            setting=route.setting,
            connect_timeout=route.connect_timeout,
        )
        is_broken = type(converted) is CerebrasConnectionError
        if is_broken and self._is_connection_reused and not _has_response_begun(error):
            return DeadConnectionError(str(converted))
        return converted

    def _expire(self) -> None:
        self.timeout_scope.reschedule(asyncio.get_running_loop().time() + GRACE_PERIOD)


def _has_response_begun(error: BaseException) -> bool:
    """Return whether the first bytes of a response arrived before the error.

    aiohttp then puts a parsed message, and not a text, into its error.
    """
    message = getattr(error, "message", "")
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(message, str)
