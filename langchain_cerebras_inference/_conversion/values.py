"""What the keywords of JSON schema say of a value that can be said without another schema."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

Holds: TypeAlias = Callable[[Any, Any], bool]
"""Whether a value keeps to what a keyword says."""

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def is_of(value: Any, kind: str) -> bool:
    """Whether a value is of a type, as JSON schema names it; a whole float is an integer."""
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS[kind])


def _key(value: Any) -> Any:
    """What is equal where values are equal in JSON; in Python, `True` is 1 as well."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, list):
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return frozenset((name, _key(each)) for name, each in value.items())
    return value


def _are_unique(values: list[Any], wanted: bool) -> bool:
    return not wanted or len({*map(_key, values)}) == len(values)


def _is_multiple(value: float, step: float) -> bool:
    return not Fraction(str(value)) % Fraction(str(step))  # 0.3 is one of 0.1


def _has_what_it_needs(value: dict[str, Any], needed: Mapping[str, Iterable[str]]) -> bool:
    return all(value.keys() >= set(needed[name]) for name in needed if name in value)


def _sized(holds: Holds) -> Holds:
    return lambda value, limit: holds(len(value), limit)


LIMITS: Mapping[str, tuple[str, Holds]] = {
    "enum": ("", lambda value, values: _key(value) in map(_key, values)),
    "const": ("", lambda value, other: _key(value) == _key(other)),
    "minimum": ("number", operator.ge),
    "maximum": ("number", operator.le),
    "exclusiveMinimum": ("number", operator.gt),
    "exclusiveMaximum": ("number", operator.lt),
    "multipleOf": ("number", _is_multiple),
    "minLength": ("string", _sized(operator.ge)),
    "maxLength": ("string", _sized(operator.le)),
    "pattern": ("string", lambda value, pattern: bool(re.search(pattern, value))),
    "minItems": ("array", _sized(operator.ge)),
    "maxItems": ("array", _sized(operator.le)),
    "uniqueItems": ("array", _are_unique),
    "minProperties": ("object", _sized(operator.ge)),
    "maxProperties": ("object", _sized(operator.le)),
    "dependentRequired": ("object", _has_what_it_needs),
}
"""Keywords, each with the type it speaks of, `""` for any, and what it says."""
