"""JSON schema → the strict subset Cerebras accepts, and what was left out.

What the subset lacks is rewritten where that keeps the meaning, else said in the
`description`: strict may allow more than the original, never less. References are
folded in, because the gpt-oss template does not follow them. The subset knows only
closed objects (https://inference-docs.cerebras.ai/capabilities/structured-outputs),
so a silent one is closed; but an inner one that names no properties is an open map.
"""

import logging
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache, reduce
from typing import Any
from urllib.parse import unquote

_Schema = dict[str, Any]
_LOGGER = logging.getLogger("langchain_cerebras_inference")

# Cerebras does not say what a level is: any subschema, here. No enum gets as far as
# its own 7,500 characters. Subschemas are limited by us: folding may double them.
LIMITS = {"levels": 10, "properties": 500, "enum values": 500, "characters": 5_000}
LIMITS |= {"subschemas": 5_000}

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}
_TYPES |= {type(None): "null"}
_NAMES = {*_TYPES.values(), "array", "object"}
_TEXTS = {"title", "description", "$schema"}
_SAID = ["minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"]
_SAID += ["minLength", "maxLength", "pattern", "format", "examples"]
_WORDS = {key: re.sub("([A-Z])", r" \1", key).lower() for key in _SAID}
_NOTES = _TEXTS.union(_SAID, {"default"})
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_SHAPES = {"type", "enum", "const", "properties", "required", "additionalProperties"}
_SHAPES |= {"items", "prefixItems", "additionalItems", "nullable", "anyOf", "oneOf"}
_KNOWN = _NOTES | _BOUNDS | _SHAPES | {"$ref", "allOf"}
_REFUSED = {"not", "if", "dependencies", "dependentRequired", "dependentSchemas"}
_REFUSED |= {"contains", "propertyNames", "patternProperties", "unevaluatedProperties"}


def to_wire_schema(
    schema: Mapping[str, Any], *, strict: bool | None = None, name: str | None = None
) -> tuple[dict[str, Any], bool]:
    """Return a schema as it is sent, and whether it goes out strict.

    `strict=None` is strict where that can be expressed; `True` too, with one logged
    warning where it cannot, under `name` or the title; `False` sends it as it is.
    """
    try:
        if strict is not False:
            return _Strict(dict(schema)).root(), True
    except (TypeError, ValueError, RecursionError) as error:
        if strict:
            _warn_once(name or str(schema.get("title", "")), str(error))
    return deepcopy(dict(schema)), False


def can_be_object(schema: object) -> bool:
    """Whether an object may fit a schema; `True` where that cannot be told."""
    try:
        return _lets_object(schema, schema)
    except (TypeError, ValueError, RecursionError):
        return True


def target_of(ref: object, root: object) -> Any:
    """What a reference stands for in the schema `root`.

    Raises:
        TypeError: If it is no text.
        ValueError: If it stands for nothing.
    """
    steps = unquote(_a(str, ref)).split("/")
    target: Any = {"#": root}
    try:
        for step in steps:
            target = target[step.replace("~1", "/").replace("~0", "~")]
    except (KeyError, TypeError):
        raise ValueError(f"it refers to {ref!r:.40}, which is not in it") from None
    return target


@lru_cache(maxsize=256)
def _warn_once(name: str, reason: str) -> None:
    _LOGGER.warning("Schema %r goes out without strict: %s", name, reason)


class _Strict:
    """One schema on its way into the subset, and what is left of the limits."""

    def __init__(self, schema: _Schema) -> None:
        self._schema = schema
        self._left = dict(LIMITS)

    def root(self) -> _Schema:
        schema = self._fold(self._schema)
        schema.setdefault("type", "object")
        schema.setdefault("properties", {})
        if _branches(schema) or _types(schema) != ["object"]:
            raise ValueError("its root is not an object")
        return self._node(schema)

    def _spend(self, what: str, amount: int = 1) -> None:
        self._left[what] -= amount
        if self._left[what] < 0:
            raise ValueError(f"it has more than {LIMITS[what]} {what}, or is recursive")

    def _fold(self, schema: object) -> _Schema:
        """A schema with what it refers to, and all of its `allOf`, in one."""
        self._spend("subschemas")
        if refused := _REFUSED.intersection(_a(dict, schema)):
            raise ValueError(f"it has `{min(refused)}`")
        own = {key: each for key, each in _a(dict, schema).items() if key in _KNOWN}
        if "const" in own:
            own["enum"] = [own["const"]]
        parts = [target_of(own.pop("$ref"), self._schema)] if "$ref" in own else []
        parts += _a(list, own.pop("allOf", []))
        return reduce(_both, map(self._fold, parts), own)

    def _node(self, schema: object) -> _Schema:
        self._spend("levels")
        own = self._fold(schema)
        if branches := _branches(own):
            shape: _Schema = {"anyOf": [self._node(each) for each in branches]}
        else:
            kind = _types(own)[0]
            shapes = {"object": self._object, "array": self._array}
            shape = {"type": kind} | shapes.get(kind, self._scalar)(own | {"type": kind})
        self._spend("levels", -1)
        wire = _notes(own) | shape
        return {key: wire[key] for key in (*own, *wire) if key in wire}

    def _object(self, schema: _Schema) -> _Schema:
        properties = _a(dict, schema.get("properties", {}))
        required = [_a(str, name) for name in _a(list, schema.get("required", []))]
        opened = schema.get("additionalProperties", "properties" not in schema) is not False
        if opened or not properties.keys() >= set(required):
            raise ValueError("an object has keys that it does not name")
        self._spend("properties", len(properties))
        self._spend("characters", sum(map(len, properties)))
        shape: _Schema = {"required": required} if required else {}
        shape["properties"] = {key: self._node(properties[key]) for key in properties}
        return shape | {"additionalProperties": False}

    def _array(self, schema: _Schema) -> _Schema:
        items = schema.get("items")
        first = schema.get("prefixItems", items)  # before 2020-12, `items` was both
        if not isinstance(first, list):
            return {"items": self._node(items)}
        rest = items if "prefixItems" in schema else schema.get("additionalItems")
        if not first or (rest is not False and schema.get("maxItems") != len(first)):
            raise ValueError("a tuple has no end")
        return {"prefixItems": [self._node(each) for each in first], "items": False}

    def _scalar(self, schema: _Schema) -> _Schema:
        kind = schema["type"]
        values = [each for each in schema.get("enum", []) if _is(each, kind)]
        self._spend("enum values", len(values))
        self._spend("characters", sum(len(v) for v in values if isinstance(v, str)))
        bounds = {k: v for k, v in schema.items() if k in _BOUNDS and _is(v, "number")}
        named = {"const": values[0]} if "const" in schema else {"enum": values}
        return (bounds if _is(0, kind) else {}) | (named if values else {})


def _lets_object(schema: object, root: object) -> bool:
    if not isinstance(schema, Mapping):
        return schema is not False
    parts = [target_of(schema["$ref"], root)] if "$ref" in schema else []
    parts += schema.get("allOf", [])
    branches = schema.get("anyOf") or schema.get("oneOf") or [True]
    return (
        "object" in schema.get("type", ["object"])
        and all(_lets_object(part, root) for part in parts)
        and any(_lets_object(branch, root) for branch in branches)
    )


def _a(kind: type, value: object) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.40} is not a {kind.__name__}")
    return value


def _both(first: _Schema, second: _Schema) -> _Schema:
    """The schema that holds where both do; the first one's notes win."""
    if any(first[key] != second[key] for key in first.keys() & second.keys() - _NOTES):
        raise ValueError("two parts of it contradict each other")
    return second | first


def _branches(schema: _Schema) -> list[Any]:
    """The schemas of which one holds, if it is a union."""
    rest = {key: schema[key] for key in schema if key not in _NOTES}
    if rest.pop("nullable", False) is True:
        return [rest, {"type": "null"}]
    for union in ("anyOf", "oneOf"):
        if union in rest:
            branches = _a(list, rest.pop(union)) or [None]
            return [{"allOf": [each, rest]} if rest else each for each in branches]
    types = _types(rest)
    return [rest | {"type": each} for each in types] if len(types) > 1 else []


def _types(schema: _Schema) -> list[str]:
    """The types an instance can have: those said, or else those of its values."""
    values = _a(list, schema.get("enum", []))
    kinds = [_TYPES.get(type(each)) for each in values]
    said = schema.get("type", kinds)
    types = dict.fromkeys(map(str, said if isinstance(said, list) else [said]))
    fitting = [t for t in types if not values or any(_is(each, t) for each in values)]
    if not fitting or None in kinds or not _NAMES.issuperset(fitting):
        raise ValueError(f"a type is missing or unknown: {said!r:.40}")
    return fitting


def _is(value: object, kind: str) -> bool:
    own = _TYPES.get(type(value))
    return own == kind or {own, kind} == {"integer", "number"}


def _notes(schema: _Schema) -> _Schema:
    """The annotations; what strict cannot say becomes part of the description."""
    notes = {k: v for k, v in schema.items() if k in _TEXTS and isinstance(v, str)}
    said = "; ".join(f"{_WORDS[k]} {schema[k]}" for k in _WORDS if k in schema)
    if said:
        notes["description"] = f"{notes.get('description', '')} ({said})".strip()
    return notes | {key: deepcopy(schema[key]) for key in schema.keys() & {"default"}}
