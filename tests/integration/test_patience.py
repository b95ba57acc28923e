"""What counts as silence, on a clock that runs two hundred times as fast; and who waits."""

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableConfig

from langchain_cerebras_inference import CerebrasTimeoutError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply, Stall
from tests.integration.styles import STYLES, collected

T = TypeVar("T")

HURRY = 200


class HurriedSelector(selectors.DefaultSelector):
    """Waits a two-hundredth of what it is asked to."""

    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout and timeout / HURRY)


class HurriedLoop(asyncio.SelectorEventLoop):
    """A loop on which a second of waiting is 200 s."""

    def __init__(self) -> None:
        super().__init__(HurriedSelector())

    def time(self) -> float:
        return time.monotonic() * HURRY


def hurried(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Run `work`; its result, and the seconds it took by the loop's clock."""

    async def timed() -> tuple[T, float]:
        clock = asyncio.get_running_loop().time
        started = clock()
        result = await work
        return result, clock() - started

    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(timed())


SENTENCE = " ".join(f"word{number}" for number in range(60))
"""22 events of it."""


def test_a_stream_of_four_hundred_seconds_is_whole(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content=SENTENCE, pace=0.1))  # 20 s on that clock

    chunks, took = hurried(collected(model.astream("Hello!")))

    assert "".join(chunk.text for chunk in chunks) == SENTENCE
    assert took > 400


def test_a_whole_answer_of_four_hundred_seconds_is_whole(server: Emulator) -> None:
    server.script(Reply(content=SENTENCE, delay=2))
    model = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key, timeout=600)

    answer, took = hurried(model.ainvoke("Hello!"))

    assert answer.text == SENTENCE
    assert took > 400


@pytest.mark.parametrize(
    "act",
    [
        Stall(after=None),
        Stall(after=0),
        Stall(after=2),
        Stall(after=2, comments=True, every=0.05),
    ],
)
def test_silence_ends_after_a_minute_by_default(act: Stall, server: Emulator) -> None:
    server.script(act)
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, max_retries=0
    )

    async def work() -> float:
        with pytest.raises(CerebrasTimeoutError, match="for 60 s"):
            await collected(model.astream("Hello!"))
        return 0

    _, took = hurried(work())

    assert 60 <= took < 120


@pytest.mark.parametrize("style", STYLES)
def test_there_may_be_no_limit(style: str, server: Emulator) -> None:
    server.script(Reply(content="At last.", delay=0.3))
    model = ChatCerebrasInference(
        base_url=server.base_url,
        api_key=server.api_key,
        timeout=math.inf,
        connect_timeout=math.inf,
    )

    answer = STYLES[style](model, "Hello!")

    assert answer.text == "At last."


# --- one loop after another ---------------------------------------------------------


def in_a_loop_of_its_own(model: ChatCerebrasInference) -> None:
    for style in ("ainvoke", "astream"):
        STYLES[style](model, "Hello!")


def test_a_new_loop_costs_no_second_attempt_and_so_no_wait(
    model: ChatCerebrasInference, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "langchain_cerebras_inference")

    for _ in range(10):
        in_a_loop_of_its_own(model)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(in_a_loop_of_its_own, [model] * 4))

    assert len(server.requests) == 28
    assert caplog.messages == []


# --- many at once -------------------------------------------------------------------

USUAL = 100
"""The connections that aiohttp allows unless it is told otherwise."""

MANY = 500


@pytest.fixture
def many_files() -> Iterator[None]:
    """A connection is two files here, its server's too, and 1024 are the usual limit."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != hard < 3 * MANY:
        pytest.skip("this system allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * MANY), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def asked_together(model: ChatCerebrasInference) -> list[Any]:
    answers: list[Any] = await model.abatch(["Hello!"] * MANY)
    return answers


async def streamed_together(model: ChatCerebrasInference) -> list[Any]:
    streams = (collected(model.astream("Hello!")) for _ in range(MANY))
    answers: list[Any] = await asyncio.gather(*streams)
    return answers


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("work", [asked_together, streamed_together])
def test_nobody_waits_for_a_connection(
    work: Callable[[ChatCerebrasInference], Coroutine[Any, Any, list[Any]]], server: Emulator
) -> None:
    server.script(*[Reply(delay=1.5)] * MANY)
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, timeout=20, max_retries=0
    )

    answers = asyncio.run(work(model))

    assert len(answers) == MANY
    assert all(answers)
    assert server.connections > USUAL


@pytest.mark.parametrize("style", ["batch", "abatch"])
def test_no_more_go_out_together_than_is_allowed(style: str, server: Emulator) -> None:
    server.script(*[Reply(delay=0.1)] * 6)
    model = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)
    config: RunnableConfig = {"max_concurrency": 2}

    if style == "batch":
        model.batch(["Hello!"] * 6, config)
    else:
        asyncio.run(model.abatch(["Hello!"] * 6, config))

    times = [request.time for request in server.requests]
    assert len(times) == 6
    assert all(third - first > 0.05 for first, third in zip(times, times[2:], strict=False))


@pytest.mark.parametrize("style", STYLES)
def test_a_rate_limiter_is_obeyed(style: str, server: Emulator) -> None:
    limiter = InMemoryRateLimiter(
        requests_per_second=10, check_every_n_seconds=0.01, max_bucket_size=1
    )
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, rate_limiter=limiter
    )

    for _ in range(3):
        STYLES[style](model, "Hello!")

    first, _, third = (request.time for request in server.requests)
    assert third - first > 0.15
