"""The emulator in a process of its own, for the load tests.

It prints its URL and API key as a line of JSON. For every line it reads, it prints a report of
the requests it has received, also as a line of JSON.
"""

import json
import sys
from collections import defaultdict
from typing import Any

from langchain_cerebras_inference.emulator import Act, Cut, Emulator, Refuse, Reply, Request

FAULT_INTERVAL = 20
"""Every 20th call of a batch gets a fault: 5 %."""

PERMANENT_FAULT_INTERVAL = FAULT_INTERVAL * 49
"""Every 980th call gets a fault at each attempt. 49 and the number of kinds (4) have no common
factor, so the permanent faults have all kinds in turn."""

FAULTS: dict[str, Act] = {
    "429": Refuse(429),
    "503": Refuse(503),
    "truncated": Cut(how="drop"),
    "reset": Cut(after=None, how="reset"),
}


def stream_text(number: int) -> str:
    """Return the text of a stream; no other stream has the same."""
    return " ".join(f"{number}.{word}" for word in range(200))


def get_fault(number: int) -> str | None:
    """Return the name of the fault that a call of a batch gets first, if any."""
    names = list(FAULTS)
    if number % FAULT_INTERVAL:
        return None
    return names[number // FAULT_INTERVAL % len(names)]


def has_permanent_fault(number: int) -> bool:
    return number % PERMANENT_FAULT_INTERVAL == 0


class RequestRecorder:
    """Chooses the response to each request, and records it under the request's prompt."""

    def __init__(self, server: Emulator) -> None:
        self._server = server
        self._responses: defaultdict[str, list[tuple[str, Request]]] = defaultdict(list)
        self._max_open = 0

    def choose_response(self, request: Request) -> Act:
        self._max_open = max(self._max_open, self._server.open_connections)
        prompt: str = request.body["messages"][-1]["content"]
        kind, number = prompt.split()
        responses = self._responses[prompt]
        fault = get_fault(int(number)) if kind == "batch" else None
        if fault and (has_permanent_fault(int(number)) or not responses):
            responses.append((fault, request))
            return FAULTS[fault]
        responses.append(("completion", request))
        if kind == "stream":
            return Reply(content=stream_text(int(number)), delay=1, pace=0.05)
        return Reply(content=f"The answer to {prompt}.")

    def report(self) -> dict[str, Any]:
        """Return what was sent for each prompt, and the most connections open at once."""
        responses = {
            prompt: [name for name, request in sent if request.answered.is_set()]
            for prompt, sent in self._responses.items()
        }
        return {"responses": responses, "max_open": self._max_open}


def main() -> None:
    with Emulator() as server:
        recorder = RequestRecorder(server)
        server.always(recorder.choose_response)
        print_json({"base_url": server.base_url, "api_key": server.api_key})
        for _ in sys.stdin:
            print_json(recorder.report())


def print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
