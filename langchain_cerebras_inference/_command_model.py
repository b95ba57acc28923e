"""Create the model of a command from its options, and describe errors for the command line."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from langchain_cerebras_inference._setting_types import ReasoningEffort
from langchain_cerebras_inference.chat_models import ChatCerebrasInference

_SETTINGS = ("model", "max_tokens", "temperature", "reasoning_effort", "quota_store")
"""The options that are settings of the model."""

_COMMAND_LINE_WORDING = {
    "Pass api_key or set CEREBRAS_API_KEY": "Set CEREBRAS_API_KEY",
    "or pass cookies or set CEREBRAS_COOKIES.": "or set CEREBRAS_COOKIES. To try the command"
    " without a key, add --emulator.",
    "list_models() returns": "langchain-cerebras-inference models lists",
    "the setting base_url": "CEREBRAS_API_BASE",
    "Check base_url": "Check CEREBRAS_API_BASE",
    "is not enabled for your organization and model": "is not enabled for your organization and"
    " model (langchain-cerebras-inference models lists the models that accept images)",
}
"""Parts of error messages that name the Python API or lack advice, and their replacements on
the command line."""


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `chat` and `batch`: the model, its settings and the system message."""
    add = parser.add_argument
    add("--model", help="the id of the model")
    add("--system", metavar="TEXT", help="a system message")
    add("--schema", metavar="FILE", help="a JSON schema for the results")
    add("--max-tokens", type=parse_count, metavar="N", help="the longest completion, in tokens")
    add("--temperature", type=_parse_temperature, metavar="X", help="the randomness, 0 to 2")
    add(
        "--effort",
        "--reasoning-effort",
        dest="reasoning_effort",
        choices=get_args(ReasoningEffort),
        help="how much the model reasons",
    )
    add_emulator_option(parser)


def add_emulator_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--emulator`."""
    parser.add_argument(
        "--emulator", action="store_true", help="use a local emulator; needs no key"
    )


def parse_count(text: str) -> int:
    """Convert an argument to an integer of at least 1."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")


def _parse_temperature(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 2:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 2")


def create_model(
    options: argparse.Namespace, stack: contextlib.ExitStack
) -> ChatCerebrasInference:
    """Create the model that the options describe; `stack` stops the emulator, if it is used.

    Raises:
        ValueError: If an option is invalid.
    """
    settings: dict[str, Any] = {name: getattr(options, name, None) for name in _SETTINGS}
    if options.emulator:
        from langchain_cerebras_inference.emulator import Emulator

        server = stack.enter_context(Emulator())
        settings |= {"base_url": server.base_url, "api_key": server.api_key}
    return ChatCerebrasInference(**settings)


def read_schema(path: str | None) -> dict[str, Any] | None:
    """Read a JSON schema from a file; `None` without a path.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not a JSON schema.
    """
    if path is None:
        return None
    try:
        schema = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ValueError(  # noqa: TRY004 # an invalid file
            f"{path} is not a JSON schema of an object, such as"
            ' {"type": "object", "properties": {"name": {"type": "string"}}}'
        )
    return schema


def describe_error(error: Exception) -> str:
    """Describe an error in one line, in the wording of the command line."""
    text = str(error)
    if isinstance(error, ValidationError):
        text = " ".join(detail["msg"] for detail in error.errors())
        text = text.replace("Value error, ", "")
    text = " ".join(text.split())
    for part, replacement in _COMMAND_LINE_WORDING.items():
        text = text.replace(part, replacement)
    return text
