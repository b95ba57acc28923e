r"""Surrogates: the halves of a character beyond U+FFFF.

A Python string can contain one half without the other, and so can JSON, as an escape sequence
such as `\ud83d`. UTF-8 cannot express it. The rule for everything that is sent and received:
adjacent halves are joined, and a lone one becomes U+FFFD, the replacement character.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic_core import PydanticSerializationError, from_json, to_json

if TYPE_CHECKING:
    from langchain_cerebras_inference._types import StreamEvent

_REPLACEMENT = "\ufffd"

_TOO_DEEP = "The value is nested too deeply for JSON."

_TextId: TypeAlias = str | tuple[str, Any]
"""Identifies a text that grows over several deltas: the name of its field or, for the arguments
of a tool call, the identifier of the call as (name, value)."""


def join_surrogates(text: str) -> str:
    """Join adjacent surrogates, and replace lone ones by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def encode_json(value: Any, inf_nan_mode: Literal["constants", "null"] = "constants") -> bytes:
    """Encode a value as JSON; surrogates are joined or replaced.

    Raises:
        ValueError: If the value cannot be expressed in JSON.
    """
    try:
        return to_json(value, inf_nan_mode=inf_nan_mode)
    except PydanticSerializationError:
        try:
            replaced = _join_in_value(value)
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        return to_json(replaced, inf_nan_mode=inf_nan_mode)


def decode_json(data: bytes) -> Any:
    """Decode JSON; surrogates are joined or replaced.

    Raises:
        ValueError: If the data is not JSON.
    """
    try:
        return from_json(data)
    except ValueError:
        return join_surrogates_in_json(decode_with_surrogates(data))


def decode_with_surrogates(data: bytes) -> Any:
    """Decode JSON that `from_json` rejects because of lone surrogates, and keep these.

    Raises:
        ValueError: If the data is not JSON, or has no surrogates.
    """
    if b"\\u" not in data and b"\xed" not in data:  # an escape sequence, a byte of a surrogate
        raise ValueError("There are no surrogates.")
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def join_surrogates_in_json(value: Any) -> Any:
    """Return a copy of a decoded JSON value in which surrogates are joined or replaced.

    Raises:
        ValueError: If the value is nested more deeply than `from_json` accepts.
    """
    return from_json(encode_json(value))


def _join_in_value(value: Any) -> Any:
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, Mapping):
        return {_join_in_value(name): _join_in_value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_join_in_value(item) for item in value]
    return value


class SurrogateJoiner:
    """Joins the surrogates of one stream, whose pairs may be divided between two events.

    A first half at the end of a delta is held back until the text continues, until another
    text begins, or until the finish reason.
    """

    def __init__(self) -> None:
        self._first_halves: dict[_TextId, str] = {}

    def join(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """Return events in which surrogates are joined or replaced; `events` may change.

        Each event must be one that `decode_json` accepts.
        """
        for event in events:
            if event["choices"]:
                self._join_choice(event["choices"][0])
        return [join_surrogates_in_json(event) for event in events]

    def _join_choice(self, choice: Any) -> None:
        delta = choice.get("delta") or {}
        continued: set[_TextId] = set()
        for container, name, text_id in _find_texts(delta):
            text = self._first_halves.pop(text_id, "") + container[name]
            if "\ud800" <= text[-1] <= "\udbff":
                self._first_halves[text_id] = text[-1]
                text = text[:-1]
            container[name] = text
            continued.add(text_id)
        is_end = bool(choice.get("finish_reason"))
        for text_id in list(self._first_halves):
            if is_end or (continued and text_id not in continued):
                del self._first_halves[text_id]
                _append_replacement(delta, text_id)
                choice["delta"] = delta


def _find_texts(delta: dict[str, Any]) -> list[tuple[dict[str, Any], str, _TextId]]:
    """Return where the texts of a delta are, as (container, key, text_id); none is empty."""
    texts: list[tuple[dict[str, Any], str, _TextId]] = [
        (delta, name, name)
        for name, value in delta.items()
        if isinstance(value, str) and value and name != "role"
    ]
    fragments = delta.get("tool_calls")
    for fragment in fragments if isinstance(fragments, list) else ():
        function = fragment.get("function") if isinstance(fragment, dict) else None
        if not isinstance(function, dict):
            continue
        arguments = function.get("arguments")
        if isinstance(arguments, str) and arguments:
            texts.append((function, "arguments", _identify_call(fragment)))
    return texts


def _identify_call(fragment: dict[str, Any]) -> tuple[str, Any]:
    """Return the identifier that a fragment of a tool call has, as (name, value)."""
    for name in ("index", "id"):
        if isinstance(fragment.get(name), (int, str)):
            return name, fragment[name]
    return "", None


def _append_replacement(delta: dict[str, Any], text_id: _TextId) -> None:
    """Add U+FFFD to a text, in place of a half that was held back.

    Values of the wrong type stay as they are; the conversion rejects them.
    """
    if isinstance(text_id, str):
        text = delta.get(text_id) or ""
        if isinstance(text, str):
            delta[text_id] = text + _REPLACEMENT
        return
    name, value = text_id
    identifier = {name: value} if name else {}
    fragments = delta.get("tool_calls") or []
    if isinstance(fragments, list):
        fragment = {**identifier, "function": {"arguments": _REPLACEMENT}}
        delta["tool_calls"] = [*fragments, fragment]
