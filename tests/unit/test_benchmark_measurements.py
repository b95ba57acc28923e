"""The measurements of the benchmarks: what they accept, and how the baseline streams."""

import asyncio
from typing import Any

import pytest

from benchmarks import measurements, workloads
from benchmarks.baselines import InMemoryChatModel
from benchmarks.clients import Totals


class ClientWithoutText:
    """A client that delivers chunks, but no text."""

    def prepare(self, url: str) -> str:
        return url

    async def astream(self, _url: str, totals: Totals) -> None:
        totals.chunks += 1

    async def astream_events(self, _url: str, totals: Totals) -> None:
        totals.chunks += 1


def test_stream_of_text_without_characters_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="0 of 42000 characters arrived"):
        asyncio.run(measurements.measure_astream(ClientWithoutText(), "http://a/burst", 1))


@pytest.mark.parametrize(
    ("measure", "path"),
    [
        (measurements.measure_astream, "tool_call"),
        (measurements.measure_astream_events, "burst"),
    ],
)
def test_characters_are_only_checked_where_clients_count_them(measure: Any, path: str) -> None:
    assert asyncio.run(measure(ClientWithoutText(), f"http://a/{path}", 1)) > 0


async def read_two_streams(workload: str) -> list[str]:
    """Read two streams of the baseline at once; return the name of the stream of each chunk."""
    model = InMemoryChatModel(workload=workload)
    names: list[str] = []

    async def read(name: str) -> None:
        async for chunk in model.astream("Hello"):
            names.extend([name] * bool(chunk.content))

    await asyncio.gather(read("a"), read("b"))
    return names


def test_baseline_sends_as_many_chunks_as_the_workload_has_events_and_takes_turns() -> None:
    names = asyncio.run(read_two_streams("short"))

    assert len(names) == 2 * workloads.get_workloads()["short"].events == 40
    assert names[:20] != ["a"] * 20


def test_baseline_does_not_take_turns_in_a_burst() -> None:
    names = asyncio.run(read_two_streams("burst"))

    assert names == ["a"] * workloads.EVENTS + ["b"] * workloads.EVENTS
