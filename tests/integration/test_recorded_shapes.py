import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from langchain_core.messages import AIMessage

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasInvalidRequestError,
    CerebrasRateLimitError,
    CerebrasServerError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import Emulator, Reply
from tests.integration.call_styles import STREAMING_STYLES, add_chunks, collect

Recorded: TypeAlias = Callable[[str], bytes]

STREAMS = [
    "reasoning",
    "transition",
    "tool_fragments",
    "parallel_tools",
    "logprobs",
    "trailing_usage",
    "unicode",
]
BROKEN: dict[str, type[CerebrasError]] = {
    "cut": CerebrasConnectionError,
    "error_envelope": CerebrasInvalidRequestError,
    "error_flat": CerebrasRateLimitError,
    "error_named": CerebrasServerError,
}
CUTS = 100
"""How many places each stream is cut at; the unit tests cut at every byte."""

# Long enough for what is before a cut to arrive alone.
APART = 0.01


def in_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def seen(message: AIMessage) -> dict[str, Any]:
    return {
        "content": message.content,
        "blocks": message.content_blocks,
        "kwargs": message.additional_kwargs,
        "calls": message.tool_calls,
        "invalid": message.invalid_tool_calls,
        "usage": message.usage_metadata,
        "metadata": message.response_metadata,
    }


@pytest.fixture
def whole(model: ChatCerebrasInference, server: Emulator, recorded: Recorded) -> Any:
    def answer(name: str) -> dict[str, Any]:
        server.script(Reply(body=recorded(f"{name}.json")))
        return seen(model.invoke("Hello!"))

    return answer


@pytest.mark.parametrize("style", STREAMING_STYLES)
@pytest.mark.parametrize("name", STREAMS)
def test_the_sum_of_a_stream_is_the_whole_reply(
    name: str,
    style: str,
    model: ChatCerebrasInference,
    server: Emulator,
    recorded: Recorded,
    whole: Any,
) -> None:
    expected = whole(name)
    server.script(Reply(data=recorded(f"{name}.sse")))

    answer = STREAMING_STYLES[style](model, "Hello!")

    assert seen(answer) == expected


@pytest.mark.parametrize("style", ["stream", "astream"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_may_come_byte_by_byte(
    name: str,
    style: str,
    model: ChatCerebrasInference,
    server: Emulator,
    recorded: Recorded,
    whole: Any,
) -> None:
    expected = whole(name)
    server.script(Reply(data=in_bytes(recorded(f"{name}.sse"))))

    answer = STREAMING_STYLES[style](model, "Hello!")

    assert seen(answer) == expected


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_may_be_cut_anywhere(
    name: str,
    model: ChatCerebrasInference,
    server: Emulator,
    recorded: Recorded,
    whole: Any,
) -> None:
    expected = await asyncio.to_thread(whole, name)
    data = recorded(f"{name}.sse")
    places = range(1, len(data), max(1, len(data) // CUTS))
    server.script(*(Reply(data=[data[:at], data[at:]], pace=APART) for at in places))

    streams = [collect(model.astream("Hello!")) for _ in places]
    answers = [add_chunks(chunks) for chunks in await asyncio.gather(*streams)]

    assert len(answers) >= CUTS
    assert [answer for answer in map(seen, answers) if answer != expected] == []


@pytest.mark.parametrize("style", STREAMING_STYLES)
@pytest.mark.parametrize("in_pieces", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_is_an_error_however_it_comes(
    name: str, in_pieces: bool, style: str, server: Emulator, recorded: Recorded
) -> None:
    data = recorded(f"{name}.sse")
    server.script(Reply(data=in_bytes(data) if in_pieces else data))
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, max_retries=0
    )

    with pytest.raises(CerebrasError) as caught:
        STREAMING_STYLES[style](model, "Hello!")

    assert type(caught.value) is BROKEN[name]
