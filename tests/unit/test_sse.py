"""Bytes of an event stream → the data of its events."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cerebras_inference._http.sse import (
    ErrorData,
    EventTooLargeError,
    SSEDecoder,
)

STREAMS = [
    "reasoning.sse",
    "transition.sse",
    "tool_fragments.sse",
    "parallel_tools.sse",
    "logprobs.sse",
    "trailing_usage.sse",
    "unicode.sse",
    "error_envelope.sse",
    "error_flat.sse",
    "error_named.sse",
]
LINE_ENDS = [b"\n", b"\r\n", b"\r"]
BOM = b"\xef\xbb\xbf"


def decode(*pieces: bytes) -> list[bytes]:
    decoder = SSEDecoder()
    fed = [data for piece in pieces for data in decoder.feed(piece)]
    return fed + decoder.close()


def naive(stream: bytes) -> list[bytes]:
    """What a recording holds, by a way that only works for recordings."""
    lines = stream.split(b"\n")
    return [line[len(b"data: ") :] for line in lines if line.startswith(b"data: ")]


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("name", STREAMS)
def test_a_recording_gives_its_events_whole_and_byte_by_byte(
    recorded: Callable[[str], bytes], name: str, end: bytes
) -> None:
    stream = recorded(name)
    sent = stream.replace(b"\n", end)

    whole = decode(sent)
    by_bytes = decode(*(sent[place : place + 1] for place in range(len(sent))))

    assert whole == naive(stream)
    assert by_bytes == naive(stream)


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("name", STREAMS)
def test_a_recording_gives_its_events_cut_in_two_anywhere(
    recorded: Callable[[str], bytes], name: str, end: bytes
) -> None:
    stream = recorded(name)
    sent = stream.replace(b"\n", end)
    expected = naive(stream)

    differing = [
        cut for cut in range(len(sent) + 1) if decode(sent[:cut], sent[cut:]) != expected
    ]

    assert differing == []


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b"data: one\n\n", [b"one"]),
        (b"data:one\n\n", [b"one"]),
        (b"data:  one \n\n", [b" one "]),
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data: one\ndata: two\n\n", [b"one\ntwo"]),
        (b"data: one\n\n\n\ndata: two\n\n", [b"one", b"two"]),
        (b"\n\n\ndata: one\n\n", [b"one"]),
        (b"data: one\n\n\ndata: two\n\n", [b"one", b"two"]),
        (b": comment\n\ndata: one\n\n", [b"one"]),
        (b": comment\ndata: one\n: another\n\n", [b"one"]),
        (b":\n\n:\n\n", []),
        (b"id: 7\nretry: 100\ndata: one\nunknown\n\n", [b"one"]),
        (b"event: message\ndata: one\n\n", [b"one"]),
        (b"event: error\n\n", []),
        (b"data\n\n", [b""]),
        (b"data:\n\n", [b""]),
        (b"database: one\n\n", []),
        (b"data: a:b\n\n", [b"a:b"]),
        (BOM + b"data: one\n\n", [b"one"]),
        (BOM + b"data: one", [b"one"]),
        (b"data: " + BOM + b"\n\n", [BOM]),
        (BOM, []),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
        (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
        (b"data: one\r\n\ndata: two\r\r\n", [b"one", b"two"]),
        (b"data: one\n\r\ndata: two\n\r", [b"one", b"two"]),
        ("data: a\u2028b\u2029c\x85d\n\n".encode(), ["a\u2028b\u2029c\x85d".encode()]),
        (b"data: a\x0bb\x0cc\x1cd\n\n", [b"a\x0bb\x0cc\x1cd"]),
        (b"data: \xff\x00\n\n", [b"\xff\x00"]),
        (b"data: one\n\ndata: no blank line", [b"one", b"no blank line"]),
        (b"data: one\n\ndata: one line end\n", [b"one", b"one line end"]),
    ],
)
def test_every_form_of_stream_is_read_alike_however_it_is_cut(
    stream: bytes, events: list[bytes]
) -> None:
    whole = decode(stream)
    by_bytes = decode(*(stream[place : place + 1] for place in range(len(stream))))
    in_two = {cut: decode(stream[:cut], stream[cut:]) for cut in range(len(stream) + 1)}

    assert whole == events
    assert by_bytes == events
    assert in_two == dict.fromkeys(range(len(stream) + 1), events)


def test_only_an_event_named_error_is_error_data() -> None:
    plain, named, other = decode(
        b'data: {"a":1}\n\nevent: error\ndata: {"b":2}\n\nevent: ping\ndata: {}\n\n'
    )

    assert type(plain) is bytes
    assert type(named) is ErrorData
    assert named == b'{"b":2}'
    assert type(other) is bytes


def test_an_event_is_given_as_soon_as_its_blank_line_has_come() -> None:
    decoder = SSEDecoder()

    assert decoder.feed(b"data: one\r") == []
    assert decoder.feed(b"\n\r") == [b"one"]
    assert decoder.feed(b"\ndata: two\n") == []
    assert decoder.feed(b"\n") == [b"two"]


@pytest.mark.parametrize(
    ("pieces", "inside"),
    [
        ([b""], False),
        ([b"data: one\n\n"], False),
        ([b"data: on"], True),
        ([b"da", b"ta: ", b"o"], True),
        ([b"data: " + b"o" * 100, b"n"], True),
        ([b"event: error\nda", b"ta: on"], True),
        ([b"data: one\n\ndata: tw"], True),
        ([b"data:"], False),
        ([b"data: ", b" "], False),
        ([b"data: one\n"], False),
        ([b"data: one\n\n\n"], False),
        ([b" ", b" "], False),
        ([b": keep-", b"alive"], False),
        ([b"data: one\n\n: keep-alive\n"], False),
        ([b"data: one\n: keep-alive"], False),
        ([b"event: err"], False),
        ([b"retry: 1000\nid: 7"], False),
    ],
)
def test_it_is_known_whether_data_is_coming(pieces: list[bytes], inside: bool) -> None:
    decoder = SSEDecoder()

    list(map(decoder.feed, pieces))

    assert decoder.is_inside_data is inside


def test_a_stream_cut_in_mid_event_is_known_to_be(
    recorded: Callable[[str], bytes],
) -> None:
    decoder = SSEDecoder()

    whole = decoder.feed(recorded("cut.sse"))
    inside = decoder.is_inside_data
    [rest] = decoder.close()

    assert [json.loads(data)["choices"][0]["delta"] for data in whole] == [
        {"role": "assistant"},
        {"reasoning": "The"},
        {"reasoning": " user asks how tall the lighthouse is; the"},
        {"reasoning": " guide says 41 metres."},
        {"content": "The lighthouse"},
    ]
    assert inside is True
    assert rest.endswith(b'{"content":" is ')


def test_nothing_is_left_after_closing() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: one")

    first = decoder.close()
    second = decoder.close()

    assert first == [b"one"]
    assert second == []


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 1000],
        [b"data: ", b"x" * 1000],
        [b"data: "] + [b"x"] * 1000,
        [b"data: one\n\n", b"data: " + b"x" * 1000],
        [b": " + b"x" * 1000],
    ],
)
def test_what_outgrows_the_limit_is_refused(pieces: list[bytes]) -> None:
    decoder = SSEDecoder(limit=1000)

    with pytest.raises(EventTooLargeError, match="more than 1000 bytes"):
        list(map(decoder.feed, pieces))


def test_the_limit_is_of_one_event_and_not_of_the_stream() -> None:
    decoder = SSEDecoder(limit=20)

    found = [data for _ in range(100) for data in decoder.feed(b"data: 12345\n\n")]

    assert found == [b"12345"] * 100


def test_the_limit_counts_from_the_end_of_the_event_before() -> None:
    decoder = SSEDecoder(limit=20)

    fed = [
        data
        for place in range(50)
        for data in decoder.feed(b"5\n\ndata: 1234" if place else b"data: 1234")
    ]

    assert fed == [b"12345"] * 49


STREAM = st.lists(
    st.sampled_from([b"data", b":", b" ", b"\n", b"\r", b"\r\n", b"event", b"error", b"x", BOM])
    | st.binary(max_size=3),
    max_size=30,
).map(b"".join)


@given(STREAM, st.data())
def test_any_bytes_split_anyhow_are_the_same_events(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [
        stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]

    whole = decode(stream)
    split = decode(*pieces)

    assert split == whole
    assert [type(each) for each in split] == [type(each) for each in whole]


@given(STREAM)
def test_any_bytes_are_read_as_a_reader_of_lines_would(stream: bytes) -> None:
    """The standard's own procedure, line by line; it drops what no blank line ended."""
    expected: list[bytes] = []
    lines = stream.removeprefix(BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    buffer: list[bytes] = []
    for line in lines.split(b"\n")[:-1]:
        if not line and buffer:
            expected.append(b"\n".join(buffer))
            buffer = []
        name, _, value = line.partition(b":")
        if name == b"data":
            buffer.append(value.removeprefix(b" "))

    found = SSEDecoder().feed(stream)

    assert found == expected
