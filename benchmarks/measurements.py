"""The functions that measure.

Each function takes a client, the URL of a workload and a size, and returns one figure. CPU time
is the time of the whole process, with all its threads.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from benchmarks.clients import Totals
from benchmarks.workloads import EVENT_TEXT, EVENTS, STEPS_PER_SECOND

_ROOT = Path(__file__).parents[1]

_MAX_STREAM_SECONDS = 4.0
"""After this time, only the events that have arrived are counted."""

_TEXT_WORKLOADS = ("/burst", "/http_chunks", "/logprobs")

_prepared_models: dict[tuple[int, str], Any] = {}


def _get_model(client: Any, url: str) -> Any:
    """Return the prepared model of a client for a workload. It is prepared only once."""
    key = id(client), url
    if key not in _prepared_models:
        _prepared_models[key] = client.prepare(url)
    return _prepared_models[key]


class _CpuTimer:
    """Measures the CPU time that this process spends in a `with` block."""

    def __enter__(self) -> Self:
        gc.collect()
        self.seconds = math.nan
        self._start = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.process_time() - self._start

    def get_microseconds(self, count: int) -> float:
        """Return the microseconds per event or request, if there were `count`."""
        return self.seconds / count * 1e6


# --- one stream in a burst ---------------------------------------------------------------


async def measure_astream(client: Any, url: str, _size: int) -> float:
    """Measure the µs per event of one stream."""
    model, totals = _get_model(client, url), Totals()
    with _CpuTimer() as timer:
        await client.astream(model, totals)
    return _check_and_divide(timer, totals, url)


async def measure_observed_astream(client: Any, url: str, _size: int) -> float:
    """Measure the µs per event of one stream with a callback handler."""
    model, totals = _get_model(client, url), Totals()
    with _CpuTimer() as timer:
        await client.astream_observed(model, totals)
    return _check_and_divide(timer, totals, url)


def measure_stream(client: Any, url: str, _size: int) -> float:
    """Measure the µs per event of one stream that is read synchronously."""
    model, totals = _get_model(client, url), Totals()
    with _CpuTimer() as timer:
        client.stream(model, totals)
    return _check_and_divide(timer, totals, url)


async def measure_astream_events(client: Any, url: str, _size: int) -> float:
    """Measure the µs per event of one stream that is read as v3 stream events."""
    model, totals = _get_model(client, url), Totals()
    with _CpuTimer() as timer:
        await client.astream_events(model, totals)
    return _check_and_divide(timer, totals, url, has_character_count=False)


def measure_stream_events(client: Any, url: str, _size: int) -> float:
    """Measure the µs per event of one stream of v3 stream events, read synchronously."""
    model, totals = _get_model(client, url), Totals()
    with _CpuTimer() as timer:
        client.stream_events(model, totals)
    return _check_and_divide(timer, totals, url, has_character_count=False)


def _check_and_divide(
    timer: _CpuTimer, totals: Totals, url: str, *, has_character_count: bool = True
) -> float:
    """Check that the stream arrived completely, and return the µs per event."""
    expected = EVENTS * len(EVENT_TEXT)
    has_text = url.endswith(_TEXT_WORKLOADS)
    if has_text and has_character_count and totals.characters != expected:
        msg = f"{totals.characters} of {expected} characters arrived"
        raise RuntimeError(msg)
    if not totals.chunks:
        raise RuntimeError("nothing arrived")
    return timer.get_microseconds(EVENTS)


# --- many streams ------------------------------------------------------------------------


async def measure_slow_streams(client: Any, url: str, size: int) -> float:
    """Measure the µs per event of `size` concurrent streams of 200 events per second."""
    model, totals = _get_model(client, url), Totals()
    await client.astream(model, Totals())
    with _CpuTimer() as timer:
        await asyncio.gather(*(client.astream(model, totals) for _ in range(size)))
    return timer.get_microseconds(totals.characters // len(EVENT_TEXT))


def measure_slow_streams_sync(client: Any, url: str, size: int) -> float:
    """Measure the same as `measure_slow_streams`, with one thread for each stream."""
    model, totals = _get_model(client, url), [Totals() for _ in range(size)]
    client.stream(model, Totals())
    with ThreadPoolExecutor(size) as threads, _CpuTimer() as timer:
        list(threads.map(client.stream, [model] * size, totals))
    characters = sum(stream.characters for stream in totals)
    return timer.get_microseconds(characters // len(EVENT_TEXT))


async def measure_delay(client: Any, url: str, size: int) -> float:
    """Measure the ms within which 99 % of the events of `size` concurrent streams arrive.

    The server sends 200 events per second in each stream. In each stream, the event that
    arrives earliest relative to this schedule has the delay 0. The delay of every other event
    is how much later than that it arrives, also relative to the schedule.
    """
    await _import_client(client, url)
    model = _get_model(client, url)
    gc.collect()
    streams = [_ArrivalTimes() for _ in range(size)]
    await asyncio.gather(*(client.astream(model, stream) for stream in streams))
    delays = [delay for stream in streams for delay in stream.compute_delays()]
    return statistics.quantiles(delays, n=100)[-1] * 1e3


class _ArrivalTimes(Totals):
    """Totals that record when each event arrived."""

    def __init__(self) -> None:
        self._times: list[float] = []
        super().__init__()  # last: it sets `characters`, which calls the setter below

    @property
    def characters(self) -> int:
        return self._characters

    @characters.setter
    def characters(self, value: int) -> None:
        count = value // len(EVENT_TEXT) - len(self._times)
        self._times += [time.perf_counter()] * count
        self._characters = value

    def compute_delays(self) -> list[float]:
        """Return the delay of each event, in seconds."""
        starts = [
            arrival - number / STEPS_PER_SECOND for number, arrival in enumerate(self._times)
        ]
        earliest = min(starts)
        return [start - earliest for start in starts]


async def measure_throughput(client: Any, url: str, size: int) -> float:
    """Measure the events per second of wall time, in all of `size` concurrent streams."""
    await _import_client(client, url)
    model, totals = _get_model(client, url), Totals()
    gc.collect()
    start = time.perf_counter()
    tasks = [asyncio.ensure_future(client.astream(model, totals)) for _ in range(size)]
    # Tasks that are still pending end with the process.
    done, _pending = await asyncio.wait(tasks, timeout=_MAX_STREAM_SECONDS)
    seconds, events = time.perf_counter() - start, totals.characters // len(EVENT_TEXT)
    for task in done:
        task.result()
    return events / seconds


async def measure_memory(client: Any, url: str, size: int) -> float:
    """Measure the MB per stream while `size` streams are open and lack only the last event."""
    model, totals = _get_model(client, url), Totals()
    await _import_client(client, url)
    gc.collect()
    before = _get_resident_bytes()
    tasks = [asyncio.ensure_future(client.astream(model, totals)) for _ in range(size)]
    while totals.characters < size * EVENTS * len(EVENT_TEXT):
        await asyncio.sleep(0.05)
        if any(task.done() for task in tasks):
            raise RuntimeError("a stream ended too early")
    return (_get_resident_bytes() - before) / size / 1e6


async def _import_client(client: Any, url: str) -> None:
    """Read one stream, so that the client imports everything that it needs."""
    burst_url = url.rpartition("/")[0] + "/burst"
    await client.astream(_get_model(client, burst_url), Totals())


def _get_resident_bytes() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * float(os.sysconf("SC_PAGE_SIZE"))


# --- whole completions -------------------------------------------------------------------


async def measure_ainvoke(client: Any, url: str, size: int) -> float:
    """Measure the µs per request, `size` requests one after another."""
    model = _get_model(client, url)
    await client.ainvoke(model)
    with _CpuTimer() as timer:
        for _ in range(size):
            await client.ainvoke(model)
    return timer.get_microseconds(size)


def measure_invoke(client: Any, url: str, size: int) -> float:
    """Measure the µs per synchronous request, `size` requests one after another."""
    model = _get_model(client, url)
    client.invoke(model)
    with _CpuTimer() as timer:
        for _ in range(size):
            client.invoke(model)
    return timer.get_microseconds(size)


async def measure_abatch(client: Any, url: str, size: int) -> float:
    """Measure the µs per request, `size` concurrent requests."""
    model = _get_model(client, url)
    await client.abatch(model, size)
    with _CpuTimer() as timer:
        await client.abatch(model, size)
    return timer.get_microseconds(size)


# --- before the first completion ---------------------------------------------------------


def measure_construction(client: Any, url: str, size: int) -> float:
    """Measure the µs to construct a model, after the first one."""
    client.prepare(url)
    with _CpuTimer() as timer:
        for _ in range(size):
            client.prepare(url)
    return timer.get_microseconds(size)


def measure_import(client: Any, _url: str, _size: int) -> float:
    """Measure the ms to import the class, without langchain-core's chat models."""
    import langchain_core.language_models.chat_models  # noqa: F401 # not part of the figure

    with _CpuTimer() as timer:
        client.load()
    return timer.seconds * 1e3


async def measure_cold_first_chunk(client: Any, url: str, _size: int) -> float:
    """Measure the ms of wall time to the first chunk of a process's first request."""
    return await _time_first_chunk(client, client.prepare(url))


async def measure_warm_first_chunk(client: Any, url: str, _size: int) -> float:
    """Measure the same after a warm-up; for a client that has none, after a first request."""
    model = client.prepare(url)
    if hasattr(client, "warm_up"):
        await client.warm_up(model)
    else:
        await _time_first_chunk(client, model)
    return await _time_first_chunk(client, model)


async def _time_first_chunk(client: Any, model: Any) -> float:
    totals, start = _FirstChunkTimer(), time.perf_counter()
    await client.astream(model, totals)
    return (totals.first_at - start) * 1e3


class _FirstChunkTimer(Totals):
    """Totals that record when the first characters arrived."""

    def __init__(self) -> None:
        self.first_at = 0.0
        super().__init__()  # last: it sets `characters`, which calls the setter below

    @property
    def characters(self) -> int:
        return self._characters

    @characters.setter
    def characters(self, value: int) -> None:
        if value and not self.first_at:
            self.first_at = time.perf_counter()
        self._characters = value


# --- a whole process ---------------------------------------------------------------------

_COLD_START_TIMEOUT = 60.0
"""The time limit for one process, in seconds."""


def measure_cold_start(client: Any, url: str, _size: int) -> float:
    """Measure the ms of wall time from the start of a process to its end at the first token."""
    start = time.perf_counter()
    _run_cold_start(client, url)
    return (time.perf_counter() - start) * 1e3


def measure_cold_start_cpu(client: Any, url: str, _size: int) -> float:
    """Measure the ms of CPU time of the same process, user and system."""
    start = _get_cpu_seconds_of_children()
    _run_cold_start(client, url)
    return (_get_cpu_seconds_of_children() - start) * 1e3


def _run_cold_start(client: Any, url: str) -> None:
    """Run `cold_start.py` in a new process, which may use and write bytecode."""
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    arguments = client.list_cold_start_arguments(url)
    process = subprocess.run(  # noqa: S603 # our own module
        [sys.executable, "-P", str(_ROOT / "benchmarks/cold_start.py"), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=_COLD_START_TIMEOUT,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(process.stderr.strip().rpartition("\n")[2])


def _get_cpu_seconds_of_children() -> float:
    """Return the CPU time of all processes that this process has started and that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# --- upload ------------------------------------------------------------------------------

_HISTORY_CHARACTERS = 200_000
_MESSAGE_CHARACTERS = 4_000
_WORDS = (
    "build",
    "cache",
    "client",
    "config",
    "error",
    "events",
    "index",
    "model",
    "parse",
    "retry",
    "schema",
    "session",
    "test",
)


async def measure_upload(client: Any, url: str, _size: int) -> float:
    """Measure the size of a compressed 200 KB history, in percent of the plain size."""
    history = _build_history()
    await client.upload(url, history, compression=True)
    compressed = _fetch_last_body_size(url)
    await client.upload(url, history, compression=False)
    return 100 * compressed / _fetch_last_body_size(url)


def _fetch_last_body_size(url: str) -> float:
    """Ask the server how many bytes the body of the last request had."""
    last_body_url = f"{url.rpartition('/')[0]}/last_body"
    with urllib.request.urlopen(last_body_url) as response:  # noqa: S310 # our own server
        return float(json.load(response)["bytes"])


def _build_history() -> list[Any]:
    """Build the messages of an agent. Tool results are code and search results in turn."""
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    messages: list[Any] = [HumanMessage("Find out why the build is slow, and fix it.")]
    for turn, text in enumerate(_build_tool_results()):
        name, call_id = ("read_file", "search")[turn % 2], f"call_{turn:03}"
        tool_call = {"name": name, "args": {"path": f"src/{turn}.py"}, "id": call_id}
        messages += [
            AIMessage("", tool_calls=[tool_call]),
            ToolMessage(text, tool_call_id=call_id),
        ]
    return messages


def _build_tool_results() -> list[str]:
    """Build texts of 4,000 characters: in turn, standard library code and JSON."""
    import argparse
    import dataclasses
    import inspect
    import random
    import tarfile

    rng = random.Random(2026)  # noqa: S311 # the same history in every run
    code = "".join(map(inspect.getsource, (argparse, dataclasses, tarfile)))
    starts = range(0, _HISTORY_CHARACTERS // 2, _MESSAGE_CHARACTERS)
    return [
        text
        for start in starts
        for text in (code[start : start + _MESSAGE_CHARACTERS], _build_search_result(rng))
    ]


def _build_search_result(rng: Any) -> str:
    matches = [
        {
            "path": "/".join(rng.choices(_WORDS, k=3)) + ".py",
            "line": rng.randrange(2_000),
            "score": round(rng.random(), 4),
            "digest": f"{rng.getrandbits(64):016x}",
            "text": " ".join(rng.choices(_WORDS, k=8)),
        }
        for _ in range(40)
    ]
    return json.dumps(matches)[:_MESSAGE_CHARACTERS]
