"""The form of a request: which properties there may be, and of which kind.

A form takes a path and a value, and refuses what does not have it. Cerebras refuses
every property it does not know; null is taken for "not given".
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from langchain_cerebras_inference.emulator.refusals import bad_request

Form: TypeAlias = Callable[[str, Any], None]


def text(longest: float = math.inf) -> Form:
    """A string."""

    def check(path: str, value: Any) -> None:
        if not isinstance(value, str):
            raise bad_request(f"'{path}' must be a string")
        if len(value) > longest:
            raise bad_request(f"'{path}' is longer than {longest} characters")

    return check


def number(low: float = -math.inf, high: float = math.inf, *, whole: bool = False) -> Form:
    """A number within bounds."""

    def check(path: str, value: Any) -> None:
        kind = int if whole else int | float
        if isinstance(value, bool) or not isinstance(value, kind):
            raise bad_request(f"'{path}' must be {'an integer' if whole else 'a number'}")
        if not low <= value <= high:
            raise bad_request(f"'{path}' must be between {low} and {high}")

    return check


def flag(path: str, value: Any) -> None:
    """A boolean."""
    if not isinstance(value, bool):
        raise bad_request(f"'{path}' must be a boolean")


def anything(path: str, value: Any) -> None:
    """Whatever it is."""


def one_of(*allowed: str) -> Form:
    """One of some words."""

    def check(path: str, value: Any) -> None:
        if value not in allowed:
            raise bad_request(f"'{path}' must be one of {', '.join(allowed)}")

    return check


def fields(required: str = "", /, **forms: Form) -> Form:
    """An object with these properties and no others; some are `required`."""

    def check(path: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise bad_request(f"'{path}' must be an object")
        for name in value.keys() - forms.keys():
            raise bad_request(f"property '{path}.{name}' is unsupported")
        for name in required.split():
            if value.get(name) is None:
                raise bad_request(f"'{path}.{name}' is required")
        for name, given in value.items():
            if given is not None:
                forms[name](f"{path}.{name}", given)

    return check


def each(form: Form, least: int = 0, most: float = math.inf) -> Form:
    """A list of one form."""

    def check(path: str, value: Any) -> None:
        if not isinstance(value, list):
            raise bad_request(f"'{path}' must be a list")
        if not least <= len(value) <= most:
            raise bad_request(f"'{path}' must have {least} to {most} items")
        for index, item in enumerate(value):
            form(f"{path}.{index}", item)

    return check


def mapping(form: Form) -> Form:
    """An object whose properties have any name and one form."""

    def check(path: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise bad_request(f"'{path}' must be an object")
        for name, given in value.items():
            form(f"{path}.{name}", given)

    return check


def text_or(form: Form) -> Form:
    """A string, or something else."""

    def check(path: str, value: Any) -> None:
        if not isinstance(value, str):
            form(path, value)

    return check


def tagged(tag: str, **forms: Form) -> Form:
    """An object of one of several forms, told apart by the word under `tag`."""

    def check(path: str, value: Any) -> None:
        word = value.get(tag) if isinstance(value, Mapping) else None
        form = forms.get(word) if isinstance(word, str) else None
        if form is None:
            raise bad_request(f"'{path}.{tag}' must be one of {', '.join(forms)}")
        form(path, value)

    return check
