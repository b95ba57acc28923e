"""The process of one client. It measures rows on request.

It reads one JSON request per line from stdin, `{"row": "text", "url": "http://…/burst",
"size": 1}`, and writes one JSON response per line to stdout, `{"figure": 8.1}` or
`{"error": "…"}`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import warnings
from typing import Any

from benchmarks.clients import CLIENTS
from benchmarks.rows import ROWS


def main() -> None:
    """Measure until stdin ends."""
    responses = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of libraries goes to stderr, not between the responses
    warnings.simplefilter("ignore")
    client: Any = None
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            try:
                client = client or CLIENTS[sys.argv[1]]()
                response: dict[str, Any] = {
                    "figure": _measure(runner, client, **json.loads(line))
                }
            except Exception as error:  # noqa: BLE001 # it is reported, and other rows continue
                response = {"error": f"{type(error).__name__}: {error}"[:300]}
            print(json.dumps(response), file=responses, flush=True)
        os._exit(0)  # do not wait until open streams have been closed


def _measure(runner: asyncio.Runner, client: Any, row: str, url: str, size: int) -> float:
    result = ROWS[row].measure(client, url, size)
    return runner.run(result) if inspect.iscoroutine(result) else result  # type: ignore[return-value] # a float here, which mypy cannot know


if __name__ == "__main__":
    main()
