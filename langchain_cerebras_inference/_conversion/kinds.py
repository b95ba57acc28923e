"""Schemas of any kind → the two that core and pydantic convert: classes and functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.utils.function_calling import convert_to_openai_function
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import RootModel, create_model


def to_known(schema: Any) -> Any:
    """A schema as a pydantic class of either major version, or as an OpenAI function.

    The function of a JSON schema without a title has an empty name.
    """
    if is_basemodel_subclass(schema):
        return schema
    if isinstance(schema, Mapping):
        return _function_of(schema)
    try:
        return convert_to_openai_function(schema)
    except (TypeError, RecursionError):
        # Core fails at NotRequired, and at a TypedDict that holds itself; pydantic does not.
        if not hasattr(schema, "__total__"):
            raise
        return create_model(schema.__name__, __base__=cast("Any", RootModel)[schema])


def to_json_schema(known: Any) -> dict[str, Any]:
    """The JSON schema of such a class or function."""
    if isinstance(known, dict):
        notes = {"title": known["name"], "description": known.get("description")}
        return {key: text for key, text in notes.items() if text} | dict(known["parameters"])
    schema = getattr(known, "model_json_schema", None) or known.schema  # pydantic 2, 1
    return dict(schema())


def _function_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The function a dict is, or that of its response format, or with it as parameters."""
    held = dict(given.get("json_schema", given.get("function", given)))
    is_schema = "properties" in held or held.keys().isdisjoint(("name", "toolSpec"))
    function = convert_to_openai_function({"title": "", **held})
    function.setdefault("parameters", held if is_schema else held.get("schema", {}))
    return function
