"""An answer whose headers have come: its body, and how long the server may be silent."""

from __future__ import annotations

import asyncio
import functools
import math
from typing import TYPE_CHECKING

import aiohttp

from langchain_cerebras_inference._http import aiohttp_errors
from langchain_cerebras_inference.errors import CerebrasError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from langchain_cerebras_inference._http.connection_pool import Pool
    from langchain_cerebras_inference._http.request import Attempt

FAILURES = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError)

MOMENT = 0.01
"""Seconds in which a loop that was kept busy reads what had come before it was due."""


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
        except FAILURES as error:
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
            self._timer = self._loop.call_later(MOMENT, look_again)

    def _failure(self, error: BaseException) -> CerebrasError:
        if isinstance(error, _SilenceError):
            return self._attempt.silence()
        return aiohttp_errors.broken(error, self.status)

    def _unread(self) -> bytes:
        self._content.set_exception(None)  # type: ignore[arg-type] # lets it be read
        return self._content.read_nowait()


class _SilenceError(TimeoutError):
    """The watchdog's word to the read that waits."""
