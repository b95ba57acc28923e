"""A stream arrives complete, or raises an error after the text that arrived."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasInvalidRequestError,
    CerebrasProtocolError,
    CerebrasRateLimitError,
    CerebrasServerError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import (
    Cut,
    Emulator,
    ErrorEvent,
    Garble,
    Refuse,
    Reply,
    Stall,
    ToolCall,
)
from tests.integration import raw_server
from tests.integration.call_styles import (
    CallStyle,
    StreamReader,
    add_chunks,
    both_stream_readers,
    every_streaming_style,
)
from tests.integration.helpers import create_model

TWELVE_WORDS = Reply(content="one two three four five six seven eight nine ten eleven twelve")
"""An event with the role, then six tokens in each event."""

FIRST_WORDS = "one two three four five six"
"""The text of the first two events."""

SIXTY_WORDS = Reply(content=" ".join(f"word{number}" for number in range(60)))
"""Twenty events."""

every_break = pytest.mark.parametrize("how", ["close", "half", "drop", "reset"])
every_error_shape = pytest.mark.parametrize(
    "shape", ["enveloped", "flat", "event-enveloped", "event-flat"]
)


@pytest.fixture
def model(server: Emulator) -> ChatCerebrasInference:
    return create_model(server, timeout=0.3, max_retries=0)


# --- truncated streams --------------------------------------------------------------


@both_stream_readers
@pytest.mark.parametrize(("after", "expected"), [(0, ""), (1, ""), (2, FIRST_WORDS)])
@every_break
def test_truncated_stream_raises_connection_error_after_its_text(
    how: Any,
    after: int,
    expected: str,
    read: StreamReader,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    server.script(Cut(after=after, how=how, reply=TWELVE_WORDS))

    text, error = read(model)

    assert text == expected
    assert type(error) is CerebrasConnectionError
    assert error.is_retryable


@every_streaming_style
def test_truncated_stream_raises_in_every_streaming_style(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=2, reply=TWELVE_WORDS))

    with pytest.raises(CerebrasConnectionError):
        call(model, "Hello!")


@both_stream_readers
def test_stream_truncated_after_any_number_of_events_raises(
    read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    complete_text, _ = read(model)

    for after in range(50):
        server.script(Cut(after=after))
        text, error = read(model)
        if error is None:
            break
        assert complete_text.startswith(text)

    assert text == complete_text
    assert after > 5


@pytest.mark.parametrize("how", ["close", "drop", "reset"])
async def test_slow_reader_receives_all_text_that_arrived_before_the_connection_broke(
    how: Any, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(SIXTY_WORDS, Cut(after=12, how=how, reply=SIXTY_WORDS))
    complete = [chunk.text async for chunk in model.astream("Hello!", coalesce=False)]
    stream = model.astream("Hello!")

    texts = [str((await anext(stream)).text)]
    await asyncio.sleep(0.3)  # meanwhile everything arrives, and the connection breaks
    with pytest.raises(CerebrasConnectionError):
        await append_texts(stream, texts)

    assert "".join(texts) == "".join(complete[:11])


async def append_texts(stream: AsyncIterator[AIMessageChunk], texts: list[str]) -> None:
    async for chunk in stream:
        texts.append(chunk.text)


def test_error_response_raises_when_the_first_chunk_is_read(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(503))

    stream = model.stream("Hello!")

    with pytest.raises(CerebrasServerError):
        next(stream)


class TextRecorder(BaseCallbackHandler):
    """Keeps the text of the tokens, and the text that comes with the error."""

    def __init__(self) -> None:
        self.token_text = ""
        self.error_text = ""

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.token_text += token

    def on_llm_error(self, *_: Any, **kwargs: Any) -> None:
        self.error_text = kwargs["response"].generations[0][0].text


@both_stream_readers
def test_on_llm_error_receives_text_of_truncated_stream(
    read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=2, reply=TWELVE_WORDS))
    recorder = TextRecorder()

    read(model.with_config(callbacks=[recorder]))

    assert recorder.error_text == FIRST_WORDS


@every_streaming_style
def test_on_llm_new_token_receives_text_of_truncated_stream(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=2, reply=TWELVE_WORDS))
    recorder = TextRecorder()

    with pytest.raises(CerebrasConnectionError):
        call(model.with_config(callbacks=[recorder]), "Hello!")

    assert recorder.token_text == FIRST_WORDS


# --- after the finish reason --------------------------------------------------------


@both_stream_readers
@every_break
def test_stream_without_done_event_succeeds(
    how: Any, read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=-1, how=how, reply=TWELVE_WORDS))

    text, error = read(model)

    assert error is None
    assert text == TWELVE_WORDS.content


@both_stream_readers
def test_silence_after_finish_reason_ends_the_stream_soon(
    read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Stall(after=-1, reply=TWELVE_WORDS))
    started = time.monotonic()

    text, error = read(model)

    assert error is None
    assert text == TWELVE_WORDS.content
    assert time.monotonic() - started < 3


@both_stream_readers
def test_events_after_finish_reason_are_read_for_a_short_time_only(
    read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    finish = {"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}
    usage: dict[str, Any] = {"choices": [], "usage": {}}
    ten_seconds = [usage] * 100
    server.script(Reply(events=[{"choices": [finish]}, *ten_seconds], pace=0.1))
    started = time.monotonic()

    text, error = read(model)

    assert error is None
    assert text == "Hello."
    assert time.monotonic() - started < 5


@both_stream_readers
def test_empty_finish_reason_does_not_finish_the_stream(
    read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    choice = {"index": 0, "delta": {"content": "Hello."}, "finish_reason": ""}
    server.script(Reply(events=[{"choices": [choice]}]))

    text, error = read(model)

    assert text == "Hello."
    assert type(error) is CerebrasConnectionError


# --- errors inside a stream ---------------------------------------------------------


@both_stream_readers
@every_error_shape
@pytest.mark.parametrize(("after", "expected"), [(0, ""), (1, ""), (2, FIRST_WORDS)])
def test_error_event_raises_after_the_text_before_it(
    after: int,
    expected: str,
    shape: Any,
    read: StreamReader,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    server.script(ErrorEvent(after=after, status=429, shape=shape, reply=TWELVE_WORDS))

    text, error = read(model)

    assert text == expected
    assert type(error) is CerebrasRateLimitError
    assert (error.status, error.code) == (429, "request_quota_exceeded")
    assert "Requests per minute limit exceeded" in str(error)


@both_stream_readers
@every_error_shape
@pytest.mark.parametrize(
    ("status", "code", "error_class"),
    [
        (400, "tool_use_failed", CerebrasInvalidRequestError),
        (429, "token_quota_exceeded", CerebrasRateLimitError),
        (500, None, CerebrasServerError),
        (503, None, CerebrasServerError),
    ],
)
def test_error_event_raises_the_class_of_its_status_or_code(
    status: int,
    code: str | None,
    error_class: type[CerebrasError],
    shape: Any,
    read: StreamReader,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    server.script(ErrorEvent(2, status, code, shape=shape, reply=TWELVE_WORDS))

    text, error = read(model)

    assert text == FIRST_WORDS
    assert type(error) is error_class


@every_streaming_style
@every_error_shape
def test_error_event_raises_in_every_streaming_style(
    shape: Any, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(ErrorEvent(after=2, shape=shape, reply=TWELVE_WORDS))

    with pytest.raises(CerebrasRateLimitError):
        call(model, "Hello!")


INVALID_BODIES: Mapping[str, type[CerebrasError]] = {
    "html": CerebrasProtocolError,
    "flat_error": CerebrasServerError,
    "empty": CerebrasConnectionError,
}


@both_stream_readers
@pytest.mark.parametrize("body", INVALID_BODIES)
def test_body_that_is_not_a_stream_raises(
    body: Any, read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Garble(body))

    text, error = read(model)

    assert text == ""
    assert type(error) is INVALID_BODIES[body]


@both_stream_readers
@pytest.mark.parametrize("event", ["json", "deep", "null", "list", "types", "utf8", "endless"])
def test_invalid_event_raises_after_the_text_before_it(
    event: Any, read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Garble(event, after=2, reply=TWELVE_WORDS))

    text, error = read(model)

    assert text == FIRST_WORDS
    assert type(error) is CerebrasProtocolError
    assert len(str(error)) < 1000


@both_stream_readers
def test_content_type_of_a_stream_is_case_insensitive(
    read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    headers = {"Content-Type": "Text/Event-Stream"}
    server.script(Reply(content=TWELVE_WORDS.content, headers=headers))

    text, error = read(model)

    assert error is None
    assert text == TWELVE_WORDS.content


# --- the chunks ---------------------------------------------------------------------


@pytest.mark.parametrize(("coalesce", "chunk_count"), [(True, 4), (False, 100)])
async def test_coalesce_joins_events_that_arrive_together(
    coalesce: bool, chunk_count: int
) -> None:
    words = raw_server.event_http_chunk("word ") * 100
    finish = raw_server.event_http_chunk(finish_reason="stop")
    burst = raw_server.STREAM_HEAD + words + finish + raw_server.STREAM_END

    def send_burst(connection: raw_server.Connection) -> None:
        while connection.read_request():
            connection.send(burst)

    with raw_server.run_raw_server(send_burst) as url:
        model = ChatCerebrasInference(base_url=url, api_key="k", coalesce=coalesce)
        texts = [chunk.text async for chunk in model.astream("Hello!") if chunk.text]
        await model.aclose()

    assert "".join(texts) == "word " * 100
    assert len(texts) == chunk_count


def test_only_the_last_chunk_has_usage_and_metadata(model: ChatCerebrasInference) -> None:
    *chunks, last = model.stream("Hello!")

    assert isinstance(last, AIMessageChunk)
    assert last.chunk_position == "last"
    assert last.usage_metadata
    assert last.response_metadata["finish_reason"] == "stop"
    assert {"id", "model_name", "time_info"} <= last.response_metadata.keys()
    assert not any(chunk.usage_metadata for chunk in chunks)
    assert {tuple(chunk.response_metadata) for chunk in chunks} == {("model_provider",)}


def test_usage_in_the_first_event_is_kept(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    finish = {"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}
    server.script(Reply(events=[{"choices": [], "usage": usage}, {"choices": [finish]}]))

    message = add_chunks(model.stream("Hello!"))

    assert message.text == "Hello."
    assert message.usage_metadata
    assert message.usage_metadata["total_tokens"] == 7


def test_no_chunk_has_two_kinds_of_content(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(
        Reply(
            reasoning="Let me see what there is to be done about this.",
            content="I will do what there is to be done about this.",
            tool_calls=[ToolCall("magic", {"input": 3})],
        )
    )

    chunks = list(model.bind_tools([{"name": "magic"}]).stream("Hello!"))

    block_types = [{block["type"] for block in chunk.content_blocks} for chunk in chunks]
    assert set(map(len, block_types)) == {0, 1}
    assert set.union(*block_types) == {"reasoning", "text", "tool_call_chunk"}
