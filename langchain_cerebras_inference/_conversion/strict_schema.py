"""Convert a JSON schema to the strict subset that Cerebras enforces.

A strict schema may allow more than the original, never less. What the subset lacks is
rewritten where that keeps the meaning. Other constraints, such as `pattern`, become part
of the `description`, where the model can read them. References are inlined, because the
prompt template of gpt-oss does not follow them.

The subset has only objects without additional properties. An object that does not mention
additional properties is therefore closed. An inner object that declares no properties is
a map with arbitrary keys, which the subset cannot express.
Source: https://inference-docs.cerebras.ai/capabilities/structured-outputs
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache, reduce
from typing import Any, TypeAlias
from urllib.parse import unquote

logger = logging.getLogger("langchain_cerebras_inference")

_Schema: TypeAlias = dict[str, Any]

_LIMITS = {
    "levels": 10,  # Cerebras does not define a level; here each subschema is one
    "properties": 500,
    "enum values": 500,
    "characters": 5_000,  # of property names and enum values together
    "subschemas": 5_000,  # our own limit: inlining can double them at every reference
}

_TYPE_NAMES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_ALL_TYPES = {*_TYPE_NAMES.values(), "array", "object"}

_DESCRIBED = {
    "minItems": "min items",
    "maxItems": "max items",
    "uniqueItems": "unique items",
    "minProperties": "min properties",
    "maxProperties": "max properties",
    "minLength": "min length",
    "maxLength": "max length",
    "pattern": "pattern",
    "format": "format",
    "examples": "examples",
}
"""Keywords that become part of the description, and how they are worded there."""

_TEXTS = {"title", "description", "$schema"}
_ANNOTATIONS = {*_TEXTS, *_DESCRIBED, "default"}
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_STRUCTURE = set(
    "type enum const nullable anyOf oneOf allOf $ref properties required"
    " additionalProperties items prefixItems additionalItems".split()
)
_SUPPORTED = _ANNOTATIONS | _BOUNDS | _STRUCTURE
"""Keywords that are read; unknown ones constrain nothing and are dropped."""

_UNSUPPORTED = set(
    "not if contains propertyNames patternProperties unevaluatedProperties dependencies"
    " dependentRequired dependentSchemas".split()
)
"""Keywords whose meaning would be lost; a schema with one is never strict."""


def to_strict_schema(
    schema: Mapping[str, Any], *, strict: bool | None = None, name: str | None = None
) -> tuple[dict[str, Any], bool]:
    """Convert a schema to the form in which it is sent.

    Args:
        schema: A JSON schema; it is not changed.
        strict: `None` and `True` convert the schema to the strict subset if that is
            possible; if it is not, `True` logs one warning. `False` leaves the schema as
            it is.
        name: The name of the schema in the warning; its title by default.

    Returns:
        The schema to send, and whether it is strict.
    """
    if strict is not False:
        try:
            return _StrictConverter(schema).convert(), True
        except (TypeError, ValueError, RecursionError) as error:
            if strict:
                _warn_once(name or str(schema.get("title", "")), str(error))
    return deepcopy(dict(schema)), False


def can_be_object(schema: object) -> bool:
    """Return whether an object can match a schema; `True` if that cannot be determined."""
    try:
        return _allows_object(schema, schema)
    except (TypeError, ValueError, RecursionError):
        return True


@lru_cache(maxsize=256)
def _warn_once(name: str, reason: str) -> None:
    logger.warning("Schema %r is sent without strict, because %s", name, reason)


class _StrictConverter:
    """Converts one schema, and counts what it uses of the limits.

    Its methods raise `TypeError`, `ValueError` or `RecursionError` for a schema that the
    strict subset cannot express. The text of the error gives the reason.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = dict(schema)
        self._used = dict.fromkeys(_LIMITS, 0)

    def convert(self) -> _Schema:
        """Convert the schema, whose root must be an object."""
        root = self._inline(self._schema)
        root.setdefault("type", "object")
        root.setdefault("properties", {})
        if _split_union(root) or _get_types(root) != ["object"]:
            raise ValueError("its root is not an object")
        return self._convert(root)

    def _count(self, what: str, amount: int = 1) -> None:
        self._used[what] += amount
        if self._used[what] > _LIMITS[what]:
            raise ValueError(f"it has more than {_LIMITS[what]} {what}, or is recursive")

    def _inline(self, schema: object) -> _Schema:
        """Merge a schema with the schemas in its `$ref` and `allOf`."""
        self._count("subschemas")
        keywords = _expect(dict, schema)
        if unsupported := _UNSUPPORTED.intersection(keywords):
            raise ValueError(f"it has the keyword `{min(unsupported)}`")
        own = {key: value for key, value in keywords.items() if key in _SUPPORTED}
        if "const" in own:
            own["enum"] = [own["const"]]
        parts = []
        if "$ref" in own:
            parts.append(_resolve_reference(own.pop("$ref"), self._schema))
        parts += _expect(list, own.pop("allOf", []))
        return reduce(_merge, map(self._inline, parts), own)

    def _convert(self, schema: object) -> _Schema:
        self._count("levels")
        merged = self._inline(schema)
        if branches := _split_union(merged):
            converted: _Schema = {"anyOf": [self._convert(branch) for branch in branches]}
        else:
            converted = self._convert_type(merged)
        self._count("levels", -1)
        converted = _convert_annotations(merged) | converted
        in_original_order = (*merged, *converted)
        return {key: converted[key] for key in in_original_order if key in converted}

    def _convert_type(self, schema: _Schema) -> _Schema:
        """Convert the keywords that belong to the one type of a schema."""
        [type_name] = _get_types(schema)
        if type_name == "object":
            keywords = self._convert_object(schema)
        elif type_name == "array":
            keywords = self._convert_array(schema)
        else:
            keywords = self._convert_scalar(schema, type_name)
        return {"type": type_name} | keywords

    def _convert_object(self, schema: _Schema) -> _Schema:
        properties = _expect(dict, schema.get("properties", {}))
        required = [_expect(str, name) for name in _expect(list, schema.get("required", []))]
        is_closed = schema.get("additionalProperties", "properties" not in schema) is False
        if not is_closed or not properties.keys() >= set(required):
            raise ValueError("an object allows properties that it does not declare")
        self._count("properties", len(properties))
        self._count("characters", sum(map(len, properties)))
        keywords: _Schema = {"required": required} if required else {}
        keywords["properties"] = {
            name: self._convert(subschema) for name, subschema in properties.items()
        }
        return keywords | {"additionalProperties": False}

    def _convert_array(self, schema: _Schema) -> _Schema:
        items = schema.get("items")
        # Before JSON Schema 2020-12, a tuple had a list in `items`.
        first_items = schema.get("prefixItems", items)
        if not isinstance(first_items, list):
            return {"items": self._convert(items)}
        other_items = items if "prefixItems" in schema else schema.get("additionalItems")
        is_closed = other_items is False or schema.get("maxItems") == len(first_items)
        if not first_items or not is_closed:
            raise ValueError("a tuple allows more items than it declares")
        return {"prefixItems": [self._convert(item) for item in first_items], "items": False}

    def _convert_scalar(self, schema: _Schema, type_name: str) -> _Schema:
        keywords: _Schema = {}
        if type_name in ("integer", "number"):
            keywords = {
                key: value
                for key, value in schema.items()
                if key in _BOUNDS and _has_type(value, "number")
            }
        values = [value for value in schema.get("enum", []) if _has_type(value, type_name)]
        self._count("enum values", len(values))
        self._count("characters", sum(len(text) for text in values if isinstance(text, str)))
        if values:
            keywords |= {"const": values[0]} if "const" in schema else {"enum": values}
        return keywords


def _allows_object(schema: object, root: object) -> bool:
    if not isinstance(schema, Mapping):
        return schema is not False
    parts = [_resolve_reference(schema["$ref"], root)] if "$ref" in schema else []
    parts += schema.get("allOf", [])
    branches = schema.get("anyOf") or schema.get("oneOf") or [True]
    return (
        "object" in schema.get("type", ["object"])
        and all(_allows_object(part, root) for part in parts)
        and any(_allows_object(branch, root) for branch in branches)
    )


def _resolve_reference(reference: object, root: object) -> Any:
    """Return the subschema of `root` that a `$ref` points to."""
    target: Any = {"#": root}
    try:
        for step in unquote(_expect(str, reference)).split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
    except (KeyError, TypeError):
        raise ValueError(f"it refers to {reference!r:.40}, which it does not contain") from None
    return target


def _expect(expected: type, value: object) -> Any:
    if not isinstance(value, expected):
        raise TypeError(f"{value!r:.40} is not a {expected.__name__}")
    return value


def _merge(first: _Schema, second: _Schema) -> _Schema:
    """Return the schema that requires both; annotations of `first` win."""
    shared = first.keys() & second.keys() - _ANNOTATIONS
    if any(first[key] != second[key] for key in shared):
        raise ValueError("two parts of it contradict each other")
    return second | first


def _split_union(schema: _Schema) -> list[Any]:
    """Return the branches of a union; an empty list if the schema has only one type."""
    own = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    if own.pop("nullable", False) is True:
        return [own, {"type": "null"}]
    for keyword in ("anyOf", "oneOf"):
        if keyword in own:
            branches = _expect(list, own.pop(keyword)) or [None]
            return [{"allOf": [branch, own]} if own else branch for branch in branches]
    types = _get_types(own)
    return [own | {"type": type_name} for type_name in types] if len(types) > 1 else []


def _get_types(schema: _Schema) -> list[str]:
    """Return the types an instance can have: the declared ones, or those of its values."""
    values = _expect(list, schema.get("enum", []))
    value_types = [_TYPE_NAMES.get(type(value)) for value in values]
    declared = schema.get("type", value_types)
    names = dict.fromkeys(map(str, declared if isinstance(declared, list) else [declared]))
    possible = [
        name for name in names if not values or any(_has_type(value, name) for value in values)
    ]
    if not possible or None in value_types or not _ALL_TYPES.issuperset(possible):
        raise ValueError(f"a type is missing or unknown: {declared!r:.40}")
    return possible


def _has_type(value: object, type_name: str) -> bool:
    own = _TYPE_NAMES.get(type(value))
    return own == type_name or {own, type_name} == {"integer", "number"}


def _convert_annotations(schema: _Schema) -> _Schema:
    """Return the annotations, with the constraints that strict lacks in the description."""
    annotations: _Schema = {
        key: value for key, value in schema.items() if key in _TEXTS and isinstance(value, str)
    }
    constraints = "; ".join(
        f"{words} {schema[key]}" for key, words in _DESCRIBED.items() if key in schema
    )
    if constraints:
        description = f"{annotations.get('description', '')} ({constraints})"
        annotations["description"] = description.strip()
    if "default" in schema:
        annotations["default"] = deepcopy(schema["default"])
    return annotations
