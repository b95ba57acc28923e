"""The portal: synchronous calls of asynchronous code."""

import asyncio
import contextvars
import os
import subprocess
import threading
from collections.abc import AsyncGenerator, Generator

import pytest

from langchain_cerebras_inference._http import portal
from tests.python_command import PYTHON

USER: contextvars.ContextVar[str] = contextvars.ContextVar("USER", default="nobody")


async def get_thread() -> threading.Thread:
    return threading.current_thread()


# --- run -----------------------------------------------------------------------------


def test_coroutines_run_in_one_daemon_thread() -> None:
    first, second = portal.run(get_thread()), portal.run(get_thread())

    assert first is second
    assert first is not threading.current_thread()
    assert first.daemon


def test_all_threads_share_one_portal() -> None:
    portal_threads: list[threading.Thread] = []
    callers = [
        threading.Thread(target=lambda: portal_threads.append(portal.run(get_thread())))
        for _ in range(8)
    ]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert portal_threads == [portal.run(get_thread())] * 8


@pytest.mark.parametrize("error_class", [LookupError, SystemExit, KeyboardInterrupt])
def test_exception_reaches_the_caller_unchanged(error_class: type[BaseException]) -> None:
    error = error_class("nowhere")
    thread = portal.run(get_thread())

    async def fail() -> None:
        raise error

    with pytest.raises(error_class) as caught:
        portal.run(fail())

    assert caught.value is error
    assert portal.run(get_thread()) is thread


def test_cancellation_inside_the_coroutine_reaches_the_caller() -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        portal.run(cancel())


def test_coroutine_sees_the_context_variables_of_the_caller() -> None:
    async def get_user() -> str:
        return USER.get()

    token = USER.set("Ada")
    user = portal.run(get_user())
    USER.reset(token)

    assert user == "Ada"
    assert portal.run(get_user()) == "nobody"


async def test_run_works_inside_a_running_event_loop() -> None:
    assert portal.run(get_thread()) is not threading.current_thread()


def test_run_on_the_thread_of_the_portal_raises_an_error() -> None:
    async def run_nested() -> None:
        portal.run(get_thread())

    with pytest.raises(RuntimeError, match="would deadlock"):
        portal.run(run_nested())


# --- run_from_event_loop -------------------------------------------------------------


async def test_coroutine_can_be_awaited_in_any_event_loop() -> None:
    thread = await portal.run_from_event_loop(get_thread())

    assert thread is portal.run(get_thread())


def test_coroutine_can_be_awaited_on_the_event_loop_of_the_portal() -> None:
    async def run_nested() -> threading.Thread:
        return await portal.run_from_event_loop(get_thread())

    assert portal.run(run_nested()) is portal.run(get_thread())


async def test_cancelling_the_caller_cancels_the_coroutine() -> None:
    started, ended = threading.Event(), threading.Event()

    async def wait_forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    caller = asyncio.create_task(portal.run_from_event_loop(wait_forever()))
    await asyncio.to_thread(started.wait, 5)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    assert await asyncio.to_thread(ended.wait, 5)


# --- iterate -------------------------------------------------------------------------


class Source:
    """A source whose batches come from an asynchronous generator."""

    def __init__(self, batches: AsyncGenerator[list[int], None]) -> None:
        self.is_closed = False
        self._batches = batches

    async def open(self) -> "Source":
        return self

    async def read_batch(self) -> list[int]:
        return await anext(self._batches, [])

    def close(self) -> None:
        self.is_closed = True


async def count_up(count: int) -> AsyncGenerator[list[int], None]:
    for number in range(count):
        await asyncio.sleep(0)
        yield [number]


async def yield_once_and_wait() -> AsyncGenerator[list[int], None]:
    yield [1]
    await asyncio.Event().wait()


def open_endless_source() -> tuple[Source, Generator[list[int], None, None]]:
    """Return a source of which the first batch has been read, and its iterator."""
    source = Source(yield_once_and_wait())
    batches = portal.iterate(source.open)
    assert next(batches) == [1]
    return source, batches


@pytest.mark.parametrize("count", [0, 1, 100])
def test_batches_keep_their_order_and_end_with_an_empty_batch(count: int) -> None:
    *batches, last = portal.iterate(Source(count_up(count)).open)

    assert [number for batch in batches for number in batch] == list(range(count))
    assert all(batches)
    assert last == []


def test_source_is_closed_before_the_empty_batch() -> None:
    source = Source(count_up(1))
    batches = portal.iterate(source.open)

    while next(batches):
        pass

    assert source.is_closed


@pytest.mark.parametrize("error_class", [LookupError, SystemExit])
def test_exception_of_the_source_follows_the_batches_before_it(
    error_class: type[BaseException],
) -> None:
    async def fail_after_one_batch() -> AsyncGenerator[list[int], None]:
        yield [1]
        raise error_class("nowhere")

    source = Source(fail_after_one_batch())
    batches = portal.iterate(source.open)

    assert next(batches) == [1]
    with pytest.raises(error_class, match="nowhere"):
        next(batches)
    assert source.is_closed


def test_exception_while_opening_the_source_reaches_the_caller() -> None:
    async def fail() -> Source:
        raise LookupError("nowhere")

    with pytest.raises(LookupError, match="nowhere"):
        next(portal.iterate(fail))


def test_batches_that_arrive_while_the_caller_is_busy_are_joined() -> None:
    ended = threading.Event()

    async def pause_after_the_first_batch() -> AsyncGenerator[list[int], None]:
        yield [0]
        await asyncio.sleep(0.05)
        for number in range(1, 10, 3):
            yield [number, number + 1, number + 2]
        ended.set()

    batches = portal.iterate(Source(pause_after_the_first_batch()).open)

    assert next(batches) == [0]
    assert ended.wait(5)
    assert list(batches) == [[1, 2, 3, 4, 5, 6, 7, 8, 9], []]


def test_closing_the_iterator_closes_the_source() -> None:
    source, batches = open_endless_source()

    batches.close()

    assert source.is_closed


def test_deleting_the_iterator_closes_the_source() -> None:
    source, batches = open_endless_source()

    del batches

    assert source.is_closed


def test_interrupting_the_caller_closes_the_source() -> None:
    source, batches = open_endless_source()

    with pytest.raises(KeyboardInterrupt):
        batches.throw(KeyboardInterrupt)

    assert source.is_closed


# --- processes -----------------------------------------------------------------------

IMPORTS = """
import asyncio, os, warnings
from langchain_cerebras_inference._http import portal
from langchain_cerebras_inference.errors import CerebrasConnectionError

async def get_process_id():
    return os.getpid()

class EndlessSource:
    is_first = True

    async def read_batch(self):
        if not self.is_first:
            await asyncio.Event().wait()
        self.is_first = False
        return [1]

    def close(self):
        pass

async def open_source():
    return EndlessSource()

"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def run_program(program: str) -> tuple[str, str]:
    """Run a program with all warnings as errors, and return its stdout and stderr."""
    command = [*PYTHON, "-X", "dev", "-c", IMPORTS + program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return result.stdout, result.stderr


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("print(portal.run(get_process_id()) == os.getpid())", id="after a call"),
        pytest.param(
            "batches = portal.iterate(open_source); print(next(batches) == [1])",
            id="with an open iterator",
        ),
    ],
)
def test_program_exits_at_once_and_without_warnings(program: str) -> None:
    assert run_program(program) == ("True\n", "")


@needs_fork
def test_forked_child_has_its_own_portal() -> None:
    program = """
warnings.simplefilter("ignore", DeprecationWarning)  # about a fork of a threaded process
portal.run(get_process_id())
if child := os.fork():
    _, status = os.waitpid(child, 0)
    print(status, portal.run(get_process_id()) == os.getpid())
else:
    os._exit(0 if portal.run(get_process_id()) == os.getpid() else 1)
"""

    assert run_program(program) == ("0 True\n", "")


@needs_fork
def test_iterator_of_the_parent_raises_an_error_in_a_forked_child() -> None:
    program = """
warnings.simplefilter("ignore", DeprecationWarning)  # about a fork of a threaded process
batches = portal.iterate(open_source)
next(batches)
if child := os.fork():
    _, status = os.waitpid(child, 0)
    print(status)
else:
    try:
        next(batches)
    except CerebrasConnectionError as error:
        os._exit(0 if "before this process was forked" in str(error) else 1)
    os._exit(2)
"""

    assert run_program(program) == ("0\n", "")
