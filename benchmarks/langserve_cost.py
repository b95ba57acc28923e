"""Measure the CPU time of a LangServe server per event: `python -m benchmarks.langserve_cost`.

The same app serves the model of each client in a process of its own, and this process reads
many streams from it at the same time. "langchain-core alone" is a model without a network: what
the app costs without any client of Cerebras. It needs the package langserve, which is not in
the environment of the other benchmarks.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from benchmarks.clients import CLIENTS, CORE, LANGCHAIN_CEREBRAS, OURS, PROMPT, OurModel

_ROOT = Path(__file__).parents[1]
_WORKLOADS = {"burst": "in a burst", "slow": "at 200 events per second"}
_CLIENTS = {
    OURS: OurModel,
    LANGCHAIN_CEREBRAS: CLIENTS[LANGCHAIN_CEREBRAS],
    CORE: CLIENTS[CORE],
}


def main() -> None:
    """Measure each client with each workload, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--streams", type=int, default=20, help="concurrent streams")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each client")
    parser.add_argument("--clients", nargs="+", default=_CLIENTS, choices=_CLIENTS)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(*options.serve)
        return
    with _start("benchmarks.server") as port:
        for workload, title in _WORKLOADS.items():
            url = f"http://127.0.0.1:{port}/{workload}"
            for client in options.clients:
                with _start("benchmarks.langserve_cost", "--serve", client, url) as app_port:
                    microseconds = asyncio.run(
                        _measure(app_port, options.streams, options.rounds)
                    )
                low, high = min(microseconds), max(microseconds)
                sys.stdout.write(
                    f"{client}, {title}: {statistics.median(microseconds):.0f} µs per event"
                    f" ({low:.0f} to {high:.0f} µs)\n"
                )


@contextmanager
def _start(module: str, *arguments: str) -> Iterator[int]:
    """Run a module that prints its port and exits when its stdin ends; yield the port."""
    process = subprocess.Popen(  # noqa: S603 # our own modules
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None  # noqa: S101 # for the type checker
        try:
            yield int(process.stdout.readline())
        finally:
            process.communicate()


def _serve(client: str, url: str) -> None:
    """Serve the model of a client with LangServe until stdin ends."""
    import threading

    import uvicorn
    from fastapi import FastAPI
    from langserve import add_routes

    app = FastAPI()
    add_routes(app, _CLIENTS[client]().prepare(url), path="/model")

    @app.get("/cpu")
    def get_cpu_seconds() -> float:
        return time.process_time()

    def wait_for_end() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait_for_end, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    sys.stdout = io.StringIO()  # LangServe prints a banner
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


async def _measure(port: int, streams: int, rounds: int) -> list[float]:
    """Return the CPU time of the app per event in each round, in microseconds."""
    url = f"http://127.0.0.1:{port}"
    results = []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await _read_stream(session, url)
        for _ in range(rounds):
            start = await _get_cpu_seconds(session, url)
            counts = await asyncio.gather(*(_read_stream(session, url) for _ in range(streams)))
            seconds = await _get_cpu_seconds(session, url) - start
            results.append(seconds / sum(counts) * 1e6)
    return results


async def _get_cpu_seconds(session: aiohttp.ClientSession, url: str) -> float:
    async with session.get(f"{url}/cpu") as response:
        return float(await response.text())


async def _read_stream(session: aiohttp.ClientSession, url: str) -> int:
    """Read one stream to its end; return the number of events with data."""
    body = json.dumps({"input": PROMPT})
    headers = {"Content-Type": "application/json"}
    count, last = 0, b""
    async with session.post(f"{url}/model/stream", data=body, headers=headers) as response:
        async for line in response.content:
            count += line.startswith(b"event: data")
            last = line if line.startswith(b"event:") else last
    if last.strip() != b"event: end":
        raise RuntimeError(f"The stream ended with {last!r}.")
    return count


if __name__ == "__main__":
    main()
