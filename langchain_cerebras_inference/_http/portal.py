"""The async core for synchronous callers: one event loop in one thread of its own.

The thread is a daemon, started on first use, one a process, and forgotten after a fork.
What runs on it sees the caller's context variables, its exceptions cross unchanged, and
a caller that is interrupted, or drops an iterator, cancels its task and waits until the
task has ended, so that nothing it held outlives it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from langchain_cerebras_inference.errors import CerebrasConnectionError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator

T = TypeVar("T")

_END: Any = object()
_FORKED = "The stream belongs to the process that began it; begin another in this one."


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the portal's loop and wait for its result."""
    job = _Portal.shared().start(work)
    try:
        return job.future.result()
    finally:
        job.cancel()


async def run_from_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the portal's loop, awaited from whichever loop is running."""
    portal = _Portal.shared()
    if portal.is_current_thread():
        return await work
    job = portal.start(work)
    try:
        return await asyncio.wrap_future(job.future)
    finally:
        job.cancel_soon()


def iterate(source: AsyncGenerator[T, None]) -> Generator[list[T], None, None]:
    """Yield what `source` yields, reading ahead: together what has come meanwhile.

    What is read ahead is not bounded: the longest answer is a few hundred kilobytes.

    Raises:
        CerebrasConnectionError: In a child that was forked after the first item.
    """
    items: queue.SimpleQueue[T] = queue.SimpleQueue()
    portal = _Portal.shared()
    job = portal.start(_pump(source, items))
    try:
        is_over = False
        while not is_over:
            if portal.is_lost:
                raise CerebrasConnectionError(_FORKED)
            ready = [items.get(), *(items.get_nowait() for _ in range(items.qsize()))]
            is_over = ready[-1] is _END
            if is_over:
                ready.pop()
            if ready:
                yield ready
        job.future.result()
    finally:
        job.cancel()


async def _pump(source: AsyncGenerator[T, None], items: queue.SimpleQueue[T]) -> None:
    try:
        async with contextlib.aclosing(source):
            async for item in source:
                items.put(item)
    finally:
        items.put(_END)


class _Job(Generic[T]):
    """A coroutine on the portal's loop, as seen from outside."""

    def __init__(self, portal: _Portal) -> None:
        self.future: Future[T] = Future()
        self._portal = portal
        self._task: asyncio.Task[T] | None = None

    def begin(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = self._portal.loop.create_task(work)
        self._task.add_done_callback(self._finish)

    def cancel(self) -> None:
        """Cancel the coroutine, unless it has ended, and wait until it has."""
        if self.future.done() or self._portal.is_lost:
            return
        self.cancel_soon()
        # The collector may drop an iterator on the portal's own thread.
        if not self._portal.is_current_thread():
            with contextlib.suppress(BaseException):
                self.future.result()

    def cancel_soon(self) -> None:
        with contextlib.suppress(RuntimeError):  # a closed loop runs nothing
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
    """One loop in one thread."""

    _shared: ClassVar[_Portal | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def shared(cls) -> _Portal:
        """The process's portal, started on first use."""
        if cls._shared is None:
            with cls._lock:
                if cls._shared is None:
                    cls._shared = cls()
        return cls._shared

    @classmethod
    def stop_shared(cls) -> None:
        portal, cls._shared = cls._shared, None
        if portal is not None:
            portal.stop()

    @classmethod
    def forget_shared(cls) -> None:
        """After a fork the child has the portal's memory but not its thread."""
        if cls._shared is not None:
            cls._shared.is_lost = True
        cls._shared = None
        cls._lock = threading.Lock()

    def __init__(self) -> None:
        self.is_lost = False
        self._is_stopped = False
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="cerebras-portal", daemon=True)
        self._thread.start()

    def is_current_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def start(self, work: Coroutine[Any, Any, T]) -> _Job[T]:
        """Start `work`; it sees a copy of the calling thread's context variables."""
        if self.is_current_thread():
            work.close()
            raise RuntimeError(
                "a synchronous call on the portal's thread would wait for itself"
            )
        job: _Job[T] = _Job(self)
        self.loop.call_soon_threadsafe(job.begin, work)
        return job

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def _stop(self) -> None:
        self._is_stopped = True
        self.loop.stop()

    def _serve(self) -> None:
        while not self._is_stopped:
            # asyncio tells these to the caller of the task, and to the loop's own as well.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                self.loop.run_forever()
        self.loop.run_until_complete(_cancel_all())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


atexit.register(_Portal.stop_shared)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Portal.forget_shared)
