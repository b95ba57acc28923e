"""What the package does, in five parts; `make demo` runs it.

With `CEREBRAS_API_KEY` set it talks to Cerebras, else to the emulator.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from io import TextIOWrapper
from typing import Any, Literal, cast

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_cerebras_inference import CerebrasError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator

PACE = 60
EMULATED = (
    "CEREBRAS_API_KEY is not set, so the answers come from the local emulator, not from"
    " a model: it makes them from the requests alone, here at"
    f" {PACE} tokens per second so that you can watch."
)
COLOURS = {"title": "1;36", "dim": "2", "ask": "1", "call": "33", "result": "32"}


class Page:
    """Standard output: indented, wrapped, in colour where the terminal has it."""

    def __init__(self) -> None:
        is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._colours = COLOURS if sys.stdout.isatty() and not is_plain else {}
        self._width = max(40, min(shutil.get_terminal_size().columns, 96) - 6)
        self._column = 0
        self._style = ""

    def line(self, text: str, style: str = "") -> None:
        """Write a line of its own."""
        self.write(text, style)
        self.end()

    def write(self, text: str, style: str = "") -> None:
        """Go on in the same style, or begin a line in another."""
        if text and self._column and style != self._style:
            self.end()
        self._style = style if text else self._style
        for piece in re.findall(r"\n| *[^ \n]+| +", text):
            # What comes is tokens: the width leaves room for the rest of a word.
            is_over = piece[0] == " " and self._column + len(piece) > self._width
            if piece == "\n" or is_over:
                self.end()
            self._put(piece.strip("\n") if self._column else piece.lstrip())

    def end(self) -> None:
        """End the line."""
        print()
        self._column = 0

    def _put(self, piece: str) -> None:
        indent = "   " if piece and not self._column and self._style != "title" else ""
        code = self._colours.get(self._style)
        shown = f"\033[{code}m{piece}\033[0m" if code and piece else piece
        print(indent + shown, end="", flush=True)
        self._column += len(indent + piece)

    def show(self, messages: Iterable[Any]) -> int:
        """Write messages as they arrive; return how many tokens the model wrote."""
        count = 0
        for message in messages:
            if isinstance(message, ToolMessage):
                self.write(f"result: {message.text}", "result")
                continue
            thought = message.additional_kwargs.get("reasoning_content", "")
            is_first = self._style != "dim" and not self._colours
            self.write(f"thinks: {thought}" if thought and is_first else thought, "dim")
            for call in message.tool_call_chunks:
                self.write(f"call: {call['name']} " if call["name"] else "", "call")
                self.write(call["args"] or "", "call")
            self.write(message.text)
            count += (message.usage_metadata or {}).get("output_tokens", 0)
        self.end()
        return count


class Ticket(BaseModel):
    """A report of a fault."""

    title: str
    reporter: str
    priority: Literal["low", "normal", "urgent"]
    users_affected: int


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny, 22 °C in {city}."


def stream(page: Page, model: ChatCerebrasInference) -> None:
    """The reasoning comes first, set apart; then the text."""
    question = "Why is the sky blue? Answer in two sentences"
    page.line(f"> {question}", "ask")
    model.warm_up()
    began = time.perf_counter()
    count = page.show(model.stream(question))
    seconds = time.perf_counter() - began
    rate = f"{count / seconds:.0f} tokens per second"
    page.line(f"{count} tokens, reasoning included, in {seconds:.2f} s: {rate}", "result")


def pipe(page: Page, model: ChatCerebrasInference) -> None:
    """A prompt, the model and a parser are one runnable, and it streams."""
    prompt = ChatPromptTemplate.from_template("Translate into {language}: {text}")
    chain = prompt | model | StrOutputParser()
    page.line("> language: French, text: Good morning!", "ask")
    for text in chain.stream({"language": "French", "text": "Good morning!"}):
        page.write(text)
    page.end()


def act(page: Page, model: ChatCerebrasInference) -> None:
    """The model calls a tool, reads its result and answers."""
    question = HumanMessage("What is the weather in Paris?")
    page.line(f"> {question.text}", "ask")
    agent = create_agent(model, [get_weather])
    steps = agent.stream({"messages": [question]}, stream_mode="messages")
    page.show(message for message, _ in steps)


def parse(page: Page, model: ChatCerebrasInference) -> None:
    """Text goes in; a pydantic object comes out, checked."""
    report = 'Urgent: "The login page stays blank", says "Ada"; 3 users are affected.'
    page.line(f"> {report}", "ask")
    ticket = model.with_structured_output(Ticket).invoke(report)
    for name, value in Ticket.model_validate(ticket):
        page.line(f"{name:15} {value!r}")


def sign_in(page: Page, _: ChatCerebrasInference) -> None:
    """A browser's session becomes a key, once; the rest stays as it is."""
    cookies = os.environ.get("CEREBRAS_COOKIES", "").strip()
    if not cookies:
        page.line("CEREBRAS_COOKIES is not set, so there is no session to try.")
        return
    model = ChatCerebrasInference(cookies=cookies, reasoning_effort="low")
    credential = model.credential()
    page.line(f"{credential.kind} {credential.hint} for {credential.host}", "result")
    page.line("> Who are you?", "ask")
    page.show(model.stream("Who are you?"))


PARTS = {
    "An answer streams": stream,
    "An LCEL chain": pipe,
    "An agent calls a tool": act,
    "A structured answer": parse,
    "Signed in with cookies": sign_in,
}


def emulate(server: Emulator) -> None:
    """Point the environment to the emulator, past any proxy."""
    os.environ["CEREBRAS_API_BASE"] = server.base_url
    os.environ["CEREBRAS_API_KEY"] = server.api_key
    os.environ["CEREBRAS_SESSION_URL"] = server.session_url
    pairs = (f"{name}={value}" for name, value in server.cookies.items())
    os.environ["CEREBRAS_COOKIES"] = "; ".join(pairs)
    os.environ["no_proxy"] = "127.0.0.1"
    os.environ.pop("CEREBRAS_PROXY", None)


def main() -> int:
    """Show the parts; return the exit status."""
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="replace")
    page = Page()
    page.line("langchain-cerebras-inference\n", "title")
    with ExitStack() as stack:
        is_real = bool(os.environ.get("CEREBRAS_API_KEY", "").strip())
        if not is_real:
            emulate(stack.enter_context(Emulator(tokens_per_second=PACE)))
        try:
            model = ChatCerebrasInference(reasoning_effort="low")
            url = model.cerebras_api_base
            page.line(f"The answers come from {url}." if is_real else EMULATED)
            for number, (title, part) in enumerate(PARTS.items(), 1):
                page.line(f"\n{number}. {title}", "title")
                page.line(f"{part.__doc__}\n", "dim")
                part(page, model)
        except CerebrasError as error:
            page.line(f"\n{type(error).__name__}: {error}")
            return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print()
        sys.exit(130)
    except BrokenPipeError:  # as of `make demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
