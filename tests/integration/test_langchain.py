"""What LangChain builds on a model: events, callbacks, configurable fields, fallbacks."""

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.runnables import ConfigurableField, Runnable

from langchain_cerebras_inference import (
    CerebrasInvalidRequestError,
    CerebrasRateLimitError,
    CerebrasServerError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply, ToolCall
from tests.integration.call_styles import (
    CallStyle,
    every_call_style,
    every_non_streaming_style,
    parametrize_call,
)
from tests.integration.helpers import create_model

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

# --- events -------------------------------------------------------------------------


async def test_v2_events_contain_every_chunk(model: ChatCerebrasInference) -> None:
    events = [event async for event in model.astream_events("Hello!", version="v2")]

    names = [event["event"] for event in events]
    chunks = [event["data"]["chunk"] for event in events if "stream" in event["event"]]
    assert names[0] == "on_chat_model_start"
    assert names[-1] == "on_chat_model_end"
    assert len(chunks) > 2
    assert "".join(chunk.text for chunk in chunks) == events[-1]["data"]["output"].text


def get_weather(location: str) -> str:
    """Get the weather of a place."""
    return f"Sunny in {location}."


def test_v3_events_add_up_to_the_whole_message(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(
        Reply(
            reasoning="Let me see what there is to do.",
            content="I will ask a tool about two places.",
            tool_calls=[
                ToolCall("get_weather", {"location": "Rome"}, id="a"),
                ToolCall("get_weather", {"location": "Oslo"}, id="b"),
            ],
        )
    )

    events: Any = model.bind_tools([get_weather]).stream_events("Hello!", version="v3")
    message = events.output

    types = [block["type"] for block in message.content]
    assert types == ["reasoning", "text", "tool_call", "tool_call"]
    assert message.text == "I will ask a tool about two places."
    assert [call["id"] for call in message.tool_calls] == ["a", "b"]
    assert message.usage_metadata["total_tokens"] > 0


async def test_v3_events_arrive_while_the_server_sends(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(reasoning="A greeting.", content="Hello to you. " * 9, pace=0.02))
    events = await model.astream_events("Hello!", version="v3")

    deltas = [delta async for delta in events.text]
    message = await events.output

    assert len(deltas) > 1
    assert "".join(deltas) == message.text
    assert message.content[0]["type"] == "reasoning"


class ChunkRecorder(BaseCallbackHandler):
    """Records the chunks that callbacks receive."""

    def __init__(self) -> None:
        self.chunks: list[tuple[str, Any]] = []
        self.message_ids: set[str | None] = set()

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
        self.chunks.append((token, chunk.message.content_blocks))
        self.message_ids.add(chunk.message.id)


def test_callbacks_receive_the_same_chunks_from_stream_and_v3_events(
    server: Emulator,
) -> None:
    # Tool call deltas that arrive together are joined, so let them arrive one by one.
    tool_calls = [ToolCall("f", "{}")]
    reply = Reply(reasoning="Hm.", content="Hello.", tool_calls=tool_calls, pace=0.1)
    server.script(reply, reply)
    stream_recorder, event_recorder = ChunkRecorder(), ChunkRecorder()

    list(create_model(server, callbacks=[stream_recorder]).stream("Hello!"))
    events = create_model(server, callbacks=[event_recorder]).stream_events(
        "Hello!", version="v3"
    )
    message = events.output

    first_blocks = stream_recorder.chunks[0][1]
    assert stream_recorder.chunks == event_recorder.chunks
    assert [block["type"] for block in first_blocks] == ["reasoning"]
    assert [token for token, _ in event_recorder.chunks if token] == ["Hello."]
    assert event_recorder.message_ids == {message.id}


@pytest.mark.parametrize(
    "callbacks", [[], [ChunkRecorder()]], ids=["without callbacks", "with callbacks"]
)
async def test_closing_v3_events_disconnects(callbacks: list[Any], server: Emulator) -> None:
    server.script(Reply(content="word " * 2000, pace=0.01))
    model = create_model(server, callbacks=callbacks)
    events = await model.astream_events("Hello!", version="v3")
    async for event in events:
        if event["event"] == "content-block-delta":
            break

    await events.aclose()

    assert await asyncio.to_thread(server.requests[0].disconnected.wait, 2)


@every_call_style
def test_usage_callback_counts_the_tokens_of_the_model(
    call: CallStyle, model: ChatCerebrasInference
) -> None:
    counter = UsageMetadataCallbackHandler()

    message = call(model.with_config(callbacks=[counter]), "Hello!")

    assert counter.usage_metadata == {"gpt-oss-120b": message.usage_metadata}


# --- configurable fields ------------------------------------------------------------


@every_call_style
def test_configured_fields_are_sent(call: CallStyle, server: Emulator) -> None:
    model = create_model(server, temperature=1).configurable_fields(
        temperature=ConfigurableField(id="warmth"),
        model_name=ConfigurableField(id="model"),
    )
    configured: Runnable[Any, Any] = model.with_config(
        configurable={"warmth": 0, "model": "qwen-3.8-27b"}
    )

    call(model, "Hello!")
    call(configured, "Hello!")

    first, second = (request.body for request in server.requests)
    assert (first["model"], first["temperature"]) == ("gpt-oss-120b", 1)
    assert (second["model"], second["temperature"]) == ("qwen-3.8-27b", 0)


def test_configured_model_streams(server: Emulator) -> None:
    server.script(Reply(content="one two three " * 9, pace=0.02))
    model = create_model(server).configurable_fields(temperature=ConfigurableField(id="warmth"))

    chunks = list(model.with_config(configurable={"warmth": 0}).stream("Hello!"))

    assert len([chunk for chunk in chunks if chunk.text]) > 1
    assert server.requests[0].streamed


# --- fallbacks and retries ----------------------------------------------------------


@parametrize_call("invoke", "ainvoke", "stream", "astream", "batch", "abatch")
def test_fallback_model_is_called_if_the_first_model_fails(
    call: CallStyle, server: Emulator
) -> None:
    server.script(Refuse(429))
    fallback = create_model(server, model="qwen-3.8-27b")
    model = create_model(server, max_retries=0).with_fallbacks([fallback])

    message = call(model, "Hello!")

    assert message.response_metadata["model_name"] == "qwen-3.8-27b"
    assert len(server.requests) == 2


def test_fallback_model_is_not_called_for_unlisted_errors(server: Emulator) -> None:
    server.script(Refuse(400))
    model = create_model(server, max_retries=0).with_fallbacks(
        [create_model(server)], exceptions_to_handle=(CerebrasRateLimitError,)
    )

    with pytest.raises(CerebrasInvalidRequestError):
        model.invoke("Hello!")

    assert len(server.requests) == 1


@every_non_streaming_style
def test_with_retry_sends_the_request_again(call: CallStyle, server: Emulator) -> None:
    server.script(Refuse(500), Refuse(500))
    model = create_model(server, max_retries=0).with_retry(
        retry_if_exception_type=(CerebrasServerError,), wait_exponential_jitter=False
    )

    message = call(model, "Hello!")

    assert message.text
    assert len(server.requests) == 3


# --- bound tools --------------------------------------------------------------------


@every_call_style
def test_bound_tools_and_options_are_sent(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    bound: Any = model.bind_tools([get_weather]).bind(temperature=0)

    call(bound.with_config(tags=["a"]), "Hello!")

    body = server.requests[0].body
    assert [item["function"]["name"] for item in body["tools"]] == ["get_weather"]
    assert body["temperature"] == 0


@pytest.mark.filterwarnings("ignore::langgraph.warnings.LangGraphDeprecatedSinceV10")
def test_prebuilt_agent_accepts_a_model_with_bound_tools(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    from langgraph.prebuilt import create_react_agent

    server.script(
        Reply(tool_calls=[ToolCall("get_weather", {"location": "Rome"})]),
        Reply(content="Sunny."),
        Reply(content='{"is_sunny": true}'),
    )
    schema = {"title": "Weather", "type": "object", "properties": {"is_sunny": {}}}
    agent = create_react_agent(
        model.bind_tools([get_weather]), [get_weather], response_format=schema
    )

    state = agent.invoke({"messages": [("user", "What is the weather in Rome?")]})

    assert state["messages"][-1].text == "Sunny."
    assert state["structured_response"] == {"is_sunny": True}
