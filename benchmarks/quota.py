"""Compare how clients behave when a quota limits them: `python -m benchmarks.quota`.

Each client sends 200 prompts, 16 at a time, to an emulator that allows 10 requests a second,
and 20 in a first burst. The results are printed, and written to `benchmarks/quota.json`, from
which `charts.py` draws `quota.svg`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import report
from benchmarks.charts import write_charts
from benchmarks.clients import LangChainModel

PROMPTS, CONCURRENCY = 200, 16
RATE, BURST = 10, 20
API_KEY = "csk-0123456789abcdef"
FOLDER = Path(__file__).parent

CLIENTS: dict[str, LangChainModel] = {
    "langchain-openai": LangChainModel("langchain_openai:ChatOpenAI"),
    "langchain-cerebras": LangChainModel("langchain_cerebras:ChatCerebras"),
    "ours": LangChainModel("langchain_cerebras_inference:ChatCerebrasInference"),
    "ours, pace=True": LangChainModel(
        "langchain_cerebras_inference:ChatCerebrasInference", pace=True
    ),
}

_STATUS = re.compile(r"/chat/completions .*status=(\d+)")


class QuotaResult(NamedTuple):
    """The result of one client.

    Attributes:
        answered: How many prompts got a completion.
        seconds: How long the batch took.
        accepted: When the responses to accepted requests had been sent, in seconds from the
            first response.
        rejected: When the responses of status 429 had been sent.
    """

    answered: int
    seconds: float
    accepted: list[float]
    rejected: list[float]


def main() -> None:
    """Measure all clients, or run one of them as a subprocess."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--client", choices=CLIENTS, help="only measure this client")
    parser.add_argument("--url", help="used internally: send the prompts to this URL")
    options = parser.parse_args()
    if options.url:
        sys.stdout.write(
            f"{asyncio.run(_send_prompts(CLIENTS[options.client], options.url))}\n"
        )
        return
    results = {name: measure(name) for name in CLIENTS if options.client in (None, name)}
    for name, result in results.items():
        answered = f"{result.answered} of {PROMPTS} prompts answered"
        rejected = f"{len(result.rejected)} requests rejected"
        sys.stdout.write(f"{name}: {answered} in {result.seconds:.1f} s, {rejected}\n")
    if options.client is None:
        ideal = (PROMPTS - BURST) / RATE
        clients = {name: result._asdict() for name, result in results.items()}
        data = {
            "ideal_seconds": ideal,
            "machine": report.describe_machine(),
            "clients": clients,
        }
        (FOLDER / "quota.json").write_text(json.dumps(data) + "\n", "utf-8")
        write_charts(FOLDER)


def measure(name: str) -> QuotaResult:
    """Send the prompts with one client, in a process of its own."""
    emulator = subprocess.Popen(  # noqa: S603 # a program of this project
        [
            *(sys.executable, "-m", "langchain_cerebras_inference.emulator"),
            *("--api-key", API_KEY, "--requests-per-minute", str(RATE * 60)),
            *("--burst", str(BURST), "--latency", "0.05", "0.1"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    output: Any = emulator.stdout
    times: dict[str, list[float]] = {"200": [], "429": []}
    try:
        url = next(
            line.partition("=")[2].strip().removesuffix("/v1")
            for line in output
            if "CEREBRAS_API_BASE" in line
        )
        reader = threading.Thread(target=_read_log, args=(output, times), daemon=True)
        reader.start()
        client = subprocess.run(  # noqa: S603 # this program
            [sys.executable, "-m", "benchmarks.quota", "--client", name, "--url", url],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        answered, seconds = client.stdout.split()
    finally:
        emulator.terminate()
        emulator.wait()
    start = min((moment for moments in times.values() for moment in moments), default=0.0)
    accepted, rejected = (
        [round(moment - start, 2) for moment in times[key]] for key in ("200", "429")
    )
    return QuotaResult(int(answered), float(seconds), accepted, rejected)


def _read_log(lines: Any, times: dict[str, list[float]]) -> None:
    for line in lines:
        if status := _STATUS.search(line):
            times.setdefault(status[1], []).append(time.monotonic())


async def _send_prompts(client: LangChainModel, url: str) -> str:
    model = client.prepare(url)
    prompts = [f"Prompt {number}" for number in range(PROMPTS)]
    start = time.monotonic()
    results = await model.abatch(
        prompts, {"max_concurrency": CONCURRENCY}, return_exceptions=True
    )
    answered = sum(not isinstance(result, BaseException) for result in results)
    return f"{answered} {time.monotonic() - start:.2f}"


if __name__ == "__main__":
    main()
