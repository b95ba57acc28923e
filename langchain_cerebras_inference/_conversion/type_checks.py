"""What came, checked for the types of the wire where nothing else would notice."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from langchain_cerebras_inference.errors import CerebrasProtocolError

_WRONG = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Reading:
    """Raises the one error for an answer that has values of other types than the wire's.

    A class, because each batch of events enters it, and a generator would cost more.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, _WRONG):
            raise CerebrasProtocolError(
                f"The answer has values of the wrong type ({_said(error)});"
                " is base_url Cerebras'?"
            ) from None


def text(value: Any) -> str:
    """Text that came.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text belongs")
    return value


def count(value: Any) -> int:
    """A count of tokens that came; none is 0.

    Raises:
        TypeError: If it is no whole number.
    """
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise TypeError(f"{type(value).__name__} where a number of tokens belongs")
    return int(value)


def logprobs(value: Any) -> dict[str, Any]:
    """Log probabilities that came, such as core can add to those of other chunks.

    Raises:
        TypeError: If they are none.
    """
    if not isinstance(value, dict) or not all(map(_are_tokens, value.values())):
        raise TypeError(f"{type(value).__name__} where log probabilities belong")
    return value


def _are_tokens(entries: Any) -> bool:
    """Core adds up entries that have an index, and cannot if they differ in type."""
    if entries is None:
        return True
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and "index" not in entry for entry in entries
    )


def _said(error: Exception) -> str:
    """What is wrong, in a line that quotes nothing of the answer."""
    if isinstance(error, ValidationError):
        return ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
    return str(error)
