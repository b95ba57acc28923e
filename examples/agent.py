"""An agent that streams its reasoning, its tool calls, their results and its text.

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


def label_parts(message: Any) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each part of a streamed message.

    The label is empty if the text continues the tool call before it.
    """
    if isinstance(message, ToolMessage):
        yield "tool result", message.text
        return
    if reasoning := message.additional_kwargs.get("reasoning_content"):
        yield "reasoning", reasoning
    for tool_call in message.tool_call_chunks:
        name = tool_call["name"]
        yield f"tool call {name}" if name else "", tool_call["args"] or ""
    if message.text:
        yield "text", message.text


async def main() -> None:
    """Run the agent with the question on the command line."""
    question = " ".join(sys.argv[1:]) or "How much is 17% of the price of a bicycle?"
    agent = create_agent(ChatCerebrasInference(), [get_price, percent_of])
    stream = agent.astream({"messages": [HumanMessage(question)]}, stream_mode="messages")
    last_label = ""
    async for message, _ in stream:
        for label, text in label_parts(message):
            is_new = label not in ("", last_label) or label.startswith("tool call")
            print(f"\n[{label}] {text}" if is_new else text, end="", flush=True)
            last_label = label or last_label
    print()


if __name__ == "__main__":
    asyncio.run(main())
