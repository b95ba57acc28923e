"""Render the results of a run as two SVG charts.

The charts have no background, and colors for light and for dark pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from benchmarks.clients import AIOHTTP, AIOHTTP_JSON, CLIENTS, COALESCED, CORE, OURS
from benchmarks.runner import Results

if TYPE_CHECKING:
    from benchmarks.quota import QuotaResult

_WIDTH = 720
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.note { fill: #59636e; font-size: 12px }
.grid { stroke: #d1d9e0 }
.ours { fill: #e8590c; stroke: #e8590c } .baseline { fill: #868e96; stroke: #868e96 }
.other { fill: #4c6ef5; stroke: #4c6ef5 } .line { fill: none; stroke-width: 2.5 }
text.ours, text.other, text.baseline { stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .grid { stroke: #3d444d }
  .ours { fill: #ff922b; stroke: #ff922b } .baseline { fill: #adb5bd; stroke: #adb5bd }
  .other { fill: #748ffc; stroke: #748ffc }
}"""

_CSS_CLASSES = {OURS: "ours", COALESCED: "ours", CORE: "baseline", AIOHTTP_JSON: "baseline"}
_STREAM_COUNTS = (1, 10, 50, 200)
_LABEL_HEIGHT = 16


def render_charts(results: Results) -> dict[str, str]:
    """Render the charts for which there are figures. The result maps file names to SVG."""
    charts = {}
    names = [name for name in CLIENTS if name != AIOHTTP]
    costs = {name: results.find_best("text", name) for name in names}
    if known_costs := {name: cost for name, cost in costs.items() if cost}:
        charts["cpu_per_chunk.svg"] = _render_bars(known_costs)
    curves = {
        name: [results.find_best(f"streams_{count}", name) or 0.0 for count in _STREAM_COUNTS]
        for name in names
    }
    if complete_curves := {name: curve for name, curve in curves.items() if all(curve)}:
        charts["streams.svg"] = _render_curves(complete_curves)
    return charts


def _render_bars(costs: dict[str, float]) -> str:
    left, top, row_height = 150, 62, 28
    scale = (_WIDTH - left - 70) / max(costs.values())
    body = []
    for index, (name, cost) in enumerate(sorted(costs.items(), key=lambda item: item[1])):
        y, width = top + index * row_height, max(2.0, cost * scale)
        css_class = _get_css_class(name)
        body += [
            f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{css_class}" x="{left}" y="{y}" width="{width:.1f}" height="18"/>',
            f'<text x="{left + width + 8:.1f}" y="{y + 13}">{cost:.3g}</text>',
        ]
    note = "one stream in a burst, async; shorter is better; gray: lower bounds"
    height = top + len(costs) * row_height + 8
    return _render_svg("CPU time per text event, µs", note, body, height)


def _render_curves(curves: dict[str, list[float]]) -> str:
    left, right, top, bottom = 64, _WIDTH - 170, 70, 350
    step = (right - left) / (len(_STREAM_COUNTS) - 1)
    xs = [left + index * step for index in range(len(_STREAM_COUNTS))]
    highest = max(max(curve) for curve in curves.values())

    def get_y(figure: float) -> float:
        return bottom - (bottom - top) * figure / highest

    body = []
    for figure in range(0, int(highest) + 1, _choose_grid_step(highest)):
        y = get_y(figure)
        label = _render_note(left - 8, y + 4, "end", f"{figure // 1000}k")
        body += [f'<path class="grid" d="M{left} {y:.1f}H{right}"/>', label]
    for x, count in zip(xs, _STREAM_COUNTS, strict=True):
        label = f"{count} stream{'s' * (count > 1)}"
        body.append(_render_note(x, bottom + 20, "middle", label))
    label_y = float(bottom + _LABEL_HEIGHT)
    for name, curve in sorted(curves.items(), key=lambda item: item[1][-1]):
        points = " ".join(
            f"{x:.1f},{get_y(figure):.1f}" for x, figure in zip(xs, curve, strict=True)
        )
        label_y = min(get_y(curve[-1]) + 4, label_y - _LABEL_HEIGHT)  # labels do not overlap
        css_class, label = _get_css_class(name), escape(name)
        body += [
            f'<polyline class="line {css_class}" points="{points}" style="fill:none"/>',
            f'<text class="{css_class}" x="{right + 8}" y="{label_y:.1f}">{label}</text>',
        ]
    note = "one process, each stream has 3,000 events/s; higher is better; gray: upper bounds"
    return _render_svg("Events per second, many streams at once", note, body, bottom + 36)


def render_quota_chart(results: Mapping[str, QuotaResult], ideal_seconds: float) -> str:
    """Render how many requests the server accepted and rejected over time, for each client.

    Args:
        results: The results by the name of the client.
        ideal_seconds: The shortest time in which the quota allows all prompts.
    """
    left, right, top, bottom = 48, _WIDTH - 245, 70, 350
    seconds = max(ideal_seconds, *(result.seconds for result in results.values()))
    curves = []
    for name, result in results.items():
        curves.append((f"{name}: {result.answered} answered", result.accepted, ""))
        if result.rejected:
            label = f"{name}: {len(result.rejected)} rejected"
            curves.append((label, result.rejected, "stroke-dasharray:5 4"))
    highest = max(len(times) for _, times, _ in curves)

    def get_x(second: float) -> float:
        return left + (right - left) * second / seconds

    def get_y(count: float) -> float:
        return bottom - (bottom - top) * count / highest

    body = []
    for count in range(0, highest + 1, 50):
        y = get_y(count)
        body.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        body.append(_render_note(left - 8, y + 4, "end", str(count)))
    for second in range(0, int(seconds) + 1, 5):
        body.append(_render_note(get_x(second), bottom + 20, "middle", f"{second} s"))
    label_y = float(bottom + _LABEL_HEIGHT)
    for label, times, style in sorted(curves, key=lambda curve: len(curve[1])):
        points = " ".join(
            f"{get_x(second):.1f},{get_y(count):.1f}"
            for count, second in enumerate(sorted(times), 1)
        )
        label_y = min(get_y(len(times)) + 4, label_y - _LABEL_HEIGHT)
        css_class = "ours" if label.startswith(OURS) else "other"
        place = f'class="{css_class}" x="{right + 8}" y="{label_y:.1f}"'
        body += [
            f'<polyline class="line {css_class}" points="{points}" style="fill:none;{style}"/>',
            f"<text {place}>{escape(label)}</text>",
        ]
    note = f"200 prompts, 16 at once; the quota allows them in {ideal_seconds:g} s"
    title = "Requests accepted (solid) and rejected (dashed) by the server"
    return _render_svg(title, note, body, bottom + 36)


def _choose_grid_step(highest: float) -> int:
    """Return a distance between grid lines that gives two to ten of them."""
    step: int = 10 ** (len(f"{highest:.0f}") - 1)
    return step // 2 if highest < 3 * step else step


def _get_css_class(client: str) -> str:
    return _CSS_CLASSES.get(client, "other")


def _render_note(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="note" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _render_svg(title: str, note: str, body: list[str], height: float) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" height="{height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="16" y="24">{title}</text>',
        f'<text class="note" x="16" y="44">{note}</text>',
        *body,
        "</svg>",
        "",
    ]
    return "\n".join(lines)
