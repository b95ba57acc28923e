"""An agent that thinks aloud: reasoning, tool calls, their results, the answer.

CEREBRAS_API_KEY=... python examples/agent.py "What do a helmet and a lock cost?"
"""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any, Literal

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

from langchain_cerebras_inference import ChatCerebrasInference


@tool
def get_price(item: Literal["bicycle", "helmet", "lock"]) -> str:
    """Look up the price of an item in the shop."""
    prices = {"bicycle": 640.0, "helmet": 55.0, "lock": 38.5}
    return f"{prices[item]:.2f} euros"


@tool
def percent_of(percentage: float, amount: float) -> float:
    """Compute a percentage of an amount."""
    return round(amount * percentage / 100, 2)


def parts(message: Any) -> Iterator[tuple[str, str]]:
    """Say what has just arrived: its kind, if it begins something, and its text."""
    if isinstance(message, ToolMessage):
        yield "result", message.text
        return
    if thought := message.additional_kwargs.get("reasoning_content"):
        yield "thinks", thought
    for call in message.tool_call_chunks:
        yield f"calls {call['name']}" if call["name"] else "", call["args"] or ""
    if message.text:
        yield "answers", message.text


async def main() -> None:
    """Ask the agent the question of the command line."""
    words = " ".join(sys.argv[1:]) or "How much is 17% of the price of a bicycle?"
    agent = create_agent(ChatCerebrasInference(), [get_price, percent_of])
    steps = agent.astream({"messages": [HumanMessage(words)]}, stream_mode="messages")
    last = ""
    async for message, _ in steps:
        for kind, text in parts(message):
            is_new = kind not in ("", last) or kind.startswith("calls")
            print(f"\n[{kind}] {text}" if is_new else text, end="", flush=True)
            last = kind or last
    print()


if __name__ == "__main__":
    asyncio.run(main())
