"""The agent of deepagents: its files, its tools and its subagents."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from deepagents import create_deep_agent
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_cerebras_inference import CerebrasInvalidRequestError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply, ToolCall

RunAgent: TypeAlias = Callable[..., dict[str, Any]]

DONE = Reply(content="Done.")
THREAD: Any = {"configurable": {"thread_id": "1"}}
QUESTION = {"messages": ["Write a report about the weather in Rome."]}


def get_weather(location: str) -> str:
    """Get the weather of a place."""
    return f"Sunny in {location}."


def invoke(agent: Any, **options: Any) -> dict[str, Any]:
    state: dict[str, Any] = agent.invoke(QUESTION, **options)
    return state


def ainvoke(agent: Any, **options: Any) -> dict[str, Any]:
    state: dict[str, Any] = asyncio.run(agent.ainvoke(QUESTION, **options))
    return state


def stream(agent: Any, **options: Any) -> dict[str, Any]:
    *_, state = (
        state
        for mode, state in agent.stream(QUESTION, stream_mode=["messages", "values"], **options)
        if mode == "values"
    )
    return dict(state)


every_run = pytest.mark.parametrize("run", [invoke, ainvoke, stream])


def get_results(state: dict[str, Any]) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


@every_run
def test_agent_writes_edits_and_reads_files(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    path = "/report.md"
    edit = {"file_path": path, "old_string": "Rain", "new_string": "Sun"}
    server.script(
        Reply(tool_calls=[ToolCall("write_file", {"file_path": path, "content": "Rain."})]),
        Reply(tool_calls=[ToolCall("edit_file", edit)]),
        Reply(tool_calls=[ToolCall("ls", {"path": "/"}), ToolCall("glob", {"pattern": "*"})]),
        Reply(tool_calls=[ToolCall("read_file", {"file_path": path})]),
        DONE,
    )

    state = run(create_deep_agent(model))

    assert "Sun." in get_results(state)[-1].text
    assert state["messages"][-1].text == "Done."


@every_run
def test_agent_calls_several_tools_at_once(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(
        Reply(
            reasoning="Let me plan.",
            content="I will look.",
            tool_calls=[
                ToolCall("ls", {"path": "/"}),
                ToolCall("get_weather", {"location": "Rome"}),
            ],
        ),
        DONE,
    )

    state = run(create_deep_agent(model, tools=[get_weather]))

    assert [message.name for message in get_results(state)] == ["ls", "get_weather"]
    assert get_results(state)[1].text == "Sunny in Rome."


@every_run
def test_subagent_returns_its_completion_to_the_agent(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    task = {"description": "Find the weather.", "subagent_type": "forecaster"}
    server.script(
        Reply(tool_calls=[ToolCall("task", task)]),
        Reply(tool_calls=[ToolCall("get_weather", {"location": "Rome"})]),
        Reply(content="It is sunny."),
        DONE,
    )
    subagent: Any = {
        "name": "forecaster",
        "description": "Knows the weather.",
        "system_prompt": "Find the weather.",
        "tools": [get_weather],
    }

    state = run(create_deep_agent(model, subagents=[subagent]))

    assert [message.text for message in get_results(state)] == ["It is sunny."]
    assert len(server.requests) == 4


@every_run
@pytest.mark.parametrize(
    "call",
    [
        ToolCall("read_file", {"file_path": "/missing.md"}),
        ToolCall("read_file", {"path": 5}),
        ToolCall("edit_file", "{}"),
        ToolCall("task", {"description": "Help.", "subagent_type": "nobody"}),
        ToolCall("no_such_tool", {"a": 1}),
    ],
    ids=["missing file", "wrong arguments", "no arguments", "no such subagent", "no such tool"],
)
def test_wrong_tool_call_is_reported_to_the_model(
    call: ToolCall, run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(tool_calls=[call]), DONE)

    state = run(create_deep_agent(model))

    [result] = get_results(state)
    assert server.requests[1].body["messages"][-1]["content"] == result.text
    assert state["messages"][-1].text == "Done."


@every_run
def test_large_tool_result_becomes_a_file(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    def get_climate() -> str:
        """Get all measurements."""
        return "21.5 degrees\n" * 20_000

    server.script(Reply(tool_calls=[ToolCall("get_climate")]), DONE)

    state = run(create_deep_agent(model, tools=[get_climate]))

    [result] = get_results(state)
    assert len(result.text) < 20_000


class Report(BaseModel):
    """A report."""

    title: str


@every_run
def test_agent_returns_an_object_of_a_class(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(
        Reply(tool_calls=[ToolCall("get_weather", {"location": "Rome"})]),
        Reply(tool_calls=[ToolCall("Report", {"title": "Rome"})]),
    )
    agent = create_deep_agent(model, tools=[get_weather], response_format=Report)

    assert run(agent)["structured_response"] == Report(title="Rome")


@every_run
def test_conversation_with_a_checkpointer_continues_after_an_error(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(tool_calls=[ToolCall("ls", {"path": "/"})]), Refuse(400), DONE)
    agent = create_deep_agent(model, checkpointer=InMemorySaver())

    with pytest.raises(CerebrasInvalidRequestError):
        run(agent, config=THREAD)

    assert run(agent, config=THREAD)["messages"][-1].text == "Done."
