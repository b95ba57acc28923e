"""What Cerebras refuses in tools and response formats."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_cerebras_inference.emulator.catalogue import Model
from langchain_cerebras_inference.emulator.refusals import bad_request, check_known
from langchain_cerebras_inference.emulator.schemas import strict_fault

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FUNCTION = {"name", "description", "parameters", "strict"}
_FORMAT = {"name", "description", "schema", "strict"}


def check_tools(tools: Sequence[Any] | None) -> None:
    """Refuse tools Cerebras would not take.

    Raises:
        Refused: for the first fault.
    """
    if tools is None:
        return
    if not tools:
        raise bad_request("'tools' must not be empty", "tools")
    functions = [_function(index, tool) for index, tool in enumerate(tools)]
    if len({bool(function.get("strict")) for function in functions}) > 1:
        raise bad_request(
            "Tools with mixed values for 'strict' are not allowed. "
            "Please set all tools to 'strict: true' or 'strict: false'",
            "tools",
        )


def _function(index: int, tool: Any) -> Mapping[str, Any]:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or tool.get("type") != "function":
        raise bad_request("every tool must be of type 'function'", "tools")
    check_known(tool, {"type", "function"}, f"tools.{index}")
    check_known(function, _FUNCTION, f"tools.{index}.function")
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise bad_request(f"tool name {name!r} must match {_NAME.pattern}", "tools")
    if function.get("strict"):
        _check_strict(function.get("parameters"), "tools")
    return function


def check_tool_choice(choice: Any, tools: Sequence[Mapping[str, Any]] | None) -> None:
    """Refuse a choice among tools that are not there.

    Raises:
        Refused: without tools, or for a form or a name that is not known.
    """
    if choice is None:
        return
    if not tools:
        raise bad_request(
            "'tool_choice' is only allowed when 'tools' are specified", "tools"
        )
    names = [tool["function"]["name"] for tool in tools]
    match choice:
        case "none" | "auto" | "required":
            return
        case {"type": "function", "function": {"name": str(name)}} if name in names:
            return
    raise bad_request(f"invalid 'tool_choice': {choice!r}", "tool_choice")


def check_response_format(body: Mapping[str, Any], model: Model) -> None:
    """Refuse a response format that is malformed, or impossible beside tools.

    Raises:
        Refused: for the first fault.
    """
    wanted = body.get("response_format")
    if wanted is None:
        return
    match wanted:
        case {"type": "text" | "json_object"}:
            check_known(wanted, {"type"}, "response_format")
        case {"type": "json_schema", "json_schema": {"name": str(), "schema": dict()}}:
            check_known(wanted, {"type", "json_schema"}, "response_format")
            _check_json_schema(wanted["json_schema"])
        case _:
            raise bad_request("invalid 'response_format'", "response_format")
    is_json = wanted["type"] != "text"
    if is_json and body.get("tools") and not model.takes_tools_with_format:
        message = '"tools" is incompatible with "response_format"'
        raise bad_request(message, "response_format")


def _check_json_schema(wanted: Mapping[str, Any]) -> None:
    check_known(wanted, _FORMAT, "response_format.json_schema")
    if wanted.get("strict"):
        _check_strict(wanted["schema"], "response_format")


def _check_strict(schema: Any, param: str) -> None:
    if fault := strict_fault(schema):
        raise bad_request(fault, param)
