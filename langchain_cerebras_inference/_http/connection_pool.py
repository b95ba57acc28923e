"""One aiohttp session an event loop: made on first use, shared, closed without fuss.

A session is bound to the loop that made it. It is closed when that loop shuts down its
async generators, as `asyncio.run` does, because a suspended one holds it; when a model
is closed; or at exit. Where a loop was closed without that, its sockets are closed
directly.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import math
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from langchain_cerebras_inference._http import route

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_KEEP_ALIVE = 120.0
"""Seconds: longer than the pause between two turns of a chat."""

_LOOK_EVERY = 1.0
"""Seconds: to read the variables takes as long as to build a request."""

_READ_BUFFER = 2**18
_EXIT_PATIENCE = 1.0

waiting: ContextVar[Callable[..., None]] = ContextVar("waiting")
"""Whom to tell that a connection was made, and whether it is a `reused` one."""

_pools: dict[asyncio.AbstractEventLoop, Pool] = {}
_inherited: list[Pool] = []


class Pool:
    """A loop's sessions, and how many calls are in flight on them."""

    def __init__(self) -> None:
        self._calls = 0
        self._is_retired = False
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._proxies: dict[tuple[str, str | None], route.Proxy] = {}
        self._variables: tuple[str | None, ...] = ()
        self._looked_at = -math.inf
        self._keeper: AsyncGenerator[None, None] | None = None
        self._closing: asyncio.Task[None] | None = None

    def enter(self) -> None:
        """One more call is in flight."""
        self._calls += 1

    def leave(self) -> None:
        """One call has ended; the last one of a retired pool closes it."""
        self._calls -= 1
        if self._is_retired and not self._calls:
            with contextlib.suppress(RuntimeError):  # the loop itself is closing
                self._closing = asyncio.get_running_loop().create_task(self.close())

    async def retire(self) -> None:
        """Take no new call, and close when the last one has ended."""
        self._is_retired = True
        if not self._calls:
            await self.close()

    def session(self, *, fresh: bool) -> aiohttp.ClientSession:
        """The session; or, if `fresh`, the one that uses every connection once."""
        if fresh not in self._sessions:
            self._sessions[fresh] = _make_session(force_close=fresh)
        return self._sessions[fresh]

    def proxy_for(self, url: str, proxy: str | None) -> route.Proxy:
        """The way to `url`, worked out once for every origin, until the variables change."""
        self._look_at_variables()
        origin = "/".join(url.split("/", 3)[:3])
        if (origin, proxy) not in self._proxies:
            self._proxies[origin, proxy] = route.find_proxy(origin, proxy)
        return self._proxies[origin, proxy]

    def _look_at_variables(self) -> None:
        """Forget the ways if a program has set the variables; look once a second."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        variables = route.proxy_variables()
        if variables != self._variables:
            self._variables = variables
            self._proxies.clear()

    async def keep(self) -> None:
        """Have the running loop close this pool when it shuts down."""
        self._keeper = self._until_shutdown()
        await anext(self._keeper)

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            self._keeper = None
            if _pools.get(loop) is self:
                del _pools[loop]
            await self.close()

    async def close(self) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()
        if self._keeper is not None:
            await self._keeper.aclose()

    def bury(self) -> None:
        """Close the sockets where the loop can no longer do it."""
        for connector in self._detached():
            connector.bury()

    def abandon(self) -> None:
        """Forget the sockets: after a fork they are the parent's."""
        for connector in self._detached():
            connector.abandon()

    def _detached(self) -> list[_Connector]:
        sessions, self._sessions = self._sessions, {}
        connectors = [session.connector for session in sessions.values()]
        for session in sessions.values():
            session.detach()
        return [each for each in connectors if isinstance(each, _Connector)]


async def enter() -> Pool:
    """The running loop's pool, with one more call in flight."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        _bury_dead()
        pool = _pools[loop] = Pool()
        await pool.keep()
    pool.enter()
    return pool


async def let_go() -> None:
    """Let go of the running loop's pool; the next call makes a new one."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.retire()


def _make_session(*, force_close: bool) -> aiohttp.ClientSession:
    keep_alive: dict[str, Any] = {} if force_close else {"keepalive_timeout": _KEEP_ALIVE}
    return aiohttp.ClientSession(
        connector=_Connector(limit=0, force_close=force_close, **keep_alive),
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=_READ_BUFFER,
    )


class _Protocol(ResponseHandler):
    """A connection that knows its past, and whose failure reaches who waits for a body."""

    was_used = False

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        payload = self._payload
        super().set_exception(exc, *cause)
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ClientPayloadError(), exc)


class _Connector(aiohttp.TCPConnector):
    """A connection pool that can also be closed where its loop cannot run."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        made = functools.partial(_Protocol, loop=self._loop)
        self._factory = made  # type: ignore[assignment] # to mypy no partial[ResponseHandler]

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Tell the request that waits when, and on what, it was connected."""
        connection = await super().connect(*args, **kwargs)
        protocol = cast("_Protocol", connection.protocol)
        waiting.get()(reused=protocol.was_used)
        protocol.was_used = True
        return connection

    async def _get(self, key: Any, traces: Any) -> Any:
        """Close what was written to while it was idle: that would answer the next call."""
        for protocol, _ in self._conns.get(key, ()):
            if protocol.should_close:
                protocol.abort()
        return await super()._get(key, traces)

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """Drop what is not kept at once: TLS would wait for the other side's good-bye."""
        is_dropped = should_close or self._force_close or protocol.should_close
        if is_dropped and not self._closed and protocol.transport is not None:
            protocol.transport.abort()
        super()._release(key, protocol, should_close=should_close)

    def bury(self) -> None:
        for connections in self._conns.values():
            for protocol, _ in connections:
                _bury_transport(protocol.transport)
        self.abandon()

    def abandon(self) -> None:
        self._conns.clear()
        self._closed = True


def _bury_transport(transport: Any) -> None:
    """Close a socket behind its transport, whose own way goes through the dead loop."""
    # ruff: noqa: SLF001 # asyncio has no public way to it
    inner = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    if inner is not None:
        transport._closed = True  # else it warns when collected
        _bury_transport(inner)
    elif getattr(transport, "_sock", None) is not None:
        transport._sock.close()
        transport._sock = None


def _bury_dead() -> None:
    for loop in list(_pools):
        if loop.is_closed() and (pool := _pools.pop(loop, None)):  # no other thread did
            pool.bury()


@atexit.register
def _close_all() -> None:
    """Close at exit what no loop has closed: through its loop where that still runs."""
    while _pools:
        loop, pool = _pools.popitem()
        if loop.is_running():
            closing = asyncio.run_coroutine_threadsafe(pool.close(), loop)
            with contextlib.suppress(Exception):
                closing.result(_EXIT_PATIENCE)
        elif loop.is_closed():
            pool.bury()
        else:
            loop.run_until_complete(pool.close())


def _forget() -> None:
    """After a fork the child must not touch the sockets it shares with its parent."""
    _inherited.extend(_pools.values())
    _pools.clear()
    for pool in _inherited:
        pool.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
