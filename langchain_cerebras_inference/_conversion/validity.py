"""An object against the JSON schema it was asked for, as far as pydantic does not see to it.

The server holds to what it was sent, if at all; what strict could not say is found here.
A keyword that is not known here, or is used oddly, proves nothing against an object.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def _sized(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, limit: holds(len(value), limit)


_LIMITS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("number", operator.ge),
    "maximum": ("number", operator.le),
    "exclusiveMinimum": ("number", operator.gt),
    "exclusiveMaximum": ("number", operator.lt),
    "minLength": ("string", _sized(operator.ge)),
    "maxLength": ("string", _sized(operator.le)),
    "pattern": ("string", lambda value, pattern: bool(re.search(pattern, value))),
    "minItems": ("array", _sized(operator.ge)),
    "maxItems": ("array", _sized(operator.le)),
    "minProperties": ("object", _sized(operator.ge)),
    "maxProperties": ("object", _sized(operator.le)),
}


def fault_of(value: Any, schema: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong with a value, or `None`."""
    try:
        return next(_faults(value, schema, schema, "it"), None)
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError, re.error):
        return None


def _faults(value: Any, schema: Any, root: Mapping[str, Any], at: str) -> Iterator[str]:
    if not isinstance(schema, Mapping) or (value is None and schema.get("nullable") is True):
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{at} is no {' or '.join(kinds)}"
    yield from _of_value(value, schema, at)
    yield from _combined(value, schema, root, at)
    if isinstance(value, dict):
        yield from _of_object(value, schema, root, at)
    if isinstance(value, list):
        for place, (each, wanted) in enumerate(_items(value, schema)):
            yield from _faults(each, wanted, root, f"{at}[{place}]")


def _of_value(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    if value not in schema.get("enum", [value]) or schema.get("const", value) != value:
        yield f"{at} is none of the values it may have"
    for word, (kind, holds) in _LIMITS.items():
        if word in schema and _is(value, kind) and not holds(value, schema[word]):
            yield f"{at} does not keep to {word} {schema[word]!r}"


def _combined(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    if "$ref" in schema:
        yield from _faults(value, _target(schema["$ref"], root), root, at)
    for each in schema.get("allOf", []):
        yield from _faults(value, each, root, at)
    for union in ("anyOf", "oneOf"):
        faults = [next(_faults(value, each, root, at), "") for each in schema.get(union, [])]
        if faults and all(faults):
            yield faults[0] if len(faults) == 1 else f"{at} fits no branch of {union}"


def _of_object(
    value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    required = schema.get("required", [])
    properties = schema.get("properties", {})
    for name in required:
        if name not in value:
            yield f"{at} lacks {name!r}"
    for name, each in value.items():
        # Models say null for what they leave out, and a TypedDict's schema forgets it.
        if name in properties and (each is not None or name in required):
            yield from _faults(each, properties[name], root, f"{at}.{name}")
        elif name not in properties and schema.get("additionalProperties") is False:
            yield f"{at} has {name!r}, which its schema does not name"


def _items(value: list[Any], schema: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    first = schema.get("prefixItems", [])
    rest = schema.get("items")
    wanted = [*first, *[rest] * (len(value) - len(first))]
    return zip(value, wanted, strict=False)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS[kind])


def _target(ref: str, root: Mapping[str, Any]) -> Any:
    target: Any = root
    for step in ref.split("/")[1:]:
        target = target[step]
    return target
