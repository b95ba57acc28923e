"""Connection pools: aiohttp client sessions, shared by all models.

There is one pool for each event loop and server, because a client session belongs to the
event loop in which it was created. A pool is closed

- when its event loop shuts down its asynchronous generators, as `asyncio.run` does at its end;
- when a model is closed, unless another model that still exists has used the pool;
- when the interpreter exits.

An event loop may also be closed without shutting down its generators. Then its pools are
closed as soon as a pool is created for a new event loop, or at exit.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet, WeakValueDictionary

import aiohttp

from langchain_cerebras_inference._http import private_names

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_KEEP_ALIVE = 120.0
"""Seconds that an idle connection is kept, as between two turns of a chat."""

_READ_BUFFER_SIZE = 2**16
"""With the 256 KiB of aiohttp, one turn of the event loop handles more than 1,000 events."""

_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add if a request does not have them."""

_EXIT_TIMEOUT = 1.0


class ConnectionCallback(Protocol):
    """A function that is called when a request has got its connection."""

    def __call__(self, *, is_reused: bool) -> None: ...


on_connected: ContextVar[ConnectionCallback] = ContextVar("on_connected")
"""The callback of the current request; aiohttp's connector has no argument for one."""

_pools: dict[asyncio.AbstractEventLoop, dict[str, ConnectionPool]] = {}

_pools_of_parent_process: list[ConnectionPool] = []
"""Kept only to protect the pools from garbage collection, which would close their sockets."""

_shutdown_hooks: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}


class ConnectionPool:
    """The connections from one event loop to one server.

    Args:
        origin: The server's scheme, host and port, as the beginning of a URL.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._owners: WeakValueDictionary[int, object] = WeakValueDictionary()
        self._active_requests = 0
        self._should_close_when_idle = False
        # The key is the argument `fresh` of `get_client_session`.
        self._client_sessions: dict[bool, aiohttp.ClientSession] = {}
        self._closing_task: asyncio.Task[None] | None = None

    def begin_request(self, owner: object) -> None:
        """Count a request, and remember its owner: the model that makes it, or `None`."""
        self._active_requests += 1
        if owner is not None:
            self._owners[id(owner)] = owner

    def end_request(self) -> None:
        """End a request; after the last one, close the pool if `close_when_idle` was called."""
        self._active_requests -= 1
        if self._should_close_when_idle and not self._active_requests:
            with contextlib.suppress(RuntimeError):  # the event loop is closing
                self._closing_task = asyncio.get_running_loop().create_task(self.close())

    def remove_owner(self, owner: object) -> bool:
        """Remove an owner, if it has used this pool, and return whether no other remains."""
        self._owners.pop(id(owner), None)
        return not self._owners

    async def close_when_idle(self) -> None:
        """Close the pool now, or when its last request ends."""
        self._should_close_when_idle = True
        if not self._active_requests:
            await self.close()

    def get_client_session(self, *, fresh: bool) -> aiohttp.ClientSession:
        """Return the client session that reuses connections.

        If `fresh`, return the one that opens a new connection for each request.
        """
        if fresh not in self._client_sessions:
            self._client_sessions[fresh] = _create_client_session(force_close=fresh)
        return self._client_sessions[fresh]

    async def close(self) -> None:
        """Close all connections."""
        client_sessions, self._client_sessions = self._client_sessions, {}
        for client_session in client_sessions.values():
            await client_session.close()

    def close_without_loop(self) -> None:
        """Close all connections after their event loop has been closed."""
        for connector in self._detach_connectors():
            for protocol in connector.protocols:
                private_names.close_transport(protocol.transport)
            # This only marks the connector as closed; otherwise aiohttp warns. On a closed
            # event loop it never waits, so it can be run here without an event loop.
            for _ in connector.close().__await__():
                pass

    def abandon(self) -> None:
        """Leave all connections open: after a fork they belong to the parent process."""
        for connector in self._detach_connectors():
            private_names.abandon_connections(connector)

    def _detach_connectors(self) -> list[_Connector]:
        """Remove the client sessions without closing them, and return their connectors."""
        client_sessions, self._client_sessions = self._client_sessions, {}
        connectors = []
        for client_session in client_sessions.values():
            if isinstance(client_session.connector, _Connector):
                connectors.append(client_session.connector)
            client_session.detach()
        return connectors


class _Connector(aiohttp.TCPConnector):
    """A connector that remembers the connections it opened.

    It calls `on_connected` for each request.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.protocols: WeakSet[Any] = WeakSet()

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Return a connection on which no data arrived while it was idle."""
        while True:
            connection: Any = await super().connect(*args, **kwargs)
            protocol = connection.protocol
            is_reused = protocol in self.protocols
            if not (is_reused and protocol.should_close):
                break
            connection.transport.abort()
            connection.close()
        if not is_reused:
            self.protocols.add(protocol)
            if protocol.closed is not None:
                protocol.closed.add_done_callback(_retrieve_exception)
        on_connected.get()(is_reused=is_reused)
        return connection


def _retrieve_exception(closed: asyncio.Future[None]) -> None:
    """Retrieve the exception of a connection; otherwise asyncio logs it."""
    if not closed.cancelled():
        closed.exception()


def _create_client_session(*, force_close: bool) -> aiohttp.ClientSession:
    keep_alive: dict[str, Any] = {} if force_close else {"keepalive_timeout": _KEEP_ALIVE}
    return aiohttp.ClientSession(
        connector=_Connector(limit=0, force_close=force_close, **keep_alive),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_AUTOMATIC_HEADERS,
        read_bufsize=_READ_BUFFER_SIZE,
    )


# --- the pools of all event loops ---------------------------------------------------------


async def acquire_pool(url: str, owner: object) -> ConnectionPool:
    """Return the running event loop's pool for the server of a URL, and begin a request.

    The caller must end the request with `ConnectionPool.end_request`.

    Args:
        url: The URL of the request.
        owner: The model that makes the request, or `None`. While it exists, closing
            another model does not close the pool.
    """
    loop = asyncio.get_running_loop()
    pools = _pools.get(loop)
    if pools is None:
        _close_pools_of_closed_loops()
        pools = _pools[loop] = {}
        _shutdown_hooks[loop] = hook = _close_at_shutdown()
        await anext(hook)
    origin = "/".join(url.split("/", 3)[:3])
    pool = pools.get(origin)
    if pool is None:
        pool = pools[origin] = ConnectionPool(origin)
    pool.begin_request(owner)
    return pool


async def close_unshared(owner: object) -> None:
    """Close the running event loop's pools, except those that another existing model has used.

    Args:
        owner: The model that is closed.
    """
    pools = _pools.get(asyncio.get_running_loop(), {})
    for origin, pool in list(pools.items()):
        if pool.remove_owner(owner):
            del pools[origin]
            await pool.close_when_idle()


async def _close_at_shutdown() -> AsyncGenerator[None, None]:
    """Close the running event loop's pools when the event loop closes this generator."""
    loop = asyncio.get_running_loop()
    try:
        yield
    finally:
        _shutdown_hooks.pop(loop, None)
        for pool in _pools.pop(loop, {}).values():
            await pool.close()


def _close_pools_of_closed_loops() -> None:
    for loop in list(_pools):
        if loop.is_closed():
            pools = _pools.pop(loop, {})  # another thread may have closed them
            _shutdown_hooks.pop(loop, None)
            for pool in pools.values():
                pool.close_without_loop()


@atexit.register
def _close_at_exit() -> None:
    _close_pools_of_closed_loops()
    for loop, hook in list(_shutdown_hooks.items()):
        if loop.is_running():  # in another thread
            closing = asyncio.run_coroutine_threadsafe(_close_generator(hook), loop)
            with contextlib.suppress(Exception):
                closing.result(_EXIT_TIMEOUT)
        else:
            loop.run_until_complete(_close_generator(hook))


async def _close_generator(generator: AsyncGenerator[None, None]) -> None:
    """Close a generator in a coroutine, which `run_coroutine_threadsafe` needs."""
    await generator.aclose()


def _abandon_after_fork() -> None:
    for pools in _pools.values():
        _pools_of_parent_process.extend(pools.values())
    _pools.clear()
    _shutdown_hooks.clear()
    for pool in _pools_of_parent_process:
        pool.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_after_fork)
