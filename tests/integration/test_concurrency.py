"""Many calls at once: from threads, on one event loop, and within the limits LangChain sets."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableConfig

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply
from tests.integration.call_styles import (
    CALL_STYLES,
    CallStyle,
    collect,
    every_call_style,
    every_sync_style,
)
from tests.integration.helpers import create_model


@every_sync_style
def test_fifty_threads_can_call_at_once(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    barrier = threading.Barrier(50)

    def work(number: int) -> str:
        barrier.wait()
        text: str = call(model, f"Number {number}.").text
        return text

    with ThreadPoolExecutor(50) as threads:
        texts = list(threads.map(work, range(50)))

    assert all(f'"Number {number}."' in text for number, text in enumerate(texts))
    assert len(server.requests) == 50


def test_one_model_serves_event_loops_in_many_threads(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    calls = [CALL_STYLES["ainvoke"], CALL_STYLES["astream"]] * 8
    barrier = threading.Barrier(len(calls))

    def work(call: CallStyle) -> None:
        barrier.wait()
        for _ in range(5):
            call(model, "Hello!")

    with ThreadPoolExecutor(len(calls)) as threads:
        list(threads.map(work, calls))

    assert len(server.requests) == 80


def test_batch_sends_its_requests_concurrently(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[Reply(delay=0.3)] * 8)
    started = time.monotonic()

    model.batch(["Hello!"] * 8)

    assert time.monotonic() - started < 8 * 0.3 / 2


# --- connections --------------------------------------------------------------------

AIOHTTP_LIMIT = 100
"""The connections a client session opens by default."""

CALL_COUNT = 200
"""A call takes two files here, the client's and the server's; the usual limit is 1024."""


async def run_batch(model: ChatCerebrasInference) -> list[Any]:
    messages: list[Any] = await model.abatch(["Hello!"] * CALL_COUNT)
    return messages


async def run_streams(model: ChatCerebrasInference) -> list[Any]:
    streams = (collect(model.astream("Hello!")) for _ in range(CALL_COUNT))
    chunks: list[Any] = await asyncio.gather(*streams)
    return chunks


@pytest.mark.parametrize("run", [run_batch, run_streams])
def test_no_call_waits_for_a_free_connection(
    run: Callable[[ChatCerebrasInference], Coroutine[Any, Any, list[Any]]], server: Emulator
) -> None:
    # One second is enough to open all connections before the first response frees one.
    server.script(*[Reply(delay=1)] * CALL_COUNT)
    model = create_model(server, timeout=20, max_retries=0)

    results = asyncio.run(run(model))

    assert len(results) == CALL_COUNT
    assert all(results)
    assert server.connections > AIOHTTP_LIMIT


# --- LangChain's limits -------------------------------------------------------------


@pytest.mark.parametrize("style", ["batch", "abatch"])
def test_max_concurrency_limits_the_requests_at_once(
    style: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[Reply(delay=0.1)] * 6)
    config: RunnableConfig = {"max_concurrency": 2}

    if style == "batch":
        model.batch(["Hello!"] * 6, config)
    else:
        asyncio.run(model.abatch(["Hello!"] * 6, config))

    times = [request.time for request in server.requests]
    assert len(times) == 6
    assert all(third - first > 0.05 for first, third in zip(times, times[2:], strict=False))


@every_call_style
def test_rate_limiter_delays_requests(call: CallStyle, server: Emulator) -> None:
    limiter = InMemoryRateLimiter(
        requests_per_second=10, check_every_n_seconds=0.01, max_bucket_size=1
    )
    model = create_model(server, rate_limiter=limiter)

    start = time.monotonic()
    for _ in range(3):
        call(model, "Hello!")

    assert server.requests[-1].time - start > 0.15
