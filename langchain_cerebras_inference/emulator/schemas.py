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

Schema = Mapping[str, Any]


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
        if node.get("additionalProperties") is not False:
            yield "'additionalProperties' is required to be supplied and set to false"
        if missing := set(node.get("required", ())) - set(node.get("properties", ())):
            yield f"Required properties are not defined: {_braced(missing)}"
    if "array" in types and not _has_items(node):
        yield "Unsupported JSON schema fields: {'items'}"
    if "$ref" in node and resolved(node["$ref"], root) is None:
        yield f"Unsupported '$ref': {node['$ref']!r}"


def _has_items(node: Schema) -> bool:
    if "prefixItems" in node:
        return node.get("items") is False
    return isinstance(node.get("items"), Mapping)


def _recursion_faults(root: Schema) -> Iterator[str]:
    definitions = root.get("$defs", {})
    links = {name: set(_references(node)) for name, node in definitions.items()}
    is_own_part = "" in _references(root)
    if is_own_part or any(name in _reached(name, links) for name in links):
        yield "Recursive schemas are not supported."


def _reached(name: str, links: Mapping[str, set[str]]) -> set[str]:
    """The definitions that `name` refers to, near and far."""
    reached: set[str] = set()
    frontier = links[name]
    while frontier := frontier - reached:
        reached |= frontier
        frontier = {far for near in frontier for far in links.get(near, ())}
    return reached


def _references(node: Any) -> Iterator[str]:
    for found, _ in _nodes(node):
        if "$ref" in found:
            yield str(found["$ref"]).removeprefix("#").removeprefix("/$defs/")


def _size_faults(root: Schema, nodes: list[Schema]) -> Iterator[str]:
    names = [name for node in nodes for name in node.get("properties", ())]
    enums = [list(node.get("enum", ())) for node in nodes]
    values = [value for enum in enums for value in enum]
    constants = [node["const"] for node in nodes if "const" in node]
    if len(names) > MAX_PROPERTIES:
        yield f"The schema has more than {MAX_PROPERTIES} properties."
    if len(values) > MAX_ENUM_VALUES:
        yield f"The schema has more than {MAX_ENUM_VALUES} enum values."
    if _characters([*names, *root.get("$defs", ()), *values, *constants]) > MAX_CHARACTERS:
        yield f"The schema is longer than {MAX_CHARACTERS} characters."


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


def _types(node: Schema) -> set[Any]:
    named = node.get("type", ())
    return {named} if isinstance(named, str) else set(named)


def resolved(reference: Any, root: Schema) -> Schema | None:
    """The definition within `root` that `reference` points at."""
    node: Any = root
    path, *steps = str(reference).split("/")
    for step in steps:
        node = node.get(step) if isinstance(node, Mapping) else None
    return node if path == "#" and isinstance(node, Mapping) else None


def _braced(names: set[Any]) -> str:
    return "{" + ",".join(f"'{name}'" for name in sorted(names)) + "}"
