"""Response formats, built from schemas and formats of any kind."""

import logging
from typing import Annotated, Any, NotRequired

import pydantic.v1
import pytest
from pydantic import BaseModel, RootModel
from typing_extensions import TypedDict

from langchain_cerebras_inference._conversion.response_format import (
    build_method_format,
    build_response_format,
    build_schema_format,
    to_function,
    to_json_schema,
)


class Tide(BaseModel):
    """The tide at a place."""

    place: str
    metres: int


class OldTide(pydantic.v1.BaseModel):
    """The tide at a place."""

    place: str
    metres: int


class TypedTide(TypedDict):
    """The tide at a place."""

    place: str
    metres: int


class SparseTide(TypedDict):
    """The tide at a place."""

    place: str
    metres: NotRequired[int]


class RecursiveTides(TypedDict):
    """Tides, and those before."""

    tides: list[SparseTide]
    before: NotRequired["RecursiveTides"]


class Node(BaseModel):
    """A node of a tree."""

    below: list["Node"] = []


PARAMETERS = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "metres": {"type": "integer"}},
    "required": ["place", "metres"],
}
DESCRIPTION = {"description": "The tide at a place."}
FUNCTION = {"name": "Tide", **DESCRIPTION, "parameters": PARAMETERS}
FORMAT = {"name": "Tide", **DESCRIPTION, "schema": PARAMETERS, "strict": True}
SCHEMAS: dict[str, Any] = {
    "pydantic 2": Tide,
    "pydantic 1": OldTide,
    "TypedDict": TypedTide,
    "JSON schema": {"title": "Tide", **DESCRIPTION, **PARAMETERS},
    "function": FUNCTION,
    "tool": {"type": "function", "function": FUNCTION},
    "flat format": FORMAT,
    "format": {"type": "json_schema", "json_schema": FORMAT},
}

every_schema = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS.keys())

# --- schemas -----------------------------------------------------------------------------


@every_schema
def test_schema_of_any_kind_becomes_a_strict_format(schema: Any) -> None:
    built = build_schema_format(schema)

    assert built["type"] == "json_schema"
    assert built["json_schema"]["name"].endswith("Tide")
    assert built["json_schema"]["strict"] is True
    assert built["json_schema"]["schema"]["description"] == "The tide at a place."
    assert built["json_schema"]["schema"]["required"] == ["place", "metres"]
    assert built["json_schema"]["schema"]["properties"].keys() == {"place", "metres"}
    assert built["json_schema"]["schema"]["additionalProperties"] is False


@every_schema
def test_schema_of_any_kind_becomes_a_function(schema: Any) -> None:
    function = to_function(schema)

    assert function["name"].endswith("Tide")
    assert function["description"] == "The tide at a place."
    assert function["parameters"]["required"] == ["place", "metres"]


def test_schema_without_a_name_gets_one() -> None:
    built = build_schema_format(PARAMETERS, strict=False)["json_schema"]

    assert built["name"] == to_function(PARAMETERS)["name"] == "answer"
    assert built["schema"] == to_function(PARAMETERS)["parameters"] == PARAMETERS


@pytest.mark.parametrize("schema", [{"title": "Any", "type": "object"}, {"name": "Any"}])
def test_schema_may_have_no_properties(schema: Any) -> None:
    built = build_schema_format(schema)["json_schema"]

    assert built["name"] == to_function(schema)["name"] == "Any"
    assert built["schema"]["properties"] == {}


def test_optional_key_of_a_typed_dict_is_not_required() -> None:
    built = build_schema_format(SparseTide)["json_schema"]
    function = to_function(SparseTide)

    assert built["strict"] is True
    assert built["name"] == function["name"] == "SparseTide"
    assert function["description"] == "The tide at a place."
    for schema in (built["schema"], function["parameters"]):
        assert schema["properties"].keys() == {"place", "metres"}
        assert schema["required"] == ["place"]


def test_typed_dict_without_a_docstring_has_no_description() -> None:
    class Gust(TypedDict):
        knots: int

    assert to_json_schema(Gust)["properties"] == {"knots": {"type": "integer"}}
    assert "description" not in to_json_schema(Gust)
    assert not to_function(Gust).get("description")


def test_typed_dict_may_contain_itself() -> None:
    built = build_schema_format(RecursiveTides)["json_schema"]

    assert built["name"] == to_function(RecursiveTides)["name"] == "RecursiveTides"
    assert to_function(RecursiveTides)["parameters"]["required"] == ["tides"]


def test_descriptions_of_typed_dict_keys_are_kept() -> None:
    class DescribedTide(TypedDict):
        """A tide."""

        metres: Annotated[int, ..., "Above zero."]

    schema = to_json_schema(DescribedTide)["properties"]["metres"]

    assert schema == {"type": "integer", "description": "Above zero."}


INTEGERS = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"title": "It", **INTEGERS},
        {"title": "It", "type": ["string", "null"]},
        {"title": "It", "$ref": "#/$defs/Own", "$defs": {"Own": INTEGERS}},
        {"title": "It", "anyOf": [INTEGERS, {"type": "null"}]},
        {"title": "It", "allOf": [{"type": "object"}, {"type": "string"}]},
        {"name": "It", "schema": INTEGERS},
        {"name": "It", "parameters": {"oneOf": [False, INTEGERS]}},
        RootModel[list[int]],
    ],
)
def test_schema_that_is_not_an_object_is_rejected(schema: Any) -> None:
    for convert in (build_schema_format, to_json_schema, to_function):
        with pytest.raises(
            ValueError, match=r"does not describe an object, .*\. Wrap the schema in"
        ):
            convert(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"title": "It", "anyOf": [INTEGERS, PARAMETERS]},
        {"title": "It", "type": ["object", "null"]},
        {"title": "It", "$ref": "#"},
        {"title": "It", "$ref": "elsewhere.json"},
        {"title": "It", "type": 5},
        RootModel[dict[str, int]],
        RootModel[Tide],
        Node,
    ],
)
def test_schema_that_may_be_an_object_is_accepted(schema: Any) -> None:
    assert build_schema_format(schema)
    assert to_function(schema)["parameters"]


@pytest.mark.parametrize("value", [int | None, 3])
def test_value_that_is_not_a_schema_is_rejected(value: object) -> None:
    with pytest.raises(ValueError, match="Unsupported function"):
        build_schema_format(value)


def test_impossible_strict_mode_is_logged_with_the_name_of_the_class(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "langchain_cerebras_inference"):
        built = build_schema_format(Node, strict=True)

    assert built["json_schema"]["strict"] is False
    assert "Schema 'Node' is sent without strict" in caplog.text


def test_schema_that_strict_mode_cannot_express_is_not_strict() -> None:
    class Facts(BaseModel):
        """Any keys."""

        facts: dict[str, int]

    assert build_schema_format(Facts)["json_schema"]["strict"] is False


def test_strict_mode_can_be_turned_off() -> None:
    built = build_schema_format(Tide, strict=False)

    assert built["json_schema"]["strict"] is False
    assert built["json_schema"]["schema"] == Tide.model_json_schema()


# --- methods of with_structured_output ---------------------------------------------------


def test_json_mode_sends_no_schema() -> None:
    assert build_method_format(Tide, "json_mode", strict=None) == {"type": "json_object"}
    assert build_method_format(None, "json_mode", strict=None) == {"type": "json_object"}


@pytest.mark.parametrize("strict", [None, True, False])
def test_method_json_schema_sends_the_schema(strict: bool | None) -> None:
    built = build_method_format(Tide, "json_schema", strict=strict)

    assert built == build_schema_format(Tide, strict=strict)


@pytest.mark.parametrize("strict", [True, False])
def test_strict_json_mode_is_rejected(strict: bool) -> None:
    with pytest.raises(ValueError, match="'json_mode' does not support strict"):
        build_method_format(Tide, "json_mode", strict=strict)


def test_unknown_method_is_rejected() -> None:
    with pytest.raises(ValueError, match="Unknown method 'magic'"):
        build_method_format(Tide, "magic", strict=None)


# --- the call option response_format -----------------------------------------------------


@pytest.mark.parametrize(
    "response_format",
    [
        Tide,
        Tide.model_json_schema(),
        {
            "type": "json_schema",
            "json_schema": {"name": "Tide", "schema": Tide.model_json_schema()},
        },
        {
            "type": "json_schema",
            "json_schema": {
                "name": "Tide",
                "schema": Tide.model_json_schema(),
                "strict": True,
            },
        },
    ],
)
def test_schema_in_any_form_is_sent_as_a_strict_schema(response_format: Any) -> None:
    schema = Tide.model_json_schema() | {"additionalProperties": False}

    assert build_response_format(response_format) == {
        "type": "json_schema",
        "json_schema": {"name": "Tide", "schema": schema, "strict": True},
    }


@pytest.mark.parametrize("response_format", [None, {"type": "text"}])
def test_plain_text_needs_no_format(response_format: Any) -> None:
    assert build_response_format(response_format) is None


def create_format(**keys: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": keys}


@pytest.mark.parametrize(
    ("response_format", "sent"),
    [
        ({"type": "json_object"}, {"type": "json_object"}),
        ({"type": "json_object", "schema": {}}, {"type": "json_object"}),
        (
            create_format(schema={"type": "object"}, strict=False),
            create_format(name="answer", schema={"type": "object"}, strict=False),
        ),
        (
            create_format(name="math.add", schema={}, strict=False, examples=[])
            | {"cache_control": {}},
            create_format(name="math_add_ecef409b", schema={}, strict=False),
        ),
        (
            {
                "type": "json_schema",
                "name": "f",
                "description": "F.",
                "schema": {"type": "array"},
            },
            create_format(name="f", description="F.", schema={"type": "array"}, strict=False),
        ),
        (
            {"type": "object", "additionalProperties": True},
            create_format(
                name="answer",
                schema={"properties": {}, "type": "object", "additionalProperties": True},
                strict=False,
            ),
        ),
    ],
)
def test_unknown_keys_of_a_response_format_are_not_sent(
    response_format: Any, sent: Any
) -> None:
    assert build_response_format(response_format) == sent


@pytest.mark.parametrize(
    ("response_format", "error"),
    [
        ({"type": "json_schema", "json_schema": None}, "needs a schema. Add it as 'schema'"),
        ({"type": "json_schema", "name": "f"}, "needs a schema"),
        ({"type": "grammar", "syntax": "lark"}, "no response_format of type 'grammar'. Use"),
        ({"type": None}, "no response_format of type None"),
        ({"type": "array", "items": {"type": "string"}}, "does not describe an object"),
    ],
)
def test_format_that_cerebras_does_not_have_is_rejected(
    response_format: Any, error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        build_response_format(response_format)
