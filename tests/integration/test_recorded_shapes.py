"""Recorded streams and completions, sent by the emulator in different pieces."""

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
BROKEN_STREAMS: dict[str, type[CerebrasError]] = {
    "truncated": CerebrasConnectionError,
    "error_envelope": CerebrasInvalidRequestError,
    "error_flat": CerebrasRateLimitError,
    "error_named": CerebrasServerError,
}
# Each stream is split at this many positions; the unit tests split at every byte.
SPLIT_COUNT = 100
# Seconds between the two parts: long enough for the first to arrive alone.
PAUSE_BETWEEN_PARTS = 0.01


def split_into_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def get_fields(message: AIMessage) -> dict[str, Any]:
    return {
        "content": message.content,
        "content_blocks": message.content_blocks,
        "additional_kwargs": message.additional_kwargs,
        "tool_calls": message.tool_calls,
        "invalid_tool_calls": message.invalid_tool_calls,
        "usage_metadata": message.usage_metadata,
        "response_metadata": message.response_metadata,
    }


@pytest.fixture
def complete(model: ChatCerebrasInference, server: Emulator, recorded: Recorded) -> Any:
    """Invokes the model while the emulator sends a recorded completion."""

    def invoke(name: str) -> dict[str, Any]:
        server.script(Reply(body=recorded(f"{name}.json")))
        return get_fields(model.invoke("Hello!"))

    return invoke


@pytest.mark.parametrize("style", STREAMING_STYLES)
@pytest.mark.parametrize("name", STREAMS)
def test_stream_adds_up_to_the_completion(
    name: str,
    style: str,
    model: ChatCerebrasInference,
    server: Emulator,
    recorded: Recorded,
    complete: Any,
) -> None:
    expected = complete(name)
    server.script(Reply(data=recorded(f"{name}.sse")))

    message = STREAMING_STYLES[style](model, "Hello!")

    assert get_fields(message) == expected


@pytest.mark.parametrize("style", ["stream", "astream"])
@pytest.mark.parametrize("name", STREAMS)
def test_stream_can_arrive_byte_by_byte(
    name: str,
    style: str,
    model: ChatCerebrasInference,
    server: Emulator,
    recorded: Recorded,
    complete: Any,
) -> None:
    expected = complete(name)
    server.script(Reply(data=split_into_bytes(recorded(f"{name}.sse"))))

    message = STREAMING_STYLES[style](model, "Hello!")

    assert get_fields(message) == expected


@pytest.mark.parametrize("name", STREAMS)
async def test_stream_can_be_split_anywhere(
    name: str,
    model: ChatCerebrasInference,
    server: Emulator,
    recorded: Recorded,
    complete: Any,
) -> None:
    expected = await asyncio.to_thread(complete, name)
    data = recorded(f"{name}.sse")
    positions = range(1, len(data), max(1, len(data) // SPLIT_COUNT))
    server.script(
        *(
            Reply(data=[data[:position], data[position:]], pace=PAUSE_BETWEEN_PARTS)
            for position in positions
        )
    )

    streams = [collect(model.astream("Hello!")) for _ in positions]
    messages = [add_chunks(chunks) for chunks in await asyncio.gather(*streams)]

    assert len(messages) >= SPLIT_COUNT
    assert [fields for fields in map(get_fields, messages) if fields != expected] == []


@pytest.mark.parametrize("style", STREAMING_STYLES)
@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_broken_stream_raises(
    name: str, byte_by_byte: bool, style: str, server: Emulator, recorded: Recorded
) -> None:
    data = recorded(f"{name}.sse")
    server.script(Reply(data=split_into_bytes(data) if byte_by_byte else data))
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, max_retries=0
    )

    with pytest.raises(CerebrasError) as caught:
        STREAMING_STYLES[style](model, "Hello!")

    assert type(caught.value) is BROKEN_STREAMS[name]
