"""A run's results as a page of Markdown."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from benchmarks.rows import ROWS, Goal, Row
from benchmarks.run import Results
from benchmarks.subjects import BYTES, COALESCED, CORE, OLD, OURS, SUBJECTS, WIRE
from benchmarks.wire import EVENTS

_PACKAGES = (
    "langchain-cerebras-inference langchain-core aiohttp pydantic langchain-cerebras"
    " langchain-openai langchain-groq cerebras-cloud-sdk"
).split()

_INTRODUCTION = f"""\
# Benchmarks

`make bench` made this page: every subject in a process of its own, in rounds that take
turns, against a server in another process that only writes bytes it rendered before.
Times are CPU times of the client's process, all its threads, unless a row says
otherwise; a stream has {EVENTS:,} events. Of text, a figure is taken only where all of it
came; of reasoning, tools and v3 events only that the stream came to its end is checked,
and not what a peer made of it. Within a row everybody has as many rounds. *Best* is the
round that was disturbed least, and the one to compare; the *median* says how much a
machine shared with others disturbed the rest.

A burst is where the client is behind: everything has arrived, and what is measured is
the work alone. At Cerebras' own pace, some 200 events a second, each event wakes the
process, and that costs more than the event. None of this makes one answer faster; it is
how many of them a process can carry.

- **{OURS}**: `ChatCerebrasInference`; **{COALESCED}**: with `coalesce=True`, per event
  of the wire, of which a chunk holds many when the consumer is behind.
- **{CORE}**: a chat model that makes chunks with the plain constructors, without any
  network: what core costs whoever is beneath it.
- **{WIRE}**: each event read and decoded, and nothing else.
- **{BYTES}**: each event counted, not decoded: what the server can deliver.
"""


_TIMES = "\N{MULTIPLICATION SIGN}"
_NOTHING = "·"
_ABOUT_GOALS = """\
A goal was set on a quiet machine, together with a floor: what core from memory, or the
wire, or both together cost there. Here it is moved as the floor has moved, because a
machine that is slower is slower for everybody. For construction and import, and there
alone, langchain-cerebras itself stands for the machine; memory and upload do not move."""


def to_markdown(results: Results) -> str:
    """The page."""
    parts = [_INTRODUCTION, _circumstances(results), _goals(results)]
    parts += [_everybody(results), _server(results), _failures(results)]
    return "\n".join(part for part in parts if part)


def _circumstances(results: Results) -> str:
    versions = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    minutes = f"{results.seconds / 60:.0f} minutes"
    kind = "A quick run, for a look only" if results.is_quick else "A full run"
    return (
        f"{kind}, {minutes}. {platform.system()} on {_processor()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[1]:.1f}; {platform.python_implementation()}"
        f" {platform.python_version()}; {versions}.\n"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if "model name" in line), "?")


# --- tables --------------------------------------------------------------------------------


def _goals(results: Results) -> str:
    """What was set out to be reached, and whether it was."""
    lines = ["## Goals", "", _ABOUT_GOALS, ""]
    lines += _head(("", "", "goal", "here", "best", "median", "met", "floor", OLD, "ratio"))
    for name, row in ROWS.items():
        for subject, goal in row.goals.items():
            figures = results.figures.get(name, {}).get(subject)
            if figures:
                floor = _floor(results, name, goal)
                lines.append(_goal(row, subject, goal, figures, floor, results.best(name, OLD)))
    return "\n".join([*lines, ""])


def _goal(
    row: Row,
    subject: str,
    goal: Goal,
    figures: list[float],
    floor: float | None,
    old: float | None,
) -> str:
    best = row.best(figures)
    here = goal.figure * floor / goal.then if floor and goal.then else goal.figure
    is_met = best >= here if row.more_is_better else best <= here
    sign = "≥" if row.more_is_better else "≤"
    return _line(
        f"{row.title}{', coalesced' * (subject == COALESCED)}",
        row.unit,
        f"{sign} {_number(goal.figure)}",
        f"{sign} {_number(here)}",
        f"**{_number(best)}**",
        _number(statistics.median(figures)),
        "yes" if is_met else "**no**",
        _number(floor),
        _number(old),
        _ratio(row, best, old),
    )


def _floor(results: Results, name: str, goal: Goal) -> float | None:
    """What is possible here, where a goal has such a measure."""
    if goal.then is None:
        return None
    known = [results.best(goal.row or name, subject) for subject in goal.floor]
    return None if None in known else sum(filter(None, known))


def _everybody(results: Results) -> str:
    """Everything that was measured: best, median in brackets, ratio to ours."""
    names = [name for name in SUBJECTS if name != BYTES]
    lines = ["## Everybody", "", "Best (median), and how many times ours.", ""]
    lines += _head(("", "", *names))
    for name, row in ROWS.items():
        if found := results.figures.get(name):
            ours = results.best(name, OURS)
            cells = (_cell(row, found.get(each), ours, each != OURS) for each in names)
            lines.append(_line(row.title, row.unit, *cells))
    return "\n".join([*lines, ""])


def _cell(row: Row, figures: list[float] | None, ours: float | None, compared: bool) -> str:
    if not figures:
        return _NOTHING
    best, median = row.best(figures), statistics.median(figures)
    ratio = f" {best / ours:.3g}{_TIMES}" if compared and ours else ""
    return f"{_number(best)} ({_number(median)}){ratio}"


def _server(results: Results) -> str:
    """Whether the server was ever what was slow."""
    rows = [name for name in ROWS if BYTES in results.figures.get(name, {})]
    if not rows:
        return ""
    name = rows[-1]
    others = {each: results.best(name, each) or 0 for each in results.figures[name]}
    most = others.pop(BYTES)
    fastest = max(others, key=lambda each: others[each], default=None)
    if fastest is None:
        return ""
    return (
        f"## The server\n\nIn “{ROWS[name].title}” {BYTES} was delivered"
        f" {most:,.0f} events a second, {most / others[fastest]:.1f} times what the"
        f" fastest of the others took ({fastest}, {others[fastest]:,.0f}).\n"
    )


def _failures(results: Results) -> str:
    lines = [
        f"- {subject}, {ROWS[name].title}: {words}"
        for name, failed in results.failures.items()
        for subject, words in failed.items()
    ]
    return "\n".join(["## Not measured", "", *lines, ""]) if lines else ""


def _ratio(row: Row, best: float, other: float | None) -> str:
    if not other:
        return _NOTHING
    return f"{best / other if row.more_is_better else other / best:.1f}{_TIMES}"


def _number(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _head(names: Iterable[str]) -> list[str]:
    heads = list(names)
    return [_line(*heads), "|---|---|" + "--:|" * (len(heads) - 2)]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
