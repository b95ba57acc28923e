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

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.runnables import Runnable

from langchain_cerebras_inference._command_model import (
    add_model_options,
    create_model,
    describe_error,
    read_schema,
)
from langchain_cerebras_inference.errors import CerebrasError

_DIM, _RESET = "\033[2m", "\033[0m"
_IMAGE_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
"""The first bytes of the kinds of images that Cerebras accepts."""


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status.

    The status of a conversation is that of its last completion, or 0 if that was interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="langchain-cerebras-inference chat",
        usage="%(prog)s [OPTION …] [QUESTION …]",
        description="Ask one question. If standard input is not a terminal, its text is added"
        " to the question. Without a question, in a terminal, have a conversation; Ctrl-C"
        " stops a completion, and Ctrl-D ends the conversation. The text goes to standard"
        " output, and in a terminal the reasoning and the speed go to standard error.",
    )
    parser.add_argument("question", nargs="*", help="the question; - is standard input")
    parser.add_argument(
        "--image",
        metavar="FILE",
        help="a PNG or JPEG file to send with the question (some models)",
    )
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
            question = _read_question(options.question)
        except (OSError, ValueError) as error:
            parser.error(describe_error(error))
        if options.emulator and sys.stderr.isatty():
            sys.stderr.write("The completions come from a local emulator, not from a model.\n")
        conversation = _Conversation(runnable, options.system)
        if question is not None:
            return conversation.ask(question, image)
        return _converse(conversation, image)


def _read_question(words: list[str]) -> str | None:
    """Return the question with the text of standard input; `None` if there is neither.

    Raises:
        ValueError: If the question is empty, or standard input is not text.
    """
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    if is_terminal and not words:
        return None
    parts = [] if words == ["-"] else [" ".join(words)]
    if sys.stdin is not None and (not is_terminal or words == ["-"]):
        try:
            parts.append(sys.stdin.buffer.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise ValueError("standard input is not text in UTF-8") from None
    question = "\n\n".join(filter(str.strip, parts)).strip()
    if not question:
        raise ValueError("the question is empty")
    return question


def _converse(conversation: _Conversation, image: str | None) -> int:
    status = 0
    for line in _read_lines():
        try:
            status = conversation.ask(line, image)
        except KeyboardInterrupt:
            sys.stderr.write("\nInterrupted.\n")
            status = 0
        image = None
    return status


def _read_lines() -> Iterator[str]:
    """Yield the lines that a person types, until Ctrl-D."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 # gives `input` a history and keys for editing
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            sys.stdout.write("\nCtrl-D ends the conversation.\n")
            continue
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
        self._is_after_reasoning = False

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
        except (CerebrasError, ValueError) as error:
            sys.stderr.write(f"{describe_error(error)}\n")
            return 1
        self._messages = [*messages, message]
        return 0

    def _print_completion(self, messages: list[BaseMessage]) -> BaseMessage:
        """Print the completion while it arrives, and return its message."""
        start = time.monotonic()
        first = None
        message: AIMessageChunk | None = None
        output: Any = None
        self._is_after_reasoning = False
        for chunk in self._runnable.stream(messages):
            first = first or time.monotonic()
            if isinstance(chunk, AIMessageChunk):
                self._print_chunk(chunk)
                message = chunk if message is None else message + chunk
            else:
                output = chunk  # with a schema: an object that grows until it is complete
        text = "" if output is None else json.dumps(output, ensure_ascii=False)
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        if self._shows_details and message is not None and first is not None:
            self._print_speed(message, first - start, time.monotonic() - first)
        return AIMessage(text) if message is None else message

    def _print_chunk(self, chunk: AIMessageChunk) -> None:
        for block in chunk.content_blocks:
            if block["type"] == "text":
                if self._is_after_reasoning and block["text"]:
                    sys.stderr.write("\n")
                    sys.stderr.flush()
                    self._is_after_reasoning = False
                sys.stdout.write(block["text"])
                sys.stdout.flush()
            elif block["type"] == "reasoning" and self._shows_details:
                sys.stderr.write(f"{self._dim}{block.get('reasoning', '')}{self._reset}")
                sys.stderr.flush()
                self._is_after_reasoning = True

    def _print_speed(self, message: AIMessageChunk, wait: float, seconds: float) -> None:
        usage = message.usage_metadata
        tokens = usage["output_tokens"] if usage else 0
        speed = tokens / max(seconds, 1e-3)
        sys.stderr.write(
            f"{self._dim}{tokens} tokens, {speed:,.0f} tokens/s, first token after"
            f" {wait:.2f} s{self._reset}\n"
        )
