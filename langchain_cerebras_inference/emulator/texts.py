"""Texts of a certain form: a format, a length, a pattern."""

import contextlib
import re
import string

from langchain_cerebras_inference.emulator.schemas import Schema

FORMATS = {
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
_TOO_LONG = 100_000

_ALTERNATIVES = re.compile(r"\(\?:|\|[^()]*")
_PART = re.compile(r"(\[[^]]+]|\\.|[^\\^$()?*+{}])(?:\{(\d{1,3})[^}]*}|([*+]))?")


def sized(text: str, schema: Schema) -> str:
    """`text`, as long as it may be and must be."""
    least = min(schema.get("minLength", 0), _TOO_LONG)
    return text.ljust(least, ".")[: schema.get("maxLength")]


def matches(text: str, schema: Schema) -> bool:
    """Whether `text` has the pattern it must have, if there is one."""
    with contextlib.suppress(re.error):
        return bool(re.search(schema.get("pattern", ""), text))
    return False


def patterned(schema: Schema) -> str:
    """A text for a simple pattern: a character for each part, of alternatives the first."""
    least = min(schema.get("minLength", 1), _TOO_LONG)
    parts = _PART.findall(_ALTERNATIVES.sub("", schema["pattern"]))
    return "".join(
        _character(part) * (int(count) if count else least if repeats else 1)
        for part, count, repeats in parts
    )


def _character(part: str) -> str:
    with contextlib.suppress(re.error):
        return next(filter(re.compile(part).fullmatch, string.printable), "")
    return ""
