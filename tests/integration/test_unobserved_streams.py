"""Streams without callback handlers give the same chunks as langchain-core's own methods."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.tracers.context import collect_runs

from langchain_cerebras_inference import CerebrasError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Act, Cut, Emulator, Refuse, Reply, ToolCall
from tests.integration.helpers import create_model
from tests.integration.test_call_style_parity import SCENARIOS, Scenario

RUN_ID = UUID("12345678-1234-5678-1234-567812345678")
WORDS = " ".join(f"word{number}" for number in range(200))

Streamer = Callable[..., Any]


def read_sync(stream: Streamer, *args: Any, **options: Any) -> list[AIMessageChunk]:
    return list(stream(*args, **options))


def read_async(stream: Streamer, *args: Any, **options: Any) -> list[AIMessageChunk]:
    async def read() -> list[AIMessageChunk]:
        return [chunk async for chunk in stream(*args, **options)]

    return asyncio.run(read())


SYNC = (read_sync, "stream")
ASYNC = (read_async, "astream")
Method = tuple[Callable[..., list[AIMessageChunk]], str]


@pytest.fixture(params=[SYNC, ASYNC], ids=["stream", "astream"])
def method(request: pytest.FixtureRequest) -> Method:
    chosen: Method = request.param
    return chosen


def read_stream(method: Method, runnable: Any, prompt: Any, /, **options: Any) -> Any:
    read, name = method
    return read(getattr(runnable, name), prompt, **options)


def read_stream_of_core(
    method: Method, chat_model: ChatCerebrasInference, prompt: Any, /, **options: Any
) -> Any:
    read, name = method
    return read(getattr(BaseChatModel, name), chat_model, prompt, **options)


def describe(chunk: AIMessageChunk) -> dict[str, Any]:
    """Return everything that may differ between two chunks, without what differs by time."""
    fields = chunk.model_dump()
    for name in ("time_info", "created", "id", "headers"):
        fields["response_metadata"].pop(name, None)
    return {**fields, "set": sorted(chunk.model_fields_set), "type": type(chunk)}


class RecordingHandler(BaseCallbackHandler):
    """Keeps what langchain-core passes to a handler."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.results: list[LLMResult] = []

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(str(token))

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.results.append(response)


class AsyncRecordingHandler(AsyncCallbackHandler):
    """Keeps the results of streams."""

    def __init__(self) -> None:
        self.results: list[LLMResult] = []

    async def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.results.append(response)


class CountingLimiter(BaseRateLimiter):
    """Allows every call, and counts them."""

    calls = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        assert blocking
        self.calls += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire(blocking=blocking)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
@pytest.mark.parametrize("settings", [{}, {"coalesce": True}], ids=["", "coalesce"])
def test_chunks_are_those_of_langchain_core(
    server: Emulator, method: Method, scenario: Scenario, settings: dict[str, Any]
) -> None:
    model = create_model(server, **settings)
    options = {**scenario.options, "config": {"run_id": RUN_ID}}
    if scenario.tools:
        options["tools"] = [{"type": "function", "function": tool} for tool in scenario.tools]

    streams = []
    for read in (read_stream, read_stream_of_core):
        server.reset()
        server.script(scenario.behavior)
        streams.append(read(method, model, scenario.prompt, **options))

    ours, cores = streams
    total, total_of_core = ours[0], cores[0]
    for chunk in ours[1:]:
        total += chunk
    for chunk in cores[1:]:
        total_of_core += chunk
    assert describe(total) == describe(total_of_core)
    assert describe(ours[-1]) == describe(cores[-1])
    # With tool calls, the number of chunks depends on what arrives together.
    if not (settings or scenario.tools):
        assert list(map(describe, ours)) == list(map(describe, cores))


@pytest.mark.parametrize(
    "behavior",
    [Refuse(400, "wrong_api_format"), Cut(after=3, reply=Reply(content=WORDS))],
    ids=["before the first chunk", "in the stream"],
)
def test_error_is_that_of_langchain_core(
    server: Emulator, method: Method, behavior: Act
) -> None:
    model = create_model(server, max_retries=0)
    errors = []
    for read in (read_stream, read_stream_of_core):
        server.reset()
        server.script(behavior)
        with pytest.raises(CerebrasError) as caught:
            read(method, model, "Hello!")
        errors.append((type(caught.value), str(caught.value), caught.value.status))

    assert errors[0] == errors[1]


def test_message_ids_have_the_form_of_langchain_core(server: Emulator, method: Method) -> None:
    model = create_model(server)

    ours = {chunk.id for chunk in read_stream(method, model, "Hello!")}
    cores = {chunk.id for chunk in read_stream_of_core(method, model, "Hello!")}
    chosen = {
        chunk.id for chunk in read_stream(method, model, "Hello!", config={"run_id": RUN_ID})
    }

    assert len(ours) == len(cores) == 1
    assert ours != cores
    prefix, version = str(min(cores)).partition("--")[0], UUID(str(min(cores))[8:]).version
    assert str(min(ours)).startswith(f"{prefix}--")
    assert UUID(str(min(ours))[8:]).version == version
    assert chosen == {f"{prefix}--{RUN_ID}"}


def test_chunks_are_not_kept_without_a_handler(server: Emulator, method: Method) -> None:
    read, name = method
    alive: list[int] = []
    chunks: list[weakref.ref[AIMessageChunk]] = []

    def count(chunk: AIMessageChunk) -> None:
        chunks.append(weakref.ref(chunk))
        del chunk
        if len(chunks) == 150:
            gc.collect()
            alive.append(sum(ref() is not None for ref in chunks))

    server.script(Reply(content=" ".join(["word"] * 2_000), pace=0.001))
    model = create_model(server)
    if read is read_sync:
        for chunk in getattr(model, name)("Hello!"):
            count(chunk)
    else:

        async def work() -> None:
            async for chunk in getattr(model, name)("Hello!"):
                count(chunk)

        asyncio.run(work())

    assert alive
    # Only those of the events that arrived together may still be there.
    assert alive[0] < 75


@pytest.mark.parametrize("place", ["config", "constructor", "chain"])
def test_handler_gets_every_token_and_the_sum(
    server: Emulator, method: Method, place: str
) -> None:
    handler = RecordingHandler()
    server.script(Reply(content=WORDS))
    settings = {"callbacks": [handler]} if place == "constructor" else {}
    runnable: Any = create_model(server, **settings)
    prompt: Any = "Hello!"
    if place == "chain":
        runnable = ChatPromptTemplate.from_messages([("user", "{text}")]) | runnable
        prompt = {"text": "Hello!"}
    config = {} if place == "constructor" else {"callbacks": [handler]}

    chunks = read_stream(method, runnable, prompt, config=config)

    assert "".join(handler.tokens) == WORDS == "".join(chunk.text for chunk in chunks)
    assert [result.generations[0][0].text for result in handler.results] == [WORDS]


def test_async_handler_gets_the_sum(server: Emulator) -> None:
    handler = AsyncRecordingHandler()
    server.script(Reply(content=WORDS))

    read_stream(ASYNC, create_model(server), "Hello!", config={"callbacks": [handler]})

    assert [result.generations[0][0].text for result in handler.results] == [WORDS]


def test_context_managers_of_langchain_core_see_the_stream(
    server: Emulator, method: Method
) -> None:
    model = create_model(server)
    with get_usage_metadata_callback() as usage, collect_runs() as runs:
        read_stream(method, model, "Hello!")

    assert usage.usage_metadata["gpt-oss-120b"]["output_tokens"] > 0
    assert len(runs.traced_runs) == 1


def test_rate_limiter_is_asked_once(server: Emulator, method: Method) -> None:
    limiter = CountingLimiter()

    read_stream(method, create_model(server, rate_limiter=limiter), "Hello!")

    assert limiter.calls == 1


@pytest.mark.parametrize("settings", [{"disable_streaming": True}, {"output_version": "v1"}])
def test_settings_of_langchain_core_apply(
    server: Emulator, method: Method, settings: dict[str, Any]
) -> None:
    server.always(Reply(content="Hello, you."))
    model = create_model(server, **settings)

    ours = read_stream(method, model, "Hello!", config={"run_id": RUN_ID})
    cores = read_stream_of_core(method, model, "Hello!", config={"run_id": RUN_ID})

    assert [chunk.content for chunk in ours] == [chunk.content for chunk in cores]


def test_hooks_of_a_subclass_are_used(server: Emulator, method: Method) -> None:
    class Shouting(ChatCerebrasInference):
        def _stream(self, *args: Any, **options: Any) -> Any:
            for chunk in super()._stream(*args, **options):
                chunk.message.content = str(chunk.message.content).upper()
                yield chunk

        async def _astream(self, *args: Any, **options: Any) -> Any:
            async for chunk in super()._astream(*args, **options):
                chunk.message.content = str(chunk.message.content).upper()
                yield chunk

    server.script(Reply(content="Hello, you."))
    settings: Any = {"base_url": server.base_url, "api_key": server.api_key}
    model = Shouting(**settings)

    text = "".join(chunk.text for chunk in read_stream(method, model, "Hello!"))

    assert text == "HELLO, YOU."


def test_tool_calls_arrive_in_a_structured_stream(server: Emulator, method: Method) -> None:
    schema = {"title": "joke", "type": "object", "properties": {"setup": {"type": "string"}}}
    server.script(Reply(tool_calls=[ToolCall("joke", '{"setup": "Knock"}')]))
    runnable = create_model(server).with_structured_output(schema, method="function_calling")

    results = read_stream(method, runnable, "Tell a joke.")

    assert results[-1] == {"setup": "Knock"}
