"""Where the state of a quota is kept: in this process, in SQLite or in Redis.

Every store does the same arithmetic on the same data. A store that processes share reads,
computes and writes one JSON document in one transaction. It does so in a thread of its own,
one operation after another: an event loop never waits for a file or a socket, and operations
keep their order. For the same reason the Redis store uses the synchronous client: an
asynchronous one belongs to one event loop, and a process may have many.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from langchain_cerebras_inference._quota import state
from langchain_cerebras_inference._quota.state import Amounts, Grant, Outcome, QuotaState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    import redis

T = TypeVar("T")

_TIMEOUT = 5.0
"""Seconds that one operation of a shared store may take."""

_EXPIRY = 7 * 86_400
"""Seconds after which the state of an unused quota is deleted from a shared store."""

_COMPARE_AND_SET = """
local stored = redis.call('GET', KEYS[1])
if (stored or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


class QuotaStoreError(Exception):
    """A shared store does not work; the message contains no secret."""


class Store(Protocol):
    """The state of quotas, which are named by digests."""

    is_shared: bool

    async def reserve(
        self,
        name: str,
        needs: Amounts,
        *,
        place: Amounts | None = None,
        force: bool = False,
    ) -> Grant:
        """Ask whether a request may be sent now, and take a place in the line for it.

        Raises:
            QuotaStoreError: If the store does not work.
        """

    def settle(self, name: str, outcome: Outcome, on_done: Callable[[], None]) -> None:
        """Record what became of a request, and then call `on_done`, in any thread."""


class MemoryStore:
    """The state of quotas in this process, for all its threads.

    Args:
        clock: Returns the current time in seconds.
    """

    is_shared = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Reentrant, because the garbage collector may end a call at any moment.
        self._lock = threading.RLock()
        self._states: dict[str, QuotaState] = {}

    async def reserve(
        self,
        name: str,
        needs: Amounts,
        *,
        place: Amounts | None = None,
        force: bool = False,
    ) -> Grant:
        """See `Store`; this never waits."""
        with self._lock:
            now = self._clock()
            return self._get_state(name, now).reserve(needs, now, place=place, force=force)

    def settle(self, name: str, outcome: Outcome, on_done: Callable[[], None]) -> None:
        """See `Store`."""
        with self._lock:
            now = self._clock()
            self._get_state(name, now).settle(outcome, now)
        on_done()

    def _get_state(self, name: str, now: float) -> QuotaState:
        quota_state = self._states.get(name)
        if quota_state is None:
            quota_state = self._states[name] = QuotaState(now)
        return quota_state


class SharedStore:
    """A store that processes share; subclasses implement the transaction."""

    is_shared = True

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "cerebras-quota-store")

    async def reserve(
        self,
        name: str,
        needs: Amounts,
        *,
        place: Amounts | None = None,
        force: bool = False,
    ) -> Grant:
        """See `Store`."""

        def reserve(quota_state: QuotaState, now: float) -> Grant:
            return quota_state.reserve(needs, now, place=place, force=force)

        future = self._executor.submit(self.update, name, reserve)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if place is None:
                future.add_done_callback(lambda _: self._give_back(name, needs, future))
            raise

    def settle(self, name: str, outcome: Outcome, on_done: Callable[[], None]) -> None:
        """See `Store`; if the store does not work, the next reservation will tell."""

        def settle(quota_state: QuotaState, now: float) -> None:
            quota_state.settle(outcome, now)

        with contextlib.suppress(RuntimeError):  # the interpreter is about to exit
            future = self._executor.submit(self.update, name, settle)
            future.add_done_callback(lambda _: on_done())

    def update(self, name: str, operation: Callable[[QuotaState, float], T]) -> T:
        """Apply an operation to the stored state in one transaction.

        Raises:
            QuotaStoreError: If the store does not work.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Finish all operations and close the connection."""
        self._executor.shutdown()

    def _give_back(self, name: str, needs: Amounts, future: Future[Grant]) -> None:
        """Give up a place that was taken while its request was being cancelled."""
        if not future.cancelled() and future.exception() is None:
            self.settle(name, Outcome("unsent", needs, future.result()), lambda: None)


class SQLiteStore(SharedStore):
    """The state of quotas in a SQLite database, for the processes of one machine.

    Args:
        path: The path of the database file.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def update(self, name: str, operation: Callable[[QuotaState, float], T]) -> T:
        """See `SharedStore`."""
        import sqlite3

        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection as connection:  # commits, or rolls back after an error
                connection.execute("BEGIN IMMEDIATE")
                query = "SELECT state FROM cerebras_quotas WHERE name = ?"
                row = connection.execute(query, (name,)).fetchone()
                now = time.time()
                quota_state = _decode(row[0] if row else None, now)
                result = operation(quota_state, now)
                connection.execute(
                    "INSERT OR REPLACE INTO cerebras_quotas VALUES (?, ?, ?)",
                    (name, _encode(quota_state), now),
                )
        except sqlite3.Error as error:
            raise QuotaStoreError(f"SQLite at {self._path}: {error}") from None
        return result

    def close(self) -> None:
        """See `SharedStore`."""
        super().close()
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        import sqlite3

        connection = sqlite3.connect(
            self._path, timeout=_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        # With a write-ahead log, a commit need not wait for the disk.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS cerebras_quotas"
            " (name TEXT PRIMARY KEY, state TEXT NOT NULL, time REAL NOT NULL)"
        )
        oldest = time.time() - _EXPIRY
        connection.execute("DELETE FROM cerebras_quotas WHERE time < ?", (oldest,))
        return connection


class RedisStore(SharedStore):
    """The state of quotas in Redis, for the processes of many machines.

    Args:
        url: The URL of the server.

    Raises:
        ImportError: If the package `redis` is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise ImportError(
                "A quota_store in Redis needs the package redis; install"
                " langchain-cerebras-inference[redis]."
            ) from None
        super().__init__()
        parts = urlsplit(url)
        self._where = f"Redis at {parts.hostname or parts.path}"
        self._error = redis.RedisError
        self._client: redis.Redis = redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )
        self._compare_and_set = self._client.register_script(_COMPARE_AND_SET)

    def update(self, name: str, operation: Callable[[QuotaState, float], T]) -> T:
        """See `SharedStore`."""
        key = f"cerebras-quota:{name}"
        try:
            while True:
                pipeline = self._client.pipeline(transaction=False)
                pipeline.get(key)
                pipeline.time()
                stored, (seconds, microseconds) = pipeline.execute()
                now = seconds + microseconds / 1e6
                quota_state = _decode(stored, now)
                result = operation(quota_state, now)
                arguments = [stored or b"", _encode(quota_state), _EXPIRY]
                if self._compare_and_set(keys=[key], args=arguments):
                    return result
        except (self._error, OSError) as error:
            # The message of an error may quote the URL, so only its type is shown.
            raise QuotaStoreError(f"{self._where}: {type(error).__name__}") from None

    def close(self) -> None:
        """See `SharedStore`."""
        super().close()
        self._client.close()


def open_store(url: str) -> SharedStore:
    """Open the store of a URL, `sqlite:///PATH` or `redis://…`.

    Raises:
        ImportError: If the package `redis` is needed and not installed.
    """
    if url.startswith("sqlite:"):
        return SQLiteStore(url.removeprefix("sqlite:///"))
    return RedisStore(url)


def _decode(text: str | bytes | None, now: float) -> QuotaState:
    if text is None:
        return QuotaState(now)
    return state.from_json_data(cast("dict[str, Any]", json.loads(text)))


def _encode(quota_state: QuotaState) -> str:
    return json.dumps(state.to_json_data(quota_state), separators=(",", ":"))
