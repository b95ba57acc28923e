"""The decoder of server-sent events: any bytes, in pieces of any size."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cerebras_inference._http.sse import (
    ErrorPayload,
    EventTooLargeError,
    SSEDecoder,
)
from tests.unit.stream_helpers import (
    COMPLETE_STREAMS,
    ERROR_STREAMS,
    LINE_ENDINGS,
    split_into_bytes,
)

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode(*pieces: bytes) -> list[bytes]:
    """Return the payloads of a whole stream."""
    decoder = SSEDecoder()
    payloads = [payload for piece in pieces for payload in decoder.feed(piece)]
    return payloads + decoder.close()


def decode_at_each_split(stream: bytes) -> list[list[bytes]]:
    """Decode a stream whole, byte by byte, and in two pieces for each place."""
    in_two_pieces = [
        decode(stream[:position], stream[position:]) for position in range(len(stream) + 1)
    ]
    return [decode(stream), decode(*split_into_bytes(stream)), *in_two_pieces]


# --- the payloads --------------------------------------------------------------------


@pytest.mark.parametrize("line_ending", LINE_ENDINGS)
@pytest.mark.parametrize("name", [*COMPLETE_STREAMS, *ERROR_STREAMS])
def test_recorded_stream_gives_the_same_payloads_for_every_split(
    recorded: Callable[[str], bytes], name: str, line_ending: bytes
) -> None:
    stream = recorded(f"{name}.sse")
    expected = [
        line.removeprefix(b"data: ")
        for line in stream.split(b"\n")
        if line.startswith(b"data: ")
    ]

    results = decode_at_each_split(stream.replace(b"\n", line_ending))

    assert [result for result in results if result != expected] == []


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        # events
        (b"", []),
        (b"data: one\n\n", [b"one"]),
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data: one\n\n\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data: one\n\n\ndata: two\n\n", [b"one", b"two"]),
        (b"\n\n\ndata: one\n\n", [b"one"]),
        (b"data: one\n\ndata: no blank line", [b"one", b"no blank line"]),
        (b"data: one\n\ndata: one line ending\n", [b"one", b"one line ending"]),
        # data lines
        (b"data:one\n\n", [b"one"]),
        (b"data:  one \n\n", [b" one "]),
        (b"data: one\ndata: two\n\n", [b"one\ntwo"]),
        (b"data\n\n", [b""]),
        (b"data:\n\n", [b""]),
        (b"data: a:b\n\n", [b"a:b"]),
        (b"data: \xff\x00\n\n", [b"\xff\x00"]),
        # comments and other fields
        (b": comment\n\ndata: one\n\n", [b"one"]),
        (b": comment\ndata: one\n: another\n\n", [b"one"]),
        (b":\n\n:\n\n", []),
        (b"id: 7\nretry: 100\ndata: one\nunknown\n\n", [b"one"]),
        (b"event: message\ndata: one\n\n", [b"one"]),
        (b"event: error\n\n", []),
        (b"database: one\n\n", []),
        # the byte order mark
        (BYTE_ORDER_MARK + b"data: one\n\n", [b"one"]),
        (BYTE_ORDER_MARK + b"data: one", [b"one"]),
        (b"data: " + BYTE_ORDER_MARK + b"\n\n", [BYTE_ORDER_MARK]),
        (BYTE_ORDER_MARK, []),
        # line endings
        (b"data: one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
        (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
        (b"data: one\r\n\ndata: two\r\r\n", [b"one", b"two"]),
        (b"data: one\n\r\ndata: two\n\r", [b"one", b"two"]),
        # characters that str.splitlines takes for line endings
        ("data: a\u2028b\u2029c\x85d\n\n".encode(), ["a\u2028b\u2029c\x85d".encode()]),
        (b"data: a\x0bb\x0cc\x1cd\n\n", [b"a\x0bb\x0cc\x1cd"]),
    ],
)
def test_stream_gives_the_same_payloads_for_every_split(
    stream: bytes, payloads: list[bytes]
) -> None:
    results = decode_at_each_split(stream)

    assert [result for result in results if result != payloads] == []


def test_only_the_payload_of_an_error_event_is_an_error_payload() -> None:
    plain, error, other = decode(
        b'data: {"a":1}\n\nevent: error\ndata: {"b":2}\n\nevent: ping\ndata: {}\n\n'
    )

    assert type(plain) is bytes
    assert type(error) is ErrorPayload
    assert error == b'{"b":2}'
    assert type(other) is bytes


def test_payload_is_returned_as_soon_as_its_blank_line_arrives() -> None:
    decoder = SSEDecoder()

    assert decoder.feed(b"data: one\r") == []
    assert decoder.feed(b"\n\r") == [b"one"]
    assert decoder.feed(b"\ndata: two\n") == []
    assert decoder.feed(b"\n") == [b"two"]


# --- the end of the stream -----------------------------------------------------------


def test_stream_truncated_inside_an_event_returns_the_incomplete_payload_at_close(
    recorded: Callable[[str], bytes],
) -> None:
    decoder = SSEDecoder()

    payloads = decoder.feed(recorded("truncated.sse"))
    is_inside_data = decoder.is_inside_data
    [incomplete] = decoder.close()

    assert [json.loads(payload)["choices"][0]["delta"] for payload in payloads] == [
        {"role": "assistant"},
        {"reasoning": "The"},
        {"reasoning": " user asks how tall the lighthouse is; the"},
        {"reasoning": " guide says 41 metres."},
        {"content": "The lighthouse"},
    ]
    assert is_inside_data
    assert incomplete.endswith(b'{"content":" is ')


def test_second_close_returns_nothing() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: one")

    assert decoder.close() == [b"one"]
    assert decoder.close() == []


@pytest.mark.parametrize(
    ("pieces", "is_inside_data"),
    [
        ([b""], False),
        ([b"data: one\n\n"], False),
        ([b"data: on"], True),
        ([b"da", b"ta: ", b"o"], True),
        ([b"data: " + b"o" * 100, b"n"], True),
        ([b"event: error\nda", b"ta: on"], True),
        ([b"data: one\n\ndata: tw"], True),
        ([b"data: on", b"e\n\n"], False),
        ([b"data: on", b"e\n\n", b"data: tw"], True),
        ([BYTE_ORDER_MARK + b"data: on"], True),
        ([b"data:"], False),
        ([b"data: ", b" "], False),
        ([b"data: one\n"], False),
        ([b"data: one\r", b"data: tw"], True),
        ([b"data: one\n\n\n"], False),
        ([b" ", b" "], False),
        ([b": keep-", b"alive"], False),
        ([b"data: one\n\n: keep-alive\n"], False),
        ([b"data: one\n: keep-alive"], False),
        ([b"event: err"], False),
        ([b"retry: 1000\nid: 7"], False),
    ],
)
def test_decoder_knows_whether_the_last_line_is_incomplete_data(
    pieces: list[bytes], is_inside_data: bool
) -> None:
    decoder = SSEDecoder()

    for piece in pieces:
        decoder.feed(piece)

    assert decoder.is_inside_data is is_inside_data


# --- the size limit ------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"data: " + b"x" * 1000], id="one piece"),
        pytest.param([b"data: ", b"x" * 1000], id="two pieces"),
        pytest.param([b"data: "] + [b"x"] * 1000, id="single bytes"),
        pytest.param([b"data: one\n\n", b"data: " + b"x" * 1000], id="second event"),
        pytest.param([b": " + b"x" * 1000], id="comment"),
        pytest.param([b"data: x\n"] * 200, id="many lines"),
    ],
)
def test_event_larger_than_the_limit_raises_an_error(pieces: list[bytes]) -> None:
    decoder = SSEDecoder(limit=1000)

    with pytest.raises(EventTooLargeError, match="larger than 1000 bytes"):
        list(map(decoder.feed, pieces))


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"data: 12345\n\n"] * 100, id="whole events"),
        pytest.param(
            [b"data: 1234", *[b"5\n\ndata: 1234"] * 99, b"5\n\n"],
            id="pieces that end inside an event",
        ),
    ],
)
def test_limit_is_for_one_event_and_not_for_the_stream(pieces: list[bytes]) -> None:
    decoder = SSEDecoder(limit=20)

    payloads = [payload for piece in pieces for payload in decoder.feed(piece)]

    assert payloads == [b"12345"] * 100


# --- arbitrary bytes -----------------------------------------------------------------

streams = st.lists(
    st.sampled_from(
        [b"data", b":", b" ", b"\n", b"\r", b"\r\n", b"event", b"error", b"x", BYTE_ORDER_MARK]
    )
    | st.binary(max_size=3),
    max_size=30,
).map(b"".join)


@given(streams, st.data())
def test_any_bytes_give_the_same_payloads_for_every_split(
    stream: bytes, data: st.DataObject
) -> None:
    positions = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    bounds = zip([0, *positions], [*positions, len(stream)], strict=True)

    payloads = decode(*(stream[start:end] for start, end in bounds))

    expected = decode(stream)
    assert payloads == expected
    assert list(map(type, payloads)) == list(map(type, expected))


@given(streams)
def test_any_bytes_give_the_payloads_that_the_standard_defines(stream: bytes) -> None:
    """Parse line by line, as the standard says; it drops an event without a blank line."""
    expected: list[bytes] = []
    text = stream.removeprefix(BYTE_ORDER_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data_lines: list[bytes] = []
    for line in text.split(b"\n")[:-1]:
        if not line and data_lines:
            expected.append(b"\n".join(data_lines))
            data_lines = []
        field, _, value = line.partition(b":")
        if field == b"data":
            data_lines.append(value.removeprefix(b" "))

    assert SSEDecoder().feed(stream) == expected
