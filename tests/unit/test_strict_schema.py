"""Conversion of JSON schemas to the strict schemas of Cerebras."""

import json
import logging
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cerebras_inference._conversion.strict_schema import prepare_schema
from langchain_cerebras_inference.emulator.strict_schema import find_strict_schema_error

Schema: TypeAlias = dict[str, Any]

STRING = {"type": "string"}
NULL = {"type": "null"}


def create_object(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties}


def convert_property(schema: Any, **root: Any) -> Any:
    """Convert the schema of a property; return `None` if the result is not strict."""
    converted, is_strict = prepare_schema(create_object(it=schema) | root)
    return converted["properties"]["it"] if is_strict else None


def can_be_strict(schema: Any, **root: Any) -> bool:
    return convert_property(schema, **root) is not None


# --- rewritten keywords ------------------------------------------------------------------


def test_schema_without_properties_has_one_strict_form() -> None:
    bare = {"type": "object", "properties": {}, "additionalProperties": False}

    assert prepare_schema({"type": "object"}) == (bare, True)
    assert prepare_schema({}) == (bare, True)


def test_object_is_closed_by_default() -> None:
    assert convert_property(create_object(a=STRING)) == create_object(a=STRING) | {
        "additionalProperties": False
    }


def test_keywords_of_the_subset_keep_their_order() -> None:
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

    converted, is_strict = prepare_schema(schema)

    assert is_strict
    assert json.dumps(converted) == json.dumps(schema)


def test_reference_is_inlined_and_keywords_beside_it_take_precedence() -> None:
    name = {"type": "string", "description": "A name", "title": "Name"}
    schema = {"$ref": "#/$defs/Name", "description": "Whose"}

    assert convert_property(schema, **{"$defs": {"Name": name}}) == {
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
def test_local_reference_is_inlined(ref: str) -> None:
    definitions = dict.fromkeys(["Name", "a/b~", "G[i]"], STRING)
    root = create_object(it={"$ref": ref}, other=STRING) | {"definitions": definitions}

    converted, is_strict = prepare_schema(root)

    assert is_strict
    assert converted["properties"]["it"] == STRING
    assert "definitions" not in converted


def test_reference_at_the_root_is_inlined() -> None:
    root = {"$ref": "#/$defs/It", "$defs": {"It": create_object(a=STRING)}}

    converted, is_strict = prepare_schema(root)

    assert is_strict
    assert converted["properties"] == {"a": STRING}


def test_unused_definition_is_left_out() -> None:
    assert convert_property(STRING, **{"$defs": {"Open": {"not": STRING}}}) == STRING


def test_all_of_is_merged() -> None:
    parts = [STRING, {"description": "A name"}]

    assert convert_property({"allOf": parts, "title": "Name"}) == {
        "title": "Name",
        "description": "A name",
        "type": "string",
    }


def test_contradicting_all_of_is_not_strict() -> None:
    assert not can_be_strict({"allOf": [STRING, {"type": "integer"}]})


def test_one_of_becomes_any_of_without_a_discriminator() -> None:
    schema = {"oneOf": [STRING, NULL], "discriminator": {"propertyName": "kind"}}

    assert convert_property(schema) == {"anyOf": [STRING, NULL]}


def test_keywords_beside_a_union_apply_to_every_branch() -> None:
    branches = [{"required": ["a"]}, {"required": ["b"]}]
    schema = create_object(a=STRING, b=STRING) | {"description": "One", "anyOf": branches}

    converted = convert_property(schema)

    assert converted["description"] == "One"
    assert [branch["required"] for branch in converted["anyOf"]] == [["a"], ["b"]]
    assert all(list(branch["properties"]) == ["a", "b"] for branch in converted["anyOf"])


def test_nullable_schema_becomes_a_union_with_null() -> None:
    assert convert_property(STRING | {"nullable": True}) == {"anyOf": [STRING, NULL]}
    assert convert_property(STRING | {"nullable": False}) == STRING


def test_list_of_types_becomes_a_union() -> None:
    schema = {"type": ["string", "null"], "title": "Name", "default": None}

    assert convert_property(schema) == {
        "title": "Name",
        "default": None,
        "anyOf": [STRING, NULL],
    }


def test_enum_values_are_split_by_type() -> None:
    schema = {"type": ["string", "integer", "array"], "enum": ["a", 1, "b"]}

    assert convert_property(schema) == {
        "anyOf": [
            {"enum": ["a", "b"], "type": "string"},
            {"enum": [1], "type": "integer"},
        ]
    }


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        ("a", "string"),
        (1, "integer"),
        (1.5, "number"),
        (True, "boolean"),
        (None, "null"),
    ],
)
def test_missing_type_is_taken_from_the_values(value: object, type_name: str) -> None:
    assert convert_property({"enum": [value]}) == {"enum": [value], "type": type_name}
    assert convert_property({"const": value}) == {"const": value, "type": type_name}


@pytest.mark.parametrize(
    "keywords",
    [
        {"prefixItems": [STRING, NULL], "items": False},
        {"prefixItems": [STRING, NULL], "minItems": 2, "maxItems": 2},
        {"items": [STRING, NULL], "additionalItems": False},
    ],
)
def test_tuple_of_fixed_length_is_closed(keywords: Schema) -> None:
    converted = convert_property({"type": "array"} | keywords)

    assert converted["prefixItems"] == [STRING, NULL]
    assert converted["items"] is False


# --- keywords that become part of the description ----------------------------------------


def test_constraints_that_strict_mode_lacks_become_part_of_the_description() -> None:
    tags = {"type": "array", "items": STRING, "minItems": 1, "maxItems": 5}
    code = {"type": "string", "pattern": "^a+$", "format": "code"}

    assert convert_property(tags | {"description": "Tags"}) == {
        "type": "array",
        "items": STRING,
        "description": "Tags (min items 1; max items 5)",
    }
    assert convert_property(code)["description"] == "(pattern ^a+$; format code)"


def test_examples_become_part_of_the_description() -> None:
    assert (
        convert_property(STRING | {"examples": ["a", "b"]})["description"]
        == "(examples ['a', 'b'])"
    )


def test_unknown_keywords_are_dropped() -> None:
    assert (
        convert_property(STRING | {"x-order": 1, "readOnly": True, "description": None})
        == STRING
    )


# --- schemas that cannot be strict -------------------------------------------------------


OPEN_OBJECT_KEYWORDS: list[Schema] = [
    {"additionalProperties": True},
    {"additionalProperties": {}},
    {"additionalProperties": STRING},
    {"patternProperties": {"^a": STRING}},
    {"unevaluatedProperties": STRING},
]


@pytest.mark.parametrize("keyword", OPEN_OBJECT_KEYWORDS)
def test_open_object_is_not_strict(keyword: Schema) -> None:
    assert not can_be_strict(create_object(a=STRING) | keyword)
    assert prepare_schema(create_object(a=STRING) | keyword)[1] is False


def test_inner_object_without_properties_is_an_open_map() -> None:
    assert not can_be_strict({"type": "object"})
    assert can_be_strict({"type": "object", "additionalProperties": False})
    assert can_be_strict(create_object())


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
        {"type": "array", "prefixItems": [STRING]},
        {"type": "array", "prefixItems": [STRING], "items": STRING},
        {"anyOf": []},
        {"anyOf": STRING},
        {"allOf": STRING},
        {"enum": []},
        {"enum": "ab"},
        {"enum": [["a"]]},
        {"type": ["array", "string"], "items": STRING, "enum": ["a", ["b"]]},
        {"type": "string", "enum": [1]},
        {"const": {"a": 1}},
        STRING | {"not": {"const": "a"}},
        STRING | {"if": {"const": "a"}},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/Missing"},
        {"$ref": "#Anchor"},
        {"$ref": 1},
        create_object(a=STRING) | {"required": ["b"]},
        create_object(a=STRING) | {"required": "a"},
        create_object(a=STRING) | {"dependentRequired": {"a": ["b"]}},
        {"type": "object", "properties": ["a"]},
    ],
)
def test_schema_that_strict_mode_cannot_express_is_sent_unchanged(schema: Any) -> None:
    root = create_object(it=schema)

    assert prepare_schema(root) == (root, False)


@pytest.mark.parametrize(
    "root",
    [
        STRING,
        {"type": ["object", "null"], "properties": {}},
        {"anyOf": [create_object(a=STRING), create_object(b=STRING)]},
        create_object(a=STRING) | {"nullable": True},
        {"type": "array", "items": STRING},
        {"enum": ["a"]},
    ],
)
def test_root_that_is_not_an_object_is_not_strict(root: Schema) -> None:
    assert prepare_schema(root) == (root, False)


@pytest.mark.parametrize("ref", ["#", "#/properties/it", "#/$defs/Node", "#/$defs/Own"])
def test_recursive_schema_is_not_strict(ref: str) -> None:
    node = create_object(next={"anyOf": [{"$ref": "#/$defs/Node"}, NULL]})
    definitions = {"Node": node, "Own": {"$ref": "#/$defs/Own"}}

    assert not can_be_strict({"$ref": ref}, **{"$defs": definitions})


def test_exponential_references_are_rejected() -> None:
    definitions: Schema = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(50)
    }

    assert not can_be_strict({"$ref": "#/$defs/d0"}, **{"$defs": definitions | {"d50": STRING}})


def nest(levels: int) -> Schema:
    return STRING if levels == 1 else {"type": "array", "items": nest(levels - 1)}


@pytest.mark.parametrize(
    ("schema", "too_much"),
    [
        (nest(9), nest(10)),
        (create_object(a={"enum": [*range(500)]}), create_object(a={"enum": [*range(501)]})),
        (create_object(**{"a" * 4_998: STRING}), create_object(**{"a" * 4_999: STRING})),
        ({"enum": ["a" * 4_998]}, {"enum": ["a" * 4_999]}),
        ({"const": "a" * 4_998}, {"const": "a" * 4_999}),
        (
            create_object(**{f"p{n}": STRING for n in range(499)}),
            create_object(**{f"p{n}": STRING for n in range(500)}),
        ),
    ],
    ids=["levels", "enum values", "names", "enum strings", "const strings", "properties"],
)
def test_schema_beyond_a_limit_is_not_strict(schema: Any, too_much: Any) -> None:
    assert can_be_strict(schema)
    assert not can_be_strict(too_much)


def test_schema_is_copied_unchanged_if_strict_mode_is_turned_off() -> None:
    schema = create_object(a=STRING | {"pattern": "^a$"})

    converted, is_strict = prepare_schema(schema, strict=False)

    assert (converted, is_strict) == (schema, False)
    assert converted["properties"]["a"] is not schema["properties"]["a"]


# --- warnings ----------------------------------------------------------------------------


def test_impossible_strict_mode_that_was_requested_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    schema = create_object(a={}) | {"title": "Anything"}

    with caplog.at_level(logging.WARNING, "langchain_cerebras_inference"):
        for _ in range(3):
            assert prepare_schema(schema, strict=True) == (schema, False)
        prepare_schema(schema, strict=True, name="the tool")

    assert len(caplog.records) == 2
    assert "'Anything'" in caplog.text
    assert "'the tool'" in caplog.text


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (
            {"type": "object"},
            "an object allows properties that it does not declare (at tide)",
        ),
        (
            {"$ref": "#/$defs/Gone"},
            "it refers to '#/$defs/Gone', which it does not contain (at tide)",
        ),
        (
            {"$ref": "#"},
            "it has more than 10 levels, or is recursive (at tide.tide.tide.",
        ),
        ({"$ref": "#/properties/tide"}, "it is recursive (at tide)"),
        ({"enum": ["a" * 5_001]}, "it has more than 5000 characters (at tide)"),
        ({"not": {}}, "it has the keyword `not` (at tide)"),
        (
            {"type": "array", "items": {"type": "array", "items": 3}},
            "a schema must be an object, not 3 (at tide.items.items)",
        ),
        (
            {"anyOf": [STRING, create_object() | {"required": "a"}]},
            "`required` must be a list, not 'a' (at tide.anyOf)",
        ),
    ],
)
def test_warning_gives_the_reason_and_the_place(
    schema: Schema, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    prepare_schema(create_object(tide=schema), strict=True, name="Tide")

    assert f"Schema 'Tide' is sent without strict, because {reason}" in caplog.text


def test_impossible_strict_mode_that_was_not_requested_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    prepare_schema(create_object(a={}) | {"title": "Anything else"})

    assert not caplog.records


# --- generated schemas -------------------------------------------------------------------

ANNOTATIONS = {"title", "description", "default", "$schema"}
BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
KEYWORDS_OF_TYPE: dict[str, set[str]] = {
    "string": {"enum", "const"},
    "boolean": {"enum", "const"},
    "null": {"enum", "const"},
    "integer": {"enum", "const", *BOUNDS},
    "number": {"enum", "const", *BOUNDS},
    "array": {"items", "prefixItems"},
    "object": {"properties", "required", "additionalProperties"},
}
PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def check_subschemas(schema: Schema, level: int = 1) -> Iterator[tuple[int, Schema]]:
    """Check all subschemas against the grammar of the subset; yield them with their level."""
    yield level, schema
    if "anyOf" in schema:
        assert schema.keys() <= {"anyOf", *ANNOTATIONS}
    else:
        assert schema.keys() <= {"type", *ANNOTATIONS, *KEYWORDS_OF_TYPE[schema["type"]]}
    if schema.get("type") == "object":
        assert schema["additionalProperties"] is False
        assert set(schema.get("required", [])) <= schema["properties"].keys()
    if schema.get("type") == "array":
        assert ("prefixItems" in schema) is (schema["items"] is False)
    subschemas = [*schema.get("anyOf", []), *schema.get("properties", {}).values()]
    subschemas += [*schema.get("prefixItems", []), *filter(None, [schema.get("items")])]
    for subschema in subschemas:
        yield from check_subschemas(subschema, level + 1)


def assert_in_subset(schema: Schema) -> None:
    assert find_strict_schema_error(schema) is None
    levels, subschemas = zip(*check_subschemas(schema), strict=True)
    names = [name for part in subschemas for name in part.get("properties", {})]
    values = [value for part in subschemas for value in part.get("enum", [])]
    texts = [text for text in (*names, *values) if isinstance(text, str)]
    assert schema["type"] == "object"
    assert max(levels) <= 10
    assert len(names) <= 500
    assert len(values) <= 500
    assert sum(map(len, texts)) <= 5_000


def has_type(instance: Any, type_name: str) -> bool:
    if isinstance(instance, bool):
        return type_name == "boolean"
    return isinstance(instance, PYTHON_TYPES[type_name])


def is_valid(instance: Any, schema: Schema) -> bool:
    """Whether an instance is valid in the strict subset."""
    if "anyOf" in schema:
        return any(is_valid(instance, branch) for branch in schema["anyOf"])
    if not has_type(instance, schema["type"]):
        return False
    if instance not in schema.get("enum", [instance]):
        return False
    if instance != schema.get("const", instance):
        return False
    if has_type(instance, "number"):
        return bool(instance >= schema.get("minimum", instance))
    if isinstance(instance, dict):
        properties = schema["properties"]
        required = set(schema.get("required", []))
        return required <= instance.keys() <= properties.keys() and all(
            is_valid(value, properties[name]) for name, value in instance.items()
        )
    if isinstance(instance, list):
        items = schema.get("prefixItems", [schema["items"]] * len(instance))
        return len(instance) <= len(items) and all(map(is_valid, instance, items))
    return True


class SchemaCase(NamedTuple):
    """A schema, and instances of it without properties that it does not declare."""

    schema: Schema
    instances: st.SearchStrategy[Any]


SchemaCases: TypeAlias = st.SearchStrategy[SchemaCase]

property_names = st.sampled_from(["a", "b", "title", "type", "$ref", "ünïcode"])
annotations = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text("ab", max_size=3),
        "description": st.text("ab", max_size=3),
        "default": st.none() | st.lists(st.integers(), max_size=1),
        "examples": st.lists(st.integers(), max_size=2),
        "x-unknown": st.booleans(),
    },
)
scalar_cases: SchemaCases = st.sampled_from(
    [
        SchemaCase({"type": "string"}, st.text("ab", max_size=3)),
        SchemaCase({"type": "string", "minLength": 1, "format": "x"}, st.text("a", min_size=1)),
        SchemaCase({"type": "integer", "minimum": 3}, st.integers(min_value=3)),
        SchemaCase({"type": "number"}, st.floats(allow_nan=False) | st.integers()),
        SchemaCase({"type": "boolean"}, st.booleans()),
        SchemaCase(
            {"type": ["string", "null"], "maxLength": 2},
            st.none() | st.text("ab", max_size=2),
        ),
        SchemaCase({"type": "integer", "nullable": True}, st.none() | st.integers()),
        SchemaCase({"enum": ["a", 1, None, True]}, st.sampled_from(["a", 1, None, True])),
        SchemaCase({"type": ["string", "null"], "enum": ["a", "b"]}, st.sampled_from("ab")),
        SchemaCase({"const": "c"}, st.just("c")),
        SchemaCase({"$ref": "#/$defs/Name"}, st.text("ab", max_size=3)),
        SchemaCase({"$ref": "#/$defs/Point"}, st.just({"x": 1}) | st.just({"x": 1, "y": None})),
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
def object_cases(draw: st.DrawFn, cases: SchemaCases) -> SchemaCase:
    properties = draw(st.dictionaries(property_names, cases, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    schema = create_object(**{name: case.schema for name, case in properties.items()})
    if draw(st.booleans()):
        schema["required"] = required
    if draw(st.booleans()):
        schema["additionalProperties"] = False
    instances = {name: case.instances for name, case in properties.items()}
    always = {name: instances.pop(name) for name in required}
    return SchemaCase(schema, st.fixed_dictionaries(always, optional=instances))


def create_array(case: SchemaCase) -> SchemaCase:
    schema = {"type": "array", "items": case.schema, "maxItems": 2}
    return SchemaCase(schema, st.lists(case.instances, max_size=2))


def create_pair(first: SchemaCase, second: SchemaCase) -> SchemaCase:
    items = [first.schema, second.schema]
    schema = {"type": "array", "prefixItems": items, "maxItems": 2}
    return SchemaCase(schema, st.tuples(first.instances, second.instances).map(list))


def create_union(first: SchemaCase, second: SchemaCase, keyword: str) -> SchemaCase:
    return SchemaCase(
        {keyword: [first.schema, second.schema]}, first.instances | second.instances
    )


def annotate(case: SchemaCase, keywords: Schema) -> SchemaCase:
    return case._replace(schema=case.schema | keywords)


def wrap_in_all_of(case: SchemaCase) -> SchemaCase:
    return case._replace(schema={"allOf": [case.schema], "description": "Wrapped"})


def compose(cases: SchemaCases) -> SchemaCases:
    union_keywords = st.sampled_from(["anyOf", "oneOf"])
    return st.one_of(
        object_cases(cases),
        cases.map(create_array),
        cases.map(wrap_in_all_of),
        st.builds(create_pair, cases, cases),
        st.builds(create_union, cases, cases, union_keywords),
        st.builds(annotate, cases, annotations),
    )


strict_cases = object_cases(st.recursive(scalar_cases, compose, max_leaves=5))


@given(st.data(), strict_cases)
def test_strict_schema_is_in_the_subset_and_allows_every_instance(
    data: st.DataObject, case: SchemaCase
) -> None:
    instance = data.draw(case.instances)

    converted, is_strict = prepare_schema(case.schema | {"$defs": DEFINITIONS})

    assert is_strict
    assert_in_subset(converted)
    assert is_valid(instance, converted)


@given(strict_cases)
def test_strict_schema_is_not_changed_again(case: SchemaCase) -> None:
    converted, _ = prepare_schema(case.schema | {"$defs": DEFINITIONS})

    converted_again, is_strict = prepare_schema(converted)

    assert is_strict
    assert json.dumps(converted_again) == json.dumps(converted)


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
def test_arbitrary_schema_never_fails(schema: Schema) -> None:
    before = deepcopy(schema)

    converted, is_strict = prepare_schema(schema)

    assert schema == before
    if is_strict:
        assert_in_subset(converted)
    else:
        assert converted == schema
