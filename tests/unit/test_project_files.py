"""Files that must agree with each other: README, the benchmarks, workflows, the metadata."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))
README = (ROOT / "README.md").read_text("utf-8")

# For each row of the table in README.md: the row of benchmarks/results.md
MEASURED_ROWS = {
    "CPU time per streamed event, 25 streams of 200 events per second": (
        "text event, 25 streams of 200 events/s, async"
    ),
    "CPU time per streamed event, if all have already arrived": "text event in a burst, async",
    "the same, with a callback handler": (
        "text event in a burst, async, with a callback handler"
    ),
    "CPU time of `ainvoke`": "`ainvoke`",
    "memory per open stream, after 2,000 events": (
        "memory per open stream after 2,000 events, 50 streams"
    ),
    "import time, if langchain-core is already imported": (
        "import, after langchain-core's chat models"
    ),
}
QUOTA_ROW = "prompts completed of 200, with a quota of 10 requests per second"


def read_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of all tables. The first cell is the key."""
    lines = re.findall(r"^\| (.+) \|$", text, re.MULTILINE)
    return {cells[0]: cells[1:] for cells in (line.split(" | ") for line in lines)}


def test_table_of_figures_has_only_checked_rows() -> None:
    table = README.split("## Why switch")[1].split("--:|\n")[1].split("![")[0]

    assert list(read_rows(table)) == [QUOTA_ROW, *MEASURED_ROWS]


@pytest.mark.parametrize("row", MEASURED_ROWS)
def test_figures_in_readme_are_those_of_the_benchmarks(row: str) -> None:
    results = (ROOT / "benchmarks/results.md").read_text("utf-8").split("## All clients")[1]
    unit, ours, _, langchain_cerebras, *_ = read_rows(results)[MEASURED_ROWS[row]]

    assert read_rows(README)[row] == [
        f"{cell.split(' ')[0]} {unit}" for cell in (ours, langchain_cerebras)
    ]


def test_completed_prompts_in_readme_are_those_of_the_chart() -> None:
    chart = (ROOT / "benchmarks/quota.svg").read_text("utf-8")
    labels = dict(re.findall(r">([\w-]+): (\d+) answered<", chart))

    assert read_rows(README)[QUOTA_ROW] == [labels["ours"], labels["langchain-cerebras"]]


def test_workflow_tests_every_supported_version_of_python() -> None:
    prefix = "Programming Language :: Python :: "
    versions = [
        classifier.removeprefix(prefix)
        for classifier in PROJECT["classifiers"]
        if re.fullmatch(rf"{prefix}3\.\d+", classifier)
    ]

    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == versions


def test_workflow_calls_only_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    jobs: dict[str, Any] = WORKFLOW["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = [command.split()[1] for command in commands]

    assert {"lint", "test"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
