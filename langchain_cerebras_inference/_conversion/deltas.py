"""The deltas of one stream: what each event adds to the completion.

A delta is some reasoning, some text, or a list of tool call chunks. Both forms of a LangChain
stream are built from deltas: message chunks, and protocol events (version 3).
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_cerebras_inference._conversion import (
    completion,
    think_tags,
    tool_arguments,
    type_checks,
)
from langchain_cerebras_inference._conversion.tool_call_deltas import (
    ToolCallAccumulator,
    ToolCallState,
    merge_tool_call_chunks,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages.ai import UsageMetadata

    from langchain_cerebras_inference._conversion.tools import ToolNames
    from langchain_cerebras_inference._types import StreamEvent

# The kinds of a delta. They are constants, so that they can be compared with `is`.
TEXT, REASONING, TOOL_CALLS = think_tags.TEXT, think_tags.REASONING, "tool_calls"

Delta: TypeAlias = tuple[str, Any, dict[str, Any] | None]
"""A delta as (kind, value, logprobs). It is a plain tuple, because a stream has thousands.

- kind: `TEXT`, `REASONING` or `TOOL_CALLS`.
- value: A string; for `TOOL_CALLS`, a list of LangChain's `ToolCallChunk`.
- logprobs: The log probabilities by field name (`logprobs`, `reasoning_logprobs`), or `None`.
"""


class DeltaParser:
    """Parses the events of one stream, in their order, into deltas.

    Args:
        tool_names: Maps tool names in the request to the original names.
        headers: The response headers, if the metadata should contain them.
        coalesce: Whether to merge adjacent text or reasoning that has arrived together into
            one delta. No delta is delayed for this.
        call_metadata: Additional metadata about the call.
    """

    def __init__(
        self,
        tool_names: ToolNames,
        headers: Mapping[str, str] | None = None,
        *,
        coalesce: bool = False,
        call_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._tool_names = tool_names
        self._tool_calls: ToolCallAccumulator | None = None
        self._headers = headers
        self._coalesce = coalesce
        self._call_metadata = call_metadata
        self._completion_fields: dict[str, Any] = {}
        self._finish_reason: str | None = None
        self._has_reasoning = False
        self._is_before_text = True
        self._think_tag_parser: think_tags.ThinkTagParser | None = None

    def parse_deltas(self, events: list[StreamEvent]) -> list[Delta]:
        """Parse events that have arrived together.

        Raises:
            CerebrasProtocolError: If an event has a value of the wrong type.
        """
        deltas: list[Delta] = []
        for event in events:
            if choices := event["choices"]:
                choice: Mapping[str, Any] = choices[0]
                event_deltas = self._split_fields(choice.get("delta") or {})
                if finish_reason := choice.get("finish_reason"):
                    event_deltas += self._parse_finish_reason(finish_reason)
                if choice.get("logprobs") or choice.get("reasoning_logprobs"):
                    event_deltas = _attach_logprobs(event_deltas, choice)
                deltas += event_deltas
            # The metadata fields are the same in all events, except for these two.
            if not self._completion_fields or "usage" in event or "time_info" in event:
                self._completion_fields.update(event)
        if self._coalesce or self._tool_calls is not None:
            deltas = _merge_adjacent_deltas(deltas, merge_text=self._coalesce)
        return deltas

    @property
    def tool_calls(self) -> list[ToolCallState]:
        """The tool calls, as far as they have arrived."""
        return self._tool_calls.calls if self._tool_calls is not None else []

    def get_usage(self) -> UsageMetadata | None:
        """Return the usage of the completion."""
        return completion.convert_usage(self._completion_fields.get("usage"))

    def get_metadata(self) -> dict[str, Any]:
        """Return the metadata of the completion."""
        metadata = completion.convert_metadata(
            self._completion_fields, self._headers, self._call_metadata
        )
        # `convert_finish_reason` needs `has_tool_calls` only for "stop". Parsing takes time, so
        # it is skipped otherwise.
        has_tool_calls = self._finish_reason == "stop" and any(
            self.parse_arguments(call) is not None for call in self.tool_calls
        )
        # The finish reason is the first key, as in the metadata of a whole completion, where
        # langchain-core inserts it from the generation info.
        finish_metadata = completion.convert_finish_reason(
            self._finish_reason, has_tool_calls=has_tool_calls
        )
        return finish_metadata | metadata

    def parse_arguments(self, tool_call: ToolCallState) -> dict[str, Any] | None:
        """Return the tool arguments of a call, or `None` if they are truncated or invalid."""
        return tool_arguments.parse_arguments(tool_call.arguments, self._finish_reason)

    def _split_fields(self, fields: Mapping[str, Any]) -> list[Delta]:
        """Split the `delta` object of an event into deltas, one for each kind."""
        deltas: list[Delta] = []
        reasoning = fields.get("reasoning")
        if not reasoning and "reasoning_content" in fields:  # as some gateways send it
            reasoning = fields["reasoning_content"]
        if reasoning:
            if type(reasoning) is not str:
                raise type_checks.create_type_error("reasoning", reasoning, "a string")
            self._has_reasoning = True
            deltas.append((REASONING, reasoning, None))
        if content := fields.get("content"):
            if self._is_before_text:
                deltas += self._parse_first_content(content)
            elif type(content) is str:
                deltas.append((TEXT, content, None))
            else:
                raise type_checks.create_type_error("content", content, "a string")
        if fragments := fields.get("tool_calls"):
            deltas += self._parse_tool_calls(fragments)
        return deltas

    def _parse_first_content(self, content: Any) -> list[Delta]:
        """Parse content before the first text; it may begin with reasoning in think tags."""
        if type(content) is not str:
            raise type_checks.create_type_error("content", content, "a string")
        if self._think_tag_parser is None and content.lstrip()[:1] in ("", "<"):
            self._think_tag_parser = think_tags.ThinkTagParser()
        if self._think_tag_parser is None:
            self._is_before_text = False
            return [(TEXT, content, None)]
        if self._has_reasoning:
            # A model with a field for reasoning sends no think tags, so what looks like a tag
            # is text.
            parts = [*self._think_tag_parser.close(), (TEXT, content)]
        else:
            parts = self._think_tag_parser.feed(content)
        if any(kind is TEXT for kind, _ in parts):
            self._is_before_text = False
        return [(kind, part, None) for kind, part in parts]

    def _parse_tool_calls(self, fragments: Any) -> list[Delta]:
        if self._tool_calls is None:
            self._tool_calls = ToolCallAccumulator(self._tool_names)
        chunks = [
            chunk
            for fragment in type_checks.check_list("tool_calls", fragments)
            if (chunk := self._tool_calls.add(fragment)) is not None
        ]
        return [(TOOL_CALLS, chunks, None)] if chunks else []

    def _parse_finish_reason(self, finish_reason: Any) -> list[Delta]:
        """Store the finish reason; return what has been held back.

        That is text or reasoning that looked like part of a tag, and tool arguments.
        Log a warning if the completion stopped at the token limit without text and tool calls.
        """
        type_checks.check_string("finish_reason", finish_reason)
        parts = []
        if self._is_before_text:
            parts = self._think_tag_parser.close() if self._think_tag_parser else []
            has_text = any(kind is TEXT for kind, _ in parts)
            if self._finish_reason is None and not (has_text or self.tool_calls):
                completion.warn_if_stopped_by_token_limit(finish_reason)
        self._finish_reason = finish_reason
        deltas: list[Delta] = [(kind, part, None) for kind, part in parts]
        if self._tool_calls is not None and (chunks := self._tool_calls.close()):
            deltas.append((TOOL_CALLS, chunks, None))
        return deltas


def _attach_logprobs(deltas: list[Delta], choice: Mapping[str, Any]) -> list[Delta]:
    """Return the deltas of one event, the last one with the event's log probabilities."""
    logprobs = completion.get_logprobs(choice)
    # The token that ends the completion has log probabilities, but no text.
    *others, (kind, value, _) = deltas or [(TEXT, "", None)]
    return [*others, (kind, value, logprobs)]


def _merge_adjacent_deltas(deltas: list[Delta], *, merge_text: bool) -> list[Delta]:
    """Merge adjacent deltas of the same kind.

    Tool call chunks are always merged, because langchain-core parses all arguments of a call
    again with each chunk (quadratic time).

    Args:
        deltas: The deltas of events that have arrived together.
        merge_text: Whether to merge deltas of text and of reasoning, too.
    """
    merged: list[Delta] = []
    for kind, group in groupby(deltas, key=itemgetter(0)):
        adjacent = list(group)
        if kind is TOOL_CALLS:
            chunks = [chunk for _, value, _ in adjacent for chunk in value]
            merged.append((kind, merge_tool_call_chunks(chunks), merge_logprobs(adjacent)))
        elif len(adjacent) == 1 or not merge_text:
            merged += adjacent
        else:
            text = "".join([value for _, value, _ in adjacent])
            merged.append((kind, text, merge_logprobs(adjacent)))
    return merged


def merge_logprobs(deltas: list[Delta]) -> dict[str, Any] | None:
    """Return the log probabilities of several deltas in one dict."""
    merged: dict[str, Any] = {}
    for _, _, logprobs in deltas:
        for name, value in (logprobs or {}).items():
            field = merged.setdefault(name, {**value, "content": []})
            field["content"] += value.get("content") or []
    return merged or None
