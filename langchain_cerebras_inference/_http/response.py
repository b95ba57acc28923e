"""An HTTP response whose headers have arrived, and its idle timeout."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import aiohttp

from langchain_cerebras_inference._http import aiohttp_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from langchain_cerebras_inference._http.connection_pool import ConnectionPool
    from langchain_cerebras_inference.errors import CerebrasError

NETWORK_ERRORS = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError)

GRACE_PERIOD = 0.01
"""Seconds after a deadline in which a busy event loop can read data that arrived in time."""


class Response:
    """A response whose headers have arrived; its body is read as it arrives.

    Args:
        response: aiohttp's response.
        pool: The pool to tell when the response is closed.
        url: The URL of the request, for error messages.
        idle_timeout: Seconds after which a read fails, unless the caller has restarted the
            timeout with `restart_timeout`; `inf` is no limit. `EventStream` restarts it for
            events, but not for comments. Any other body must arrive within one idle timeout.
        deadline: The time (of the event loop's clock) by which the first part of the body
            must arrive.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        pool: ConnectionPool,
        *,
        url: str,
        idle_timeout: float,
        deadline: float,
    ) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response: aiohttp.ClientResponse | None = response
        self._reader = response.content
        self._pool = pool
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._idle_timeout = idle_timeout
        self._deadline = deadline
        self._final_deadline = math.inf
        self._is_reading = False
        self._error: CerebrasError | None = None
        self._timer: asyncio.TimerHandle | None = None
        if math.isfinite(idle_timeout):
            self._timer = self._loop.call_at(deadline, self._check_deadline)
        connection = response.connection
        protocol = connection.protocol if connection is not None else None
        self._connection_closed_future = protocol.closed if protocol is not None else None
        if self._connection_closed_future is not None:
            self._connection_closed_future.add_done_callback(self._fail_incomplete_body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def read(self, limit: int) -> bytes:
        """Read the body until its end, or until more than `limit` bytes have arrived.

        A result that is longer than `limit` may therefore be incomplete.
        """
        parts: list[bytes] = []
        size = 0
        while size <= limit and (data := await self.read_available()):
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    async def read_available(self, *, restart_timeout: bool = False) -> bytes:
        """Wait for more of the body and return all that has arrived; `b""` at its end.

        Args:
            restart_timeout: Whether to restart the idle timeout, because there was progress
                since the last read, or the caller was busy.

        Raises:
            CerebrasConnectionError: If the connection broke. Data that arrived before is
                returned first.
            CerebrasTimeoutError: If the idle timeout has expired.
        """
        if self._error is not None:
            raise self._error
        if restart_timeout:
            deadline = self._loop.time() + self._idle_timeout
            self._deadline = min(deadline, self._final_deadline)
        self._is_reading = True
        try:
            return await self._reader.readany()
        except NETWORK_ERRORS as error:
            self._error = self._create_error(error)
        finally:
            self._is_reading = False
        data = self._take_buffered_data()
        if not data:
            raise self._error
        return data

    def limit_remaining_time(self, seconds: float) -> None:
        """Set a final deadline for the rest of the body, whether or not data arrives."""
        self._idle_timeout = seconds  # may have been `inf`, for which there is no timer
        self._deadline = self._final_deadline = self._loop.time() + seconds
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._check_deadline)

    def close(self) -> None:
        """Close the response.

        Its connection is kept if the body has been read to the end, and closed otherwise.
        """
        if self._response is None:
            return
        response, self._response = self._response, None
        if self._timer is not None:
            self._timer.cancel()
        if self._connection_closed_future is not None:
            self._connection_closed_future.remove_done_callback(self._fail_incomplete_body)
        connection = response.connection  # `None` once the whole body has been read
        transport = connection.transport if connection is not None else None
        if transport is not None and not self._loop.is_closed():
            transport.abort()  # closing a TLS connection would wait for the server
        response.close()
        self._pool.end_request()

    def _fail_incomplete_body(self, _: object) -> None:
        # aiohttp does not report a connection that is lost within an HTTP chunk.
        if not self._reader.is_eof() and self._reader.exception() is None:
            self._reader.set_exception(aiohttp.ClientPayloadError())

    def _check_deadline(self) -> None:
        # A restart of the timeout moves only the deadline, so the timer may end before it.
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check_deadline)
        elif self._is_reading:
            self._timer = self._loop.call_later(GRACE_PERIOD, self._expire)
        else:  # the caller is busy; a read with `restart_timeout` sets a new deadline
            self._timer = self._loop.call_later(self._idle_timeout, self._check_deadline)

    def _expire(self) -> None:
        if self._is_reading and self._loop.time() >= self._deadline:
            self._reader.set_exception(_IdleTimeoutError())
        else:
            self._check_deadline()

    def _create_error(self, error: BaseException) -> CerebrasError:
        if isinstance(error, _IdleTimeoutError):
            return aiohttp_errors.create_idle_timeout_error(self._url, self._idle_timeout)
        return aiohttp_errors.create_body_error(error, self.status)

    def _take_buffered_data(self) -> bytes:
        # aiohttp returns no data from a stream that has an exception.
        self._reader.set_exception(None)  # type: ignore[arg-type]
        return self._reader.read_nowait()


class _IdleTimeoutError(TimeoutError):
    """The exception that the timer sets on aiohttp's stream."""
