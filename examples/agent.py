"""An agent with tools and middleware that streams its reasoning, tool calls and text.

CEREBRAS_API_KEY=... python examples/agent.py "What do a helmet and a lock cost?"
"""

import asyncio
import sys
from typing import Any, Literal

from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware, ToolRetryMiddleware
from langchain_core.messages import ContentBlock
from langchain_core.tools import tool

from langchain_cerebras_inference import ChatCerebrasInference


@tool
def get_price(item: Literal["bicycle", "helmet", "lock"]) -> str:
    """Look up the price of an item in the shop."""
    prices = {"bicycle": 640.0, "helmet": 55.0, "lock": 38.5}
    return f"{prices[item]:.2f} euros"


def describe(block: ContentBlock, sender: str) -> tuple[str, str]:
    """Return a label and a text for a content block. The label of a continuation is empty."""
    if block["type"] == "tool_call_chunk":
        return f"tool call {block['name']}" if block["name"] else "", block["args"] or ""
    if block["type"] == "reasoning":
        return "reasoning", block["reasoning"]
    return "tool result" if sender == "tool" else "text", str(block.get("text", ""))


async def main() -> None:
    """Run the agent with the question on the command line."""
    question = " ".join(sys.argv[1:]) or "What is the price of a bicycle?"
    middleware: list[Any] = [
        ModelCallLimitMiddleware(run_limit=10),
        ToolRetryMiddleware(max_retries=2),
    ]
    agent = create_agent(ChatCerebrasInference(), [get_price], middleware=middleware)
    messages: Any = {"messages": [{"role": "user", "content": question}]}
    stream: Any = agent.astream(messages, stream_mode="messages")
    last_label = ""
    async for message, _ in stream:
        for block in message.content_blocks:
            label, text = describe(block, message.type)
            is_new = label not in ("", last_label) or label.startswith("tool call")
            print(f"\n[{label}] {text}" if is_new else text, end="", flush=True)
            last_label = label or last_label
    print()


if __name__ == "__main__":
    asyncio.run(main())
