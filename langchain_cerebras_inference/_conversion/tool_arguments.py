"""The arguments of a tool call: whether they are complete, and how a stream marks that.

langchain-core parses the arguments of a streamed tool call leniently, so truncated ones
would become another call with fewer arguments, which an agent would run. A stream therefore
ends such arguments with a suffix that even a lenient parser rejects. That makes the call an
invalid tool call.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

_CLOSING_BRACKETS = {"{": "}", "[": "]"}
_OTHER_BRACKET = {"}": "]", "]": "}"}
_SUFFIX_LENGTHS = (5, 3, 1)


def parse_arguments(text: str, finish_reason: str | None = None) -> dict[str, Any] | None:
    """Parse the arguments of a tool call.

    Args:
        text: The arguments as the server sent them. An empty text stands for `{}`, unless
            the token limit ended the completion.
        finish_reason: The finish reason of the completion.

    Returns:
        The arguments, or `None` if they are not a complete JSON object.
    """
    if not text and finish_reason == "length":
        return None
    try:
        arguments = from_json(text or "{}", allow_inf_nan=False)
    except ValueError:
        return None
    if arguments is None:
        return {}
    return arguments if isinstance(arguments, dict) else None


def to_text(arguments: Any) -> str:
    """Return arguments as a text; some servers send an object, or `null` for none."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else to_json(arguments).decode()


def create_invalid_suffix(text: str) -> str:
    """Return the suffix that makes truncated arguments invalid for every parser.

    The suffix closes an open string, and then has the wrong closing bracket: once, and once
    more for each quotation mark, so that its length tells where it begins.
    """
    open_brackets: list[str] = []
    is_in_string = is_escaped = False
    for char in text:
        if is_in_string:
            is_in_string = char != '"' or is_escaped
            is_escaped = char == "\\" and not is_escaped
        elif char == '"':
            is_in_string = True
        elif char in _CLOSING_BRACKETS:
            open_brackets.append(_CLOSING_BRACKETS[char])
        elif char in _OTHER_BRACKET and open_brackets and open_brackets[-1] == char:
            open_brackets.pop()
    quotation_marks = is_in_string + is_escaped
    wrong_bracket = _OTHER_BRACKET[open_brackets[-1] if open_brackets else "}"]
    return '"' * quotation_marks + wrong_bracket * (1 + quotation_marks)


def remove_invalid_suffix(text: str) -> str:
    """Return truncated arguments as the server sent them, to send them back."""
    for length in _SUFFIX_LENGTHS:
        arguments, suffix = text[:-length], text[-length:]
        is_truncated = not arguments or parse_arguments(arguments) is None
        if suffix == create_invalid_suffix(arguments) and is_truncated:
            return arguments
    return text
