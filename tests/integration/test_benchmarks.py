"""The benchmarks run, and their results can be read."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]


def run(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(out), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_benchmark_results_are_written(tmp_path: Path) -> None:
    rows = ["text", "ainvoke", "import", "call_count"]
    process = run(tmp_path, "--rows", *rows, "--clients", "ours")

    assert process.returncode == 0, process.stderr
    page = (tmp_path / "results.md").read_text("utf-8")
    assert "text event in a burst, async" in page
    assert "| text event that arrives alone | `astream` |" in page
    assert "Not measured" not in page
    chart = ET.fromstring((tmp_path / "cpu_per_chunk.svg").read_bytes())  # noqa: S314 # ours
    assert chart.tag.endswith("svg")


@pytest.mark.skipif(find_spec("langchain_groq") is not None, reason="the client is installed")
def test_client_that_is_not_installed_does_not_stop_the_others(tmp_path: Path) -> None:
    process = run(tmp_path, "--rows", "text", "--clients", "langchain-groq", "ours")

    assert process.returncode == 0, process.stderr
    page = (tmp_path / "results.md").read_text("utf-8")
    assert "- langchain-groq, text event in a burst, async: ModuleNotFound" in page
    assert "**" in page.split("## Goals")[1]
