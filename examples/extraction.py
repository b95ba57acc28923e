"""Structured extraction of many texts: one object for each line of the standard input.

The calls run at the same time, and wait while the quota is exhausted. Results are printed in
the order in which they arrive.

CEREBRAS_API_KEY=... python examples/extraction.py < letters.txt > tickets.jsonl
"""

import json
import sys
from typing import Literal

from pydantic import BaseModel, Field

from langchain_cerebras_inference import ChatCerebrasInference


class Ticket(BaseModel):
    """What a customer wants."""

    topic: Literal["order", "payment", "complaint", "other"]
    is_urgent: bool
    summary: str = Field(description="one sentence")


def main() -> int:
    """Print a line of JSON for each text; return 1 if one could not be extracted."""
    lines = {number: line.strip() for number, line in enumerate(sys.stdin, 1) if line.strip()}
    numbers, texts = list(lines), list(lines.values())
    model = ChatCerebrasInference(reasoning_effort="low", max_tokens=1000, pace=True)
    extractor = model.with_structured_output(Ticket)
    failures = 0
    for index, result in extractor.batch_as_completed(
        texts, {"max_concurrency": 50}, return_exceptions=True
    ):
        if isinstance(result, Exception):
            failures += 1
            print(f"line {numbers[index]}: {result}", file=sys.stderr)
        else:
            ticket = Ticket.model_validate(result)
            print(json.dumps({"line": numbers[index]} | ticket.model_dump()), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
