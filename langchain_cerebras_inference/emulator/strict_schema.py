"""The rules for a strict JSON schema, one that Cerebras enforces while generating.

https://inference-docs.cerebras.ai/capabilities/structured-outputs has the rules.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

MAX_CHARACTERS = 5_000
MAX_DEPTH = 10
MAX_PROPERTIES = 500
MAX_ENUM_VALUES = 500

_TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}
# A schema with one of these needs no type.
_TYPE_SUBSTITUTES = {"$ref", "anyOf", "enum", "const"}
_KEYWORDS = _TYPE_SUBSTITUTES | set(
    "$schema default description title $defs additionalProperties exclusiveMaximum "
    "exclusiveMinimum items maximum minimum multipleOf prefixItems properties required "
    "type uniqueItems".split()
)

_VALUE_TYPES: dict[str, Any] = {
    "type": str | list,
    **dict.fromkeys(("$ref", "description", "format", "pattern"), str),
    **dict.fromkeys(("$defs", "properties"), dict),
    **dict.fromkeys(("allOf", "anyOf", "enum", "oneOf", "prefixItems", "required"), list),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), int),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), int | float),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), int | float),
}


def select_valid_keywords(schema: Any) -> dict[str, Any]:
    """Select the keywords of a schema whose value has the right type."""
    keywords = schema.items() if isinstance(schema, Mapping) else ()
    return {
        keyword: value
        for keyword, value in keywords
        if isinstance(value, _VALUE_TYPES.get(keyword, object))
    }


def find_strict_schema_error(root: Any) -> str | None:
    """Return why Cerebras would reject a strict schema, or `None`."""
    if not isinstance(root, Mapping) or root.get("type") != "object" or "anyOf" in root:
        return "The root of a strict schema must have type 'object'."
    if not isinstance(root.get("properties"), Mapping):
        return "The root of a strict schema must have 'properties'."
    return next(_find_errors(root), None)


def _find_errors(root: Schema) -> Iterator[str]:
    schemas = []
    for schema, depth in _walk(root):
        if depth > MAX_DEPTH:
            yield f"The schema is nested deeper than {MAX_DEPTH} levels."
        if not isinstance(schema, Mapping):
            yield "Every schema must be an object."
            return
        if invalid := _KEYWORDS & (schema.keys() - select_valid_keywords(schema)):
            yield f"Invalid JSON schema fields: {_format_set(invalid)}"
            return
        yield from _find_keyword_errors(schema, root)
        schemas.append(schema)
    yield from _find_recursion(root)
    yield from _find_size_errors(root, schemas)


def _walk(schema: Any, depth: int = 1) -> Iterator[tuple[Any, int]]:
    """Yield a schema and all schemas inside it, each with its depth."""
    yield schema, depth
    # One level below the limit is enough to see that the schema is too deep.
    if isinstance(schema, Mapping) and depth <= MAX_DEPTH:
        for definition in schema.get("$defs", {}).values():
            yield from _walk(definition, depth)
        for child in _list_children(schema):
            yield from _walk(child, depth + 1)


def _list_children(schema: Schema) -> Iterator[Any]:
    yield from schema.get("properties", {}).values()
    yield from schema.get("anyOf", ())
    yield from schema.get("prefixItems", ())
    if isinstance(schema.get("items"), Mapping):
        yield schema["items"]


def _find_keyword_errors(schema: Schema, root: Schema) -> Iterator[str]:
    types = _get_types(schema)
    if unsupported := schema.keys() - _KEYWORDS:
        yield f"Unsupported JSON schema fields: {_format_set(unsupported)}"
    if not types <= _TYPES or not (types or schema.keys() & _TYPE_SUBSTITUTES):
        yield f"Unsupported JSON schema type: {schema.get('type')!r}"
    if "object" in types or "properties" in schema:
        yield from _find_object_errors(schema)
    if "array" in types and not _has_valid_items(schema):
        yield "Unsupported JSON schema fields: {'items'}"
    if any(isinstance(value, dict | list) for value in _list_literal_values(schema)):
        yield "The values of 'enum' and 'const' must be primitive."
    if "$ref" in schema and schema["$ref"] not in _map_definitions(root):
        yield f"Unsupported '$ref': {schema['$ref']!r}"


def _get_types(schema: Schema) -> set[str]:
    value = schema.get("type", ())
    return {value} if isinstance(value, str) else set(map(str, value))


def _find_object_errors(schema: Schema) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield "'additionalProperties' is required to be supplied and set to false"
    required = set(map(str, schema.get("required", ())))
    if undefined := required - set(schema.get("properties", ())):
        yield f"Required properties are not defined: {_format_set(undefined)}"


def _has_valid_items(schema: Schema) -> bool:
    if "prefixItems" in schema:
        return schema.get("items") is False
    return isinstance(schema.get("items"), Mapping)


def _list_literal_values(schema: Schema) -> list[Any]:
    """List the values of `enum` and `const`."""
    return [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]


def _map_definitions(root: Schema) -> dict[str, Any]:
    """Map each reference that is supported to the definition it refers to."""
    return {f"#/$defs/{name}": schema for name, schema in root.get("$defs", {}).items()}


def _find_recursion(root: Schema) -> Iterator[str]:
    references = {
        reference: {schema["$ref"] for schema, _ in _walk(definition) if "$ref" in schema}
        for reference, definition in _map_definitions(root).items()
    }
    if any(reference in _collect_reachable(reference, references) for reference in references):
        yield "Recursive schemas are not supported."


def _collect_reachable(start: str, references: Mapping[str, set[str]]) -> set[str]:
    """Collect the references that are reachable from a definition."""
    reached: set[str] = set()
    unvisited = references[start]
    while unvisited:
        reached |= unvisited
        unvisited = set().union(*(references.get(name, ()) for name in unvisited)) - reached
    return reached


def _find_size_errors(root: Schema, schemas: list[Schema]) -> Iterator[str]:
    properties = [name for schema in schemas for name in schema.get("properties", ())]
    enum_values = [value for schema in schemas for value in schema.get("enum", ())]
    literal_values = [value for schema in schemas for value in _list_literal_values(schema)]
    if len(properties) > MAX_PROPERTIES:
        yield f"The schema has more than {MAX_PROPERTIES} properties."
    if len(enum_values) > MAX_ENUM_VALUES:
        yield f"The schema has more than {MAX_ENUM_VALUES} enum values."
    if (
        _count_characters([*properties, *root.get("$defs", ()), *literal_values])
        > MAX_CHARACTERS
    ):
        yield f"The schema is longer than {MAX_CHARACTERS} characters."


def _count_characters(values: Iterable[Any]) -> int:
    return sum(len(value) for value in values if isinstance(value, str))


def _format_set(names: set[str]) -> str:
    """Format names the way Cerebras does in its messages."""
    return "{" + ",".join(f"'{name}'" for name in sorted(names)) + "}"
