"""Run a server of examples/ in a process of its own, as a user runs it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from langchain_cerebras_inference.emulator import Emulator

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def run_example_server(name: str, server: Emulator, *options: str) -> Iterator[str]:
    """Run an example that calls the emulator, and yield the URL of the example.

    It runs as a program or, if `options` are given, uvicorn runs its `app` with these options.
    The log must contain neither an error nor the API key.
    """
    settings = {
        "CEREBRAS_API_BASE": server.base_url,
        "CEREBRAS_API_KEY": server.api_key,
        "NO_PROXY": "127.0.0.1",
        "PORT": "0",
    }
    command = [str(EXAMPLES / name)]
    if options:
        app = f"{name.removesuffix('.py')}:app"
        command = ["-m", "uvicorn", "--app-dir", str(EXAMPLES), app, "--port", "0", *options]
    process = subprocess.Popen(
        [sys.executable, "-u", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | settings,
    )
    assert process.stderr
    log = ""
    try:
        while not (match := re.search(r"running on (http://[\d.:]+)", log)):
            line = process.stderr.readline()
            assert line, log
            log += line
        yield match[1]
    finally:
        process.terminate()
        log += process.communicate()[1]
    assert "Error" not in log
    assert server.api_key not in log
