"""A program to test: it answers customers, and it asks a tool about their orders.

CEREBRAS_API_KEY=... python examples/testing/tickets.py "Where is my order 17?"
"""

import sys
from collections.abc import Iterator
from typing import Literal

from langchain.agents import create_agent
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_cerebras_inference import CerebrasRateLimitError, ChatCerebrasInference


class Ticket(BaseModel):
    """What a customer wants."""

    topic: Literal["order", "payment", "other"]
    order: int | None


@tool
def find_order(number: int) -> str:
    """Tell where an order is."""
    return f"Order {number} is on its way."


def classify(text: str) -> Ticket:
    """Classify the letter of a customer. While the service is too busy, the topic is other."""
    model = ChatCerebrasInference(max_retries=0).with_structured_output(Ticket)
    try:
        return Ticket.model_validate(model.invoke(text))
    except CerebrasRateLimitError:
        return Ticket(topic="other", order=None)


def answer(text: str) -> str:
    """Answer the letter of a customer."""
    agent = create_agent(ChatCerebrasInference(), [find_order])
    result = agent.invoke({"messages": [{"role": "user", "content": text}]})
    return str(result["messages"][-1].text)


def stream_summary(text: str) -> Iterator[str]:
    """Yield the parts of a summary of a letter."""
    for chunk in ChatCerebrasInference().stream(f"Summarize in one sentence: {text}"):
        yield chunk.text


if __name__ == "__main__":
    print(answer(" ".join(sys.argv[1:]) or "Where is my order 17?"))
