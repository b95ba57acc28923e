"""Objects against the JSON schemas they were asked for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from typing_extensions import TypedDict

from langchain_cerebras_inference._conversion.structured import to_pipeline
from langchain_cerebras_inference._conversion.validity import fault_of
from tests.unit.test_schemas import DEFINITIONS, Case, composed, objects, scalars

TREE: Any = {
    "type": "object",
    "properties": {"leaf": {"type": "integer"}, "next": {"$ref": "#"}},
    "required": ["leaf"],
}


def one(**schema: Any) -> Any:
    return {"type": "object", "properties": {"x": schema}, "required": ["x"]}


@given(st.data(), objects(st.recursive(scalars, composed, max_leaves=5)))
def test_what_fits_has_no_fault(data: st.DataObject, case: Case) -> None:
    assert fault_of(data.draw(case[1]), case[0] | {"$defs": DEFINITIONS}) is None


@pytest.mark.parametrize(
    ("schema", "value", "fault"),
    [
        (one(type="string"), {}, "it lacks 'x'"),
        (one(type="string"), {"x": 5}, "it.x is no string"),
        (one(type="string"), {"x": None}, "it.x is no string"),
        (one(type=["string", "null"]), {"x": 5}, "it.x is no string or null"),
        (one(type="integer"), {"x": 1.5}, "it.x is no integer"),
        (one(type="integer"), {"x": True}, "it.x is no integer"),
        (one(enum=["a", "b"]), {"x": "c"}, "it.x is none of the values it may have"),
        (one(const="a"), {"x": "c"}, "it.x is none of the values it may have"),
        (one(type="string", pattern="^a"), {"x": "b"}, "it.x does not keep to pattern '^a'"),
        (one(type="string", minLength=2), {"x": "b"}, "it.x does not keep to minLength 2"),
        (one(type="array", minItems=1), {"x": []}, "it.x does not keep to minItems 1"),
        (one(type="integer", maximum=5), {"x": 6}, "it.x does not keep to maximum 5"),
        (one(items={"type": "integer"}), {"x": [1, "a"]}, "it.x[1] is no integer"),
        (one(prefixItems=[{"type": "null"}], items=False), {"x": [1]}, "it.x[0] is no null"),
        (
            one(anyOf=[{"type": "null"}, {"minimum": 3}]),
            {"x": 1},
            "it.x fits no branch of anyOf",
        ),
        (one(allOf=[{"type": "integer"}]), {"x": "a"}, "it.x is no integer"),
        (one() | {"additionalProperties": False}, {"x": 1, "y": 2}, "it has 'y', which"),
        (TREE, {"leaf": 1, "next": {"leaf": "a"}}, "it.next.leaf is no integer"),
    ],
)
def test_what_does_not_fit_is_named(schema: Any, value: Any, fault: str) -> None:
    assert str(fault_of(value, schema)).startswith(fault)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (TREE, {"leaf": 1, "next": {"leaf": 2.0}}),
        (TREE, {"leaf": 1, "next": None}),
        (one(), {"x": object()}),
        (one(pattern="(", type="string"), {"x": "a"}),
        (one(minimum="three"), {"x": 1}),
        (one(type="unheard-of"), {"x": 1}),
        ({"$ref": "#"}, {}),
        ({"$ref": "elsewhere.json"}, {}),
        ({"$ref": "#/$defs/Missing"}, {}),
        ({"anyOf": []}, {}),
        (one(items=True), {"x": [1]}),
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
