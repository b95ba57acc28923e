"""The stores for the state of quotas: memory, SQLite and Redis.

Every store does the arithmetic of `state`. A shared store is one that several processes use.
In one transaction it reads a JSON document, computes, and writes the document. A thread of the
store does this, one operation after another, so that no event loop waits for a file or a
socket, and operations keep their order. The Redis store uses the synchronous client because an
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
from langchain_cerebras_inference._quota.state import Amounts, Decision, Outcome, QuotaState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    import redis

T = TypeVar("T")

_TIMEOUT = 5.0
"""Seconds to wait for the lock of SQLite, or for a response of Redis."""

_WRITE_AHEAD_LOG_RETRY_WAIT = 0.01
"""Seconds before another attempt to turn on the write-ahead log of SQLite."""

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
    """Keeps the states of quotas; a digest identifies each quota."""

    is_shared: bool

    async def reserve(
        self,
        name: str,
        needs: Amounts,
        *,
        position: Amounts | None = None,
        force: bool = False,
    ) -> Decision:
        """Decide whether a request may be sent now; see `QuotaState.reserve`.

        Raises:
            QuotaStoreError: If the store does not work.
        """

    def record_outcome(self, name: str, outcome: Outcome, on_done: Callable[[], None]) -> None:
        """Record what happened to a request, and then call `on_done` in any thread."""


class MemoryStore:
    """The state of quotas in this process, for all its threads.

    Args:
        clock: Returns the current time in seconds.
    """

    is_shared = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Reentrant, because garbage collection can close a stream while this thread holds the
        # lock, and closing it reports to the quota.
        self._lock = threading.RLock()
        self._states: dict[str, QuotaState] = {}

    async def reserve(
        self,
        name: str,
        needs: Amounts,
        *,
        position: Amounts | None = None,
        force: bool = False,
    ) -> Decision:
        """See `Store`; this never waits."""
        with self._lock:
            now = self._clock()
            return self._get_state(name, now).reserve(
                needs, now, position=position, force=force
            )

    def record_outcome(self, name: str, outcome: Outcome, on_done: Callable[[], None]) -> None:
        """See `Store`."""
        with self._lock:
            now = self._clock()
            self._get_state(name, now).record_outcome(outcome, now)
        on_done()

    def start(
        self, name: str, outcomes: Sequence[Outcome], time: float, sent_since: Amounts
    ) -> None:
        """Create a state from outcomes in the past.

        Args:
            name: The name of the quota.
            outcomes: What happened to requests, in this order.
            time: When it happened.
            sent_since: The needs of the requests that were sent since then.
        """
        with self._lock:
            quota_state = self._get_state(name, time)
            for outcome in outcomes:
                quota_state.record_outcome(outcome, time)
            quota_state.reserve(sent_since, self._clock(), force=True)

    def _get_state(self, name: str, now: float) -> QuotaState:
        quota_state = self._states.get(name)
        if quota_state is None:
            quota_state = self._states[name] = QuotaState(now)
        return quota_state


class SharedStore:
    """A store that several processes share; subclasses implement `update`."""

    is_shared = True

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "cerebras-quota-store")

    async def reserve(
        self,
        name: str,
        needs: Amounts,
        *,
        position: Amounts | None = None,
        force: bool = False,
    ) -> Decision:
        """See `Store`."""

        def reserve(quota_state: QuotaState, now: float) -> Decision:
            return quota_state.reserve(needs, now, position=position, force=force)

        try:
            future = self._executor.submit(self.update, name, reserve)
        except RuntimeError:  # other threads have ended already
            raise QuotaStoreError("the interpreter is about to exit") from None
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if position is None:
                future.add_done_callback(lambda _: self._release(name, needs, future))
            raise

    def record_outcome(self, name: str, outcome: Outcome, on_done: Callable[[], None]) -> None:
        """See `Store`. If the store does not work, the outcome is lost.

        In that case, the next `reserve` raises the error, unless the store works again.
        """

        def record(quota_state: QuotaState, now: float) -> None:
            quota_state.record_outcome(outcome, now)

        with contextlib.suppress(RuntimeError):  # the interpreter is about to exit
            future = self._executor.submit(self.update, name, record)
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

    def _release(self, name: str, needs: Amounts, future: Future[Decision]) -> None:
        """Give back a reservation that was made while its call was cancelled."""
        if not future.cancelled() and future.exception() is None:
            self.record_outcome(name, Outcome("unsent", needs, future.result()), lambda: None)


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
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS cerebras_quotas"
                " (name TEXT PRIMARY KEY, state TEXT NOT NULL, time REAL NOT NULL)"
            )
            oldest = time.time() - _EXPIRY
            connection.execute("DELETE FROM cerebras_quotas WHERE time < ?", (oldest,))
        return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on, also if other processes do so at the same time.

    SQLite does not wait for their lock in this case, but fails immediately.
    """
    import sqlite3

    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_locked = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not is_locked or time.monotonic() >= deadline:
                raise
            time.sleep(_WRITE_AHEAD_LOG_RETRY_WAIT)
        else:
            return


class RedisStore(SharedStore):
    """The state of quotas in Redis, for the processes of many machines.

    Args:
        url: The URL of the server.

    Raises:
        ValueError: If the database number or the options in the URL are invalid.
    """

    def __init__(self, url: str) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        super().__init__()
        parts = urlsplit(url)
        self._location = f"Redis at {parts.hostname or parts.path}"
        self._error = redis.RedisError
        try:
            self._client: redis.Redis = redis.Redis.from_url(
                url,
                socket_timeout=_TIMEOUT,
                socket_connect_timeout=_TIMEOUT,
                retry=Retry(NoBackoff(), 1),
            )
            self._client.connection_pool.make_connection()  # checks the options in the URL
        except (TypeError, ValueError):  # their messages may quote the password
            raise ValueError(
                "The URL in quota_store is invalid. Check its database number and its options."
            ) from None
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
            raise QuotaStoreError(f"{self._location}: {type(error).__name__}") from None

    def close(self) -> None:
        """See `SharedStore`."""
        super().close()
        self._client.close()


def open_store(url: str) -> SharedStore:
    """Open the store of a URL, `sqlite:///PATH` or `redis://…`.

    An absolute path gives four slashes, as in `sqlite:////var/quotas.db`.

    Raises:
        ValueError: If the database number or the options in a Redis URL are invalid.
    """
    if url.startswith("sqlite:"):
        return SQLiteStore(url.removeprefix("sqlite:///"))
    return RedisStore(url)


def _decode(text: str | bytes | None, now: float) -> QuotaState:
    if text is None:
        return QuotaState(now)
    try:
        return state.from_json_data(cast("dict[str, Any]", json.loads(text)))
    except (AttributeError, KeyError, TypeError, ValueError):  # from another version
        return QuotaState(now)


def _encode(quota_state: QuotaState) -> str:
    return json.dumps(state.to_json_data(quota_state), separators=(",", ":"))
