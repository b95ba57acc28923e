"""The command `chat`: one question, or a conversation."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference.cli import main
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply
from tests.integration.helpers import get_chat_requests

COMMAND = [sys.executable, "-m", "langchain_cerebras_inference"]
DIM = "\033[2m"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 30


@pytest.fixture(autouse=True)
def keyed_server(server: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Emulator:
    """An emulator whose URL and API key are in the environment."""
    monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    return server


def run_command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options.setdefault("stdin", subprocess.DEVNULL)
    if "input" in options:
        del options["stdin"]
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, **options
    )


def get_messages(server: Emulator) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = get_chat_requests(server)[-1].body["messages"]
    return messages


# --- chat: one question ------------------------------------------------------------------


def test_question_in_the_arguments_is_answered(
    server: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script(Reply(content="Blue.", reasoning="Light scatters."))

    status = main(["chat", "Why", "this sky?", "--system", "Be brief.", "--effort", "low"])

    assert status == 0
    assert capsys.readouterr() == ("Blue.\n", "")
    system, user = get_messages(server)
    assert (system["content"], user["content"]) == ("Be brief.", "Why this sky?")
    assert get_chat_requests(server)[-1].body["reasoning_effort"] == "low"


def test_question_from_standard_input_is_answered(server: Emulator) -> None:
    server.script(Reply(content="Blue."))

    process = run_command("chat", input="Why?\nBecause?\n")

    assert (process.returncode, process.stdout, process.stderr) == (0, "Blue.\n", "")
    assert get_messages(server)[-1]["content"] == "Why?\nBecause?"


@pytest.mark.parametrize(
    ("arguments", "data", "question"),
    [
        (["Sum", "up:"], b"one\n  two\n", "Sum up:\n\none\n  two"),
        (["Sum up:"], b"\n", "Sum up:"),
        ([], "\ufeffé".encode(), "é"),
        (["-"], b"Why?", "Why?"),
        (["3", "-", "2?"], b"", "3 - 2?"),
    ],
)
def test_standard_input_is_added_to_the_question(
    arguments: list[str],
    data: bytes,
    question: str,
    server: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    assert main(["chat", *arguments]) == 0
    assert get_messages(server)[-1]["content"] == question


def test_question_is_asked_without_standard_input(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    assert main(["chat", "Why?"]) == 0
    assert get_messages(server)[-1]["content"] == "Why?"


@pytest.mark.parametrize(
    ("arguments", "data", "message"),
    [
        ([], b" \n", "the question is empty"),
        ([""], b"", "the question is empty"),
        (["-"], b"", "the question is empty"),
        (["What?"], PNG, "standard input is not text in UTF-8"),
    ],
)
def test_invalid_question_is_not_sent(
    arguments: list[str],
    data: bytes,
    message: str,
    server: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    with pytest.raises(SystemExit) as caught:
        main(["chat", *arguments])

    assert caught.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert list(server.requests) == []


def test_answer_with_a_schema_is_printed_as_json(
    server: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = {"title": "A", "type": "object", "properties": {"x": {"type": "string"}}}
    Path("schema.json").write_text(json.dumps(schema))
    server.script(Reply(content='{"x": "\\u00e9"}'))

    assert main(["chat", "Go", "--schema", "schema.json"]) == 0
    assert capsys.readouterr().out == '{"x": "é"}\n'


def test_image_is_sent_with_the_question(server: Emulator) -> None:
    Path("a.png").write_bytes(PNG)
    server.script(Reply(content="A cat."))

    assert main(["chat", "What?", "--image", "a.png", "--model", "qwen-3.8-27b"]) == 0
    text, image = get_messages(server)[-1]["content"]
    assert text["text"] == "What?"
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image", "missing.png"], "missing.png"),
        (["--image", "text.txt"], "text.txt is neither a PNG nor a JPEG file"),
        (["--schema", "text.txt"], "text.txt is not valid JSON"),
        (["--schema", "string.json"], "string.json is not a JSON schema"),
        (["--effort", "extreme"], "invalid choice: 'extreme'"),
    ],
)
def test_invalid_option_is_an_error_in_one_line(arguments: list[str], message: str) -> None:
    Path("text.txt").write_text("text")
    Path("string.json").write_text('"text"')

    process = run_command("chat", "Why?", *arguments)

    assert process.returncode == 2
    usage, error = process.stderr.splitlines()
    assert usage.endswith("chat [OPTION …] [QUESTION …]")
    assert message in error


def test_error_is_one_line_and_the_exit_status_1(server: Emulator) -> None:
    server.script(Refuse(400, message="No.\nNever."))

    process = run_command("chat", "Why?")

    assert process.returncode == 1
    assert len(process.stderr.splitlines()) == 1
    assert "No. Never." in process.stderr


@pytest.mark.parametrize(
    ("arguments", "refusal", "message"),
    [
        (
            ["--image", "a.png"],
            Refuse(403, "multimodal_not_enabled"),
            "langchain-cerebras-inference models lists the models that accept images",
        ),
        (
            ["--model", "nope"],
            Refuse(404, "model_not_found"),
            "langchain-cerebras-inference models lists the models that this key can use",
        ),
        ([], Refuse(404, "not_found"), "Check CEREBRAS_API_BASE"),
    ],
)
def test_error_names_commands_and_variables_instead_of_python(
    arguments: list[str],
    refusal: Refuse,
    message: str,
    server: Emulator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("a.png").write_bytes(PNG)
    server.script(refusal)

    assert main(["chat", "Why?", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "list_models" not in error
    assert "base_url" not in error


# --- chat: a conversation in a terminal --------------------------------------------------


class Terminal:
    """A program that runs in a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self.output = ""

    def write(self, text: str) -> None:
        """Type a text."""
        os.write(self._descriptor, text.encode())

    def wait_for(self, text: str) -> str:
        """Wait for a text, and return everything up to it that was not returned before."""
        deadline = time.monotonic() + 30
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            self._read()
        before, self.output = self.output.split(text, 1)
        return before

    def interrupt_until(self, text: str) -> None:
        """Interrupt the program until it shows a text.

        A signal between the prompt and the wait for a key has no effect before the next key.
        """
        while text not in self.output:
            self.process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + 3
            while text not in self.output and time.monotonic() < deadline:
                if select.select([self._descriptor], [], [], 0.1)[0]:
                    self._read()
        self.wait_for(text)

    def _read(self) -> None:
        try:
            self.output += os.read(self._descriptor, 4096).decode("utf-8", "replace")
        except OSError:
            raise AssertionError(f"The program has ended: {self.output}") from None


@contextmanager
def start_in_terminal(*arguments: str, **environment: str) -> Iterator[Terminal]:
    main_descriptor, descriptor = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=descriptor,
        stdout=descriptor,
        stderr=descriptor,
        env={**os.environ, "TERM": "dumb", **environment},
        start_new_session=True,
    )
    os.close(descriptor)
    try:
        yield Terminal(process, main_descriptor)
    finally:
        process.kill()
        process.wait()
        os.close(main_descriptor)


def test_conversation_remembers_its_messages(server: Emulator) -> None:
    server.script(Reply(content="One.", reasoning="Hm."), Reply(content="Two."))

    with start_in_terminal("chat") as terminal:
        terminal.wait_for("> ")
        terminal.write("First?\n")
        shown = terminal.wait_for("tokens/s")
        terminal.wait_for("> ")
        terminal.write("Second?\n")
        terminal.wait_for("Two.")
        terminal.wait_for("> ")
        terminal.write("\x04")
        assert terminal.process.wait(20) == 0

    assert f"{DIM}Hm." in shown
    assert "\r\nOne." in shown  # the reasoning and the text are in different lines
    contents = [message["content"] for message in get_messages(server)]
    assert contents == ["First?", "One.", "Second?"]


def test_conversation_with_a_schema_remembers_its_messages(server: Emulator) -> None:
    schema = {"title": "A", "type": "object", "properties": {"x": {"type": "string"}}}
    Path("schema.json").write_text(json.dumps(schema))
    server.script(Reply(content='{"x": "one"}'), Reply(content='{"x": "two"}'))

    with start_in_terminal("chat", "--schema", "schema.json") as terminal:
        terminal.wait_for("> ")
        terminal.write("First?\n")
        terminal.wait_for('{"x": "one"}')
        terminal.wait_for("> ")
        terminal.write("Second?\n")
        terminal.wait_for('{"x": "two"}')

    contents = [message["content"] for message in get_messages(server)]
    assert contents == ["First?", '{"x": "one"}', "Second?"]


def test_no_color_turns_dimming_off(server: Emulator) -> None:
    server.script(Reply(content="One.", reasoning="Hm."))

    with start_in_terminal("chat", "Why?", NO_COLOR="1") as terminal:
        shown = terminal.wait_for("tokens/s")

    assert "Hm." in shown
    assert "\033" not in shown


def test_ctrl_c_stops_the_completion_and_not_the_conversation(server: Emulator) -> None:
    server.script(Reply(content="word " * 400, pace=0.05), Reply(content="Two."))

    with start_in_terminal("chat") as terminal:
        terminal.wait_for("> ")
        terminal.write("First?\n")
        terminal.wait_for("word word")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("Interrupted.")
        terminal.wait_for("> ")
        terminal.write("Second?\n")
        terminal.wait_for("Two.")

    contents = [message["content"] for message in get_messages(server)]
    assert contents == ["Second?"]


def test_ctrl_c_at_the_prompt_does_not_end_the_conversation(server: Emulator) -> None:
    server.script(Reply(content="One."), Reply(content="Two."))

    with start_in_terminal("chat") as terminal:
        terminal.wait_for("> ")
        terminal.write("First?\n")
        terminal.wait_for("One.")
        terminal.wait_for("> ")
        terminal.interrupt_until("Ctrl-D ends the conversation.")
        terminal.wait_for("> ")
        terminal.write("Second?\n")
        terminal.wait_for("Two.")
        terminal.wait_for("> ")
        terminal.write("\x04")
        assert terminal.process.wait(20) == 0

    assert len(get_messages(server)) == 3


def test_ctrl_c_ends_a_single_question_with_status_130(server: Emulator) -> None:
    server.script(Reply(content="word " * 400, pace=0.05))

    with start_in_terminal("chat", "Why?") as terminal:
        terminal.wait_for("word word")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("Interrupted.")
        assert terminal.process.wait(20) == 130
