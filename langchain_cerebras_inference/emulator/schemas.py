"""The JSON schemas Cerebras can hold a strict answer to."""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_CHARACTERS = 5_000
MAX_DEPTH = 10
MAX_PROPERTIES = 500
MAX_ENUM_VALUES = 500

_TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}
_UNTYPED = {"$ref", "anyOf", "enum", "const"}
_KEYWORDS = _UNTYPED | set(
    "$schema default description title $defs additionalProperties exclusiveMaximum "
    "exclusiveMinimum items maximum minimum multipleOf prefixItems properties required "
    "type uniqueItems".split()
)

# What the values of those keywords must be that are looked into.
_FORMS: dict[str, Any] = {
    "type": str | list,
    **dict.fromkeys(("$ref", "description", "format", "pattern"), str),
    **dict.fromkeys(("$defs", "properties"), dict),
    **dict.fromkeys(("allOf", "anyOf", "enum", "oneOf", "prefixItems", "required"), list),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), int),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), int | float),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), int | float),
}

Schema = Mapping[str, Any]


def well_formed(schema: Any) -> dict[str, Any]:
    """The keywords of `schema` whose value has the form it must have."""
    keywords = schema.items() if isinstance(schema, Mapping) else ()
    return {key: value for key, value in keywords if isinstance(value, _FORMS.get(key, object))}


def strict_fault(root: Any) -> str | None:
    """Why `root` cannot be strict, or `None` if it can."""
    if not isinstance(root, Mapping) or root.get("type") != "object" or "anyOf" in root:
        return "The root of a strict schema must have type 'object'."
    if not isinstance(root.get("properties"), Mapping):
        return "The root of a strict schema must have 'properties'."
    return next(_faults(root), None)


def _faults(root: Schema) -> Iterator[str]:
    nodes = []
    for node, depth in _nodes(root):
        if depth > MAX_DEPTH:
            yield f"The schema is nested deeper than {MAX_DEPTH} levels."
        if not isinstance(node, Mapping):
            yield "Every schema must be an object."
            return
        if misformed := _KEYWORDS & (node.keys() - well_formed(node)):
            yield f"Invalid JSON schema fields: {_braced(misformed)}"
            return
        yield from _node_faults(node, root)
        nodes.append(node)
    yield from _recursion_faults(root)
    yield from _size_faults(root, nodes)


def _node_faults(node: Schema, root: Schema) -> Iterator[str]:
    types = _types(node)
    if unsupported := node.keys() - _KEYWORDS:
        yield f"Unsupported JSON schema fields: {_braced(unsupported)}"
    if not types <= _TYPES or not (types or node.keys() & _UNTYPED):
        yield f"Unsupported JSON schema type: {node.get('type')!r}"
    if "object" in types or "properties" in node:
        yield from _object_faults(node)
    if "array" in types and not _has_items(node):
        yield "Unsupported JSON schema fields: {'items'}"
    if any(isinstance(value, dict | list) for value in _values(node)):
        yield "The values of 'enum' and 'const' must be primitive."
    if "$ref" in node and node["$ref"] not in _definitions(root):
        yield f"Unsupported '$ref': {node['$ref']!r}"


def _object_faults(node: Schema) -> Iterator[str]:
    if node.get("additionalProperties") is not False:
        yield "'additionalProperties' is required to be supplied and set to false"
    if missing := {*map(str, node.get("required", ()))} - {*node.get("properties", ())}:
        yield f"Required properties are not defined: {_braced(missing)}"


def _has_items(node: Schema) -> bool:
    if "prefixItems" in node:
        return node.get("items") is False
    return isinstance(node.get("items"), Mapping)


def _recursion_faults(root: Schema) -> Iterator[str]:
    definitions = _definitions(root).items()
    links = {reference: {*_references(node)} for reference, node in definitions}
    if any(reference in _reached(reference, links) for reference in links):
        yield "Recursive schemas are not supported."


def _definitions(root: Schema) -> dict[str, Any]:
    """All that may be referred to, by the reference: the root's own definitions."""
    return {f"#/$defs/{name}": node for name, node in root.get("$defs", {}).items()}


def _reached(reference: str, links: Mapping[str, set[str]]) -> set[str]:
    """The references that `reference` leads to, near and far."""
    reached: set[str] = set()
    frontier = links[reference]
    while frontier := frontier - reached:
        reached |= frontier
        frontier = {far for near in frontier for far in links.get(near, ())}
    return reached


def _references(node: Schema) -> Iterator[str]:
    for found, _ in _nodes(node):
        if "$ref" in found:
            yield found["$ref"]


def _size_faults(root: Schema, nodes: list[Schema]) -> Iterator[str]:
    names = [name for node in nodes for name in node.get("properties", ())]
    enums = [value for node in nodes for value in node.get("enum", ())]
    values = [value for node in nodes for value in _values(node)]
    if len(names) > MAX_PROPERTIES:
        yield f"The schema has more than {MAX_PROPERTIES} properties."
    if len(enums) > MAX_ENUM_VALUES:
        yield f"The schema has more than {MAX_ENUM_VALUES} enum values."
    if _characters([*names, *root.get("$defs", ()), *values]) > MAX_CHARACTERS:
        yield f"The schema is longer than {MAX_CHARACTERS} characters."


def _values(node: Schema) -> list[Any]:
    """The values that `enum` and `const` name."""
    return [*node.get("enum", ()), *([node["const"]] if "const" in node else [])]


def _characters(values: list[Any]) -> int:
    return sum(len(value) for value in values if isinstance(value, str))


def _nodes(node: Any, depth: int = 1) -> Iterator[tuple[Any, int]]:
    """All schemas within `node`, itself included, each with its depth."""
    yield node, depth
    # One level past the limit is enough to see that it was passed.
    if isinstance(node, Mapping) and depth <= MAX_DEPTH:
        for definition in node.get("$defs", {}).values():
            yield from _nodes(definition, depth)
        for child in _children(node):
            yield from _nodes(child, depth + 1)


def _children(node: Schema) -> Iterator[Any]:
    yield from node.get("properties", {}).values()
    yield from node.get("anyOf", ())
    yield from node.get("prefixItems", ())
    if isinstance(node.get("items"), Mapping):
        yield node["items"]


def _types(node: Schema) -> set[str]:
    named = node.get("type", ())
    return {named} if isinstance(named, str) else {*map(str, named)}


def resolved(reference: Any, root: Schema) -> Schema | None:
    """The definition within `root` that `reference` points at."""
    node: Any = root
    path, *steps = str(reference).split("/")
    for step in steps:
        node = node.get(step) if isinstance(node, Mapping) else None
    return node if path == "#" and isinstance(node, Mapping) else None


def _braced(names: set[Any]) -> str:
    return "{" + ",".join(f"'{name}'" for name in sorted(names)) + "}"
