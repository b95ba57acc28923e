"""Objects against the JSON schemas they were asked for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from typing_extensions import TypedDict

from langchain_cerebras_inference._conversion.structured_output import to_pipeline
from langchain_cerebras_inference._conversion.validity import fault_of
from tests.unit.test_strict_schema import DEFINITIONS, Case, composed, objects, scalars

INTEGER: Any = {"type": "integer"}
TEXT: Any = {"type": "string"}
NAMED: Any = {"$defs": {"a/b[int]": INTEGER}}
TREE: Any = {
    "type": "object",
    "properties": {"leaf": {"type": "integer"}, "next": {"$ref": "#"}},
    "required": ["leaf"],
}


def one(**schema: Any) -> Any:
    return {"type": "object", "properties": {"x": schema}, "required": ["x"]}


@given(st.data(), objects(st.recursive(scalars, composed, max_leaves=5)))
def test_what_fits_has_no_fault(data: st.DataObject, case: Case) -> None:
    overlapping = json.dumps(case[0]).replace("oneOf", "anyOf")

    assert (
        fault_of(data.draw(case[1]), json.loads(overlapping) | {"$defs": DEFINITIONS}) is None
    )


@pytest.mark.parametrize(
    ("schema", "value", "fault"),
    [
        (one(type="string"), {}, "it lacks 'x'"),
        (one(type="string"), {"x": 5}, "it.x is no string"),
        (one(type="string"), {"x": None}, "it.x is no string"),
        (one(type=["string", "null"]), {"x": 5}, "it.x is no string or null"),
        (one(type="integer"), {"x": 1.5}, "it.x is no integer"),
        (one(type="integer"), {"x": True}, "it.x is no integer"),
        (one(enum=["a", "b"]), {"x": "c"}, "it.x does not keep to enum ['a', 'b']"),
        (one(enum=[[1]]), {"x": [True]}, "it.x does not keep to enum [[1]]"),
        (one(const=1), {"x": True}, "it.x does not keep to const 1"),
        (one(const={"a": 0}), {"x": {"a": False}}, "it.x does not keep to const {'a': 0}"),
        (one(type="string", pattern="^a"), {"x": "b"}, "it.x does not keep to pattern '^a'"),
        (one(type="string", minLength=2), {"x": "b"}, "it.x does not keep to minLength 2"),
        (one(type="array", minItems=1), {"x": []}, "it.x does not keep to minItems 1"),
        (one(uniqueItems=True), {"x": [1, "1", 1.0]}, "it.x does not keep to uniqueItems"),
        (one(type="integer", maximum=5), {"x": 6}, "it.x does not keep to maximum 5"),
        (one(multipleOf=0.1), {"x": 0.35}, "it.x does not keep to multipleOf 0.1"),
        (one(items=INTEGER), {"x": [1, "a"]}, "it.x[1] is no integer"),
        (one(items=[TEXT, INTEGER]), {"x": ["a", "b"]}, "it.x[1] is no integer"),
        (one(items=[TEXT], additionalItems=False), {"x": ["a", 1]}, "it.x[1] may not be"),
        (one(prefixItems=[{"type": "null"}], items=False), {"x": [1]}, "it.x[0] is no null"),
        (one(prefixItems=[TEXT], items=INTEGER), {"x": ["a", "b"]}, "it.x[1] is no integer"),
        (one(prefixItems=[TEXT], items=False), {"x": ["a", 1]}, "it.x[1] may not be there"),
        (one(contains=TEXT), {"x": [1]}, "it.x does not keep to contains"),
        (one(contains=TEXT, maxContains=1), {"x": ["a", "b"]}, "it.x does not keep to cont"),
        (one(anyOf=[{"type": "null"}, {"minimum": 3}]), {"x": 1}, "it.x does not keep to any"),
        (one(oneOf=[INTEGER, {"type": "number"}]), {"x": 1}, "it.x does not keep to oneOf"),
        (one(oneOf=[INTEGER, TEXT]), {"x": None}, "it.x does not keep to oneOf"),
        (one(allOf=[INTEGER]), {"x": "a"}, "it.x is no integer"),
        (one(**{"not": TEXT}), {"x": "a"}, "it.x does not keep to not"),
        (
            one(**{"if": TEXT, "then": {"minLength": 2}}),
            {"x": "a"},
            "it.x does not keep to min",
        ),
        (one(**{"if": TEXT, "else": {"minimum": 2}}), {"x": 1}, "it.x does not keep to min"),
        (one() | {"additionalProperties": False}, {"x": 1, "y": 2}, "it.y may not be there"),
        (one(additionalProperties=INTEGER), {"x": {"a": "b"}}, "it.x.a is no integer"),
        (one(patternProperties={"^a": INTEGER}), {"x": {"ab": "b"}}, "it.x.ab is no integer"),
        (
            one(patternProperties={"^a": INTEGER}, additionalProperties=TEXT),
            {"x": {"a": 1, "b": 2}},
            "it.x.b is no string",
        ),
        (
            one(propertyNames={"maxLength": 2}),
            {"x": {"abc": 1}},
            "it.x, in its name 'abc', does not keep to maxLength 2",
        ),
        (one(dependentRequired={"a": ["b"]}), {"x": {"a": 1}}, "it.x does not keep to dep"),
        (one(type="no type", enum=["a"]), {"x": "b"}, "it.x does not keep to enum"),
        (
            one(pattern=r"^\p{L}+$", minLength=2),
            {"x": "b"},
            "it.x does not keep to minLength 2",
        ),
        (one(**{"$ref": "#/no", "type": "integer"}), {"x": "a"}, "it.x is no integer"),
        (one(**{"$ref": "#/$defs/a~1b%5Bint%5D"}) | NAMED, {"x": "a"}, "it.x is no integer"),
        (TREE, {"leaf": 1, "next": {"leaf": "a"}}, "it.next.leaf is no integer"),
    ],
)
def test_what_does_not_fit_is_named(schema: Any, value: Any, fault: str) -> None:
    assert str(fault_of(value, schema)).startswith(fault)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (one(type="string", nullable=True), {"x": None}),
        (TREE, {"leaf": 1, "next": {"leaf": 2.0}}),
        (TREE, {"leaf": 1, "next": None}),
        (one(const=1), {"x": 1.0}),
        (one(enum=[{"a": 1, "b": 2}]), {"x": {"b": 2, "a": 1}}),
        (one(uniqueItems=True), {"x": [1, True, [1], [True], {"a": 1}, {"a": True}]}),
        (one(uniqueItems=False), {"x": [1, 1]}),
        (one(multipleOf=0.1), {"x": 0.3}),
        (one(contains=TEXT, minContains=0), {"x": []}),
        (one(oneOf=[INTEGER, TEXT]), {"x": "a"}),
        (one(**{"not": TEXT}), {"x": 1}),
        (one(**{"if": TEXT, "then": {"minLength": 2}}), {"x": 1}),
        (one(items=[TEXT]), {"x": ["a", 1]}),
        (one(dependentRequired={"a": ["b"]}), {"x": {"c": 1}}),
        (one(additionalProperties=INTEGER), {"x": {"a": 1}}),
        (one(propertyNames={"maxLength": 2}), {"x": {"ab": 1}}),
    ],
)
def test_what_fits_in_an_odd_way_has_no_fault(schema: Any, value: Any) -> None:
    assert fault_of(value, schema) is None


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (one(), {"x": object()}),
        (one(pattern="(", type="string"), {"x": "a"}),
        (one(minimum="three"), {"x": 1}),
        (one(type="unheard-of"), {"x": 1}),
        ({"$ref": "#"}, {}),
        ({"$ref": "elsewhere.json"}, {}),
        ({"$ref": "#/$defs/Missing"}, {}),
        (one(items=True), {"x": [1]}),
        (one(**{"not": {"format": "date"}}), {"x": "2026-01-01"}),
        (one(**{"not": {"not": {"format": "date"}}}), {"x": "a"}),
        (one(**{"not": one(type="null") | {"required": []}}), {"x": {"x": None}}),
        (one(oneOf=[{"format": "ipv4"}, {"format": "ipv6"}]), {"x": "::1"}),
        (one(contains={"format": "date"}), {"x": ["a"]}),
        (one(**{"if": {"format": "date"}, "then": INTEGER, "else": INTEGER}), {"x": "a"}),
        (one(multipleOf=0), {"x": 1}),
    ],
)
def test_what_cannot_be_judged_is_no_fault(schema: Any, value: Any) -> None:
    assert fault_of(value, schema) is None


class Joke(TypedDict):
    """A joke."""

    setup: str
    rating: int | None


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (Joke, '{"setup": 5}'),
        ({"title": "joke", **one(type="string", minLength=3)}, '{"x": "ab"}'),
    ],
)
def test_an_answer_that_is_no_class_is_checked_too(schema: Any, text: str) -> None:
    model: RunnableLambda[Any, AIMessage] = RunnableLambda(lambda _: AIMessage(text))

    with pytest.raises(OutputParserException, match="The answer does not fit the schema: it"):
        to_pipeline(model, schema, tool_name=None, include_raw=False).invoke("")

    whole = to_pipeline(model, schema, tool_name=None, include_raw=True).invoke("")
    assert whole["parsed"] is None
    assert isinstance(whole["parsing_error"], OutputParserException)
