import json
from typing import Any

import pytest

from langchain_cerebras_inference.emulator.instances import Filler
from langchain_cerebras_inference.emulator.schemas import strict_fault

STRING = {"type": "string"}
DAY = "2026-01-31"
LIST = {"type": "array", "items": STRING}


def closed(**properties: Any) -> dict[str, Any]:
    form = {"type": "object", "additionalProperties": False}
    return {**form, "properties": properties}


def nested(levels: int) -> dict[str, Any]:
    return closed(inner=nested(levels - 1)) if levels > 1 else closed()


def defined(node: Any, **definitions: Any) -> dict[str, Any]:
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
        defined(ref("a"), a=closed(b=ref("b")), b=STRING),
        nested(10),
        closed(**{f"property_{index}": STRING for index in range(300)}),
        closed(a={"enum": ["x" * 8 for _ in range(500)]}),
    ],
)
def test_a_strict_schema_is_taken(schema: Any) -> None:
    assert strict_fault(schema) is None


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
        defined(STRING, a={"type": "object", "properties": {}}),
        defined(ref("missing")),
        defined({"$ref": "https://example.com/schema"}),
        defined(ref("a"), a=closed(b=ref("a"))),
        defined(ref("a"), a=closed(b=ref("b")), b=closed(a=ref("a"))),
        closed(a={"$ref": "#"}),
        closed(a={"$ref": "#/properties/a"}),
        closed(a=closed(b={"$ref": "#/properties/a"})),
        defined(ref("a/properties/b"), a=closed(b=STRING)),
        {**closed(a={"$ref": "#/definitions/x"}), "definitions": {"x": STRING}},
        nested(11),
        closed(**{f"p{index}": STRING for index in range(501)}),
        closed(**{f"property_{index:03}" * 2: STRING for index in range(400)}),
        closed(a={"enum": [str(index) for index in range(501)]}),
        closed(a={"enum": ["x" * 31 for _ in range(251)]}),
        closed(a={"const": "x" * 5001}),
    ],
)
def test_a_schema_that_cannot_be_strict_is_refused(schema: Any) -> None:
    assert strict_fault(schema)


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
def test_an_unsupported_keyword_is_named(keyword: str) -> None:
    schema = closed(a={**STRING, keyword: "x"})

    assert strict_fault(schema) == f"Unsupported JSON schema fields: {{'{keyword}'}}"


def fill(schema: Any, prompt: str = "") -> Any:
    return Filler(
        {"type": "object", "properties": {"it": schema}, "required": ["it"]}, prompt
    ).fill()["it"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (STRING, "an example it"),
        ({"type": "integer"}, 1),
        ({"type": "number", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "number", "exclusiveMaximum": 0, "exclusiveMinimum": -1}, -0.5),
        ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "string"]}, "an example it"),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": [1]}, [1]),
        ({"type": "string", "default": "d"}, "d"),
        ({"type": "integer", "default": 4}, 4),
        ({"type": "string", "format": "date"}, DAY),
        ({**STRING, "description": "The day. (format date)"}, DAY),
        ({**STRING, "description": "in some format"}, "an example it"),
        ({**STRING, "description": "(min length 9; max length lots)"}, "an example it"),
        ({**STRING, "description": "(max length 2; format other)"}, "an"),
        ({**STRING, "description": "(min length 14; max length 14)"}, "an example it."),
        ({**STRING, "description": "(pattern ^(a|b); examples ['a'])"}, "a"),
        ({"anyOf": [{**STRING, "description": "(format date)"}], "description": "When"}, DAY),
        ({**STRING, "pattern": r"^[A-Z]{2}-\d{4}$"}, "AA-0000"),
        ({**STRING, "pattern": r"^(?:Mr|Mrs)\. \w+$"}, "Mr. 0"),
        ({**STRING, "pattern": r"^[a-z]+\d?$", "minLength": 3}, "aaa0"),
        ({**STRING, "pattern": r"["}, ""),
        ({**STRING, "pattern": r"^\p{L}$"}, "L"),
        ({"type": "string", "minLength": 20, "maxLength": 20}, "an example it......."),
        ({"type": "string", "maxLength": 2}, "an"),
        (LIST, ["an example it"]),
        ({**LIST, "minItems": 2}, ["an example it"] * 2),
        ({**LIST, "maxItems": 0}, []),
        ({**LIST, "description": "(min items 2; max items 2)"}, ["an example it"] * 2),
        ({**LIST, "minItems": 2, "uniqueItems": True}, ["an example it", "an example it 2"]),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
            [1, 2, 3],
        ),
        (
            {"type": "array", "prefixItems": [STRING, {"type": "null"}]},
            ["an example it", None],
        ),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"oneOf": [{"type": "integer"}]}, 1),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, 3),
        ({"type": "object"}, {}),
        ({}, "an example it"),
        (True, "an example it"),
    ],
)
def test_a_value_fits_its_schema(schema: Any, value: Any) -> None:
    assert fill(schema) == value


@pytest.mark.parametrize(
    ("schema", "prompt", "value"),
    [
        ({"type": "integer"}, "f(3)", 3),
        ({"type": "integer"}, "1.5 or -2", -2),
        ({"type": "integer", "minimum": 10}, "3 of 12", 12),
        ({"type": "number"}, "utf8 and 2.5", 2.5),
        ({"type": "integer"}, "not " + "9" * 400 + " but 3", 3),
        (STRING, 'say "hello there"', "hello there"),
        ({**STRING, "pattern": "^B"}, "'Ada' and 'Bob'", "Bob"),
        (STRING, "it's for 'Ada'", "Ada"),
        (STRING, "the weather in San Francisco, CA?", "San Francisco, CA"),
        ({"enum": ["celsius", "fahrenheit"]}, "in Fahrenheit", "fahrenheit"),
        ({"type": "array", "items": {"type": "integer"}}, "add 1, 2 and 3", [1, 2, 3]),
    ],
)
def test_a_value_comes_from_the_prompt(schema: Any, prompt: str, value: Any) -> None:
    assert fill(schema, prompt) == value


def test_a_free_text_parameter_gets_the_whole_prompt() -> None:
    schema = {"type": "object", "properties": {"query": STRING}, "required": ["query"]}

    assert Filler(schema, "who won").fill() == {"query": "who won"}


def test_an_optional_property_is_filled_only_from_the_prompt() -> None:
    unit = {"type": "string", "enum": ["C", "F"]}
    schema = {
        "type": "object",
        "properties": {"city": STRING, "unit": unit, "days": {"type": "integer"}},
    }

    assert Filler(schema, "").fill() == {}
    assert Filler(schema, "'Rome', 3 days, in F").fill() == {
        "city": "Rome",
        "unit": "F",
        "days": 3,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": 5, "minLength": "x", "pattern": []},
        {"type": "integer", "minimum": "x", "multipleOf": 0},
        {"type": "object", "properties": [], "required": 5},
        {"type": "object", "required": [{}], "properties": {"a": 5}},
        {"type": "array", "items": [], "minItems": "x"},
        {"anyOf": {}, "enum": "x"},
        {"anyOf": [True]},
        {"allOf": [True]},
    ],
)
def test_a_keyword_of_the_wrong_form_says_nothing(schema: Any) -> None:
    assert fill(schema) is not None


def test_values_are_used_once_and_in_order() -> None:
    integer = {"type": "integer"}
    schema = {
        "type": "object",
        "properties": {"a": integer, "b": integer},
        "required": ["a", "b"],
    }

    assert Filler(schema, "multiply 6 by 7").fill() == {"a": 6, "b": 7}


@pytest.mark.parametrize(
    "schema",
    [
        {**LIST, "minItems": 10**9},
        {"type": "array", "items": {**LIST, "minItems": 10**4}, "minItems": 10**4},
        {**STRING, "minLength": 10**9},
        {**STRING, "pattern": ".+", "minLength": 10**9},
        {**STRING, "pattern": "a{999999999}"},
    ],
)
def test_what_is_asked_for_without_measure_is_given_in_measure(schema: Any) -> None:
    assert len(json.dumps(fill(schema))) < 1_000_000


@pytest.mark.parametrize(
    "node",
    [
        {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        {"type": "array", "items": {"$ref": "#/$defs/node"}},
        {"$ref": "#/$defs/node"},
    ],
)
def test_recursion_comes_to_an_end(node: Any) -> None:
    tree = {
        "type": "object",
        "properties": {"next": node, "other": node},
        "required": ["next", "other"],
    }

    assert Filler({"$ref": "#/$defs/node", "$defs": {"node": tree}}, "").fill()
