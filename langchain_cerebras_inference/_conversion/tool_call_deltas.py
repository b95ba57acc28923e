"""The tool calls of one stream: which call a fragment belongs to, and what it adds.

A fragment is one entry of `tool_calls` in an event of the server. LangChain's form of it is a
tool call chunk.

Cerebras gives each call an index, and an id in its first fragment. Other servers with the
same protocol leave out one of the two, repeat names, or give several calls the same index or
the same id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages.tool import tool_call_chunk

from langchain_cerebras_inference._conversion import completion, tool_arguments, type_checks

if TYPE_CHECKING:
    from langchain_core.messages import ToolCallChunk

    from langchain_cerebras_inference._conversion.tools import ToolNames


class ToolCallState:
    """The part of one tool call that has arrived.

    Attributes:
        index: The position of the call in the message.
        id: The id for LangChain: the server's, or a new one if that is missing or repeated.
        server_id: The last id from the server.
        request_name: The tool's name as it is in the request and in the response.
        name: The tool's original name.
        argument_parts: The parts of the tool arguments that have been passed on.
        held_arguments: The parts of the tool arguments that have not been passed on yet.
        has_prose: Whether the tool arguments begin with something else than an object.
    """

    def __init__(self, index: int, id_: str) -> None:
        self.index = index
        self.id = id_
        self.server_id = ""
        self.request_name = ""
        self.name = ""
        self.argument_parts: list[str] = []
        self.held_arguments: list[str] = []
        self.has_prose = False

    @property
    def arguments(self) -> str:
        """The tool arguments so far, as far as they have been passed on."""
        return "".join(self.argument_parts)


class ToolCallAccumulator:
    """The tool calls of one stream, in the order of their first fragments.

    Args:
        tool_names: Maps tool names in the request to the original names.
    """

    def __init__(self, tool_names: ToolNames) -> None:
        self.calls: list[ToolCallState] = []
        self._tool_names = tool_names
        self._ids: set[str] = set()
        self._call_by_index: dict[int, ToolCallState] = {}
        self._call_by_id: dict[str, ToolCallState] = {}
        self._last_call: ToolCallState | None = None
        self._is_closed = False

    def add(self, fragment: Any) -> ToolCallChunk | None:
        """Add a fragment, and return what it adds to its call; `None` if it adds nothing.

        Raises:
            CerebrasProtocolError: If the fragment has values of the wrong type.
        """
        fragment = type_checks.check_object("tool_calls[]", fragment)
        function = type_checks.check_object("function", fragment.get("function") or {})
        index, server_id = fragment.get("index"), fragment.get("id") or ""
        request_name, arguments = function.get("name") or "", function.get("arguments")
        _check_types(index, server_id, request_name)
        if type(arguments) is not str:
            arguments = tool_arguments.to_string(arguments)

        call = self._find_call(index, server_id, request_name)
        is_new = call is None
        if call is None:
            call = self._create_call(server_id)
        self._remember_call(call, index, server_id)
        name = self._add_name(call, request_name) if request_name else ""
        may_have_to_wait = (
            not call.argument_parts  # perhaps they do not begin with an object
            or call.held_arguments
            or "\\u" in arguments  # possibly the first half of a surrogate pair
            or arguments[-1:] == "\\"  # an incomplete escape sequence
        )
        if may_have_to_wait:
            arguments = self._take_ready_arguments(call, arguments)
        if arguments:
            call.argument_parts.append(arguments)
        if not (is_new or name or arguments):
            return None
        return tool_call_chunk(
            name=name or None,
            args=arguments,
            id=call.id if is_new else None,
            index=call.index,
        )

    def close(self) -> list[ToolCallChunk]:
        """Return the tool arguments that have been held back.

        Arguments that arrive after this are no longer held back.
        """
        self._is_closed = True
        chunks = []
        for call in self.calls:
            if call.held_arguments:
                arguments = _take_held_arguments(call)
                call.argument_parts.append(arguments)
                chunks.append(
                    tool_call_chunk(name=None, args=arguments, id=None, index=call.index)
                )
        return chunks

    def _take_ready_arguments(self, call: ToolCallState, arguments: str) -> str:
        """Return the part of the arguments that is ready to be passed on; hold back the others.

        Arguments that do not begin with an object are held back until the end, because they may
        have one in a Markdown fence. An incomplete escape sequence is held back until it is
        complete, because it may be a lone surrogate.
        """
        if not arguments:
            return ""
        call.held_arguments.append(arguments)
        if self._is_closed:
            return _take_held_arguments(call)
        if not call.argument_parts and not call.has_prose:
            # What was held back before is only whitespace, so these arguments decide.
            start = arguments.lstrip()[:1]
            call.has_prose = start not in ("", "{")
            if not start:
                return ""
        if call.has_prose:
            return ""
        arguments, incomplete = tool_arguments.replace_lone_surrogates(
            "".join(call.held_arguments)
        )
        call.held_arguments = [incomplete] if incomplete else []
        return arguments

    def _find_call(
        self, index: int | None, server_id: str, request_name: str
    ) -> ToolCallState | None:
        """Find the call of a fragment; `None` means that the fragment begins a new call.

        1. The index decides, unless the call with this index has another id.
        2. Then the id decides, unless the fragment has a name and a new index.
        3. A fragment with neither an index nor an id belongs to the last call, unless it has a
           name that is new, or that comes after the first arguments.
        4. Any other fragment begins a new call.
        """
        if index is not None:
            call = self._call_by_index.get(index)
            if call is not None and (not server_id or call.server_id in ("", server_id)):
                return call
        if server_id:
            # A name with a new index begins another call, even if the server repeats the id.
            has_new_index = index is not None and index not in self._call_by_index
            begins_call = has_new_index and request_name != ""
            return None if begins_call else self._call_by_id.get(server_id)
        call = self._last_call
        if index is not None or call is None:
            return None
        is_repeated_name = request_name == call.request_name and not call.argument_parts
        return call if is_repeated_name or not request_name else None

    def _create_call(self, server_id: str) -> ToolCallState:
        call_id = completion.choose_tool_call_id(server_id, self._ids)
        call = ToolCallState(len(self.calls), call_id)
        self.calls.append(call)
        self._ids.add(call.id)
        return call

    def _remember_call(self, call: ToolCallState, index: int | None, server_id: str) -> None:
        """Store the identifiers with which later fragments refer to the call."""
        self._last_call = call
        if index is not None:
            self._call_by_index[index] = call
        if server_id:
            call.server_id = server_id
            self._call_by_id[server_id] = call

    def _add_name(self, call: ToolCallState, request_name: str) -> str:
        """Add a part of a name, and return what is new of it.

        Some servers repeat the whole name in each fragment. A name is replaced by the
        original one only if it arrives in one part.
        """
        new_part = request_name.removeprefix(call.request_name)
        call.request_name += new_part
        new_part = self._tool_names.get(new_part, new_part)
        call.name += new_part
        return new_part


def _take_held_arguments(call: ToolCallState) -> str:
    """Return the arguments that have been held back, in a form that langchain-core parses."""
    arguments = "".join(call.held_arguments)
    call.held_arguments = []
    if call.argument_parts:
        return arguments
    if arguments.strip() == "null":
        return "{}"  # langchain-core treats null as invalid arguments
    if tool_arguments.parse_arguments(arguments) is not None:
        arguments = tool_arguments.extract_fenced_object(arguments) or arguments
    return tool_arguments.to_string(arguments)


def _check_types(index: Any, server_id: Any, request_name: Any) -> None:
    if index is not None and type(index) is not int:
        raise type_checks.create_type_error("tool_calls[].index", index, "an integer")
    if type(server_id) is not str:
        raise type_checks.create_type_error("tool_calls[].id", server_id, "a string")
    if type(request_name) is not str:
        raise type_checks.create_type_error(
            "tool_calls[].function.name", request_name, "a string"
        )


def merge_tool_call_chunks(tool_call_chunks: list[ToolCallChunk]) -> list[ToolCallChunk]:
    """Merge the chunks of each call into one."""
    chunks_by_call: dict[int | None, list[ToolCallChunk]] = {}
    for chunk in tool_call_chunks:
        chunks_by_call.setdefault(chunk["index"], []).append(chunk)
    return [
        tool_call_chunk(
            name="".join([chunk["name"] or "" for chunk in chunks]) or None,
            args="".join([chunk["args"] or "" for chunk in chunks]),
            id=chunks[0]["id"],
            index=index,
        )
        for index, chunks in chunks_by_call.items()
    ]
