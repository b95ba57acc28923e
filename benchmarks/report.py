"""Render the results of a run as a Markdown page."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from benchmarks.clients import (
    AIOHTTP,
    AIOHTTP_JSON,
    CLIENTS,
    COALESCED,
    CORE,
    LANGCHAIN_CEREBRAS,
    OURS,
)
from benchmarks.rows import ROWS, Goal, Row
from benchmarks.runner import Results
from benchmarks.workloads import EVENTS

_PACKAGES = (
    "langchain-cerebras-inference langchain-core aiohttp pydantic langchain-cerebras"
    " langchain-openai langchain-groq cerebras-cloud-sdk"
).split()

_INTRODUCTION = f"""\
# Benchmarks

`make bench` writes this page. Each client runs in its own process, against a server in another
process that only writes bytes that were rendered before. In each round the clients take turns,
and within a row all of them have the same number of rounds.

- Figures are CPU time of the client's process, all threads included, unless the row says
  otherwise.
- A stream has {EVENTS:,} content events.
- *Best* is the figure of the round that other processes disturbed least: compare this one.
  The *median* shows how much the other rounds were disturbed.
- A figure for text counts only if all characters arrived. For reasoning, tool arguments and v3
  stream events, only the end of the stream is checked, not what a client made of it.

*In a burst* means that the client is behind: all data has arrived, and the figure is the pure
cost of the client. At Cerebras' own pace, about 200 events per second, each event wakes up the
process, and that costs more than the event itself. None of this makes a single completion
faster. It decides how many streams one process can handle.

- **{OURS}**: `ChatCerebrasInference`. **{COALESCED}**: with `coalesce=True`. Its figures are
  per event, too; when the reader is behind, one chunk holds many events.
- **{CORE}**: a chat model that only constructs chunks, without a network. This is
  what langchain-core costs any chat model.
- **{AIOHTTP_JSON}**: reads the events and decodes their JSON, and does nothing else.
- **{AIOHTTP}**: counts the events without decoding them. This is what the server can
  deliver.
"""

_ABOUT_GOALS = """\
A goal is a ratio to a baseline that is measured in the same run: what langchain-core alone,
aiohttp + JSON, or both cost on this machine, or what langchain-cerebras costs. *Limit* is the
goal in the unit of the row. The last column is how many times better than langchain-cerebras
the best figure is."""

_ABOUT_CALLS = """\
How many functions of this package (without its emulator) are called, and in how many files they
are. Only Python functions count, and each resumption of a generator or coroutine is a call.
Everything is imported and connected before. `python -m benchmarks.call_count --verbose` lists
the functions in the order in which they are called."""

_TIMES = "\N{MULTIPLICATION SIGN}"
_NO_FIGURE = "·"


def render_markdown(results: Results) -> str:
    """Render the whole page."""
    parts = [
        _INTRODUCTION,
        _render_conditions(results),
        _render_goals(results),
        _render_call_counts(results),
        _render_all_clients(results),
        _render_server(results),
        _render_failures(results),
    ]
    return "\n".join(part for part in parts if part)


def _render_conditions(results: Results) -> str:
    """Render one paragraph about the run, the machine and the versions."""
    versions = ", ".join(f"{name} {_get_version(name)}" for name in _PACKAGES)
    kind = "Quick run, not for comparison" if results.is_quick else "Full run"
    return (
        f"{kind}, {results.seconds / 60:.0f} minutes."
        f" {platform.system()} on {_get_processor()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[1]:.1f}; {platform.python_implementation()}"
        f" {platform.python_version()}; {versions}.\n"
    )


def _get_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _get_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if "model name" in line), "?")


# --- goals -------------------------------------------------------------------------------


def _render_goals(results: Results) -> str:
    lines = ["## Goals", "", _ABOUT_GOALS, ""]
    heads = ["", "", "goal", "baseline", "limit", "best", "median", "reached"]
    lines += _render_head([*heads, LANGCHAIN_CEREBRAS, "ratio"])
    lines += [
        _render_goal(results, name, client, goal)
        for name, row in ROWS.items()
        for client, goal in row.goals.items()
        if results.figures.get(name, {}).get(client)
    ]
    return "\n".join([*lines, ""])


def _render_goal(results: Results, name: str, client: str, goal: Goal) -> str:
    row, figures = ROWS[name], results.figures[name][client]
    best, other = row.find_best(figures), results.find_best(name, LANGCHAIN_CEREBRAS)
    baseline = _find_baseline(results, name, goal)
    limit = goal.limit if not goal.baseline else baseline and goal.limit * baseline
    reached = _NO_FIGURE
    if limit is not None:
        is_reached = best >= limit if row.is_higher_better else best <= limit
        reached = "yes" if is_reached else "**no**"
    sign = "≥" if row.is_higher_better else "≤"
    factor = f" {_TIMES} {' and '.join(goal.baseline)}" if goal.baseline else ""
    return _render_line(
        f"{row.title}{', coalesced' * (client == COALESCED)}",
        row.unit,
        f"{sign} {goal.limit:g}{factor}",
        _format(baseline),
        f"{sign} {_format(limit)}",
        f"**{_format(best)}**",
        _format(statistics.median(figures)),
        reached,
        _format(other),
        _format_ratio(row, best, other),
    )


def _find_baseline(results: Results, name: str, goal: Goal) -> float | None:
    """Return the sum of the baseline's figures; `None` if one is missing."""
    row = goal.baseline_row or name
    figures = [results.find_best(row, client) for client in goal.baseline]
    return sum(filter(None, figures)) if figures and None not in figures else None


# --- all figures -------------------------------------------------------------------------


def _render_call_counts(results: Results) -> str:
    if not results.call_counts:
        return ""
    return f"## Function calls\n\n{_ABOUT_CALLS}\n\n{results.call_counts}"


def _render_all_clients(results: Results) -> str:
    names = [name for name in CLIENTS if name != AIOHTTP]
    lines = ["## All clients", "", "Best (median), and the ratio of the best to ours.", ""]
    lines += _render_head(["", "", *names])
    for name, row in ROWS.items():
        if figures := results.figures.get(name):
            ours = results.find_best(name, OURS)
            cells = (
                _render_cell(row, figures.get(client), None if client == OURS else ours)
                for client in names
            )
            lines.append(_render_line(row.title, row.unit, *cells))
    return "\n".join([*lines, ""])


def _render_cell(row: Row, figures: list[float] | None, ours: float | None) -> str:
    if not figures:
        return _NO_FIGURE
    best, median = row.find_best(figures), statistics.median(figures)
    ratio = f" {best / ours:.3g}{_TIMES}" if ours else ""
    return f"{_format(best)} ({_format(median)}){ratio}"


def _render_server(results: Results) -> str:
    """Render whether the server was fast enough not to limit any client."""
    rows = [name for name in ROWS if AIOHTTP in results.figures.get(name, {})]
    if not rows:
        return ""
    name = rows[-1]
    figures = {client: results.find_best(name, client) or 0 for client in results.figures[name]}
    delivered = figures.pop(AIOHTTP)
    if not figures:
        return ""
    fastest = max(figures, key=lambda client: figures[client])
    return (
        f"## The server\n\nIn “{ROWS[name].title}”, the server delivered"
        f" {delivered:,.0f} events/s to {AIOHTTP}: {delivered / figures[fastest]:.1f} times as"
        f" many as the fastest other client read ({fastest}, {figures[fastest]:,.0f}).\n"
    )


def _render_failures(results: Results) -> str:
    lines = [
        f"- {client}, {ROWS[name].title}: {reason}"
        for name, reasons in results.failures.items()
        for client, reason in reasons.items()
    ]
    return "\n".join(["## Not measured", "", *lines, ""]) if lines else ""


# --- formatting --------------------------------------------------------------------------


def _format(figure: float | None) -> str:
    if figure is None:
        return _NO_FIGURE
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _format_ratio(row: Row, best: float, other: float | None) -> str:
    """Format how many times better than the other figure the best one is."""
    if not other:
        return _NO_FIGURE
    return f"{best / other if row.is_higher_better else other / best:.1f}{_TIMES}"


def _render_head(names: Iterable[str]) -> list[str]:
    heads = list(names)
    return [_render_line(*heads), "|---|---|" + "--:|" * (len(heads) - 2)]


def _render_line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
