"""The protocol events of one stream: LangChain's streaming protocol, version 3.

Each kind of content is one block. It starts when its first delta arrives, and all blocks
finish at the end. langchain-core assembles the message from these events without parsing
tool arguments again, so truncated arguments need no suffix here.
Source: https://docs.langchain.com/oss/python/langchain/streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_cerebras_inference._conversion import chunks, content_blocks, deltas
from langchain_cerebras_inference._conversion.completion import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import ToolCallChunk

    from langchain_cerebras_inference._types import StreamEvent


class ProtocolEventBuilder(chunks.ChunkBuilder):
    """Builds the protocol events of one stream from its events."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_started = False
        self._block_indices: dict[str | int, int] = {}
        self._texts: dict[str, list[str]] = {deltas.TEXT: [], deltas.REASONING: []}
        self._deltas_with_logprobs: list[deltas.Delta] = []

    def build_protocol_events(
        self, events: list[StreamEvent], *, with_chunks: bool = False
    ) -> list[Any]:
        """Build the protocol events for events that have arrived together.

        Args:
            events: The next events; an empty list is the end of the stream.
            with_chunks: Whether to put an equivalent chunk, which callbacks expect, before
                the protocol events of each delta.

        Raises:
            CerebrasProtocolError: If an event has a value of the wrong type.
        """
        built: list[Any] = []
        if not self._is_started:
            self._is_started = True
            built.append(_start_message(events))
        for delta in self.read_deltas(events):
            if with_chunks:
                built += chunks.convert_deltas([delta])
            built += self._convert_delta(delta)
        if not events:
            self.is_complete = True
            if with_chunks:
                built.append(self.build_last_chunk())
            built += self._finish_blocks()
            built.append(self._finish_message())
        return built

    def _convert_delta(self, delta: deltas.Delta) -> list[dict[str, Any]]:
        kind, value, logprobs = delta
        if logprobs:
            self._deltas_with_logprobs.append(delta)
        if kind is deltas.TOOL_CALLS:
            return [event for fragment in value for event in self._convert_fragment(fragment)]
        return self._convert_text(kind, value) if value else []

    def _convert_text(self, kind: str, text: str) -> list[dict[str, Any]]:
        events = []
        if kind not in self._block_indices:
            events.append(self._start_block(kind, {"type": kind, kind: ""}))
        self._texts[kind].append(text)
        delta = {"type": f"{kind}-delta", kind: text}
        events.append(_create_block_delta(self._block_indices[kind], delta))
        return events

    def _convert_fragment(self, fragment: ToolCallChunk) -> Iterator[dict[str, Any]]:
        call_index = fragment["index"] or 0
        if call_index not in self._block_indices:
            block = {
                **fragment,
                "type": "tool_call_chunk",
                "args": "",
                "index": f"{content_blocks.TOOL_CALL_INDEX_PREFIX}{call_index}",
            }
            yield self._start_block(call_index, block)
        if fragment["args"]:
            delta = {"type": "tool-call-delta", "args": fragment["args"]}
            yield _create_block_delta(self._block_indices[call_index], delta)

    def _start_block(self, key: str | int, content: dict[str, Any]) -> dict[str, Any]:
        index = self._block_indices[key] = len(self._block_indices)
        return {"event": "content-block-start", "index": index, "content": content}

    def _finish_blocks(self) -> Iterator[dict[str, Any]]:
        for key, index in self._block_indices.items():
            content = self._get_text_block(key) if isinstance(key, str) else self._get_call(key)
            yield {"event": "content-block-finish", "index": index, "content": content}

    def _finish_message(self) -> dict[str, Any]:
        logprobs = deltas.join_logprobs(self._deltas_with_logprobs) or {}
        event: dict[str, Any] = {
            "event": "message-finish",
            "metadata": {**self.get_metadata(), **logprobs},
        }
        if usage := self.get_usage():
            event["usage"] = usage
        if reasoning := "".join(self._texts[deltas.REASONING]):
            event["additional_kwargs"] = {"reasoning_content": reasoning}
        return event

    def _get_text_block(self, kind: str) -> dict[str, Any]:
        text = "".join(self._texts[kind])
        return {"type": kind, kind: text, "index": content_blocks.TEXT_INDICES[kind]}

    def _get_call(self, call_index: int) -> dict[str, Any]:
        call = self.tool_calls[call_index]
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


def _start_message(events: list[StreamEvent]) -> dict[str, Any]:
    metadata = {"provider": PROVIDER}
    if events and isinstance(model := events[0].get("model"), str):
        metadata["model"] = model
    return {"event": "message-start", "role": "ai", "id": "", "metadata": metadata}


def _create_block_delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"event": "content-block-delta", "index": index, "delta": delta}
