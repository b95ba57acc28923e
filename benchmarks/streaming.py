"""What is measured of streams: in a burst, at the service's own pace, and many at once.

Each task takes a subject, a workload's URL and a size, and returns one figure.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measuring import Cpu, model_of
from benchmarks.subjects import Tally
from benchmarks.wire import EVENTS, PIECE

_PATIENCE = 4.0
"""Seconds after which streams that are still behind are counted as far as they came."""

# --- one stream in a burst -----------------------------------------------------------------


async def astream(subject: Any, url: str, _size: int) -> float:
    """µs an event of one stream."""
    model, tally = model_of(subject, url), Tally()
    with Cpu() as cpu:
        await subject.astream(model, tally)
    return _whole(tally, url, cpu)


def stream(subject: Any, url: str, _size: int) -> float:
    """The same, synchronously."""
    model, tally = model_of(subject, url), Tally()
    with Cpu() as cpu:
        subject.stream(model, tally)
    return _whole(tally, url, cpu)


async def aevents(subject: Any, url: str, _size: int) -> float:
    """µs an event of one stream, read as v3 events."""
    model, tally = model_of(subject, url), Tally()
    with Cpu() as cpu:
        await subject.aevents(model, tally)
    return _whole(tally, url, cpu)


def events(subject: Any, url: str, _size: int) -> float:
    """The same, synchronously."""
    model, tally = model_of(subject, url), Tally()
    with Cpu() as cpu:
        subject.events(model, tally)
    return _whole(tally, url, cpu)


def _whole(tally: Tally, url: str, cpu: Cpu) -> float:
    """A figure only for an answer that came whole."""
    text = EVENTS * len(PIECE)
    if url.endswith(("/burst", "/framed", "/logprobs")) and tally.characters:
        if tally.characters != text:
            msg = f"{tally.characters} of {text} characters came"
            raise RuntimeError(msg)
    elif not tally.chunks:
        raise RuntimeError("nothing came")
    return cpu.micros_each(EVENTS)


# --- many streams ------------------------------------------------------------------------


async def paced(subject: Any, url: str, size: int) -> float:
    """µs an event, `size` streams at once, each at 200 events a second."""
    model, tally = model_of(subject, url), Tally()
    await subject.astream(model, Tally())
    with Cpu() as cpu:
        await asyncio.gather(*(subject.astream(model, tally) for _ in range(size)))
    return cpu.micros_each(tally.characters // len(PIECE))


def paced_sync(subject: Any, url: str, size: int) -> float:
    """The same, each stream in a thread of its own."""
    model, tallies = model_of(subject, url), [Tally() for _ in range(size)]
    subject.stream(model, Tally())
    with ThreadPoolExecutor(size) as threads, Cpu() as cpu:
        list(threads.map(subject.stream, [model] * size, tallies))
    return cpu.micros_each(sum(tally.characters for tally in tallies) // len(PIECE))


async def streams(subject: Any, url: str, size: int) -> float:
    """Events a second of wall time, `size` streams at once, in all."""
    await _warm_up(subject, url)
    model, tally = model_of(subject, url), Tally()
    gc.collect()
    begun = time.perf_counter()
    work = [asyncio.ensure_future(subject.astream(model, tally)) for _ in range(size)]
    done, _late = await asyncio.wait(work, timeout=_PATIENCE)
    seconds, came = time.perf_counter() - begun, tally.characters // len(PIECE)
    for task in done:
        task.result()
    return came / seconds  # the late ones end with the process


async def _warm_up(subject: Any, url: str) -> None:
    """Import what a first call imports."""
    await subject.astream(model_of(subject, url.rpartition("/")[0] + "/burst"), Tally())


async def memory(subject: Any, url: str, size: int) -> float:
    """Megabytes a stream adds, when `size` streams have said all but the end."""
    model, tally = model_of(subject, url), Tally()
    await _warm_up(subject, url)
    gc.collect()
    before = _resident()
    work = [asyncio.ensure_future(subject.astream(model, tally)) for _ in range(size)]
    while tally.characters < size * EVENTS * len(PIECE):
        await asyncio.sleep(0.05)
        if any(task.done() for task in work):
            raise RuntimeError("a stream ended before its end")
    return (_resident() - before) / size / 1e6


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * float(os.sysconf("SC_PAGE_SIZE"))
