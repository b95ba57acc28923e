"""The events of one stream → what they add: reasoning, text, fragments of tool calls.

Both faces of a stream are made of this: LangChain's chunks and its protocol events.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_cerebras_inference._conversion import (
    completion,
    think_tags,
    tool_call_deltas,
    type_checks,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages.ai import UsageMetadata

    from langchain_cerebras_inference import _types
    from langchain_cerebras_inference._conversion.tools import ToolNames

TEXT, REASONING, CALLS = think_tags.TEXT, think_tags.REASONING, "calls"

Piece: TypeAlias = tuple[str, Any, dict[str, Any] | None]
"""What was added: its kind, the text or the fragments, their log probabilities."""


class DeltaReader:
    """Reads the events of one stream, in their order.

    Args:
        names: Tool names as sent → as the user knows them.
        headers: The answer's headers, if they are wanted in the metadata.
        coalesce: Whether what arrived together is joined, each kind for itself.
    """

    def __init__(
        self,
        names: ToolNames,
        headers: Mapping[str, str] | None = None,
        *,
        coalesce: bool = False,
    ) -> None:
        self.calls = tool_call_deltas.OpenCalls(names)
        self._headers = headers
        self._coalesce = coalesce
        self._reply: dict[str, Any] = {}
        self._finish_reason: str | None = None
        self._opening: think_tags.Opening | None = think_tags.Opening()
        self._has_reasoned = False

    def read(self, events: list[_types.Reply]) -> list[Piece]:
        """Read the next events, which are there together; no events are the end.

        Raises:
            CerebrasProtocolError: If one has values of other types than the wire's.
        """
        pieces: list[Piece] = []
        with type_checks.Reading():
            for event in events:
                if event["choices"]:
                    self._read_choice(event["choices"][0], pieces)
                if not self._reply or "usage" in event or "time_info" in event:
                    self._reply.update(event)
            if not events and (fragments := self.calls.rest()):
                pieces.append((CALLS, fragments, None))
            if self._coalesce or self.calls.all:
                pieces = _joined(pieces, join_all=self._coalesce)
        return pieces

    def usage(self) -> UsageMetadata | None:
        """The usage of the whole answer."""
        with type_checks.Reading():
            return usage.to_usage(self._reply.get("usage"))

    def metadata(self) -> dict[str, Any]:
        """The metadata of the whole answer."""
        with type_checks.Reading():
            metadata = completion.to_metadata(self._reply, self._headers)
        return {**metadata, "finish_reason": self._finish_reason}

    def arguments_of(self, call: tool_call_deltas.OpenCall) -> dict[str, Any] | None:
        """A call's arguments; `None` where they did not come to their end."""
        return completion.to_arguments(call.arguments, self._finish_reason)

    def _read_choice(self, choice: _types.Choice, pieces: list[Piece]) -> None:
        delta = choice.get("delta") or {}
        before = len(pieces)
        if reasoning := delta.get("reasoning"):
            self._has_reasoned = True
            pieces.append((REASONING, type_checks.text(reasoning), None))
        if content := delta.get("content"):
            if self._opening:
                pieces += self._read_opening(self._opening, type_checks.text(content))
            else:
                pieces.append((TEXT, type_checks.text(content), None))
        if given := delta.get("tool_calls"):
            fragments = [each for fragment in given for each in self.calls.read(fragment)]
            if fragments:
                pieces.append((CALLS, fragments, None))
        if finish_reason := choice.get("finish_reason"):
            pieces += self._read_finish(type_checks.text(finish_reason))
        if choice.get("logprobs") or choice.get("reasoning_logprobs"):
            # The end of the sequence has one and no text.
            kind, value, _ = pieces.pop() if len(pieces) > before else (TEXT, "", None)
            pieces.append((kind, value, _logprobs_of(choice)))

    def _read_opening(self, opening: think_tags.Opening, content: str) -> list[Piece]:
        """Content before the first text: without a field, it may begin with thoughts."""
        if self._has_reasoned:
            said = [*opening.rest(), (TEXT, content)]
        else:
            said = opening.read(content)
        if any(kind is TEXT for kind, _ in said):
            self._opening = None
        return [(kind, value, None) for kind, value in said]

    def _read_finish(self, finish_reason: str) -> list[Piece]:
        """The end; an answer that came to it without a word is explained once."""
        rest = self._opening.rest() if self._opening else []
        is_silent = self._opening and not self.calls.all and TEXT not in dict(rest)
        if is_silent and self._finish_reason is None:
            completion.explain_silence(finish_reason)
        self._finish_reason = finish_reason
        return [(kind, value, None) for kind, value in rest]


def _joined(pieces: list[Piece], *, join_all: bool) -> list[Piece]:
    """Join neighbours of one kind: fragments of calls always, the rest if asked to.

    Core parses a call's arguments again at every merge, so that a thousand fragments
    cost it a million steps.
    """
    joined: list[Piece] = []
    for kind, run in groupby(pieces, key=itemgetter(0)):
        same = list(run)
        if kind is CALLS:
            fragments = [fragment for _, value, _ in same for fragment in value]
            joined.append((kind, tool_call_deltas.merged(fragments), sum_of_logprobs(same)))
        elif len(same) == 1 or not join_all:
            joined += same
        else:
            text = "".join([value for _, value, _ in same])
            joined.append((kind, text, sum_of_logprobs(same)))
    return joined


def _logprobs_of(choice: _types.Choice) -> dict[str, Any]:
    return {
        name: type_checks.logprobs(value)
        for name, value in choice.items()
        if name in {"logprobs", "reasoning_logprobs"} and value
    }


def sum_of_logprobs(pieces: list[Piece]) -> dict[str, Any] | None:
    """The log probabilities of several pieces, in one."""
    total: dict[str, Any] = {}
    for logprobs in filter(None, map(itemgetter(2), pieces)):
        for name, value in logprobs.items():
            known = total.setdefault(name, {**value, "content": []})
            known["content"] += value.get("content") or []
    return total or None
