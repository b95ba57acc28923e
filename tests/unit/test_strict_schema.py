"""JSON schemas in Cerebras' strict subset."""

import json
import logging
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cerebras_inference._conversion.strict_schema import to_wire_schema
from langchain_cerebras_inference.emulator.strict_schema import find_strict_schema_error

Schema = dict[str, Any]

TEXT = {"type": "string"}
NULL = {"type": "null"}


def an_object(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties}


def inner(schema: Any, **root: Any) -> Any:
    """What becomes of a property's schema; `None` where nothing goes out strict."""
    wire, is_strict = to_wire_schema(an_object(it=schema) | root)
    return wire["properties"]["it"] if is_strict else None


def is_strict(schema: Any, **root: Any) -> bool:
    return inner(schema, **root) is not None


# Rewriting


def test_a_tool_without_arguments_has_its_one_strict_form() -> None:
    bare = {"type": "object", "properties": {}, "additionalProperties": False}

    assert to_wire_schema({"type": "object"}) == (bare, True)
    assert to_wire_schema({}) == (bare, True)


def test_objects_that_are_silent_are_closed() -> None:
    assert inner(an_object(a=TEXT)) == an_object(a=TEXT) | {"additionalProperties": False}


def test_what_the_subset_has_stays_in_its_order() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Order",
        "type": "object",
        "properties": {
            "z": {"minimum": 1, "type": "integer", "default": 2},
            "a": {"enum": ["x", "y"], "type": "string"},
            "m": {"type": "array", "items": {"const": 3, "type": "integer"}},
        },
        "required": ["a"],
        "additionalProperties": False,
    }

    wire, strict = to_wire_schema(schema)

    assert strict
    assert json.dumps(wire) == json.dumps(schema)


def test_a_reference_is_folded_in_and_its_siblings_win() -> None:
    name = {"type": "string", "description": "A name", "title": "Name"}
    schema = {"$ref": "#/$defs/Name", "description": "Whose"}

    assert inner(schema, **{"$defs": {"Name": name}}) == {
        "type": "string",
        "description": "Whose",
        "title": "Name",
    }


@pytest.mark.parametrize(
    "ref",
    [
        "#/definitions/Name",
        "#/properties/other",
        "#/definitions/a~1b~0",
        "#/definitions/G%5Bi%5D",
    ],
)
def test_any_local_reference_is_followed(ref: str) -> None:
    definitions = dict.fromkeys(["Name", "a/b~", "G[i]"], TEXT)
    root = an_object(it={"$ref": ref}, other=TEXT) | {"definitions": definitions}

    wire, strict = to_wire_schema(root)

    assert strict
    assert wire["properties"]["it"] == TEXT
    assert "definitions" not in wire


def test_a_root_reference_is_folded_in() -> None:
    root = {"$ref": "#/$defs/It", "$defs": {"It": an_object(a=TEXT)}}

    wire, strict = to_wire_schema(root)

    assert strict
    assert wire["properties"] == {"a": TEXT}


def test_a_definition_nobody_needs_is_left_behind() -> None:
    assert inner(TEXT, **{"$defs": {"Open": {"not": TEXT}}}) == TEXT


def test_all_of_is_folded_in() -> None:
    parts = [TEXT, {"description": "A name"}]

    assert inner({"allOf": parts, "title": "Name"}) == {
        "title": "Name",
        "description": "A name",
        "type": "string",
    }


def test_all_of_parts_that_differ_go_non_strict() -> None:
    assert not is_strict({"allOf": [TEXT, {"type": "integer"}]})


def test_one_of_becomes_any_of_without_a_discriminator() -> None:
    schema = {"oneOf": [TEXT, NULL], "discriminator": {"propertyName": "kind"}}

    assert inner(schema) == {"anyOf": [TEXT, NULL]}


def test_what_stands_beside_a_union_holds_in_every_branch() -> None:
    branches = [{"required": ["a"]}, {"required": ["b"]}]
    schema = an_object(a=TEXT, b=TEXT) | {"description": "One", "anyOf": branches}

    wire = inner(schema)

    assert wire["description"] == "One"
    assert [branch["required"] for branch in wire["anyOf"]] == [["a"], ["b"]]
    assert all(list(branch["properties"]) == ["a", "b"] for branch in wire["anyOf"])


def test_a_nullable_schema_is_a_union_with_null() -> None:
    assert inner(TEXT | {"nullable": True}) == {"anyOf": [TEXT, NULL]}
    assert inner(TEXT | {"nullable": False}) == TEXT


def test_a_list_of_types_is_a_union() -> None:
    schema = {"type": ["string", "null"], "title": "Name", "default": None}

    assert inner(schema) == {"title": "Name", "default": None, "anyOf": [TEXT, NULL]}


def test_values_are_shared_out_among_the_types() -> None:
    schema = {"type": ["string", "integer", "array"], "enum": ["a", 1, "b"]}

    assert inner(schema) == {
        "anyOf": [
            {"enum": ["a", "b"], "type": "string"},
            {"enum": [1], "type": "integer"},
        ]
    }


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a", "string"),
        (1, "integer"),
        (1.5, "number"),
        (True, "boolean"),
        (None, "null"),
    ],
)
def test_a_missing_type_is_that_of_the_values(value: object, kind: str) -> None:
    assert inner({"enum": [value]}) == {"enum": [value], "type": kind}
    assert inner({"const": value}) == {"const": value, "type": kind}


@pytest.mark.parametrize(
    "end",
    [
        {"prefixItems": [TEXT, NULL], "items": False},
        {"prefixItems": [TEXT, NULL], "minItems": 2, "maxItems": 2},
        {"items": [TEXT, NULL], "additionalItems": False},
    ],
)
def test_a_tuple_ends_with_its_items(end: Schema) -> None:
    wire = inner({"type": "array"} | end)

    assert wire["prefixItems"] == [TEXT, NULL]
    assert wire["items"] is False


# Saying


def test_what_strict_cannot_say_is_in_the_description() -> None:
    tags = {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 5}
    code = {"type": "string", "pattern": "^a+$", "format": "code"}

    assert inner(tags | {"description": "Tags"}) == {
        "type": "array",
        "items": TEXT,
        "description": "Tags (min items 1; max items 5)",
    }
    assert inner(code)["description"] == "(pattern ^a+$; format code)"


def test_examples_reach_the_model() -> None:
    assert inner(TEXT | {"examples": ["a", "b"]})["description"] == "(examples ['a', 'b'])"


def test_unknown_keywords_mean_nothing_and_are_dropped() -> None:
    assert inner(TEXT | {"x-order": 1, "readOnly": True, "description": None}) == TEXT


# Declining


OPEN: list[Schema] = [
    {"additionalProperties": True},
    {"additionalProperties": {}},
    {"additionalProperties": TEXT},
    {"patternProperties": {"^a": TEXT}},
    {"unevaluatedProperties": TEXT},
]


@pytest.mark.parametrize("opening", OPEN)
def test_an_open_object_goes_non_strict(opening: Schema) -> None:
    assert not is_strict(an_object(a=TEXT) | opening)
    assert to_wire_schema(an_object(a=TEXT) | opening)[1] is False


def test_an_inner_object_that_names_no_properties_is_an_open_map() -> None:
    assert not is_strict({"type": "object"})
    assert is_strict({"type": "object", "additionalProperties": False})
    assert is_strict(an_object())


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        None,
        {"properties": {}},
        {"type": "file"},
        {"type": {"a": 1}},
        {"type": []},
        {"type": "array"},
        {"type": "array", "items": True},
        {"type": "array", "items": []},
        {"type": "array", "prefixItems": [TEXT]},
        {"type": "array", "prefixItems": [TEXT], "items": TEXT},
        {"anyOf": []},
        {"anyOf": TEXT},
        {"allOf": TEXT},
        {"enum": []},
        {"enum": "ab"},
        {"enum": [["a"]]},
        {"type": ["array", "string"], "items": TEXT, "enum": ["a", ["b"]]},
        {"type": "string", "enum": [1]},
        {"const": {"a": 1}},
        TEXT | {"not": {"const": "a"}},
        TEXT | {"if": {"const": "a"}},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/Missing"},
        {"$ref": "#Anchor"},
        {"$ref": 1},
        an_object(a=TEXT) | {"required": ["b"]},
        an_object(a=TEXT) | {"required": "a"},
        an_object(a=TEXT) | {"dependentRequired": {"a": ["b"]}},
        {"type": "object", "properties": ["a"]},
    ],
)
def test_what_cannot_be_expressed_goes_non_strict_as_it_came(schema: Any) -> None:
    root = an_object(it=schema)

    assert to_wire_schema(root) == (root, False)


@pytest.mark.parametrize(
    "root",
    [
        TEXT,
        {"type": ["object", "null"], "properties": {}},
        {"anyOf": [an_object(a=TEXT), an_object(b=TEXT)]},
        an_object(a=TEXT) | {"nullable": True},
        {"type": "array", "items": TEXT},
        {"enum": ["a"]},
    ],
)
def test_a_root_that_is_not_one_object_goes_non_strict(root: Schema) -> None:
    assert to_wire_schema(root) == (root, False)


@pytest.mark.parametrize("ref", ["#", "#/properties/it", "#/$defs/Node", "#/$defs/Own"])
def test_a_recursive_schema_goes_non_strict(ref: str) -> None:
    node = an_object(next={"anyOf": [{"$ref": "#/$defs/Node"}, NULL]})
    definitions = {"Node": node, "Own": {"$ref": "#/$defs/Own"}}

    assert not is_strict({"$ref": ref}, **{"$defs": definitions})


def test_references_that_double_at_every_step_end_soon() -> None:
    definitions: Schema = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(50)
    }

    assert not is_strict({"$ref": "#/$defs/d0"}, **{"$defs": definitions | {"d50": TEXT}})


def nested(levels: int) -> Schema:
    return TEXT if levels == 1 else {"type": "array", "items": nested(levels - 1)}


@pytest.mark.parametrize(
    ("schema", "too_much"),
    [
        (nested(9), nested(10)),
        (an_object(a={"enum": [*range(500)]}), an_object(a={"enum": [*range(501)]})),
        (an_object(**{"a" * 4_998: TEXT}), an_object(**{"a" * 4_999: TEXT})),
        ({"enum": ["a" * 4_998]}, {"enum": ["a" * 4_999]}),
        ({"const": "a" * 4_998}, {"const": "a" * 4_999}),
        (
            an_object(**{f"p{n}": TEXT for n in range(499)}),
            an_object(**{f"p{n}": TEXT for n in range(500)}),
        ),
    ],
    ids=["levels", "enum values", "names", "enum texts", "const texts", "properties"],
)
def test_a_schema_past_a_limit_goes_non_strict(schema: Any, too_much: Any) -> None:
    assert is_strict(schema)
    assert not is_strict(too_much)


def test_a_schema_that_is_not_to_be_strict_is_copied_as_it_is() -> None:
    schema = an_object(a=TEXT | {"pattern": "^a$"})

    wire, strict = to_wire_schema(schema, strict=False)

    assert (wire, strict) == (schema, False)
    assert wire["properties"]["a"] is not schema["properties"]["a"]


# Warning


def test_strict_that_was_asked_for_and_cannot_be_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    schema = an_object(a={}) | {"title": "Anything"}

    with caplog.at_level(logging.WARNING, "langchain_cerebras_inference"):
        for _ in range(3):
            assert to_wire_schema(schema, strict=True) == (schema, False)
        to_wire_schema(schema, strict=True, name="the tool")

    assert len(caplog.records) == 2
    assert "'Anything'" in caplog.text
    assert "'the tool'" in caplog.text


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "object"}, "an object has keys that it does not name"),
        ({"$ref": "#/$defs/Gone"}, "it refers to '#/$defs/Gone', which is not in it"),
    ],
)
def test_the_warning_says_in_words_what_cannot_be(
    schema: Schema, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    to_wire_schema(an_object(it=schema), strict=True, name="Words")

    assert f"'Words' goes out without strict: {reason}" in caplog.text


def test_strict_that_was_not_asked_for_is_given_up_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    to_wire_schema(an_object(a={}) | {"title": "In silence"})

    assert not caplog.records


# Any schema at all

KEYWORDS = {
    "string": set(),
    "boolean": set(),
    "null": set(),
    "array": {"items", "prefixItems"},
    "object": {"properties", "required", "additionalProperties"},
}
BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
KEYWORDS |= {"integer": BOUNDS, "number": BOUNDS}
NOTES = {"title", "description", "default", "$schema"}
PYTHON: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def parts(schema: Schema, level: int = 1) -> Iterator[tuple[int, Schema]]:
    """Checks the subset's grammar on the way through all subschemas."""
    yield level, schema
    if "anyOf" in schema:
        assert schema.keys() <= {"anyOf", *NOTES}
    else:
        kind = schema["type"]
        values = {"enum", "const"} if kind not in ("array", "object") else set()
        assert schema.keys() <= {"type", *NOTES, *values, *KEYWORDS[kind]}
    if schema.get("type") == "object":
        assert schema["additionalProperties"] is False
        assert set(schema.get("required", [])) <= schema["properties"].keys()
    if schema.get("type") == "array":
        assert ("prefixItems" in schema) is (schema["items"] is False)
    below = [*schema.get("anyOf", []), *schema.get("properties", {}).values()]
    below += [*schema.get("prefixItems", []), *filter(None, [schema.get("items")])]
    for part in below:
        yield from parts(part, level + 1)


def assert_in_subset(wire: Schema) -> None:
    assert find_strict_schema_error(wire) is None
    found = list(parts(wire))
    names = [name for _, part in found for name in part.get("properties", {})]
    values = [value for _, part in found for value in part.get("enum", [])]
    texts = [text for text in (*names, *values) if isinstance(text, str)]
    assert wire["type"] == "object"
    assert max(level for level, _ in found) <= 10
    assert len(names) <= 500
    assert len(values) <= 500
    assert sum(map(len, texts)) <= 5_000


def is_of(instance: Any, kind: str) -> bool:
    return isinstance(instance, PYTHON[kind]) and (
        kind == "boolean" or not isinstance(instance, bool)
    )


def is_valid(instance: Any, schema: Schema) -> bool:
    """Whether an instance is valid in the strict subset."""
    if "anyOf" in schema:
        return any(is_valid(instance, branch) for branch in schema["anyOf"])
    if not is_of(instance, schema["type"]):
        return False
    if instance not in schema.get("enum", [instance]):
        return False
    if instance != schema.get("const", instance):
        return False
    if is_of(instance, "number"):
        return bool(instance >= schema.get("minimum", instance))
    if isinstance(instance, dict):
        named = schema["properties"]
        return set(schema.get("required", [])) <= instance.keys() <= named.keys() and all(
            is_valid(value, named[name]) for name, value in instance.items()
        )
    if isinstance(instance, list):
        each = schema.get("prefixItems", [schema["items"]] * len(instance))
        return len(instance) <= len(each) and all(map(is_valid, instance, each))
    return True


names = st.sampled_from(["a", "b", "title", "type", "$ref", "ünïcode"])
notes = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text("ab", max_size=3),
        "description": st.text("ab", max_size=3),
        "default": st.none() | st.lists(st.integers(), max_size=1),
        "examples": st.lists(st.integers(), max_size=2),
        "x-unknown": st.booleans(),
    },
)
Case = tuple[Schema, st.SearchStrategy[Any]]
"""A schema, and instances of it without properties that it does not declare."""

scalars: st.SearchStrategy[Case] = st.sampled_from(
    [
        ({"type": "string"}, st.text("ab", max_size=3)),
        ({"type": "string", "minLength": 1, "format": "x"}, st.text("a", min_size=1)),
        ({"type": "integer", "minimum": 3}, st.integers(min_value=3)),
        ({"type": "number"}, st.floats(allow_nan=False) | st.integers()),
        ({"type": "boolean"}, st.booleans()),
        (
            {"type": ["string", "null"], "maxLength": 2},
            st.none() | st.text("ab", max_size=2),
        ),
        ({"type": "integer", "nullable": True}, st.none() | st.integers()),
        ({"enum": ["a", 1, None, True]}, st.sampled_from(["a", 1, None, True])),
        ({"type": ["string", "null"], "enum": ["a", "b"]}, st.sampled_from("ab")),
        ({"const": "c"}, st.just("c")),
        ({"$ref": "#/$defs/Name"}, st.text("ab", max_size=3)),
        ({"$ref": "#/$defs/Point"}, st.just({"x": 1}) | st.just({"x": 1, "y": None})),
    ]
)
DEFINITIONS = {
    "Name": {"type": "string", "pattern": "", "title": "Name"},
    "Point": {
        "properties": {"x": {"type": "integer"}, "y": {"$ref": "#/$defs/Maybe"}},
        "type": "object",
        "required": ["x"],
    },
    "Maybe": {"oneOf": [{"$ref": "#/$defs/Name"}, {"type": "null"}]},
}


@st.composite
def objects(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> Case:
    members = draw(st.dictionaries(names, cases, max_size=3))
    required = [name for name in members if draw(st.booleans())]
    schema = an_object(**{name: case[0] for name, case in members.items()})
    if draw(st.booleans()):
        schema["required"] = required
    if draw(st.booleans()):
        schema["additionalProperties"] = False
    always = {name: members[name][1] for name in required}
    perhaps = {name: members[name][1] for name in members if name not in required}
    return schema, st.fixed_dictionaries(always, optional=perhaps)


def arrays(case: Case) -> Case:
    schema, instances = case
    return {"type": "array", "items": schema, "maxItems": 2}, st.lists(instances, max_size=2)


def pairs(case: tuple[Case, Case]) -> Case:
    schema = {"type": "array", "prefixItems": [case[0][0], case[1][0]], "maxItems": 2}
    return schema, st.tuples(case[0][1], case[1][1]).map(list)


def unions(case: tuple[Case, Case, str]) -> Case:
    return {case[2]: [case[0][0], case[1][0]]}, case[0][1] | case[1][1]


def noted(case: tuple[Case, Schema]) -> Case:
    return case[0][0] | case[1], case[0][1]


def wrapped(case: Case) -> Case:
    return {"allOf": [case[0]], "description": "Wrapped"}, case[1]


def composed(cases: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    union = st.sampled_from(["anyOf", "oneOf"])
    return st.one_of(
        objects(cases),
        cases.map(arrays),
        cases.map(wrapped),
        st.tuples(cases, cases).map(pairs),
        st.tuples(cases, cases, union).map(unions),
        st.tuples(cases, notes).map(noted),
    )


@given(st.data(), objects(st.recursive(scalars, composed, max_leaves=5)))
def test_what_is_strict_is_in_the_subset_and_allows_all_that_was(
    data: st.DataObject, case: Case
) -> None:
    schema = case[0] | {"$defs": DEFINITIONS}
    instance = data.draw(case[1])

    wire, strict = to_wire_schema(schema)

    assert strict
    assert_in_subset(wire)
    assert is_valid(instance, wire)


keywords = st.sampled_from(
    [
        *["type", "properties", "items", "anyOf", "allOf", "$ref", "required", "enum"],
        *["const", "additionalProperties", "prefixItems", "nullable", "minimum"],
        *["maxItems", "pattern", "description", "default", "not", "$defs", "oneOf"],
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.sampled_from(["object", "string", "array", "#", "#/properties/type", "type"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keywords, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(keywords, values, max_size=5))
def test_no_schema_is_too_odd(schema: Schema) -> None:
    before = deepcopy(schema)

    wire, strict = to_wire_schema(schema)

    assert schema == before
    if strict:
        assert_in_subset(wire)
    else:
        assert wire == schema


@given(objects(st.recursive(scalars, composed, max_leaves=5)))
def test_a_schema_once_strict_stays_as_it_is(case: Case) -> None:
    wire, strict = to_wire_schema(case[0] | {"$defs": DEFINITIONS})

    again, still = to_wire_schema(wire)

    assert still is strict or not strict
    assert json.dumps(again) == json.dumps(wire)
