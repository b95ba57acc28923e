"""A request on aiohttp, up to the headers of its answer; how long that may take.

aiohttp stays in this folder: who calls `send` sees no object and no error of it.
"""

from __future__ import annotations

import asyncio
import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from langchain_cerebras_inference._http import aiohttp_errors, connection_pool
from langchain_cerebras_inference._http.response import FAILURES, MOMENT, Answer
from langchain_cerebras_inference._http.route import Proxy, tls_context
from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST_BYTES_BODY = 1024 * 1024
"""aiohttp warns when it is given more than this as `bytes`, and not as a file."""

_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach a server.

    Attributes:
        proxy: A proxy's URL; `None` takes the usual environment variables.
        verify: Whether certificates are checked, or the path of a CA bundle.
        connect_timeout: Seconds for name, connection and TLS together; `inf` is no limit.
        setting: The setting that names the server, for the advice in errors.
    """

    proxy: str | None = field(default=None, repr=False)
    verify: bool | str = True
    connect_timeout: float = 10.0
    setting: str = "base_url"

    @property
    def connect_limit(self) -> float | None:
        """The same in aiohttp's words."""
        return self.connect_timeout if math.isfinite(self.connect_timeout) else None


class DeadConnectionError(CerebrasConnectionError):
    """A kept-alive connection was dead, and no byte of an answer has come."""


async def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    route: Route,
    timeout: float,
    fresh: bool = False,
) -> Answer:
    """Send one request; return its answer as soon as the headers are here.

    Args:
        method: The HTTP method.
        url: An absolute URL.
        headers: All that is sent besides what HTTP itself needs.
        body: The body, if any.
        route: How to reach the server.
        timeout: Seconds from the connection to the first meaningful byte, and then
            between such bytes; `inf` is no limit.
        fresh: Whether a new connection must be used.

    Raises:
        DeadConnectionError: If a reused connection broke before an answer began.
        CerebrasConnectionError: If the server cannot be reached.
        CerebrasTimeoutError: If connecting or the first byte took too long.
        CerebrasProtocolError: If the answer is not HTTP.
    """
    pool = await connection_pool.enter()
    attempt = Attempt(url, timeout)
    proxy = Proxy()
    try:
        is_secure = url.startswith("https:")
        proxy = pool.proxy_for(url, route.proxy)
        is_plain = not is_secure and not (proxy.url or "").startswith("https:")
        tls = True if is_plain else await tls_context(route.verify)
        with attempt:
            async with attempt.deadline:
                response = await pool.session(fresh=fresh).request(
                    method,
                    url,
                    headers=headers if is_secure else {**headers, **proxy.headers},
                    data=io.BytesIO(body) if body and len(body) > _LARGEST_BYTES_BODY else body,
                    ssl=tls,
                    proxy=proxy.url,
                    proxy_headers=proxy.headers,
                    skip_auto_headers=_AUTOMATIC,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=route.connect_limit),
                )
    except FAILURES as error:
        pool.leave()
        failure = attempt.failure(error, proxy.url, route)
    except BaseException:
        pool.leave()
        raise
    else:
        answer = Answer(response, pool, attempt)
        if response.status != 407:
            return answer
        answer.close()
        failure = aiohttp_errors.refused_by_proxy(response.status, proxy.url)
    raise failure


class Attempt:
    """What is known of a request before its answer: the deadline, the connection."""

    def __init__(self, url: str, seconds: float) -> None:
        self.seconds = seconds
        self.deadline = asyncio.timeout(None)
        self.ends_at = math.inf
        self._url = url
        self._reused = False
        self._connected = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        """Wait for a connection."""
        self._token = connection_pool.waiting.set(self.connected)

    def __exit__(self, *_: object) -> None:
        """Stop the clock: the answer has come, or never will."""
        connection_pool.waiting.reset(self._token)
        self._stop()

    def connected(self, *, reused: bool) -> None:
        """Start the clock, or start it again: the server is reached, a byte is now due."""
        self._stop()
        self._connected = True
        self._reused = reused
        if math.isfinite(self.seconds):
            loop = asyncio.get_running_loop()
            self.ends_at = loop.time() + self.seconds
            self._timer = loop.call_at(self.ends_at, self._look_again)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self) -> None:
        self.deadline.reschedule(asyncio.get_running_loop().time() + MOMENT)

    def silence(self) -> CerebrasError:
        return aiohttp_errors.silence(self._url, self.seconds)

    def failure(self, error: BaseException, proxy: str | None, route: Route) -> CerebrasError:
        if self._connected and isinstance(error, TimeoutError):
            return self.silence()
        failure = aiohttp_errors.to_error(
            error,
            self._url,
            proxy,
            setting=route.setting,
            connect_timeout=route.connect_timeout,
        )
        is_broken = type(failure) is CerebrasConnectionError
        if self._reused and is_broken and not _had_begun(error):
            return DeadConnectionError(str(failure))
        return failure


def _had_begun(error: BaseException) -> bool:
    """Whether bytes of an answer had come: aiohttp then tells of them, else in words."""
    message = getattr(error, "message", "")
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(message, str)
