"""Make example values for JSON schemas.

Numbers, quoted phrases and names in the prompt are used if they fit the schema, each of them
once. Other values are generated.
"""

import contextlib
import math
import re
import string
from typing import Any

from langchain_cerebras_inference.emulator.strict_schema import (
    Schema,
    select_well_typed_keywords,
)

# At most 15 digits, which a float represents exactly.
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d+)?(?!\d)")
_QUOTED = re.compile(r"\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)|“([^”]+)”|「([^」]+)」")
_NAME = re.compile(r"\b(?:in|at|for|from|to|about|named|called) ([A-Z][^?!;\n\"]*)")
# A string property with one of these names gets the whole prompt.
_PROMPT_PROPERTIES = {"input", "prompt", "query", "question", "request", "task", "text"}

# Strict schemas do not allow these keywords, so clients move them to the description, for
# example "The day. (format date; min length 10)".
_DESCRIBED_KEYWORD = re.compile(
    r"\b(format|pattern|(?:min|max) (?:items|length)|unique items) (.+?)(?=; |\)?$)"
)

_FORMAT_EXAMPLES = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uuid4": "00000000-0000-4000-8000-000000000000",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
}

# At a greater depth, optional values are null and lists are empty, so that recursion ends.
_MAX_OPTIONAL_DEPTH = 6
_MAX_DEPTH = 30
# How many references are followed from one schema. The limit ends the loop if a definition
# refers to itself.
_MAX_REFERENCES = 30
_MAX_VALUES = 2_000
_MAX_CHARACTERS = 100_000

# The keywords that refer to other schemas, in the order in which they are followed.
_REFERENCES = ("$ref", "anyOf", "oneOf", "allOf")

# What is removed from a pattern: all alternatives but the first, and the opening `(?:` of each
# non-capturing group; otherwise `_PATTERN_ITEM` would read its `:` as a character.
_REMOVED_FROM_PATTERN = re.compile(r"\(\?:|\|[^()]*")
# One item of a pattern: a class, an escape or a character, and then `{n}`, `*`, `+` or nothing.
_PATTERN_ITEM = re.compile(r"(\[[^]]+]|\\.|[^\\^$()?*+{}])(?:\{(\d{1,3})[^}]*}|([*+]))?")


def make_example(schema: Schema, prompt: str) -> Any:
    """Make an example value for a JSON schema."""
    return _ExampleMaker(schema, prompt).make(schema)


class _ExampleMaker:
    def __init__(self, root: Schema, prompt: str) -> None:
        self._root = root
        self._prompt = prompt
        self._remaining_values = _MAX_VALUES
        quoted = [next(filter(None, groups)) for groups in _QUOTED.findall(prompt)]
        unquoted = _QUOTED.sub(" ", prompt)
        self._phrases = quoted + [name.rstrip(" .,") for name in _NAME.findall(unquoted)]
        self._numbers = [float(number) for number in _NUMBER.findall(unquoted)]

    def make(self, schema: Any, name: str = "", depth: int = 0) -> Any:
        """Make a value for a schema; `name` is the name of its property."""
        self._remaining_values -= 1
        if depth > _MAX_DEPTH or self._remaining_values < 0:
            return None
        keywords = self._resolve(schema, depth)
        if "const" in keywords:
            return keywords["const"]
        if keywords.get("enum"):
            return self._choose_enum_value(keywords)
        return self._make_typed(keywords, name, depth)

    def _make_typed(self, keywords: Schema, name: str, depth: int) -> Any:
        match _get_type(keywords):
            case "object":
                return self._make_object(keywords, depth)
            case "array":
                return self._make_array(keywords, name, depth)
            case "integer" | "number":
                return self._make_number(keywords)
            case "boolean":
                return keywords.get("default", True)
            case "null":
                return None
            case _:
                return self._make_string(keywords, name)

    def _resolve(self, schema: Any, depth: int) -> dict[str, Any]:
        """Follow the references of a schema, one after another, and merge the keywords.

        `_REFERENCES` lists the keywords that refer to a schema. A keyword of the referring
        schema overrides the same keyword of the schema that it refers to.
        """
        keywords = _read_keywords(schema)
        for _ in range(_MAX_REFERENCES):
            reference = next(filter(keywords.__contains__, _REFERENCES), None)
            if reference is None:
                break
            target = self._find_target(reference, keywords.pop(reference), depth)
            keywords = _read_keywords(target) | keywords
        return keywords

    def _find_target(self, reference: str, value: Any, depth: int) -> Schema | None:
        """Find the schema that a keyword refers to. For `allOf`, merge all its subschemas."""
        if reference == "$ref":
            return self._find_definition(value)
        if reference == "allOf":
            merged: dict[str, Any] = {}
            for subschema in value:
                merged.update(_read_keywords(subschema))
            return merged
        return _choose_subschema(value, prefer_null=depth > _MAX_OPTIONAL_DEPTH)

    def _find_definition(self, reference: str) -> Schema | None:
        document, *path = reference.split("/")
        schema: Any = self._root if document == "#" else None
        for key in path:
            schema = schema.get(key) if isinstance(schema, dict) else None
        return schema if isinstance(schema, dict) else None

    def _choose_enum_value(self, keywords: Schema) -> Any:
        values = keywords["enum"]
        default = keywords.get("default", values[0])
        return next(filter(self._is_in_prompt, values), default)

    def _is_in_prompt(self, value: Any) -> bool:
        word = re.escape(str(value))
        return bool(re.search(rf"(?i)(?<!\w){word}(?!\w)", self._prompt))

    def _make_object(self, keywords: Schema, depth: int) -> dict[str, Any]:
        properties = keywords.get("properties") or {}
        required = keywords.get("required") or ()
        return {
            name: self.make(schema, name, depth + 1)
            for name, schema in properties.items()
            if name in required or self._has_value_for(schema, depth)
        }

    def _has_value_for(self, schema: Any, depth: int) -> bool:
        """Whether the prompt has an unused value for an optional property."""
        keywords = self._resolve(schema, depth)
        if keywords.get("enum"):
            return any(map(self._is_in_prompt, keywords["enum"]))
        match _get_type(keywords):
            case "integer" | "number":
                return any(_is_valid_number(number, keywords) for number in self._numbers)
            case "string":
                return bool(self._phrases)
        return False

    def _make_array(self, keywords: Schema, name: str, depth: int) -> list[Any]:
        items = keywords.get("prefixItems")
        if items is None:
            items = self._repeat_item_schema(keywords, depth)
        values = [self.make(item, name, depth + 1) for item in items]
        return _make_unique(values) if keywords.get("uniqueItems") else values

    def _repeat_item_schema(self, keywords: Schema, depth: int) -> list[Any]:
        """Return one schema for each item.

        If the items are numbers, there is one for each unused number of the prompt.
        """
        item = keywords.get("items") or {}
        is_numeric = _get_type(self._resolve(item, depth)) in ("integer", "number")
        count = 1
        if depth > _MAX_OPTIONAL_DEPTH:
            count = 0
        elif is_numeric and self._numbers:
            count = len(self._numbers)
        count = max(keywords.get("minItems", 0), count)
        return [item] * min(count, keywords.get("maxItems", count), self._remaining_values)

    def _make_number(self, keywords: Schema) -> Any:
        valid = (number for number in self._numbers if _is_valid_number(number, keywords))
        number = next(valid, None)
        if number is not None:
            self._numbers.remove(number)
        elif "default" in keywords:
            return keywords["default"]
        else:
            number = _make_number_in_bounds(keywords)
        return int(number) if number == int(number) else number

    def _make_string(self, keywords: Schema, name: str) -> Any:
        if keywords.get("format") in _FORMAT_EXAMPLES:
            return _FORMAT_EXAMPLES[keywords["format"]]
        fitting = (phrase for phrase in self._phrases if _matches_pattern(phrase, keywords))
        if (phrase := next(fitting, None)) is not None:
            self._phrases.remove(phrase)
            return _fit_length(phrase, keywords)
        if isinstance(keywords.get("default"), str):
            return keywords["default"]
        if "pattern" in keywords:
            return _make_pattern_example(keywords)
        if name in _PROMPT_PROPERTIES and self._prompt:
            return _fit_length(self._prompt, keywords)
        return _fit_length(f"an example {name.replace('_', ' ')}".strip(), keywords)


def _read_keywords(schema: Any) -> dict[str, Any]:
    """Read the well-typed keywords of a schema, including those in its description."""
    keywords = select_well_typed_keywords(schema)
    described = {}
    for words, value in _DESCRIBED_KEYWORD.findall(keywords.get("description", "")):
        first, *others = words.split()
        keyword = first + "".join(others).title()  # "min length" becomes "minLength"
        described[keyword] = int(value) if value.isdecimal() else value
    return select_well_typed_keywords(described) | keywords


def _get_type(keywords: Schema) -> str:
    value = keywords.get("type")
    if isinstance(value, list):
        return str(next((type_ for type_ in value if type_ != "null"), "null"))
    if value is None and "properties" in keywords:
        return "object"
    return str(value or "string")


def _choose_subschema(subschemas: list[Schema], *, prefer_null: bool) -> Schema | None:
    """Choose the first subschema of the preferred kind, null or not null, or else the first."""
    for subschema in subschemas:
        is_null = select_well_typed_keywords(subschema).get("type") == "null"
        if is_null == prefer_null:
            return subschema
    return subschemas[0] if subschemas else None


def _is_valid_number(number: float, keywords: Schema) -> bool:
    if _get_type(keywords) == "integer" and number != int(number):
        return False
    step = keywords.get("multipleOf")
    return (
        number >= keywords.get("minimum", -math.inf)
        and number <= keywords.get("maximum", math.inf)
        and number > keywords.get("exclusiveMinimum", -math.inf)
        and number < keywords.get("exclusiveMaximum", math.inf)
        and (not step or math.isclose(number % step, 0, abs_tol=1e-9))
    )


def _make_number_in_bounds(keywords: Schema) -> float:
    """Make a valid number near a bound of the schema; without bounds, `multipleOf` or 1."""
    step = keywords.get("multipleOf") or 1
    low = keywords.get("minimum", keywords.get("exclusiveMinimum"))
    high = keywords.get("maximum", keywords.get("exclusiveMaximum"))
    bound: float = next(value for value in (low, high, step) if value is not None)
    multiple: float = math.ceil(bound / step) * step
    candidates = [
        multiple,
        multiple + step,
        multiple - step,
        bound,
        bound + step / 2,
        bound - step / 2,
    ]
    return next((number for number in candidates if _is_valid_number(number, keywords)), bound)


def _make_unique(values: list[Any]) -> list[Any]:
    """Change repeated strings and numbers, so that no value is repeated."""
    unique: list[Any] = []
    for value in values:
        unique.append(_change_until_new(value, unique))
    return unique


def _change_until_new(value: Any, others: list[Any]) -> Any:
    while value in others and isinstance(value, str | int | float):
        count = len(others)
        value = f"{value} {count + 1}" if isinstance(value, str) else value + count
    return value


def _fit_length(text: str, keywords: Schema) -> str:
    """Pad or shorten a text to the length that the schema requires."""
    min_length = min(keywords.get("minLength", 0), _MAX_CHARACTERS)
    return text.ljust(min_length, ".")[: keywords.get("maxLength")]


def _matches_pattern(text: str, keywords: Schema) -> bool:
    with contextlib.suppress(re.error):
        return bool(re.search(keywords.get("pattern", ""), text))
    return False


def _make_pattern_example(keywords: Schema) -> str:
    """Make a text for a simple pattern, with the first alternative of each group."""
    min_length = min(keywords.get("minLength", 1), _MAX_CHARACTERS)
    pattern = _REMOVED_FROM_PATTERN.sub("", keywords["pattern"])
    text = ""
    for item, count, quantifier in _PATTERN_ITEM.findall(pattern):
        repetitions = 1
        if count:
            repetitions = int(count)
        elif quantifier:
            repetitions = min_length
        text += _find_character(item) * repetitions
    return text


def _find_character(item: str) -> str:
    """Find a character that matches one item of a pattern."""
    with contextlib.suppress(re.error):
        return next(filter(re.compile(item).fullmatch, string.printable), "")
    return ""
