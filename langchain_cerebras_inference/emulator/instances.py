"""A value for a JSON schema, made from what the prompt says."""

import math
import re
from collections.abc import Mapping
from typing import Any

from langchain_cerebras_inference.emulator.schemas import Schema, resolved

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)|“([^”]+)”|「([^」]+)」")
_PLACE = re.compile(r"\b(?:in|at|for|from|to|about|named|called) ([A-Z][^?!;\n\"]*)")
_WHOLE_PROMPT = {"input", "prompt", "query", "question", "request", "task", "text"}
_NUMERIC = ("integer", "number")
_DEEP = 6
_TOO_DEEP = 30

_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
}


class Filler:
    """Fills schemas; every number and quoted phrase of the prompt is used once."""

    def __init__(self, root: Schema, prompt: str) -> None:
        """Read `prompt` for values."""
        self._root = root
        self._prompt = prompt
        quoted = [next(filter(None, found)) for found in _QUOTED.findall(prompt)]
        rest = _QUOTED.sub(" ", prompt)
        self._strings = quoted + [place.rstrip(" .,") for place in _PLACE.findall(rest)]
        self._numbers = [float(found) for found in _NUMBER.findall(rest)]

    def fill(self) -> Any:
        """A value for the whole schema."""
        return self._value(self._root, "", 0)

    def _value(self, schema: Any, name: str, depth: int) -> Any:
        if depth > _TOO_DEEP:
            return None
        schema = self._plain(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._chosen(schema)
        match self._kind(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
        return self._scalar(schema, name)

    def _scalar(self, schema: dict[str, Any], name: str) -> Any:
        match self._kind(schema):
            case "integer" | "number" as kind:
                return self._number(schema, kind)
            case "boolean":
                return schema.get("default", True)
            case "null":
                return None
        return self._string(schema, name)

    def _plain(self, schema: Any, depth: int) -> dict[str, Any]:
        """`schema` with its references and unions resolved to one choice."""
        plain = dict(schema) if isinstance(schema, Mapping) else {}
        hops = 0
        while (choice := self._choice(plain, depth)) and (hops := hops + 1) < _TOO_DEEP:
            plain = {**choice, **plain}
        return plain

    def _choice(self, schema: dict[str, Any], depth: int) -> Schema | None:
        if "$ref" in schema:
            return resolved(schema.pop("$ref"), self._root)
        for union in ("anyOf", "oneOf"):
            if branches := schema.pop(union, None):
                wanted = "null" if depth > _DEEP else None
                return self._branch(branches, wanted)
        if parts := schema.pop("allOf", None):
            return {key: value for part in parts for key, value in part.items()}
        return None

    @staticmethod
    def _branch(branches: list[Schema], wanted: str | None) -> Schema:
        def unlike(branch: Schema) -> bool:
            return (branch.get("type") == "null") != (wanted == "null")

        return min(branches, key=unlike)

    @staticmethod
    def _kind(schema: Schema) -> str:
        named = schema.get("type")
        if isinstance(named, list):
            return str(next((kind for kind in named if kind != "null"), "null"))
        if named is None and "properties" in schema:
            return "object"
        return str(named or "string")

    def _chosen(self, schema: Schema) -> Any:
        values = schema["enum"]
        fallback = schema.get("default", values[0])
        return next(filter(self._mentions, values), fallback)

    def _mentions(self, value: Any) -> bool:
        word = re.escape(str(value))
        return bool(re.search(rf"(?i)(?<!\w){word}(?!\w)", self._prompt))

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = set(schema.get("required") or ())
        return {
            name: self._value(node, name, depth + 1)
            for name, node in properties.items()
            if name in required or self._suits(node, depth)
        }

    def _suits(self, node: Any, depth: int) -> bool:
        """Whether the prompt has something left to say about an optional property."""
        schema = self._plain(node, depth)
        if schema.get("enum"):
            return any(map(self._mentions, schema["enum"]))
        if self._kind(schema) in _NUMERIC:
            return any(_fits(number, schema) for number in self._numbers)
        return self._kind(schema) == "string" and bool(self._strings)

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        items = schema.get("prefixItems")
        if items is None:
            item = schema.get("items") or {}
            is_numeric = self._kind(self._plain(item, depth)) in _NUMERIC
            count = len(self._numbers) if is_numeric and self._numbers else 1
            count = max(schema.get("minItems", 0), 0 if depth > _DEEP else count)
            items = [item] * min(count, schema.get("maxItems", count))
        return [self._value(item, name, depth + 1) for item in items]

    def _number(self, schema: Schema, kind: str) -> float:
        fitting = (number for number in self._numbers if _fits(number, schema, kind))
        said = next(fitting, None)
        if said is not None:
            self._numbers.remove(said)
        elif "default" in schema:
            return schema["default"]  # type: ignore[no-any-return]
        number = _least(schema) if said is None else said
        return int(number) if number == int(number) else number

    def _string(self, schema: Schema, name: str) -> Any:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        if self._strings:
            return _sized(self._strings.pop(0), schema)
        if isinstance(schema.get("default"), str):
            return schema["default"]
        if name in _WHOLE_PROMPT and self._prompt:
            return _sized(self._prompt, schema)
        return _sized(f"an example {name.replace('_', ' ')}".strip(), schema)


def _fits(number: float, schema: Schema, kind: str = "") -> bool:
    if "integer" in (kind, schema.get("type")) and number != int(number):
        return False
    step = schema.get("multipleOf")
    return (
        number >= schema.get("minimum", -math.inf)
        and number <= schema.get("maximum", math.inf)
        and number > schema.get("exclusiveMinimum", -math.inf)
        and number < schema.get("exclusiveMaximum", math.inf)
        and (not step or math.isclose(number % step, 0, abs_tol=1e-9))
    )


def _least(schema: Schema) -> float:
    """A number within the bounds: the one nearest to 1 that is easy to find."""
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    start: float = next(one for one in (low, high, step) if one is not None)
    near: float = math.ceil(start / step) * step
    tries = (near, near + step, near - step, start, start + step / 2, start - step / 2)
    return next((number for number in tries if _fits(number, schema)), start)


def _sized(text: str, schema: Schema) -> str:
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
