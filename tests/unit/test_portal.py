"""The async core for synchronous callers."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator

import pytest

from langchain_cerebras_inference._http import portal

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="nobody")


async def thread() -> threading.Thread:
    return threading.current_thread()


async def numbers(count: int) -> AsyncGenerator[int, None]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


class Watched:
    """An endless source that says whether it has been closed."""

    def __init__(self) -> None:
        self.is_closed = False

    async def source(self) -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.is_closed = True


# --- run ---------------------------------------------------------------------------------


def test_work_runs_in_one_thread_of_its_own() -> None:
    first, second = portal.run(thread()), portal.run(thread())

    assert first is second
    assert first is not threading.current_thread()
    assert first.daemon


def test_threads_share_it() -> None:
    found: list[threading.Thread] = []
    callers = [
        threading.Thread(target=lambda: found.append(portal.run(thread()))) for _ in range(8)
    ]

    for each in callers:
        each.start()
    for each in callers:
        each.join()

    assert found == [portal.run(thread())] * 8


@pytest.mark.parametrize("kind", [LookupError, SystemExit, KeyboardInterrupt])
def test_an_exception_is_the_callers_own(kind: type[BaseException]) -> None:
    error = kind("nowhere")
    before = portal.run(thread())

    async def fail() -> None:
        raise error

    with pytest.raises(kind) as caught:
        portal.run(fail())

    assert caught.value is error
    assert portal.run(thread()) is before


def test_work_that_cancels_itself_is_cancelled_for_the_caller() -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        portal.run(cancel())


def test_work_sees_the_callers_context() -> None:
    async def name() -> str:
        return NAME.get()

    token = NAME.set("Ada")
    seen = portal.run(name())
    NAME.reset(token)

    assert seen == "Ada"
    assert portal.run(name()) == "nobody"


async def test_it_runs_inside_a_running_loop() -> None:
    assert portal.run(thread()) is not threading.current_thread()


def test_on_its_own_thread_it_refuses_to_wait_for_itself() -> None:
    async def nested() -> None:
        portal.run(thread())

    with pytest.raises(RuntimeError, match="would wait for itself"):
        portal.run(nested())


# --- from another loop -------------------------------------------------------------------


async def test_work_is_awaited_from_any_loop() -> None:
    found = await portal.run_from_loop(thread())

    assert found is portal.run(thread())


def test_on_its_own_loop_work_is_awaited_as_it_is() -> None:
    async def nested() -> threading.Thread:
        return await portal.run_from_loop(thread())

    assert portal.run(nested()) is portal.run(thread())


async def test_a_waiter_that_is_cancelled_cancels_the_work() -> None:
    began, ended = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiter = asyncio.create_task(portal.run_from_loop(work()))
    await asyncio.to_thread(began.wait, 5)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter

    assert await asyncio.to_thread(ended.wait, 5)


# --- iterate -----------------------------------------------------------------------------


def test_items_come_in_their_order() -> None:
    batches = list(portal.iterate(numbers(100)))

    assert [item for batch in batches for item in batch] == list(range(100))
    assert all(batches)


def test_a_source_of_nothing_gives_nothing() -> None:
    assert list(portal.iterate(numbers(0))) == []


@pytest.mark.parametrize("kind", [LookupError, SystemExit])
def test_an_exception_comes_after_the_items_before_it(kind: type[BaseException]) -> None:
    async def fail() -> AsyncGenerator[int, None]:
        yield 1
        raise kind("nowhere")

    items = portal.iterate(fail())

    assert next(items) == [1]
    with pytest.raises(kind, match="nowhere"):
        next(items)


def test_a_source_is_read_ahead_and_what_has_come_comes_together() -> None:
    ended = threading.Event()

    async def source() -> AsyncGenerator[int, None]:
        yield 0
        await asyncio.sleep(0.05)
        for number in range(1, 10):
            yield number
        ended.set()

    items = portal.iterate(source())

    assert next(items) == [0]
    assert ended.wait(5)
    assert list(items) == [[1, 2, 3, 4, 5, 6, 7, 8, 9]]


@pytest.mark.parametrize("way", ["close", "drop"])
def test_a_source_is_closed_before_its_reader_goes_on(way: str) -> None:
    watched = Watched()
    items = portal.iterate(watched.source())
    next(items)

    if way == "close":
        items.close()
    else:
        del items

    assert watched.is_closed


def test_what_interrupts_the_reader_closes_the_source() -> None:
    watched = Watched()
    items = portal.iterate(watched.source())
    next(items)

    with pytest.raises(KeyboardInterrupt):
        items.throw(KeyboardInterrupt)

    assert watched.is_closed


# --- processes ---------------------------------------------------------------------------

PRELUDE = """
import asyncio, os, sys
from langchain_cerebras_inference._http import portal

async def work():
    return os.getpid()

async def forever():
    yield 1
    await asyncio.Event().wait()
"""


def output_of(program: str) -> tuple[str, str]:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", PRELUDE + program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    "program",
    [
        "print(portal.run(work()) == os.getpid())",
        "items = portal.iterate(forever()); print(next(items) == [1])",
    ],
)
def test_the_interpreter_exits_at_once_and_in_silence(program: str) -> None:
    assert output_of(program) == ("True\n", "")


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system cannot fork")
def test_a_forked_child_has_a_portal_of_its_own() -> None:
    program = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside a thread
portal.run(work())
if child := os.fork():
    _, status = os.waitpid(child, 0)
    print(status, portal.run(work()) == os.getpid())
else:
    os._exit(0 if portal.run(work()) == os.getpid() else 1)
"""

    assert output_of(program) == ("0 True\n", "")
