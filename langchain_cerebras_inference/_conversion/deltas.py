"""The deltas of one stream: what each event adds to the completion.

A delta is a piece of reasoning, a piece of text, or fragments of tool calls. Both forms of a
LangChain stream are made from deltas: message chunks, and protocol events (version 3).
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
    merge_fragments,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages.ai import UsageMetadata

    from langchain_cerebras_inference._conversion.tools import ToolNames
    from langchain_cerebras_inference._types import StreamEvent

# The kinds of a delta. They are constants, so that they can be compared with `is`.
TEXT, REASONING, TOOL_CALLS = think_tags.TEXT, think_tags.REASONING, "tool_calls"

Delta: TypeAlias = tuple[str, Any, dict[str, Any] | None]
"""The kind, the text or the list of fragments, and the log probabilities."""

_LOGPROBS_FIELDS = ("logprobs", "reasoning_logprobs")


class DeltaReader:
    """Reads the events of one stream in their order.

    Attributes:
        is_complete: Whether the end of the stream has been read.

    Args:
        tool_names: The user's names of tools by the names that were sent to the server.
        headers: The response headers, if the metadata shall contain them.
        coalesce: Whether to join neighbouring deltas of the same kind.
        call_metadata: Facts about the call that the metadata shall contain.
    """

    def __init__(
        self,
        tool_names: ToolNames,
        headers: Mapping[str, str] | None = None,
        *,
        coalesce: bool = False,
        call_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.is_complete = False
        self._tool_names = tool_names
        self._tool_calls: ToolCallAccumulator | None = None
        self._headers = headers
        self._coalesce = coalesce
        self._call_metadata = call_metadata
        self._completion_fields: dict[str, Any] = {}
        self._finish_reason: str | None = None
        self._has_reasoning = False
        self._is_before_text = True
        self._think_tags: think_tags.ThinkTagParser | None = None

    def read_deltas(self, events: list[StreamEvent]) -> list[Delta]:
        """Read events that have arrived together.

        Raises:
            CerebrasProtocolError: If an event has a value of the wrong type.
        """
        deltas: list[Delta] = []
        for event in events:
            if event["choices"]:
                self._read_choice(event["choices"][0], deltas)
            if not self._completion_fields or "usage" in event or "time_info" in event:
                self._completion_fields.update(event)
        if self._coalesce or self._tool_calls is not None:
            deltas = _join_neighbours(deltas, join_texts=self._coalesce)
        return deltas

    @property
    def tool_calls(self) -> list[ToolCallState]:
        """What has arrived of the tool calls."""
        return self._tool_calls.calls if self._tool_calls is not None else []

    def get_usage(self) -> UsageMetadata | None:
        """Return the usage of the completion."""
        return completion.convert_usage(self._completion_fields.get("usage"))

    def get_metadata(self) -> dict[str, Any]:
        """Return the metadata of the completion."""
        metadata = completion.convert_metadata(
            self._completion_fields, self._headers, self._call_metadata
        )
        return {**metadata, "finish_reason": self._finish_reason}

    def parse_arguments(self, call: ToolCallState) -> dict[str, Any] | None:
        """Return the arguments of a call, or `None` if they are incomplete."""
        return tool_arguments.parse_arguments(call.arguments, self._finish_reason)

    def _read_choice(self, choice: Any, deltas: list[Delta]) -> None:
        delta = choice.get("delta") or {}
        count_before = len(deltas)
        if reasoning := delta.get("reasoning"):
            if type(reasoning) is not str:
                raise type_checks.create_type_error("reasoning", reasoning, "text")
            self._has_reasoning = True
            deltas.append((REASONING, reasoning, None))
        if content := delta.get("content"):
            if self._is_before_text:
                self._read_first_content(content, deltas)
            elif type(content) is str:
                deltas.append((TEXT, content, None))
            else:
                raise type_checks.create_type_error("content", content, "text")
        if fragments := delta.get("tool_calls"):
            self._read_tool_calls(fragments, deltas)
        if (
            choice.get("finish_reason")
            or choice.get("logprobs")
            or choice.get("reasoning_logprobs")
        ):
            self._read_other_fields(choice, deltas, count_before)

    def _read_first_content(self, content: Any, deltas: list[Delta]) -> None:
        """Read content before the first text; it may begin with reasoning in think tags."""
        if type(content) is not str:
            raise type_checks.create_type_error("content", content, "text")
        if self._think_tags is None and content.lstrip()[:1] in ("", "<"):
            self._think_tags = think_tags.ThinkTagParser()
        if self._think_tags is None:
            parts = [(TEXT, content)]
        elif self._has_reasoning:  # the model has a field for reasoning
            parts = [*self._think_tags.close(), (TEXT, content)]
        else:
            parts = self._think_tags.feed(content)
        for kind, part in parts:
            deltas.append((kind, part, None))
            if kind is TEXT:
                self._is_before_text = False

    def _read_other_fields(
        self, choice: Mapping[str, Any], deltas: list[Delta], count_before: int
    ) -> None:
        """Read the finish reason and the log probabilities."""
        if finish_reason := choice.get("finish_reason"):
            self._read_finish_reason(finish_reason, deltas)
        if logprobs := _get_logprobs(choice):
            # The token that ends the completion has log probabilities, but no text.
            has_delta = len(deltas) > count_before
            kind, value, _ = deltas.pop() if has_delta else (TEXT, "", None)
            deltas.append((kind, value, logprobs))

    def _read_tool_calls(self, fragments: Any, deltas: list[Delta]) -> None:
        if self._tool_calls is None:
            self._tool_calls = ToolCallAccumulator(self._tool_names)
        added = [
            addition
            for fragment in type_checks.check_list("tool_calls", fragments)
            if (addition := self._tool_calls.add(fragment)) is not None
        ]
        if added:
            deltas.append((TOOL_CALLS, added, None))

    def _read_finish_reason(self, finish_reason: Any, deltas: list[Delta]) -> None:
        type_checks.check_text("finish_reason", finish_reason)
        if self._is_before_text:
            parts = self._think_tags.close() if self._think_tags else []
            deltas += [(kind, part, None) for kind, part in parts]
            has_output = self.tool_calls or TEXT in dict(parts)
            if not has_output and self._finish_reason is None:
                completion.warn_if_cut_by_token_limit(finish_reason)
        self._finish_reason = finish_reason


def _join_neighbours(deltas: list[Delta], *, join_texts: bool) -> list[Delta]:
    """Join neighbouring deltas of the same kind; those of tool calls in any case.

    langchain-core parses the arguments of a tool call at each chunk, so that a thousand
    small chunks cost it a million steps.
    """
    joined: list[Delta] = []
    for kind, group in groupby(deltas, key=itemgetter(0)):
        run = list(group)
        if kind is TOOL_CALLS:
            fragments = [fragment for _, value, _ in run for fragment in value]
            joined.append((kind, merge_fragments(fragments), join_logprobs(run)))
        elif len(run) == 1 or not join_texts:
            joined += run
        else:
            text = "".join([value for _, value, _ in run])
            joined.append((kind, text, join_logprobs(run)))
    return joined


def join_logprobs(deltas: list[Delta]) -> dict[str, Any] | None:
    """Return the log probabilities of several deltas in one dict."""
    joined: dict[str, Any] = {}
    for _, _, logprobs in deltas:
        for name, value in (logprobs or {}).items():
            field = joined.setdefault(name, {**value, "content": []})
            field["content"] += value.get("content") or []
    return joined or None


def _get_logprobs(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: type_checks.check_logprobs(name, choice[name])
        for name in _LOGPROBS_FIELDS
        if choice.get(name)
    }
