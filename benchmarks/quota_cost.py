"""Measure what `pace="auto"` costs per request: `python -m benchmarks.quota_cost`.

Each pair has a block of calls with `pace=False` and one with `pace="auto"`, in the same process
and one after the other, so that both meet the same load of the machine. Their order is random:
in a fixed order, the garbage collector could always run in the same one of the two. The result
is the median over all pairs of the difference of the CPU time, once for a server that shows no
limits, and once for one that sends twelve rate limit headers with each response, as Cerebras
does.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time

from benchmarks.runner import run_server
from langchain_cerebras_inference import ChatCerebrasInference

_CALLS_PER_BLOCK = 40
_PATHS = {
    "without limits": "no_limits",
    "with twelve rate limit headers": "twelve_limits",
}


def main() -> None:
    """Start the server, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=800, help="pairs of blocks (default: 800)")
    pairs = parser.parse_args().pairs
    with run_server() as port:
        for name, path in _PATHS.items():
            url = f"http://127.0.0.1:{port}/{path}/v1"
            without, difference, quartiles = asyncio.run(_measure(url, pairs))
            sys.stdout.write(
                f"{name}: {difference:+.1f} µs (quartiles {quartiles[0]:+.1f} to"
                f" {quartiles[2]:+.1f} µs), on top of {without:.0f} µs per request\n"
            )


async def _measure(url: str, pairs: int) -> tuple[float, float, list[float]]:
    """Return the median with `pace=False`, and median and quartiles of the differences."""
    models = [
        ChatCerebrasInference(api_key="key", base_url=url, pace=False),
        ChatCerebrasInference(api_key="key", base_url=url, pace="auto"),
    ]
    for model in models:
        await _measure_block(model)
    rng = random.Random(2026)  # noqa: S311 # the same orders in every run
    without, differences = [], []
    for _ in range(pairs):
        order = rng.sample((0, 1), 2)
        seconds = {index: await _measure_block(models[index]) for index in order}
        without.append(seconds[0] * 1e6)
        differences.append((seconds[1] - seconds[0]) * 1e6)
    quartiles = statistics.quantiles(differences, n=4)
    return statistics.median(without), statistics.median(differences), quartiles


async def _measure_block(model: ChatCerebrasInference) -> float:
    """Return the CPU time per call, in seconds."""
    start = time.process_time()
    for _ in range(_CALLS_PER_BLOCK):
        await model.ainvoke("Why is the sky blue?")
    return (time.process_time() - start) / _CALLS_PER_BLOCK


if __name__ == "__main__":
    main()
