"""Run the measurements: start the server and a process for each client, and collect figures."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from benchmarks.rows import ROWS

_ROOT = Path(__file__).parents[1]

CALL_COUNT = "call_count"
"""The name of the row that `benchmarks.call_count` measures."""

_QUICK_ROUNDS = 2

_MIN_ROUNDS = 3
_MAX_SECONDS_PER_CLIENT = 10.0
"""When one client has taken this long, the row ends after at least `_MIN_ROUNDS` rounds."""

_FIGURE_TIMEOUT = 120.0
"""The time limit for one figure, in seconds."""

_USER_SETTINGS = re.compile(
    r"(CEREBRAS|OPENAI|GROQ|LANGCHAIN|LANGSMITH|LC)_.*|.*_PROXY|PYTHON.*", re.IGNORECASE
)
"""Environment variables that the processes must not inherit."""


@contextmanager
def run_server() -> Iterator[int]:
    """Run `benchmarks.server` in its own process; yield its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        yield int(cast("IO[str]", server.stdout).readline())
        server.communicate()  # closes stdin, which ends the server


class MeasurementError(Exception):
    """A client has no figure, because of an exception, a timeout or a dead process."""


@dataclass
class Results:
    """The results of a run.

    Attributes:
        figures: The figures by row and client.
        failures: The reasons why there is no figure, by row and client.
        call_counts: The Markdown table of `benchmarks.call_count`.
        is_quick: Whether sizes and rounds were reduced.
        seconds: Duration of the run.
    """

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    call_counts: str = ""
    is_quick: bool = False
    seconds: float = 0.0

    def find_best(self, row: str, client: str) -> float | None:
        """Return the best figure of a client in a row."""
        figures = self.figures.get(row, {}).get(client)
        return ROWS[row].find_best(figures) if figures else None


async def run(
    rows: list[str], clients: list[str], *, is_quick: bool = False, rounds: int | None = None
) -> Results:
    """Measure the given rows with the given clients, with progress on stderr."""
    results, start = Results(is_quick=is_quick), time.perf_counter()
    workers = {name: Worker(name) for name in clients}
    async with _run_server_async() as url:
        try:
            for number, row_name in enumerate(rows, 1):
                _print(f"[{number}/{len(rows)}] {_describe(row_name)}")
                if row_name == CALL_COUNT:
                    results.call_counts = await _count_calls()
                    continue
                results.figures[row_name], results.failures[row_name] = {}, {}
                await _measure_row(row_name, url, workers, results, rounds)
                _print_figures(row_name, results)
        finally:
            for worker in workers.values():
                await worker.stop()
    results.seconds = time.perf_counter() - start
    return results


async def _measure_row(
    row_name: str, url: str, workers: dict[str, Worker], results: Results, rounds: int | None
) -> None:
    """Measure one row in rounds. In each round, the clients take turns."""
    row = ROWS[row_name]
    rounds = rounds or (min(row.rounds, _QUICK_ROUNDS) if results.is_quick else row.rounds)
    size = row.quick_size if results.is_quick else row.size
    seconds = dict.fromkeys((client for client in row.clients if client in workers), 0.0)
    for round_index in range(row.warm_up_rounds + rounds):
        is_enough = round_index >= row.warm_up_rounds + _MIN_ROUNDS
        if is_enough and max(seconds.values(), default=0.0) > _MAX_SECONDS_PER_CLIENT:
            break
        for client in list(seconds):
            start = time.perf_counter()
            try:
                figure = await _measure_client(row_name, client, url, size, workers)
            except MeasurementError as error:
                results.failures[row_name][client] = str(error)
                del seconds[client]
                continue
            seconds[client] += time.perf_counter() - start
            if round_index >= row.warm_up_rounds:
                results.figures[row_name].setdefault(client, []).append(figure)


async def _measure_client(
    row_name: str, client: str, url: str, size: int, workers: dict[str, Worker]
) -> float:
    row = ROWS[row_name]
    worker = Worker(client) if row.needs_new_process else workers[client]
    try:
        return await worker.measure(row_name, f"{url}/{row.workload}", size)
    except MeasurementError:
        await worker.stop()  # the next measurement starts a new process
        raise
    finally:
        if row.needs_new_process:
            await worker.stop()


# --- progress ----------------------------------------------------------------------------


def _describe(row_name: str) -> str:
    row = ROWS.get(row_name)
    return f"{row.title}, {row.unit}" if row else "function calls"


def _print_figures(row_name: str, results: Results) -> None:
    for client, figures in results.figures[row_name].items():
        _print(f"    {client:20} {ROWS[row_name].find_best(figures):12,.2f}")
    for client, reason in results.failures[row_name].items():
        _print(f"    {client:20} {reason}")


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --- processes ---------------------------------------------------------------------------


async def _start_module(*arguments: str, log: Any = None) -> Any:
    """Start a module in a new process, without the settings in the environment."""
    environment = {
        name: value for name, value in os.environ.items() if not _USER_SETTINGS.fullmatch(name)
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=_ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
    )


@asynccontextmanager
async def _run_server_async() -> AsyncIterator[str]:
    """Run `benchmarks.server` in its own process; yield its URL."""
    process = await _start_module("benchmarks.server")
    try:
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        await process.wait()


async def _count_calls() -> str:
    process = await _start_module("benchmarks.call_count")
    table, _ = await process.communicate()
    if process.returncode:
        return "Not measured: `python -m benchmarks.call_count` failed.\n"
    return str(table, "utf-8")


class Worker:
    """The process of one client, as seen from the runner."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._process: Any = None
        self._log: Any = None

    async def measure(self, row: str, url: str, size: int) -> float:
        """Return one figure.

        Raises:
            MeasurementError: If the client has no figure.
        """
        if self._process is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 # `stop` closes it
            self._process = await _start_module(
                "benchmarks.worker", self._client, log=self._log
            )
        request = {"row": row, "url": url, "size": size}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _FIGURE_TIMEOUT)
        except TimeoutError:
            raise MeasurementError(f"no figure within {_FIGURE_TIMEOUT:g} s") from None
        if not line:
            raise MeasurementError(f"the process died: {self._read_last_log_line()}")
        response = json.loads(line)
        if "error" in response:
            raise MeasurementError(response["error"])
        return float(response["figure"])

    async def stop(self) -> None:
        """Kill the process, if there is one."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._log.close()
        self._process = None

    def _read_last_log_line(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it printed nothing")
