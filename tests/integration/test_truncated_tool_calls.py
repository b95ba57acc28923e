"""A tool call whose arguments are truncated is invalid, so an agent never runs it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool

from langchain_cerebras_inference import CerebrasConnectionError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Cut, Emulator, Reply, ToolCall
from tests.integration.call_styles import (
    CallStyle,
    add_chunks,
    collect,
    every_streaming_style,
)
from tests.integration.helpers import create_model

TRUNCATED_ARGUMENTS = {
    "in a string": '{"path": "a.txt", "content": "hal',
    "after an escape": '{"path": "a.txt", "content": "half\\',
    "in a literal": '{"path": "a.txt", "force": fal',
    "in an array": '{"path": "a.txt", "lines": [1, 2',
    "in an object": '{"path": "a.txt", "more": {"a": 1',
    "after a key": '{"path": "a.txt", "force":',
    "after a value": '{"path": "a.txt", "force": true',
    "after a comma": '{"path": "a.txt", ',
    "after the first brace": "{",
    "before the first brace": "",
}

COMPLETE_ARGUMENTS = (
    '{"path": "a \\"b\\" \\u00e9.txt", "content": "[1, {\\\\", "force": false,'
    ' "more": {"a": [-1.5e3, null, {}]}}'
)
# Complete, but strings have control characters, or the object is in a Markdown fence.
LENIENT_ARGUMENTS = (
    '{"path": "a.txt", "content": "one\ntwo\t\\"```\n{}\n```\n", "force": false}',
    'It is:\n```json\n{"path": "a.txt", "content": "one\n```\n{}\n```", "force": true}\n```',
)


class Disk:
    """Offers an agent a tool that writes files; records the paths."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def create_agent(self, model: ChatCerebrasInference) -> Any:
        # Every parameter has a default: any object would be valid arguments.
        @tool
        def write(path: str = "", content: str = "", *, force: bool = True) -> str:
            """Write a file."""
            self.written.append(path)
            return "written"

        return create_agent(model, [write])


PROMPT = {"messages": ["Write it."]}

AgentRunner = Callable[[Any], None]


def invoke(agent: Any) -> None:
    agent.invoke(PROMPT)


def stream(agent: Any) -> None:
    list(agent.stream(PROMPT, stream_mode="messages"))


def astream(agent: Any) -> None:
    asyncio.run(collect(agent.astream(PROMPT, stream_mode="messages")))


every_agent_style = pytest.mark.parametrize("run", [invoke, stream, astream])
both_streaming_agent_styles = pytest.mark.parametrize("run", [stream, astream])


@every_agent_style
def test_agent_runs_a_tool_with_complete_arguments(
    run: AgentRunner, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(tool_calls=[ToolCall("write", {"path": "a.txt"})]))
    disk = Disk()

    run(disk.create_agent(model))

    assert disk.written == ["a.txt"]


both_models = pytest.mark.parametrize("model_name", ["gpt-oss-120b", "qwen-3.8-27b"])


@both_models
@every_agent_style
@pytest.mark.parametrize("arguments", LENIENT_ARGUMENTS)
def test_agent_runs_a_tool_with_a_complete_object_that_is_not_strict_json(
    arguments: str, run: AgentRunner, model_name: str, server: Emulator
) -> None:
    server.script(Reply(tool_calls=[ToolCall("write", arguments)]))
    disk = Disk()

    run(disk.create_agent(create_model(server, model=model_name)))

    assert disk.written == ["a.txt"]
    assert len(server.requests) == 2


@both_models
@every_agent_style
@pytest.mark.parametrize("place", TRUNCATED_ARGUMENTS)
def test_agent_never_runs_a_tool_with_truncated_arguments(
    place: str, run: AgentRunner, model_name: str, server: Emulator
) -> None:
    call = ToolCall("write", TRUNCATED_ARGUMENTS[place])
    server.script(Reply(tool_calls=[call], finish_reason="length"))
    disk = Disk()

    run(disk.create_agent(create_model(server, model=model_name)))

    assert disk.written == []
    assert len(server.requests) == 1


@every_agent_style
@pytest.mark.parametrize("arguments", [COMPLETE_ARGUMENTS, *LENIENT_ARGUMENTS])
def test_agent_never_runs_a_tool_with_arguments_truncated_at_any_character(
    arguments: str, run: AgentRunner, model: ChatCerebrasInference, server: Emulator
) -> None:
    disk = Disk()
    agent = disk.create_agent(model)

    for end in range(len(arguments)):
        call = ToolCall("write", arguments[:end])
        server.script(Reply(tool_calls=[call], finish_reason="length"))
        run(agent)

    assert disk.written == []
    assert len(server.requests) == len(arguments)


@both_streaming_agent_styles
@pytest.mark.parametrize("how", ["close", "reset"])
def test_agent_never_runs_a_tool_from_a_truncated_stream(
    how: Any, run: AgentRunner, server: Emulator
) -> None:
    disk = Disk()
    agent = disk.create_agent(create_model(server, max_retries=0))
    reply = Reply(tool_calls=[ToolCall("write", COMPLETE_ARGUMENTS)])

    for after in range(7):
        server.script(Cut(after=after, how=how, reply=reply))
        with pytest.raises(CerebrasConnectionError):
            run(agent)

    assert disk.written == []
    assert len(server.requests) == 7


@every_streaming_style
@pytest.mark.parametrize("place", TRUNCATED_ARGUMENTS)
def test_truncated_arguments_are_an_invalid_tool_call(
    place: str, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    tool_call = ToolCall("write", TRUNCATED_ARGUMENTS[place], id="a")
    server.script(Reply(tool_calls=[tool_call], finish_reason="length"))

    message = call(model.bind_tools([{"name": "write"}]), "Write it.")

    assert message.tool_calls == []
    assert [invalid["id"] for invalid in message.invalid_tool_calls] == ["a"]


def test_truncated_arguments_are_invalid_in_any_order_of_adding_chunks(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    tool_call = ToolCall("write", TRUNCATED_ARGUMENTS["in a string"], id="a")
    server.script(Reply(tool_calls=[tool_call], finish_reason="length"))
    chunks = [
        chunk
        for chunk in model.bind_tools([{"name": "write"}]).stream("Write it.")
        if isinstance(chunk, AIMessageChunk)
    ]

    from_the_end = chunks[-1]
    for chunk in reversed(chunks[:-1]):
        from_the_end = chunk + from_the_end

    from_the_start = add_chunks(chunks)
    assert from_the_end.tool_calls == from_the_start.tool_calls == []
    assert from_the_end.invalid_tool_calls == from_the_start.invalid_tool_calls
