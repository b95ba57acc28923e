"""Tools from an MCP server, through langchain-mcp-adapters."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_mcp_adapters.client import MultiServerMCPClient
from langgraph.checkpoint.memory import InMemorySaver

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply, ToolCall

DONE = Reply(content="Done.")
THREAD: Any = {"configurable": {"thread_id": "1"}}


async def load_tools() -> list[Any]:
    program = Path(__file__).with_name("mcp_server.py")
    connection = {"transport": "stdio", "command": sys.executable, "args": [str(program)]}
    tools: list[Any] = await MultiServerMCPClient({"weather": connection}).get_tools()
    return tools


async def run_agent(
    model: ChatCerebrasInference, server: Emulator, *calls: ToolCall
) -> list[ToolMessage]:
    """Let an agent make tool calls, and then continue the conversation."""
    server.script(Reply(tool_calls=calls), DONE, DONE)
    agent: Any = create_agent(model, await load_tools(), checkpointer=InMemorySaver())
    state = await agent.ainvoke({"messages": ["What is the weather?"]}, THREAD)
    assert state["messages"][-1].text == "Done."
    state = await agent.ainvoke({"messages": ["Thank you."]}, THREAD)
    assert state["messages"][-1].text == "Done."
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def get_sent_results(server: Emulator) -> list[str]:
    """Return the tool results in the last request."""
    messages = server.requests[-1].body["messages"]
    return [
        content if isinstance(content := message.get("content", ""), str) else str(content)
        for message in messages
        if message["role"] == "tool"
    ]


async def test_model_calls_tools_of_a_server(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    calls = [ToolCall("get_weather", {"location": place}) for place in ("Rome", "Oslo")]

    await run_agent(model, server, *calls)

    assert get_sent_results(server) == ["Sunny in Rome.", "Sunny in Oslo."]


async def test_emulator_accepts_the_definition_of_every_tool(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    tools = await load_tools()

    for strict in (None, True, False):
        server.script(DONE)
        await model.bind_tools(tools, strict=strict).ainvoke("Hello!")

    names = [tool["function"]["name"] for tool in server.requests[0].body["tools"]]
    assert names == [tool.name for tool in tools]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (ToolCall("get_forecast", {"location": "Rome", "days": 2}), "Day 2 in Rome: sunny."),
        (ToolCall("get_forecast", {"location": "Rome", "days": 0}), ""),
        (ToolCall("get_measurements", {"location": "Rome"}), "21.5"),
        (ToolCall("get_nothing"), ""),
        (ToolCall("get_report"), "All is well."),
        (ToolCall("get_archive"), ""),
    ],
    ids=["texts", "no texts", "object", "nothing", "text resource", "binary resource"],
)
async def test_result_of_every_kind_is_sent(
    call: ToolCall, expected: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    await run_agent(model, server, call)

    [result] = get_sent_results(server)
    assert expected in result
    assert len(json.dumps(server.requests[-1].body)) < 20_000


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("fail", {"location": "Rome"}),
        ToolCall("get_weather", {"place": "Rome"}),
        ToolCall("get_weather", {"location": ["Rome"]}),
    ],
    ids=["tool fails", "unknown argument", "argument of the wrong type"],
)
async def test_error_of_a_tool_is_sent(
    call: ToolCall, model: ChatCerebrasInference, server: Emulator
) -> None:
    [message] = await run_agent(model, server, call)

    assert message.status == "error"
    assert get_sent_results(server) == [message.text]


async def test_truncated_tool_call_does_not_run(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    call = ToolCall("get_weather", '{"location": "Ro')
    server.script(Reply(tool_calls=[call], finish_reason="length"))
    agent: Any = create_agent(model, await load_tools())

    state = await agent.ainvoke({"messages": ["What is the weather?"]})

    assert not any(isinstance(message, ToolMessage) for message in state["messages"])
    assert len(server.requests) == 1
