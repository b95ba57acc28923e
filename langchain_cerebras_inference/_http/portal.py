"""Synchronous calls of asynchronous code: one event loop in one background thread.

The thread is a daemon. It starts with the first synchronous call and serves the whole process;
a forked process starts another one. A coroutine in the thread sees the context variables of
the calling thread, and its exceptions reach the caller unchanged. If the caller is interrupted
or drops an iterator, the coroutine is cancelled, and the caller waits for its end. So no
resource stays open.
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

_FORKED = (
    "The stream was opened before this process was forked. Open a new stream in this process."
)


class BatchSource(Protocol[T]):
    """An object from which batches of items are read; an empty batch is the end."""

    async def read_batch(self) -> list[T]:
        """Wait for the next batch."""

    def close(self) -> None:
        """Close the source."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the portal's event loop and wait for its result."""
    try:
        job = _Portal.get_shared().submit(coroutine)
    except BaseException:  # such as an interrupt
        coroutine.close()
        raise
    try:
        return job.future.result()
    finally:
        job.cancel()


async def run_from_event_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the portal's event loop, and await its result in any event loop."""
    portal = _Portal.get_shared()
    if portal.is_current_thread():
        return await coroutine
    job = portal.submit(coroutine)
    try:
        return await asyncio.wrap_future(job.future)
    finally:
        job.request_cancel()


def iterate(
    open_source: Callable[[], Awaitable[BatchSource[T]]],
) -> Generator[list[T], None, None]:
    """Open a source on the portal's event loop, and yield its batches.

    The source is read ahead: all items that arrive while the caller is busy are yielded as one
    batch. The queue is unbounded, because it holds at most one completion. The last batch is
    empty; by then the source is closed.

    Raises:
        CerebrasConnectionError: If this process was forked after the source was opened.
    """
    batches: queue.SimpleQueue[list[T] | None] = queue.SimpleQueue()
    portal = _Portal.get_shared()
    job = portal.submit(_read_ahead(open_source, batches))
    try:
        has_ended = False
        while not has_ended:
            if portal.is_from_parent_process:
                raise CerebrasConnectionError(_FORKED)
            available = [batches.get()]
            while not batches.empty():
                available.append(batches.get())
            has_ended = available[-1] is None
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
    """Put the batches of a source into a queue, and `None` at the end."""
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
    """A coroutine on the portal's event loop, controlled from another thread."""

    def __init__(self, portal: _Portal) -> None:
        self.future: Future[T] = Future()
        self._portal = portal
        self._task: asyncio.Task[T] | None = None

    def create_task(self, coroutine: Coroutine[Any, Any, T]) -> None:
        """Create the task of the coroutine; called in the portal's thread."""
        self._task = self._portal.loop.create_task(coroutine)
        self._task.add_done_callback(self._finish)

    def cancel(self) -> None:
        """Cancel the coroutine if it has not ended, and wait for its end."""
        if self.future.done() or self._portal.is_from_parent_process:
            return
        self.request_cancel()
        # If the garbage collector drops an iterator in the portal's own thread, waiting would
        # deadlock.
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
        """Copy the result or the exception of the task to the future."""
        if task.cancelled():
            error: BaseException | None = asyncio.CancelledError()
        else:
            error = task.exception()
        if not self.future.set_running_or_notify_cancel():  # cancelled by `wrap_future`
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
        """Stop the portal of this process, if it was started."""
        portal, cls._shared = cls._shared, None
        if portal is not None:
            portal.stop()

    @classmethod
    def forget_shared(cls) -> None:
        """Forget the portal after a fork, which copies the memory but not the thread."""
        if cls._shared is not None:
            cls._shared.is_from_parent_process = True
        cls._shared = None
        cls._lock = threading.Lock()

    def __init__(self) -> None:
        self.is_from_parent_process = False
        self._is_stopped = False
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run_event_loop, name="cerebras-portal", daemon=True
        )
        self._thread.start()

    def is_current_thread(self) -> bool:
        """Return whether the caller runs in the portal's thread."""
        return threading.current_thread() is self._thread

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> _Job[T]:
        """Start a coroutine with a copy of the calling thread's context variables.

        Raises:
            RuntimeError: If the caller runs in the portal's thread.
        """
        if self.is_current_thread():
            coroutine.close()
            raise RuntimeError(
                "A synchronous call in the portal's thread would deadlock. Use the asynchronous"
                " method instead."
            )
        job: _Job[T] = _Job(self)
        # `call_soon_threadsafe` runs the function in a copy of the current context.
        self.loop.call_soon_threadsafe(job.create_task, coroutine)
        return job

    def stop(self) -> None:
        """Cancel all coroutines of the portal, and wait for the end of its thread."""
        self.loop.call_soon_threadsafe(self._stop_loop)
        self._thread.join()

    def _stop_loop(self) -> None:
        self._is_stopped = True
        self.loop.stop()

    def _run_event_loop(self) -> None:
        while not self._is_stopped:
            # If a task raises one of these, `run_forever` raises it, too.
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
