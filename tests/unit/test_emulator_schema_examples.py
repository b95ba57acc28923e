import json
from typing import Any

import pytest

from langchain_cerebras_inference.emulator.schema_examples import make_example

STRING = {"type": "string"}
LIST = {"type": "array", "items": STRING}
DAY = "2026-01-31"


def make_property(schema: Any, prompt: str = "") -> Any:
    """Make an example of an object whose one property, `id`, has this schema."""
    root = {"type": "object", "properties": {"id": schema}, "required": ["id"]}
    return make_example(root, prompt)["id"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (STRING, "an example id"),
        ({"type": "integer"}, 1),
        ({"type": "number", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "number", "exclusiveMaximum": 0, "exclusiveMinimum": -1}, -0.5),
        ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "string"]}, "an example id"),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": [1]}, [1]),
        ({"type": "string", "default": "d"}, "d"),
        ({"type": "integer", "default": 4}, 4),
        ({"type": "string", "format": "date"}, DAY),
        ({**STRING, "description": "The day. (format date)"}, DAY),
        ({**STRING, "description": "in some format"}, "an example id"),
        ({**STRING, "description": "(min length 9; max length lots)"}, "an example id"),
        ({**STRING, "description": "(max length 2; format other)"}, "an"),
        ({**STRING, "description": "(min length 14; max length 14)"}, "an example id."),
        ({**STRING, "description": "(pattern ^(a|b); examples ['a'])"}, "a"),
        ({"anyOf": [{**STRING, "description": "(format date)"}], "description": "When"}, DAY),
        ({**STRING, "pattern": r"^[A-Z]{2}-\d{4}$"}, "AA-0000"),
        ({**STRING, "pattern": r"^(?:Mr|Mrs)\. \w+$"}, "Mr. 0"),
        ({**STRING, "pattern": r"^[a-z]+\d?$", "minLength": 3}, "aaa0"),
        ({**STRING, "pattern": r"["}, ""),
        ({**STRING, "pattern": r"^\p{L}$"}, "L"),
        ({"type": "string", "minLength": 20, "maxLength": 20}, "an example id......."),
        ({"type": "string", "maxLength": 2}, "an"),
        (LIST, ["an example id"]),
        ({**LIST, "minItems": 2}, ["an example id"] * 2),
        ({**LIST, "maxItems": 0}, []),
        ({**LIST, "description": "(min items 2; max items 2)"}, ["an example id"] * 2),
        ({**LIST, "minItems": 2, "uniqueItems": True}, ["an example id", "an example id 2"]),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
            [1, 2, 3],
        ),
        (
            {"type": "array", "prefixItems": [STRING, {"type": "null"}]},
            ["an example id", None],
        ),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"oneOf": [{"type": "integer"}]}, 1),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, 3),
        ({"anyOf": [{}], "allOf": [{"type": "integer"}]}, 1),
        ({"type": "object"}, {}),
        ({}, "an example id"),
        (True, "an example id"),
    ],
)
def test_example_fits_its_schema(schema: Any, value: Any) -> None:
    assert make_property(schema) == value


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
def test_example_comes_from_the_prompt(schema: Any, prompt: str, value: Any) -> None:
    assert make_property(schema, prompt) == value


def test_free_text_property_gets_the_whole_prompt() -> None:
    schema = {"type": "object", "properties": {"query": STRING}, "required": ["query"]}

    assert make_example(schema, "who won") == {"query": "who won"}


def test_optional_property_is_present_only_if_the_prompt_has_a_value() -> None:
    unit = {"type": "string", "enum": ["C", "F"]}
    schema = {
        "type": "object",
        "properties": {"city": STRING, "unit": unit, "days": {"type": "integer"}},
    }

    assert make_example(schema, "") == {}
    assert make_example(schema, "'Rome', 3 days, in F") == {
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
def test_keyword_with_a_value_of_the_wrong_type_is_ignored(schema: Any) -> None:
    assert make_property(schema) is not None


def test_numbers_of_the_prompt_are_used_once_and_in_order() -> None:
    integer = {"type": "integer"}
    schema = {
        "type": "object",
        "properties": {"a": integer, "b": integer},
        "required": ["a", "b"],
    }

    assert make_example(schema, "multiply 6 by 7") == {"a": 6, "b": 7}


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
def test_size_of_an_example_is_limited(schema: Any) -> None:
    assert len(json.dumps(make_property(schema))) < 1_000_000


@pytest.mark.parametrize(
    "node",
    [
        {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        {"type": "array", "items": {"$ref": "#/$defs/node"}},
        {"$ref": "#/$defs/node"},
    ],
)
def test_recursive_schema_has_a_finite_example(node: Any) -> None:
    tree = {
        "type": "object",
        "properties": {"next": node, "other": node},
        "required": ["next", "other"],
    }

    assert make_example({"$ref": "#/$defs/node", "$defs": {"node": tree}}, "")
