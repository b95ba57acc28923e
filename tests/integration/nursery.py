"""Programs that share their beginning, as importing langchain-core takes a second and more.

One program imports what all of them need, and forks into each: that one has an environment,
an output and an end of its own, and every warning is an error there.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from langchain_cerebras_inference.emulator import Emulator
from tests.integration.scripts import COMMAND, environment_of

ROOT = Path(__file__).parents[2]

# What is executed runs in `__main__`, as that of any other program.
BEGINNING = """
import aiohttp, cloudpickle, gc, logging
from langchain_cerebras_inference import ChatCerebrasInference
from tests.integration.nursery import born

# How long a callback takes says more about the machine than about the code.
logging.getLogger("asyncio").addFilter(lambda each: "Executing" not in each.msg)
gc.freeze()  # else each looks at all that was imported once more as it ends
exec(born({line}))
"""


class Nursery:
    """What programs are forked from; one runs at a time."""

    def __init__(self) -> None:
        self._line, its = socket.socketpair()
        with its:
            command = [*COMMAND, BEGINNING.format(line=its.fileno())]
            self._process = subprocess.Popen(
                command, cwd=ROOT, pass_fds=[its.fileno()], start_new_session=True
            )

    def output_of(self, script: str, server: Emulator) -> str:
        """What `script` prints; it must end well, and say nothing else."""
        program = {
            "script": script,
            "environment": environment_of(server),
            "directory": str(Path.cwd()),
        }
        with self._run(json.dumps(program)) as (output, errors):
            said = output.read()
            status = int.from_bytes(self._line.recv(1), "big")
            errors.seek(0)
            complaints = errors.read()
        assert complaints == "", complaints
        assert status == 0
        return said

    @contextmanager
    def _run(self, program: str) -> Iterator[tuple[IO[str], IO[str]]]:
        """Start `program`; what it prints ends with the last process that it started."""
        reading, writing = os.pipe()
        with (
            os.fdopen(reading, encoding="utf-8") as output,
            tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
            tempfile.TemporaryFile("w+", encoding="utf-8") as file,
        ):
            file.write(program)
            file.seek(0)
            files = [file.fileno(), writing, errors.fileno()]
            socket.send_fds(self._line, [b"?"], files)
            os.close(writing)
            yield output, errors

    def close(self) -> None:
        """End all that was started, also what hangs."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._line.close()


def born(number: int) -> str:
    """Fork at each call on the line; return, in the child, what it is to do."""
    line = socket.socket(fileno=number)
    while files := socket.recv_fds(line, 1, 3)[1]:
        child = os.fork()
        if not child:
            line.close()
            return prepare(*files)
        for file in files:
            os.close(file)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        line.send(bytes([status % 256]))
    return ""


def prepare(program: int, output: int, errors: int) -> str:
    """Put this process in the place of a program that was just started."""
    os.dup2(output, 1)
    os.dup2(errors, 2)
    with open(program, encoding="utf-8") as file:
        content = json.load(file)
    os.close(output)
    os.close(errors)
    os.environ.clear()
    os.environ.update(content["environment"])
    os.chdir(content["directory"])
    return str(content["script"])
