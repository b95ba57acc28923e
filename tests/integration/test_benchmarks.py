"""`python -m benchmarks` runs, and its results can be read.

Each test starts several Python processes: 3 to 6 seconds on an idle machine.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import measurements
from benchmarks.clients import LangChainModel

ROOT = Path(__file__).parents[2]


def run_benchmarks(output: Path, *arguments: str) -> str:
    """Run the benchmarks quickly into a directory; return the page they write."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(output), *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return (output / "results.md").read_text("utf-8")


def test_results_are_written_as_table_and_with_matplotlib_as_chart(tmp_path: Path) -> None:
    page = run_benchmarks(
        tmp_path, "--clients", "ours", "--rows", "text", "ainvoke", "import", "call_count"
    )

    assert "text event in a burst, async" in page
    assert "| text event that arrives alone | `astream` |" in page
    assert "Not measured" not in page
    has_matplotlib = find_spec("matplotlib") is not None
    assert (tmp_path / "cpu_per_chunk.svg").exists() == has_matplotlib


@pytest.mark.skipif(
    find_spec("langchain_groq") is not None, reason="needs a client that is not installed"
)
def test_client_that_fails_is_reported_and_does_not_stop_the_others(tmp_path: Path) -> None:
    page = run_benchmarks(tmp_path, "--rows", "text", "--clients", "langchain-groq", "ours")

    assert "- langchain-groq, text event in a burst, async: ModuleNotFound" in page
    assert "**" in page.split("## Goals")[1]


def test_cold_start_is_measured_and_compared_with_its_baseline(tmp_path: Path) -> None:
    clients = ["--clients", "ours", "langchain-core + aiohttp"]
    page = run_benchmarks(tmp_path, *clients, "--rows", "cold_start", "cold_start_cpu")

    goals = page.split("## Goals")[1].split("## All clients")[0]
    assert goals.count("| ≤ 1.15 \N{MULTIPLICATION SIGN} langchain-core + aiohttp |") == 2
    assert "| ≤ · |" not in goals
    assert "Not measured" not in page


def test_cold_start_of_a_client_that_is_not_installed_is_an_error() -> None:
    client = LangChainModel("no_such_package:ChatModel")

    with pytest.raises(RuntimeError, match="No module named 'no_such_package'"):
        measurements.measure_cold_start(client, "http://127.0.0.1:1", 1)


def test_cost_of_the_quota_is_printed() -> None:
    command = [sys.executable, "-m", "benchmarks.quota_cost", "--pairs", "2"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert process.returncode == 0, process.stderr
    assert "without limits: " in process.stdout
    assert "with twelve rate limit headers: " in process.stdout


def test_cost_of_a_long_queue_is_printed() -> None:
    command = [sys.executable, "-m", "benchmarks.quota_queue", "--calls", "50", "--rounds", "1"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert process.returncode == 0, process.stderr
    assert process.stdout.count("wake-ups per call") == 4


def test_figures_of_large_requests_and_responses_are_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.large", "--quick", "--out", str(tmp_path)]
    cases = ["--cases", "history", "arguments_stream"]
    process = subprocess.run(
        [*command, *cases], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert process.returncode == 0, process.stderr
    page = (tmp_path / "large.md").read_text("utf-8")
    assert "| history of 2 KB messages | messages | 250 · 500 |" in page
    assert "| tool arguments, streamed | KB | 64 · 128 |" in page


def test_cost_of_langserve_is_printed() -> None:
    command = [sys.executable, "-m", "benchmarks.langserve_cost", "--clients", "ours"]
    options = ["--rounds", "1", "--streams", "1"]
    process = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert process.returncode == 0, process.stderr
    assert process.stdout.count("µs per event") == 2


def test_effect_of_server_settings_is_printed() -> None:
    command = [sys.executable, "-m", "benchmarks.server_settings"]
    options = ["--rounds", "2", "--row", "one stream"]
    process = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert process.returncode == 0, process.stderr
    for setting in ("no setting", "uvloop", "gc.freeze()"):
        assert process.stdout.count(f"  {setting}: best ") == 1
