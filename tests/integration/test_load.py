"""Many calls at once, and for a long time: `make load` runs this and prints the figures.

The emulator runs in another process, so that its CPU time and memory are not counted. The
memory test is the first, because every other test would leave memory behind.
"""

import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasRateLimitError,
    CerebrasServerError,
    ChatCerebrasInference,
)
from tests.integration.load_server import FAULTS, get_fault, has_permanent_fault, stream_text

pytestmark = [
    pytest.mark.load,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not Path("/proc/self/fd").is_dir(), reason="reads memory and open files from /proc"
    ),
]

SHARE = float(os.environ.get("LOAD_SHARE", "1"))
"""The share of the load to run, for trials of these tests."""

STREAMS = int(1_000 * SHARE)
BATCH_CALLS = int(10_000 * SHARE)
MEMORY_CALLS = int(100_000 * SHARE)
EVENT_LOOPS = 100
CONCURRENT_CALLS = 50
MAX_OPEN_FILES = 4096

ERRORS: dict[str, type[CerebrasError]] = {
    "429": CerebrasRateLimitError,
    "503": CerebrasServerError,
    "truncated": CerebrasConnectionError,
    "reset": CerebrasConnectionError,
}


class Server:
    """The process of `load_server`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._settings = self._read_json()

    def create_model(self, **settings: Any) -> ChatCerebrasInference:
        return ChatCerebrasInference(**self._settings, **settings)

    def report(self) -> dict[str, Any]:
        """Return what the server has sent; see `RequestRecorder.report`."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read_json()

    def _read_json(self) -> dict[str, Any]:
        assert self._process.stdout
        value: dict[str, Any] = json.loads(self._process.stdout.readline())
        return value


@pytest.fixture
def server() -> Iterator[Server]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(MAX_OPEN_FILES, hard)), hard))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.load_server"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Server(process)
    assert process.returncode == 0


class Stopwatch:
    """Measures the time and the CPU time since it was created, in seconds."""

    def __init__(self) -> None:
        self._start, self._cpu_start = time.monotonic(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.monotonic() - self._start, time.process_time() - self._cpu_start


def print_figures(title: str, **figures: object) -> None:
    line = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
    sys.stdout.write(f"\n{title}: {line}\n")


def count_open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 # needs only the names


def measure_memory_mebibytes() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


# --- memory and open files ----------------------------------------------------------


async def call(model: ChatCerebrasInference, number: int) -> None:
    """Call the model in the call style for a number; one stream in ten is abandoned."""
    prompt = f"memory {number}"
    match number % 10:
        case 0:
            # The hook's annotation is AsyncIterator, but it is a generator.
            async with aclosing(model.astream(prompt)) as stream:  # type: ignore[type-var]
                await anext(stream)
        case 1 | 2 | 3:
            text = "".join([chunk.text async for chunk in model.astream(prompt)])
            assert prompt in text
        case 4:
            message = await asyncio.to_thread(model.invoke, prompt)
            assert prompt in message.text
        case 5:
            chunks = await asyncio.to_thread(lambda: list(model.stream(prompt)))
            assert prompt in "".join(chunk.text for chunk in chunks)
        case _:
            message = await model.ainvoke(prompt)
            assert prompt in message.text


async def call_concurrently(model: ChatCerebrasInference, numbers: range) -> None:
    remaining = iter(numbers)

    async def work() -> None:
        for number in remaining:
            await call(model, number)

    await asyncio.gather(*(work() for _ in range(CONCURRENT_CALLS)))
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_memory_and_open_files_do_not_grow_in_a_hundred_thousand_calls(
    server: Server,
) -> None:
    model = server.create_model()
    calls_per_loop = MEMORY_CALLS // EVENT_LOOPS
    memory, open_files = [], []
    stopwatch = Stopwatch()

    for loop in range(EVENT_LOOPS):
        numbers = range(loop * calls_per_loop, (loop + 1) * calls_per_loop)
        asyncio.run(call_concurrently(model, numbers))
        if loop + 1 in (EVENT_LOOPS // 20, EVENT_LOOPS // 2, EVENT_LOOPS):
            gc.collect()
            memory.append(measure_memory_mebibytes())
            open_files.append(count_open_files())

    seconds, cpu_seconds = stopwatch.read()
    print_figures(
        "Memory",
        calls=MEMORY_CALLS,
        event_loops=EVENT_LOOPS,
        MiB="at 5 %, 50 % and 100 %: {}, {}, {}".format(*memory),
        open_files="{}, {}, {}".format(*open_files),
        minutes=round(seconds / 60, 1),
        CPU_ms_per_call=round(cpu_seconds / MEMORY_CALLS * 1e3, 2),
    )
    assert max(memory) - min(memory) < 0.05 * memory[0]
    assert max(open_files) - min(open_files) <= 1


# --- many streams -------------------------------------------------------------------


async def test_a_thousand_concurrent_streams_are_complete(server: Server) -> None:
    # The machine may be busy, so connecting may take long.
    model = server.create_model(max_retries=0, connect_timeout=60)
    texts = dict.fromkeys(range(STREAMS), "")
    chunks = 0

    async def read(number: int) -> None:
        nonlocal chunks
        async for chunk in model.astream(f"stream {number}"):
            texts[number] += chunk.text
            chunks += 1

    open_files = count_open_files()
    stopwatch = Stopwatch()
    await asyncio.gather(*map(read, range(STREAMS)))
    seconds, cpu_seconds = stopwatch.read()
    report = server.report()
    await model.aclose()

    print_figures(
        "Concurrent streams",
        streams=STREAMS,
        open_at_once=report["max_open"],
        chunks=chunks,
        seconds=round(seconds, 1),
        CPU_us_per_chunk=round(cpu_seconds / chunks * 1e6),
        MiB=measure_memory_mebibytes(),
    )
    assert texts == {number: stream_text(number) for number in range(STREAMS)}
    assert report["max_open"] == STREAMS
    assert report["responses"] == {
        f"stream {number}": ["completion"] for number in range(STREAMS)
    }
    assert count_open_files() <= open_files + 5


# --- a large batch ------------------------------------------------------------------


async def test_every_call_of_a_large_batch_gets_its_own_completion(server: Server) -> None:
    # Without the queue of the quota: it would believe the 429s, which are scripted.
    model = server.create_model(pace=False)
    numbers = range(BATCH_CALLS)
    prompts: list[Any] = [f"batch {number}" for number in numbers]

    stopwatch = Stopwatch()
    results: list[Any] = await model.abatch(
        prompts, {"max_concurrency": 200}, return_exceptions=True
    )
    seconds, cpu_seconds = stopwatch.read()
    responses = server.report()["responses"]

    failed = [number for number in numbers if isinstance(results[number], Exception)]
    print_figures(
        "A batch with faults",
        calls=BATCH_CALLS,
        calls_with_a_fault=sum(get_fault(number) is not None for number in numbers),
        requests=sum(map(len, responses.values())),
        completions=BATCH_CALLS - len(failed),
        errors=dict(Counter(type(results[number]).__name__ for number in failed)),
        seconds=round(seconds, 1),
        CPU_ms_per_call=round(cpu_seconds / BATCH_CALLS * 1e3, 2),
    )
    assert failed == [number for number in numbers if has_permanent_fault(number)]
    for number, result in enumerate(results):
        fault = get_fault(number)
        if has_permanent_fault(number):
            assert type(result) is ERRORS[str(fault)]
            assert set(responses[prompts[number]]) == {fault}
        else:
            expected = [fault, "completion"] if fault else ["completion"]
            assert result.text == f"The answer to {prompts[number]}."
            assert responses[prompts[number]] == expected
    assert {get_fault(number) for number in numbers} >= FAULTS.keys()
