"""The protocol events of one stream: LangChain's streaming protocol, version 3.

The reasoning, the text and each tool call are one block each. A block starts when its first
delta arrives, and all blocks finish at the end. langchain-core assembles the message from
protocol events without parsing tool arguments again, so truncated arguments need no marker
here.
Source: https://docs.langchain.com/oss/python/langchain/streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_cerebras_inference._conversion import (
    chunks,
    completion,
    content_blocks,
    deltas,
)
from langchain_cerebras_inference._conversion.completion import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import ToolCallChunk

    from langchain_cerebras_inference._conversion.tool_call_deltas import ToolCallState
    from langchain_cerebras_inference._types import StreamEvent


class ProtocolEventBuilder(chunks.ChunkBuilder):
    """Builds the protocol events of one stream from the server's events."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_started = False
        # The keys are `TEXT`, `REASONING`, or the index of a tool call.
        self._block_indices: dict[str | int, int] = {}
        self._parts_by_kind: dict[str, list[str]] = {deltas.TEXT: [], deltas.REASONING: []}
        self._deltas_with_logprobs: list[deltas.Delta] = []

    def build_protocol_events(
        self, events: list[StreamEvent], *, with_chunks: bool = False
    ) -> list[Any]:
        """Build the protocol events for events that have arrived together.

        Args:
            events: The next events of the server. An empty list is the end of the stream.
            with_chunks: Whether to put an equivalent chunk, which callbacks expect, before
                the protocol events of each delta.

        Returns:
            Protocol events, which are dicts, and between them the chunks, which are
            `ChatGenerationChunk`s. They are in one list, because the order matters.

        Raises:
            CerebrasProtocolError: If an event has a value of the wrong type.
        """
        items: list[Any] = []
        if not self._is_started:
            self._is_started = True
            items.append(_build_message_start(events))
        for delta in self.parse_deltas(events):
            if with_chunks:
                items += chunks.convert_deltas([delta])
            items += self._convert_delta(delta)
        if not events:
            self.is_complete = True
            if with_chunks:
                items.append(self.build_last_chunk())
            items += self._build_block_finishes()
            items += self._build_refusal()
            items.append(self._build_message_finish())
        return items

    def _convert_delta(self, delta: deltas.Delta) -> list[dict[str, Any]]:
        kind, value, logprobs = delta
        if logprobs:
            self._deltas_with_logprobs.append(delta)
        if kind is deltas.TOOL_CALLS:
            return [event for call in value for event in self._convert_tool_call_chunk(call)]
        return self._convert_text_or_reasoning(kind, value) if value else []

    def _convert_text_or_reasoning(self, kind: str, text: str) -> list[dict[str, Any]]:
        protocol_events = []
        if kind not in self._block_indices:
            protocol_events.append(self._build_block_start(kind, {"type": kind, kind: ""}))
        self._parts_by_kind[kind].append(text)
        delta = {"type": f"{kind}-delta", kind: text}
        protocol_events.append(_build_block_delta(self._block_indices[kind], delta))
        return protocol_events

    def _convert_tool_call_chunk(
        self, tool_call_chunk: ToolCallChunk
    ) -> Iterator[dict[str, Any]]:
        call_index = tool_call_chunk["index"] or 0
        if call_index not in self._block_indices:
            block = {
                **tool_call_chunk,
                "type": "tool_call_chunk",
                "args": "",
                "index": f"{content_blocks.TOOL_CALL_INDEX_PREFIX}{call_index}",
            }
            yield self._build_block_start(call_index, block)
        if tool_call_chunk["args"]:
            delta = {"type": "tool-call-delta", "args": tool_call_chunk["args"]}
            yield _build_block_delta(self._block_indices[call_index], delta)

    def _build_block_start(self, key: str | int, content: dict[str, Any]) -> dict[str, Any]:
        """Build the first event of a block, which gets the next free index."""
        index = self._block_indices[key] = len(self._block_indices)
        return {"event": "content-block-start", "index": index, "content": content}

    def _build_block_finishes(self) -> Iterator[dict[str, Any]]:
        for key, index in self._block_indices.items():
            if isinstance(key, str):
                content = self._build_text_or_reasoning_block(key)
            else:
                content = self._build_tool_call_block(self.tool_calls[key])
            yield {"event": "content-block-finish", "index": index, "content": content}

    def _build_refusal(self) -> Iterator[dict[str, Any]]:
        index = len(self._block_indices)
        for block in content_blocks.create_refusal_blocks(self._finish_reason):
            yield {"event": "content-block-start", "index": index, "content": block}
            yield {"event": "content-block-finish", "index": index, "content": block}

    def _build_message_finish(self) -> dict[str, Any]:
        logprobs = deltas.merge_logprobs(self._deltas_with_logprobs) or {}
        metadata = self.get_metadata()
        protocol_event: dict[str, Any] = {
            "event": "message-finish",
            **completion.get_finish_event_fields(metadata),
            "metadata": {**metadata, **logprobs},
        }
        if usage := self.get_usage():
            protocol_event["usage"] = usage
        if reasoning := "".join(self._parts_by_kind[deltas.REASONING]):
            protocol_event["additional_kwargs"] = {"reasoning_content": reasoning}
        return protocol_event

    def _build_text_or_reasoning_block(self, kind: str) -> dict[str, Any]:
        text = "".join(self._parts_by_kind[kind])
        return {"type": kind, kind: text, "index": content_blocks.TEXT_INDICES[kind]}

    def _build_tool_call_block(self, call: ToolCallState) -> dict[str, Any]:
        arguments = self.parse_arguments(call)
        if arguments is not None:
            return {"type": "tool_call", "id": call.id, "name": call.name, "args": arguments}
        return {
            "type": "invalid_tool_call",
            "id": call.id,
            "name": call.name,
            "args": call.arguments,
            "error": "The arguments are not a complete JSON object.",
        }


def _build_message_start(events: list[StreamEvent]) -> dict[str, Any]:
    metadata = {"provider": PROVIDER}
    if events and isinstance(model := events[0].get("model"), str):
        metadata["model"] = model
    return {"event": "message-start", "role": "ai", "id": "", "metadata": metadata}


def _build_block_delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"event": "content-block-delta", "index": index, "delta": delta}
