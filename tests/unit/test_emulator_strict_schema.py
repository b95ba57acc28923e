from typing import Any

import pytest

from langchain_cerebras_inference.emulator.strict_schema import find_strict_schema_error

STRING = {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    """An object schema that allows no other properties."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def nested(levels: int) -> dict[str, Any]:
    return closed(inner=nested(levels - 1)) if levels > 1 else closed()


def with_definitions(node: Any, **definitions: Any) -> dict[str, Any]:
    return {**closed(node=node), "$defs": definitions}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


@pytest.mark.parametrize(
    "schema",
    [
        closed(),
        closed(a=STRING, b={"type": ["integer", "null"]}, c={"enum": ["x", 1]}),
        {**closed(a=STRING, b=STRING), "required": ["a"]},
        closed(a={"anyOf": [STRING, {"type": "null"}]}, b={"const": 1}),
        closed(a={"type": "number", "minimum": 0, "exclusiveMaximum": 9}),
        closed(a={"type": "array", "items": closed(b=STRING), "uniqueItems": True}),
        closed(a={"type": "array", "prefixItems": [STRING], "items": False}),
        closed(a={**STRING, "title": "A", "description": "d" * 9000, "default": "x"}),
        with_definitions(ref("a"), a=closed(b=ref("b")), b=STRING),
        nested(10),
        closed(**{f"property_{index}": STRING for index in range(300)}),
        closed(a={"enum": ["x" * 8 for _ in range(500)]}),
    ],
)
def test_strict_schema_is_accepted(schema: Any) -> None:
    assert find_strict_schema_error(schema) is None


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        STRING,
        {"type": "array", "items": STRING},
        {"type": "object"},
        {"type": "object", "properties": {}},
        {**closed(), "anyOf": [closed()]},
        closed(a={"type": "object", "properties": {}}),
        closed(a={"type": "object", "additionalProperties": STRING}),
        closed(a={"type": "object"}),
        closed(a={}),
        closed(a=True),
        closed(a={"type": "text"}),
        closed(a={"type": 5}),
        closed(a={"type": [{}]}),
        closed(a={"type": "integer", "minimum": "x"}),
        {**closed(), "$defs": []},
        {**closed(), "required": 5},
        {**closed(), "required": [{}]},
        closed(a={"anyOf": {}}),
        closed(a={"anyOf": [5]}),
        closed(a={"$ref": 5}),
        closed(a={"enum": "x"}),
        closed(a={"enum": [{}]}),
        closed(a={"const": []}),
        {**closed(), "required": ["a"]},
        closed(a={"type": "array"}),
        closed(a={"type": "array", "items": True}),
        closed(a={"type": "array", "items": [STRING]}),
        closed(a={"type": "array", "prefixItems": [STRING]}),
        closed(a={"anyOf": [{"type": "object", "properties": {}}]}),
        with_definitions(STRING, a={"type": "object", "properties": {}}),
        with_definitions(ref("missing")),
        with_definitions({"$ref": "https://example.com/schema"}),
        with_definitions(ref("a"), a=closed(b=ref("a"))),
        with_definitions(ref("a"), a=closed(b=ref("b")), b=closed(a=ref("a"))),
        closed(a={"$ref": "#"}),
        closed(a={"$ref": "#/properties/a"}),
        closed(a=closed(b={"$ref": "#/properties/a"})),
        with_definitions(ref("a/properties/b"), a=closed(b=STRING)),
        {**closed(a={"$ref": "#/definitions/x"}), "definitions": {"x": STRING}},
        nested(11),
        closed(**{f"p{index}": STRING for index in range(501)}),
        closed(**{f"property_{index:03}" * 2: STRING for index in range(400)}),
        closed(a={"enum": [str(index) for index in range(501)]}),
        closed(a={"enum": ["x" * 31 for _ in range(251)]}),
        closed(a={"const": "x" * 5001}),
    ],
)
def test_schema_that_cannot_be_strict_is_rejected(schema: Any) -> None:
    assert find_strict_schema_error(schema)


@pytest.mark.parametrize(
    "keyword",
    [
        "$anchor",
        "allOf",
        "dependentRequired",
        "format",
        "if",
        "maxItems",
        "maxLength",
        "minItems",
        "minLength",
        "minProperties",
        "not",
        "nullable",
        "oneOf",
        "pattern",
        "patternProperties",
        "unevaluatedProperties",
    ],
)
def test_unsupported_keyword_is_named(keyword: str) -> None:
    schema = closed(a={**STRING, keyword: "x"})

    assert (
        find_strict_schema_error(schema) == f"Unsupported JSON schema fields: {{'{keyword}'}}"
    )
