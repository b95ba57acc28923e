"""A request and its answer, on aiohttp; how long either may take.

aiohttp stays in this folder: who calls `send` sees no object and no error of it.
"""

from __future__ import annotations

import asyncio
import functools
import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from langchain_cerebras_inference._transport import failures, sessions, ways
from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from langchain_cerebras_inference._transport.sessions import Pool

_LARGEST_BYTES_BODY = 1024 * 1024
"""aiohttp warns when it is given more than this as `bytes`, and not as a file."""

_MOMENT = 0.01
"""Seconds in which a loop that was kept busy reads what had come before it was due."""

_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_FAILURES = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError)


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
    pool = await sessions.enter()
    attempt = Attempt(url, timeout)
    proxy = ways.Proxy()
    try:
        is_secure = url.startswith("https:")
        proxy = pool.proxy_for(url, route.proxy)
        is_plain = not is_secure and not (proxy.url or "").startswith("https:")
        tls = True if is_plain else await ways.tls(route.verify)
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
    except _FAILURES as error:
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
        failure = failures.refused_by_proxy(response.status, proxy.url)
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
        self._token = sessions.waiting.set(self.connected)

    def __exit__(self, *_: object) -> None:
        """Stop the clock: the answer has come, or never will."""
        sessions.waiting.reset(self._token)
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
        self.deadline.reschedule(asyncio.get_running_loop().time() + _MOMENT)

    def silence(self) -> CerebrasError:
        return failures.silence(self._url, self.seconds)

    def failure(self, error: BaseException, proxy: str | None, route: Route) -> CerebrasError:
        if self._connected and isinstance(error, TimeoutError):
            return self.silence()
        failure = failures.to_error(
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


class Answer:
    """An answer whose headers have come; its body is read as it arrives."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        pool: Pool,
        attempt: Attempt,
    ) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response: aiohttp.ClientResponse | None = response
        self._content = response.content
        self._pool = pool
        self._attempt = attempt
        self._seconds = attempt.seconds
        self._loop = asyncio.get_running_loop()
        self._ends_at = attempt.ends_at
        self._ends_by = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._broken: CerebrasError | None = None
        self._watch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def read(self, limit: int) -> bytes:
        """Read the body, or as much of it as first has more than `limit` bytes."""
        parts: list[bytes] = []
        size = 0
        while size <= limit and (data := await self.read_some()):
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    async def read_some(self) -> bytes:
        """Wait for more of the body and return all that has come; `b""` at its end.

        Raises:
            CerebrasConnectionError: If the connection broke; what came before is
                returned first.
            CerebrasTimeoutError: If the deadline has passed.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return await self._content.readany()
        except _FAILURES as error:
            failure = self._failure(error)
        rest = self._unread()
        if not rest:
            raise failure
        self._broken = failure
        return rest

    def progressed(self) -> None:
        """Give the server its full time again: something meaningful has come."""
        self._ends_at = min(self._loop.time() + self._seconds, self._ends_by)

    def hold(self) -> None:
        """Stop the clock: it is the reader who is busy, not the server."""
        self._ends_at = self._ends_by

    def allow(self, seconds: float) -> None:
        """Let the rest of the body take at most `seconds`, whatever comes."""
        self._seconds = seconds
        self._ends_at = self._ends_by = self._loop.time() + seconds
        if self._timer is not None:
            self._timer.cancel()
        self._watch()

    def close(self) -> None:
        """Let go: a connection whose body was read is kept, any other is closed now."""
        if self._response is None:
            return
        response, self._response = self._response, None
        if self._timer is not None:
            self._timer.cancel()
        response.close()
        self._pool.leave()

    def _watch(self) -> None:
        if math.isfinite(self._seconds):
            latest = self._loop.time() + self._seconds
            self._timer = self._loop.call_at(min(self._ends_at, latest), self._check)

    def _check(self, *, is_last: bool = False) -> None:
        if self._loop.time() < self._ends_at:
            self._watch()
        elif is_last:
            self._content.set_exception(_SilenceError())
        else:
            look_again = functools.partial(self._check, is_last=True)
            self._timer = self._loop.call_later(_MOMENT, look_again)

    def _failure(self, error: BaseException) -> CerebrasError:
        if isinstance(error, _SilenceError):
            return self._attempt.silence()
        return failures.broken(error, self.status)

    def _unread(self) -> bytes:
        self._content.set_exception(None)  # type: ignore[arg-type] # lets it be read
        return self._content.read_nowait()


def _had_begun(error: BaseException) -> bool:
    """Whether bytes of an answer had come: aiohttp then tells of them, else in words."""
    message = getattr(error, "message", "")
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(message, str)


class _SilenceError(TimeoutError):
    """The watchdog's word to the read that waits."""
