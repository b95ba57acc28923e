"""The command line, `langchain-cerebras-inference`.

Each command is a function, which gets the arguments of the command and returns its exit status.
Only the module of the command that runs is imported.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from langchain_cerebras_inference._version import get_version

COMMANDS = {
    "chat": ("_chat_command:main", "ask a question, or have a conversation"),
    "batch": ("_batch_command:main", "run the prompts of a file"),
    "models": ("_info_commands:show_models", "list the models"),
    "whoami": (
        "_info_commands:show_credential",
        "show the credential and, with --quota, the quota",
    ),
    "emulator": ("emulator.__main__:main", "run a local emulator of Cerebras"),
}
"""The function and the description of each command."""


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
    parser.add_argument("--version", action="version", version=get_version())
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND")
    arguments = sys.argv[1:] if arguments is None else arguments
    command = parser.parse_args(arguments[:1]).command
    if command is None:
        parser.print_help(sys.stderr)
        return 2
    module, _, function = COMMANDS[command][0].partition(":")
    try:
        run = getattr(import_module(f"langchain_cerebras_inference.{module}"), function)
        status: int = run(arguments[1:])
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return 130  # by the convention of shells
    except BrokenPipeError:  # such as `… | head`
        # Python would otherwise report the same error again when it flushes at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
