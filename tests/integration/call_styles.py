"""Call styles: functions that call a model in one way each and return the whole message.

The four call styles of the package are `invoke`, `ainvoke`, `stream` and `astream`. LangChain
adds four more: `batch`, `abatch`, and `invoke` and `ainvoke` with `stream=True`. Most tests use
all eight.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeAlias

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable

from langchain_cerebras_inference import CerebrasError

Model: TypeAlias = Runnable[Any, Any]
CallStyle: TypeAlias = Callable[[Model, Any], Any]


def add_chunks(chunks: Iterable[AIMessageChunk]) -> AIMessageChunk:
    first, *others = chunks
    return sum(others, first)


async def collect(stream: AsyncIterator[Any]) -> list[Any]:
    return [chunk async for chunk in stream]


def invoke(model: Model, prompt: Any) -> AIMessage:
    message: AIMessage = model.invoke(prompt)
    return message


def ainvoke(model: Model, prompt: Any) -> AIMessage:
    message: AIMessage = asyncio.run(model.ainvoke(prompt))
    return message


def stream_message(model: Model, prompt: Any) -> AIMessage:
    """Call `stream`; return the sum of the chunks."""
    return add_chunks(model.stream(prompt))


def astream_message(model: Model, prompt: Any) -> AIMessage:
    """Call `astream`; return the sum of the chunks."""
    return add_chunks(asyncio.run(collect(model.astream(prompt))))


def batch(model: Model, prompt: Any) -> AIMessage:
    messages: list[AIMessage] = model.batch([prompt])
    return messages[0]


def abatch(model: Model, prompt: Any) -> AIMessage:
    messages: list[AIMessage] = asyncio.run(model.abatch([prompt]))
    return messages[0]


def streaming_invoke(model: Model, prompt: Any) -> AIMessage:
    return invoke(model.bind(stream=True), prompt)


def streaming_ainvoke(model: Model, prompt: Any) -> AIMessage:
    return ainvoke(model.bind(stream=True), prompt)


NON_STREAMING_STYLES: Mapping[str, CallStyle] = {
    "invoke": invoke,
    "ainvoke": ainvoke,
    "batch": batch,
    "abatch": abatch,
}
STREAMING_STYLES: Mapping[str, CallStyle] = {
    "stream": stream_message,
    "astream": astream_message,
    "streaming_invoke": streaming_invoke,
    "streaming_ainvoke": streaming_ainvoke,
}
CALL_STYLES = {**NON_STREAMING_STYLES, **STREAMING_STYLES}


def parametrize_call(*names: str) -> pytest.MarkDecorator:
    """Run a test once with each of the named call styles as its argument `call`."""
    return pytest.mark.parametrize("call", [CALL_STYLES[name] for name in names], ids=names)


every_call_style = parametrize_call(*CALL_STYLES)
every_non_streaming_style = parametrize_call(*NON_STREAMING_STYLES)
every_streaming_style = parametrize_call(*STREAMING_STYLES)
every_sync_style = parametrize_call("invoke", "stream", "batch", "streaming_invoke")
invoke_and_astream = parametrize_call("invoke", "astream")
stream_and_astream = parametrize_call("stream", "astream")


# --- streams that may fail ----------------------------------------------------------

StreamResult: TypeAlias = tuple[str, CerebrasError | None]
StreamReader: TypeAlias = Callable[[Model], StreamResult]


def read_stream(model: Model) -> StreamResult:
    """Read a stream; return its text and the error that ended it, if any."""
    text = ""
    try:
        for chunk in model.stream("Hello!"):
            text += chunk.text
    except CerebrasError as error:
        return text, error
    return text, None


def read_astream(model: Model) -> StreamResult:
    """Read a stream with `astream`, like `read_stream`."""

    async def read() -> StreamResult:
        text = ""
        try:
            async for chunk in model.astream("Hello!"):
                text += chunk.text
        except CerebrasError as error:
            return text, error
        return text, None

    return asyncio.run(read())


both_stream_readers = pytest.mark.parametrize("read", [read_stream, read_astream])
