"""Run Python programs in processes of their own, where every warning is an error.

A test passes a program as text. The program finds the emulator in its environment.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from langchain_cerebras_inference.emulator import Emulator
from tests.python_command import PYTHON

ROOT = Path(__file__).parents[2]
COMMAND = (*PYTHON, "-X", "dev", "-c")
ENVIRONMENT = {
    "PYTHONMALLOC": "pymalloc",  # the debug allocator of `-X dev` makes imports slow
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
}
EXIT_TIMEOUT = 30


def create_environment(server: Emulator) -> dict[str, str]:
    """The environment variables of a program that talks to `server`."""
    settings = {"CEREBRAS_API_BASE": server.base_url, "CEREBRAS_API_KEY": server.api_key}
    return os.environ | ENVIRONMENT | settings


@contextmanager
def start_program(program: str, server: Emulator) -> Iterator[subprocess.Popen[str]]:
    """Start a program in a new interpreter; kill it and its children at the end."""
    process = subprocess.Popen(
        [*COMMAND, program],
        env=create_environment(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def run_program(program: str, server: Emulator) -> str:
    """Run a program in a new interpreter; return its output.

    It must exit with status 0 and write nothing to its standard error.
    """
    with start_program(program, server) as process:
        output, errors = process.communicate(timeout=EXIT_TIMEOUT)
    assert errors == "", errors
    assert process.returncode == 0
    return output


class ForkServer:
    """A process that imports the package once and forks a child for each program.

    Importing langchain-core takes a second or more, so tests with many programs use this
    instead of `run_program`. Each child has an environment, an output and an exit status
    of its own. One program runs at a time.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run_program(self, program: str, server: Emulator) -> str:
        """Run a program in a forked child; return its output.

        It must exit with status 0 and write nothing to its standard error.
        """
        task = {
            "program": program,
            "environment": create_environment(server),
            "directory": str(Path.cwd()),
        }
        if self._process is None:
            self._start()
        try:
            output, errors, status = self._run(json.dumps(task))
        except BaseException:
            self.close()  # a child that hangs would block all later programs
            raise
        assert errors == "", errors
        assert status == 0, output
        return output

    def close(self) -> None:
        """Kill the server process and its children."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
        self._socket.close()

    def _start(self) -> None:
        self._socket, server_socket = socket.socketpair()
        descriptor = server_socket.fileno()
        server = (
            f"from tests.integration import programs\nprograms.serve_programs({descriptor})"
        )
        with server_socket:
            self._process = subprocess.Popen(
                [*COMMAND, server],
                cwd=ROOT,
                env=os.environ | ENVIRONMENT,
                pass_fds=[descriptor],
                start_new_session=True,
            )

    def _run(self, task: str) -> tuple[str, str, int]:
        read_end, write_end = os.pipe()
        with (
            os.fdopen(read_end, encoding="utf-8") as output_file,
            tempfile.TemporaryFile("w+", encoding="utf-8") as errors_file,
            tempfile.TemporaryFile("w+", encoding="utf-8") as task_file,
        ):
            task_file.write(task)
            task_file.seek(0)
            # Close our own write end, so that `output_file` ends when the child exits.
            with os.fdopen(write_end, "wb"):
                files = [task_file.fileno(), write_end, errors_file.fileno()]
                socket.send_fds(self._socket, [b"\0"], files)
                self._receive_byte()  # the server has received the files: they may be closed
            output = output_file.read()  # ends when the child and its children have exited
            status = self._receive_byte()
            errors_file.seek(0)
            return output, errors_file.read(), status

    def _receive_byte(self) -> int:
        """Receive one byte; raise `ValueError` if the server process has died."""
        [byte] = self._socket.recv(1)
        return byte


# --- inside the fork server's process -----------------------------------------------


def serve_programs(descriptor: int) -> None:
    """Fork a child for each program that arrives on a socket; run the program in the child.

    A child returns after its program, so that its interpreter exits in the usual way.
    """
    _import_modules()
    connection = socket.socket(fileno=descriptor)
    while files := socket.recv_fds(connection, 1, 3)[1]:
        connection.send(b"\0")
        child = os.fork()
        if child == 0:
            connection.close()
            _run_task(*files)
            return
        for file in files:
            os.close(file)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.send(bytes([status % 256]))


def _import_modules() -> None:
    """Import the modules that every program needs, once for all of them."""
    import gc
    import logging

    import aiohttp  # noqa: F401 # imported only for the children
    import cloudpickle  # noqa: F401 # imported only for the children

    from langchain_cerebras_inference import chat_models  # noqa: F401 # the same

    # On a busy machine asyncio's debug mode would log slow callbacks: not an error here.
    logging.getLogger("asyncio").addFilter(lambda record: "Executing" not in record.msg)
    gc.freeze()  # otherwise each child traverses all imported objects when it exits


def _run_task(task_file: int, output: int, errors: int) -> None:
    """Run the program of a task with the files, environment and directory of the task."""
    os.dup2(output, 1)
    os.dup2(errors, 2)
    with open(task_file, encoding="utf-8") as file:
        task = json.load(file)
    os.close(output)
    os.close(errors)
    os.environ.clear()
    os.environ.update(task["environment"])
    os.chdir(task["directory"])
    # In `__main__`, like every other program, so that its functions can be pickled.
    exec(task["program"], vars(sys.modules["__main__"]))  # noqa: S102 # our own program


def run_in_terminal(program: list[str], stream: Literal["stdout", "stderr"]) -> str:
    """Run a program with a terminal as one of its streams; return what it shows there."""
    reader, terminal = os.openpty()
    streams: dict[str, Any] = {stream: terminal}
    with subprocess.Popen(program, **streams) as process:
        os.close(terminal)
        output = b"".join(iter(lambda: _read_terminal(reader), b""))
    os.close(reader)
    assert process.returncode == 0
    return output.decode()


def _read_terminal(reader: int) -> bytes:
    try:
        return os.read(reader, 4096)
    except OSError:  # Linux reports the end of a terminal's output as an error
        return b""
