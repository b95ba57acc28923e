"""Malformed responses: each gives a completion or a CerebrasError, in bounded memory.

The tests call the response parser directly. They parse tens of thousands of bodies, which
would take minutes over HTTP.
"""

import copy
import itertools
import json
import sys
import tracemalloc
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message

from langchain_cerebras_inference._conversion import completion
from langchain_cerebras_inference._conversion.chunks import ChunkBuilder
from langchain_cerebras_inference._conversion.protocol_events import ProtocolEventBuilder
from langchain_cerebras_inference._error_mapping import RequestInfo
from langchain_cerebras_inference._http.response import Response
from langchain_cerebras_inference._http.sse import MAX_EVENT_BYTES
from langchain_cerebras_inference._response_parser import EventStream, ResponseParser
from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasProtocolError,
    CerebrasRateLimitError,
)
from tests.unit.stream_helpers import FakeResponse

DATA = Path(__file__).parents[1] / "data"
API_KEY = "csk-of-mine"
MEGABYTE = 2**20

T = TypeVar("T")


# --- reading a response -------------------------------------------------------------


def create_response(parts: Iterable[bytes]) -> Response:
    headers = {"content-type": "text/event-stream"}
    return cast("Response", FakeResponse(parts, headers=headers))


def create_parser() -> ResponseParser:
    return ResponseParser(RequestInfo("gpt-oss-120b"), [API_KEY])


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without an event loop."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    result: T = stopped.value.value
    return result


def read_batches(parts: Iterable[bytes]) -> list[list[Any]]:
    """Return the events of a stream in batches; the last batch is empty."""

    async def read() -> list[list[Any]]:
        stream = EventStream(create_response(parts), create_parser(), sys.maxsize)
        batches = []
        while batch := await stream.read_batch():
            batches.append(batch)
        return [*batches, []]

    return run(read())


def read_chunks(parts: Iterable[bytes], *, coalesce: bool = False) -> AIMessage:
    """Return the message that the chunks of a stream add up to."""
    builder = ChunkBuilder({}, coalesce=coalesce)
    first, *others = [
        chunk for batch in read_batches(parts) for chunk in builder.build_chunks(batch)
    ]
    message = sum(others, first).message
    assert isinstance(message, AIMessageChunk)
    return cast("AIMessage", message_chunk_to_message(message))


def read_coalesced_chunks(parts: Iterable[bytes]) -> AIMessage:
    return read_chunks(parts, coalesce=True)


def read_v3_events(parts: Iterable[bytes]) -> list[Any]:
    """Return LangChain's v3 events for a stream."""
    builder = ProtocolEventBuilder({})
    return [
        event for batch in read_batches(parts) for event in builder.build_protocol_events(batch)
    ]


def read_completion(parts: Iterable[bytes]) -> AIMessage:
    """Return the message of a completion that is not streamed."""
    body = run(create_parser().parse_completion(create_response(parts)))
    message = completion.convert_completion(body, {}).generations[0].message
    assert isinstance(message, AIMessage)
    return message


Reader: TypeAlias = Callable[[Iterable[bytes]], Any]
STREAM_READERS: list[Reader] = [read_chunks, read_coalesced_chunks, read_v3_events]


def read_or_error(reader: Reader, parts: Iterable[bytes]) -> Any:
    """Return what was read, or the class of the CerebrasError; fail at any other error."""
    try:
        return reader(parts)
    except CerebrasError as caught:
        error = caught
    message = str(error)
    assert "\n" not in message
    assert len(message) < 1000
    assert API_KEY not in f"{error!r} {vars(error)}"
    return type(error)


# --- valid responses, and values to put into them -----------------------------------

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
ENVELOPE = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1786000000,
    "model": "gpt-oss-120b",
    "system_fingerprint": "fp_1",
    "service_tier": "auto",
    "service_tier_used": "auto",
    "time_info": {"queue_time": 0.1, "completion_time": 0.2, "created": 1786000000.5},
}
LOGPROBS = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
TOOL_CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "magic", "arguments": '{"input": 3}'},
}
MESSAGE = {
    "role": "assistant",
    "reasoning": "So.",
    "content": "Yes.",
    "tool_calls": [TOOL_CALL],
}
CHOICE = {
    "index": 0,
    "logprobs": LOGPROBS,
    "reasoning_logprobs": LOGPROBS,
    "finish_reason": "stop",
}
FIRST_EVENT = {
    **ENVELOPE,
    "choices": [{"index": 0, "delta": {"content": "No. "}, "logprobs": LOGPROBS}],
}
LAST_EVENT = {**ENVELOPE, "choices": [{**CHOICE, "delta": MESSAGE}], "usage": USAGE}
COMPLETION = {**ENVELOPE, "choices": [{**CHOICE, "message": MESSAGE}], "usage": USAGE}

WRONG_VALUES: list[Any] = [
    None,
    True,
    0,
    7,
    -1,
    0.5,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "text",
    f"{API_KEY}\n" * 100,
    [],
    [1, "a", None],
    [[[]]],
    [{"a": 1, API_KEY: API_KEY}],
    {},
    {"a": {"b": [API_KEY]}},
    json.loads("[" * 150 + "]" * 150),
]

JsonPath: TypeAlias = tuple[str | int, ...]
CONTENT: JsonPath = ("choices", 0, "delta", "content")
TOOL_CALLS: JsonPath = ("choices", 0, "delta", "tool_calls")


def find_paths(value: Any, path: JsonPath = ()) -> Iterator[JsonPath]:
    """Yield the path of every value inside a JSON value."""
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from find_paths(item, (*path, key))


EVENT_PATHS = list(find_paths(LAST_EVENT))
COMPLETION_PATHS = list(find_paths(COMPLETION))


def format_path(path: JsonPath) -> str:
    return ".".join(map(str, path))


def replace(document: Any, path: JsonPath, value: Any) -> Any:
    """Return a copy of a JSON document with another value at a path."""
    changed = copy.deepcopy(document)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return changed


def encode_stream(*events: Any) -> list[bytes]:
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]


def encode_body(document: Any) -> list[bytes]:
    return [json.dumps(document).encode()]


# --- wrong values -------------------------------------------------------------------


def test_valid_responses_are_parsed() -> None:
    stream = encode_stream(FIRST_EVENT, LAST_EVENT)

    messages = [read_chunks(stream), read_coalesced_chunks(stream)]
    messages.append(read_completion(encode_body(COMPLETION)))
    last_event = read_v3_events(stream)[-1]

    assert [message.text for message in messages] == ["No. Yes.", "No. Yes.", "Yes."]
    assert [message.tool_calls[0]["args"] for message in messages] == [{"input": 3}] * 3
    assert last_event["event"] == "message-finish"


@pytest.mark.parametrize("reader", STREAM_READERS)
@pytest.mark.parametrize("path", EVENT_PATHS, ids=format_path)
def test_wrong_value_in_an_event_raises_only_cerebras_errors(
    path: JsonPath, reader: Reader
) -> None:
    for value in WRONG_VALUES:
        wrong_event = replace(LAST_EVENT, path, value)

        read_or_error(reader, encode_stream(wrong_event, LAST_EVENT))
        read_or_error(reader, encode_stream(FIRST_EVENT, wrong_event))
        read_or_error(reader, encode_stream(FIRST_EVENT, wrong_event, LAST_EVENT))


@pytest.mark.parametrize("path", COMPLETION_PATHS, ids=format_path)
def test_wrong_value_in_a_completion_raises_only_cerebras_errors(path: JsonPath) -> None:
    for value in WRONG_VALUES:
        read_or_error(read_completion, encode_body(replace(COMPLETION, path, value)))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(WRONG_VALUES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(
    changes=st.lists(st.tuples(st.sampled_from(EVENT_PATHS), JSON), max_size=4),
    reader=st.sampled_from(STREAM_READERS),
)
def test_several_wrong_events_raise_only_cerebras_errors(
    changes: list[tuple[JsonPath, Any]], reader: Reader
) -> None:
    wrong_events = [replace(LAST_EVENT, path, value) for path, value in changes]

    read_or_error(reader, encode_stream(FIRST_EVENT, *wrong_events, LAST_EVENT))


@given(documents=st.lists(JSON, max_size=4), reader=st.sampled_from(STREAM_READERS))
def test_arbitrary_json_raises_only_cerebras_errors(
    documents: list[Any], reader: Reader
) -> None:
    read_or_error(reader, encode_stream(*documents))
    for document in documents:
        read_or_error(read_completion, encode_body(document))


# --- arbitrary bytes ----------------------------------------------------------------

WHOLE_STREAMS = [
    "reasoning",
    "transition",
    "tool_fragments",
    "parallel_tools",
    "logprobs",
    "trailing_usage",
    "unicode",
]
BROKEN_STREAMS = ["truncated", "error_envelope", "error_flat", "error_named"]
LINE_ENDINGS = [b"\n", b"\r\n", b"\r"]
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_recorded_stream(name: str) -> bytes:
    return (DATA / f"{name}.sse").read_bytes()


def split_anywhere(stream: bytes, data: st.DataObject) -> list[bytes]:
    """Split a stream into parts at places that Hypothesis draws."""
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    starts, ends = [0, *places], [*places, len(stream)]
    return [stream[start:end] for start, end in zip(starts, ends, strict=True)]


@given(
    name=st.sampled_from(WHOLE_STREAMS),
    line_ending=st.sampled_from(LINE_ENDINGS),
    prefix=st.sampled_from([b"", BYTE_ORDER_MARK, b"\n", b": hello\n\n"]),
    separator=st.sampled_from([b"", b"\n", b": keep-alive\n\n", b"id: 7\n", b"event: x\n"]),
    data=st.data(),
)
def test_splitting_of_a_stream_does_not_change_the_message(
    name: str, line_ending: bytes, prefix: bytes, separator: bytes, data: st.DataObject
) -> None:
    stream = read_recorded_stream(name)
    framed = prefix + stream.replace(b"data:", separator + b"data:")

    message = read_chunks(split_anywhere(framed.replace(b"\n", line_ending), data))

    assert message == read_chunks([stream])


@given(data=st.data())
def test_event_in_several_data_lines_is_joined(data: st.DataObject) -> None:
    lines = json.dumps(FIRST_EVENT, indent=1).split("\n")
    separator = st.sampled_from(["", "\ndata: ", "\ndata:"])
    separators = data.draw(st.lists(separator, min_size=len(lines)))
    event = "".join(map("".join, zip(separators, lines, strict=False)))

    message = read_chunks([f"data: {event}\n\n".encode(), *encode_stream(LAST_EVENT)])

    assert message == read_chunks(encode_stream(FIRST_EVENT, LAST_EVENT))


@given(
    name=st.sampled_from(WHOLE_STREAMS + BROKEN_STREAMS),
    edits=st.lists(
        st.tuples(st.integers(0), st.integers(0, 3), st.binary(max_size=4)), max_size=6
    ),
    reader=st.sampled_from(STREAM_READERS),
    data=st.data(),
)
def test_changed_bytes_raise_only_cerebras_errors(
    name: str, edits: list[tuple[int, int, bytes]], reader: Reader, data: st.DataObject
) -> None:
    stream = bytearray(read_recorded_stream(name))
    for number, length, new in edits:
        place = number % len(stream)
        stream[place : place + length] = new

    read_or_error(reader, split_anywhere(bytes(stream), data))


FRAGMENT = st.binary(max_size=8) | st.sampled_from(
    [
        b"data: ",
        b"\n\n",
        b"\r",
        b"event: error",
        b": ",
        BYTE_ORDER_MARK,
        b"[DONE]",
        b'{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
        b'{"error":',
        b'{"message":"No.","code":"b"}',
        b'"\xe2\x80\xa8"',
        b"\xff\xfe",
        b'"\\ud800"',
        b"1e999",
        b"9" * 5000,
        b"[" * 1000,
    ]
)


@given(
    parts=st.lists(FRAGMENT, max_size=20),
    reader=st.sampled_from([*STREAM_READERS, read_completion]),
)
def test_arbitrary_bytes_raise_only_cerebras_errors(parts: list[bytes], reader: Reader) -> None:
    read_or_error(reader, parts)


@pytest.mark.parametrize("reader", [read_chunks, read_coalesced_chunks])
@pytest.mark.parametrize("ending", [b"", *LINE_ENDINGS])
def test_last_event_without_a_blank_line_is_parsed(ending: bytes, reader: Reader) -> None:
    first, last = encode_stream(FIRST_EVENT, LAST_EVENT)

    message = reader([first, last.rstrip() + ending])

    assert message.text == "No. Yes."


@pytest.mark.parametrize("reader", STREAM_READERS)
@pytest.mark.parametrize("event", [b'{"usage": {"a": "\xff"}}', b'{"id": "\xc3"}', b'"\xfe"'])
def test_invalid_utf8_raises_protocol_error(event: bytes, reader: Reader) -> None:
    error = read_or_error(reader, [b"data: " + event + b"\n\n", *encode_stream(LAST_EVENT)])

    assert error is CerebrasProtocolError


@pytest.mark.parametrize("line_ending", LINE_ENDINGS)
@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_broken_stream_raises_the_same_error_in_every_reader(
    name: str, line_ending: bytes
) -> None:
    stream = read_recorded_stream(name).replace(b"\n", line_ending)

    [error] = {read_or_error(reader, [stream]) for reader in STREAM_READERS}

    assert issubclass(error, CerebrasError)


def test_error_response_without_a_body_has_the_class_of_its_status() -> None:
    response = FakeResponse([CerebrasConnectionError()], status=429)
    error = run(create_parser().parse_error(cast("Response", response)))

    assert type(error) is CerebrasRateLimitError
    assert error.body == ""


# --- large and deeply nested responses ----------------------------------------------

PART_BYTES = 65536


@pytest.fixture
def peak_megabytes() -> Iterator[Callable[[], float]]:
    """Return the largest amount of memory that the test has used so far."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1] / MEGABYTE
    tracemalloc.stop()


def test_memory_for_an_event_of_five_megabytes_is_bounded(
    peak_megabytes: Callable[[], float],
) -> None:
    text = "long " * MEGABYTE
    stream = b"".join(encode_stream(replace(FIRST_EVENT, CONTENT, text), LAST_EVENT))
    parts = [stream[at : at + PART_BYTES] for at in range(0, len(stream), PART_BYTES)]

    message = read_chunks(parts)

    assert message.text == text + "Yes."
    assert peak_megabytes() < 12 * 5


STREAM_BEGINNINGS = [
    b'data: {"id":"',
    b"data: ",
    b"",
    b": ",
    b"event: ",
    b"data",
    BYTE_ORDER_MARK,
    b"\n",
    b"x: \r",
]


@pytest.mark.parametrize("reader", STREAM_READERS)
@pytest.mark.parametrize("beginning", STREAM_BEGINNINGS)
def test_endless_event_raises_protocol_error_in_bounded_memory(
    beginning: bytes, reader: Reader, peak_megabytes: Callable[[], float]
) -> None:
    endless = itertools.chain([beginning], itertools.repeat(b"x" * PART_BYTES))

    error = read_or_error(reader, endless)

    assert error is CerebrasProtocolError
    assert peak_megabytes() < 4 * MAX_EVENT_BYTES / MEGABYTE


def test_endless_completion_raises_protocol_error() -> None:
    error = read_or_error(read_completion, itertools.repeat(b"x" * MEGABYTE))

    assert error is CerebrasProtocolError


DEEP_JSON = {
    "lists": b"[" * 200_000,
    "objects": b'{"a":' * 200_000,
    "closed lists": b"[" * 200_000 + b"]" * 200_000,
}


@pytest.mark.parametrize("reader", STREAM_READERS)
@pytest.mark.parametrize("kind", DEEP_JSON)
def test_deeply_nested_event_raises_protocol_error(kind: str, reader: Reader) -> None:
    error = read_or_error(reader, [b"data: " + DEEP_JSON[kind] + b"\n\n"])

    assert error is CerebrasProtocolError


@pytest.mark.parametrize("kind", DEEP_JSON)
def test_deeply_nested_completion_raises_protocol_error(kind: str) -> None:
    error = read_or_error(read_completion, [DEEP_JSON[kind]])

    assert error is CerebrasProtocolError


def stream_with_tool_arguments(arguments: str) -> list[bytes]:
    """Return a stream of one tool call whose arguments come in fragments."""
    fragments = [arguments[at : at + 20_000] for at in range(0, len(arguments), 20_000)]
    events = [replace(LAST_EVENT, TOOL_CALLS, [{**TOOL_CALL, "function": {"name": "magic"}}])]
    for fragment in fragments:
        tool_call = {"index": 0, "function": {"arguments": fragment}}
        events.append({"choices": [{"index": 0, "delta": {"tool_calls": [tool_call]}}]})
    return encode_stream(*events)


@pytest.mark.parametrize("reader", [read_chunks, read_coalesced_chunks])
@pytest.mark.parametrize("kind", DEEP_JSON)
def test_deeply_nested_tool_arguments_are_an_invalid_tool_call(
    kind: str, reader: Reader
) -> None:
    message = reader(stream_with_tool_arguments(DEEP_JSON[kind].decode()))

    assert message.tool_calls == []
    assert len(message.invalid_tool_calls) == 1


@pytest.mark.parametrize("kind", DEEP_JSON)
def test_deeply_nested_tool_arguments_are_an_invalid_tool_call_in_v3_events(
    kind: str,
) -> None:
    events = read_v3_events(stream_with_tool_arguments(DEEP_JSON[kind].decode()))

    finished = [event for event in events if event["event"] == "content-block-finish"]
    types = [event["content"]["type"] for event in finished]
    assert "invalid_tool_call" in types
    assert "tool_call" not in types
