"""Synchronous calls of asynchronous code: one event loop in one background thread.

The thread is a daemon, starts with the first synchronous call, serves the whole process,
and is replaced after a fork. A coroutine on it sees the context variables of the calling
thread, and its exceptions reach the caller unchanged. A caller that is interrupted, or that
drops an iterator, cancels its coroutine and waits until that has ended, so that nothing it
uses stays open.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import queue
import threading
from concurrent.futures import Future
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from langchain_cerebras_inference.errors import CerebrasConnectionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

T = TypeVar("T")

_FORKED = "The stream was opened before this process was forked; open another one here."


class BatchSource(Protocol[T]):
    """A source that is read in batches; an empty batch is its end."""

    async def read_batch(self) -> list[T]:
        """Wait for the next batch."""

    def close(self) -> None:
        """Free what the source uses."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the portal's event loop and wait for its result."""
    job = _Portal.get_shared().start(coroutine)
    try:
        return job.future.result()
    finally:
        job.cancel()


async def run_from_event_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the portal's event loop; await it in any event loop."""
    portal = _Portal.get_shared()
    if portal.is_current_thread():
        return await coroutine
    job = portal.start(coroutine)
    try:
        return await asyncio.wrap_future(job.future)
    finally:
        job.request_cancel()


def iterate(
    open_source: Callable[[], Awaitable[BatchSource[T]]],
) -> Generator[list[T], None, None]:
    """Open a source on the portal's event loop, and yield its batches.

    The source is read ahead: what arrives while the caller is busy comes in one batch. There
    is no limit to that, as the longest completion has a few hundred kilobytes. After the end
    of the source, when it is closed, comes one empty batch.

    Raises:
        CerebrasConnectionError: In a child process that was forked after the first batch.
    """
    batches: queue.SimpleQueue[list[T] | None] = queue.SimpleQueue()
    portal = _Portal.get_shared()
    job = portal.start(_read_ahead(open_source, batches))
    try:
        is_complete = False
        while not is_complete:
            if portal.is_lost:
                raise CerebrasConnectionError(_FORKED)
            available = [batches.get()]
            while not batches.empty():
                available.append(batches.get())
            is_complete = available[-1] is None
            if items := list(chain.from_iterable(filter(None, available))):
                yield items
        job.future.result()
        yield []
    finally:
        job.cancel()


async def _read_ahead(
    open_source: Callable[[], Awaitable[BatchSource[T]]],
    batches: queue.SimpleQueue[list[T] | None],
) -> None:
    try:
        source = await open_source()
        try:
            while batch := await source.read_batch():
                batches.put(batch)
        finally:
            source.close()
    finally:
        batches.put(None)


class _Job(Generic[T]):
    """A coroutine on the portal's event loop, as seen from another thread."""

    def __init__(self, portal: _Portal) -> None:
        self.future: Future[T] = Future()
        self._portal = portal
        self._task: asyncio.Task[T] | None = None

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> None:
        """Create the task; runs on the portal's thread."""
        self._task = self._portal.loop.create_task(coroutine)
        self._task.add_done_callback(self._finish)

    def cancel(self) -> None:
        """Cancel the coroutine if it has not ended, and wait until it has."""
        if self.future.done() or self._portal.is_lost:
            return
        self.request_cancel()
        # The garbage collector may drop an iterator on the portal's own thread.
        if not self._portal.is_current_thread():
            with contextlib.suppress(BaseException):
                self.future.result()

    def request_cancel(self) -> None:
        """Cancel the coroutine without waiting for its end."""
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._portal.loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            error: BaseException | None = asyncio.CancelledError()
        else:
            error = task.exception()
        if not self.future.set_running_or_notify_cancel():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())


class _Portal:
    """One event loop in one thread."""

    _shared: ClassVar[_Portal | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def get_shared(cls) -> _Portal:
        """Return the portal of this process; the first call starts it."""
        if cls._shared is None:
            with cls._lock:
                if cls._shared is None:
                    cls._shared = cls()
        return cls._shared

    @classmethod
    def stop_shared(cls) -> None:
        """Stop the portal of this process, if there is one."""
        portal, cls._shared = cls._shared, None
        if portal is not None:
            portal.stop()

    @classmethod
    def forget_shared(cls) -> None:
        """Forget the portal after a fork, which copies its memory but not its thread."""
        if cls._shared is not None:
            cls._shared.is_lost = True
        cls._shared = None
        cls._lock = threading.Lock()

    def __init__(self) -> None:
        self.is_lost = False
        self._is_stopped = False
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="cerebras-portal", daemon=True)
        self._thread.start()

    def is_current_thread(self) -> bool:
        """Return whether the caller runs on the portal's thread."""
        return threading.current_thread() is self._thread

    def start(self, coroutine: Coroutine[Any, Any, T]) -> _Job[T]:
        """Start a coroutine with a copy of the calling thread's context variables."""
        if self.is_current_thread():
            coroutine.close()
            raise RuntimeError(
                "a synchronous call on the portal's thread would wait for itself; use the"
                " asynchronous method there"
            )
        job: _Job[T] = _Job(self)
        # It calls `begin` in a copy of the current context.
        self.loop.call_soon_threadsafe(job.begin, coroutine)
        return job

    def stop(self) -> None:
        """Cancel everything on the portal, and wait for the end of its thread."""
        self.loop.call_soon_threadsafe(self._stop_loop)
        self._thread.join()

    def _stop_loop(self) -> None:
        self._is_stopped = True
        self.loop.stop()

    def _run(self) -> None:
        while not self._is_stopped:
            # asyncio raises these in the event loop as well as for the task's caller.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                self.loop.run_forever()
        self.loop.run_until_complete(_cancel_all_tasks())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


async def _cancel_all_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


atexit.register(_Portal.stop_shared)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Portal.forget_shared)
