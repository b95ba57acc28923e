"""An object against the JSON schema it was asked for, as far as pydantic does not see to it.

The server holds to what it was sent, if at all; what strict could not say is found here.
A keyword that is not known here, or is used oddly, leaves a doubt: it proves nothing
against an object, and inside of `not`, `oneOf` and `if` nothing for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import repeat
from math import inf
from typing import Any, NamedTuple, TypeAlias

from langchain_cerebras_inference._conversion import strict_schema, values

_DOUBT = ""
_ODD = (TypeError, ValueError, AttributeError, KeyError, ArithmeticError, re.error)


def fault_of(value: Any, schema: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong with a value, or `None`."""
    try:
        return _Case(value, schema, schema, "it").verdict() or None
    except RecursionError:
        return None


class _Case(NamedTuple):
    """A value, the schema it is held against, that one's root, and where the value is."""

    value: Any
    schema: Any
    root: Mapping[str, Any]
    at: str

    def verdict(self) -> str | None:
        """The first fault; without one a doubt, if there is any; `None` if it fits."""
        verdict = None
        for verdict in self.faults():
            if verdict:
                break
        return verdict

    def faults(self) -> Iterator[str]:
        """All that is wrong, and a doubt wherever that cannot be told."""
        if self.schema is False:
            yield f"{self.at} may not be there"
        if not isinstance(self.schema, Mapping):
            return
        if self.value is None and self.schema.get("nullable") is True:
            return
        for word, wanted in self.schema.items():
            kind, check = _CHECKS.get(word, _UNKNOWN)
            try:
                if not kind or values.is_of(self.value, kind):
                    yield from check(self, wanted)
            except _ODD:
                yield _DOUBT

    def under(self, schema: Any) -> _Case:
        """The same value, held against another schema."""
        return self._replace(schema=schema)

    def inside(self, step: str, value: Any, schema: Any) -> _Case:
        """A value within this one."""
        return _Case(value, schema, self.root, self.at + step)


_Check: TypeAlias = Callable[[_Case, Any], Iterator[str]]


def _limit(word: str, holds: values.Holds) -> _Check:
    def check(case: _Case, limit: Any) -> Iterator[str]:
        if not holds(case.value, limit):
            yield f"{case.at} does not keep to {word} {limit!r:.80}"

    return check


def _type(case: _Case, wanted: Any) -> Iterator[str]:
    kinds = [wanted] if isinstance(wanted, str) else wanted
    if not any(values.is_of(case.value, kind) for kind in kinds):
        yield f"{case.at} is no {' or '.join(kinds)}"


def _ref(case: _Case, wanted: Any) -> Iterator[str]:
    return case.under(strict_schema.target_of(wanted, case.root)).faults()


def _all_of(case: _Case, wanted: Any) -> Iterator[str]:
    for each in wanted:
        yield from case.under(each).faults()


def _any_of(case: _Case, wanted: Any) -> Iterator[str]:
    return _counted(case, "anyOf", map(case.under, wanted), 1, inf)


def _one_of(case: _Case, wanted: Any) -> Iterator[str]:
    return _counted(case, "oneOf", map(case.under, wanted), 1, 1)


def _not(case: _Case, wanted: Any) -> Iterator[str]:
    return _counted(case, "not", [case.under(wanted)], 0, 0)


def _contains(case: _Case, wanted: Any) -> Iterator[str]:
    least, most = case.schema.get("minContains", 1), case.schema.get("maxContains", inf)
    items = (case.inside("", each, wanted) for each in case.value)
    return _counted(case, "contains", items, least, most)


def _counted(
    case: _Case, word: str, members: Iterable[_Case], least: float, most: float
) -> Iterator[str]:
    """A fault where too few or too many fit; a doubt where that cannot be told."""
    verdicts = [each.verdict() for each in members]
    fit, may_fit = verdicts.count(None), len(verdicts) - sum(map(bool, verdicts))
    if fit > most or may_fit < least:
        yield f"{case.at} does not keep to {word}"
    elif fit < least or may_fit > most:
        yield _DOUBT


def _if(case: _Case, wanted: Any) -> Iterator[str]:
    verdict = case.under(wanted).verdict()
    if verdict == _DOUBT:
        return iter([_DOUBT])
    branch = "then" if verdict is None else "else"
    return case.under(case.schema.get(branch, True)).faults()


def _required(case: _Case, wanted: Any) -> Iterator[str]:
    return (f"{case.at} lacks {name!r}" for name in wanted if name not in case.value)


def _properties(case: _Case, wanted: Any) -> Iterator[str]:
    required = case.schema.get("required", [])
    for name, each in case.value.items():
        # Models say null for what they leave out, and a TypedDict's schema forgets it.
        if each is None and name in wanted and name not in required:
            yield _DOUBT
        elif name in wanted:
            yield from case.inside(f".{name}", each, wanted[name]).faults()


def _pattern_properties(case: _Case, wanted: Any) -> Iterator[str]:
    for pattern, schema in wanted.items():
        for name, each in case.value.items():
            if re.search(pattern, name):
                yield from case.inside(f".{name}", each, schema).faults()


def _additional_properties(case: _Case, wanted: Any) -> Iterator[str]:
    named = case.schema.get("properties", {})
    patterns = case.schema.get("patternProperties", {})
    for name, each in case.value.items():
        if name not in named and not any(re.search(pattern, name) for pattern in patterns):
            yield from case.inside(f".{name}", each, wanted).faults()


def _property_names(case: _Case, wanted: Any) -> Iterator[str]:
    for name in case.value:
        yield from case.inside(f", in its name {name!r},", name, wanted).faults()


def _items(case: _Case, wanted: Any) -> Iterator[str]:
    if isinstance(wanted, list):  # before 2020-12, it was `prefixItems` as well
        return _in_places(case, wanted)
    return _in_places(case, repeat(wanted), len(case.schema.get("prefixItems", [])))


def _additional_items(case: _Case, wanted: Any) -> Iterator[str]:
    first = case.schema.get("items")
    start = len(first if isinstance(first, list) else case.value)
    return _in_places(case, repeat(wanted), start)


def _in_places(case: _Case, wanted: Iterable[Any], start: int = 0) -> Iterator[str]:
    pairs = zip(case.value[start:], wanted, strict=False)
    for place, (each, schema) in enumerate(pairs, start):
        yield from case.inside(f"[{place}]", each, schema).faults()


_UNKNOWN: tuple[str, _Check] = ("", lambda *_: iter([_DOUBT]))
_SILENT: tuple[str, _Check] = ("", lambda *_: iter(()))
_NOTES = "title description default examples discriminator $schema $defs definitions"
_HELPERS = "nullable then else minContains maxContains"
_CHECKS: Mapping[str, tuple[str, _Check]] = {
    **dict.fromkeys(f"{_NOTES} {_HELPERS}".split(), _SILENT),
    **{word: (kind, _limit(word, holds)) for word, (kind, holds) in values.LIMITS.items()},
    "type": ("", _type),
    "$ref": ("", _ref),
    "allOf": ("", _all_of),
    "anyOf": ("", _any_of),
    "oneOf": ("", _one_of),
    "not": ("", _not),
    "if": ("", _if),
    "contains": ("array", _contains),
    "items": ("array", _items),
    "additionalItems": ("array", _additional_items),
    "prefixItems": ("array", _in_places),
    "required": ("object", _required),
    "properties": ("object", _properties),
    "patternProperties": ("object", _pattern_properties),
    "additionalProperties": ("object", _additional_properties),
    "propertyNames": ("object", _property_names),
}
