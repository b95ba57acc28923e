"""Tool arguments: whole or not, and how a stream says that they are not.

langchain-core parses the fragments of a call leniently at every merge, so arguments cut
in the middle would become a shorter call that an agent runs. A stream therefore ends
such a call with a tail that no lenient parser can close, which makes it an invalid call.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

_CLOSERS = {"{": "}", "[": "]"}
_WRONG = {"}": "]", "]": "}"}
_TAIL_LENGTHS = (5, 3, 1)


def parse(text: str) -> dict[str, Any] | None:
    """The arguments, or `None` where they are not one whole JSON object."""
    try:
        value = from_json(text or "{}", allow_inf_nan=False)
    except ValueError:
        return None
    if value is None:
        return {}
    return value if isinstance(value, dict) else None


def tail_for(text: str) -> str:
    """What to append to cut arguments so that nothing can close them.

    The string that is open is closed, if one is, and the wrong bracket follows: once,
    and once more for each quote, so that it can be told where the tail begins.
    """
    stack: list[str] = []
    in_string = escaped = False
    for char in text:
        if in_string:
            in_string = char != '"' or escaped
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in _CLOSERS:
            stack.append(_CLOSERS[char])
        elif char in _WRONG and stack and stack[-1] == char:
            stack.pop()
    quotes = in_string + escaped
    return '"' * quotes + _WRONG[stack[-1] if stack else "}"] * (1 + quotes)


def without_tail(text: str) -> str:
    """The arguments as the server sent them, for going back to it."""
    for length in _TAIL_LENGTHS:
        sent, tail = text[:-length], text[-length:]
        if tail == tail_for(sent) and (not sent or parse(sent) is None):
            return sent
    return text
