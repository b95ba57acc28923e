"""Type checks of values in a response, which may come from a server that is not Cerebras."""

from __future__ import annotations

from typing import Any

from langchain_cerebras_inference._urls import get_wrong_server_advice
from langchain_cerebras_inference.errors import CerebrasProtocolError

_MAX_COUNT = 2**53


def create_type_error(field: str, value: Any, expected: str) -> CerebrasProtocolError:
    """Create the error for a field that has a value of the wrong type."""
    return CerebrasProtocolError(
        f"The field {field} of the response is {type(value).__name__}, not {expected}."
        f" {get_wrong_server_advice()}"
    )


def check_text(field: str, value: Any) -> str:
    """Return a text.

    Raises:
        CerebrasProtocolError: If the value is not a text.
    """
    if not isinstance(value, str):
        raise create_type_error(field, value, "text")
    return value


def check_object(field: str, value: Any) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        CerebrasProtocolError: If the value is not an object.
    """
    if not isinstance(value, dict):
        raise create_type_error(field, value, "an object")
    return value


def check_list(field: str, value: Any) -> list[Any]:
    """Return a list.

    Raises:
        CerebrasProtocolError: If the value is not a list.
    """
    if not isinstance(value, list):
        raise create_type_error(field, value, "a list")
    return value


def check_count(field: str, value: Any) -> int:
    """Return a number of tokens.

    Raises:
        CerebrasProtocolError: If the value is not a whole number.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or value != value // 1 or abs(value) > _MAX_COUNT:
        raise create_type_error(field, value, "a whole number")
    return int(value)


def check_logprobs(field: str, value: Any) -> dict[str, Any]:
    """Return log probabilities that langchain-core can append to those of other chunks.

    Raises:
        CerebrasProtocolError: If the value has another structure.
    """
    if not isinstance(value, dict) or not all(map(_are_token_entries, value.values())):
        raise create_type_error(field, value, "log probabilities")
    return value


def _are_token_entries(entries: Any) -> bool:
    # langchain-core merges entries that have an index, and fails if their types differ.
    if entries is None:
        return True
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and "index" not in entry for entry in entries
    )
