"""Response formats and schemas that came from elsewhere, an agent say → wire.

Cerebras refuses a request for one key of a format that it does not know.
Source: https://inference-docs.cerebras.ai/capabilities/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_cerebras_inference._conversion import schemas, structured, tools


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
    return structured.to_response_format(given, strict=None)


def _with_schema(given: Mapping[str, Any]) -> dict[str, Any]:
    nested = given.get("json_schema")
    # OpenAI's Responses API has it flat.
    described = nested if isinstance(nested, Mapping) else given
    if described.get("schema") is None:
        msg = "a response_format of type 'json_schema' needs a schema."
        raise ValueError(msg)
    schema, strict = schemas.to_wire_schema(described["schema"], strict=described.get("strict"))
    name = tools.to_wire_name(described.get("name") or "answer")
    wire = {"name": name, "schema": schema, "strict": strict}
    if described.get("description") is not None:
        wire["description"] = described["description"]
    return {"type": "json_schema", "json_schema": wire}
