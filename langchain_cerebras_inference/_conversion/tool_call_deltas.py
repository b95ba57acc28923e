"""The tool calls of one stream: which call a fragment belongs to, and what it adds.

Cerebras gives each call an index, and an id in its first fragment. Other servers with the
same protocol leave out one of the two, repeat names, or give several calls the same index or
the same id.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from langchain_core.messages.tool import tool_call_chunk

from langchain_cerebras_inference._conversion import tool_arguments, type_checks

if TYPE_CHECKING:
    from collections.abc import Collection

    from langchain_core.messages import ToolCallChunk

    from langchain_cerebras_inference._conversion.tools import ToolNames


class ToolCallState:
    """What has arrived of one tool call.

    Attributes:
        index: The position of the call in the message.
        id: The id that LangChain sees: the server's, unless it is missing or used before.
        sent_id: The id that the server sent last.
        sent_name: The tool's name as it was sent to the server.
        name: The tool's name as the user knows it.
        arguments: The arguments so far.
    """

    def __init__(self, index: int, id_: str) -> None:
        self.index = index
        self.id = id_
        self.sent_id = ""
        self.sent_name = ""
        self.name = ""
        self.arguments = ""


class ToolCallAccumulator:
    """The tool calls of one stream, in the order of their first fragments.

    Args:
        tool_names: The user's names of tools by the names that were sent to the server.
    """

    def __init__(self, tool_names: ToolNames) -> None:
        self.calls: list[ToolCallState] = []
        self._tool_names = tool_names
        self._ids: set[str] = set()
        self._call_by_index: dict[int, ToolCallState] = {}
        self._call_by_id: dict[str, ToolCallState] = {}
        self._last_call: ToolCallState | None = None

    def add(self, fragment: Any) -> ToolCallChunk | None:
        """Add a fragment, and return what it adds; `None` if that is nothing.

        Raises:
            CerebrasProtocolError: If the fragment has values of the wrong type.
        """
        fragment = type_checks.check_object("tool_calls", fragment)
        function = type_checks.check_object("function", fragment.get("function") or {})
        index, sent_id = fragment.get("index"), fragment.get("id") or ""
        sent_name, arguments = function.get("name") or "", function.get("arguments")
        _check_types(index, sent_id, sent_name)
        if type(arguments) is not str:
            arguments = tool_arguments.to_text(arguments)

        call = self._find(index, sent_id, sent_name)
        is_new = call is None
        if call is None:
            call = self._create(sent_id)
        self._remember(call, index, sent_id)
        name = self._add_name(call, sent_name) if sent_name else ""
        if not call.arguments and arguments.strip() == "null":
            arguments = "{}"  # langchain-core takes null for invalid arguments
        call.arguments += arguments
        if not (is_new or name or arguments):
            return None
        return tool_call_chunk(
            name=name or None,
            args=arguments,
            id=call.id if is_new else None,
            index=call.index,
        )

    def _find(self, index: int | None, sent_id: str, sent_name: str) -> ToolCallState | None:
        """Find a fragment's call by its index or its id; without both it is the last call.

        If the call with the index has another id, the id decides. `None` is a new call.
        """
        if index is not None:
            call = self._call_by_index.get(index)
            if call is not None and (not sent_id or call.sent_id in ("", sent_id)):
                return call
        if sent_id:
            # A name with a new index begins another call, even if the server repeats the id.
            is_new = sent_name != "" and index is not None and index not in self._call_by_index
            return None if is_new else self._call_by_id.get(sent_id)
        call = self._last_call
        if index is not None or call is None:
            return None
        is_repeated_name = sent_name == call.sent_name and not call.arguments
        return call if is_repeated_name or not sent_name else None

    def _create(self, sent_id: str) -> ToolCallState:
        call = ToolCallState(len(self.calls), choose_id(sent_id, self._ids))
        self.calls.append(call)
        self._ids.add(call.id)
        return call

    def _remember(self, call: ToolCallState, index: int | None, sent_id: str) -> None:
        self._last_call = call
        if index is not None:
            self._call_by_index[index] = call
        if sent_id:
            call.sent_id = sent_id
            self._call_by_id[sent_id] = call

    def _add_name(self, call: ToolCallState, sent_name: str) -> str:
        """Add a name, which some servers repeat in each fragment; return what is new."""
        addition = sent_name.removeprefix(call.sent_name)
        if not addition:
            return ""
        call.sent_name += addition
        new_part = self._tool_names.get(addition, addition)
        call.name += new_part
        return new_part


def _check_types(index: Any, sent_id: Any, sent_name: Any) -> None:
    if index is not None and type(index) is not int:
        raise type_checks.create_type_error("tool_calls.index", index, "a whole number")
    if type(sent_id) is not str:
        raise type_checks.create_type_error("tool_calls.id", sent_id, "text")
    if type(sent_name) is not str:
        raise type_checks.create_type_error("tool_calls.function.name", sent_name, "text")


def choose_id(sent_id: str, used_ids: Collection[str]) -> str:
    """Return the id of a tool call: the server's, or a new one if it is missing or used."""
    if sent_id and sent_id not in used_ids:
        return sent_id
    new_ids = map("call_{}".format, count(len(used_ids)))
    return next(id_ for id_ in new_ids if id_ not in used_ids)


def merge_fragments(fragments: list[ToolCallChunk]) -> list[ToolCallChunk]:
    """Join the fragments of each call into one."""
    fragments_by_call: dict[int | None, list[ToolCallChunk]] = {}
    for fragment in fragments:
        fragments_by_call.setdefault(fragment["index"], []).append(fragment)
    return [
        tool_call_chunk(
            name="".join([part["name"] or "" for part in parts]) or None,
            args="".join([part["args"] or "" for part in parts]),
            id=parts[0]["id"],
            index=index,
        )
        for index, parts in fragments_by_call.items()
    ]
