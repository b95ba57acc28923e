"""Parsing responses: the events of a stream, whole completions, and errors."""

import json
import sys
from typing import Any, cast

import pytest

from langchain_cerebras_inference._error_mapping import RequestInfo
from langchain_cerebras_inference._http.response import Response
from langchain_cerebras_inference._response_parser import (
    EventStream,
    ResponseParser,
    has_content,
)
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasConnectionError,
    CerebrasError,
    CerebrasProtocolError,
    CerebrasRateLimitError,
    CerebrasServerError,
    CerebrasTimeoutError,
)
from tests.unit.stream_helpers import FakeResponse

API_KEY = "csk-0123456789"
SHORT_SECRET = "no"
ERROR_BODY = {"error": {"message": "slow down"}, "status_code": 429}
ROLE = {"choices": [{"delta": {"role": "assistant"}}]}


def create_parser() -> ResponseParser:
    return ResponseParser(RequestInfo("m"), [API_KEY, SHORT_SECRET])


def create_stream(response: FakeResponse, max_events: int = sys.maxsize) -> EventStream:
    return EventStream(cast("Response", response), create_parser(), max_events)


def text_event(text: str, **choice_fields: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, **choice_fields}]}


def finish_event(text: str = "") -> dict[str, Any]:
    return text_event(text, finish_reason="stop")


def encode(*events: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


async def read_stream(
    *parts: bytes | CerebrasError, max_events: int = sys.maxsize
) -> tuple[list[Any], CerebrasError | None]:
    """Return the events in batches, and the error at the end of the stream."""
    stream = create_stream(FakeResponse(parts), max_events)
    batches = []
    try:
        while batch := await stream.read_batch():
            batches.append(batch)
    except CerebrasError as error:
        return batches, error
    return batches, None


def get_text(batches: list[Any]) -> str:
    choices = [event["choices"][0] for batch in batches for event in batch]
    return "".join(choice["delta"]["content"] for choice in choices)


# --- streams: batches and the order of errors ----------------------------------------


@pytest.mark.parametrize(
    ("max_events", "sizes"),
    [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (sys.maxsize, [7])],
)
async def test_events_that_arrive_together_are_returned_in_batches(
    max_events: int, sizes: list[int]
) -> None:
    body = encode(*map(text_event, "012345"), finish_event("6"))

    batches, error = await read_stream(body, max_events=max_events)

    assert list(map(len, batches)) == sizes
    assert get_text(batches) == "0123456"
    assert error is None


every_batch_size = pytest.mark.parametrize("max_events", [1, 3, 4, sys.maxsize])


@every_batch_size
async def test_error_event_is_raised_after_the_events_before_it(max_events: int) -> None:
    body = encode(*map(text_event, "0123"), ERROR_BODY, finish_event("5"))

    batches, error = await read_stream(body, max_events=max_events)

    assert get_text(batches) == "0123"
    assert type(error) is CerebrasRateLimitError
    assert str(error) == "The stream contains an error (status 429): slow down."


@every_batch_size
async def test_first_of_several_errors_is_raised(max_events: int) -> None:
    body = encode(text_event("0"), ERROR_BODY, {"error": "another"}, "not an event")

    _, error = await read_stream(body, max_events=max_events)

    assert type(error) is CerebrasRateLimitError


@every_batch_size
async def test_broken_connection_is_raised_after_the_events_before_it(max_events: int) -> None:
    broken = CerebrasTimeoutError("broken")

    batches, error = await read_stream(
        encode(*map(text_event, "01234")), broken, max_events=max_events
    )

    assert get_text(batches) == "01234"
    assert error is broken
    assert (error.status, error.request_id) == (200, "req-1")


async def test_error_is_raised_again_by_each_further_read() -> None:
    stream = create_stream(FakeResponse([encode(ERROR_BODY)]))

    for _ in range(2):
        with pytest.raises(CerebrasRateLimitError):
            await stream.read_batch()


# --- streams: the end ----------------------------------------------------------------


@every_batch_size
async def test_events_after_the_finish_reason_are_returned(max_events: int) -> None:
    body = encode(*map(text_event, "012"), finish_event("3"), *map(text_event, "45"))

    batches, error = await read_stream(body, max_events=max_events)

    assert get_text(batches) == "012345"
    assert error is None


@pytest.mark.parametrize(
    "end",
    [
        encode(ERROR_BODY),
        b"data: not JSON\n\n",
        b"data: {",
        CerebrasConnectionError("broken"),
        CerebrasTimeoutError("idle"),
    ],
)
async def test_error_after_the_finish_reason_is_ignored(end: bytes | CerebrasError) -> None:
    batches, error = await read_stream(encode(text_event("0"), finish_event("1")), end)

    assert get_text(batches) == "01"
    assert error is None


@pytest.mark.parametrize(
    "end", [b"", b"data: [DONE]\n\n", b": comment\n\n", b"data: {", encode(finish_event())[:-9]]
)
async def test_stream_without_a_finish_reason_is_truncated(end: bytes) -> None:
    batches, error = await read_stream(encode(text_event("0")) + end)

    assert get_text(batches) == "0"
    assert type(error) is CerebrasConnectionError
    assert str(error).startswith("The stream was truncated")
    assert (error.status, error.request_id) == (200, "req-1")


@pytest.mark.parametrize("blank_line", [b"", b"\n", b"\r", b"\r\n"])
async def test_last_event_needs_no_blank_line(blank_line: bytes) -> None:
    body = encode(text_event("0"), finish_event("1")).rstrip() + blank_line

    batches, error = await read_stream(body)

    assert get_text(batches) == "01"
    assert error is None


async def test_time_after_the_first_finish_reason_is_limited_once() -> None:
    response = FakeResponse([encode(text_event("0"), finish_event(), finish_event())])
    stream = create_stream(response)

    while await stream.read_batch():
        pass

    assert response.time_limits == [1.0]


@pytest.mark.parametrize("end", [encode(finish_event()), b""])
async def test_response_is_closed_when_the_stream_has_ended(end: bytes) -> None:
    response = FakeResponse([encode(text_event("0")), end])
    stream = create_stream(response)

    try:
        while await stream.read_batch():
            assert not response.is_closed
    except CerebrasConnectionError:
        pass

    assert response.is_closed


async def test_leaving_the_context_closes_the_response() -> None:
    response = FakeResponse([encode(text_event("0"))])

    with create_stream(response) as stream:
        await stream.read_batch()
        assert not response.is_closed

    assert response.is_closed


# --- streams: progress ---------------------------------------------------------------


EVENT = encode(text_event("0"))


@pytest.mark.parametrize(
    ("parts", "is_progress"),
    [
        pytest.param([b": keep-alive\n\n", EVENT], False, id="comment"),
        pytest.param([b"\n\n", EVENT], False, id="blank lines"),
        pytest.param([b"id: 7\nretry: 100", b"\n\n" + EVENT], False, id="other fields"),
        pytest.param([b"data:\n\n", EVENT], False, id="empty payload"),
        pytest.param([EVENT[:6], EVENT[6:]], False, id="start of an event without payload"),
        pytest.param([EVENT[:7], EVENT[7:]], True, id="start of a payload"),
        pytest.param([b"data: [DONE]\n\n", EVENT], True, id="done without a finish reason"),
    ],
)
async def test_idle_timeout_restarts_only_after_progress(
    parts: list[bytes], is_progress: bool
) -> None:
    response = FakeResponse(parts)

    await create_stream(response).wait_for_content()

    assert response.timeout_restarts == [False, is_progress]


async def test_idle_timeout_restarts_after_each_return_to_the_caller() -> None:
    """While the caller is busy, the time of the server does not pass."""
    comment = b": keep-alive\n\n"
    parts = [encode(text_event("0")), comment, encode(text_event("1")), comment]
    response = FakeResponse(parts)
    stream = create_stream(response)

    await stream.read_batch()
    await stream.read_batch()
    with pytest.raises(CerebrasConnectionError):
        await stream.read_batch()

    assert response.timeout_restarts == [False, True, False, True, False]


async def test_events_that_have_arrived_are_returned_without_reading() -> None:
    response = FakeResponse([encode(*map(text_event, "012"))])
    stream = create_stream(response, max_events=2)

    first, second = await stream.read_batch(), await stream.read_batch()

    assert get_text([first, second]) == "012"
    assert len(response.timeout_restarts) == 1


# --- streams: the first content ------------------------------------------------------


async def test_wait_for_content_keeps_the_first_events_with_content() -> None:
    response = FakeResponse(
        [encode(ROLE), encode(ROLE, text_event("0")), encode(finish_event())]
    )
    stream = create_stream(response)

    await stream.wait_for_content()

    assert len(response.timeout_restarts) == 2
    assert await stream.read_batch() == [ROLE, text_event("0")]
    assert await stream.read_batch() == [finish_event()]


@pytest.mark.parametrize(
    ("parts", "error_class"),
    [
        ([encode(ROLE)], CerebrasConnectionError),
        ([encode(ROLE), encode(ERROR_BODY)], CerebrasRateLimitError),
        ([encode(ROLE), CerebrasTimeoutError("idle")], CerebrasTimeoutError),
    ],
)
async def test_wait_for_content_raises_an_error_that_comes_before_any_content(
    parts: list[bytes | CerebrasError], error_class: type[CerebrasError]
) -> None:
    with pytest.raises(error_class):
        await create_stream(FakeResponse(parts)).wait_for_content()


async def test_wait_for_content_leaves_an_error_after_content_to_the_next_read() -> None:
    stream = create_stream(FakeResponse([encode(text_event("0"), ERROR_BODY)]))

    await stream.wait_for_content()

    assert await stream.read_batch() == [text_event("0")]
    with pytest.raises(CerebrasRateLimitError):
        await stream.read_batch()


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ROLE, False),
        ({"choices": [{"delta": {"role": "assistant", "content": ""}}]}, False),
        (text_event("Hello"), True),
        (text_event("", logprobs={"content": [{}]}), True),
        ({"choices": [{"delta": {}, "reasoning_logprobs": {"content": [{}]}}]}, True),
        ({"choices": [{"delta": {}, "finish_reason": "stop"}]}, True),
        ({"choices": []}, False),
        ({"choices": [], "usage": {}}, True),
    ],
)
def test_event_has_content_if_it_has_more_than_a_role(event: Any, expected: bool) -> None:
    assert has_content(event) is expected


# --- streams: unusual events ---------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        {"choices": []},
        {"choices": None},
        {"choices": 0},
        {},
        {"usage": {"total_tokens": 3}},
    ],
)
async def test_event_without_a_choice_gets_an_empty_list(event: dict[str, Any]) -> None:
    batches, error = await read_stream(encode(event, finish_event()))

    assert batches == [[{**event, "choices": []}, finish_event()]]
    assert error is None


@pytest.mark.parametrize("delta", [{}, {"content": "a"}, None, "", 0, []])
async def test_event_with_a_choice_is_returned_unchanged(delta: Any) -> None:
    event = {"choices": [{"delta": delta, "finish_reason": "stop"}]}

    assert await read_stream(encode(event)) == ([[event]], None)


@pytest.mark.parametrize(
    "event",
    [
        {"choices": 5},
        {"choices": "a"},
        {"choices": {"delta": {}}},
        {"choices": ["a"]},
        {"choices": [5]},
        {"choices": [[]]},
        {"choices": [None]},
        {"choices": [{"delta": 5}]},
        {"choices": [{"delta": "text"}]},
        {"choices": [{"delta": ["content"]}]},
        "text",
        5,
        [],
        None,
    ],
)
async def test_event_with_an_unexpected_structure_raises_a_protocol_error(event: Any) -> None:
    batches, error = await read_stream(encode(text_event("0"), event, finish_event()))

    assert get_text(batches) == "0"
    assert type(error) is CerebrasProtocolError
    assert "Check base_url" in str(error)


@pytest.mark.parametrize(
    "payload", [b"<html>", b'{"choices": [', b'{"id": "\xff"}', b"[" * 999]
)
async def test_payload_that_is_not_json_raises_a_protocol_error(payload: bytes) -> None:
    _, error = await read_stream(b"data: " + payload + b"\n\n")

    assert type(error) is CerebrasProtocolError


@pytest.mark.parametrize(
    ("body", "error_class"),
    [
        (b'data: {"error": {"message": "No.", "code": 401}}', CerebrasAuthenticationError),
        (b'data: {"error": "No.", "choices": [{"delta": {}}]}', CerebrasServerError),
        (b'data: {"message": "No.", "code": "queue_exceeded"}', CerebrasRateLimitError),
        (b'data: {"error": "No.", "status_code": 429}', CerebrasRateLimitError),
        (b'data: {"error": "No.", "status_code": true}', CerebrasServerError),
        (b'event: error\ndata: {"choices": [{"delta": {}}]}', CerebrasServerError),
        (b"event: error\ndata: overloaded", CerebrasServerError),
    ],
)
async def test_error_event_has_the_class_of_its_status_or_code(
    body: bytes, error_class: type[CerebrasError]
) -> None:
    batches, error = await read_stream(body + b"\n\n")

    assert batches == []
    assert type(error) is error_class
    assert error.request_id == "req-1"


# --- whole completions ---------------------------------------------------------------


async def parse_completion(body: bytes, **headers: str) -> Any:
    response = FakeResponse([body[:1], body[1:]], headers=headers)
    return await create_parser().parse_completion(cast("Response", response))


async def test_completion_is_returned_as_it_was_sent() -> None:
    completion = {"id": "c", "choices": [{"message": {"content": "Yes."}}], "error": None}

    assert await parse_completion(json.dumps(completion).encode()) == completion


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": 5}',
        b'{"choices": {"message": {}}}',
        b"[]",
        b'"text"',
        b"null",
        b"<html>",
        b"",
    ],
)
async def test_unexpected_body_raises_a_protocol_error_that_quotes_it(body: bytes) -> None:
    with pytest.raises(
        CerebrasProtocolError, match=r"status 200.* text/plain .*base_url"
    ) as error:
        await parse_completion(body, **{"content-type": "text/plain"})

    assert (error.value.status, error.value.request_id) == (200, "req-1")


async def test_error_for_an_empty_body_says_that_it_is_empty() -> None:
    with pytest.raises(CerebrasProtocolError, match=r"text/plain and an empty body\. Check"):
        await parse_completion(b"", **{"content-type": "text/plain"})


async def test_error_body_with_status_200_raises_the_error_that_it_describes() -> None:
    with pytest.raises(CerebrasRateLimitError, match="429: slow down"):
        await parse_completion(json.dumps(ERROR_BODY).encode())


async def test_broken_connection_raises_an_error_with_status_and_request_id() -> None:
    response = FakeResponse([b'{"choices"', CerebrasConnectionError("broken")])

    with pytest.raises(CerebrasConnectionError, match="broken") as error:
        await create_parser().parse_completion(cast("Response", response))

    assert (error.value.status, error.value.request_id) == (200, "req-1")


# --- error responses -----------------------------------------------------------------


async def parse_error(*parts: bytes | CerebrasError, status: int = 429) -> CerebrasError:
    response = FakeResponse(parts, status)
    return await create_parser().parse_error(cast("Response", response))


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b'{"message": "slow down"}', {"message": "slow down"}),
        (b"<html>", "<html>"),
        (b"caf\xe9", "caf\ufffd"),
        (b"", ""),
    ],
)
async def test_error_has_its_body_as_json_or_text(raw: bytes, body: Any) -> None:
    error = await parse_error(raw)

    assert type(error) is CerebrasRateLimitError
    assert error.body == body


async def test_error_with_a_truncated_body_has_the_class_of_its_status() -> None:
    error = await parse_error(b'{"message"', CerebrasConnectionError("broken"))

    assert type(error) is CerebrasRateLimitError
    assert error.body == ""


async def test_secrets_are_redacted_in_errors() -> None:
    escaped_key = API_KEY.replace("c", "\\u0063")
    raw = f'{{"message": "{API_KEY} is wrong", "{API_KEY}": ["{escaped_key}"]}}'

    error = await parse_error(raw.encode(), status=401)

    assert error.body == {"message": "*** is wrong", "***": ["***"]}
    assert "*** is wrong" in str(error)


async def test_short_secrets_are_not_redacted() -> None:
    """If each `no` in an ordinary text became `***`, the secret would be easy to guess."""
    assert (await parse_error(b'{"message": "no"}')).body == {"message": "no"}
