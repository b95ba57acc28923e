"""The charts of the benchmarks: their figures, and where their labels stand."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import charts

FOLDER = Path(__file__).parents[2] / "benchmarks"
RESULTS = (FOLDER / "results.md").read_text("utf-8")


def read_labels(name: str) -> list[str]:
    svg = (FOLDER / name).read_text("utf-8")
    return re.findall(r"<text [^>]*>([^<]+)</text>", svg)


def test_figures_are_read_from_the_page_of_results() -> None:
    page = """
## All clients

|  |  | ours | langchain-cerebras | official SDK |
|---|---|--:|--:|--:|
| text event | µs | 13.3 (21.9) | 1,274 (1,357) 20.6 | · |

## The server
"""

    assert charts.read_figures(page) == {
        "text event": {"ours": 13.3, "langchain-cerebras": 1274.0}
    }


def test_machine_is_read_without_its_load() -> None:
    page = (
        "Full run, 30 minutes. Linux on AMD EPYC, 2 cores, load 1.0; CPython 3.11.7; a 1.0.\n"
    )

    assert charts.read_machine(page) == "Linux on AMD EPYC, 2 cores; CPython 3.11.7; a 1.0"


def test_chart_of_cpu_time_has_the_figures_of_the_results() -> None:
    figures = charts.read_figures(RESULTS)["text event in a burst, async"]

    assert {f"{figure:.3g}" for figure in figures.values()} <= set(
        read_labels("cpu_per_chunk.svg")
    )


@pytest.mark.parametrize("name", ["cpu_per_chunk.svg", "streams_per_core.svg", "streams.svg"])
def test_chart_names_its_machine_and_has_colors_for_dark_pages(name: str) -> None:
    machine = " ".join(read_labels(name)[-2:])

    assert charts.read_machine(RESULTS).split(";")[0] in machine
    assert "prefers-color-scheme: dark" in (FOLDER / name).read_text("utf-8")


def test_labels_that_would_overlap_are_moved_apart() -> None:
    assert charts.spread([10.0, 50.0, 12.0], 8.0) == [7.0, 50.0, 15.0]


@given(st.lists(st.floats(0, 300), max_size=12))
def test_labels_never_overlap_and_keep_their_order(positions: list[float]) -> None:
    moved = sorted(zip(positions, charts.spread(positions, 16.0), strict=True))
    heights = [height for _, height in moved]

    assert all(later - sooner > 15.99 for sooner, later in pairwise(heights))
