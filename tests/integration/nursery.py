"""Programs that share their beginning, as importing langchain-core takes a second and more.

One program imports what all of them need, and forks into each: each has an environment,
an output and an end of its own, and every warning is an error there.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from langchain_cerebras_inference.emulator import Emulator
from tests.integration.scripts import COMMAND, PLAIN, environment_of

ROOT = Path(__file__).parents[2]

# What is executed runs in `__main__`, as that of any other program.
BEGINNING = "from tests.integration import nursery\nexec(nursery.born({line}))"


class Nursery:
    """What programs are forked from, one at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def output_of(self, script: str, server: Emulator) -> str:
        """What `script` prints; it must end well, and say nothing else."""
        program = {
            "script": script,
            "environment": environment_of(server),
            "directory": str(Path.cwd()),
        }
        if self._process is None:
            self._start()
        try:
            said, complaints, status = self._run(json.dumps(program))
        except BaseException:
            self.close()  # what hangs there would keep all others waiting
            raise
        assert complaints == "", complaints
        assert status == 0, said
        return said

    def close(self) -> None:
        """End all that was started."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
        self._line.close()

    def _start(self) -> None:
        self._line, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [*COMMAND, BEGINNING.format(line=its.fileno())],
                cwd=ROOT,
                env=os.environ | PLAIN,
                pass_fds=[its.fileno()],
                start_new_session=True,
            )

    def _run(self, program: str) -> tuple[str, str, int]:
        reading, writing = os.pipe()
        with (
            os.fdopen(reading, encoding="utf-8") as output,
            tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
            tempfile.TemporaryFile("w+", encoding="utf-8") as file,
        ):
            file.write(program)
            file.seek(0)
            with os.fdopen(writing, "wb"):
                files = [file.fileno(), writing, errors.fileno()]
                socket.send_fds(self._line, [b"?"], files)
                self._answer()  # until then a file that is closed here may be lost
            said = output.read()  # until the last process that holds it has ended
            status = self._answer()
            errors.seek(0)
            return said, errors.read(), status

    def _answer(self) -> int:
        """The next byte on the line; there is none if the nursery has died."""
        [answer] = self._line.recv(1)
        return answer


def born(number: int) -> str:
    """Fork at each call on the line; return, in the child, what it is to do."""
    import_all()
    line = socket.socket(fileno=number)
    while files := socket.recv_fds(line, 1, 3)[1]:
        line.send(b"\0")
        child = os.fork()
        if not child:
            line.close()
            return prepare(*files)
        for file in files:
            os.close(file)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        line.send(bytes([status % 256]))
    return ""


def import_all() -> None:
    """Do what each program would have to do again."""
    import gc
    import logging

    import aiohttp  # noqa: F401
    import cloudpickle  # noqa: F401

    from langchain_cerebras_inference import chat_models  # noqa: F401

    # How long a callback takes says more about the machine than about the code.
    logging.getLogger("asyncio").addFilter(lambda each: "Executing" not in each.msg)
    gc.freeze()  # else each looks at all that was imported once more as it ends


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
