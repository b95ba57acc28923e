"""LangGraph: agents, graphs, checkpoints and their streams."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.load import dumps, load
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ToolMessage,
    messages_from_dict,
    messages_to_dict,
)
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasInvalidRequestError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import Cut, Emulator, Refuse, Reply, ToolCall
from tests.integration.call_styles import CallStyle, add_chunks, collect, every_call_style
from tests.integration.helpers import create_model

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

Graph: TypeAlias = Any
InvokeGraph: TypeAlias = Callable[[Graph], list[BaseMessage]]
StreamGraph: TypeAlias = Callable[..., list[Any]]

INPUT: Any = {"messages": ["What is the weather in San Francisco?"]}
THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}


@tool
def get_weather(location: str) -> str:
    """Get the weather of a place."""
    return f"Sunny in {location}."


@tool
def get_time(location: str) -> str:
    """Get the time of day at a place."""
    return f"Noon in {location}."


class Weather(BaseModel):
    """The weather of a place."""

    location: str
    is_sunny: bool


def invoke_graph(graph: Graph) -> list[BaseMessage]:
    messages: list[BaseMessage] = graph.invoke(INPUT)["messages"]
    return messages


def ainvoke_graph(graph: Graph) -> list[BaseMessage]:
    messages: list[BaseMessage] = asyncio.run(graph.ainvoke(INPUT))["messages"]
    return messages


def stream_graph(graph: Graph, mode: Any = "messages") -> list[Any]:
    return list(graph.stream(INPUT, stream_mode=mode))


def astream_graph(graph: Graph, mode: Any = "messages") -> list[Any]:
    return asyncio.run(collect(graph.astream(INPUT, stream_mode=mode)))


sync_and_async = pytest.mark.parametrize("invoke", [invoke_graph, ainvoke_graph])
sync_and_async_streams = pytest.mark.parametrize("stream", [stream_graph, astream_graph])


# --- agents -------------------------------------------------------------------------


@pytest.mark.parametrize("model_name", ["gpt-oss-120b", "qwen-3.8-27b"])
@sync_and_async
def test_agent_calls_a_tool_and_uses_its_result(
    invoke: InvokeGraph, model_name: str, server: Emulator
) -> None:
    model = create_model(server, model=model_name)
    agent = create_agent(model, [get_weather, get_time])

    _, tool_request, tool_result, final_message = invoke(agent)

    assert isinstance(tool_request, AIMessage)
    assert [call["name"] for call in tool_request.tool_calls] == ["get_weather"]
    assert isinstance(tool_result, ToolMessage)
    assert "Sunny in San Francisco." in final_message.text
    assert len(server.requests) == 2


@sync_and_async
def test_agent_calls_two_tools_in_parallel(invoke: InvokeGraph, server: Emulator) -> None:
    tool_calls = [
        ToolCall("get_weather", {"location": "Rome"}, id="a"),
        ToolCall("get_time", {"location": "Rome"}, id="b"),
    ]
    server.script(Reply(tool_calls=tool_calls))
    model = create_model(server, model="qwen-3.8-27b")
    agent = create_agent(model, [get_weather, get_time])

    messages = invoke(agent)

    results = [message.text for message in messages if isinstance(message, ToolMessage)]
    assert results == ["Sunny in Rome.", "Noon in Rome."]


@sync_and_async_streams
def test_agent_streams_the_chunks_of_both_model_calls(
    stream: StreamGraph, model: ChatCerebrasInference
) -> None:
    agent = create_agent(model, [get_weather])

    messages = [message for message, _ in stream(agent)]

    chunks = [message for message in messages if isinstance(message, AIMessageChunk)]
    tool_results = [message for message in messages if isinstance(message, ToolMessage)]
    first_id, second_id = dict.fromkeys(chunk.id for chunk in chunks)
    tool_request = add_chunks(chunk for chunk in chunks if chunk.id == first_id)
    final_message = add_chunks(chunk for chunk in chunks if chunk.id == second_id)
    assert len(chunks) > 4
    assert len(tool_results) == 1
    assert tool_request.tool_calls[0]["args"] == {"location": "San Francisco"}
    assert tool_request.additional_kwargs["reasoning_content"].startswith("The user says")
    assert "Sunny in San Francisco." in final_message.text


@sync_and_async_streams
def test_agent_streams_reasoning_as_content_blocks(
    stream: StreamGraph, model: ChatCerebrasInference
) -> None:
    agent = create_agent(model, [get_weather])

    messages = [message for message, _ in stream(agent)]

    chunks = [message for message in messages if isinstance(message, AIMessageChunk)]
    types = {block["type"] for chunk in chunks for block in chunk.content_blocks}
    assert types == {"reasoning", "text", "tool_call_chunk"}


def test_agent_returns_a_structured_response(model: ChatCerebrasInference) -> None:
    agent = create_agent(model, [get_weather], response_format=Weather)

    response = agent.invoke(INPUT)["structured_response"]

    assert isinstance(response, Weather)


def test_retry_middleware_retries_only_retryable_errors(server: Emulator) -> None:
    server.script(Refuse(503), Refuse(400))
    retries = ModelRetryMiddleware(initial_delay=0, jitter=False, on_failure="error")
    model = create_model(server, max_retries=0)
    agent = create_agent(model, [], middleware=[retries])

    with pytest.raises(CerebrasInvalidRequestError):
        agent.invoke(INPUT)

    assert len(server.requests) == 2


# --- graphs -------------------------------------------------------------------------


def create_graph(model: ChatCerebrasInference) -> Graph:
    """Create a graph of one node, which calls `invoke` or `ainvoke`."""

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def acall_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("call_model", RunnableLambda(call_model, acall_model))
    graph.add_edge(START, "call_model")
    graph.add_edge("call_model", END)
    return graph.compile()


@sync_and_async_streams
def test_node_that_calls_invoke_streams_its_message(
    stream: StreamGraph, model: ChatCerebrasInference, server: Emulator
) -> None:
    text = "one two three four five six seven eight nine"
    server.script(Reply(content=text, pace=0.02))

    chunks = [chunk for chunk, _ in stream(create_graph(model))]

    assert len([chunk for chunk in chunks if chunk.text]) > 1
    assert "".join(chunk.text for chunk in chunks) == text
    assert len({chunk.id for chunk in chunks}) == 1
    assert server.requests[0].streamed


@sync_and_async_streams
def test_node_does_not_stream_with_streaming_false(
    stream: StreamGraph, server: Emulator
) -> None:
    graph = create_graph(create_model(server, streaming=False))

    messages = stream(graph)

    assert len(messages) == 1
    assert not server.requests[0].streamed


@sync_and_async_streams
def test_truncated_stream_in_a_node_raises_connection_error(
    stream: StreamGraph, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=3))

    with pytest.raises(CerebrasConnectionError):
        stream(create_graph(model))


async def test_node_that_reads_v3_events_streams_its_message(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    text = "one two three " * 9
    server.script(Reply(reasoning="Hm.", content=text, pace=0.01))

    async def call_model(state: MessagesState) -> dict[str, Any]:
        events = await model.astream_events(state["messages"], version="v3")
        return {"messages": [await events.output]}

    graph: Graph = (
        StateGraph(MessagesState).add_node(call_model).add_edge(START, "call_model").compile()
    )
    messages = await collect(graph.astream(INPUT, stream_mode="messages"))

    chunks = [chunk for chunk, _ in messages]
    assert len(chunks) > 1
    assert "".join(chunk.text for chunk in chunks) == text
    assert len({chunk.id for chunk in chunks}) == 1


def test_graph_streams_v3_events(model: ChatCerebrasInference) -> None:
    events = create_graph(model).stream_events(INPUT, version="v3")

    [message] = events.messages
    text = "".join(message.text)

    assert text.startswith('You said: "What is the weather')


# --- checkpoints and serialization -------------------------------------------------


@sync_and_async
def test_checkpoint_restores_the_messages_for_the_next_turn(
    invoke: InvokeGraph, model: ChatCerebrasInference, server: Emulator
) -> None:
    agent = create_agent(model, [get_weather], checkpointer=InMemorySaver()).with_config(THREAD)

    first_turn = invoke(agent)
    restored = agent.get_state(THREAD).values["messages"]
    both_turns = invoke(agent)

    sent = server.requests[-1].body["messages"]
    assert restored == first_turn
    assert json.dumps([message.model_dump() for message in first_turn])
    assert both_turns[: len(first_turn)] == first_turn
    assert len([message for message in sent if message.get("reasoning") is not None]) >= 2


def create_graph_that_writes(model: ChatCerebrasInference) -> Graph:
    """Create a graph with checkpoints, whose node writes each chunk to the custom stream."""

    def call_model(state: MessagesState) -> dict[str, Any]:
        chunks = list(model.stream(state["messages"]))
        for chunk in chunks:
            get_stream_writer()(chunk.text)
        return {"messages": [add_chunks(chunks)]}

    async def acall_model(state: MessagesState) -> dict[str, Any]:
        chunks = await collect(model.astream(state["messages"]))
        for chunk in chunks:
            get_stream_writer()(chunk.text)
        return {"messages": [add_chunks(chunks)]}

    graph = StateGraph(MessagesState).add_node(
        "call_model", RunnableLambda(call_model, acall_model)
    )
    return graph.add_edge(START, "call_model").compile(checkpointer=InMemorySaver())


@sync_and_async_streams
def test_graph_streams_the_same_message_in_every_mode_and_keeps_it(
    stream: StreamGraph, model: ChatCerebrasInference
) -> None:
    modes = ["values", "updates", "custom", "messages"]
    graph = create_graph_that_writes(model).with_config(THREAD)

    items = stream(graph, modes)

    values, [update], written, chunks = (
        [item for item_mode, item in items if item_mode == mode] for mode in modes
    )
    [message] = update["call_model"]["messages"]
    [*_, kept] = graph.get_state(THREAD).values["messages"]
    assert message.text.startswith('You said: "What is the weather')
    assert "".join(written) == message.text
    assert "".join(chunk.text for chunk, _ in chunks) == message.text
    assert kept == values[-1]["messages"][-1]
    assert kept.content_blocks == message.content_blocks


SERIALIZER = JsonPlusSerializer()
ROUND_TRIPS: dict[str, Callable[[AIMessage], BaseMessage]] = {
    "MessagePack": lambda message: SERIALIZER.loads_typed(SERIALIZER.dumps_typed(message)),
    "dumps and load": lambda message: load(
        json.loads(dumps(message)), allowed_objects="messages"
    ),
    "messages_to_dict": lambda message: messages_from_dict(
        json.loads(json.dumps(messages_to_dict([message])))
    )[0],
}


@every_call_style
@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
def test_message_is_unchanged_after_serialization(
    round_trip: str, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    valid_call = ToolCall("get_time", {"location": "Rome"}, id="a")
    invalid_call = ToolCall("get_time", "{", id="b")
    server.script(
        Reply(reasoning="Hm.", content="I will ask.", tool_calls=[valid_call, invalid_call])
    )
    message = call(model.bind(logprobs=True), "Hello!")

    restored = ROUND_TRIPS[round_trip](message)

    assert restored == message
    assert message.invalid_tool_calls
