"""What a call leaves behind, however it ends: no task, no socket, no file."""

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasServerError,
    CerebrasTimeoutError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference._http import connection_pool, portal
from langchain_cerebras_inference.emulator import Act, Cut, Emulator, Refuse, Reply, Stall
from tests.integration.styles import STYLES, collected

FILES = Path("/proc/self/fd")
WORDS = Reply(content="one two three four five six " * 50, pace=0.01)
ROUNDS = 5

needs_proc = pytest.mark.skipif(not FILES.exists(), reason="needs /proc")


@pytest.fixture
def model(server: Emulator) -> ChatCerebrasInference:
    return ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, timeout=0.2, max_retries=0
    )


def open_files() -> int:
    return sum(1 for _ in FILES.iterdir())


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether it holds, or does in a moment."""
    moment = threading.Event()
    return any(condition() or moment.wait(0.01) for _ in range(200))


# --- the ways a call ends -----------------------------------------------------------


async def leave(stream: AsyncIterator[Any]) -> None:
    async for _ in stream:
        break


async def close(stream: Any) -> None:
    await anext(stream)
    await stream.aclose()


async def cancel(stream: AsyncIterator[Any]) -> None:
    task = asyncio.create_task(collected(stream))
    await asyncio.sleep(0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def run_out_of_time(stream: AsyncIterator[Any]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await collected(stream)


async def time_out(stream: AsyncIterator[Any]) -> None:
    with pytest.raises(CerebrasTimeoutError):
        await collected(stream)


async def break_off(stream: AsyncIterator[Any]) -> None:
    with pytest.raises(CerebrasConnectionError):
        await collected(stream)


ENDS: dict[str, tuple[Callable[[Any], Awaitable[None]], Act]] = {
    "left": (leave, WORDS),
    "closed": (close, WORDS),
    "cancelled": (cancel, WORDS),
    "cancelled before the headers": (cancel, Stall(after=None)),
    "out of time": (run_out_of_time, WORDS),
    "silent": (time_out, Stall(after=2, reply=WORDS)),
    "silent before the headers": (time_out, Stall(after=None)),
    "cut": (break_off, Cut(after=2, reply=WORDS)),
    "reset": (break_off, Cut(after=2, how="reset", reply=WORDS)),
}


@needs_proc
@pytest.mark.parametrize("end", ENDS)
async def test_a_stream_leaves_no_task_and_no_file_behind(
    end: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    finish, act = ENDS[end]
    await model.ainvoke("Hello!")
    server.script(*[act] * ROUNDS)
    before = open_files()

    for _ in range(ROUNDS):
        await finish(model.astream("Hello!"))
    gc.collect()
    await asyncio.sleep(0.05)

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert await asyncio.to_thread(comes_true, lambda: server.open_connections <= 1)
    assert await asyncio.to_thread(comes_true, lambda: open_files() <= before)


@pytest.mark.parametrize("end", ENDS)
async def test_the_next_call_is_as_if_nothing_had_been(
    end: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    finish, act = ENDS[end]
    server.script(act, Reply(content="Whole."))
    await finish(model.astream("Hello!"))

    answer = await model.ainvoke("Hello!")

    assert answer.text == "Whole."


def dropped(model: ChatCerebrasInference) -> None:
    for _ in model.stream("Hello!"):
        break


def closed(model: ChatCerebrasInference) -> None:
    stream: Any = model.stream("Hello!")
    next(stream)
    stream.close()


def timed_out(model: ChatCerebrasInference) -> None:
    with pytest.raises(CerebrasTimeoutError):
        list(model.stream("Hello!"))


@needs_proc
@pytest.mark.parametrize(
    ("finish", "act"),
    [(dropped, WORDS), (closed, WORDS), (timed_out, Stall(after=2, reply=WORDS))],
)
def test_a_synchronous_stream_leaves_no_task_and_no_file_behind(
    finish: Callable[[ChatCerebrasInference], None],
    act: Act,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    model.invoke("Hello!")
    server.script(*[act] * ROUNDS)
    before = open_files()

    for _ in range(ROUNDS):
        finish(model)
    gc.collect()

    loop = portal._Portal.shared().loop
    assert comes_true(lambda: not asyncio.all_tasks(loop))
    assert comes_true(lambda: server.open_connections <= 1)
    assert comes_true(lambda: open_files() <= before)


@needs_proc
def test_a_loop_that_has_ended_leaves_no_session_and_no_file_behind(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    STYLES["ainvoke"](model, "Hello!")
    before = open_files(), len(connection_pool._pools)

    for _ in range(ROUNDS):
        STYLES["ainvoke"](model, "Hello!")
        STYLES["astream"](model, "Hello!")

    files, pools = before
    assert comes_true(lambda: open_files() <= files)
    assert len(connection_pool._pools) <= pools
    assert comes_true(lambda: server.open_connections == 0)


async def test_a_loop_that_ends_in_its_own_thread_meanwhile_harms_nobody(
    model: ChatCerebrasInference,
) -> None:
    class Ending:
        """A loop, as far as it is looked at; it is gone as soon as it is."""

        def is_closed(self) -> bool:
            del connection_pool._pools[ending]
            return True

    ending: Any = Ending()
    connection_pool._pools[ending] = connection_pool.Pool()

    answer = await model.ainvoke("Hello!")

    assert answer.text
    assert ending not in connection_pool._pools


async def test_a_hundred_streams_on_a_loop_use_one_connection(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    for _ in range(100):
        await collected(model.astream("Hello!"))

    assert server.connections == 1


# --- cancellation -------------------------------------------------------------------

PLACES: dict[str, tuple[list[Act], int]] = {
    "before the headers": ([Stall(after=None)], 1),
    "before the first word": ([Stall(after=1)], 1),
    "between words": ([Stall(after=2)], 1),
    "while waiting to try again": ([Refuse(503, headers={"Retry-After": "30"})], 1),
    "in the second attempt": (
        [Refuse(503, headers={"Retry-After": "0.01"}), Stall(after=None)],
        2,
    ),
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("place", PLACES)
async def test_a_cancellation_is_never_swallowed(
    place: str, streaming: bool, server: Emulator
) -> None:
    acts, requests = PLACES[place]
    server.script(*acts)
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, streaming=streaming
    )
    task = asyncio.create_task(model.ainvoke("Hello!"))
    await asyncio.sleep(0.2)

    task.cancel()
    done, _ = await asyncio.wait([task], timeout=2)

    assert done == {task}
    assert task.cancelled()
    assert len(server.requests) == requests


async def test_a_cancellation_that_comes_with_the_answer_is_not_swallowed(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    async def work() -> None:
        await model.ainvoke("Hello!")
        await asyncio.sleep(10)

    for pause in range(20):
        task = asyncio.create_task(work())
        await asyncio.sleep(pause / 2000)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=2)

        assert done == {task}
        assert task.cancelled()


async def test_a_deadline_of_the_callers_stays_the_callers(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(503, headers={"Retry-After": "30"}), Refuse(503))
    patient = model.bind(max_retries=2)

    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.1):
            await patient.ainvoke("Hello!")

    assert type(caught.value) is TimeoutError
    with pytest.raises(CerebrasServerError):
        await model.ainvoke("Hello!")
