"""Build the `response_format` of a request from schemas and formats of any kind.

Cerebras rejects a request that contains even one unknown field.
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
        value: A response format of OpenAI, a schema of any kind, or `None`.

    Returns:
        The format, or `None` for plain text, which needs no format.

    Raises:
        ValueError: If Cerebras has no such format, or if the schema is missing or does not
            describe an object.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return build_schema_format(value)
    format_type = value.get("type")
    if format_type == "text":
        return None
    if format_type == "json_object":
        return {"type": "json_object"}
    if format_type == "json_schema":
        return _copy_schema_format(value)
    if "type" not in value or "properties" in value:
        return build_schema_format(value)
    if isinstance(format_type, str) and format_type in strict_schema.JSON_TYPES:
        # Without `properties`, a schema that has a `name` would be taken for a function.
        return build_schema_format({"properties": {}, **value})
    raise ValueError(
        f"Cerebras has no response_format of type {format_type!r}. Use a schema,"
        " 'json_schema' or 'json_object'."
    )


def build_schema_format(schema: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """Build the response format for an object that matches a schema of any kind.

    Raises:
        ValueError: If the schema does not describe an object.
    """
    json_schema = to_json_schema(schema)
    name = getattr(schema, "__name__", None) or json_schema.get("title") or _DEFAULT_NAME
    prepared, is_strict = strict_schema.prepare_schema(json_schema, strict=strict, name=name)
    fields = {"name": tools.to_accepted_name(name), "schema": prepared, "strict": is_strict}
    return {"type": "json_schema", "json_schema": fields}


def build_method_format(schema: Any, method: str, *, strict: bool | None) -> dict[str, Any]:
    """Build the response format for a method of `with_structured_output`.

    Raises:
        ValueError: If the method is unknown, or does not support `strict`.
    """
    if method == "json_schema":
        return build_schema_format(schema, strict=strict)
    if method != "json_mode":
        raise ValueError(
            f"Unknown method {method!r}. Use 'json_schema', 'function_calling' or 'json_mode'."
        )
    if strict is not None:
        raise ValueError(
            "The method 'json_mode' does not support strict, because it sends no schema."
            " Leave strict out, or use 'json_schema'."
        )
    return {"type": "json_object"}


def reject_conflicting_options(options: Mapping[str, Any], method: str) -> None:
    """Reject call options that conflict with a method of `with_structured_output`.

    Raises:
        ValueError: If there is a response format, or if there are tools and the method sends
            a response format.
    """
    if options.get("response_format") is not None:
        raise ValueError(
            "with_structured_output builds the response_format from its schema. Pass the"
            " schema of your response_format as schema, and leave response_format out."
        )
    if options.get("tools") and method in ("json_schema", "json_mode"):
        raise ValueError(
            f"The method {method!r} sends a response_format, which some models of Cerebras"
            " reject together with tools. Use method='function_calling', tools=[...]."
        )


def to_function(schema: Any) -> dict[str, Any]:
    """Convert a schema of any kind to a function in OpenAI's format.

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
        annotations = {
            "title": converted["name"],
            "description": converted.get("description"),
        }
        json_schema = {key: value for key, value in annotations.items() if value}
        json_schema |= converted["parameters"]
    elif hasattr(converted, "model_json_schema"):
        json_schema = converted.model_json_schema()
    else:
        json_schema = dict(converted.schema())  # a copy, because pydantic 1 caches it
    name = getattr(schema, "__name__", None) or json_schema.get("title")
    _reject_non_object(json_schema, name)
    return json_schema


def _reject_non_object(json_schema: Mapping[str, Any], name: str | None) -> None:
    if not strict_schema.can_be_object(json_schema):
        raise ValueError(
            f"{name or 'The schema'} does not describe an object, but a completion must be an"
            " object. Wrap the schema in a field of an object."
        )


def _to_class_or_function(schema: Any) -> Any:
    """Convert a schema to a pydantic class (1 or 2) or to a function in OpenAI's format.

    The name of the function is empty if the schema has none.
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
    # Functions and response formats have a `name`, and Bedrock's tools have a `toolSpec`.
    is_json_schema = "properties" in inner or inner.keys().isdisjoint(("name", "toolSpec"))
    # langchain-core accepts a JSON schema only with a title; "" means that there is none.
    function = convert_to_openai_function({"title": "", **inner})
    # It sets no `parameters` for a JSON schema without `properties`, and none for a response
    # format, which has a `schema` instead.
    function.setdefault("parameters", inner if is_json_schema else inner.get("schema", {}))
    return function


def _copy_schema_format(value: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the fields that Cerebras knows from a format of type `json_schema`."""
    nested = value.get("json_schema")
    # In OpenAI's Responses API, these fields are beside `type`.
    source = nested if isinstance(nested, Mapping) else value
    if source.get("schema") is None:
        raise ValueError(
            "A response_format of type 'json_schema' needs a schema. Add it as 'schema'."
        )
    schema, is_strict = strict_schema.prepare_schema(
        source["schema"], strict=source.get("strict")
    )
    name = tools.to_accepted_name(source.get("name") or _DEFAULT_NAME)
    fields = {"name": name, "schema": schema, "strict": is_strict}
    if source.get("description") is not None:
        fields["description"] = source["description"]
    return {"type": "json_schema", "json_schema": fields}
