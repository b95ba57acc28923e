import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.load import dumps, load
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ToolMessage,
    messages_from_dict,
    messages_to_dict,
)
from langchain_core.runnables import ConfigurableField, Runnable, RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasRateLimitError,
    CerebrasServerError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import (
    Cut,
    Emulator,
    Refuse,
    Reply,
    ToolCall,
)
from tests.integration.call_styles import CALL_STYLES, add_chunks, collect

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

QUESTION: Any = {"messages": ["What is the weather in San Francisco?"]}
ANSWER = "The tool get_weather answered: Sunny in San Francisco."

Graph: TypeAlias = Any
Stream: TypeAlias = Callable[..., list[tuple[Any, Any]]]


@tool
def get_weather(location: str) -> str:
    """Say what the weather is like."""
    return f"Sunny in {location}."


@tool
def get_time(location: str) -> str:
    """Say how late it is."""
    return f"Noon in {location}."


def model_of(server: Emulator, **fields: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key, **fields)


def stream(graph: Graph, state: dict[str, Any], mode: Any = "messages") -> list[Any]:
    return list(graph.stream(state, stream_mode=mode))


def astream(graph: Graph, state: dict[str, Any], mode: Any = "messages") -> list[Any]:
    return asyncio.run(collect(graph.astream(state, stream_mode=mode)))


both_ways = pytest.mark.parametrize("streamed", [stream, astream])


# --- agents -------------------------------------------------------------------------


def run(agent: Graph) -> list[BaseMessage]:
    messages: list[BaseMessage] = agent.invoke(QUESTION)["messages"]
    return messages


def arun(agent: Graph) -> list[BaseMessage]:
    messages: list[BaseMessage] = asyncio.run(agent.ainvoke(QUESTION))["messages"]
    return messages


@pytest.mark.parametrize("name", ["gpt-oss-120b", "qwen-3.8-27b"])
@pytest.mark.parametrize("ran", [run, arun])
def test_an_agent_calls_its_tool_and_answers(
    ran: Callable[[Graph], list[BaseMessage]], name: str, server: Emulator
) -> None:
    agent = create_agent(model_of(server, model=name), [get_weather, get_time])

    _, call, result, answer = ran(agent)

    assert isinstance(call, AIMessage)
    assert [each["name"] for each in call.tool_calls] == ["get_weather"]
    assert isinstance(result, ToolMessage)
    assert answer.text == ANSWER
    assert len(server.requests) == 2


@both_ways
def test_an_agent_streams_what_its_model_says(
    streamed: Stream, model: ChatCerebrasInference
) -> None:
    agent = create_agent(model, [get_weather])

    pieces = [message for message, _ in streamed(agent, QUESTION)]

    chunks = [piece for piece in pieces if isinstance(piece, AIMessageChunk)]
    ids = list(dict.fromkeys(chunk.id for chunk in chunks))
    assert len(chunks) > 4
    assert len(ids) == 2
    assert sum(isinstance(piece, ToolMessage) for piece in pieces) == 1
    said = [[chunk for chunk in chunks if chunk.id == each] for each in ids]
    first, second = (sum(rest, start) for start, *rest in said)
    assert first.tool_calls[0]["args"] == {"location": "San Francisco"}
    assert first.additional_kwargs["reasoning_content"].startswith("The user says")
    assert second.text == ANSWER


@both_ways
def test_an_agent_streams_reasoning_as_blocks(
    streamed: Stream, model: ChatCerebrasInference
) -> None:
    agent = create_agent(model, [get_weather])

    pieces = [message for message, _ in streamed(agent, QUESTION)]

    kinds = {
        block["type"]
        for piece in pieces
        if isinstance(piece, AIMessageChunk)
        for block in piece.content_blocks
    }
    assert kinds == {"reasoning", "text", "tool_call_chunk"}


@pytest.mark.parametrize("ran", [run, arun])
def test_an_agent_calls_two_tools_at_once(
    ran: Callable[[Graph], list[BaseMessage]], server: Emulator
) -> None:
    calls = [
        ToolCall("get_weather", {"location": "Rome"}, id="a"),
        ToolCall("get_time", {"location": "Rome"}, id="b"),
    ]
    server.script(Reply(tool_calls=calls))
    agent = create_agent(model_of(server, model="qwen-3.8-27b"), [get_weather, get_time])

    messages = ran(agent)

    results = [each.text for each in messages if isinstance(each, ToolMessage)]
    assert results == ["Sunny in Rome.", "Noon in Rome."]


class Weather(BaseModel):
    """What the weather is like."""

    location: str
    is_sunny: bool


def test_an_agent_answers_with_an_object(model: ChatCerebrasInference) -> None:
    agent = create_agent(model, [get_weather], response_format=Weather)

    answer = agent.invoke(QUESTION)["structured_response"]

    assert isinstance(answer, Weather)


def test_the_middleware_for_retries_knows_what_may_pass(server: Emulator) -> None:
    server.script(Refuse(503), Refuse(400))
    retries = ModelRetryMiddleware(initial_delay=0, jitter=False, on_failure="error")
    agent = create_agent(model_of(server, max_retries=0), [], middleware=[retries])

    with pytest.raises(Exception, match="Cerebras answered 400"):
        agent.invoke(QUESTION)

    assert len(server.requests) == 2


# --- graphs -------------------------------------------------------------------------


def graph_of(model: ChatCerebrasInference) -> Graph:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def aanswer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", RunnableLambda(answer, aanswer))
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile()


@both_ways
def test_a_node_streams_though_it_only_invokes(
    streamed: Stream, model: ChatCerebrasInference, server: Emulator
) -> None:
    text = "one two three four five six seven eight nine"
    server.script(Reply(content=text, pace=0.02))

    pieces = [message for message, _ in streamed(graph_of(model), QUESTION)]

    assert len([piece for piece in pieces if piece.text]) > 1
    assert "".join(piece.text for piece in pieces) == text
    assert len({piece.id for piece in pieces}) == 1
    assert server.requests[0].streamed


@both_ways
def test_a_node_does_not_stream_where_it_is_forbidden(
    streamed: Stream, server: Emulator
) -> None:
    graph = graph_of(model_of(server, streaming=False))

    pieces = streamed(graph, QUESTION)

    assert len(pieces) == 1
    assert not server.requests[0].streamed


@both_ways
def test_an_error_in_a_node_is_the_callers(
    streamed: Stream, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=3))

    with pytest.raises(CerebrasConnectionError):
        streamed(graph_of(model), QUESTION)


@pytest.mark.parametrize("ran", [run, arun])
def test_a_checkpoint_gives_back_what_was_said_and_the_next_turn_goes_on(
    ran: Callable[[Graph], list[BaseMessage]], model: ChatCerebrasInference, server: Emulator
) -> None:
    agent = create_agent(model, [get_weather], checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    bound = agent.with_config(thread)

    first = ran(bound)
    kept = bound.get_state(thread).values["messages"]
    second = ran(bound)

    assert kept == first
    assert json.loads(json.dumps([each.model_dump() for each in first]))
    assert second[: len(first)] == first
    asked = server.requests[-1].body["messages"]
    assert [each.get("reasoning") is not None for each in asked].count(True) >= 2


def graph_that_writes(model: ChatCerebrasInference) -> Graph:
    """Its node hands on each word it reads, beside the state."""

    def answer(state: MessagesState) -> dict[str, Any]:
        chunks = list(model.stream(state["messages"]))
        for chunk in chunks:
            get_stream_writer()(chunk.text)
        return {"messages": [add_chunks(chunks)]}

    async def aanswer(state: MessagesState) -> dict[str, Any]:
        chunks = await collect(model.astream(state["messages"]))
        for chunk in chunks:
            get_stream_writer()(chunk.text)
        return {"messages": [add_chunks(chunks)]}

    graph = StateGraph(MessagesState).add_node("answer", RunnableLambda(answer, aanswer))
    return graph.add_edge(START, "answer").compile(checkpointer=InMemorySaver())


@both_ways
def test_a_graph_streams_in_every_mode_and_keeps_what_was_said(
    streamed: Stream, model: ChatCerebrasInference
) -> None:
    modes = ["values", "updates", "custom", "messages"]
    thread: Any = {"configurable": {"thread_id": "1"}}
    graph = graph_that_writes(model).with_config(thread)

    said = streamed(graph, QUESTION, modes)

    values, [update], custom, pieces = (
        [what for mode, what in said if mode == each] for each in modes
    )
    [answer] = update["answer"]["messages"]
    [*_, kept] = graph.get_state(thread).values["messages"]
    assert answer.text.startswith('You said: "What is the weather')
    assert "".join(custom) == "".join(piece.text for piece, _ in pieces) == answer.text
    assert kept == values[-1]["messages"][-1]
    assert kept.content_blocks == answer.content_blocks


SERIALIZER = JsonPlusSerializer()
FORMS: dict[str, Callable[[AIMessage], BaseMessage]] = {
    "MessagePack": lambda message: SERIALIZER.loads_typed(SERIALIZER.dumps_typed(message)),
    "JSON": lambda message: load(json.loads(dumps(message)), allowed_objects="messages"),
    "plain JSON": lambda message: messages_from_dict(
        json.loads(json.dumps(messages_to_dict([message])))
    )[0],
}


@pytest.mark.parametrize("style", CALL_STYLES)
@pytest.mark.parametrize("form", FORMS)
def test_a_message_survives_every_form_it_is_kept_in(
    form: str, style: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    calls = [ToolCall("get_time", {"location": "Rome"}, id="a"), ToolCall("get_time", "{", "b")]
    server.script(Reply(reasoning="Hm.", content="I will ask.", tool_calls=calls))
    answer = CALL_STYLES[style](model.bind(logprobs=True), "Hello!")

    kept = FORMS[form](answer)

    assert kept == answer
    assert answer.invalid_tool_calls


# --- events -------------------------------------------------------------------------


def test_events_of_version_3_are_whole(model: ChatCerebrasInference, server: Emulator) -> None:
    server.script(
        Reply(
            reasoning="Let me see what there is to do.",
            content="I will ask two tools about this.",
            tool_calls=[
                ToolCall("get_weather", {"location": "Rome"}, id="a"),
                ToolCall("get_time", {"location": "Rome"}, id="b"),
            ],
        )
    )
    bound = model.bind_tools([get_weather, get_time])

    events: Any = bound.stream_events("Hello!", version="v3")
    output = events.output

    kinds = [block["type"] for block in output.content]
    assert kinds == ["reasoning", "text", "tool_call", "tool_call"]
    assert output.text == "I will ask two tools about this."
    assert [call["id"] for call in output.tool_calls] == ["a", "b"]
    assert output.usage_metadata["total_tokens"] > 0


async def test_events_of_version_3_come_as_they_are_said(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(reasoning="A greeting.", content="Hello to you. " * 9, pace=0.02))
    events = await model.astream_events("Hello!", version="v3")

    text = [piece async for piece in events.text]
    output = await events.output

    assert len(text) > 1
    assert "".join(text) == output.text
    assert output.content[0]["type"] == "reasoning"


def test_a_graph_streams_events_of_version_3(model: ChatCerebrasInference) -> None:
    events = graph_of(model).stream_events(QUESTION, version="v3")

    [message] = events.messages
    text = "".join(message.text)

    assert text.startswith('You said: "What is the weather')


async def test_events_of_version_2_hold_every_chunk(
    model: ChatCerebrasInference,
) -> None:
    events = [event async for event in model.astream_events("Hello!", version="v2")]

    names = [event["event"] for event in events]
    said = [each["data"]["chunk"] for each in events if "stream" in each["event"]]
    assert names[0] == "on_chat_model_start"
    assert names[-1] == "on_chat_model_end"
    assert "".join(chunk.text for chunk in said) == events[-1]["data"]["output"].text
    assert len(said) > 2


# --- what LangChain wraps a model in ------------------------------------------------


@pytest.mark.parametrize("style", CALL_STYLES)
def test_a_field_can_be_left_to_the_caller(style: str, server: Emulator) -> None:
    model = model_of(server, temperature=1).configurable_fields(
        temperature=ConfigurableField(id="warmth"),
        model_name=ConfigurableField(id="model"),
    )
    configured: Runnable[Any, Any] = model.with_config(
        configurable={"warmth": 0, "model": "qwen-3.8-27b"}
    )

    for each in (model, configured):
        CALL_STYLES[style](each, "Hello!")

    first, second = (request.body for request in server.requests)
    assert (first["model"], first["temperature"]) == ("gpt-oss-120b", 1)
    assert (second["model"], second["temperature"]) == ("qwen-3.8-27b", 0)


def test_a_configured_model_still_streams(server: Emulator) -> None:
    server.script(Reply(content="one two three " * 9, pace=0.02))
    model = model_of(server).configurable_fields(temperature=ConfigurableField(id="warmth"))

    chunks = list(model.with_config(configurable={"warmth": 0}).stream("Hello!"))

    assert len([chunk for chunk in chunks if chunk.text]) > 1
    assert server.requests[0].streamed


@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream", "batch"])
def test_a_fallback_answers_where_the_first_model_fails(style: str, server: Emulator) -> None:
    server.script(Refuse(429))
    first = model_of(server, max_retries=0)
    model = first.with_fallbacks([model_of(server, model="qwen-3.8-27b")])

    answer = CALL_STYLES[style](model, "Hello!")

    assert answer.response_metadata["model_name"] == "qwen-3.8-27b"
    assert len(server.requests) == 2


def test_a_fallback_may_be_for_some_errors_alone(server: Emulator) -> None:
    server.script(Refuse(400))
    first = model_of(server, max_retries=0)
    model = first.with_fallbacks(
        [model_of(server)], exceptions_to_handle=(CerebrasRateLimitError,)
    )

    with pytest.raises(Exception, match="Cerebras answered 400"):
        model.invoke("Hello!")

    assert len(server.requests) == 1


@pytest.mark.parametrize("style", ["invoke", "ainvoke", "batch", "abatch"])
def test_with_retry_tries_again(style: str, server: Emulator) -> None:
    server.script(Refuse(500), Refuse(500))
    model = model_of(server, max_retries=0).with_retry(
        retry_if_exception_type=(CerebrasServerError,), wait_exponential_jitter=False
    )

    answer = CALL_STYLES[style](model, "Hello!")

    assert answer.text
    assert len(server.requests) == 3


@pytest.mark.parametrize("style", CALL_STYLES)
def test_usage_is_counted_by_model(style: str, model: ChatCerebrasInference) -> None:
    counter = UsageMetadataCallbackHandler()

    answer = CALL_STYLES[style](model.with_config(callbacks=[counter]), "Hello!")

    assert counter.usage_metadata == {"gpt-oss-120b": answer.usage_metadata}


class Listener(BaseCallbackHandler):
    """Keeps what it hears of chunks."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.ids: set[str | None] = set()

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
        self.heard.append((token, chunk.message.content_blocks))
        self.ids.add(chunk.message.id)


def test_callbacks_hear_the_same_of_a_stream_and_of_its_events(server: Emulator) -> None:
    reply = Reply(reasoning="Hm.", content="Hello.", tool_calls=[ToolCall("f", "{}")])
    server.script(*[reply] * 2)
    of_stream, of_events = Listener(), Listener()

    list(model_of(server, callbacks=[of_stream]).stream("Hello!"))
    events = model_of(server, callbacks=[of_events]).stream_events("Hello!", version="v3")
    output = events.output

    assert of_stream.heard == of_events.heard
    assert [block["type"] for block in of_stream.heard[0][1]] == ["reasoning"]
    assert [token for token, _ in of_events.heard if token] == ["Hello."]
    assert of_events.ids == {output.id}


async def test_a_node_that_reads_events_of_version_3_streams_messages(server: Emulator) -> None:
    server.script(Reply(reasoning="Hm.", content="one two three " * 9, pace=0.01))
    model = model_of(server)

    async def node(state: MessagesState) -> dict[str, Any]:
        events = await model.astream_events(state["messages"], version="v3")
        return {"messages": [await events.output]}

    graph = StateGraph(MessagesState).add_node(node).add_edge(START, "node").compile()
    said: Any = graph.astream(QUESTION, stream_mode="messages")
    pieces = [piece async for piece, _ in said]

    assert len(pieces) > 1
    assert "".join(piece.text for piece in pieces) == "one two three " * 9
    assert len({piece.id for piece in pieces}) == 1


@pytest.mark.parametrize("callbacks", [[], [Listener()]])
async def test_events_of_version_3_that_are_left_disconnect(
    callbacks: list[Any], server: Emulator
) -> None:
    server.script(Reply(content="word " * 2000, pace=0.01))
    events = await model_of(server, callbacks=callbacks).astream_events("Hello!", version="v3")
    async for event in events:
        if event["event"] == "content-block-delta":
            break

    await events.aclose()

    assert await asyncio.to_thread(server.requests[0].disconnected.wait, 2)
