"""The processes a run is made of: the server, and one for each subject."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

_PATIENCE = 120.0
"""Seconds for one figure."""

_SETTINGS = re.compile(
    r"(CEREBRAS|OPENAI|GROQ|LANGCHAIN|LANGSMITH|LC)_.*|.*_PROXY|PYTHON.*", re.IGNORECASE
)


class Broken(Exception):  # noqa: N818 # what became of a subject
    """A subject's process has died, or hangs."""


async def _start(*arguments: str, log: Any = None) -> asyncio.subprocess.Process:
    """Start a module of ours; what the developer has set does not reach it."""
    kept = {name: value for name, value in os.environ.items() if not _SETTINGS.fullmatch(name)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=ROOT,
        env=kept,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
    )


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """The server, while it is wanted; its URL."""
    process = await _start("benchmarks.server")
    try:
        port = int(await process.stdout.readline())  # type: ignore[union-attr] # a pipe
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()  # type: ignore[union-attr] # a pipe
        await process.wait()


class Worker:
    """A subject's process."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._process: asyncio.subprocess.Process | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 # closed with the worker

    async def measure(self, task: str, url: str, size: int) -> float | None:
        """One figure; `None` where the subject has no such thing.

        Raises:
            Broken: If there will be none.
        """
        if self._process is None:
            self._process = await _start("benchmarks.worker", self._subject, log=self._log)
        request = {"task": task, "url": url, "size": size}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")  # type: ignore[union-attr]
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _PATIENCE)  # type: ignore[union-attr]
        except TimeoutError:
            raise Broken(f"no figure within {_PATIENCE:g} s") from None
        if not line:
            raise Broken(f"its process died: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Broken(answer["error"])
        value = answer.get("value")
        return None if value is None else float(value)

    async def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
        self._process = None
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "without a word")
