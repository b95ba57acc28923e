"""The command line: its help, `models`, `whoami`, `emulator`, and what commands share."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_cerebras_inference._version import get_version
from langchain_cerebras_inference.cli import main
from langchain_cerebras_inference.emulator import Emulator
from tests.integration.helpers import get_chat_requests

COMMAND = [sys.executable, "-m", "langchain_cerebras_inference"]


@pytest.fixture(autouse=True)
def keyed_server(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An emulator whose URL and API key are in the environment."""
    monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    return server


# --- the help, and the command `emulator` ---------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--help"], 0, "batch     run the prompts of a file"),
        (["batch", "--help"], 0, "--quota-store"),
        (["--version"], 0, f"{get_version()}\n"),
        (["chart"], 2, "invalid choice: 'chart'"),
    ],
)
def test_help_and_unknown_commands(
    arguments: list[str], status: int, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == status
    assert text in "".join(capfd.readouterr())


def test_no_command_prints_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "batch     run the prompts of a file" in capfd.readouterr().err


def test_emulator_command_runs_the_emulator() -> None:
    command = [*COMMAND, "emulator", "--api-key", "csk-1", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)

    assert lines[3] == "export CEREBRAS_API_KEY=csk-1\n"
    assert process.returncode == 0


# --- models, whoami ----------------------------------------------------------------------


def test_models_are_listed_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0

    headings, *rows = capsys.readouterr().out.splitlines()
    assert headings.split()[:2] == ["model", "context"]
    assert any(row.startswith("gpt-oss-120b ") and "tools" in row for row in rows)
    assert len({row.index(row.split()[1]) for row in rows}) == 1


def test_whoami_shows_the_credential_without_the_secret(
    server: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["whoami"]) == 0

    output = capsys.readouterr().out
    assert output.startswith("API key csk-…")
    assert "from: environment" in output
    assert server.api_key not in output
    assert get_chat_requests(server) == []


def test_whoami_shows_the_quota(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whoami", "--quota"]) == 0

    assert "requests-minute: " in capsys.readouterr().out


# --- what commands share ------------------------------------------------------------------


@pytest.mark.parametrize("command", ["models", "whoami", "chat"])
def test_command_without_a_credential_says_how_to_set_one(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CEREBRAS_API_KEY")

    assert main([command, "Why?"] if command == "chat" else [command]) == 1
    error = capsys.readouterr().err
    assert "Set CEREBRAS_API_KEY (get a key at https://cloud.cerebras.ai)" in error
    assert "or set CEREBRAS_COOKIES. To try the command without a key, add --emulator." in error
    assert "api_key" not in error


@pytest.mark.parametrize("command", ["models", "whoami", "chat"])
def test_emulator_option_needs_no_credential(
    command: str, monkeypatch: pytest.MonkeyPatch, server: Emulator
) -> None:
    monkeypatch.delenv("CEREBRAS_API_KEY")
    monkeypatch.delenv("CEREBRAS_API_BASE")

    arguments = [command, "--emulator", *(["Why?"] if command == "chat" else [])]
    assert main(arguments) == 0
    assert list(server.requests) == []


def test_unreachable_server_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CEREBRAS_API_BASE", "http://127.0.0.1:9/v1")

    assert main(["models"]) == 1
    assert "Check CEREBRAS_API_BASE and the network." in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["chat 'Write 500 words'", "models"])
def test_closed_pipe_ends_without_a_traceback(arguments: str) -> None:
    command = " ".join(COMMAND)
    process = subprocess.run(
        ["/bin/sh", "-c", f"{command} {arguments} | head -c 5"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert len(process.stdout) == 5
    assert process.stderr == ""
