"""Many clients of examples/server.py at once: `make load` runs this and prints the figures."""

import asyncio
import sys
import time
from collections.abc import Iterator

import pytest
from langserve import RemoteRunnable

from langchain_cerebras_inference.emulator import Emulator, Reply, Request
from tests.integration.example_servers import run_example_server

pytestmark = [pytest.mark.load, pytest.mark.timeout(300)]

CLIENTS = 100
WORDS = 100


def build_text(topic: str) -> str:
    """Build a text that is different for every topic."""
    return " ".join(f"{topic}.{number}" for number in range(WORDS))


def build_reply(request: Request) -> Reply:
    """Build a slow stream about the topic of the prompt."""
    topic = request.body["messages"][0]["content"].split()[1]
    return Reply(build_text(topic), delay=1, pace=0.1)


@pytest.fixture
def langserve_url(server: Emulator) -> Iterator[str]:
    server.always(build_reply)
    with run_example_server("server.py", server) as url:
        yield url


async def test_a_hundred_concurrent_clients_receive_their_whole_streams(
    langserve_url: str, server: Emulator
) -> None:
    chain: RemoteRunnable[dict[str, str], str] = RemoteRunnable(
        f"{langserve_url}/chain/", timeout=60
    )
    topics = [f"topic{number}" for number in range(CLIENTS)]
    first_chunks: list[float] = []
    ends: list[float] = []
    chunks = 0

    async def read(topic: str) -> str:
        nonlocal chunks
        text = ""
        async for delta in chain.astream({"topic": topic}):
            if not text:
                first_chunks.append(time.monotonic())
            text += delta
            chunks += 1
        ends.append(time.monotonic())
        return text

    start = time.monotonic()
    texts = await asyncio.gather(*map(read, topics))

    seconds = round(time.monotonic() - start, 1)
    sys.stdout.write(f"\nLangServe: clients {CLIENTS}, chunks {chunks}, seconds {seconds}\n")
    assert texts == [build_text(topic) for topic in topics]
    assert max(first_chunks) < min(ends)  # all streams were open at once
    assert server.accepted == CLIENTS
