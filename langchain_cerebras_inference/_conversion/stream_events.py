"""The events of one stream → LangChain's protocol events, without chunks between.

Each kind of content is one block: it starts when it is first heard of, and all finish
at the end. Core assembles the message from these events, and there is no lenient parser
on this way, so cut arguments need no tail here.
Source: https://docs.langchain.com/oss/python/langchain/streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_cerebras_inference._conversion import chunks, completion, content_blocks, deltas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import ToolCallChunk

    from langchain_cerebras_inference import _types


class EventReader(chunks.ChunkReader):
    """Turns the events of one stream into protocol events."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_started = False
        self._indices: dict[Any, int] = {}
        self._said: dict[str, list[str]] = {deltas.TEXT: [], deltas.REASONING: []}
        self._logprobs: list[deltas.Piece] = []

    def to_events(self, events: list[_types.Reply], *, with_chunks: bool = False) -> list[Any]:
        """Make the protocol events of some events; no events are the end.

        Args:
            events: The next ones, which are there together.
            with_chunks: Whether the chunk that says the same, which callbacks want to
                hear, comes before the protocol events of each piece.

        Raises:
            CerebrasProtocolError: If an event has values of other types than the wire's.
        """
        made: list[Any] = []
        if not self._is_started:
            self._is_started = True
            made.append(self._message_start(events))
        for piece in self.read(events):
            if with_chunks:
                made.append(chunks.to_chunk(*piece))
            made += self._of_piece(piece)
        if not events:
            made += [self._last_chunk()] if with_chunks else []
            made += self._ends()
        return made

    def _of_piece(self, piece: deltas.Piece) -> list[dict[str, Any]]:
        kind, value, logprobs = piece
        if logprobs:
            self._logprobs.append(piece)
        if kind is deltas.CALLS:
            return [event for each in value for event in self._of_fragment(each)]
        return self._of_text(kind, value) if value else []

    def _message_start(self, events: list[_types.Reply]) -> dict[str, Any]:
        metadata = {"provider": completion.PROVIDER}
        if events and isinstance(model := events[0].get("model"), str):
            metadata["model"] = model
        return {"event": "message-start", "role": "ai", "id": "", "metadata": metadata}

    def _of_text(self, kind: str, value: str) -> list[dict[str, Any]]:
        start = [] if kind in self._indices else [self._start(kind, {"type": kind, kind: ""})]
        self._said[kind].append(value)
        return [*start, _delta(self._indices[kind], {"type": f"{kind}-delta", kind: value})]

    def _of_fragment(self, fragment: ToolCallChunk) -> Iterator[dict[str, Any]]:
        slot = fragment["index"]
        if slot not in self._indices:
            index = f"{content_blocks.CALL_INDEX}{slot}"
            start = {**fragment, "type": "tool_call_chunk", "args": "", "index": index}
            yield self._start(slot, start)
        if fragment["args"]:
            delta = {"type": "tool-call-delta", "args": fragment["args"]}
            yield _delta(self._indices[slot], delta)

    def _start(self, key: Any, content: dict[str, Any]) -> dict[str, Any]:
        index = self._indices[key] = len(self._indices)
        return {"event": "content-block-start", "index": index, "content": content}

    def _ends(self) -> Iterator[dict[str, Any]]:
        for key, index in self._indices.items():
            content = self._call(key) if key not in self._said else self._block(key)
            yield {"event": "content-block-finish", "index": index, "content": content}
        finish: dict[str, Any] = {
            "event": "message-finish",
            "metadata": {**self.metadata(), **(deltas.sum_of_logprobs(self._logprobs) or {})},
        }
        if usage := self.usage():
            finish["usage"] = usage
        if reasoning := "".join(self._said[deltas.REASONING]):
            finish["additional_kwargs"] = {"reasoning_content": reasoning}
        yield finish

    def _block(self, kind: str) -> dict[str, Any]:
        return {
            "type": kind,
            kind: "".join(self._said[kind]),
            "index": content_blocks.INDEX[kind],
        }

    def _call(self, slot: int) -> dict[str, Any]:
        call = self.calls.all[slot]
        named = {"id": call.id, "name": self.calls.known_name(call)}
        args = self.arguments_of(call)
        if args is not None:
            return {"type": "tool_call", **named, "args": args}
        return {
            "type": "invalid_tool_call",
            **named,
            "args": call.arguments,
            "error": "The arguments are not whole.",
        }


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"event": "content-block-delta", "index": index, "delta": delta}
