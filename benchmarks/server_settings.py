"""Measure uvloop and `gc.freeze()` in a server: `python -m benchmarks.server_settings`.

Each setting has a process of its own, which has imported what a server imports. In each round
the processes take turns and read the same streams from the server of the benchmarks. For each
setting there are

- the CPU time of the process per event in the best round, which other programs disturbed
  least;
- the median of this time in all rounds, and of its ratio to the time of the process without a
  setting in the same round;
- the medians of the longest pause for a garbage collection while streams were read, and of the
  time of a full collection when no stream is open.

It needs the packages of the tests, such as uvloop, which are not in the environment of the
other benchmarks.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from benchmarks.clients import OurModel, Totals
from benchmarks.runner import run_server
from benchmarks.workloads import EVENT_TEXT

_ROOT = Path(__file__).parents[1]
_DEFAULT, _UVLOOP, _FREEZE = "no setting", "uvloop", "gc.freeze()"
_SETTINGS = (_DEFAULT, _UVLOOP, _FREEZE)
_SERVER_MODULES = ("fastapi", "uvicorn", "langchain.agents", "langgraph.graph")

# For each row: the workload, and whether there are many streams and sync readers.
_ROWS = {
    "astream, one stream in a burst": ("burst", False, False),
    "astream, many streams of 200 events/s": ("slow", True, False),
    "stream, many threads with streams of 200 events/s": ("slow", True, True),
}


def main() -> None:
    """Measure each row with each setting, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--streams", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--row", default="", help="only the rows whose title contains this")
    parser.add_argument("--worker", choices=_SETTINGS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _work(options.worker)
        return
    with run_server() as port, ExitStack() as stack:
        workers = {name: stack.enter_context(_start_worker(name)) for name in _SETTINGS}
        for row in filter(lambda title: options.row in title, _ROWS):
            results = _measure(workers, row, port, options.streams, options.rounds)
            _print_results(row, results)


def _print_results(title: str, results: dict[str, list[dict[str, float]]]) -> None:
    sys.stdout.write(f"{title}\n")
    base = [figures["cpu"] for figures in results[_DEFAULT]]
    for name, rounds in results.items():
        cpu = [figures["cpu"] for figures in rounds]
        ratios = [figure / other for figure, other in zip(cpu, base, strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        pause, full = (
            statistics.median(figures[key] for figures in rounds) for key in ("pause", "full")
        )
        sys.stdout.write(
            f"  {name}: best {min(cpu):.1f} µs per event ({min(cpu) / min(base):.2f} times);"
            f" median {statistics.median(cpu):.1f} µs ({ratio:.2f} times, quartiles {low:.2f}"
            f" to {high:.2f}); longest pause {pause:.1f} ms, full collection {full:.1f} ms\n"
        )
    sys.stdout.flush()


def _measure(
    workers: dict[str, Callable[..., dict[str, float]]],
    row: str,
    port: int,
    streams: int,
    rounds: int,
) -> dict[str, list[dict[str, float]]]:
    """Return the figures of each setting; all settings have the same rounds."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for number in range(-1, rounds):
        names = list(workers) if number % 2 else list(reversed(workers))
        for name in names:
            figures = workers[name](row=row, port=port, streams=streams)
            if number >= 0:  # the round before is a warm-up
                results[name].append(figures)
    return results


@contextmanager
def _start_worker(name: str) -> Iterator[Callable[..., dict[str, float]]]:
    """Start the process of a setting; yield a function that measures in it."""
    with subprocess.Popen(  # noqa: S603 # our own module
        [sys.executable, "-m", "benchmarks.server_settings", "--worker", name],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        requests, responses = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)

        def measure(**task: Any) -> dict[str, float]:
            requests.write(json.dumps(task) + "\n")
            requests.flush()
            figures: dict[str, float] = json.loads(responses.readline())
            return figures

        yield measure
        requests.close()


# --- in the process of a setting -----------------------------------------------------------


def _work(setting: str) -> None:
    """Measure what stdin asks for, until it ends."""
    for name in _SERVER_MODULES:
        importlib.import_module(name)
    loop_factory = None
    if setting == _UVLOOP:
        import uvloop

        loop_factory = uvloop.new_event_loop
        # For the event loop of the sync methods
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    client, pauses = OurModel(), _PauseTimer()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        for number, line in enumerate(sys.stdin):
            task = json.loads(line)
            workload, has_many_streams, is_sync = _ROWS[task["row"]]
            url = f"http://127.0.0.1:{task['port']}/{workload}"
            count = task["streams"] if has_many_streams else 1
            read = _read_sync if is_sync else partial(_read_async, runner)
            if number == 1 and setting == _FREEZE:  # the first round has imported everything
                gc.collect()
                gc.freeze()
            figures = _measure_streams(partial(read, client, url, count), pauses)
            sys.stdout.write(json.dumps(figures) + "\n")
            sys.stdout.flush()
        os._exit(0)  # do not wait until open connections have been closed


def _measure_streams(read: Callable[[], Totals], pauses: _PauseTimer) -> dict[str, float]:
    gc.collect()
    full = pauses.last  # the CPU time of the `gc.collect()` above
    pauses.longest = 0.0
    start = time.process_time()
    totals = read()
    seconds = time.process_time() - start
    events = totals.characters / len(EVENT_TEXT)
    return {"cpu": seconds / events * 1e6, "pause": pauses.longest, "full": full}


def _read_async(runner: asyncio.Runner, client: OurModel, url: str, count: int) -> Totals:
    model, totals = client.prepare(url), Totals()

    async def read_all() -> None:
        await asyncio.gather(*(client.astream(model, totals) for _ in range(count)))

    runner.run(read_all())
    return totals


def _read_sync(client: OurModel, url: str, count: int) -> Totals:
    model, totals = client.prepare(url), [Totals() for _ in range(count)]
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(client.stream, [model] * count, totals))
    total = Totals()
    total.characters = sum(stream.characters for stream in totals)
    return total


class _PauseTimer:
    """Measures the CPU time of garbage collections, in milliseconds."""

    def __init__(self) -> None:
        self.last = self.longest = 0.0
        self._start = 0.0
        gc.callbacks.append(self._record)

    def _record(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._start = time.thread_time()
        else:
            self.last = (time.thread_time() - self._start) * 1e3
            self.longest = max(self.longest, self.last)


if __name__ == "__main__":
    main()
