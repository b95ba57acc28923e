"""The benchmarks run, and what they write can be read."""

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


def test_what_was_measured_is_written(tmp_path: Path) -> None:
    ran = run(tmp_path, "--rows", "text", "ainvoke", "import", "--subjects", "ours")

    assert ran.returncode == 0, ran.stderr
    written = (tmp_path / "results.md").read_text("utf-8")
    assert "a chunk of text in a burst, async" in written
    assert "Not measured" not in written
    drawn = ET.fromstring((tmp_path / "cpu_per_chunk.svg").read_bytes())  # noqa: S314 # ours
    assert drawn.tag.endswith("svg")


@pytest.mark.skipif(find_spec("langchain_groq") is not None, reason="it does not break")
def test_a_subject_that_breaks_does_not_stop_the_rest(tmp_path: Path) -> None:
    ran = run(tmp_path, "--rows", "text", "--subjects", "langchain-groq", "ours")

    assert ran.returncode == 0, ran.stderr
    written = (tmp_path / "results.md").read_text("utf-8")
    assert "- langchain-groq, a chunk of text in a burst, async: ModuleNotFound" in written
    assert "**" in written.split("## Goals")[1]
