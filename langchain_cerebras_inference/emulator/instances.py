"""A value for a JSON schema, made from what the prompt and its descriptions say."""

import math
import re
from typing import Any

from langchain_cerebras_inference.emulator.schemas import Schema, resolved, well_formed
from langchain_cerebras_inference.emulator.texts import FORMATS, matches, patterned, sized

# A float holds fifteen digits exactly; one made of four hundred is infinite.
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d+)?(?!\d)")
_QUOTED = re.compile(r"\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)|“([^”]+)”|「([^」]+)」")
_PLACE = re.compile(r"\b(?:in|at|for|from|to|about|named|called) ([A-Z][^?!;\n\"]*)")
_WHOLE_PROMPT = {"input", "prompt", "query", "question", "request", "task", "text"}
_NUMERIC = ("integer", "number")
_DEEP = 6
_TOO_DEEP = 30
_TOO_MANY = 2_000

# Strict schemas lack these keywords, so that clients put them into words:
# "The day. (format date; min length 10)".
_SAID = re.compile(
    r"\b(format|pattern|(?:min|max) (?:items|length)|unique items) (.+?)(?=; |\)?$)"
)


class Filler:
    """Fills schemas; every number and quoted phrase of the prompt is used once."""

    def __init__(self, root: Schema, prompt: str) -> None:
        """Read `prompt` for values."""
        self._root = root
        self._prompt = prompt
        self._left = _TOO_MANY
        quoted = [next(filter(None, found)) for found in _QUOTED.findall(prompt)]
        rest = _QUOTED.sub(" ", prompt)
        self._strings = quoted + [place.rstrip(" .,") for place in _PLACE.findall(rest)]
        self._numbers = [float(found) for found in _NUMBER.findall(rest)]

    def fill(self) -> Any:
        """A value for the whole schema."""
        return self._value(self._root, "", 0)

    def _value(self, schema: Any, name: str, depth: int) -> Any:
        self._left -= 1
        if depth > _TOO_DEEP or self._left < 0:
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
        plain = _read(schema)
        hops = 0
        while (choice := self._choice(plain, depth)) and (hops := hops + 1) < _TOO_DEEP:
            plain = {**_read(choice), **plain}
        return plain

    def _choice(self, schema: dict[str, Any], depth: int) -> Schema | None:
        if "$ref" in schema:
            return resolved(schema.pop("$ref"), self._root)
        for union in ("anyOf", "oneOf"):
            if branches := schema.pop(union, None):
                wanted = "null" if depth > _DEEP else None
                return self._branch(branches, wanted)
        if parts := schema.pop("allOf", None):
            return {key: value for part in parts for key, value in _read(part).items()}
        return None

    @staticmethod
    def _branch(branches: list[Schema], wanted: str | None) -> Schema:
        def unlike(branch: Schema) -> bool:
            return (well_formed(branch).get("type") == "null") != (wanted == "null")

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
        required = schema.get("required") or ()
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
            items = [item] * min(count, schema.get("maxItems", count), self._left)
        values = [self._value(item, name, depth + 1) for item in items]
        return _distinct(values) if schema.get("uniqueItems") else values

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
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        fitting = (text for text in self._strings if matches(text, schema))
        if (said := next(fitting, None)) is not None:
            self._strings.remove(said)
            return sized(said, schema)
        if isinstance(schema.get("default"), str):
            return schema["default"]
        if "pattern" in schema:
            return patterned(schema)
        if name in _WHOLE_PROMPT and self._prompt:
            return sized(self._prompt, schema)
        return sized(f"an example {name.replace('_', ' ')}".strip(), schema)


def _read(schema: Any) -> dict[str, Any]:
    """The keywords of a schema, also those that its description has in words."""
    keywords = well_formed(schema)
    words = {}
    for name, value in _SAID.findall(keywords.get("description", "")):
        first, *more = name.split()
        keyword = first + "".join(more).title()
        words[keyword] = int(value) if value.isdecimal() else value
    return {**well_formed(words), **keywords}


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
    step = schema.get("multipleOf") or 1
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    start: float = next(one for one in (low, high, step) if one is not None)
    near: float = math.ceil(start / step) * step
    tries = (near, near + step, near - step, start, start + step / 2, start - step / 2)
    return next((number for number in tries if _fits(number, schema)), start)


def _distinct(values: list[Any]) -> list[Any]:
    distinct: list[Any] = []
    for value in values:
        distinct.append(_unlike(value, distinct))
    return distinct


def _unlike(value: Any, others: list[Any]) -> Any:
    """`value`, if it is a number or a text, changed until it is none of `others`."""
    while value in others and isinstance(value, str | int | float):
        more = len(others)
        value = f"{value} {more + 1}" if isinstance(value, str) else value + more
    return value
