"""Responses, events and messages for the tests of what comes from the server."""

import json
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_cerebras_inference import CerebrasError
from langchain_cerebras_inference._conversion.chunks import ChunkBuilder
from langchain_cerebras_inference._conversion.completion import convert_completion
from langchain_cerebras_inference._http.response import Response
from langchain_cerebras_inference._http.sse import SSEDecoder

COMPLETE_STREAMS = [
    "reasoning",
    "transition",
    "tool_fragments",
    "parallel_tools",
    "logprobs",
    "trailing_usage",
    "unicode",
]
"""Recordings in `data/` that exist as a stream and as a whole completion."""

ERROR_STREAMS = ["error_envelope", "error_flat", "error_named"]
LINE_ENDINGS = [b"\n", b"\r\n", b"\r"]


# --- responses -----------------------------------------------------------------------


class FakeResponse:
    """A response of the transport that records how the parser uses it.

    Args:
        parts: The parts in which the body arrives. Empty ones are skipped; errors are raised.
        status: The HTTP status.
        headers: The response headers.
    """

    def __init__(
        self,
        parts: Iterable[bytes | CerebrasError],
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.headers = {"x-request-id": "req-1", **(headers or {})}
        self.timeout_restarts: list[bool] = []
        self.time_limits: list[float] = []
        self.is_closed = False
        self._parts = iter(parts)

    async def read_available(self, *, restart_timeout: bool = False) -> bytes:
        self.timeout_restarts.append(restart_timeout)
        part = next((part for part in self._parts if part), b"")
        if isinstance(part, CerebrasError):
            raise part
        return part

    read = Response.read

    def limit_remaining_time(self, seconds: float) -> None:
        self.time_limits.append(seconds)

    def close(self) -> None:
        self.is_closed = True


# --- events --------------------------------------------------------------------------


def create_event(delta: Any = None, **choice_fields: Any) -> Any:
    """Return an event with one choice."""
    return {"model": "m", "choices": [{"index": 0, "delta": delta or {}, **choice_fields}]}


def create_tool_call_event(**fragment: Any) -> Any:
    """Return an event with one fragment of a tool call; name and arguments are optional."""
    function = {key: fragment.pop(key) for key in ("name", "arguments") if key in fragment}
    return create_event(
        {"tool_calls": [{"type": "function", "function": function, **fragment}]}
    )


def split_into_bytes(stream: bytes) -> list[bytes]:
    return [stream[position : position + 1] for position in range(len(stream))]


def decode_events(parts: Iterable[bytes]) -> list[Any]:
    """Return the events of a recorded stream."""
    decoder = SSEDecoder()
    payloads = [payload for part in parts for payload in decoder.feed(part)]
    return [json.loads(payload) for payload in payloads if payload != b"[DONE]"]


# --- messages ------------------------------------------------------------------------


def get_chunk_message(chunk: ChatGenerationChunk) -> AIMessageChunk:
    assert isinstance(chunk.message, AIMessageChunk)
    return chunk.message


def build_chunks(
    events: list[Any],
    tool_names: Mapping[str, str] | None = None,
    *,
    coalesce: bool = False,
    arrive_together: bool = False,
) -> list[AIMessageChunk]:
    """Return the chunks of a stream whose events arrive one by one, or all together."""
    builder = ChunkBuilder(tool_names or {}, coalesce=coalesce)
    batches = [events] if arrive_together else [[event] for event in events]
    chunks = [chunk for batch in [*batches, []] for chunk in builder.build_chunks(batch)]
    return [get_chunk_message(chunk) for chunk in chunks]


def join_chunks(events: list[Any], **options: Any) -> AIMessageChunk:
    """Return the sum of the chunks of a stream; the options are those of `build_chunks`."""
    return reduce(add, build_chunks(events, **options))


def convert_to_message(
    completion: Any, tool_names: Mapping[str, str] | None = None
) -> AIMessage:
    """Return the message of a whole completion with one choice."""
    [generation] = convert_completion(completion, tool_names or {}).generations
    assert isinstance(generation.message, AIMessage)
    return generation.message


def describe_message(message: AIMessage) -> dict[str, Any]:
    """Return the contents of a message in a form that messages and chunks share."""
    return {
        "content": message.content,
        "additional_kwargs": message.additional_kwargs,
        "tool_calls": message.tool_calls,
        "invalid_tool_calls": message.invalid_tool_calls,
        "usage_metadata": message.usage_metadata,
        "response_metadata": message.response_metadata,
    }
