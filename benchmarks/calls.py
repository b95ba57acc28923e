"""What is measured of whole answers, and before the first of them.

Each task takes a subject, a workload's URL and a size, and returns one figure.
"""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from benchmarks.measuring import Cpu, model_of
from benchmarks.subjects import Tally


async def ainvoke(subject: Any, url: str, size: int) -> float:
    """µs a call, `size` calls one after another."""
    model = model_of(subject, url)
    await subject.ainvoke(model)
    with Cpu() as cpu:
        for _ in range(size):
            await subject.ainvoke(model)
    return cpu.micros_each(size)


def invoke(subject: Any, url: str, size: int) -> float:
    """The same, synchronously."""
    model = model_of(subject, url)
    subject.invoke(model)
    with Cpu() as cpu:
        for _ in range(size):
            subject.invoke(model)
    return cpu.micros_each(size)


async def abatch(subject: Any, url: str, size: int) -> float:
    """µs a call, `size` calls at once."""
    model = model_of(subject, url)
    await subject.abatch(model, size)
    with Cpu() as cpu:
        await subject.abatch(model, size)
    return cpu.micros_each(size)


def construct(subject: Any, url: str, size: int) -> float:
    """µs to construct a model, after the first."""
    subject.make(url)
    with Cpu() as cpu:
        for _ in range(size):
            subject.make(url)
    return cpu.micros_each(size)


def cold_import(subject: Any, _url: str, _size: int) -> float:
    """Milliseconds to import the class, when core's chat models have been."""
    import langchain_core.language_models.chat_models  # noqa: F401 # not counted

    with Cpu() as cpu:
        subject.load()
    return cpu.spent * 1e3


async def first_cold(subject: Any, url: str, _size: int) -> float:
    """Milliseconds of wall time to the first chunk of a process's first call."""
    return await _first(subject, subject.make(url))


async def first_warm(subject: Any, url: str, _size: int) -> float:
    """The same after `awarm_up`; where there is none, after a first call."""
    model = subject.make(url)
    if hasattr(subject, "warm_up"):
        await subject.warm_up(model)
    else:
        await _first(subject, model)
    return await _first(subject, model)


async def _first(subject: Any, model: Any) -> float:
    tally, begun = _Stopwatch(), time.perf_counter()
    await subject.astream(model, tally)
    return (tally.began - begun) * 1e3


class _Stopwatch(Tally):
    """Remembers when the first characters came."""

    began = 0.0

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "characters" and value and not self.began:
            self.began = time.perf_counter()
        super().__setattr__(name, value)


async def upload(subject: Any, url: str, _size: int) -> float:
    """Per cent of a 200 KB history's bytes that are sent."""
    from benchmarks import corpus

    await subject.upload(url, corpus.history(), compression=True)
    sent = _received(url)
    await subject.upload(url, corpus.history(), compression=False)
    return 100 * sent / _received(url)


def _received(url: str) -> float:
    with urllib.request.urlopen(f"{url.rpartition('/')[0]}/stats") as answer:  # noqa: S310 # ours
        return float(json.load(answer)["bytes"])
