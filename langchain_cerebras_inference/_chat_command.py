"""The command `chat`: one question, or a conversation."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable

from langchain_cerebras_inference._command_model import (
    add_model_options,
    create_model,
    read_schema,
)
from langchain_cerebras_inference.errors import CerebrasError

_INTERRUPTED = 130
"""The exit status after Ctrl-C, by the convention of shells."""

_DIM, _RESET = "\033[2m", "\033[0m"
_IMAGE_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
"""The first bytes of the kinds of images that Cerebras accepts."""


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status: 0 if all completions have arrived."""
    parser = argparse.ArgumentParser(
        prog="langchain-cerebras-inference chat",
        description="Ask one question, from the arguments or from standard input. Without a"
        " question, in a terminal, have a conversation; Ctrl-C stops a completion, and Ctrl-D"
        " ends the conversation. The text goes to standard output, and in a terminal the"
        " reasoning and the speed go to standard error.",
    )
    parser.add_argument("question", nargs="*", help="the question")
    parser.add_argument("--image", metavar="FILE", help="a PNG or JPEG file for the question")
    add_model_options(parser)
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        try:
            image = _read_image(options.image)
            schema = read_schema(options.schema)
            model = create_model(options, stack)
            runnable: Runnable[Any, Any] = model
            if schema is not None:
                runnable = model.with_structured_output(schema)
        except (OSError, ValueError) as error:
            parser.error(" ".join(str(error).split()))
        if options.emulator and sys.stderr.isatty():
            sys.stderr.write("The completions come from a local emulator, not from a model.\n")
        conversation = _Conversation(runnable, options.system)
        try:
            return _run(conversation, " ".join(options.question), image)
        except BrokenPipeError:  # such as `… | head`
            # Python would otherwise report the same error again when it flushes at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1


def _run(conversation: _Conversation, question: str, image: str | None) -> int:
    if question or not sys.stdin.isatty():
        return conversation.ask(question or sys.stdin.read().strip(), image)
    status = 0
    for line in _read_lines():
        status = conversation.ask(line, image)
        image = None
    return 0 if status == _INTERRUPTED else status


def _read_lines() -> Iterator[str]:
    """Yield the lines that a person types, until Ctrl-D or Ctrl-C."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 # gives `input` a history and keys for editing
    while True:
        try:
            line = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            sys.stdout.write("\n")
            return
        if line:
            yield line


def _read_image(path: str | None) -> str | None:
    """Read an image file as a data URI."""
    if path is None:
        return None
    data = Path(path).read_bytes()
    for start, mime_type in _IMAGE_TYPES.items():
        if data.startswith(start):
            return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
    raise ValueError(f"{path} is neither a PNG nor a JPEG file")


class _Conversation:
    """The messages up to now, and how the next completion is printed."""

    def __init__(self, runnable: Runnable[Any, Any], system: str | None) -> None:
        self._runnable = runnable
        self._messages: list[BaseMessage] = [SystemMessage(system)] if system else []
        self._shows_details = sys.stderr.isatty()
        has_color = self._shows_details and not os.environ.get("NO_COLOR")
        self._dim, self._reset = (_DIM, _RESET) if has_color else ("", "")

    def ask(self, question: str, image: str | None) -> int:
        """Print the completion for a question; return the exit status."""
        content: Any = question
        if image is not None:
            content = [
                {"type": "text", "text": question},
                {"type": "image_url", "image_url": {"url": image}},
            ]
        messages = [*self._messages, HumanMessage(content)]
        try:
            message = self._print_completion(messages)
        except KeyboardInterrupt:
            sys.stderr.write(f"{self._reset}\nInterrupted.\n")
            return _INTERRUPTED
        except (CerebrasError, ValueError) as error:
            sys.stderr.write(f"{self._reset}{' '.join(str(error).split())}\n")
            return 1
        if message is not None:
            self._messages = [*messages, message]
        return 0

    def _print_completion(self, messages: list[BaseMessage]) -> BaseMessage | None:
        start = time.monotonic()
        first = None
        message: AIMessageChunk | None = None
        output: Any = None
        for chunk in self._runnable.stream(messages):
            first = first or time.monotonic()
            if not isinstance(chunk, AIMessageChunk):
                output = chunk  # an object that grows until the completion is complete
                continue
            self._print_chunk(chunk)
            message = chunk if message is None else message + chunk
        if output is not None:
            sys.stdout.write(json.dumps(output, ensure_ascii=False))
        sys.stdout.write("\n")
        sys.stdout.flush()
        if self._shows_details and message is not None and first is not None:
            self._print_speed(message, first - start, time.monotonic() - first)
        return message

    def _print_chunk(self, chunk: AIMessageChunk) -> None:
        for block in chunk.content_blocks:
            if block["type"] == "text":
                sys.stdout.write(block["text"])
                sys.stdout.flush()
            elif block["type"] == "reasoning" and self._shows_details:
                sys.stderr.write(f"{self._dim}{block.get('reasoning', '')}{self._reset}")
                sys.stderr.flush()

    def _print_speed(self, message: AIMessageChunk, wait: float, seconds: float) -> None:
        usage = message.usage_metadata
        tokens = usage["output_tokens"] if usage else 0
        speed = tokens / max(seconds, 1e-3)
        sys.stderr.write(
            f"{self._dim}{tokens} tokens, {speed:,.0f} tokens/s, first token after"
            f" {wait:.2f} s{self._reset}\n"
        )
