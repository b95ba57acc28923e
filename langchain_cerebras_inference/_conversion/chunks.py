"""The events of one stream → chunks.

A chunk holds reasoning, text or tool calls, never two of them, because core's bridge to
stream events splits what is mixed. What belongs to the answer as a whole is in the last
chunk alone, because core adds up what it finds twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_cerebras_inference._conversion import (
    completion,
    construct,
    deltas,
    tool_arguments,
)

if TYPE_CHECKING:
    from langchain_core.messages import ToolCallChunk

    from langchain_cerebras_inference import _types


class ChunkReader(deltas.DeltaReader):
    """Turns the events of one stream into chunks, and its end into the last one."""

    def to_chunks(self, events: list[_types.Reply]) -> list[ChatGenerationChunk]:
        """Make the chunks of some events, in their order; no events are the end.

        Raises:
            CerebrasProtocolError: If an event has values of other types than the wire's.
        """
        chunks = [to_chunk(*piece) for piece in self.read(events)]
        return chunks if events else [*chunks, self._last_chunk()]

    def _last_chunk(self) -> ChatGenerationChunk:
        """The chunk that ends a stream: usage, metadata, the tails of cut calls."""
        metadata = self.metadata()
        message = AIMessageChunk(
            content="",
            tool_call_chunks=self._tails(),
            usage_metadata=self.usage(),
            response_metadata=metadata,
            chunk_position="last",
        )
        info = {"finish_reason": metadata["finish_reason"]}
        return ChatGenerationChunk(message=message, generation_info=info)

    def _tails(self) -> list[ToolCallChunk]:
        """What makes cut calls invalid, which core would mend into shorter ones."""
        return [
            tool_call_chunk(
                name=None,
                args=tool_arguments.tail_for(call.arguments),
                id=None,
                index=call.slot,
            )
            for call in self.calls.all
            if self.arguments_of(call) is None
        ]


def to_chunk(kind: str, value: Any, logprobs: dict[str, Any] | None) -> ChatGenerationChunk:
    """Make the chunk of one piece."""
    if kind is deltas.TEXT:
        chunk = construct.chunk(value, {})
    elif kind is deltas.REASONING:
        chunk = construct.chunk("", {"reasoning_content": value})
    else:
        chunk = fragments_chunk(value)
    if logprobs:
        chunk.message.response_metadata.update(logprobs)
    return chunk


def fragments_chunk(fragments: list[ToolCallChunk]) -> ChatGenerationChunk:
    """Make the chunk of some fragments of tool calls.

    Core tries to read each as a whole call, again without its last character until it
    can. What does not begin an object never becomes one, so that it need not try.
    """
    if any((each["args"] or "").lstrip()[:1] in {"", "{"} for each in fragments):
        message = AIMessageChunk(
            content="",
            tool_call_chunks=fragments,
            response_metadata={"model_provider": completion.PROVIDER},
        )
        return ChatGenerationChunk(message=message)
    chunk = construct.chunk("", {})
    chunk.message.model_fields_set.discard("additional_kwargs")
    message = cast("AIMessageChunk", chunk.message)
    message.tool_calls = []
    message.tool_call_chunks = fragments
    message.invalid_tool_calls = [
        invalid_tool_call(name=each["name"], args=each["args"], id=each["id"], error=None)
        for each in fragments
    ]
    return chunk
