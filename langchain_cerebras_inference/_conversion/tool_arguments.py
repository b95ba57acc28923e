"""Tool arguments: whether they are complete, and the marker for truncated arguments.

langchain-core parses the arguments of a streamed tool call leniently. Truncated arguments
would become a valid call with fewer arguments, which an agent would run. A stream therefore
appends a marker to truncated arguments: a few characters that even a lenient parser rejects.
The call then becomes an invalid tool call.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

_CLOSING_BRACKETS = {"{": "}", "[": "]"}
_OTHER_BRACKET = {"}": "]", "]": "}"}
_MARKER_LENGTHS = (5, 3, 1)


def parse_arguments(text: str, finish_reason: str | None = None) -> dict[str, Any] | None:
    """Parse the arguments of a tool call.

    Args:
        text: The arguments as the server sent them. An empty string means `{}`, unless the
            completion stopped at the token limit.
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


def to_string(arguments: Any) -> str:
    """Return tool arguments as a string; some servers send an object, or `null` for none."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else to_json(arguments).decode()


def create_truncation_marker(text: str) -> str:
    r"""Create the marker that makes truncated arguments invalid for every parser.

    It closes an open string and then adds the wrong closing bracket:

        no open string                   `]`
        an open string                   `"]]`
        an open string that ends in `\`  `""]]]`

    If the innermost open bracket is `[`, the wrong bracket is `}` instead of `]`. Each
    quotation mark adds one bracket, so that the length shows where the marker begins.
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
    wrong_bracket = _OTHER_BRACKET[open_brackets[-1] if open_brackets else "}"]
    if is_escaped:  # the first quotation mark only completes the escape sequence
        return '""' + wrong_bracket * 3
    if is_in_string:
        return '"' + wrong_bracket * 2
    return wrong_bracket


def remove_truncation_marker(text: str) -> str:
    """Return truncated arguments as the server sent them, for use in a later request."""
    for length in _MARKER_LENGTHS:
        arguments, marker = text[:-length], text[-length:]
        is_truncated = not arguments or parse_arguments(arguments) is None
        if marker == create_truncation_marker(arguments) and is_truncated:
            return arguments
    return text
