"""Tools and the choice among them → wire; names Cerebras accepts, and back.

Names are mapped here, on the way out, and not where tools are bound: LangGraph compares
the bound names with its own.
Source: https://inference-docs.cerebras.ai/capabilities/tool-use
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_cerebras_inference._conversion import kinds, strict_schema

logger = logging.getLogger("langchain_cerebras_inference")

_ACCEPTED = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST = 64
_WORDS = ("auto", "none", "required")
_SENT = ("name", "description", "parameters", "strict")
_KINDS = (None, "function", "object")
"""The `type` of a dict that is a function, or the schema of its arguments."""

Names = Mapping[str, str]
"""Names as sent → names as the user knows them, where the two differ."""


def to_openai_tools(
    tools: Sequence[Any], *, strict: bool | None = None
) -> list[dict[str, Any]]:
    """Make tools of any kind LangChain knows into dicts in OpenAI's shape.

    Args:
        tools: Pydantic classes, functions, `BaseTool`s, JSON schemas or such dicts.
        strict: Whether arguments must follow the schema; `None` leaves a tool's own word.

    Raises:
        ValueError: If a tool is no function, but one that another provider's server runs.
    """
    converted = [_to_openai_tool(tool) for tool in tools]
    if strict is None:
        return converted
    return [{**tool, "function": {**tool["function"], "strict": strict}} for tool in converted]


def to_openai_choice(choice: Any, tools: Sequence[Mapping[str, Any]]) -> Any:
    """Make a choice as LangChain allows it into one in OpenAI's shape.

    Args:
        choice: `"any"`, `"required"`, `"none"`, `"auto"`, a tool's name, a dict or a
            bool; `None` and `False` leave the choice to the server.
        tools: The tools as they are bound.

    Raises:
        ValueError: If the choice names a tool that is not bound.
    """
    if choice is None or choice is False:
        return None
    if choice is True or choice == "any":
        return "required"
    if isinstance(choice, Mapping):
        return _choice_of(choice, tools)
    if choice in _WORDS:
        return choice
    return _named(choice, tools)


def to_wire_tools(tools: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], Names]:
    """Make the tools of a request: accepted names, one `strict` for all."""
    functions = [_sent(tool["function"]) for tool in tools]
    names = {to_wire_name(each["name"]): each["name"] for each in functions}
    wire = [
        {"type": "function", "function": {**each, "name": to_wire_name(each["name"])}}
        for each in _uniform(functions)
    ]
    return wire, {sent: known for sent, known in names.items() if sent != known}


def to_wire_choice(choice: Any) -> Any:
    """Give the tool a choice names the name it is sent under."""
    if not isinstance(choice, Mapping):
        return choice
    return {
        "type": "function",
        "function": {"name": to_wire_name(choice["function"]["name"])},
    }


@lru_cache(maxsize=1024)
def to_wire_name(name: str) -> str:
    """The name as Cerebras accepts it: the same one wherever it may be."""
    if _ACCEPTED.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", name)[: _LONGEST - len(digest) - 1]
    return f"{stem}_{digest}"


def _to_openai_tool(tool: Any) -> dict[str, Any]:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind == "function" and "function" not in tool:  # flat, as in OpenAI's Responses API
        tool = {"type": kind, "function": {k: v for k, v in tool.items() if k != "type"}}
    if hasattr(tool, "__total__"):
        tool = kinds.to_known(tool)
    is_known = kind in _KINDS or "input_schema" in tool
    made = convert_to_openai_tool(tool) if is_known else {}
    if not (made.get("function") or {}).get("name"):
        msg = (
            f"a tool of type {kind!r} names no function, and Cerebras has no server tools;"
            " bind a function of your own."
        )
        raise ValueError(msg)
    return made


def _sent(function: Mapping[str, Any]) -> dict[str, Any]:
    """What Cerebras knows of a function; it refuses the request for anything else."""
    return {key: function[key] for key in _SENT if function.get(key) is not None}


def _choice_of(choice: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> Any:
    kind = choice.get("type")
    if kind == "any" or kind in _WORDS:
        return to_openai_choice(kind, tools)
    function = choice.get("function")
    name = choice.get("name") or (isinstance(function, Mapping) and function.get("name"))
    if not name:
        msg = f"tool_choice names no tool: {dict(choice)!r}."
        raise ValueError(msg)
    return _named(name, tools)


def _named(name: str, tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    bound = [tool["function"]["name"] for tool in tools]
    if name not in bound:
        msg = f"tool_choice {name!r} is not the name of a bound tool: {bound}."
        raise ValueError(msg)
    return {"type": "function", "function": {"name": name}}


def _uniform(functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All strict if one asks for it and all can be; else none.

    Cerebras refuses a request whose tools differ in `strict`, and counts a tool without
    one as not strict.
    """
    if any(each.get("strict") for each in functions):
        made = [strict_schema.to_wire_schema(_parameters(each)) for each in functions]
        if all(is_strict for _, is_strict in made):
            return [
                {**each, "parameters": schema, "strict": True}
                for each, (schema, _) in zip(functions, made, strict=True)
            ]
        _warn_not_strict(tuple(each["name"] for each in functions))
    return [{k: v for k, v in each.items() if k != "strict"} for each in functions]


def _parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    return function.get("parameters") or {"type": "object", "properties": {}}


@lru_cache(maxsize=256)
def _warn_not_strict(names: tuple[str, ...]) -> None:
    logger.warning(
        "the tools %s are sent without strict: a schema among them cannot be expressed"
        " in the subset Cerebras accepts",
        ", ".join(names),
    )
