"""Call styles: one function for each way to call a model; each returns the whole message."""

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


def stream(model: Model, prompt: Any) -> AIMessage:
    return add_chunks(model.stream(prompt))


def astream(model: Model, prompt: Any) -> AIMessage:
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


def _by_name(*styles: CallStyle) -> Mapping[str, CallStyle]:
    return {style.__name__: style for style in styles}


NON_STREAMING_STYLES = _by_name(invoke, ainvoke, batch, abatch)
STREAMING_STYLES = _by_name(stream, astream, streaming_invoke, streaming_ainvoke)
CALL_STYLES = {**NON_STREAMING_STYLES, **STREAMING_STYLES}
SYNC_STYLES = _by_name(invoke, stream, batch, streaming_invoke)

# pytest takes the name of each function as the id of its test.
every_call_style = pytest.mark.parametrize("call", CALL_STYLES.values())
every_non_streaming_style = pytest.mark.parametrize("call", NON_STREAMING_STYLES.values())
every_streaming_style = pytest.mark.parametrize("call", STREAMING_STYLES.values())
every_sync_style = pytest.mark.parametrize("call", SYNC_STYLES.values())
invoke_and_astream = pytest.mark.parametrize("call", [invoke, astream])
stream_and_astream = pytest.mark.parametrize("call", [stream, astream])


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
    """Do the same with `astream`."""

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
