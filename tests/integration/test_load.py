"""Much at once, and for long: `make load` runs this and prints the figures.

The server is the emulator in another process, so that it shares no interpreter with
what is measured. The soak comes first, before anything else has filled the memory.
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
from tests.integration.load_server import FAULTS, fault_for, is_hopeless, words

pytestmark = [
    pytest.mark.load,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts files in /proc"),
]

SHARE = float(os.environ.get("LOAD_SHARE", "1"))
"""How much of the load is run; for trials of these tests alone."""

STREAMS = int(1_000 * SHARE)
CALLS = int(10_000 * SHARE)
SOAK = int(100_000 * SHARE)
LOOPS = 100
AT_ONCE = 50
FILES = 4096

ERRORS: dict[str, type[CerebrasError]] = {
    "429": CerebrasRateLimitError,
    "503": CerebrasServerError,
    "cut": CerebrasConnectionError,
    "reset": CerebrasConnectionError,
}


class Server:
    """The server's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._where = self._read()

    def model(self, **fields: Any) -> ChatCerebrasInference:
        return ChatCerebrasInference(**self._where, **fields)

    def record(self) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said


@pytest.fixture
def server() -> Iterator[Server]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(FILES, hard)), hard))
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


def report(what: str, **figures: object) -> None:
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
    sys.stdout.write(f"\n{what}: {told}\n")


def files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 # of names alone


def megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


async def call(model: ChatCerebrasInference, number: int) -> None:
    """One of the ways to call; of ten calls one stream is left after its first chunk."""
    question = f"soak {number}"
    match number % 10:
        case 0:
            async with aclosing(model.astream(question)) as stream:  # type: ignore[type-var]
                await anext(stream)
        case 1 | 2 | 3:
            text = "".join([chunk.text async for chunk in model.astream(question)])
            assert question in text
        case 4:
            answer = await asyncio.to_thread(model.invoke, question)
            assert question in answer.text
        case 5:
            chunks = await asyncio.to_thread(lambda: list(model.stream(question)))
            assert question in "".join(chunk.text for chunk in chunks)
        case _:
            answer = await model.ainvoke(question)
            assert question in answer.text


async def calls(model: ChatCerebrasInference, numbers: range) -> None:
    left = iter(numbers)

    async def work() -> None:
        for number in left:
            await call(model, number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_memory_and_files_stay_as_they_were_in_a_hundred_thousand_calls(
    server: Server,
) -> None:
    model = server.model()
    each = SOAK // LOOPS
    memory, open_files = [], []

    def measure() -> None:
        gc.collect()
        memory.append(megabytes())
        open_files.append(files())

    started, cpu = time.monotonic(), time.process_time()
    for loop in range(LOOPS):
        asyncio.run(calls(model, range(loop * each, (loop + 1) * each)))
        if loop + 1 in (LOOPS // 20, LOOPS // 2, LOOPS):
            measure()
    took, busy = time.monotonic() - started, time.process_time() - cpu

    report(
        "A soak",
        calls=SOAK,
        event_loops=LOOPS,
        MB="at 5 %, 50 % and 100 %: {}, {}, {}".format(*memory),
        files="{}, {}, {}".format(*open_files),
        minutes=round(took / 60, 1),
        CPU_ms_per_call=round(busy / SOAK * 1e3, 2),
    )
    assert max(memory) - min(memory) < 0.05 * memory[0]
    assert max(open_files) - min(open_files) <= 1


async def test_a_thousand_streams_at_once_are_all_whole(server: Server) -> None:
    model = server.model(max_retries=0, connect_timeout=60)  # on a busy machine
    texts = dict.fromkeys(range(STREAMS), "")
    chunks = 0

    async def read(number: int) -> None:
        nonlocal chunks
        async for chunk in model.astream(f"stream {number}"):
            texts[number] += chunk.text
            chunks += 1

    before = files()
    started, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*map(read, range(STREAMS)))
    took, busy = time.monotonic() - started, time.process_time() - cpu
    record = server.record()
    await model.aclose()

    report(
        "Streams at once",
        streams=STREAMS,
        open_at_once=record["most_open"],
        chunks=chunks,
        seconds=round(took, 1),
        CPU_us_per_chunk=round(busy / chunks * 1e6),
        MB=megabytes(),
    )
    assert texts == {number: words(number) for number in range(STREAMS)}
    assert record["most_open"] == STREAMS
    assert record["given"] == {f"stream {number}": ["answer"] for number in range(STREAMS)}
    assert files() <= before + 5


async def test_no_call_of_a_large_batch_is_lost_or_answered_twice(server: Server) -> None:
    model = server.model()
    questions: list[Any] = [f"batch {number}" for number in range(CALLS)]

    started, cpu = time.monotonic(), time.process_time()
    answers: list[Any] = await model.abatch(
        questions, {"max_concurrency": 200}, return_exceptions=True
    )
    took, busy = time.monotonic() - started, time.process_time() - cpu
    given = server.record()["given"]

    hopeless = [number for number in range(CALLS) if is_hopeless(number)]
    failed = [number for number in range(CALLS) if isinstance(answers[number], Exception)]
    report(
        "A batch with faults",
        calls=CALLS,
        met_with_a_fault=sum(fault_for(number) is not None for number in range(CALLS)),
        requests=sum(map(len, given.values())),
        answered=CALLS - len(failed),
        errors=dict(Counter(type(answers[number]).__name__ for number in failed)),
        seconds=round(took, 1),
        CPU_ms_per_call=round(busy / CALLS * 1e3, 2),
    )
    assert failed == hopeless
    for number, answer in enumerate(answers):
        fault = fault_for(number)
        if number in hopeless:
            assert type(answer) is ERRORS[str(fault)]
            assert set(given[questions[number]]) == {fault}
        else:
            assert answer.text == f"The answer to {questions[number]}."
            assert given[questions[number]] == [*filter(None, [fault]), "answer"]
    assert {fault_for(number) for number in range(CALLS)} >= FAULTS.keys()
