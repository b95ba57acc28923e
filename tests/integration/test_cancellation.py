"""A call that is abandoned or cancelled disconnects at once and leaves nothing behind.

A stream is abandoned when its reader closes or drops it, leaves the loop that reads it,
is cancelled, or runs out of time.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasServerError,
    CerebrasTimeoutError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import Act, Cut, Emulator, Refuse, Reply, Stall
from tests.integration.call_styles import collect
from tests.integration.helpers import create_model, wait_until

LONG_REPLY = Reply(content="one two three four five six " * 200, pace=0.01)
SILENT_AFTER_TEXT = Stall(after=2, reply=LONG_REPLY)
SILENT_BEFORE_HEADERS = Stall(after=None)

DISCONNECT_TIMEOUT = 1.0
"""The goal is 0.2 s, which a test of its own measures; a busy machine needs more."""


async def wait_for_requests(server: Emulator, count: int) -> None:
    """Wait until the server has received `count` requests and has begun to respond."""
    await asyncio.to_thread(wait_until, lambda: len(server.requests) == count)
    await asyncio.sleep(0.05)


async def is_disconnected(server: Emulator, number: int = 0) -> bool:
    disconnected = server.requests[number].disconnected
    return await asyncio.to_thread(disconnected.wait, DISCONNECT_TIMEOUT)


# --- how a stream ends early --------------------------------------------------------


def close(stream: Any) -> None:
    next(stream)
    stream.close()


def drop(stream: Iterator[Any]) -> None:
    next(stream)
    del stream


def leave_loop(stream: Iterator[Any]) -> None:
    for _ in stream:
        break
    del stream


def raise_in_loop(stream: Any) -> None:
    def read() -> None:
        for _ in stream:
            raise LookupError

    with pytest.raises(LookupError):
        read()
    stream.close()


async def aclose(stream: Any) -> None:
    await anext(stream)
    await stream.aclose()


async def leave_async_loop(stream: Any) -> None:
    async for _ in stream:
        break
    del stream


async def start_reading(stream: Any) -> asyncio.Task[None]:
    """Start a task that reads a stream; return it when the first chunk has arrived."""
    has_started = asyncio.Event()

    async def read() -> None:
        async for _ in stream:
            has_started.set()

    task = asyncio.create_task(read())
    await has_started.wait()
    return task


async def cancel(stream: Any) -> None:
    task = await start_reading(stream)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_before_headers(stream: Any) -> None:
    task = asyncio.create_task(collect(stream))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def run_out_of_time(stream: Any) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await collect(stream)


async def raise_timeout_error(stream: Any) -> None:
    with pytest.raises(CerebrasTimeoutError):
        await collect(stream)


async def raise_connection_error(stream: Any) -> None:
    with pytest.raises(CerebrasConnectionError):
        await collect(stream)


SYNC_ABANDONMENTS = [close, drop, leave_loop, raise_in_loop]
ASYNC_ABANDONMENTS = [aclose, leave_async_loop, cancel, run_out_of_time]


# --- the server notices -------------------------------------------------------------

in_midstream = pytest.mark.parametrize(
    "reply",
    [pytest.param(LONG_REPLY, id="sending"), pytest.param(SILENT_AFTER_TEXT, id="silent")],
)


@in_midstream
@pytest.mark.parametrize("abandon", SYNC_ABANDONMENTS)
def test_abandoned_stream_disconnects_at_once(
    abandon: Callable[[Any], None], reply: Act, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(reply)

    abandon(model.stream("Hello!"))

    assert server.requests[0].disconnected.wait(DISCONNECT_TIMEOUT)


@in_midstream
@pytest.mark.parametrize("abandon", ASYNC_ABANDONMENTS)
async def test_abandoned_async_stream_disconnects_at_once(
    abandon: Callable[[Any], Awaitable[None]],
    reply: Act,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    server.script(reply)

    await abandon(model.astream("Hello!"))

    assert await is_disconnected(server)


@pytest.mark.parametrize("streaming", [True, False])
async def test_cancelled_ainvoke_disconnects_at_once(streaming: bool, server: Emulator) -> None:
    server.script(SILENT_AFTER_TEXT if streaming else SILENT_BEFORE_HEADERS)
    task = asyncio.create_task(create_model(server, streaming=streaming).ainvoke("Hello!"))
    await wait_for_requests(server, 1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await is_disconnected(server)


# The server must see a disconnect within 0.2 s. A busy machine delays some of the
# attempts, so the fastest one counts: it shows what the code does.
ATTEMPTS = 5


def test_server_sees_a_closed_stream_within_a_fifth_of_a_second(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[LONG_REPLY] * ATTEMPTS)
    seconds = []
    for number in range(ATTEMPTS):
        stream: Any = model.stream("Hello!")
        next(stream)
        closed_at = time.monotonic()
        stream.close()
        assert server.requests[number].disconnected.wait(DISCONNECT_TIMEOUT)
        seconds.append(time.monotonic() - closed_at)

    assert min(seconds) < 0.2


async def test_server_sees_a_cancelled_task_within_a_fifth_of_a_second(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[LONG_REPLY] * ATTEMPTS)
    seconds = []
    for number in range(ATTEMPTS):
        task = await start_reading(model.astream("Hello!"))
        cancelled_at = time.monotonic()
        task.cancel()
        assert await is_disconnected(server, number)
        seconds.append(time.monotonic() - cancelled_at)

    assert min(seconds) < 0.2


# --- nothing is left behind ---------------------------------------------------------
#
# `/proc/self/fd` lists the open files of this process. A test compares their number
# before and after several streams, and waits until files that close late are closed.

OPEN_FILES = Path("/proc/self/fd")
ROUNDS = 3

needs_proc = pytest.mark.skipif(not OPEN_FILES.exists(), reason="needs Linux's /proc")


def count_open_files() -> int:
    return sum(1 for _ in OPEN_FILES.iterdir())


@pytest.fixture
def impatient_model(server: Emulator) -> ChatCerebrasInference:
    return create_model(server, timeout=0.2, max_retries=0)


EARLY_ENDS: dict[str, tuple[Callable[[Any], Awaitable[None]], Act]] = {
    "left": (leave_async_loop, LONG_REPLY),
    "closed": (aclose, LONG_REPLY),
    "cancelled": (cancel, LONG_REPLY),
    "cancelled before the headers": (cancel_before_headers, SILENT_BEFORE_HEADERS),
    "out of time": (run_out_of_time, LONG_REPLY),
    "silent": (raise_timeout_error, SILENT_AFTER_TEXT),
    "silent before the headers": (raise_timeout_error, SILENT_BEFORE_HEADERS),
    "truncated": (raise_connection_error, Cut(after=2, reply=LONG_REPLY)),
    "reset": (raise_connection_error, Cut(after=2, how="reset", reply=LONG_REPLY)),
}


@needs_proc
@pytest.mark.parametrize("name", EARLY_ENDS)
async def test_stream_that_ends_early_leaves_no_task_and_no_open_file(
    name: str, impatient_model: ChatCerebrasInference, server: Emulator
) -> None:
    end, behavior = EARLY_ENDS[name]
    await impatient_model.ainvoke("Hello!")
    server.script(*[behavior] * ROUNDS)
    files_before = count_open_files()

    for _ in range(ROUNDS):
        await end(impatient_model.astream("Hello!"))
    gc.collect()
    await asyncio.sleep(0.05)

    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.to_thread(wait_until, lambda: server.open_connections <= 1)
    await asyncio.to_thread(wait_until, lambda: count_open_files() <= files_before)


@pytest.mark.parametrize("name", EARLY_ENDS)
async def test_call_after_a_stream_that_ended_early_succeeds(
    name: str, impatient_model: ChatCerebrasInference, server: Emulator
) -> None:
    end, behavior = EARLY_ENDS[name]
    server.script(behavior, Reply(content="Complete."))
    await end(impatient_model.astream("Hello!"))

    message = await impatient_model.ainvoke("Hello!")

    assert message.text == "Complete."


def time_out(stream: Iterator[Any]) -> None:
    with pytest.raises(CerebrasTimeoutError):
        list(stream)


SYNC_EARLY_ENDS: dict[str, tuple[Callable[[Any], None], Act]] = {
    "left": (leave_loop, LONG_REPLY),
    "closed": (close, LONG_REPLY),
    "silent": (time_out, SILENT_AFTER_TEXT),
}


@needs_proc
@pytest.mark.parametrize("name", SYNC_EARLY_ENDS)
def test_sync_stream_that_ends_early_leaves_no_task_and_no_open_file(
    name: str, server: Emulator
) -> None:
    end, behavior = SYNC_EARLY_ENDS[name]
    loops = set()

    async def find_loop() -> str:  # runs on the event loop that serves sync calls
        loops.add(asyncio.get_running_loop())
        return server.api_key

    model = create_model(server, api_key=find_loop, timeout=0.2, max_retries=0)
    model.invoke("Hello!")
    server.script(*[behavior] * ROUNDS)
    files_before = count_open_files()

    for _ in range(ROUNDS):
        end(model.stream("Hello!"))
    gc.collect()

    [loop] = loops
    wait_until(lambda: not asyncio.all_tasks(loop))
    wait_until(lambda: server.open_connections <= 1)
    wait_until(lambda: count_open_files() <= files_before)


def test_sync_call_after_abandoned_streams_succeeds(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[LONG_REPLY] * 5)
    for _ in range(5):
        close(model.stream("Hello!"))

    message = model.invoke("Hello!")

    assert "Hello!" in message.text
    assert all(request.disconnected.wait(DISCONNECT_TIMEOUT) for request in server.requests[:5])


# --- a cancellation reaches the caller ----------------------------------------------

CANCELLATION_POINTS: dict[str, tuple[list[Act], int]] = {
    "before the headers": ([Stall(after=None)], 1),
    "before the first text": ([Stall(after=1)], 1),
    "between texts": ([Stall(after=2)], 1),
    "waiting for a retry": ([Refuse(503, headers={"Retry-After": "30"})], 1),
    "in the second attempt": (
        [Refuse(503, headers={"Retry-After": "0.01"}), Stall(after=None)],
        2,
    ),
}
"""What the server does, and how many requests it has seen at the cancellation."""


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("point", CANCELLATION_POINTS)
async def test_cancellation_is_never_swallowed(
    point: str, streaming: bool, server: Emulator
) -> None:
    behaviors, request_count = CANCELLATION_POINTS[point]
    server.script(*behaviors)
    task = asyncio.create_task(create_model(server, streaming=streaming).ainvoke("Hello!"))
    await wait_for_requests(server, request_count)

    task.cancel()
    done, _ = await asyncio.wait([task], timeout=1)

    assert done == {task}
    assert task.cancelled()
    assert len(server.requests) == request_count


async def test_cancellation_at_any_moment_of_a_call_is_never_swallowed(
    model: ChatCerebrasInference,
) -> None:
    async def work() -> None:
        await model.ainvoke("Hello!")
        await asyncio.sleep(10)

    # A call takes a few milliseconds: some of the cancellations come with its response.
    for number in range(20):
        task = asyncio.create_task(work())
        await asyncio.sleep(number / 2000)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=2)

        assert done == {task}
        assert task.cancelled()


async def test_asyncio_timeout_of_the_caller_raises_timeout_error(
    server: Emulator,
) -> None:
    server.script(Refuse(503, headers={"Retry-After": "30"}), Refuse(503))

    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.1):
            await create_model(server).ainvoke("Hello!")

    assert type(caught.value) is TimeoutError
    with pytest.raises(CerebrasServerError):
        await create_model(server, max_retries=0).ainvoke("Hello!")
