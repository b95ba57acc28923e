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
    CORE_AND_AIOHTTP,
    LANGCHAIN_CEREBRAS,
    OURS,
)
from benchmarks.rows import ROWS, Goal, Row
from benchmarks.runner import Results
from benchmarks.workloads import EVENTS, SHORT_EVENTS, SLOW_EVENTS

OUR_PACKAGES = ("langchain-cerebras-inference", "langchain-core", "aiohttp", "pydantic")
_PACKAGES = (
    *OUR_PACKAGES,
    "langchain-cerebras",
    "langchain-openai",
    "langchain-groq",
    "cerebras-cloud-sdk",
)

_INTRODUCTION = f"""\
# Benchmarks

`make bench` writes this page. Each client runs in its own process. The server runs in another
process, and only writes bytes that were rendered before. In each round the clients take turns,
and within a row all of them have the same number of rounds.

- Figures are the CPU time of the client's process, with all its threads, unless the row says
  otherwise.
- A stream has {EVENTS:,} content events. At 200 events/s it has {SLOW_EVENTS}, and
  {SHORT_EVENTS} if only its first chunk is measured.
- In the rows “process start to first token”, each figure is that of a new Python process, which
  imports the client at the top of its program, with cached bytecode, and ends at the first
  chunk with content.
- *Best* is the figure of the round that other processes disturbed least. Use it to compare
  clients. The *median* shows how much the other rounds were disturbed.
- A figure for text counts only if all characters arrived. For reasoning, tool arguments and v3
  stream events, only the end of the stream is checked, not the output of the client.

A *callback handler* is an `AsyncCallbackHandler` that overrides only `on_llm_end`. For it,
langchain-core keeps all chunks of a stream until its end, and calls the handler for each one.
Without a handler, {OURS} keeps no chunks.

*In a burst* means that all data has already arrived, so the figure is the cost of the client
alone. At the speed of Cerebras, about 200 events per second, each event wakes up the process,
and that costs more than the event itself. A fast client does not make a single completion
faster, but one process can handle more streams.

- **{OURS}**: `ChatCerebrasInference`. **{COALESCED}**: with `coalesce=True`. Its figures are
  also per event. If the reader is slower than the server, one chunk contains many events.
- **{CORE}**: a chat model that only constructs chunks, without a network. This is
  the cost of langchain-core for every chat model.
- **{CORE_AND_AIOHTTP}**: for `ainvoke`, a chat model that requests completions with aiohttp,
  and converts only their text. It takes longer than {CORE} and
  {AIOHTTP_JSON} together: in one call, the code of each removes that of the other from the
  caches of the CPU. For the first token, a process that imports both, and reads the first data
  of a stream with aiohttp.
- **{AIOHTTP_JSON}**: reads the events and decodes their JSON, and does nothing else.
- **{AIOHTTP}**: counts the events without decoding them. This is the speed of the server.
"""

_ABOUT_GOALS = f"""\
A goal is a ratio to a baseline that is measured in the same run: the cost of langchain-core
alone, of aiohttp + JSON, of {CORE_AND_AIOHTTP}, or of langchain-cerebras.
*Limit* is the goal in the unit of the row. The last column shows how many times
better than langchain-cerebras the best figure is."""

_ABOUT_CALLS = """\
The number of function calls in this package (without its emulator), and the number of files
that contain the called functions. Only Python functions are counted. Each resumption of a
generator or coroutine is a call. Everything is imported and connected before the count.
`python -m benchmarks.call_count --verbose` lists the called functions in order."""

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
    run_type = "Quick run, not for comparison" if results.is_quick else "Full run"
    return f"{run_type}, {results.seconds / 60:.0f} minutes. {describe_machine()}.\n"


def describe_machine(packages: Iterable[str] = _PACKAGES) -> str:
    """Describe the machine, its load, and the versions of Python and the packages."""
    versions = ", ".join(f"{name} {_get_version(name)}" for name in packages)
    return (
        f"{platform.system()} on {_get_processor()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[1]:.1f}; {platform.python_implementation()}"
        f" {platform.python_version()}; {versions}"
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
        _render_goal(results, row_name, client, goal)
        for row_name, row in ROWS.items()
        for client, goal in row.goals.items()
        if results.figures.get(row_name, {}).get(client)
    ]
    return "\n".join([*lines, ""])


def _render_goal(results: Results, row_name: str, client: str, goal: Goal) -> str:
    row, figures = ROWS[row_name], results.figures[row_name][client]
    best, other = row.find_best(figures), results.find_best(row_name, LANGCHAIN_CEREBRAS)
    baseline = _find_baseline(results, row_name, goal)
    limit: float | None = goal.target
    if goal.baseline:
        limit = None if baseline is None else goal.target * baseline
    reached = _NO_FIGURE
    if limit is not None:
        is_reached = best >= limit if row.is_higher_better else best <= limit
        reached = "yes" if is_reached else "**no**"
    sign = "≥" if row.is_higher_better else "≤"
    factor = f" {_TIMES} {' and '.join(goal.baseline)}" if goal.baseline else ""
    return _render_line(
        f"{row.title}{', coalesced' * (client == COALESCED)}",
        row.unit,
        f"{sign} {goal.target:g}{factor}",
        _format(baseline),
        f"{sign} {_format(limit)}",
        f"**{_format(best)}**",
        _format(statistics.median(figures)),
        reached,
        _format(other),
        _format_ratio(row, best, other),
    )


def _find_baseline(results: Results, row_name: str, goal: Goal) -> float | None:
    """Return the sum of the figures of the baseline, or `None` if one is missing."""
    baseline_row = goal.baseline_row or row_name
    total = 0.0
    for client in goal.baseline:
        figure = results.find_best(baseline_row, client)
        if figure is None:
            return None
        total += figure
    return total if goal.baseline else None


# --- all figures -------------------------------------------------------------------------


def _render_call_counts(results: Results) -> str:
    if not results.call_counts:
        return ""
    return f"## Function calls\n\n{_ABOUT_CALLS}\n\n{results.call_counts}"


def _render_all_clients(results: Results) -> str:
    names = [name for name in CLIENTS if name != AIOHTTP]
    lines = ["## All clients", "", "Best (median), and the ratio of the best to ours.", ""]
    lines += _render_head(["", "", *names])
    for row_name, row in ROWS.items():
        if figures := results.figures.get(row_name):
            ours = results.find_best(row_name, OURS)
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
    """Render the comparison that shows whether the server limited any client."""
    rows = [row_name for row_name in ROWS if AIOHTTP in results.figures.get(row_name, {})]
    if not rows:
        return ""
    row_name = rows[-1]
    figures = {
        client: results.find_best(row_name, client) or 0 for client in results.figures[row_name]
    }
    delivered = figures.pop(AIOHTTP)
    if not figures:
        return ""
    fastest = max(figures, key=lambda client: figures[client])
    return (
        f"## The server\n\nIn “{ROWS[row_name].title}”, the server delivered"
        f" {delivered:,.0f} events/s to {AIOHTTP}: {delivered / figures[fastest]:.1f} times as"
        f" many as the fastest other client read ({fastest}, {figures[fastest]:,.0f}).\n"
    )


def _render_failures(results: Results) -> str:
    lines = [
        f"- {client}, {ROWS[row_name].title}: {reason}"
        for row_name, reasons in results.failures.items()
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
