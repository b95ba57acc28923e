"""Draw the charts from the pages of results: `python -m benchmarks.charts`.

The charts have no background, and colors for light and for dark pages. They need matplotlib,
which the environment of `make bench` has.
"""

from __future__ import annotations

import importlib.util
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients import (
    AIOHTTP_JSON,
    CLIENTS,
    COALESCED,
    CORE,
    LANGCHAIN_CEREBRAS,
    LANGCHAIN_GROQ,
    LANGCHAIN_OPENAI,
    OFFICIAL_SDK,
    OURS,
)
from benchmarks.rows import ROWS

FOLDER = Path(__file__).parent

Figures = dict[str, dict[str, float]]
"""The best figure by the title of the row and the client."""

EVENTS_PER_SECOND = 200
"""The speed of a stream in the row `slow_streams`."""

_STREAM_COUNTS = (1, 10, 50, 200)
_DELAY_COUNTS = (10, 25, 50)

# For each name, the color on light and on dark pages. Every light color must be unique, because
# `_to_svg` searches the SVG for it. So grays that look equal differ by one digit.
_COLORS = {
    "text": ("#1f2328", "#e6edf3"),
    "note": ("#59636e", "#9198a1"),
    "grid": ("#d1d9e0", "#3d444d"),
    OURS: ("#d9480f", "#ff922b"),
    COALESCED: ("#e8890c", "#ffc078"),
    LANGCHAIN_CEREBRAS: ("#4c6ef5", "#748ffc"),
    LANGCHAIN_OPENAI: ("#0b7285", "#3bc9db"),
    LANGCHAIN_GROQ: ("#9c36b5", "#da77f2"),
    OFFICIAL_SDK: ("#2b8a3e", "#69db7c"),
    CORE: ("#868e96", "#adb5bd"),
    AIOHTTP_JSON: ("#868f97", "#adb6be"),
}
_BASELINES = (CORE, AIOHTTP_JSON)
_WIDTH, _DPI = 10.0, 72
_LABEL_SIZE = 13.0


@dataclass(frozen=True)
class Line:
    """One line of a chart, and the label beside its end."""

    label: str
    color_name: str
    points: list[tuple[float, float]]
    is_dashed: bool = False


def main() -> None:
    """Draw all charts again whose results are in this folder."""
    write_charts(FOLDER)


def write_charts(folder: Path) -> list[Path]:
    """Draw the charts for the results in a folder; return the files that were written.

    Without matplotlib, no chart is drawn.
    """
    if importlib.util.find_spec("matplotlib") is None:
        print("No charts: matplotlib is not installed.")
        return []
    charts: dict[str, str] = {}
    if (page := folder / "results.md").exists():
        charts |= render_charts(page.read_text("utf-8"))
    if (data := folder / "quota.json").exists():
        charts["quota.svg"] = render_quota_chart(json.loads(data.read_text("utf-8")))
    if (page := folder / "large.md").exists():
        charts["large.svg"] = render_large_chart(page.read_text("utf-8"))
    for name, svg in charts.items():
        (folder / name).write_text(svg, "utf-8")
        print(f"wrote {folder / name}")
    return [folder / name for name in charts]


# --- reading the results -----------------------------------------------------------------


def read_figures(page: str) -> Figures:
    """Return the best figures in the table of all clients of a page of results."""
    table = page.partition("## All clients")[2].partition("\n## ")[0]
    heads, _, *rows = _read_cells(table)
    return {
        title: {
            client: float(cell.split()[0].replace(",", ""))
            for client, cell in zip(heads[2:], cells, strict=True)
            if cell[:1].isdigit()
        }
        for title, _unit, *cells in rows
    }


def read_machine(page: str) -> str:
    """Return the part of a page of results that names the machine and the versions."""
    found = re.search(r" minutes\. (.+)\.$", page, re.MULTILINE)
    return _shorten_machine(found[1]) if found else ""


def _shorten_machine(machine: str) -> str:
    """Remove the load and the packages that are no clients."""
    return re.sub(r", load [\d.]+|(aiohttp|pydantic) [^,]+, ", "", machine)


def _read_cells(table: str) -> list[list[str]]:
    lines = [line.strip() for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


# --- the charts --------------------------------------------------------------------------


def render_charts(page: str) -> dict[str, str]:
    """Render the charts for which a page of results has figures, by file name."""
    figures, machine = read_figures(page), read_machine(page)
    charts = {}
    if costs := figures.get(ROWS["text"].title):
        charts["cpu_per_chunk.svg"] = _render_bars(
            "CPU time per text event, µs",
            "one stream, all data has already arrived; shorter is better; gray: lower bounds",
            machine,
            dict(sorted(costs.items(), key=lambda item: item[1])),
        )
    if costs := figures.get(ROWS["slow_streams"].title):
        streams = {
            client: 1e6 / (cost * EVENTS_PER_SECOND)
            for client, cost in sorted(costs.items(), key=lambda item: item[1])
            if client not in (CORE, COALESCED)
        }
        charts["streams_per_core.svg"] = _render_bars(
            f"Streams of {EVENTS_PER_SECOND} events/s that one core can read",
            "from the CPU time per event with 25 concurrent streams; longer is better; gray: no"
            " LangChain, only JSON",
            machine,
            streams,
        )
    streams_rows = {count: ROWS[f"streams_{count}"].title for count in _STREAM_COUNTS}
    if lines := _build_lines(figures, streams_rows):
        charts["streams.svg"] = _render_lines(
            "Events read per second by one process",
            "each stream has 3,000 events/s, far more than Cerebras sends; higher is better;"
            " dashed: upper bounds",
            machine,
            lines,
            x_ticks={count: _count(count, "stream") for count in _STREAM_COUNTS},
            format_y=lambda value: f"{value:,.0f}",
        )
    delay_rows = {count: ROWS[f"delay_{count}"].title for count in _DELAY_COUNTS}
    if lines := _build_lines(figures, delay_rows):
        charts["delay.svg"] = _render_lines(
            "Delay of text events under load, ms",
            f"99 % of the events of streams with {EVENTS_PER_SECOND} events/s arrive within"
            " this time; lower is better; dashed: lower bounds",
            machine,
            lines,
            x_ticks={count: _count(count, "stream") for count in _DELAY_COUNTS},
            format_y=lambda value: f"{value:,.4g}",
        )
    return charts


def _build_lines(figures: Figures, titles: Mapping[int, str]) -> list[Line]:
    """Build a line for each client that has a figure in each of the rows."""
    rows = {count: figures.get(title, {}) for count, title in titles.items()}
    return [
        Line(
            name,
            name,
            [(count, row[name]) for count, row in rows.items()],
            is_dashed=name in _BASELINES,
        )
        for name in CLIENTS
        if all(row.get(name) for row in rows.values())
    ]


def render_quota_chart(results: Mapping[str, Any]) -> str:
    """Render how many requests the server accepted and rejected over time, for each client.

    Args:
        results: What `benchmarks.quota` has written to `quota.json`.
    """
    lines = []
    for name, result in results["clients"].items():
        color_name = name if name in _COLORS else COALESCED
        accepted = list(enumerate(sorted(result["accepted"]), 1))
        rejected = list(enumerate(sorted(result["rejected"]), 1))
        label = f"{name}: {result['answered']} answered"
        points = [(second, float(count)) for count, second in accepted]
        lines.append(Line(label, color_name, points))
        if rejected:
            label = f"{name}: {len(rejected)} rejected"
            points = [(second, float(count)) for count, second in rejected]
            lines.append(Line(label, color_name, points, is_dashed=True))
    seconds = max(second for line in lines for second, _ in line.points)
    return _render_lines(
        "Requests accepted (solid) and rejected (dashed) by the server",
        f"200 prompts, 16 at a time; the quota allows them in {results['ideal_seconds']:g} s",
        _shorten_machine(results["machine"]),
        lines,
        x_ticks={second: f"{second} s" for second in range(0, int(seconds) + 5, 5)},
        format_y=lambda value: f"{value:,.0f}",
        is_logarithmic=False,
    )


def render_large_chart(page: str) -> str:
    """Render the CPU time of each case of `benchmarks.large` in a panel of its own."""
    _, _, *rows = _read_cells(page)
    with _reproducible_pyplot() as pyplot:
        columns = 4
        lines = math.ceil(len(rows) / columns)
        figure, grid = pyplot.subplots(
            lines, columns, figsize=(_WIDTH, 2.3 * lines + 0.9), dpi=_DPI, squeeze=False
        )
        for axes in grid.flat[len(rows) :]:
            axes.remove()
        for axes, (title, unit, sizes, cpu, *_) in zip(grid.flat, rows, strict=False):
            xs, ys = (
                [float(value.replace(",", "")) for value in cell.split(" · ")]
                for cell in (sizes, cpu)
            )
            axes.plot(xs, ys, color=_COLORS[OURS][0], marker="o", markersize=4, linewidth=2)
            axes.set_xlim(0, xs[-1] * 1.05)
            axes.set_ylim(0, max(ys) * 1.15)
            axes.set_xticks([xs[0], xs[-1]], [f"{xs[0]:,.0f}", f"{xs[-1]:,.0f}"])
            axes.set_xlabel(unit, fontsize=12, color=_COLORS["note"][0], labelpad=-12)
            axes.locator_params(axis="y", nbins=4)
            axes.set_title(_wrap(title.replace("`", ""), 26), fontsize=11, loc="left")
            _style_axes(axes)
        figure.subplots_adjust(0.06, 0.06, 0.98, 1 - 1.2 / (2.3 * lines + 0.9), 0.3, 0.75)
        _add_titles(figure, "CPU time of large requests and responses, ms", "", "")
        return _to_svg(figure, "CPU time of large requests and responses")


def _render_bars(title: str, note: str, machine: str, values: Mapping[str, float]) -> str:
    with _reproducible_pyplot() as pyplot:
        height = 0.39 * len(values) + 1.35
        figure, axes = pyplot.subplots(figsize=(_WIDTH, height), dpi=_DPI)
        figure.subplots_adjust(0.2, 0.6 / height, 0.91, 1 - 0.72 / height)
        names = list(values)
        colors = [_COLORS[name][0] for name in names]
        bars = axes.barh(names, list(values.values()), color=colors, height=0.65)
        axes.bar_label(bars, [f"{value:.3g}" for value in values.values()], padding=6)
        axes.invert_yaxis()
        axes.margins(y=0.02)
        axes.set_xticks([])
        axes.tick_params(axis="y", length=0)
        axes.spines[:].set_visible(False)
        _add_titles(figure, title, note, machine)
        return _to_svg(figure, title)


def _render_lines(
    title: str,
    note: str,
    machine: str,
    lines: list[Line],
    *,
    x_ticks: Mapping[int, str],
    format_y: Callable[[float], str],
    is_logarithmic: bool = True,
) -> str:
    with _reproducible_pyplot() as pyplot:
        from matplotlib import ticker

        height = 5.6
        figure, axes = pyplot.subplots(figsize=(_WIDTH, height), dpi=_DPI)
        right = 0.72 if is_logarithmic else 0.65
        figure.subplots_adjust(0.08, 1.0 / height, right, 1 - 0.85 / height)
        if is_logarithmic:
            axes.set_xscale("log")
            axes.set_yscale("log", subs=[])
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        for line in lines:
            xs, ys = zip(*line.points, strict=True)
            axes.plot(
                xs,
                ys,
                color=_COLORS[line.color_name][0],
                linestyle=(0, (5, 3)) if line.is_dashed else "solid",
                marker="o" if is_logarithmic else "",
                markersize=4.5,
                linewidth=2.2,
                clip_on=False,
            )
        axes.minorticks_off()
        axes.set_xticks(list(x_ticks), list(x_ticks.values()))
        axes.set_xlim(min(x_ticks), max(x_ticks))
        if not is_logarithmic:
            axes.set_ylim(0)
        axes.yaxis.set_major_formatter(lambda value, _: format_y(value))
        _style_axes(axes)
        _add_end_labels(axes, lines)
        _add_titles(figure, title, note, machine)
        return _to_svg(figure, title)


def _add_end_labels(axes: Any, lines: list[Line]) -> None:
    """Put each label beside the end of its line; a thin line connects the two."""
    ends = [axes.transData.transform(line.points[-1]) for line in lines]
    right = axes.transAxes.transform((1, 0))[0]
    heights = spread([float(y) for _, y in ends], _LABEL_SIZE * 1.25)
    to_data = axes.transData.inverted().transform
    for line, (end_x, end_y), y in zip(lines, ends, heights, strict=True):
        color = _COLORS[line.color_name][0]
        xs, ys = zip(
            *map(to_data, [(end_x + 4, end_y), (right + 8, end_y), (right + 24, y)]),
            strict=True,
        )
        axes.plot(xs, ys, color=color, linewidth=0.8, clip_on=False)
        label_x, label_y = to_data((right + 28, y))
        axes.text(label_x, label_y, line.label, color=color, va="center", fontsize=_LABEL_SIZE)


def spread(positions: list[float], gap: float) -> list[float]:
    """Move positions as little as possible, so that all have at least `gap` between them.

    The order stays. Positions that would be too close form a group, which is centered on the
    mean of its positions.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    groups: list[list[int]] = []
    group_starts: list[float] = []
    for index in order:
        groups.append([index])
        group_starts.append(positions[index])
        # The last two groups overlap: merge them, and center the merged group.
        while len(groups) > 1 and group_starts[-2] + gap * len(groups[-2]) > group_starts[-1]:
            groups[-2:] = [groups[-2] + groups[-1]]
            mean = sum(positions[member] for member in groups[-1]) / len(groups[-1])
            group_starts[-2:] = [mean - gap * (len(groups[-1]) - 1) / 2]
    moved = list(positions)
    for group, start in zip(groups, group_starts, strict=True):
        for number, index in enumerate(group):
            moved[index] = start + gap * number
    return moved


# --- matplotlib --------------------------------------------------------------------------


class _reproducible_pyplot:  # noqa: N801 # it is used like a function
    """A context in which pyplot draws the same SVG for the same results, on every machine."""

    def __enter__(self) -> Any:
        import matplotlib as mpl
        from matplotlib import pyplot

        mpl.use("svg")
        self._context = mpl.rc_context(
            {
                "svg.hashsalt": "benchmarks",
                "svg.fonttype": "none",  # text stays text
                "font.size": _LABEL_SIZE,
                "text.color": _COLORS["text"][0],
                "axes.labelcolor": _COLORS["text"][0],
                "ytick.color": _COLORS["text"][0],
                "xtick.color": _COLORS["text"][0],
                "axes.titlecolor": _COLORS["text"][0],
                "text.parse_math": False,
            }
        )
        self._context.__enter__()
        return pyplot

    def __exit__(self, *error: object) -> None:
        from matplotlib import pyplot

        pyplot.close("all")
        self._context.__exit__(*error)


def _style_axes(axes: Any) -> None:
    axes.grid(axis="y", color=_COLORS["grid"][0], linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=_COLORS["note"][0], labelsize=12)


def _add_titles(figure: Any, title: str, note: str, machine: str) -> None:
    """Add the title, a note below it, and the machine at the bottom."""
    height = figure.get_figheight()
    color = _COLORS["note"][0]
    figure.text(0.02, 1 - 0.28 / height, title, fontsize=15, weight="bold")
    figure.text(0.02, 1 - 0.53 / height, note, fontsize=12, color=color)
    figure.text(0.02, 0.1 / height, _wrap(machine, 120), fontsize=10, color=color)


def _to_svg(figure: Any, title: str) -> str:
    """Return the SVG of a figure, with colors for light and for dark pages.

    Each color is replaced by a CSS variable, which has a value for light and one for dark
    pages.
    """
    output = io.StringIO()
    figure.savefig(
        output, format="svg", transparent=True, metadata={"Creator": None, "Date": None}
    )
    svg = output.getvalue().partition("<svg ")[2]
    variables: dict[str, tuple[str, str]] = {}
    for number, (light, dark) in enumerate(_COLORS.values()):
        if light in svg:
            # Programs that do not know CSS variables use the color before.
            svg = re.sub(rf"(fill|stroke): {light}", rf"\1: {light}; \1: var(--c{number})", svg)
            variables[f"--c{number}"] = light, dark
    head, separator, body = svg.partition(">\n")
    style = _build_style(variables)
    lines = f'<svg role="img" aria-label="{title}" {head}{separator}{style}\n{body}'
    return "\n".join(line.rstrip() for line in lines.splitlines()) + "\n"


def _build_style(variables: Mapping[str, tuple[str, str]]) -> str:
    """Build the CSS: the variables for light and for dark pages, and the font of the page."""
    light, dark = (
        "; ".join(f"{name}: {colors[index]}" for name, colors in variables.items())
        for index in (0, 1)
    )
    return (
        f"<style>:root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }}"
        " }\ntext { font-family: system-ui, sans-serif !important }</style>"
    )


def _wrap(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number > 1)}"


if __name__ == "__main__":
    main()
