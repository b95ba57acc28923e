"""The commands `models` and `whoami`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence

from langchain_cerebras_inference._command_model import (
    add_emulator_option,
    create_model,
    describe_error,
)
from langchain_cerebras_inference._model_catalog import ModelInfo
from langchain_cerebras_inference.chat_models import ChatCerebrasInference
from langchain_cerebras_inference.errors import CerebrasError

_HEADINGS = ("model", "context", "output", "$ in", "$ out", "capabilities", "status")


def show_models(arguments: Sequence[str]) -> int:
    """Run the command `models`, and return its exit status."""
    parser = _create_parser(
        "models",
        "List the models that this key can use, with their context window and longest"
        " completion in tokens, and the prices of a million tokens in US dollars.",
    )
    return _run(parser, parser.parse_args(arguments), _print_models)


def show_credential(arguments: Sequence[str]) -> int:
    """Run the command `whoami`, and return its exit status."""
    parser = _create_parser("whoami", "Show the credential, without the secret.")
    parser.add_argument("--model", help="the model whose quota is shown")
    parser.add_argument(
        "--quota", action="store_true", help="show the quota; this sends one short prompt"
    )
    options = parser.parse_args(arguments)
    return _run(parser, options, _print_quota if options.quota else _print_credential)


def _create_parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"langchain-cerebras-inference {name}", description=description
    )
    add_emulator_option(parser)
    return parser


def _run(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    show: Callable[[ChatCerebrasInference], None],
) -> int:
    with contextlib.ExitStack() as stack:
        try:
            model = create_model(options, stack)
        except ValueError as error:
            parser.error(describe_error(error))
        try:
            show(model)
        except CerebrasError as error:
            sys.stderr.write(f"{describe_error(error)}\n")
            return 1
    return 0


def _print_models(model: ChatCerebrasInference) -> None:
    rows = [_HEADINGS, *map(_describe_model, model.list_models())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _describe_model(info: ModelInfo) -> tuple[str, ...]:
    capabilities = {
        "images": info.images,
        "tools": info.tool_calling,
        "reasoning": bool(info.reasoning_efforts),
    }
    status = {"preview": info.preview, "deprecated": info.deprecated}
    return (
        info.id,
        "" if info.context_tokens is None else f"{info.context_tokens:,}",
        "" if info.output_tokens is None else f"{info.output_tokens:,}",
        "" if info.input_price is None else f"{info.input_price:.2f}",
        "" if info.output_price is None else f"{info.output_price:.2f}",
        ", ".join(name for name, has_it in capabilities.items() if has_it),
        ", ".join(name for name, has_it in status.items() if has_it),
    )


def _print_credential(model: ChatCerebrasInference) -> None:
    credential = model.credential()
    expires = "" if credential.expires is None else f", expires {credential.expires:%c %Z}"
    sys.stdout.write(
        f"{credential.kind} {credential.hint} (from: {credential.source}) for"
        f" {credential.host}{expires}\n"
    )


def _print_quota(model: ChatCerebrasInference) -> None:
    _print_credential(model)
    model.invoke("Hi", max_tokens=200)
    for name, limit in model.quota().limits.items():
        remaining = "unknown" if limit.remaining is None else f"{limit.remaining:,.0f}"
        sys.stdout.write(f"{name}: {remaining} of {limit.limit:,.0f} remain\n")
