"""The JSON schemas Cerebras can hold a strict answer to."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAX_CHARACTERS = 5_000
MAX_DEPTH = 10
MAX_PROPERTIES = 500
MAX_ENUM_VALUES = 500
LONG_ENUM_VALUES = 250
LONG_ENUM_CHARACTERS = 7_500

_TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}
_ANNOTATIONS = {"$schema", "default", "description", "title"}
_KEYWORDS = _ANNOTATIONS | {
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "enum",
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

Schema = Mapping[str, Any]


def strict_fault(root: Any) -> str | None:
    """Why `root` cannot be strict, or `None` if it can."""
    if not isinstance(root, Mapping):
        return "The schema must be an object."
    checks = (_root_fault, _node_faults, _recursion_fault, _size_fault)
    return next((fault for check in checks if (fault := check(root))), None)


def _root_fault(root: Schema) -> str | None:
    if root.get("type") != "object" or "anyOf" in root:
        return "The root of a strict schema must have type 'object'."
    if not isinstance(root.get("properties"), Mapping):
        return "The root of a strict schema must have 'properties'."
    return None


def _node_faults(root: Schema) -> str | None:
    for node, depth in _nodes(root):
        if depth > MAX_DEPTH:
            return f"The schema is nested deeper than {MAX_DEPTH} levels."
        if fault := _node_fault(node, root):
            return fault
    return None


def _node_fault(node: Any, root: Schema) -> str | None:
    if not isinstance(node, Mapping):
        return "Every schema must be an object."
    if unsupported := sorted(set(node) - _KEYWORDS):
        return f"Unsupported JSON schema fields: {_braced(unsupported)}"
    checks: tuple[Callable[[], str | None], ...] = (
        lambda: _type_fault(node),
        lambda: _object_fault(node),
        lambda: _array_fault(node),
        lambda: _reference_fault(node, root),
    )
    return next((fault for check in checks if (fault := check())), None)


def _type_fault(node: Schema) -> str | None:
    if node.keys() & {"$ref", "anyOf", "enum", "const"} and "type" not in node:
        return None
    if not _types(node):
        return "Every schema needs a 'type'."
    unknown = sorted(map(str, _types(node) - _TYPES))
    return f"Unknown JSON schema types: {_braced(unknown)}" if unknown else None


def _object_fault(node: Schema) -> str | None:
    is_object = "object" in _types(node) or "properties" in node
    if is_object and node.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and set to false"
    missing = set(node.get("required", ())) - set(node.get("properties", ()))
    if missing:
        return f"Required properties are not defined: {_braced(sorted(missing))}"
    return None


def _array_fault(node: Schema) -> str | None:
    if "array" not in _types(node):
        return None
    if "prefixItems" in node:
        closed = node.get("items") is False
        return None if closed else "'prefixItems' requires 'items' to be false"
    if not isinstance(node.get("items"), Mapping):
        return "Unsupported JSON schema fields: {'items'}"
    return None


def _reference_fault(node: Schema, root: Schema) -> str | None:
    if "$ref" in node and resolved(node["$ref"], root) is None:
        return f"Unsupported '$ref': {node['$ref']!r}"
    return None


def _recursion_fault(root: Schema) -> str | None:
    definitions = root.get("$defs", {})
    links = {name: set(_references(node)) for name, node in definitions.items()}
    is_own_part = "" in _references(root)
    if is_own_part or any(name in _reached(name, links) for name in links):
        return "Recursive schemas are not supported."
    return None


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
        if isinstance(found, Mapping) and "$ref" in found:
            yield str(found["$ref"]).removeprefix("#").removeprefix("/$defs/")


def _size_fault(root: Schema) -> str | None:
    nodes = [node for node, _ in _nodes(root)]
    names = [name for node in nodes for name in node.get("properties", ())]
    enums = [list(node.get("enum", ())) for node in nodes]
    values = [value for enum in enums for value in enum]
    constants = [node["const"] for node in nodes if "const" in node]
    counted = [*names, *root.get("$defs", ()), *values, *constants]
    if len(names) > MAX_PROPERTIES:
        return f"The schema has more than {MAX_PROPERTIES} properties."
    if len(values) > MAX_ENUM_VALUES:
        return f"The schema has more than {MAX_ENUM_VALUES} enum values."
    if any(map(_is_long_enum, enums)):
        return f"An enum is longer than {LONG_ENUM_CHARACTERS} characters."
    if _characters(counted) > MAX_CHARACTERS:
        return f"The schema is longer than {MAX_CHARACTERS} characters."
    return None


def _is_long_enum(values: list[Any]) -> bool:
    long = _characters(values) > LONG_ENUM_CHARACTERS
    return long and len(values) > LONG_ENUM_VALUES


def _characters(values: list[Any]) -> int:
    return sum(len(value) for value in values if isinstance(value, str))


def _nodes(node: Any, depth: int = 1) -> Iterator[tuple[Any, int]]:
    """All schemas within `node`, itself included, each with its depth."""
    yield node, depth
    # One level past the limit is enough to see that it was passed.
    if isinstance(node, Mapping) and depth <= MAX_DEPTH:
        for child, step in _children(node):
            yield from _nodes(child, depth + step)


def _children(node: Schema) -> Iterator[tuple[Any, int]]:
    for key in ("properties", "$defs"):
        step = 1 if key == "properties" else 0
        yield from ((child, step) for child in dict(node.get(key) or {}).values())
    for key in ("anyOf", "prefixItems"):
        yield from ((child, 1) for child in node.get(key) or ())
    if isinstance(node.get("items"), Mapping):
        yield node["items"], 1


def _types(node: Schema) -> set[Any]:
    named = node.get("type", ())
    return {named} if isinstance(named, str) else set(named)


def resolved(reference: Any, root: Schema) -> Schema | None:
    """The definition within `root` that `reference` points at."""
    node: Any = root
    pointer = str(reference)
    if not pointer.startswith("#"):
        return None
    for step in pointer[1:].strip("/").split("/") if pointer != "#" else ():
        name = step.replace("~1", "/").replace("~0", "~")
        node = node.get(name) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else None


def _braced(names: list[str]) -> str:
    return "{" + ",".join(f"'{name}'" for name in names) + "}"
