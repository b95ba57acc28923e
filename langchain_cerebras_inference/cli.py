"""The command line, `langchain-cerebras-inference`.

Each command is a module with a function `main`, which gets the arguments of the command and
returns its exit status. Only the module of the command that runs is imported.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "batch": ("_batch_command", "run the prompts of a file"),
    "emulator": ("emulator.__main__", "run a local emulator of Cerebras"),
}
"""The module and the description of each command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status."""
    descriptions = [f"  {name:10}{text}" for name, (_, text) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="langchain-cerebras-inference",
        usage="%(prog)s COMMAND …",
        description="\n".join(["Use Cerebras from the command line. Commands:", *descriptions]),
        epilog="langchain-cerebras-inference COMMAND --help describes a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    arguments = sys.argv[1:] if arguments is None else arguments
    module, _ = COMMANDS[parser.parse_args(arguments[:1]).command]
    main = import_module(f"langchain_cerebras_inference.{module}").main
    status: int = main(arguments[1:])
    return status
