"""Check strict JSON schemas, which Cerebras enforces while it generates.

Source: https://inference-docs.cerebras.ai/capabilities/structured-outputs
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

MAX_CHARACTERS = 5_000
MAX_DEPTH = 10
MAX_PROPERTIES = 500
MAX_ENUM_VALUES = 500

_TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}
# A schema with one of these keywords needs no type.
_KEYWORDS_WITHOUT_TYPE = {"$ref", "anyOf", "enum", "const"}
_KEYWORDS = _KEYWORDS_WITHOUT_TYPE | {
    "$schema",
    "default",
    "description",
    "title",
    "$defs",
    "additionalProperties",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "maximum",
    "minimum",
    "multipleOf",
    "prefixItems",
    "properties",
    "required",
    "type",
    "uniqueItems",
}

# The types of the keywords' values, also of keywords that only `schema_examples.py` reads.
_VALUE_TYPES: dict[str, Any] = {
    "type": str | list,
    **dict.fromkeys(("$ref", "description", "format", "pattern"), str),
    **dict.fromkeys(("$defs", "properties"), dict),
    **dict.fromkeys(("allOf", "anyOf", "enum", "oneOf", "prefixItems", "required"), list),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), int),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), int | float),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), int | float),
}


def select_well_typed_keywords(schema: Any) -> dict[str, Any]:
    """Return the keywords of a schema whose values have the right type."""
    keywords = schema.items() if isinstance(schema, Mapping) else ()
    return {
        keyword: value
        for keyword, value in keywords
        if isinstance(value, _VALUE_TYPES.get(keyword, object))
    }


def find_strict_schema_error(root: Any) -> str | None:
    """Return why Cerebras would reject a strict schema, or `None` if it would not."""
    if not isinstance(root, Mapping) or root.get("type") != "object" or "anyOf" in root:
        return "The root of a strict schema must have type 'object'."
    if not isinstance(root.get("properties"), Mapping):
        return "The root of a strict schema must have 'properties'."
    schemas: list[Schema] = []
    for schema, depth in _walk(root):
        if depth > MAX_DEPTH:
            return f"The schema is nested deeper than {MAX_DEPTH} levels."
        if not isinstance(schema, Mapping):
            return "Every schema must be an object."
        if error := _find_keyword_error(schema, root):
            return error
        schemas.append(schema)
    if _is_recursive(root):
        return "Recursive schemas are not supported."
    return _find_size_error(root, schemas)


def _walk(schema: Any, depth: int = 1) -> Iterator[tuple[Any, int]]:
    """Yield a schema and all schemas inside it, each with its depth. They may be invalid."""
    yield schema, depth
    # One level below the limit is enough to see that the schema is too deep.
    if depth <= MAX_DEPTH:
        keywords = select_well_typed_keywords(schema)
        for definition in keywords.get("$defs", {}).values():
            yield from _walk(definition, depth)
        for child in _list_children(keywords):
            yield from _walk(child, depth + 1)


def _list_children(schema: Schema) -> Iterator[Any]:
    yield from schema.get("properties", {}).values()
    yield from schema.get("anyOf", ())
    yield from schema.get("prefixItems", ())
    if isinstance(schema.get("items"), Mapping):
        yield schema["items"]


def _find_keyword_error(schema: Schema, root: Schema) -> str | None:
    badly_typed = schema.keys() - select_well_typed_keywords(schema).keys()
    if invalid := badly_typed & _KEYWORDS:
        return f"Invalid JSON schema fields: {_format_set(invalid)}"
    if unsupported := schema.keys() - _KEYWORDS:
        return f"Unsupported JSON schema fields: {_format_set(unsupported)}"
    if "$ref" in schema and schema["$ref"] not in _map_definitions(root):
        return f"Unsupported '$ref': {schema['$ref']!r}"
    return _find_type_error(schema)


def _find_type_error(schema: Schema) -> str | None:
    types = _get_types(schema)
    if not types <= _TYPES or not (types or schema.keys() & _KEYWORDS_WITHOUT_TYPE):
        return f"Unsupported JSON schema type: {schema.get('type')!r}"
    if "array" in types and not _has_valid_items(schema):
        return "Unsupported JSON schema fields: {'items'}"  # also if `items` is missing
    if any(isinstance(value, dict | list) for value in _list_literal_values(schema)):
        return "The values of 'enum' and 'const' must be primitive."
    if "object" in types or "properties" in schema:
        return _find_object_error(schema)
    return None


def _get_types(schema: Schema) -> set[str]:
    value = schema.get("type", ())
    return {value} if isinstance(value, str) else set(map(str, value))


def _find_object_error(schema: Schema) -> str | None:
    if schema.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and set to false"
    required = set(map(str, schema.get("required", ())))
    if undefined := required - set(schema.get("properties", ())):
        return f"Required properties are not defined: {_format_set(undefined)}"
    return None


def _has_valid_items(schema: Schema) -> bool:
    if "prefixItems" in schema:
        return schema.get("items") is False
    return isinstance(schema.get("items"), Mapping)


def _list_literal_values(schema: Schema) -> list[Any]:
    """List the values of `enum` and `const`."""
    return [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]


def _map_definitions(root: Schema) -> dict[str, Any]:
    """Map each supported reference to its definition."""
    return {f"#/$defs/{name}": schema for name, schema in root.get("$defs", {}).items()}


def _is_recursive(root: Schema) -> bool:
    """Whether a definition refers to itself, directly or through other definitions."""
    references = {
        reference: {schema["$ref"] for schema, _ in _walk(definition) if "$ref" in schema}
        for reference, definition in _map_definitions(root).items()
    }
    return any(
        reference in _collect_reachable(reference, references) for reference in references
    )


def _collect_reachable(start: str, references: Mapping[str, set[str]]) -> set[str]:
    """Collect all definitions that a definition refers to, directly or indirectly."""
    reached: set[str] = set()
    unvisited = references[start]
    while unvisited:
        reached |= unvisited
        unvisited = set().union(*(references.get(name, ()) for name in unvisited)) - reached
    return reached


def _find_size_error(root: Schema, schemas: list[Schema]) -> str | None:
    properties = [name for schema in schemas for name in schema.get("properties", ())]
    enum_values = [value for schema in schemas for value in schema.get("enum", ())]
    literal_values = [value for schema in schemas for value in _list_literal_values(schema)]
    names_and_values = [*properties, *root.get("$defs", ()), *literal_values]
    if len(properties) > MAX_PROPERTIES:
        return f"The schema has more than {MAX_PROPERTIES} properties."
    if len(enum_values) > MAX_ENUM_VALUES:
        return f"The schema has more than {MAX_ENUM_VALUES} enum values."
    if _count_characters(names_and_values) > MAX_CHARACTERS:
        return f"The schema is longer than {MAX_CHARACTERS} characters."
    return None


def _count_characters(values: Iterable[Any]) -> int:
    return sum(len(value) for value in values if isinstance(value, str))


def _format_set(names: set[str]) -> str:
    """Format names the way Cerebras does in its messages."""
    return "{" + ",".join(f"'{name}'" for name in sorted(names)) + "}"
