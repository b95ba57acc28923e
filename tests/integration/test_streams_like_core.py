"""Streams without callback handlers behave like the generators of langchain-core."""

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableLambda

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply
from tests.integration.helpers import create_model


async def read(stream: Any) -> list[AIMessageChunk]:
    return [chunk async for chunk in stream]


def test_stream_methods_are_generator_functions(model: ChatCerebrasInference) -> None:
    assert inspect.isgeneratorfunction(model.stream)
    assert inspect.isasyncgenfunction(model.astream)


def test_runnable_lambda_joins_the_chunks_of_stream(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="Hello, you."))
    method: Any = model.stream

    message: Any = RunnableLambda(method).invoke("Hello!")

    assert isinstance(message, AIMessageChunk)
    assert message.text == "Hello, you."


def test_runnable_lambda_joins_the_chunks_of_astream(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="Hello, you."))
    method: Any = model.astream

    message: Any = asyncio.run(RunnableLambda(method).ainvoke("Hello!"))

    assert isinstance(message, AIMessageChunk)
    assert message.text == "Hello, you."


def test_handler_that_is_added_before_the_first_chunk_sees_the_stream(
    model: ChatCerebrasInference,
) -> None:
    stream = model.stream("Hello!")
    with get_usage_metadata_callback() as usage:
        list(stream)

    assert usage.usage_metadata["gpt-oss-120b"]["output_tokens"] > 0


def test_handler_that_is_added_before_the_first_chunk_sees_the_async_stream(
    model: ChatCerebrasInference,
) -> None:
    async def work() -> Any:
        stream = model.astream("Hello!")
        with get_usage_metadata_callback() as usage:
            await read(stream)
        return usage.usage_metadata

    assert asyncio.run(work())["gpt-oss-120b"]["output_tokens"] > 0


@pytest.mark.parametrize("method", ["stream", "astream"])
def test_invalid_config_raises_at_the_first_chunk(
    model: ChatCerebrasInference, method: str
) -> None:
    config: Any = {"callbacks": 5}
    stream = getattr(model, method)("Hello!", config)

    with pytest.raises(AttributeError):
        asyncio.run(read(stream)) if method == "astream" else list(stream)


@pytest.mark.parametrize("method", ["stream", "astream"])
def test_wrapper_around_the_method_of_langchain_core_is_called(
    model: ChatCerebrasInference, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Datadog's tracer and its AI Guard wrap these methods."""
    original = getattr(BaseChatModel, method)
    calls = []

    def wrapper(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return original(*args, **options)

    monkeypatch.setattr(BaseChatModel, method, wrapper)
    stream = getattr(model, method)("Hello!")
    asyncio.run(read(stream)) if method == "astream" else list(stream)

    assert len(calls) == 1


def test_should_stream_of_a_subclass_is_used(server: Emulator) -> None:
    class WithoutStreams(ChatCerebrasInference):
        def _should_stream(self, **_: Any) -> bool:
            return False

    settings: Any = {"base_url": server.base_url, "api_key": server.api_key}
    list(WithoutStreams(**settings).stream("Hello!"))

    assert not server.requests[0].body.get("stream")


@pytest.mark.parametrize("style", ["stream", "observed stream", "events", "astream"])
def test_response_headers_are_in_each_kind_of_stream(server: Emulator, style: str) -> None:
    server.script(Reply(headers={"inference-id": "first"}))
    model = create_model(server, include_response_headers=True)

    def read_last() -> Iterator[Any]:
        if style == "stream":
            yield from model.stream("Hello!")
        elif style == "observed stream":
            yield from model.stream("Hello!", {"callbacks": [BaseCallbackHandler()]})
        elif style == "events":
            events: Any = model.stream_events("Hello!", version="v3")
            yield events.output
        else:
            yield from asyncio.run(read(model.astream("Hello!")))

    *_, last = read_last()

    assert last.response_metadata["headers"]["inference-id"] == "first"
