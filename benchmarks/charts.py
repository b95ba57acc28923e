"""A run's results as two drawings, in SVG that is written by hand.

They have no background and say their colours twice, for light pages and for dark ones.
"""

from __future__ import annotations

from html import escape

from benchmarks.run import Results
from benchmarks.subjects import BYTES, COALESCED, CORE, OURS, SUBJECTS, WIRE

_WIDTH = 720
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.note { fill: #59636e; font-size: 12px }
.grid { stroke: #d1d9e0 }
.ours { fill: #e8590c; stroke: #e8590c } .floor { fill: #868e96; stroke: #868e96 }
.peer { fill: #4c6ef5; stroke: #4c6ef5 } .line { fill: none; stroke-width: 2.5 }
text.ours, text.peer, text.floor { stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .grid { stroke: #3d444d }
  .ours { fill: #ff922b; stroke: #ff922b } .floor { fill: #adb5bd; stroke: #adb5bd }
  .peer { fill: #748ffc; stroke: #748ffc }
}"""

_KINDS = {OURS: "ours", COALESCED: "ours", CORE: "floor", WIRE: "floor"}
_STREAMS = (1, 10, 50, 200)


def draw(results: Results) -> dict[str, str]:
    """The drawings for which there are figures, by the names of their files."""
    drawn = {}
    cost = {name: results.best("text", name) for name in SUBJECTS if name != BYTES}
    known = {name: value for name, value in cost.items() if value}
    if known:
        drawn["cpu_per_chunk.svg"] = _bars(known)
    lines = {
        name: [results.best(f"streams_{size}", name) or 0.0 for size in _STREAMS]
        for name in SUBJECTS
        if name != BYTES
    }
    whole = {name: values for name, values in lines.items() if all(values)}
    if whole:
        drawn["streams.svg"] = _curves(whole)
    return drawn


def _bars(figures: dict[str, float]) -> str:
    left, step, top = 150, 28, 62
    scale = (_WIDTH - left - 70) / max(figures.values())
    body = []
    for at, (name, value) in enumerate(sorted(figures.items(), key=lambda pair: pair[1])):
        y, width = top + at * step, max(2.0, value * scale)
        body += [
            f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{_kind(name)}" x="{left}" y="{y}" width="{width:.1f}" height="18"/>',
            f'<text x="{left + width + 8:.1f}" y="{y + 13}">{value:.3g}</text>',
        ]
    note = "streaming in a burst, async; shorter is better; grey is what cannot be avoided"
    return _page("CPU time for a chunk of text, µs", note, body, top + len(figures) * step + 8)


def _curves(figures: dict[str, list[float]]) -> str:
    left, right, top, bottom = 64, _WIDTH - 170, 70, 350
    across = [left + at * (right - left) / (len(_STREAMS) - 1) for at in range(len(_STREAMS))]
    highest = max(max(values) for values in figures.values())
    unit = 10 ** (len(f"{highest:.0f}") - 1)
    unit = unit // 2 if highest < 3 * unit else unit

    def height(value: float) -> float:
        return bottom - (bottom - top) * value / highest

    body = []
    for value in range(0, int(highest) + 1, unit):
        y = height(value)
        label = _note(left - 8, y + 4, "end", f"{value // 1000}k")
        body += [f'<path class="grid" d="M{left} {y:.1f}H{right}"/>', label]
    for x, size in zip(across, _STREAMS, strict=True):
        body.append(_note(x, bottom + 20, "middle", f"{size} stream{'s' * (size > 1)}"))
    free = float(bottom + 16)
    for name, values in sorted(figures.items(), key=lambda pair: pair[1][-1]):
        points = " ".join(
            f"{x:.1f},{height(value):.1f}" for x, value in zip(across, values, strict=True)
        )
        free = min(height(values[-1]) + 4, free - 16)  # names do not lie on each other
        body += [
            f'<polyline class="line {_kind(name)}" points="{points}" style="fill:none"/>',
            f'<text class="{_kind(name)}" x="{right + 8}" y="{free:.1f}">{escape(name)}</text>',
        ]
    note = "each at 3,000 a second, one process; higher is better; grey is what is possible"
    return _page("Tokens a second, many streams at once", note, body, bottom + 36)


def _kind(name: str) -> str:
    return _KINDS.get(name, "peer")


def _note(x: float, y: float, anchor: str, words: str) -> str:
    return f'<text class="note" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def _page(title: str, note: str, body: list[str], height: float) -> str:
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
