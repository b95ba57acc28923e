"""Whatever a server sends: an answer or one of our errors, in bounded memory."""

import copy
import itertools
import json
import sys
import tracemalloc
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk

from langchain_cerebras_inference._conversion import completion
from langchain_cerebras_inference._conversion.chunks import ChunkBuilder
from langchain_cerebras_inference._conversion.stream_events import ProtocolEventBuilder
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

DATA = Path(__file__).parents[1] / "data"
KEY = "csk-of-mine"
MEGABYTE = 2**20

T = TypeVar("T")


class Body:
    """An answer whose body comes in the pieces given, as the transport hands them on."""

    status = 200

    def __init__(self, pieces: Iterator[bytes], kind: str = "text/event-stream") -> None:
        self.headers: Mapping[str, str] = {"content-type": kind}
        self._pieces = pieces

    async def read_available(self, *, restart_timeout: bool = False) -> bytes:
        return next((piece for piece in self._pieces if piece), b"")

    read = Response.read

    def limit_remaining_time(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


def answer_of(pieces: Iterable[bytes] | Iterator[bytes]) -> Response:
    return cast("Response", Body(iter(pieces)))


def judge() -> ResponseParser:
    return ResponseParser(RequestInfo("gpt-oss-120b"), [KEY])


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of what never waits, without a loop."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    result: T = ended.value.value
    return result


# --- one stream, read to its end ----------------------------------------------------


async def batches_of(answer: Response) -> list[list[Any]]:
    events = EventStream(answer, judge(), sys.maxsize)
    batches = []
    while batch := await events.read_events():
        batches.append(batch)
    return [*batches, []]


def streamed(pieces: Iterable[bytes], *, coalesce: bool = False) -> AIMessage:
    """The message of a stream, as `invoke` makes it of the chunks."""
    reader = ChunkBuilder({}, coalesce=coalesce)
    batches = run(batches_of(answer_of(pieces)))
    chunks = [chunk for batch in batches for chunk in reader.build_chunks(batch)]
    return summed(chunks)


def summed(chunks: list[ChatGenerationChunk]) -> AIMessage:
    first, *rest = chunks
    message = sum(rest, first).message
    assert isinstance(message, AIMessageChunk)
    return cast("AIMessage", message_chunk_to_message(message))


def as_events(pieces: Iterable[bytes]) -> list[Any]:
    """The protocol events of a stream."""
    reader = ProtocolEventBuilder({})
    batches = run(batches_of(answer_of(pieces)))
    return [event for batch in batches for event in reader.build_protocol_events(batch)]


def joined(pieces: Iterable[bytes]) -> AIMessage:
    return streamed(pieces, coalesce=True)


def whole(pieces: Iterable[bytes]) -> AIMessage:
    """The message of a reply that was not streamed."""
    reply = run(judge().parse_completion(answer_of(pieces)))
    generation = completion.convert_completion(reply, {}).generations[0]
    assert isinstance(generation.message, AIMessage)
    return generation.message


Way: TypeAlias = Callable[[Iterable[bytes]], Any]
STREAM_WAYS: list[Way] = [streamed, joined, as_events]


def outcome(way: Way, pieces: Iterable[bytes]) -> Any:
    """What came, or the class of its error; any other exception fails the test."""
    try:
        return way(pieces)
    except CerebrasError as error:
        failure = error
    said = str(failure)
    assert "\n" not in said
    assert len(said) < 1000
    assert KEY not in f"{failure!r} {vars(failure)}"
    return type(failure)


# --- what a stream and a reply look like --------------------------------------------

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
CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "magic", "arguments": '{"input": 3}'},
}
CHUNK = {
    **ENVELOPE,
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "reasoning": "So.",
                "content": "Yes.",
                "tool_calls": [CALL],
            },
            "logprobs": LOGPROBS,
            "reasoning_logprobs": LOGPROBS,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}
REPLY = {
    **ENVELOPE,
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "reasoning": "So.",
                "content": "Yes.",
                "tool_calls": [CALL],
            },
            "logprobs": LOGPROBS,
            "reasoning_logprobs": LOGPROBS,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}
FIRST = {
    **ENVELOPE,
    "choices": [{"index": 0, "delta": {"content": "No. "}, "logprobs": LOGPROBS}],
}

Steps: TypeAlias = tuple[str | int, ...]


def paths_of(value: Any, path: Steps = ()) -> Iterator[Steps]:
    """The way to every value within another."""
    parts = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else parts:
        yield (*path, key)
        yield from paths_of(part, (*path, key))


def with_value(whole_: Any, path: Steps, value: Any) -> Any:
    changed = copy.deepcopy(whole_)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


TEXT_PATH: Steps = ("choices", 0, "delta", "content")
CALL_PATH: Steps = ("choices", 0, "delta", "tool_calls")


def encoded(*events: Any) -> list[bytes]:
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]


WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "a number": 7,
    "a negative number": -1,
    "a fraction": 0.5,
    "a number of 400 digits": 10**400,
    "no number": float("nan"),
    "infinity": float("inf"),
    "no text": "",
    "text": "text",
    "text with the key": f"{KEY}\n" * 100,
    "an empty list": [],
    "a list": [1, "a", None],
    "a list of lists": [[[]]],
    "a list of objects": [{"a": 1, KEY: KEY}],
    "an empty object": {},
    "an object": {"a": {"b": [KEY]}},
    "a deep list": json.loads("[" * 150 + "]" * 150),
}


def where(path: Steps) -> str:
    return ".".join(map(str, path))


# --- wrong types --------------------------------------------------------------------


@pytest.mark.parametrize("way", STREAM_WAYS)
@pytest.mark.parametrize("path", list(paths_of(CHUNK)), ids=where)
def test_no_value_in_a_chunk_is_more_than_an_error_of_ours(path: Steps, way: Way) -> None:
    for value in WRONG.values():
        wrong = with_value(CHUNK, path, value)

        outcome(way, encoded(wrong, CHUNK))
        outcome(way, encoded(FIRST, wrong))
        outcome(way, encoded(FIRST, wrong, CHUNK))


@pytest.mark.parametrize("path", list(paths_of(REPLY)), ids=where)
def test_no_value_in_a_reply_is_more_than_an_error_of_ours(path: Steps) -> None:
    for value in WRONG.values():
        wrong = with_value(REPLY, path, value)

        outcome(whole, [json.dumps(wrong).encode()])


def test_the_right_values_are_an_answer() -> None:
    answers = [outcome(way, encoded(FIRST, CHUNK)) for way in (streamed, joined)]
    answers.append(outcome(whole, [json.dumps(REPLY).encode()]))

    assert [answer.text for answer in answers] == ["No. Yes.", "No. Yes.", "Yes."]
    assert [answer.tool_calls[0]["args"] for answer in answers] == [{"input": 3}] * 3
    assert as_events(encoded(FIRST, CHUNK))[-1]["event"] == "message-finish"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(list(WRONG.values())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(
    changes=st.lists(
        st.tuples(st.sampled_from(sorted(paths_of(CHUNK), key=str)), JSON), max_size=4
    ),
    way=st.sampled_from(STREAM_WAYS),
)
def test_no_values_together_are_more_than_an_error_of_ours(
    changes: list[tuple[Steps, Any]], way: Way
) -> None:
    events = [FIRST]
    for path, value in changes:
        events.append(with_value(CHUNK, path, value))

    outcome(way, encoded(*events, CHUNK))


@given(events=st.lists(JSON, max_size=4), way=st.sampled_from(STREAM_WAYS))
def test_no_json_at_all_is_more_than_an_error_of_ours(events: list[Any], way: Way) -> None:
    outcome(way, encoded(*events))
    for event in events:
        outcome(whole, [json.dumps(event).encode()])


# --- any bytes ----------------------------------------------------------------------

STREAMS = [
    "reasoning",
    "transition",
    "tool_fragments",
    "parallel_tools",
    "logprobs",
    "trailing_usage",
    "unicode",
]
BROKEN = ["cut", "error_envelope", "error_flat", "error_named"]
BOM = b"\xef\xbb\xbf"


def cut_up(stream: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [
        stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]


def recording(name: str) -> bytes:
    return (DATA / f"{name}.sse").read_bytes()


@given(
    name=st.sampled_from(STREAMS),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    start=st.sampled_from([b"", BOM, b"\n", b": hello\n\n"]),
    between=st.sampled_from([b"", b"\n", b": keep-alive\n\n", b"id: 7\n", b"event: x\n"]),
    data=st.data(),
)
def test_a_stream_framed_and_cut_in_any_way_is_the_same_answer(
    name: str, end: bytes, start: bytes, between: bytes, data: st.DataObject
) -> None:
    plain = recording(name)
    framed = start + plain.replace(b"data:", between + b"data:")

    answer = streamed(cut_up(framed.replace(b"\n", end), data))

    assert answer == streamed([plain])


@given(data=st.data())
def test_data_in_many_lines_is_the_same_answer(data: st.DataObject) -> None:
    lines = json.dumps(FIRST, indent=1).split("\n")
    breaks = data.draw(
        st.lists(st.sampled_from(["", "\ndata: ", "\ndata:"]), min_size=len(lines))
    )
    first = "".join(map("".join, zip(breaks, lines, strict=False)))

    answer = streamed([f"data: {first}\n\n".encode(), *encoded(CHUNK)])

    assert answer == streamed(encoded(FIRST, CHUNK))


@given(
    name=st.sampled_from(STREAMS + BROKEN),
    edits=st.lists(
        st.tuples(st.integers(0), st.integers(0, 3), st.binary(max_size=4)), max_size=6
    ),
    way=st.sampled_from(STREAM_WAYS),
    data=st.data(),
)
def test_no_change_of_bytes_is_more_than_an_error_of_ours(
    name: str, edits: list[tuple[int, int, bytes]], way: Way, data: st.DataObject
) -> None:
    stream = bytearray(recording(name))
    for place, length, new in edits:
        at = place % len(stream)
        stream[at : at + length] = new

    outcome(way, cut_up(bytes(stream), data))


PIECE = st.binary(max_size=8) | st.sampled_from(
    [
        b"data: ",
        b"\n\n",
        b"\r",
        b"event: error",
        b": ",
        BOM,
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


@given(pieces=st.lists(PIECE, max_size=20), way=st.sampled_from([*STREAM_WAYS, whole]))
def test_no_bytes_at_all_are_more_than_an_error_of_ours(pieces: list[bytes], way: Way) -> None:
    outcome(way, pieces)


@pytest.mark.parametrize("way", [streamed, joined])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_a_last_event_that_no_blank_line_ends_counts(end: bytes, way: Way) -> None:
    first, last = encoded(FIRST, CHUNK)

    answer = outcome(way, [first, last.rstrip() + end])

    assert answer.text == "No. Yes."


def test_a_refusal_whose_body_breaks_off_is_what_its_status_says() -> None:
    class Breaking(Body):
        status = 429

        async def read_available(self, *, restart_timeout: bool = False) -> bytes:
            raise CerebrasConnectionError

    error = run(judge().parse_error(cast("Response", Breaking(iter([])))))

    assert type(error) is CerebrasRateLimitError
    assert error.body == ""


@pytest.mark.parametrize("way", STREAM_WAYS)
@pytest.mark.parametrize("event", [b'{"usage": {"a": "\xff"}}', b'{"id": "\xc3"}', b'"\xfe"'])
def test_what_is_no_utf8_is_an_error_of_ours(event: bytes, way: Way) -> None:
    kind = outcome(way, [b"data: " + event + b"\n\n", *encoded(CHUNK)])

    assert kind is CerebrasProtocolError


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_is_an_error_in_every_framing(name: str) -> None:
    stream = recording(name)

    for end in (b"\n", b"\r\n", b"\r"):
        kinds = {outcome(way, [stream.replace(b"\n", end)]) for way in STREAM_WAYS}
        assert len(kinds) == 1
        assert issubclass(kinds.pop(), CerebrasError)


# --- how much of it -----------------------------------------------------------------

PIECE_SIZE = 65536


@pytest.fixture
def traced() -> Iterator[Callable[[], float]]:
    """The most memory that was used so far, in megabytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1] / MEGABYTE
    tracemalloc.stop()


def pieces_of(data: bytes) -> list[bytes]:
    return [data[at : at + PIECE_SIZE] for at in range(0, len(data), PIECE_SIZE)]


def test_an_event_of_five_megabytes_is_an_answer_in_a_few_times_the_memory(
    traced: Callable[[], float],
) -> None:
    text = "long " * MEGABYTE
    pieces = pieces_of(b"".join(encoded(with_value(FIRST, TEXT_PATH, text), CHUNK)))

    answer = streamed(pieces)

    assert answer.text == text + "Yes."
    assert traced() < 12 * 5


BEGINNINGS = [
    b'data: {"id":"',
    b"data: ",
    b"",
    b": ",
    b"event: ",
    b"data",
    BOM,
    b"\n",
    b"x: \r",
]


@pytest.mark.parametrize("way", STREAM_WAYS)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_an_event_without_end_is_an_error_in_bounded_memory(
    beginning: bytes, way: Way, traced: Callable[[], float]
) -> None:
    endless = itertools.chain([beginning], itertools.repeat(b"x" * PIECE_SIZE))

    kind = outcome(way, endless)

    assert kind is CerebrasProtocolError
    assert traced() < 4 * MAX_EVENT_BYTES / MEGABYTE


def test_a_reply_without_end_is_an_error() -> None:
    kind = outcome(whole, itertools.repeat(b"x" * MEGABYTE))

    assert kind is CerebrasProtocolError


DEEP = {
    "lists": b"[" * 200_000,
    "objects": b'{"a":' * 200_000,
    "closed lists": b"[" * 200_000 + b"]" * 200_000,
}


@pytest.mark.parametrize("way", [*STREAM_WAYS, whole])
@pytest.mark.parametrize("kind", DEEP)
def test_depth_without_end_is_an_error(kind: str, way: Way) -> None:
    deep = DEEP[kind]

    found = outcome(way, [deep] if way is whole else [b"data: " + deep + b"\n\n"])

    assert found is CerebrasProtocolError


@pytest.mark.parametrize("way", STREAM_WAYS)
@pytest.mark.parametrize("kind", DEEP)
def test_arguments_of_any_depth_are_an_invalid_call(kind: str, way: Way) -> None:
    text = DEEP[kind].decode()
    fragments = [text[at : at + 20_000] for at in range(0, len(text), 20_000)]
    chunks = [with_value(CHUNK, CALL_PATH, [{**CALL, "function": {"name": "magic"}}])]
    for fragment in fragments:
        call = {"index": 0, "function": {"arguments": fragment}}
        chunks.append({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})

    answer = outcome(way, encoded(*chunks))

    if way is as_events:
        kinds = [
            each["content"]["type"]
            for each in answer
            if "finish" in each["event"] and "content" in each
        ]
        assert "invalid_tool_call" in kinds
    else:
        assert answer.tool_calls == []
        assert len(answer.invalid_tool_calls) == 1
