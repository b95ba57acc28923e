"""The emulator as a process of its own, which tells what it was asked and did.

It prints where it listens, then its record for every line it reads, each as JSON.
"""

import json
import sys
from collections import defaultdict
from typing import Any

from langchain_cerebras_inference.emulator import Act, Cut, Emulator, Refuse, Reply, Request

EVERY = 20
"""One batched call in so many is met with a fault: 5 %."""

HOPELESS_EVERY = EVERY * 49
"""One in so many with nothing but faults, of each kind in turn: 49 is odd."""

FAULTS: dict[str, Act] = {
    "429": Refuse(429),
    "503": Refuse(503),
    "cut": Cut(how="drop"),
    "reset": Cut(after=None, how="reset"),
}


def words(number: int) -> str:
    """What stream `number` says; no other says it."""
    return " ".join(f"{number}.{word}" for word in range(200))


def fault_for(number: int) -> str | None:
    """The fault that awaits call `number` of a batch."""
    kinds = list(FAULTS)
    return None if number % EVERY else kinds[number // EVERY % len(kinds)]


def is_hopeless(number: int) -> bool:
    return number % HOPELESS_EVERY == 0


class Record:
    """What each question was answered with, time after time."""

    def __init__(self, server: Emulator) -> None:
        self._server = server
        self._given: defaultdict[str, list[tuple[str, Request]]] = defaultdict(list)
        self._most_open = 0

    def choose(self, request: Request) -> Act:
        self._most_open = max(self._most_open, self._server.open_connections)
        question: str = request.body["messages"][-1]["content"]
        kind, number = question.split()
        before = self._given[question]
        fault = fault_for(int(number)) if kind == "batch" else None
        if fault and (is_hopeless(int(number)) or not before):
            before.append((fault, request))
            return FAULTS[fault]
        before.append(("answer", request))
        if kind == "stream":
            return Reply(content=words(int(number)), delay=1, pace=0.05)
        return Reply(content=f"The answer to {question}.")

    def report(self) -> dict[str, Any]:
        given = {
            question: [what for what, request in acts if request.answered.is_set()]
            for question, acts in self._given.items()
        }
        return {"given": given, "most_open": self._most_open}


def main() -> None:
    with Emulator() as server:
        record = Record(server)
        server.script(*[record.choose] * 20_000)
        _say({"base_url": server.base_url, "api_key": server.api_key})
        for _ in sys.stdin:
            _say({**record.report(), "open": server.open_connections})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
