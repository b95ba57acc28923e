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


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def client(server: Emulator) -> Iterator[Cerebras]:
    with Cerebras(
        api_key=server.api_key,
        base_url=server.origin,
        max_retries=0,
        warm_tcp_connection=False,
    ) as sdk:
        yield sdk


@pytest.fixture
async def async_client(server: Emulator) -> AsyncIterator[AsyncCerebras]:
    async with AsyncCerebras(
        api_key=server.api_key,
        base_url=server.origin,
        max_retries=0,
        warm_tcp_connection=False,
    ) as sdk:
        yield sdk


def chat(client: Cerebras, **more: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=MESSAGES, **more)


def test_the_sdk_warms_its_connection(server: Emulator) -> None:
    with Cerebras(api_key=server.api_key, base_url=server.origin):
        pass

    assert [request.path for request in server.requests] == ["/v1/tcp_warming"]


def test_the_sdk_reads_a_whole_reply(client: Cerebras) -> None:
    completion = chat(client)

    (choice,) = completion.choices
    assert "Paris" in choice.message.content
    assert "Paris" in choice.message.reasoning
    assert choice.finish_reason == "stop"
    assert completion.usage.completion_tokens_details.reasoning_tokens > 0
    assert completion.time_info.total_time > 0


def test_the_sdk_adds_a_stream_up_to_the_whole_reply(client: Cerebras) -> None:
    whole = chat(client)
    chunks = list(chat(client, stream=True))

    deltas = [chunk.choices[0].delta for chunk in chunks]
    message = whole.choices[0].message
    assert "".join(delta.content or "" for delta in deltas) == message.content
    assert "".join(delta.reasoning or "" for delta in deltas) == message.reasoning
    assert chunks[-1].usage.model_dump() == whole.usage.model_dump()
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_async_sdk_reads_replies_and_streams(
    async_client: AsyncCerebras,
) -> None:
    create: Any = async_client.chat.completions.create

    whole = await create(model=MODEL, messages=MESSAGES)
    stream = await create(model=MODEL, messages=MESSAGES, stream=True)
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(pieces) == whole.choices[0].message.content


def test_the_sdk_calls_a_tool_and_tells_its_result(client: Cerebras) -> None:
    asked = chat(client, tools=TOOLS).choices[0]
    (call,) = asked.message.tool_calls
    turn: Any = asked.message.model_dump(exclude_none=True)
    answer: Any = {"role": "tool", "tool_call_id": call.id, "content": "Sunny"}

    told: Any = client.chat.completions.create(
        model=MODEL, messages=[*MESSAGES, turn, answer], tools=TOOLS
    )

    assert asked.finish_reason == "tool_calls"
    assert (call.function.name, call.function.arguments) == (
        "get_weather",
        '{"city": "Paris"}',
    )
    assert "Sunny" in told.choices[0].message.content


def test_the_sdk_joins_the_fragments_of_a_call(client: Cerebras) -> None:
    chunks = list(chat(client, tools=TOOLS, stream=True))

    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [delta.tool_calls[0] for delta in deltas if delta.tool_calls]
    arguments = "".join(call.function.arguments or "" for call in calls)
    assert len(calls) > 2
    assert calls[0].function.name == "get_weather"
    assert arguments == '{"city": "Paris"}'


def test_the_sdk_lists_and_retrieves_models(client: Cerebras) -> None:
    listed = [model.id for model in client.models.list().data]
    one: Any = client.models.retrieve("qwen-3.8-27b")

    assert listed == [MODEL, "qwen-3.8-27b"]
    assert one.owned_by == "Cerebras"


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
def test_the_sdk_raises_its_error_for_a_status(
    server: Emulator, client: Cerebras, status: int, error: type[APIStatusError]
) -> None:
    server.script(Refuse(status, message="No."))

    with pytest.raises(error) as caught:
        chat(client)

    assert caught.value.status_code == status
    assert "No." in str(caught.value.body)


def test_the_sdk_raises_for_an_error_within_a_stream(
    server: Emulator, client: Cerebras
) -> None:
    server.script(ErrorEvent(after=3, status=429))
    stream = chat(client, stream=True)
    arrived = []

    with pytest.raises(RateLimitError):
        arrived.extend(stream)

    assert len(arrived) == 3


def test_the_sdk_retries_what_is_worth_it(server: Emulator) -> None:
    server.script(Refuse(429, headers={"retry-after-ms": "1"}), Cut(None), Reply("Hi"))

    with Cerebras(
        api_key=server.api_key, base_url=server.origin, warm_tcp_connection=False
    ) as client:
        content = chat(client).choices[0].message.content

    assert content == "Hi"
    assert len(server.requests) == 3


def test_the_sdk_meets_broken_connections_and_silence(
    server: Emulator, client: Cerebras
) -> None:
    server.script(Cut(None, "reset"), Stall(None), Cut(2, "drop"))

    with pytest.raises(APIConnectionError):
        chat(client)
    with pytest.raises(APITimeoutError):
        chat(client, timeout=0.1)
    with pytest.raises(httpx.RemoteProtocolError):
        list(chat(client, stream=True))
