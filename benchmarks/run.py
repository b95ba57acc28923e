"""A run: every row, its rounds interleaved between the subjects, with progress."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

from benchmarks.processes import Broken, Worker, served
from benchmarks.rows import ROWS, Row

_QUICK_ROUNDS = 2

_ENOUGH = 3
_BUDGET = 10.0
"""Seconds a subject may take in one row; then the row ends for all, once there is enough."""


@dataclass
class Results:
    """What came of a run: row → subject → figures, or what went wrong."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    is_quick: bool = False
    seconds: float = 0.0

    def best(self, row: str, subject: str) -> float | None:
        """The best figure of a subject in a row."""
        figures = self.figures.get(row, {}).get(subject)
        return ROWS[row].best(figures) if figures else None


async def run(rows: list[str], subjects: list[str], *, quick: bool = False) -> Results:
    """Measure some rows on some subjects."""
    results, begun = Results(is_quick=quick), time.perf_counter()
    workers = {name: Worker(name) for name in subjects}
    async with served() as url:
        try:
            for at, name in enumerate(rows, 1):
                row = ROWS[name]
                _say(f"[{at}/{len(rows)}] {row.title}, {row.unit}")
                results.figures[name], results.failures[name] = {}, {}
                await _measure(row, name, url, workers, results)
        finally:
            for worker in workers.values():
                await worker.stop()
    results.seconds = time.perf_counter() - begun
    return results


async def _measure(
    row: Row, name: str, url: str, workers: dict[str, Worker], results: Results
) -> None:
    figures, failures = results.figures[name], results.failures[name]
    wanted = [each for each in row.subjects if each in workers]
    rounds = min(row.rounds, _QUICK_ROUNDS) if results.is_quick else row.rounds
    size = row.quick_size if results.is_quick else row.size
    spent = dict.fromkeys(wanted, 0.0)
    for at in range(-row.warm_up, rounds):
        if at >= _ENOUGH and max(spent.values(), default=0.0) > _BUDGET:
            break
        for subject in list(wanted):
            begun = time.perf_counter()
            try:
                value = await _figure(row, subject, f"{url}/{row.workload}", size, workers)
            except Broken as error:
                failures[subject] = str(error)
                value = None
            spent[subject] += time.perf_counter() - begun
            if value is None:
                wanted.remove(subject)
            elif at >= 0:
                figures.setdefault(subject, []).append(value)
    _tell(row, figures, failures)


def _tell(row: Row, figures: dict[str, list[float]], failures: dict[str, str]) -> None:
    for subject, values in figures.items():
        _say(f"    {subject:20} {row.best(values):12,.2f}")
    for subject, words in failures.items():
        _say(f"    {subject:20} {words}")


async def _figure(
    row: Row, subject: str, url: str, size: int, workers: dict[str, Worker]
) -> float | None:
    worker = Worker(subject) if row.fresh else workers[subject]
    try:
        return await worker.measure(row.task, url, size)
    except Broken:
        if not row.fresh:
            await worker.stop()
            workers[subject] = Worker(subject)
        raise
    finally:
        if row.fresh:
            await worker.stop()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
