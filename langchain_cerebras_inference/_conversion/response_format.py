"""Build the `response_format` of a request from schemas and formats of any kind.

Cerebras rejects a request for one key of a format that it does not know.
Source: https://inference-docs.cerebras.ai/capabilities/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_function
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_cerebras_inference._conversion import strict_schema, tools

_DEFAULT_NAME = "answer"
"""The name of a schema that has none; Cerebras requires one."""


def build_response_format(value: Any) -> dict[str, Any] | None:
    """Build a response format from the call option of that name.

    Args:
        value: A format in one of OpenAI's forms, a schema of any kind, or `None`.

    Returns:
        The format, or `None` for plain text, which needs no format.

    Raises:
        ValueError: If Cerebras has no such format, or it lacks a schema.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return build_schema_format(value)
    format_type = value.get("type", "object")
    if format_type == "text":
        return None
    if format_type == "json_object":
        return {"type": "json_object"}
    if format_type == "json_schema":
        return _copy_schema_format(value)
    if format_type != "object" and "properties" not in value:
        raise ValueError(
            f"Cerebras has no response_format of type {format_type!r}; use a schema,"
            " 'json_schema' or 'json_object'."
        )
    return build_schema_format({"properties": {}, **value} if "type" in value else value)


def build_schema_format(schema: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """Build the response format that asks for an object of a schema of any kind.

    Raises:
        ValueError: If the schema does not describe an object.
    """
    json_schema = to_json_schema(schema)
    name = getattr(schema, "__name__", None) or json_schema.get("title") or _DEFAULT_NAME
    sent, is_strict = strict_schema.to_strict_schema(json_schema, strict=strict, name=name)
    described = {"name": tools.to_accepted_name(name), "schema": sent, "strict": is_strict}
    return {"type": "json_schema", "json_schema": described}


def build_method_format(schema: Any, method: str, *, strict: bool | None) -> dict[str, Any]:
    """Build the response format of a method of `with_structured_output`.

    Raises:
        ValueError: If the method is unknown, or cannot be strict.
    """
    if method == "json_schema":
        return build_schema_format(schema, strict=strict)
    if method != "json_mode":
        raise ValueError(
            f"Unknown method {method!r}; use 'json_schema', 'function_calling' or 'json_mode'."
        )
    if strict is not None:
        raise ValueError(
            "strict needs a schema that the server sees, and 'json_mode' sends none; leave"
            " strict out, or use 'json_schema'."
        )
    return {"type": "json_object"}


def to_function(schema: Any) -> dict[str, Any]:
    """Convert a schema of any kind to a function in OpenAI's form.

    Raises:
        ValueError: If the schema does not describe an object.
    """
    function = convert_to_openai_function(_to_class_or_function(schema))
    _reject_non_object(function["parameters"], function["name"])
    return function | {"name": function["name"] or _DEFAULT_NAME}


def to_json_schema(schema: Any) -> dict[str, Any]:
    """Convert a schema of any kind to a JSON schema.

    Raises:
        ValueError: If the schema does not describe an object.
    """
    converted = _to_class_or_function(schema)
    if isinstance(converted, dict):
        texts = {"title": converted["name"], "description": converted.get("description")}
        json_schema = {key: text for key, text in texts.items() if text}
        json_schema |= converted["parameters"]
    elif hasattr(converted, "model_json_schema"):
        json_schema = converted.model_json_schema()
    else:
        json_schema = dict(converted.schema())  # pydantic 1 caches it
    name = getattr(schema, "__name__", None) or json_schema.get("title")
    _reject_non_object(json_schema, name)
    return json_schema


def _reject_non_object(json_schema: Mapping[str, Any], name: str | None) -> None:
    if not strict_schema.can_be_object(json_schema):
        raise ValueError(
            f"{name or 'The schema'} does not describe an object, and a completion must be"
            " one: wrap it in a field of an object."
        )


def _to_class_or_function(schema: Any) -> Any:
    """Convert a schema to a pydantic class of either major version, or to a function.

    The function has OpenAI's form; its name is empty if the schema has none.
    """
    if is_basemodel_subclass(schema):
        return schema
    if isinstance(schema, Mapping):
        return _convert_dict(schema)
    if hasattr(schema, "__total__"):
        return tools.convert_typed_dict(schema)
    return convert_to_openai_function(schema)


def _convert_dict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a function, a tool, a response format or a JSON schema to a function."""
    inner = dict(schema.get("json_schema", schema.get("function", schema)))
    is_json_schema = "properties" in inner or inner.keys().isdisjoint(("name", "toolSpec"))
    function = convert_to_openai_function({"title": "", **inner})
    function.setdefault("parameters", inner if is_json_schema else inner.get("schema", {}))
    return function


def _copy_schema_format(value: Mapping[str, Any]) -> dict[str, Any]:
    """Copy what Cerebras knows of a format of type `json_schema`."""
    nested = value.get("json_schema")
    # OpenAI's Responses API has these keys beside `type`.
    described = nested if isinstance(nested, Mapping) else value
    if described.get("schema") is None:
        raise ValueError(
            "A response_format of type 'json_schema' needs a schema; add it as 'schema'."
        )
    schema, is_strict = strict_schema.to_strict_schema(
        described["schema"], strict=described.get("strict")
    )
    name = tools.to_accepted_name(described.get("name") or _DEFAULT_NAME)
    copied = {"name": name, "schema": schema, "strict": is_strict}
    if described.get("description") is not None:
        copied["description"] = described["description"]
    return {"type": "json_schema", "json_schema": copied}
