"""What an answer shall be: a schema of any kind, or a format → wire.

Cerebras refuses a request for one key of a format that it does not know.
Source: https://inference-docs.cerebras.ai/capabilities/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_function

from langchain_cerebras_inference._conversion import kinds, strict_schema, tools

_UNNAMED = "answer"


def to_wire_format(given: Any) -> dict[str, Any] | None:
    """Make the format of a request; plain text needs none.

    Args:
        given: `None`, a format in one of OpenAI's forms, or a schema of any kind.

    Raises:
        ValueError: If Cerebras has no such format, or its schema is missing.
    """
    kind = given.get("type", "object") if isinstance(given, Mapping) else "object"
    if given is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    if kind == "json_schema":
        return _with_schema(given)
    if kind != "object" and "properties" not in given:
        raise ValueError(
            f"Cerebras has no response_format {kind!r}; use a schema, json_schema or"
            " json_object."
        )
    if isinstance(given, Mapping) and "type" in given:
        given = {"properties": {}, **given}
    return to_response_format(given, strict=None)


def to_response_format(schema: Any, *, strict: bool | None) -> dict[str, Any]:
    """Make the `response_format` that asks for an object of `schema`."""
    made = to_json_schema(schema)
    name = getattr(schema, "__name__", None) or made.get("title") or _UNNAMED
    wire, is_strict = strict_schema.to_wire_schema(made, strict=strict, name=name)
    described = {"name": tools.to_wire_name(name), "schema": wire, "strict": is_strict}
    return {"type": "json_schema", "json_schema": described}


def to_format(schema: Any, method: str, *, strict: bool | None) -> dict[str, Any]:
    """Make the `response_format` of a method of structured output.

    Raises:
        ValueError: If there is no such method, or it cannot be strict.
    """
    if method == "json_schema":
        return to_response_format(schema, strict=strict)
    if method != "json_mode":
        raise ValueError(
            f"method must be json_schema, function_calling or json_mode, not {method!r}."
        )
    if strict is not None:
        msg = "strict goes with a schema the server sees; 'json_mode' sends none."
        raise ValueError(msg)
    return {"type": "json_object"}


def to_json_schema(schema: Any) -> dict[str, Any]:
    """The JSON schema of a pydantic class of either major version, a TypedDict, a dict.

    Raises:
        ValueError: If no object can fit it.
    """
    made = kinds.to_json_schema(kinds.to_known(schema))
    if not strict_schema.can_be_object(made):
        name = getattr(schema, "__name__", None) or made.get("title", "the schema")
        raise ValueError(f"{name} can be no object, but an answer is one: wrap it in a field.")
    return made


def to_function(schema: Any) -> dict[str, Any]:
    """The name, the description and the parameters of a schema, as of a tool."""
    function = convert_to_openai_function(kinds.to_known(schema))
    return function | {"name": function["name"] or _UNNAMED}


def _with_schema(given: Mapping[str, Any]) -> dict[str, Any]:
    nested = given.get("json_schema")
    # OpenAI's Responses API has it flat.
    described = nested if isinstance(nested, Mapping) else given
    if described.get("schema") is None:
        msg = "a response_format of type 'json_schema' needs a schema."
        raise ValueError(msg)
    schema, strict = strict_schema.to_wire_schema(
        described["schema"], strict=described.get("strict")
    )
    name = tools.to_wire_name(described.get("name") or _UNNAMED)
    wire = {"name": name, "schema": schema, "strict": strict}
    if described.get("description") is not None:
        wire["description"] = described["description"]
    return {"type": "json_schema", "json_schema": wire}
