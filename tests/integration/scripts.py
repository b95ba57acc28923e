"""Programs that run in a process of their own, where every warning is an error."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_cerebras_inference.emulator import Emulator

COMMAND = (sys.executable, "-X", "dev", "-W", "error", "-c")
PATIENCE = 30
PLAIN = {
    "PYTHONMALLOC": "pymalloc",  # the one for debugging makes imports slow
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
}


def environment_of(server: Emulator) -> dict[str, str]:
    """The environment of a program that talks to `server`."""
    signed_in = {"CEREBRAS_API_BASE": server.base_url, "CEREBRAS_API_KEY": server.api_key}
    return os.environ | PLAIN | signed_in


@contextmanager
def started(script: str, server: Emulator) -> Iterator[subprocess.Popen[str]]:
    """Start `script`, which finds `server` in its environment; end what it started."""
    process = subprocess.Popen(
        [*COMMAND, script],
        env=environment_of(server),
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


def output_of(script: str, server: Emulator) -> str:
    """What `script` prints; it must end well, and say nothing else."""
    with started(script, server) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    assert errors == "", errors
    assert process.returncode == 0
    return output
