"""A demonstration of the package in five parts; `make demo` runs it.

With `CEREBRAS_API_KEY` set it uses Cerebras, otherwise the emulator.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from io import TextIOWrapper
from typing import Any, Literal, NamedTuple, cast

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_cerebras_inference import CerebrasError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator

EMULATOR_TOKENS_PER_SECOND = 60
EMULATOR_NOTE = (
    "CEREBRAS_API_KEY is not set, so this demo uses the local emulator. The emulator is not a"
    " language model: it generates each completion from the request alone. Here it sends only"
    f" {EMULATOR_TOKENS_PER_SECOND} tokens per second, so that you can watch the streams."
)
COLORS = {
    "title": "1;36",
    "introduction": "2",
    "prompt": "1",
    "reasoning": "2",
    "tool call": "33",
    "tool result": "32",
    "statistics": "32",
}
"""The ANSI color code of each style."""


class Page:
    """Writes to standard output, indented and wrapped, with colors if it is a terminal."""

    def __init__(self) -> None:
        is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._colors = COLORS if sys.stdout.isatty() and not is_plain else {}
        self._width = max(40, min(shutil.get_terminal_size().columns, 96) - 6)
        self._column = 0
        self._style = ""

    def write_line(self, text: str, style: str = "") -> None:
        """Write a line."""
        self.write(text, style)
        self.end_line()

    def write(self, text: str, style: str = "") -> None:
        """Continue the line, or start a new one if the style changes."""
        if not text:
            return
        if self._column and style != self._style:
            self.end_line()
        self._style = style
        self._wrap(text)

    def end_line(self) -> None:
        """End the line."""
        print()
        self._column = 0

    def _wrap(self, text: str) -> None:
        """Write text, and break the line where it would become too long.

        A streamed token can be a part of a word, so a line breaks only at a space.
        """
        for word in re.findall(r"\n| *[^ \n]+| +", text):
            is_too_long = word[0] == " " and self._column + len(word) > self._width
            if word == "\n" or is_too_long:
                self.end_line()
            # no line break, and no space at the start of a line
            self._print(word.strip("\n") if self._column else word.lstrip())

    def _print(self, text: str) -> None:
        indent = "   " if text and not self._column and self._style != "title" else ""
        color = self._colors.get(self._style)
        colored = f"\033[{color}m{text}\033[0m" if color and text else text
        print(indent + colored, end="", flush=True)
        self._column += len(indent + text)

    def write_stream(self, messages: Iterable[Any]) -> int:
        """Write messages as they arrive; return the number of output tokens."""
        tokens = 0
        for message in messages:
            if isinstance(message, ToolMessage):
                self.write(f"tool result: {message.text}", "tool result")
                continue
            self._write_reasoning(message.additional_kwargs.get("reasoning_content", ""))
            for tool_call in message.tool_call_chunks:
                name = tool_call["name"]
                self.write(f"tool call: {name} " if name else "", "tool call")
                self.write(tool_call["args"] or "", "tool call")
            self.write(message.text)
            tokens += (message.usage_metadata or {}).get("output_tokens", 0)
        self.end_line()
        return tokens

    def _write_reasoning(self, text: str) -> None:
        """Write reasoning. Without colors, it begins with a label."""
        needs_label = text and self._style != "reasoning" and not self._colors
        self.write(f"reasoning: {text}" if needs_label else text, "reasoning")


class Ticket(BaseModel):
    """A bug report."""

    title: str
    reporter: str
    priority: Literal["low", "normal", "urgent"]
    users_affected: int


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny, 22 °C in {city}."


def show_streaming(page: Page, model: ChatCerebrasInference) -> None:
    """Show a stream with reasoning and text."""
    question = "Why is the sky blue? Answer in two sentences"
    page.write_line(f"> {question}", "prompt")
    model.warm_up()
    start = time.perf_counter()
    tokens = page.write_stream(model.stream(question))
    seconds = time.perf_counter() - start
    rate = f"{tokens / seconds:.0f} tokens per second"
    page.write_line(f"{tokens} tokens with reasoning, in {seconds:.2f} s: {rate}", "statistics")


def show_chain(page: Page, model: ChatCerebrasInference) -> None:
    """Show a chain of a prompt, the model and a parser."""
    prompt = ChatPromptTemplate.from_template("Translate into {language}: {text}")
    chain = prompt | model | StrOutputParser()
    page.write_line("> language: French, text: Good morning!", "prompt")
    for text in chain.stream({"language": "French", "text": "Good morning!"}):
        page.write(text)
    page.end_line()


def show_agent(page: Page, model: ChatCerebrasInference) -> None:
    """Show an agent that calls a tool."""
    question = HumanMessage("What is the weather in Paris?")
    page.write_line(f"> {question.text}", "prompt")
    agent = create_agent(model, [get_weather])
    stream = agent.stream({"messages": [question]}, stream_mode="messages")
    page.write_stream(message for message, _ in stream)


def show_structured_output(page: Page, model: ChatCerebrasInference) -> None:
    """Show a pydantic object that the model fills in."""
    report = 'Urgent: "The login page stays blank", says "Ada"; 3 users are affected.'
    page.write_line(f"> {report}", "prompt")
    ticket = model.with_structured_output(Ticket).invoke(report)
    for name, value in Ticket.model_validate(ticket):
        page.write_line(f"{name:15} {value!r}")


def show_cookies(page: Page, _: ChatCerebrasInference) -> None:
    """Show a model that authenticates with cookies."""
    cookies = os.environ.get("CEREBRAS_COOKIES", "").strip()
    if not cookies:
        page.write_line("CEREBRAS_COOKIES is not set, so there is no browser session to use.")
        return
    model = ChatCerebrasInference(cookies=cookies, reasoning_effort="low")
    credential = model.credential()
    page.write_line(f"{credential.kind} {credential.hint} for {credential.host}", "statistics")
    page.write_line("> Who are you?", "prompt")
    page.write_stream(model.stream("Who are you?"))


class Part(NamedTuple):
    """A part of the demonstration."""

    title: str
    introduction: str
    show: Callable[[Page, ChatCerebrasInference], None]


PARTS = [
    Part(
        "Streaming",
        "Reasoning is streamed first and separately, and then the text.",
        show_streaming,
    ),
    Part(
        "An LCEL chain",
        "A prompt, the model and a parser are combined into one runnable, which can stream.",
        show_chain,
    ),
    Part(
        "An agent that calls a tool",
        "The model calls a tool, receives the result and writes the final text.",
        show_agent,
    ),
    Part(
        "Structured output",
        "The model reads a text and returns a validated pydantic object.",
        show_structured_output,
    ),
    Part(
        "Authentication with cookies",
        "The cookies of a browser session are exchanged once for a demo key.",
        show_cookies,
    ),
]


def use_emulator(server: Emulator) -> None:
    """Set the environment variables for the emulator, and bypass any proxy."""
    os.environ["CEREBRAS_API_BASE"] = server.base_url
    os.environ["CEREBRAS_API_KEY"] = server.api_key
    os.environ["CEREBRAS_SESSION_URL"] = server.session_url
    pairs = (f"{name}={value}" for name, value in server.cookies.items())
    os.environ["CEREBRAS_COOKIES"] = "; ".join(pairs)
    os.environ["no_proxy"] = "127.0.0.1"
    os.environ.pop("CEREBRAS_PROXY", None)


def main() -> int:
    """Show all parts; return the exit status."""
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="replace")
    page = Page()
    page.write_line("langchain-cerebras-inference\n", "title")
    with ExitStack() as stack:
        has_key = bool(os.environ.get("CEREBRAS_API_KEY", "").strip())
        if not has_key:
            emulator = Emulator(tokens_per_second=EMULATOR_TOKENS_PER_SECOND)
            use_emulator(stack.enter_context(emulator))
        try:
            model = ChatCerebrasInference(reasoning_effort="low")
            url = model.cerebras_api_base
            page.write_line(f"This demo uses {url}." if has_key else EMULATOR_NOTE)
            for number, part in enumerate(PARTS, 1):
                page.write_line(f"\n{number}. {part.title}", "title")
                page.write_line(f"{part.introduction}\n", "introduction")
                part.show(page, model)
        except CerebrasError as error:
            page.write_line(f"\n{type(error).__name__}: {error}")
            return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print()
        sys.exit(130)
    except BrokenPipeError:  # the reader was closed, as in `make demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
