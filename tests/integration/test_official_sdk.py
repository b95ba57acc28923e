"""The emulator, used with the official Cerebras SDK."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from cerebras.cloud.sdk import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncCerebras,
    AuthenticationError,
    BadRequestError,
    Cerebras,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

from langchain_cerebras_inference.emulator import (
    Cut,
    Emulator,
    ErrorEvent,
    Refuse,
    Reply,
    Stall,
)

MODEL = "gpt-oss-120b"
MESSAGES: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


def get_client_settings(server: Emulator) -> dict[str, Any]:
    return {
        "api_key": server.api_key,
        "base_url": server.origin,
        "warm_tcp_connection": False,
    }


@pytest.fixture
def client(server: Emulator) -> Iterator[Cerebras]:
    with Cerebras(**get_client_settings(server), max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(server: Emulator) -> AsyncIterator[AsyncCerebras]:
    async with AsyncCerebras(**get_client_settings(server), max_retries=0) as client:
        yield client


def chat(client: Cerebras, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": MODEL, "messages": MESSAGES, **fields})


def test_sdk_warms_its_connection(server: Emulator) -> None:
    with Cerebras(api_key=server.api_key, base_url=server.origin):
        pass

    assert [request.path for request in server.requests] == ["/v1/tcp_warming"]


def test_sdk_reads_a_completion(client: Cerebras) -> None:
    completion = chat(client)

    (choice,) = completion.choices
    assert "Paris" in choice.message.content
    assert "Paris" in choice.message.reasoning
    assert choice.finish_reason == "stop"
    assert completion.usage.completion_tokens_details.reasoning_tokens > 0
    assert completion.time_info.total_time > 0


def test_sdk_reads_a_stream_that_adds_up_to_the_completion(client: Cerebras) -> None:
    completion = chat(client)
    chunks = list(chat(client, stream=True))

    deltas = [chunk.choices[0].delta for chunk in chunks]
    message = completion.choices[0].message
    assert "".join(delta.content or "" for delta in deltas) == message.content
    assert "".join(delta.reasoning or "" for delta in deltas) == message.reasoning
    assert chunks[-1].usage.model_dump() == completion.usage.model_dump()
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_async_sdk_reads_completions_and_streams(
    async_client: AsyncCerebras,
) -> None:
    create: Any = async_client.chat.completions.create

    completion = await create(model=MODEL, messages=MESSAGES)
    stream = await create(model=MODEL, messages=MESSAGES, stream=True)
    texts = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(texts) == completion.choices[0].message.content


def test_sdk_reads_a_tool_call_and_sends_the_result(client: Cerebras) -> None:
    choice = chat(client, tools=TOOLS).choices[0]
    (call,) = choice.message.tool_calls
    assistant_message = choice.message.model_dump(exclude_none=True)
    tool_message = {"role": "tool", "tool_call_id": call.id, "content": "Sunny"}

    completion = chat(
        client, messages=[*MESSAGES, assistant_message, tool_message], tools=TOOLS
    )

    assert choice.finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert call.function.arguments == '{"city": "Paris"}'
    assert "Sunny" in completion.choices[0].message.content


def test_sdk_reads_a_tool_call_in_fragments(client: Cerebras) -> None:
    chunks = list(chat(client, tools=TOOLS, stream=True))

    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [delta.tool_calls[0] for delta in deltas if delta.tool_calls]
    arguments = "".join(call.function.arguments or "" for call in calls)
    assert len(calls) > 2
    assert calls[0].function.name == "get_weather"
    assert arguments == '{"city": "Paris"}'


def test_sdk_lists_and_retrieves_models(client: Cerebras) -> None:
    names = [model.id for model in client.models.list().data]
    model: Any = client.models.retrieve("qwen-3.8-27b")

    assert names == [MODEL, "qwen-3.8-27b"]
    assert model.owned_by == "Cerebras"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, APIStatusError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (429, RateLimitError),
        (503, InternalServerError),
    ],
)
def test_sdk_raises_its_error_for_the_status(
    server: Emulator, client: Cerebras, status: int, error: type[APIStatusError]
) -> None:
    server.script(Refuse(status, message="No."))

    with pytest.raises(error) as caught:
        chat(client)

    assert caught.value.status_code == status
    assert "No." in str(caught.value.body)


def test_sdk_raises_for_an_error_event(server: Emulator, client: Cerebras) -> None:
    server.script(ErrorEvent(after=3, status=429))
    stream = chat(client, stream=True)
    chunks = []

    with pytest.raises(RateLimitError):
        chunks.extend(stream)

    assert len(chunks) == 3


def test_sdk_retries_rate_limits_and_lost_connections(server: Emulator) -> None:
    server.script(Refuse(429, headers={"retry-after-ms": "1"}), Cut(None), Reply("Hi"))

    with Cerebras(**get_client_settings(server)) as client:
        content = chat(client).choices[0].message.content

    assert content == "Hi"
    assert len(server.requests) == 3


def test_sdk_raises_for_lost_connections_and_timeouts(
    server: Emulator, client: Cerebras
) -> None:
    server.script(Cut(None, "reset"), Stall(None), Cut(2, "drop"))

    with pytest.raises(APIConnectionError):
        chat(client)
    with pytest.raises(APITimeoutError):
        chat(client, timeout=0.1)
    with pytest.raises(httpx.RemoteProtocolError):
        list(chat(client, stream=True))
