"""Fragments of tool calls → which call each is of, and what it adds.

Cerebras gives each call an index, and its first fragment an id. Other servers that speak
this protocol leave out either, or give it to several calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages.tool import tool_call_chunk

from langchain_cerebras_inference._conversion import completion, tool_arguments, type_checks

if TYPE_CHECKING:
    from langchain_core.messages import ToolCallChunk

    from langchain_cerebras_inference import _types
    from langchain_cerebras_inference._conversion.tools import ToolNames


class OpenCall:
    """A tool call whose arguments are still arriving.

    The server's own id for it may come late, or be another call's too.
    """

    def __init__(self, slot: int, id_: str) -> None:
        self.slot = slot
        self.id = id_
        self.sent_id = ""
        self.name = ""
        self.arguments = ""


class OpenCalls:
    """The tool calls of one stream, in the order they were first heard of.

    Args:
        names: Tool names as sent → as the user knows them.
    """

    def __init__(self, names: ToolNames) -> None:
        self.all: list[OpenCall] = []
        self._names = names
        self._ids: set[str] = set()
        self._begun = 0
        self._known_by: dict[Any, OpenCall] = {}

    def known_name(self, call: OpenCall) -> str:
        """A call's name as the user knows it."""
        return self._names.get(call.name, call.name)

    def read(self, fragment: _types.ToolCall) -> list[ToolCallChunk]:
        """What a fragment adds; nothing where it says nothing new.

        A call begins with its arguments: until then more of its name may follow, and
        half a name is no tool's.
        """
        function = fragment.get("function") or {}
        name = type_checks.text(function.get("name") or "")
        id_ = type_checks.text(fragment.get("id") or "")
        text = completion.to_text(function.get("arguments"))
        call = self._call_of(fragment.get("index"), id_, name, text)
        part = name.removeprefix(call.name)
        call.name += part
        if not call.arguments and text.strip() == "null":
            text = "{}"  # core takes null for broken arguments
        call.arguments += text
        if call.slot >= self._begun:
            return self._begin(call.slot + 1) if text else []
        if not (part or text):
            return []
        part = self._names.get(part, part)
        return [tool_call_chunk(name=part or None, args=text, id=None, index=call.slot)]

    def rest(self) -> list[ToolCallChunk]:
        """At the end: the calls that never had arguments."""
        return self._begin(len(self.all))

    def _begin(self, end: int) -> list[ToolCallChunk]:
        """The first fragments of the calls up to a slot, so that they keep their order."""
        calls, self._begun = self.all[self._begun : end], end
        return [
            tool_call_chunk(
                name=self.known_name(call) or None,
                args=call.arguments,
                id=call.id,
                index=call.slot,
            )
            for call in calls
        ]

    def _call_of(self, index: int | None, id_: str, name: str, text: str) -> OpenCall:
        """The call a fragment is of; no index means the call last spoken of."""
        call = self._find(index, id_, name)
        if call is None or (name and not self._goes_on(call, name, text)):
            call = OpenCall(len(self.all), completion.to_id(id_, self._ids))
            self.all.append(call)
            self._ids.add(call.id)
        self._known_by[index] = self._known_by[None] = call
        if id_:
            call.sent_id = id_
            self._known_by[id_] = call
        return call

    def _find(self, index: int | None, id_: str, name: str) -> OpenCall | None:
        """The call that has the index and the id.

        Where they are of two calls the id is right; one that is new may have come late.
        """
        call = self._known_by.get(index)
        if call is None:
            return None if name else self._known_by.get(id_)
        if id_ in {"", call.sent_id}:
            return call
        return self._known_by.get(id_, None if call.sent_id else call)

    def _goes_on(self, call: OpenCall, name: str, text: str) -> bool:
        """Whether a fragment that has a name is of a call, and does not begin the next.

        Without ids, and with one index for all, nothing else tells the calls apart.
        """
        if not call.name or call.slot >= self._begun:
            return bool(call.sent_id) or name.startswith(call.name)
        if name != call.name:
            return False
        both = (text, call.arguments)
        return not all(both) or None in map(tool_arguments.parse, both)


def merged(fragments: list[ToolCallChunk]) -> list[ToolCallChunk]:
    """One fragment for each call; its name and id are in the first."""
    by_slot: dict[Any, list[ToolCallChunk]] = {}
    for fragment in fragments:
        by_slot.setdefault(fragment["index"], []).append(fragment)
    return [
        tool_call_chunk(
            name="".join(each["name"] or "" for each in same) or None,
            args="".join(each["args"] or "" for each in same),
            id=same[0]["id"],
            index=slot,
        )
        for slot, same in by_slot.items()
    ]
