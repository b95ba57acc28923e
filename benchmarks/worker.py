"""One subject's process: it reads requests from stdin, one JSON a line, and answers them.

`{"task": "streaming.astream", "url": "http://…/burst", "size": 1}` is answered with
`{"value": 8.1}`, with `{"error": "…"}`, or with `{}` where the subject has no such thing.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import warnings
from typing import Any

from benchmarks.subjects import SUBJECTS

_NEEDS = {
    "paced": "astream",
    "paced_sync": "stream",
    "streams": "astream",
    "memory": "astream",
    "first_cold": "astream",
    "first_warm": "astream",
    "cold_import": "load",
    "construct": "make",
}
"""What a task asks of a subject, where that is not what it is called."""


def main() -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    warnings.simplefilter("ignore")
    subject: Any = None
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            request = json.loads(line)
            try:
                subject = subject or SUBJECTS[sys.argv[1]]()
                answer: dict[str, Any] = _measure(runner, subject, **request)
            except Exception as error:  # noqa: BLE001 # it is reported; the rest goes on
                answer = {"error": f"{type(error).__name__}: {error}"[:300]}
            print(json.dumps(answer), file=answers, flush=True)
        os._exit(0)  # nobody waits for clients to say goodbye


def _measure(
    runner: asyncio.Runner, subject: Any, task: str, url: str, size: int
) -> dict[str, float]:
    module, _, name = task.partition(".")
    if not hasattr(subject, _NEEDS.get(name, name)):
        return {}
    work = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    outcome = work(subject, url, size)
    return {"value": runner.run(outcome) if inspect.iscoroutine(outcome) else outcome}


if __name__ == "__main__":
    main()
