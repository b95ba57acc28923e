"""Tool arguments: the object in them, and the marker for truncated arguments.

langchain-core parses the arguments of a streamed tool call leniently. Truncated arguments
would become a valid call with fewer arguments, which an agent would run. A stream therefore
appends a marker to truncated arguments: a few characters that even a lenient parser rejects.
The call then becomes an invalid tool call.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json

from langchain_cerebras_inference import _surrogates

_CLOSING_BRACKETS = {"{": "}", "[": "]"}
_OTHER_BRACKET = {"}": "]", "]": "}"}
_MARKER_LENGTHS = (5, 3, 1)

_FENCE = "```"

# `re` compiles these patterns at their first use and caches them, which keeps the import fast.
# None of them can backtrack by more than one escape sequence.
_HIGH = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPES = rf"{_HIGH}{_LOW}|(?P<lone>{_HIGH}|{_LOW})|\\."
# At the end of the text: the first half of a surrogate pair, the beginning of an escape
# sequence, or the one and then the other.
_INCOMPLETE_ESCAPE = rf"(?P<incomplete>(?=\\)(?:{_HIGH})?(?:\\(?:u[0-9a-fA-F]{{0,3}})?)?\Z)"


def parse_arguments(text: str, finish_reason: str | None = None) -> dict[str, Any] | None:
    """Parse the arguments of a tool call.

    Args:
        text: The arguments as the server sent them. An empty string means `{}`, unless the
            completion stopped at the token limit.
        finish_reason: The finish reason of the completion.

    Returns:
        The arguments, or `None` if they are not a complete JSON object (see `parse_object`).
    """
    if not text and finish_reason == "length":
        return None
    if not text or text.strip() == "null":
        return {}
    return parse_object(text, allow_inf_nan=False)


def parse_object(text: str, *, allow_inf_nan: bool = True) -> dict[str, Any] | None:
    """Parse the JSON object that a model has written; `None` if it is not complete.

    Strings may contain control characters, which JSON requires to be escaped. Lone surrogates
    become U+FFFD. The object may be in a Markdown fence (see `extract_fenced_object`).

    Args:
        text: The text of the model.
        allow_inf_nan: Whether numbers may be `NaN` or `Infinity`, which JSON does not have.
    """
    try:
        value = from_json(text, allow_inf_nan=allow_inf_nan)
    except (ValueError, TypeError):  # a TypeError if the text contains surrogates
        value = _parse_leniently(text, allow_inf_nan=allow_inf_nan)
    return value if isinstance(value, dict) else None


def extract_fenced_object(text: str) -> str | None:
    """Return what may be a JSON object in the Markdown fence of a text, or `None`.

    There may be prose before and after the fence, but no second object: the fence could then
    be part of a string in a truncated object.
    """
    before, opening, remainder = text.partition(_FENCE)
    inside, closing, after = remainder.rpartition(_FENCE)
    if not (opening and closing) or "{" in before or "{" in after:
        return None
    if before.lstrip()[:1] in ("[", '"'):
        return None
    language, brace, _ = inside.partition("{")
    language = language.strip("` \t\r\n")
    if not brace or (language and not language.isalnum()):
        return None
    return inside[inside.index("{") :].rstrip("` \t\r\n")


def _parse_leniently(text: str, *, allow_inf_nan: bool) -> Any:
    if text.lstrip()[:1] != "{":
        text = extract_fenced_object(text) or ""
    try:
        value = json.loads(text, strict=False)
        # `from_json` decides about everything except control characters and surrogates.
        return from_json(_surrogates.encode_json(value), allow_inf_nan=allow_inf_nan)
    except (ValueError, RecursionError):
        return None


def to_string(arguments: Any) -> str:
    """Return tool arguments as a string; some servers send an object, or `null` for none."""
    if arguments is None:
        return ""
    if isinstance(arguments, str):
        return "".join(replace_lone_surrogates(arguments))
    return _surrogates.encode_json(arguments).decode()


def replace_lone_surrogates(text: str) -> tuple[str, str]:
    r"""Replace the escape sequences of lone surrogates in JSON text by `\ufffd`.

    Returns:
        The text, and the escape sequence at its end that is not complete. A first surrogate at
        the end is not complete, either: the second one may follow.
    """
    if "\\" not in text:
        return text, ""
    incomplete = ""
    # Complete escapes are matched, too, so that the second backslash of a complete one does not
    # count as the beginning of another one.
    for match in re.finditer(f"{_INCOMPLETE_ESCAPE}|{_ESCAPES}", text, flags=re.DOTALL):
        if match["incomplete"]:
            text, incomplete = text[: match.start()], match["incomplete"]
    return re.sub(_ESCAPES, _replace_lone, text, flags=re.DOTALL), incomplete


def _replace_lone(match: re.Match[str]) -> str:
    return r"\ufffd" if match["lone"] else match[0]


def create_truncation_marker(text: str) -> str:
    r"""Create the marker that makes truncated arguments invalid for every parser.

    It closes an open string and then adds the wrong closing bracket:

        no open string                   `]`
        an open string                   `"]]`
        an open string that ends in `\`  `""]]]`

    If the innermost open bracket is `[`, the wrong bracket is `}` instead of `]`. Each
    quotation mark adds one bracket, so that the length shows where the marker begins.
    """
    expected_closings: list[str] = []
    is_in_string = is_escaped = False
    for char in text:
        if is_in_string:
            is_in_string = char != '"' or is_escaped
            is_escaped = char == "\\" and not is_escaped
        elif char == '"':
            is_in_string = True
        elif char in _CLOSING_BRACKETS:
            expected_closings.append(_CLOSING_BRACKETS[char])
        elif expected_closings and char == expected_closings[-1]:
            expected_closings.pop()
    wrong_bracket = _OTHER_BRACKET[expected_closings[-1] if expected_closings else "}"]
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
