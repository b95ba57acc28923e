"""Tools and the choice among them → wire."""

import logging
import re
from typing import Any, NotRequired

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_cerebras_inference._conversion.tools import (
    to_openai_choice,
    to_openai_tools,
    to_wire_choice,
    to_wire_name,
    to_wire_tools,
)


class Tide(BaseModel):
    """The tide at a place."""

    place: str


@tool
def height(place: str) -> int:
    """The height of a lighthouse."""
    return len(place)


def depth(place: str) -> int:
    """The depth of a harbour.

    Args:
        place: Its name.
    """
    return len(place)


SCHEMA = {
    "title": "Wind",
    "description": "The wind at a place.",
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
}
DICT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "wave",
        "description": "The waves at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}
ANTHROPIC = {
    "name": "wave",
    "description": "The waves at a place.",
    "input_schema": DICT["function"]["parameters"],
}
CLOSED = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "additionalProperties": False,
}


def function(name: str, **more: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"place": {"type": "string"}}}
    return {
        "type": "function",
        "function": {"name": name, "description": "", "parameters": parameters, **more},
    }


class Surf(TypedDict):
    """The surf at a place."""

    place: str
    hour: NotRequired[int]


BOUND = [function("tide"), function("wind")]


# --- binding -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name", "description"),
    [
        (Tide, "Tide", "The tide at a place."),
        (Surf, "Surf", "The surf at a place."),
        (height, "height", "The height of a lighthouse."),
        (depth, "depth", "The depth of a harbour."),
        (SCHEMA, "Wind", "The wind at a place."),
        (DICT, "wave", "The waves at a place."),
        ({"type": "function", **DICT["function"]}, "wave", "The waves at a place."),
        (ANTHROPIC, "wave", "The waves at a place."),
        ({"type": "custom", **ANTHROPIC}, "wave", "The waves at a place."),
    ],
)
def test_tools_of_any_kind_become_functions(given: Any, name: str, description: str) -> None:
    [bound] = to_openai_tools([given])

    assert bound["type"] == "function"
    assert bound["function"]["name"] == name
    assert bound["function"]["description"] == description
    assert bound["function"]["parameters"]["properties"]["place"]["type"] == "string"
    assert "strict" not in bound["function"]


@pytest.mark.parametrize("strict", [True, False])
def test_strict_is_said_of_every_tool(strict: bool) -> None:
    bound = to_openai_tools([Tide, DICT], strict=strict)

    assert [each["function"]["strict"] for each in bound] == [strict, strict]
    assert "strict" not in DICT["function"]


def test_a_tool_keeps_its_own_word_on_strict() -> None:
    [bound] = to_openai_tools([function("tide", strict=True)])

    assert bound["function"]["strict"] is True


@pytest.mark.parametrize(
    "given",
    [
        {"type": "web_search"},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "mcp", "server_label": "harbour", "server_url": "https://example.com"},
        {"type": "custom", "name": "wave"},
        {"type": "function"},
        {"type": "function", "function": {}},
        {"type": "function", "function": None},
    ],
)
def test_what_is_no_function_of_the_users_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^a tool of type '{given['type']}' names no func"):
        to_openai_tools([DICT, given])


# --- choice ------------------------------------------------------------------------------

NAMED = {"type": "function", "function": {"name": "wind"}}


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (None, None),
        (False, None),
        (True, "required"),
        ("any", "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("wind", NAMED),
        (NAMED, NAMED),
        ({"type": "tool", "name": "wind"}, NAMED),
        ({"name": "wind"}, NAMED),
        ({"function": {"name": "wind"}}, NAMED),
        ({"type": "any"}, "required"),
        ({"type": "required"}, "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
    ],
)
def test_a_choice_in_any_form_is_one_cerebras_knows(given: Any, choice: Any) -> None:
    assert to_openai_choice(given, BOUND) == choice


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("rain", "'rain'"),
        ({"type": "tool", "name": "rain"}, "'rain'"),
        ({"type": ["tool"], "name": ["rain"]}, r"\['rain'\]"),
        (["wind"], r"\['wind'\]"),
        (5, "5"),
    ],
)
def test_a_choice_of_a_tool_that_is_not_bound_is_refused(given: Any, named: str) -> None:
    with pytest.raises(
        ValueError,
        match=rf"^tool_choice {named} is not the name of a bound tool: \['tide', 'wind'\]",
    ):
        to_openai_choice(given, BOUND)


@pytest.mark.parametrize(
    "given",
    [{}, {"type": "function"}, {"type": "tool", "name": ""}, {"function": "wind"}],
)
def test_a_choice_that_names_nothing_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="tool_choice names no tool"):
        to_openai_choice(given, BOUND)


def test_a_tool_named_like_a_word_of_the_choice_is_not_chosen_by_it() -> None:
    assert to_openai_choice("auto", [function("auto")]) == "auto"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("required", "required"),
        (NAMED, NAMED),
        (
            {"type": "function", "function": {"name": "math.add"}},
            {"type": "function", "function": {"name": "math_add_ecef409b"}},
        ),
    ],
)
def test_a_chosen_tool_has_the_name_it_is_sent_under(choice: Any, sent: Any) -> None:
    assert to_wire_choice(choice) == sent


# --- names -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tide", "Tide_2-b", "a" * 64, "_"])
def test_a_name_cerebras_accepts_stays(name: str) -> None:
    assert to_wire_name(name) == name


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("math.add", "math_add_ecef409b"),
        ("math/add", "math_add_bc986fc6"),
        ("math add", "math_add_47dba5ca"),
        ("", "_e3b0c442"),
        ("a" * 65, "a" * 55 + "_635361c4"),
        ("tide\n", "tide__556145c0"),
    ],
)
def test_another_name_is_mapped_and_stays_apart(name: str, sent: str) -> None:
    assert to_wire_name(name) == sent


@given(st.lists(st.text(max_size=80), unique=True, max_size=6))
def test_every_name_goes_out_acceptable_and_comes_back(names: list[str]) -> None:
    wire, back = to_wire_tools([function(name) for name in names if name])
    sent = [each["function"]["name"] for each in wire]

    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in sent)
    assert [back.get(name, name) for name in sent] == [name for name in names if name]


def test_only_names_that_differ_are_mapped_back() -> None:
    wire, back = to_wire_tools([function("tide"), function("math.add")])

    assert [each["function"]["name"] for each in wire] == ["tide", "math_add_ecef409b"]
    assert back == {"math_add_ecef409b": "math.add"}


# --- strict ------------------------------------------------------------------------------


def test_without_strict_the_schemas_go_out_as_they_are() -> None:
    wire, _ = to_wire_tools([function("tide", strict=False), function("wind")])

    assert wire == [function("tide"), function("wind")]


def test_all_tools_are_strict_if_one_asks_and_all_can_be() -> None:
    wire, _ = to_wire_tools([function("tide", strict=True), function("wind", strict=False)])

    assert [each["function"]["strict"] for each in wire] == [True, True]
    assert [each["function"]["parameters"] for each in wire] == [CLOSED, CLOSED]


def test_a_tool_without_parameters_can_be_strict() -> None:
    bare = {"type": "function", "function": {"name": "now", "strict": True}}

    [wire], _ = to_wire_tools([bare])

    assert wire["function"] == {
        "name": "now",
        "strict": True,
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    }


def test_no_tool_is_strict_if_one_cannot_be_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Open(BaseModel):
        """Any keys."""

        facts: dict[str, int] = Field(default_factory=dict)

    bound = to_openai_tools([function("never_strict"), Open], strict=True)

    with caplog.at_level(logging.WARNING):
        wires = [to_wire_tools(bound)[0] for _ in range(2)]

    assert wires[0] == wires[1]
    assert [each["function"].get("strict") for each in wires[0]] == [None, None]
    assert wires[0][0] == function("never_strict")
    [said] = caplog.messages
    assert said.startswith("the tools never_strict, Open are sent without strict")


@pytest.mark.parametrize("strict", [True, False])
def test_of_a_function_only_what_cerebras_knows_is_sent(strict: bool) -> None:
    unknown = {"cache_control": {"type": "ephemeral"}, "examples": [1], "returns": {}}
    bound = [function("tide", strict=strict, **unknown)]

    assert to_wire_tools(bound) == to_wire_tools([function("tide", strict=strict)])
    assert to_wire_tools([{"function": {"name": "now", "description": None}}]) == (
        [{"type": "function", "function": {"name": "now"}}],
        {},
    )


def test_tools_are_not_changed() -> None:
    given = [function("tide", strict=True), function("math.add")]

    to_wire_tools(given)

    assert given == [function("tide", strict=True), function("math.add")]
