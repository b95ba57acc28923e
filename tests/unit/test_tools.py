"""Conversion of tools and tool choices."""

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
    build_request_tool_choice,
    build_request_tools,
    convert_tool_choice,
    convert_tools,
    to_accepted_name,
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


JSON_SCHEMA = {
    "title": "Wind",
    "description": "The wind at a place.",
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
}
TOOL_DICT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "wave",
        "description": "The waves at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}
ANTHROPIC_TOOL = {
    "name": "wave",
    "description": "The waves at a place.",
    "input_schema": TOOL_DICT["function"]["parameters"],
}
STRICT_PARAMETERS = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "additionalProperties": False,
}


def create_tool(name: str, **keys: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"place": {"type": "string"}}}
    return {
        "type": "function",
        "function": {"name": name, "description": "", "parameters": parameters, **keys},
    }


class Surf(TypedDict):
    """The surf at a place."""

    place: str
    hour: NotRequired[int]


TOOLS = [create_tool("tide"), create_tool("wind")]


# --- tools of any kind -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool_like", "name", "description"),
    [
        (Tide, "Tide", "The tide at a place."),
        (Surf, "Surf", "The surf at a place."),
        (height, "height", "The height of a lighthouse."),
        (depth, "depth", "The depth of a harbour."),
        (JSON_SCHEMA, "Wind", "The wind at a place."),
        (TOOL_DICT, "wave", "The waves at a place."),
        ({"type": "function", **TOOL_DICT["function"]}, "wave", "The waves at a place."),
        (ANTHROPIC_TOOL, "wave", "The waves at a place."),
        ({"type": "custom", **ANTHROPIC_TOOL}, "wave", "The waves at a place."),
    ],
)
def test_tool_of_any_kind_becomes_a_function(
    tool_like: Any, name: str, description: str
) -> None:
    [converted] = convert_tools([tool_like])

    assert converted["type"] == "function"
    assert converted["function"]["name"] == name
    assert converted["function"]["description"] == description
    assert converted["function"]["parameters"]["properties"]["place"]["type"] == "string"
    assert "strict" not in converted["function"]


@pytest.mark.parametrize("strict", [True, False])
def test_strict_option_applies_to_every_tool(strict: bool) -> None:
    converted = convert_tools([Tide, TOOL_DICT], strict=strict)

    assert [tool["function"]["strict"] for tool in converted] == [strict, strict]
    assert "strict" not in TOOL_DICT["function"]


def test_strict_mode_of_a_tool_is_kept_by_default() -> None:
    [converted] = convert_tools([create_tool("tide", strict=True)])

    assert converted["function"]["strict"] is True


@pytest.mark.parametrize(
    "foreign_tool",
    [
        {"type": "web_search"},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "mcp", "server_label": "harbour", "server_url": "https://example.com"},
        {"type": "custom", "name": "wave"},
    ],
)
def test_tool_of_another_provider_is_rejected(foreign_tool: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=f"^A tool of type '{foreign_tool['type']}' is not a function, and"
    ):
        convert_tools([TOOL_DICT, foreign_tool])


@pytest.mark.parametrize(
    "unnamed_tool",
    [
        {"type": "function"},
        {"type": "function", "function": {}},
        {"type": "function", "function": None},
    ],
)
def test_tool_without_a_name_is_rejected(unnamed_tool: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^A tool has no name"):
        convert_tools([TOOL_DICT, unnamed_tool])


# --- choice ------------------------------------------------------------------------------

WIND_CHOICE = {"type": "function", "function": {"name": "wind"}}


@pytest.mark.parametrize(
    ("choice", "converted"),
    [
        (None, None),
        (False, None),
        (True, "required"),
        ("any", "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("wind", WIND_CHOICE),
        (WIND_CHOICE, WIND_CHOICE),
        ({"type": "tool", "name": "wind"}, WIND_CHOICE),
        ({"name": "wind"}, WIND_CHOICE),
        ({"function": {"name": "wind"}}, WIND_CHOICE),
        ({"type": "any"}, "required"),
        ({"type": "required"}, "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
    ],
)
def test_tool_choice_in_any_form_is_converted(choice: Any, converted: Any) -> None:
    assert convert_tool_choice(choice, TOOLS) == converted


@pytest.mark.parametrize(
    ("choice", "quoted"),
    [
        ("rain", "'rain'"),
        ({"type": "tool", "name": "rain"}, "'rain'"),
        ({"type": ["tool"], "name": ["rain"]}, r"\['rain'\]"),
        (["wind"], r"\['wind'\]"),
        (5, "5"),
    ],
)
def test_choice_of_an_unbound_tool_is_rejected(choice: Any, quoted: str) -> None:
    with pytest.raises(
        ValueError,
        match=rf"^tool_choice {quoted} is not the name of a bound tool\. .* \['tide', 'wind'\]",
    ):
        convert_tool_choice(choice, TOOLS)


@pytest.mark.parametrize(
    "choice",
    [{}, {"type": "function"}, {"type": "tool", "name": ""}, {"function": "wind"}],
)
def test_choice_without_a_name_is_rejected(choice: Any) -> None:
    with pytest.raises(ValueError, match=r"^tool_choice \{.*\} names no tool\. Pass the name"):
        convert_tool_choice(choice, TOOLS)


def test_tool_choice_auto_does_not_choose_a_tool_named_auto() -> None:
    assert convert_tool_choice("auto", [create_tool("auto")]) == "auto"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("required", "required"),
        (WIND_CHOICE, WIND_CHOICE),
        (
            {"type": "function", "function": {"name": "math.add"}},
            {"type": "function", "function": {"name": "math_add_ecef409b"}},
        ),
    ],
)
def test_tool_choice_uses_the_name_in_the_request(choice: Any, sent: Any) -> None:
    assert build_request_tool_choice(choice) == sent


# --- names -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tide", "Tide_2-b", "a" * 64, "_"])
def test_accepted_name_is_kept(name: str) -> None:
    assert to_accepted_name(name) == name


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
def test_unaccepted_name_is_mapped_to_a_unique_one(name: str, sent: str) -> None:
    assert to_accepted_name(name) == sent


@given(st.lists(st.text(max_size=80), unique=True, max_size=6))
def test_every_name_is_accepted_and_can_be_mapped_back(names: list[str]) -> None:
    names = [name for name in names if name]

    tools, original_names = build_request_tools([create_tool(name) for name in names])

    sent = [tool["function"]["name"] for tool in tools]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in sent)
    assert [original_names.get(name, name) for name in sent] == names


def test_only_changed_names_are_mapped_back() -> None:
    tools, original_names = build_request_tools([create_tool("tide"), create_tool("math.add")])

    assert [tool["function"]["name"] for tool in tools] == ["tide", "math_add_ecef409b"]
    assert original_names == {"math_add_ecef409b": "math.add"}


# --- strict ------------------------------------------------------------------------------


def test_tools_without_strict_mode_keep_their_schemas() -> None:
    tools, _ = build_request_tools([create_tool("tide", strict=False), create_tool("wind")])

    assert tools == [create_tool("tide"), create_tool("wind")]


def test_all_tools_are_strict_if_one_is_strict_and_all_can_be() -> None:
    tools, _ = build_request_tools(
        [create_tool("tide", strict=True), create_tool("wind", strict=False)]
    )

    assert tools == [
        create_tool("tide", strict=True, parameters=STRICT_PARAMETERS),
        create_tool("wind", strict=True, parameters=STRICT_PARAMETERS),
    ]


def test_tool_without_parameters_can_be_strict() -> None:
    without_parameters = {"type": "function", "function": {"name": "now", "strict": True}}

    [tool], _ = build_request_tools([without_parameters])

    assert tool["function"] == {
        "name": "now",
        "strict": True,
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    }


def test_no_tool_is_strict_if_one_cannot_be_and_this_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Facts(BaseModel):
        """Any keys."""

        facts: dict[str, int] = Field(default_factory=dict)

    converted = convert_tools([create_tool("never_strict"), Facts], strict=True)

    with caplog.at_level(logging.WARNING):
        tools, _ = build_request_tools(converted)
        build_request_tools(converted)

    assert [tool["function"].get("strict") for tool in tools] == [None, None]
    assert tools[0] == create_tool("never_strict")
    [message] = caplog.messages
    assert message.startswith("The tools never_strict, Facts are sent without strict")


@pytest.mark.parametrize("strict", [True, False])
def test_unknown_keys_of_a_tool_are_not_sent(strict: bool) -> None:
    unknown = {"cache_control": {"type": "ephemeral"}, "examples": [1], "returns": {}}
    tool = create_tool("tide", strict=strict)
    tool_with_unknown_keys = create_tool("tide", strict=strict, **unknown)

    assert build_request_tools([tool_with_unknown_keys]) == build_request_tools([tool])
    assert build_request_tools([{"function": {"name": "now", "description": None}}]) == (
        [{"type": "function", "function": {"name": "now"}}],
        {},
    )


def test_tools_are_not_changed() -> None:
    tools = [create_tool("tide", strict=True), create_tool("math.add")]

    build_request_tools(tools)

    assert tools == [create_tool("tide", strict=True), create_tool("math.add")]
