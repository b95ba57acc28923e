"""The options of the command line that describe the model, and the model itself."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import Any

from langchain_cerebras_inference.chat_models import ChatCerebrasInference

_SETTINGS = ("model", "max_tokens", "temperature", "reasoning_effort", "quota_store")
"""The options that are settings of the model."""


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command has which sends prompts."""
    add = parser.add_argument
    add("--model", help="the id of the model")
    add("--system", metavar="TEXT", help="a system message for each prompt")
    add("--schema", metavar="FILE", help="a JSON schema for the results")
    add("--max-tokens", type=int, metavar="N", help="the longest completion, in tokens")
    add("--temperature", type=float, metavar="X", help="the randomness, from 0 to 2")
    add(
        "--effort",
        "--reasoning-effort",
        dest="reasoning_effort",
        metavar="EFFORT",
        help="how much the model reasons: none, low, medium or high",
    )
    add_emulator_option(parser)


def add_emulator_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--emulator`."""
    parser.add_argument(
        "--emulator", action="store_true", help="use a local emulator; needs no key"
    )


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


def read_schema(path: str | None) -> Any:
    """Read a JSON schema from a file; `None` without a path.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not JSON.
    """
    if path is None:
        return None
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
