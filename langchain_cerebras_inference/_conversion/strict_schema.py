"""Convert a JSON schema to the strict subset that Cerebras enforces.

Keywords that the subset lacks are rewritten where that keeps their meaning. Other constraints,
such as `pattern`, are moved to the `description`, where the model can read them. A strict
schema can therefore allow more than the original. References are inlined, because the prompt
template of gpt-oss does not follow them.

The subset has only objects without additional properties. If an object declares properties
and does not mention additional ones, the strict schema forbids them. An inner object that
declares no properties is a map with arbitrary keys, which the subset cannot express.
Source: https://inference-docs.cerebras.ai/capabilities/structured-outputs
"""

from __future__ import annotations

import logging
from collections import Counter
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
_RECURSION_LIMITS = {"levels", "subschemas"}
"""Limits that a recursive schema exceeds, because its references are inlined without end."""

_TYPE_NAMES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
JSON_TYPES = frozenset({*_TYPE_NAMES.values(), "array", "object"})

_DESCRIPTION_KEYWORDS = {
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
"""Keywords that are moved to the description, with their wording there."""

_STRING_KEYWORDS = {"title", "description", "$schema"}
_ANNOTATION_KEYWORDS = {*_STRING_KEYWORDS, *_DESCRIPTION_KEYWORDS, "default"}
_NUMBER_KEYWORDS = {
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
}
_STRUCTURE_KEYWORDS = set(
    "type enum const nullable anyOf oneOf allOf $ref properties required"
    " additionalProperties items prefixItems additionalItems".split()
)
_SUPPORTED_KEYWORDS = _ANNOTATION_KEYWORDS | _NUMBER_KEYWORDS | _STRUCTURE_KEYWORDS
"""Keywords that are converted. Unknown keywords constrain nothing, and are dropped."""

_UNSUPPORTED_KEYWORDS = set(
    "not if contains propertyNames patternProperties unevaluatedProperties dependencies"
    " dependentRequired dependentSchemas".split()
)
"""Keywords that the strict subset cannot express. A schema with one is never strict."""


def prepare_schema(
    schema: Mapping[str, Any], *, strict: bool | None = None, name: str | None = None
) -> tuple[dict[str, Any], bool]:
    """Prepare a schema for a request; convert it to the strict subset if possible.

    Args:
        schema: A JSON schema; it is not changed.
        strict: `None` and `True` convert the schema to the strict subset. If that is
            impossible, the schema stays as it is, and `True` logs one warning. `False`
            does not convert the schema.
        name: The name of the schema in the warning. The default is its title.

    Returns:
        The schema for the request, and whether it is strict.
    """
    if strict is not False:
        converter = _StrictConverter(schema)
        try:
            return converter.convert(), True
        except (TypeError, ValueError, RecursionError) as error:
            if strict:
                reason = "it is recursive" if isinstance(error, RecursionError) else str(error)
                place = ".".join(converter.path)
                _warn_once(
                    name or str(schema.get("title", "")),
                    f"{reason} (at {place})" if place else reason,
                )
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
    """Converts one schema, and counts how much of each limit it uses.

    Its methods raise `TypeError`, `ValueError` or `RecursionError` for a schema that the
    strict subset cannot express. The message of the error gives the reason.

    Attributes:
        path: The place of the subschema that is being converted. After an error, it is the
            place of the error.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.path: list[str] = []
        self._schema = dict(schema)
        self._used: Counter[str] = Counter()

    def convert(self) -> _Schema:
        """Convert the schema, whose root must be an object."""
        root = self._inline(self._schema)
        root.setdefault("type", "object")
        root.setdefault("properties", {})
        if _split_union(root) or _get_types(root) != ["object"]:
            raise ValueError("its root is not an object")
        return self._convert(root)

    def _count(self, limit: str, amount: int = 1) -> None:
        """Count the use of a limit; raise `ValueError` if the limit is exceeded."""
        self._used[limit] += amount
        if self._used[limit] > _LIMITS[limit]:
            alternative = ", or is recursive" if limit in _RECURSION_LIMITS else ""
            raise ValueError(f"it has more than {_LIMITS[limit]} {limit}{alternative}")

    def _inline(self, schema: object) -> _Schema:
        """Merge a schema with the schemas in its `$ref` and `allOf`."""
        self._count("subschemas")
        all_keywords = _expect(dict, schema, "a schema")
        if unsupported := _UNSUPPORTED_KEYWORDS.intersection(all_keywords):
            raise ValueError(f"it has the keyword `{min(unsupported)}`")
        keywords = {
            key: value for key, value in all_keywords.items() if key in _SUPPORTED_KEYWORDS
        }
        if "const" in keywords:
            keywords["enum"] = [keywords["const"]]
        parts = []
        if "$ref" in keywords:
            parts.append(_resolve_reference(keywords.pop("$ref"), self._schema))
        parts += _expect(list, keywords.pop("allOf", []), "`allOf`")
        return reduce(_merge, map(self._inline, parts), keywords)

    def _convert_at(self, step: str, schema: object) -> _Schema:
        """Convert a subschema at a step below the current path."""
        self.path.append(step)
        converted = self._convert(schema)
        self.path.pop()
        return converted

    def _convert(self, schema: object) -> _Schema:
        self._count("levels")
        merged = self._inline(schema)
        if branches := _split_union(merged):
            converted: _Schema = {
                "anyOf": [self._convert_at("anyOf", branch) for branch in branches]
            }
        else:
            converted = self._convert_type(merged)
        self._count("levels", -1)
        converted = _convert_annotations(merged) | converted
        in_original_order = (*merged, *converted)
        return {key: converted[key] for key in in_original_order if key in converted}

    def _convert_type(self, schema: _Schema) -> _Schema:
        """Convert the keywords for the type of a schema that has only one type."""
        [type_name] = _get_types(schema)
        if type_name == "object":
            keywords = self._convert_object(schema)
        elif type_name == "array":
            keywords = self._convert_array(schema)
        else:
            keywords = self._convert_scalar(schema, type_name)
        return {"type": type_name} | keywords

    def _convert_object(self, schema: _Schema) -> _Schema:
        properties = _expect(dict, schema.get("properties", {}), "`properties`")
        required = [
            _expect(str, name, "an item of `required`")
            for name in _expect(list, schema.get("required", []), "`required`")
        ]
        if "additionalProperties" in schema:
            is_closed = schema["additionalProperties"] is False
        else:
            is_closed = "properties" in schema
        if not is_closed or not properties.keys() >= set(required):
            raise ValueError("an object allows properties that it does not declare")
        self._count("properties", len(properties))
        self._count("characters", sum(map(len, properties)))
        keywords: _Schema = {"required": required} if required else {}
        keywords["properties"] = {
            name: self._convert_at(name, subschema) for name, subschema in properties.items()
        }
        return keywords | {"additionalProperties": False}

    def _convert_array(self, schema: _Schema) -> _Schema:
        items = schema.get("items")
        # Before JSON Schema 2020-12, a tuple had a list in `items`.
        first_items = schema.get("prefixItems", items)
        if not isinstance(first_items, list):
            return {"items": self._convert_at("items", items)}
        other_items = items if "prefixItems" in schema else schema.get("additionalItems")
        is_closed = other_items is False or schema.get("maxItems") == len(first_items)
        if not first_items or not is_closed:
            raise ValueError("a tuple allows more items than it declares")
        converted = [self._convert_at("prefixItems", item) for item in first_items]
        return {"prefixItems": converted, "items": False}

    def _convert_scalar(self, schema: _Schema, type_name: str) -> _Schema:
        keywords: _Schema = {}
        if type_name in ("integer", "number"):
            keywords = {
                key: value
                for key, value in schema.items()
                if key in _NUMBER_KEYWORDS and _has_type(value, "number")
            }
        values = [value for value in schema.get("enum", []) if _has_type(value, type_name)]
        self._count("enum values", len(values))
        self._count("characters", sum(len(value) for value in values if isinstance(value, str)))
        if values:
            keywords |= {"const": values[0]} if "const" in schema else {"enum": values}
        return keywords


def _allows_object(schema: object, root: object) -> bool:
    """Return whether an object can match a schema that may contain references to `root`."""
    if not isinstance(schema, Mapping):
        return schema is not False
    parts = [_resolve_reference(schema["$ref"], root)] if "$ref" in schema else []
    parts += schema.get("allOf", [])
    branches = schema.get("anyOf") or schema.get("oneOf") or [True]
    return (
        _includes_object(schema.get("type", "object"))
        and all(_allows_object(part, root) for part in parts)
        and any(_allows_object(branch, root) for branch in branches)
    )


def _includes_object(types: object) -> bool:
    if isinstance(types, list):
        return "object" in types
    return types == "object" or not isinstance(types, str)  # an invalid type proves nothing


def _resolve_reference(reference: object, root: object) -> Any:
    """Return the subschema of `root` that a `$ref` points to."""
    start, *steps = unquote(_expect(str, reference, "`$ref`")).split("/")
    target: Any = root
    try:
        if start != "#":
            raise KeyError(start)
        for step in steps:
            target = target[step.replace("~1", "/").replace("~0", "~")]
    except (KeyError, TypeError):
        raise ValueError(f"it refers to {reference!r:.40}, which it does not contain") from None
    return target


_KINDS: Mapping[type, str] = {dict: "an object", list: "a list", str: "a string"}


def _expect(expected: type, value: object, subject: str) -> Any:
    """Return the value if it has the expected type; `subject` names it in the error."""
    if not isinstance(value, expected):
        raise TypeError(f"{subject} must be {_KINDS[expected]}, not {value!r:.40}")
    return value


def _merge(first: _Schema, second: _Schema) -> _Schema:
    """Return the schema that requires both; annotations of `first` take precedence."""
    shared = first.keys() & (second.keys() - _ANNOTATION_KEYWORDS)
    if any(first[key] != second[key] for key in shared):
        raise ValueError("two parts of it contradict each other")
    return second | first


def _split_union(schema: _Schema) -> list[Any]:
    """Return the branches of a union; an empty list if the schema has only one type."""
    keywords = {key: value for key, value in schema.items() if key not in _ANNOTATION_KEYWORDS}
    if keywords.pop("nullable", False) is True:
        return [keywords, {"type": "null"}]
    for union in ("anyOf", "oneOf"):
        if union in keywords:
            branches: list[Any] = _expect(list, keywords.pop(union), f"`{union}`")
            if not branches:
                raise ValueError(f"`{union}` is empty")
            if not keywords:
                return branches
            return [{"allOf": [branch, keywords]} for branch in branches]
    types = _get_types(keywords)
    return [keywords | {"type": name} for name in types] if len(types) > 1 else []


def _get_types(schema: _Schema) -> list[str]:
    """Return the types an instance can have: the declared ones, or those of its values."""
    values = _expect(list, schema.get("enum", []), "`enum`")
    value_types = [_TYPE_NAMES.get(type(value)) for value in values]
    declared = schema.get("type", value_types)
    # An invalid type may be unhashable. As a string, it is not in `JSON_TYPES` either.
    names = dict.fromkeys(map(str, declared if isinstance(declared, list) else [declared]))
    possible = [
        name for name in names if not values or any(_has_type(value, name) for value in values)
    ]
    if not possible or None in value_types or not JSON_TYPES.issuperset(possible):
        raise ValueError(f"a type is missing or unknown: {declared!r:.40}")
    return possible


def _has_type(value: object, type_name: str) -> bool:
    actual = _TYPE_NAMES.get(type(value))
    return actual == type_name or {actual, type_name} == {"integer", "number"}


def _convert_annotations(schema: _Schema) -> _Schema:
    """Return the annotations.

    Constraints outside the strict subset are appended to the description.
    """
    annotations: _Schema = {
        key: value
        for key, value in schema.items()
        if key in _STRING_KEYWORDS and isinstance(value, str)
    }
    constraints = "; ".join(
        f"{wording} {schema[key]}"
        for key, wording in _DESCRIPTION_KEYWORDS.items()
        if key in schema
    )
    if constraints:
        description = f"{annotations.get('description', '')} ({constraints})"
        annotations["description"] = description.strip()
    if "default" in schema:
        annotations["default"] = deepcopy(schema["default"])
    return annotations
