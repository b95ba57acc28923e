"""Type checks of values in a response, which may come from a server that is not Cerebras."""

from __future__ import annotations

from typing import Any

from langchain_cerebras_inference._urls import get_wrong_server_advice
from langchain_cerebras_inference.errors import CerebrasProtocolError

_MAX_COUNT = 2**53
"""Up to this number, a float is an exact integer."""

_JSON_TYPES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def create_type_error(field: str, value: Any, expected: str) -> CerebrasProtocolError:
    """Create the error for a field that has a value of the wrong type."""
    actual = _JSON_TYPES[type(value)]
    return CerebrasProtocolError(
        f"The field {field} of the response must be {expected}, but it is {actual}."
        f" {get_wrong_server_advice()}"
    )


def check_string(field: str, value: Any) -> str:
    """Return the value if it is a string.

    Raises:
        CerebrasProtocolError: If it is not a string.
    """
    if not isinstance(value, str):
        raise create_type_error(field, value, "a string")
    return value


def check_object(field: str, value: Any) -> dict[str, Any]:
    """Return the value if it is a JSON object.

    Raises:
        CerebrasProtocolError: If it is not an object.
    """
    if not isinstance(value, dict):
        raise create_type_error(field, value, "an object")
    return value


def check_list(field: str, value: Any) -> list[Any]:
    """Return the value if it is a list.

    Raises:
        CerebrasProtocolError: If it is not a list.
    """
    if not isinstance(value, list):
        raise create_type_error(field, value, "a list")
    return value


def check_count(field: str, value: Any) -> int:
    """Return the value as an integer if it is a number of tokens.

    Raises:
        CerebrasProtocolError: If it is not an integer.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # `value // 1` is NaN for infinity and for NaN, and NaN differs from everything.
    if not is_number or value != value // 1 or abs(value) > _MAX_COUNT:
        raise create_type_error(field, value, "an integer")
    return int(value)


def check_logprobs(field: str, value: Any) -> dict[str, Any]:
    """Return the value if it contains log probabilities that langchain-core can concatenate.

    Raises:
        CerebrasProtocolError: If the value has another structure.
    """
    if not isinstance(value, dict) or not all(map(_are_token_entries, value.values())):
        raise create_type_error(field, value, "an object with lists of log probabilities")
    return value


def _are_token_entries(entries: Any) -> bool:
    # langchain-core merges entries that have an index, and fails if their types differ.
    if entries is None:
        return True
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and "index" not in entry for entry in entries
    )
