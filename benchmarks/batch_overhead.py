"""Measure what a batch costs beyond bare `abatch`: `python -m benchmarks.batch_overhead`.

Blocks of prompts with `abatch`, `arun_batch` and `run_batch` alternate in one process, so that
all meet the same load of the machine. For `arun_batch` and for `run_batch`, the result is the
median over all rounds of its CPU time divided by that of `abatch` in the same round. The model
has `pace=True`, 32 calls are open at the same time, and the quota is large enough.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from langchain_core.runnables import RunnableConfig

from benchmarks.runner import run_server
from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.batch import arun_batch, run_batch

PROMPTS: list[Any] = ["Why is the sky blue?"] * 128
CONCURRENCY = 32


def main() -> None:
    """Start the server, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=100, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    with run_server() as port:
        url = f"http://127.0.0.1:{port}/burst/v1"
        # With few tokens, the quota that the server shows is large enough for all calls.
        model = ChatCerebrasInference(api_key="key", base_url=url, pace=True, max_tokens=10)
        _print_results(asyncio.run(_measure(model, rounds)))


def _print_results(seconds: dict[str, list[float]]) -> None:
    baseline = seconds.pop("abatch")
    microseconds = statistics.median(baseline) * 1e6
    sys.stdout.write(f"abatch: {microseconds:.0f} µs of CPU time per prompt\n")
    for name, values in seconds.items():
        ratios = [value / base for value, base in zip(values, baseline, strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        sys.stdout.write(
            f"{name}: {median - 1:+.1%} (quartiles {low - 1:+.1%} to {high - 1:+.1%})\n"
        )


async def _measure(model: ChatCerebrasInference, rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds per prompt of each function, in the same rounds."""
    functions: dict[str, Callable[[ChatCerebrasInference], Coroutine[Any, Any, None]]] = {
        "abatch": _run_abatch,
        "arun_batch": _run_arun_batch,
        "run_batch": _run_run_batch,
    }
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(-5, rounds):
        names = list(functions) if number % 2 else list(reversed(functions))
        for name in names:
            start = time.process_time()
            await functions[name](model)
            if number >= 0:  # the rounds before are a warm-up
                seconds[name].append((time.process_time() - start) / len(PROMPTS))
    return seconds


async def _run_abatch(model: ChatCerebrasInference) -> None:
    config: RunnableConfig = {"max_concurrency": CONCURRENCY}
    results = await model.abatch(PROMPTS, config, return_exceptions=True)
    _check(isinstance(result, Exception) for result in results)


async def _run_arun_batch(model: ChatCerebrasInference) -> None:
    results = arun_batch(model, PROMPTS, concurrency=CONCURRENCY)
    _check([result.error is not None async for result in results])


async def _run_run_batch(model: ChatCerebrasInference) -> None:
    _check(
        result.error is not None
        for result in run_batch(model, PROMPTS, concurrency=CONCURRENCY)
    )


def _check(failures: Any) -> None:
    count = sum(failures)
    if count:
        raise RuntimeError(f"{count} calls failed.")


if __name__ == "__main__":
    main()
