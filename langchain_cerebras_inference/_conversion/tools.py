"""Convert tools and tool choices.

`bind_tools` converts tools to OpenAI's format and keeps their names, because LangGraph compares
the bound names with its own. Names that Cerebras does not accept are replaced when the request
is built.
Source: https://inference-docs.cerebras.ai/capabilities/tool-use
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, cast

from langchain_core.utils.function_calling import (
    convert_to_openai_function,
    convert_to_openai_tool,
)
from pydantic import RootModel, create_model

from langchain_cerebras_inference import _surrogates
from langchain_cerebras_inference._conversion import strict_schema

logger = logging.getLogger("langchain_cerebras_inference")

ToolNames: TypeAlias = Mapping[str, str]
"""Maps tool names in the request to the original names, where the two differ."""

_ACCEPTED_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_NAME_LENGTH = 64
_TOOL_CHOICES = ("auto", "none", "required")
_FUNCTION_FIELDS = ("name", "description", "parameters", "strict")
_FUNCTION_TYPES = (None, "function", "object")
"""The `type` of a dict that is a function, or a JSON schema of tool arguments."""


def convert_tools(tools: Sequence[Any], *, strict: bool | None = None) -> list[dict[str, Any]]:
    """Convert tools of any kind that LangChain supports to OpenAI's format.

    Args:
        tools: Pydantic classes, TypedDicts, functions, `BaseTool`s, JSON schemas or dicts
            in the format of OpenAI or Anthropic.
        strict: Whether tool arguments must match the schema exactly. `None` keeps the
            `strict` of each tool.

    Raises:
        ValueError: If a tool has no name, or is not a function but a tool that another
            provider runs.
    """
    converted = [_convert_tool(tool) for tool in tools]
    if strict is None:
        return converted
    return [{**tool, "function": {**tool["function"], "strict": strict}} for tool in converted]


def convert_tool_choice(choice: Any, tools: Sequence[Mapping[str, Any]]) -> Any:
    """Convert a tool choice in any form that LangChain supports to OpenAI's format.

    Args:
        choice: `"any"`, `"required"`, `"none"`, `"auto"`, the name of a tool, a dict, or
            `True` for `"any"`. `None` and `False` leave the choice to the server.
        tools: The tools in OpenAI's format.

    Raises:
        ValueError: If the choice names no tool, or one that is not in `tools`.
    """
    if choice is None or choice is False:
        return None
    if choice is True or choice == "any":
        return "required"
    if isinstance(choice, Mapping):
        return _convert_choice_dict(choice, tools)
    if choice in _TOOL_CHOICES:
        return choice
    return _require_bound_tool(choice, tools)


def add_schema_tool(options: Mapping[str, Any], tool: Mapping[str, Any]) -> dict[str, Any]:
    """Add the tool of a schema to call options.

    Args:
        options: The call options; they are not changed. Without `tool_choice`, the model is
            required to call the tool.
        tool: A tool in OpenAI's format.
    """
    choice = options.get("tool_choice")
    if choice is None:
        choice = {"type": "function", "function": {"name": tool["function"]["name"]}}
    return {**options, "tools": [*(options.get("tools") or ()), tool], "tool_choice": choice}


def convert_typed_dict(typed_dict: Any) -> Any:
    """Convert a TypedDict to a function in OpenAI's format, or otherwise to a pydantic class.

    langchain-core does not support `NotRequired`, or a TypedDict that contains itself.
    Pydantic supports both.
    """
    try:
        function = convert_to_openai_function(typed_dict)
        if inspect.getdoc(typed_dict) == inspect.getdoc(
            dict
        ):  # inherited, because it has none of its own
            function["description"] = ""
        return function
    except (TypeError, RecursionError):
        return create_model(typed_dict.__name__, __base__=cast("Any", RootModel)[typed_dict])


def build_request_tools(
    tools: Sequence[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], ToolNames]:
    """Build the `tools` of a request.

    Args:
        tools: The tools in OpenAI's format; they are not changed.

    Returns:
        The tools with names that Cerebras accepts and the same `strict` for all, and the
        original names of those that were renamed.
    """
    functions = _unify_strict([_select_known_fields(tool["function"]) for tool in tools])
    original_names: dict[str, str] = {}
    request_tools = []
    for function in functions:
        name = to_accepted_name(function["name"])
        if name != function["name"]:
            original_names[name] = function["name"]
        request_tools.append({"type": "function", "function": {**function, "name": name}})
    return request_tools, original_names


def build_request_tool_choice(choice: Any) -> Any:
    """Build the `tool_choice` of a request from one in OpenAI's format."""
    if not isinstance(choice, Mapping):
        return choice
    return {
        "type": "function",
        "function": {"name": to_accepted_name(choice["function"]["name"])},
    }


@lru_cache(maxsize=1024)
def to_accepted_name(name: str) -> str:
    """Return the name if Cerebras accepts it, or otherwise a unique name that it accepts."""
    if _ACCEPTED_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(_surrogates.join_surrogates(name).encode()).hexdigest()[:8]
    prefix = re.sub(r"[^A-Za-z0-9_-]", "_", name)[: _MAX_NAME_LENGTH - len(digest) - 1]
    return f"{prefix}_{digest}"


def _convert_tool(tool: Any) -> dict[str, Any]:
    tool_type = tool.get("type") if isinstance(tool, dict) else None
    if tool_type == "function" and "function" not in tool:  # OpenAI's Responses API
        function = {key: value for key, value in tool.items() if key != "type"}
        tool = {"type": "function", "function": function}
    if hasattr(tool, "__total__"):
        tool = convert_typed_dict(tool)
    is_function = tool_type in _FUNCTION_TYPES or "input_schema" in tool
    if not is_function:
        raise ValueError(
            f"A tool of type {tool_type!r} is not a function, and Cerebras does not run tools"
            " itself. Pass a function that your program runs."
        )
    converted = convert_to_openai_tool(tool)
    if not (converted.get("function") or {}).get("name"):
        raise ValueError("A tool has no name. Add a 'name', or a 'title' to a JSON schema.")
    return converted


def _convert_choice_dict(choice: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> Any:
    choice_type = choice.get("type")
    if choice_type == "any" or choice_type in _TOOL_CHOICES:
        return convert_tool_choice(choice_type, tools)
    function = choice.get("function")
    name = choice.get("name") or (isinstance(function, Mapping) and function.get("name"))
    if not name:
        raise ValueError(
            f"tool_choice {dict(choice)!r} names no tool. Pass the name of a bound tool."
        )
    return _require_bound_tool(name, tools)


def _require_bound_tool(name: Any, tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the choice of a tool, or raise `ValueError` if there is no such tool."""
    names = [tool["function"]["name"] for tool in tools]
    if name not in names:
        raise ValueError(
            f"tool_choice {name!r} is not the name of a bound tool. Use one of {names}."
        )
    return {"type": "function", "function": {"name": name}}


def _select_known_fields(function: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the known fields, because Cerebras rejects a request with any other field."""
    return {key: function[key] for key in _FUNCTION_FIELDS if function.get(key) is not None}


def _unify_strict(functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """If one function is strict and all can be, make all strict; otherwise none.

    Cerebras rejects a request whose tools differ in `strict`. A tool without `strict` is not
    strict.
    """
    if any(function.get("strict") for function in functions):
        no_parameters = {"type": "object", "properties": {}}
        schemas = [
            strict_schema.prepare_schema(function.get("parameters") or no_parameters)
            for function in functions
        ]
        if all(is_strict for _, is_strict in schemas):
            return [
                {**function, "parameters": schema, "strict": True}
                for function, (schema, _) in zip(functions, schemas, strict=True)
            ]
        _warn_not_strict(tuple(function["name"] for function in functions))
    return [
        {key: value for key, value in function.items() if key != "strict"}
        for function in functions
    ]


@lru_cache(maxsize=256)
def _warn_not_strict(names: tuple[str, ...]) -> None:
    logger.warning(
        "The tools %s are sent without strict, because Cerebras' strict subset cannot"
        " express the schema of at least one of them.",
        ", ".join(names),
    )
