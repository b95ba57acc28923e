"""Message chunks: what a stream adds up to, tool calls, and chunks without validation."""

import copy
import json
import os
import pickle
import subprocess
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_cerebras_inference._conversion import chunks, tool_arguments
from langchain_cerebras_inference._conversion.chunks import (
    ChunkBuilder,
    create_chunk_with_tool_calls,
    create_unvalidated_chunk,
    create_validated_chunk,
)
from langchain_cerebras_inference._conversion.completion import PROVIDER, convert_finish_reason
from langchain_cerebras_inference._conversion.protocol_events import ProtocolEventBuilder
from langchain_cerebras_inference.errors import CerebrasProtocolError
from tests.python_command import PYTHON
from tests.unit.stream_helpers import (
    COMPLETE_STREAMS,
    LINE_ENDINGS,
    build_chunks,
    convert_to_message,
    create_event,
    create_tool_call_event,
    decode_events,
    describe_message,
    get_chunk_message,
    join_chunks,
    split_into_bytes,
)

ReadFile = Callable[[str], bytes]

END = create_event(finish_reason="tool_calls")


def describe_recorded_completion(recorded: ReadFile, name: str) -> dict[str, Any]:
    return describe_message(convert_to_message(json.loads(recorded(f"{name}.json"))))


# --- recordings ----------------------------------------------------------------------


@pytest.mark.parametrize("line_ending", LINE_ENDINGS)
@pytest.mark.parametrize("name", COMPLETE_STREAMS)
def test_chunks_of_a_stream_add_up_to_the_whole_completion(
    recorded: ReadFile, name: str, line_ending: bytes
) -> None:
    stream = recorded(f"{name}.sse").replace(b"\n", line_ending)

    from_one_part = join_chunks(decode_events([stream]))
    from_single_bytes = join_chunks(decode_events(split_into_bytes(stream)))

    expected = describe_recorded_completion(recorded, name)
    assert describe_message(from_one_part) == expected
    assert describe_message(from_single_bytes) == expected


@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize("name", COMPLETE_STREAMS)
def test_events_that_arrive_together_add_up_to_the_same_message(
    recorded: ReadFile, name: str, coalesce: bool
) -> None:
    events = decode_events([recorded(f"{name}.sse")])

    message = join_chunks(events, coalesce=coalesce, arrive_together=True)

    assert describe_message(message) == describe_recorded_completion(recorded, name)


@pytest.mark.parametrize("name", COMPLETE_STREAMS)
def test_chunk_has_reasoning_or_text_or_tool_calls(recorded: ReadFile, name: str) -> None:
    for chunk in build_chunks(decode_events([recorded(f"{name}.sse")])):
        contents = [
            bool(chunk.content),
            "reasoning_content" in chunk.additional_kwargs,
            bool(chunk.tool_call_chunks),
        ]

        assert sum(contents) <= 1


@pytest.mark.parametrize("name", COMPLETE_STREAMS)
def test_only_the_last_chunk_has_usage_and_metadata(recorded: ReadFile, name: str) -> None:
    *others, last = build_chunks(decode_events([recorded(f"{name}.sse")]))

    assert last.chunk_position == "last"
    assert last.usage_metadata is not None
    assert {"finish_reason", "id", "model_name", "time_info"} <= last.response_metadata.keys()
    for chunk in others:
        assert chunk.chunk_position is None
        assert chunk.usage_metadata is None
        assert chunk.response_metadata.keys() <= {"model_provider", "logprobs"}
        assert chunk.id is None


def test_recorded_tool_call_gives_reasoning_arguments_and_usage(recorded: ReadFile) -> None:
    message = join_chunks(decode_events([recorded("tool_fragments.sse")]))

    assert message.content == ""
    assert message.additional_kwargs == {"reasoning_content": "We need the tide tool."}
    assert message.tool_calls == [
        {
            "name": "tide_at",
            "args": {
                "place": 'Cape "North"',
                "levels": [[1, 2], [3]],
                "deep": {"dry_run": True},
            },
            "id": "b1c2d3e4f",
            "type": "tool_call",
        }
    ]
    assert message.usage_metadata == {
        "input_tokens": 160,
        "output_tokens": 33,
        "total_tokens": 193,
        "input_token_details": {"cache_read": 128},
        "output_token_details": {"reasoning": 12},
    }


def test_event_with_reasoning_and_text_gives_the_reasoning_first(recorded: ReadFile) -> None:
    recorded_chunks = build_chunks(decode_events([recorded("transition.sse")]))

    assert [
        chunk.additional_kwargs.get("reasoning_content") or chunk.content
        for chunk in recorded_chunks
    ] == [
        "Answer with the word",
        " harbour.",
        "Harbour",
        " lights",
        " Plural is right.",
        ".",
        "",
    ]


GATEWAY_DELTAS: list[tuple[list[Any], list[tuple[str, str]]]] = [
    ([{"reasoning_content": "Is"}, {"reasoning_content": " it?"}], [("Is", ""), (" it?", "")]),
    ([{"reasoning_content": "Is it?", "content": "Yes."}], [("Is it?", ""), ("", "Yes.")]),
    ([{"reasoning": None, "reasoning_content": "Is it?"}], [("Is it?", "")]),
    ([{"reasoning": "", "reasoning_content": "Is it?"}], [("Is it?", "")]),
    ([{"reasoning": "Is it?", "reasoning_content": "Is it?"}], [("Is it?", "")]),
    ([{"content": "Yes.", "reasoning_content": None}], [("", "Yes.")]),
    ([{"content": "Yes.", "reasoning_content": ""}], [("", "Yes.")]),
]


@pytest.mark.parametrize(("deltas", "expected"), GATEWAY_DELTAS, ids=str)
def test_reasoning_content_of_a_gateway_is_reasoning(
    deltas: list[Any], expected: list[tuple[str, str]]
) -> None:
    events = [*map(create_event, deltas), create_event(finish_reason="stop")]

    *chunks, last = build_chunks(events)
    protocol_events: list[Any] = [
        item
        for batch in (events, [])
        for item in ProtocolEventBuilder({}).build_protocol_events(batch, with_chunks=False)
    ]

    found = [
        (chunk.additional_kwargs.get("reasoning_content", ""), chunk.text) for chunk in chunks
    ]
    assert [pair for pair in found if any(pair)] == expected
    assert last.additional_kwargs == {}
    streamed = [
        event["delta"]["reasoning"]
        for event in protocol_events
        if event.get("delta", {}).get("type") == "reasoning-delta"
    ]
    assert "".join(streamed) == "".join(reasoning for reasoning, _ in expected)


def test_logprobs_stay_with_their_text(recorded: ReadFile) -> None:
    *others, _ = build_chunks(decode_events([recorded("logprobs.sse")]))

    texts = [chunk.content for chunk in others]
    logprobs = [chunk.response_metadata["logprobs"]["content"] for chunk in others]
    assert texts == ["Yes", ".", ""]
    assert [[entry["token"] for entry in entries] for entries in logprobs] == [
        ["Yes"],
        ["."],
        ["<|return|>"],
    ]


# --- deltas --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choices",
    [
        [],
        [{"index": 0}],
        [{"index": 0, "delta": None}],
        [{"delta": {}}],
        [{"delta": {"role": "assistant"}}],
        [{"delta": {"content": ""}}],
        [{"delta": {"reasoning": ""}}],
        [{"delta": {"tool_calls": []}}],
        [{"delta": {"content": None, "reasoning": None, "tool_calls": None}}],
        [{"delta": {"unknown": "field"}}],
    ],
)
def test_event_without_content_gives_no_chunk(choices: list[Any]) -> None:
    assert ChunkBuilder({}).build_chunks([{"choices": choices}]) == []


@pytest.mark.parametrize(
    ("coalesce", "expected"),
    [
        pytest.param(
            False,
            [
                ("Let me", ""),
                (" see.", ""),
                ("", "It"),
                ("Really?", ""),
                ("", " is"),
                ("", " so."),
            ],
            id="a chunk for each delta",
        ),
        pytest.param(
            True,
            [("Let me see.", ""), ("", "It"), ("Really?", ""), ("", " is so.")],
            id="a chunk for neighbors of one kind",
        ),
    ],
)
def test_coalesce_joins_neighboring_deltas_of_one_kind(
    coalesce: bool, expected: list[tuple[str, str]]
) -> None:
    events = [
        create_event({"role": "assistant"}),
        create_event({"reasoning": "Let me"}),
        create_event({"reasoning": " see."}),
        create_event({"content": "It"}),
        create_event({"reasoning": "Really?", "content": " is"}),
        create_event({"content": " so."}),
    ]

    built = ChunkBuilder({}, coalesce=coalesce).build_chunks(events)

    assert [
        (chunk.message.additional_kwargs.get("reasoning_content", ""), chunk.text)
        for chunk in built
    ] == expected


def test_coalesced_chunk_has_all_logprobs() -> None:
    events = [
        create_event({"content": "a"}, logprobs={"content": [{"token": "a"}]}),
        create_event({"content": "b"}),
        create_event({"content": "c"}, logprobs={"content": None}),
        create_event({"content": "d"}, logprobs={"content": [{"token": "d"}]}),
    ]

    [chunk] = ChunkBuilder({}, coalesce=True).build_chunks(events)

    assert chunk.text == "abcd"
    assert chunk.message.response_metadata["logprobs"] == {
        "content": [{"token": "a"}, {"token": "d"}]
    }
    assert events[0]["choices"][0]["logprobs"] == {"content": [{"token": "a"}]}


def test_reasoning_logprobs_have_a_field_of_their_own() -> None:
    logprobs = {"content": [{"token": "So"}]}
    event = create_event({"reasoning": "So"}, reasoning_logprobs=logprobs, logprobs=None)

    [chunk, _] = build_chunks([event])

    assert chunk.response_metadata == {
        "model_provider": "cerebras",
        "reasoning_logprobs": logprobs,
    }


# --- the last chunk ------------------------------------------------------------------


def test_usage_that_is_sent_twice_counts_once() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

    message = join_chunks(
        [
            create_event({"content": "a"}),
            {**create_event(finish_reason="stop"), "usage": usage},
            {"choices": [], "usage": usage},
        ]
    )

    assert message.usage_metadata == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def test_stream_without_usage_gives_no_usage() -> None:
    message = join_chunks([create_event({"content": "a"}), create_event(finish_reason="stop")])

    assert message.usage_metadata is None
    assert message.response_metadata == {
        "model_provider": "cerebras",
        "model_name": "m",
        **convert_finish_reason("stop", has_tool_calls=False),
    }


def test_last_chunk_has_the_finish_reason_and_the_response_headers() -> None:
    builder = ChunkBuilder({}, {"cf-ray": "8f00", "set-cookie": "secret"})
    builder.build_chunks([create_event({"content": "a"}, finish_reason="length")])

    [last] = builder.build_chunks([])

    assert builder.is_complete
    assert last.generation_info == {"finish_reason": "length"}
    assert last.message.response_metadata["headers"] == {"cf-ray": "8f00"}


# --- values of the wrong type --------------------------------------------------------


@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize(
    ("event", "field"),
    [
        (create_event({"content": 5}), "content"),
        (create_event({"content": ["a"]}), "content"),
        (create_event({"reasoning": {"text": "a"}}), "reasoning"),
        (create_event({"tool_calls": "a"}), "tool_calls"),
        (create_event({"tool_calls": 5}), "tool_calls"),
        (create_event({"tool_calls": [None]}), "tool_calls[]"),
        (create_event({"tool_calls": [{"function": "a"}]}), "function"),
        (create_tool_call_event(name=5, id="a", index=0), "tool_calls[].function.name"),
        (create_tool_call_event(name="a", id=5, index=0), "tool_calls[].id"),
        (create_tool_call_event(name="a", id="a", index=[]), "tool_calls[].index"),
        (create_event(finish_reason=5), "finish_reason"),
        (create_event({"content": "a"}, logprobs=["odd"]), "logprobs"),
        (create_event({"content": "a"}, logprobs={"content": "odd"}), "logprobs"),
        (create_event({"content": "a"}, logprobs={"content": [{"index": 0}]}), "logprobs"),
        (create_event({}, reasoning_logprobs="odd"), "reasoning_logprobs"),
    ],
)
def test_wrong_type_raises_protocol_error_that_names_the_field(
    event: Any, field: str, coalesce: bool
) -> None:
    before_text = ChunkBuilder({}, coalesce=coalesce)
    after_text = ChunkBuilder({}, coalesce=coalesce)
    after_text.build_chunks([create_event({"content": "Yes"})])

    for builder in (before_text, after_text):
        with pytest.raises(CerebrasProtocolError, match="base_url") as caught:
            builder.build_chunks([event])
        assert f"The field {field} " in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"usage": "a"}, "usage"),
        ({"usage": {"prompt_tokens": "many", "completion_tokens": 1}}, "prompt_tokens"),
        ({"usage": {"prompt_tokens_details": 5}}, "prompt_tokens_details"),
    ],
)
def test_wrong_type_in_usage_raises_protocol_error_at_the_end(fields: Any, field: str) -> None:
    builder = ChunkBuilder({})
    builder.build_chunks([create_event(finish_reason="stop") | fields])

    with pytest.raises(CerebrasProtocolError, match=f"The field {field} "):
        builder.build_chunks([])


def test_programming_error_is_not_converted_to_a_protocol_error() -> None:
    event_that_the_parser_never_returns: Any = {}

    with pytest.raises(KeyError, match="choices"):
        ChunkBuilder({}).build_chunks([event_that_the_parser_never_returns])


# --- tool calls: which call a fragment belongs to ------------------------------------

Call = tuple[str, Any, str | None]
"""The name, the arguments and the id of a tool call."""


class Calls(NamedTuple):
    """The tool calls that a reader found; those that are invalid are only counted."""

    valid: list[Call]
    invalid_count: int


def get_calls(message: AIMessage) -> Calls:
    valid = [(call["name"], call["args"], call["id"]) for call in message.tool_calls]
    return Calls(valid, len(message.invalid_tool_calls))


def read_one_by_one(events: list[Any], tool_names: dict[str, str]) -> Calls:
    return get_calls(join_chunks(events, tool_names=tool_names))


def read_together(events: list[Any], tool_names: dict[str, str]) -> Calls:
    return get_calls(join_chunks(events, tool_names=tool_names, arrive_together=True))


def read_from_one_event(events: list[Any], tool_names: dict[str, str]) -> Calls:
    deltas = [event["choices"][0]["delta"] for event in events]
    fragments = [fragment for delta in deltas for fragment in delta.get("tool_calls", [])]
    event = create_event({"tool_calls": fragments})
    return get_calls(join_chunks([event, END], tool_names=tool_names))


def read_version_1_content(events: list[Any], tool_names: dict[str, str]) -> Calls:
    """langchain-core puts the blocks of each chunk into its content, and merges those."""
    built = build_chunks(events, tool_names)
    for chunk in built:
        chunk.content = cast("list[Any]", chunk.content_blocks)
        chunk.response_metadata["output_version"] = "v1"
    blocks = cast("list[Any]", reduce(add, built).content)
    valid = [block for block in blocks if block["type"] == "tool_call"]
    return Calls(
        [(block["name"], block["args"], block["id"]) for block in valid],
        len(blocks) - len(valid),
    )


def read_protocol_events(events: list[Any], tool_names: dict[str, str]) -> Calls:
    builder, stream = ProtocolEventBuilder(tool_names), ChatModelStream()
    for batch in [*([event] for event in events), []]:
        for protocol_event in builder.build_protocol_events(batch):
            stream.dispatch(protocol_event)
    assert stream.output_message is not None
    return get_calls(stream.output_message)


Reader = Callable[[list[Any], dict[str, str]], Calls]
READERS = [
    read_one_by_one,
    read_together,
    read_from_one_event,
    read_version_1_content,
    read_protocol_events,
]
every_reader = pytest.mark.parametrize("read", READERS)


@every_reader
@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": '{"x":'},
                {"index": 1, "id": "b", "name": "g", "arguments": '{"y":'},
                {"index": 0, "arguments": "1}"},
                {"index": 1, "arguments": "2}"},
            ],
            [("f", {"x": 1}, "a"), ("g", {"y": 2}, "b")],
            id="fragments of two calls in turn",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 1, "id": "b", "name": "g", "arguments": "{}"},
                {"index": 0, "arguments": '{"x":1}'},
            ],
            [("f", {"x": 1}, "a"), ("g", {}, "b")],
            id="arguments of the second call first",
        ),
        pytest.param(
            [{"index": 3, "id": "a", "name": "f", "arguments": "{}"}],
            [("f", {}, "a")],
            id="first index is not 0",
        ),
        # no index
        pytest.param(
            [
                {"id": "a", "name": "f", "arguments": '{"x":'},
                {"arguments": "1}"},
                {"id": "b", "name": "f", "arguments": '{"x":'},
                {"id": "b", "arguments": "2}"},
            ],
            [("f", {"x": 1}, "a"), ("f", {"x": 2}, "b")],
            id="no index, calls one after the other",
        ),
        pytest.param(
            [
                {"id": "a", "name": "f", "arguments": '{"x":'},
                {"id": "b", "name": "f", "arguments": '{"x":2}'},
                {"id": "a", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "a"), ("f", {"x": 2}, "b")],
            id="no index, back to the first id",
        ),
        pytest.param(
            [
                {"name": "f", "arguments": '{"x":1}'},
                {"id": "b", "name": "g", "arguments": "{}"},
            ],
            [("f", {"x": 1}, "call_0"), ("g", {}, "b")],
            id="no index, id in the second call only",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": '{"x":'},
                {"arguments": "1}"},
            ],
            [("f", {"x": 1}, "a")],
            id="index in the first fragment only",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 1, "id": "a", "arguments": '{"x":'},
                {"index": 2, "id": "a", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "a")],
            id="new index in each fragment",
        ),
        # the same index for several calls
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": '{"x":1}'},
                {"index": 0, "id": "b", "name": "f", "arguments": '{"x":2}'},
            ],
            [("f", {"x": 1}, "a"), ("f", {"x": 2}, "b")],
            id="same index, two ids",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 0, "id": "b", "name": "g", "arguments": ""},
                {"index": 0, "id": "a", "arguments": '{"x":'},
                {"index": 0, "id": "b", "arguments": '{"y":2}'},
                {"index": 0, "id": "a", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "a"), ("g", {"y": 2}, "b")],
            id="same index, two ids in turn",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 0, "id": "b", "name": "g", "arguments": ""},
                {"index": 0, "id": "a", "arguments": '{"x":'},
                {"index": 0, "arguments": "1}"},
            ],
            [("f", {"x": 1}, "a"), ("g", {}, "b")],
            id="same index, id in some fragments",
        ),
        # the same id for several calls, a late id, or no id
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 1, "id": "a", "name": "g", "arguments": ""},
                {"index": 0, "id": "a", "arguments": '{"x":1}'},
                {"index": 1, "arguments": '{"y":2}'},
            ],
            [("f", {"x": 1}, "a"), ("g", {"y": 2}, "call_1")],
            id="same id",
        ),
        pytest.param(
            [
                {"index": 0, "id": "null", "name": "f", "arguments": '{"x":'},
                {"index": 1, "id": "null", "name": "g", "arguments": "{}"},
                {"index": 0, "id": "null", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "null"), ("g", {}, "call_1")],
            id="the text null as each id",
        ),
        pytest.param(
            [
                {"index": 0, "name": "f", "arguments": ""},
                {"index": 0, "id": "a", "arguments": '{"x":'},
                {"index": 0, "id": "a", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "call_0")],
            id="id after the first fragment",
        ),
        pytest.param(
            [
                {"index": 0, "id": "", "name": "f", "arguments": '{"x":'},
                {"index": 0, "id": "", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "call_0")],
            id="empty id",
        ),
        # names
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": '{"x":1'},
                {"index": 0, "name": "f", "arguments": "}"},
            ],
            [("f", {"x": 1}, "a")],
            id="name repeated in each fragment",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 0, "name": "f", "arguments": '{"x":1}'},
            ],
            [("f", {"x": 1}, "a")],
            id="name repeated with all arguments",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "look", "arguments": ""},
                {"index": 0, "name": "_up", "arguments": "{}"},
            ],
            [("look_up", {}, "a")],
            id="name in two parts",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "look", "arguments": ""},
                {"index": 0, "id": "a", "name": "look_up", "arguments": "{}"},
            ],
            [("look_up", {}, "a")],
            id="name that becomes longer",
        ),
        # arguments
        pytest.param(
            [{"index": 0, "id": "a", "name": "f"}],
            [("f", {}, "a")],
            id="no arguments",
        ),
        pytest.param(
            [{"index": 0, "id": "a", "name": "f", "arguments": ""}],
            [("f", {}, "a")],
            id="empty arguments",
        ),
        pytest.param(
            [{"index": 0, "id": "a", "name": "f", "arguments": None}],
            [("f", {}, "a")],
            id="null as arguments",
        ),
        pytest.param(
            [{"index": 0, "id": "a", "name": "f", "arguments": {"x": [1]}}],
            [("f", {"x": [1]}, "a")],
            id="object as arguments",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": "{}"},
                {"index": 0, "arguments": ""},
                {"index": 0},
            ],
            [("f", {}, "a")],
            id="empty fragments after the arguments",
        ),
    ],
)
def test_fragments_give_each_tool_call_once_and_complete(
    read: Reader, fragments: list[dict[str, Any]], expected: list[Call]
) -> None:
    events = [create_tool_call_event(**fragment) for fragment in fragments]

    assert read([*events, END], {}) == Calls(expected, invalid_count=0)


def create_whole_calls(index: dict[str, int], ids: list[str | None]) -> list[Any]:
    return [
        create_tool_call_event(**index, name=name, id=id_, arguments='{"x":1}')
        for name, id_ in zip(["f", "g", "g"], ids, strict=True)
    ]


def convert_to_completion_message(events: list[Any]) -> AIMessage:
    """Return the message of a completion with the tool calls of these events."""
    deltas = [event["choices"][0]["delta"] for event in events]
    tool_calls = [call for delta in deltas for call in delta["tool_calls"]]
    return convert_to_message({"choices": [{"message": {"tool_calls": tool_calls}}]})


@every_reader
@pytest.mark.parametrize(
    ("index", "ids", "expected"),
    [
        ({}, ["a", "b", "c"], ["a", "b", "c"]),
        ({}, [None, "", None], ["call_0", "call_1", "call_2"]),
        ({}, ["call_1", None, "b"], ["call_1", "call_2", "b"]),
        ({}, [None, "call_0", None], ["call_0", "call_1", "call_2"]),
        ({"index": 0}, ["a", "b", "c"], ["a", "b", "c"]),
    ],
)
def test_whole_tool_calls_in_a_stream_equal_those_in_a_completion(
    read: Reader, index: dict[str, int], ids: list[str | None], expected: list[str]
) -> None:
    events = create_whole_calls(index, ids)

    calls = read([*events, END], {})

    assert [id_ for _, _, id_ in calls.valid] == expected
    assert calls == get_calls(convert_to_completion_message(events))


@every_reader
@pytest.mark.parametrize(
    "fragments",
    [
        pytest.param(
            [
                {"index": 0, "name": "f", "arguments": '{"x":1}'},
                {"index": 0, "name": "f", "arguments": '{"x":2}'},
            ],
            id="same index, no ids",
        ),
        pytest.param(
            [
                {"index": 0, "name": "f", "arguments": '{"x":1}'},
                {"index": 0, "name": "g", "arguments": ""},
                {"index": 0, "arguments": '{"y":2}'},
            ],
            id="same index, no ids, two names",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": '{"x":1}'},
                {"index": 0, "name": "g", "arguments": '{"y":2}'},
            ],
            id="same index, id in the first call only",
        ),
    ],
)
def test_fragments_of_indistinguishable_calls_give_an_invalid_tool_call(
    read: Reader, fragments: list[dict[str, Any]]
) -> None:
    events = [create_tool_call_event(**fragment) for fragment in fragments]

    assert read([*events, END], {}) == Calls([], invalid_count=1)


@every_reader
@pytest.mark.parametrize(
    ("index", "ids"),
    [
        ({}, ["a", "a", "a"]),
        ({"index": 0}, ["a", "a", "a"]),
        ({"index": 0}, [None, "", None]),
        ({"index": 0}, ["call_1", None, "b"]),
        ({"index": 0}, [None, "call_0", None]),
    ],
)
def test_indistinguishable_whole_calls_never_give_a_wrong_valid_call(
    read: Reader, index: dict[str, int], ids: list[str | None]
) -> None:
    events = create_whole_calls(index, ids)

    calls = read([*events, END], {})

    sent = get_calls(convert_to_completion_message(events)).valid
    assert [call for call in calls.valid if call[:2] not in [real[:2] for real in sent]] == []
    assert calls.invalid_count == 1


# --- tool calls: what a chunk has ----------------------------------------------------


def test_first_fragment_of_a_tool_call_gives_a_chunk_at_once() -> None:
    builder = ChunkBuilder({})

    [chunk] = builder.build_chunks(
        [create_tool_call_event(index=0, id="a", name="f", arguments="")]
    )

    assert get_chunk_message(chunk).tool_call_chunks == [
        tool_call_chunk(name="f", id="a", args="", index=0)
    ]


def test_name_and_id_are_in_one_chunk_only() -> None:
    built = build_chunks(
        [
            create_tool_call_event(index=0, id="a", name="f", arguments=""),
            create_tool_call_event(index=0, arguments='{"x"'),
            create_tool_call_event(index=0, id="a", name="f", arguments=":1}"),
            END,
        ]
    )

    assert [
        (call["name"], call["id"], call["args"])
        for chunk in built
        for call in chunk.tool_call_chunks
    ] == [("f", "a", ""), (None, None, '{"x"'), (None, None, ":1}")]


def test_fragment_that_adds_nothing_gives_no_chunk() -> None:
    builder = ChunkBuilder({})
    builder.build_chunks([create_tool_call_event(index=0, id="a", name="f", arguments="{}")])

    again = builder.build_chunks(
        [create_tool_call_event(index=0, id="a", name="f", arguments="")]
    )

    assert again == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"n":1}', {"n": 1}),
        ("null", {}),
        ('```json\n{"n":1}\n```', {"n": 1}),
    ],
)
def test_tool_call_after_the_finish_reason_is_complete(
    arguments: str, expected: dict[str, Any]
) -> None:
    events = [
        create_tool_call_event(index=0, id="a", name="f", arguments="{}"),
        create_event(finish_reason="tool_calls"),
        create_tool_call_event(index=1, id="b", name="g", arguments=arguments),
    ]

    message = join_chunks(events)

    assert [call["args"] for call in message.tool_calls] == [{}, expected]


def test_arguments_in_a_fence_give_one_chunk_at_the_finish_reason() -> None:
    arguments = 'So:\n```json\n{"n":1}\n```'
    events = [create_tool_call_event(index=0, id="a", name="f", arguments="")]
    events += [create_tool_call_event(index=0, arguments=text) for text in arguments]

    chunks = build_chunks([*events, create_event(finish_reason="tool_calls")])

    fragments = [chunk["args"] for message in chunks for chunk in message.tool_call_chunks]
    assert fragments == ["", '{"n":1}']


def test_call_without_arguments_gives_one_chunk() -> None:
    events = [create_tool_call_event(index=0, id="a", name="f", arguments="")] * 2

    *chunks, _ = build_chunks([*events, create_event(finish_reason="tool_calls")])

    assert [len(chunk.tool_call_chunks) for chunk in chunks] == [1]


def test_tool_calls_in_one_event_give_one_chunk() -> None:
    events = [
        create_tool_call_event(index=0, id="a", name="f", arguments="{}"),
        create_tool_call_event(index=1, id="b", name="g", arguments="{}"),
    ]
    tool_calls = [event["choices"][0]["delta"]["tool_calls"][0] for event in events]

    [chunk] = ChunkBuilder({}).build_chunks([create_event({"tool_calls": tool_calls})])

    assert get_chunk_message(chunk).tool_call_chunks == [
        tool_call_chunk(name="f", id="a", args="{}", index=0),
        tool_call_chunk(name="g", id="b", args="{}", index=1),
    ]


@pytest.mark.parametrize("coalesce", [False, True])
def test_fragments_that_arrive_together_are_joined_for_each_call(coalesce: bool) -> None:
    [chunk] = ChunkBuilder({}, coalesce=coalesce).build_chunks(
        [
            create_tool_call_event(index=0, id="a", name="f", arguments=""),
            create_tool_call_event(index=0, arguments='{"x":'),
            create_tool_call_event(index=1, id="b", name="g", arguments='{"y":'),
            create_tool_call_event(index=0, arguments="1}"),
            create_tool_call_event(index=1, arguments="2}"),
        ]
    )

    assert get_chunk_message(chunk).tool_call_chunks == [
        tool_call_chunk(name="f", id="a", args='{"x":1}', index=0),
        tool_call_chunk(name="g", id="b", args='{"y":2}', index=1),
    ]


@every_reader
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param(["math_add_1b3d"], "math.add", id="whole"),
        pytest.param(["math_add_1b3d", "math_add_1b3d"], "math.add", id="repeated"),
        pytest.param(["math", "_add_1b3d"], "math_add_1b3d", id="in parts"),
        pytest.param(["math_add", "math_add_1b3d"], "math_add_1b3d", id="longer"),
    ],
)
@pytest.mark.parametrize("arguments", ["", "{}"])
def test_whole_tool_name_is_mapped_back_to_the_users_name(
    read: Reader, parts: list[str], expected: str, arguments: str
) -> None:
    events = [
        *(create_tool_call_event(index=0, id="a", name=part, arguments="") for part in parts),
        create_tool_call_event(index=1, id="b", name="f", arguments="{}"),
        create_tool_call_event(index=0, arguments=arguments),
        END,
    ]

    calls = read(events, {"math_add_1b3d": "math.add", "f_1b3d": "f.f"})

    assert calls == Calls([(expected, {}, "a"), ("f", {}, "b")], invalid_count=0)


@every_reader
def test_tool_name_that_follows_its_arguments_is_mapped_back(read: Reader) -> None:
    events = [
        create_tool_call_event(index=0, id="a", arguments='{"x":'),
        create_tool_call_event(index=0, name="math_add_1b3d", arguments="1}"),
        END,
    ]

    calls = read(events, {"math_add_1b3d": "math.add"})

    assert calls == Calls([("math.add", {"x": 1}, "a")], invalid_count=0)


# --- tool calls: truncated arguments -------------------------------------------------

COMPLETE_ARGUMENTS = [
    '{"path":"a.txt","force":false}',
    '{"a":[[1,2],[{"b":[]}]],"c":{}}',
    '{"text":"say \\"hi\\" \\\\ there\\n"}',
    '{"unicode":"\\u00e9\\ud83c\\udf0a é🌊"}',
    '{"literals":[true,false,null,-1.5e3]}',
]
every_finish_reason = pytest.mark.parametrize("finish_reason", ["length", "tool_calls", "stop"])
all_complete_arguments = pytest.mark.parametrize("arguments", COMPLETE_ARGUMENTS)


@every_finish_reason
@all_complete_arguments
def test_truncated_arguments_give_an_invalid_tool_call(
    arguments: str, finish_reason: str
) -> None:
    for length in range(1, len(arguments)):
        message = join_chunks(
            [
                create_tool_call_event(index=0, id="a1b2c3d4e", name="remove", arguments=""),
                create_tool_call_event(index=0, arguments=arguments[: length // 2]),
                create_tool_call_event(index=0, arguments=arguments[length // 2 : length]),
                create_event(finish_reason=finish_reason),
            ]
        )
        [invalid] = message.invalid_tool_calls

        assert message.tool_calls == []
        assert (invalid["name"], invalid["id"]) == ("remove", "a1b2c3d4e")
        sent = tool_arguments.remove_truncation_marker(invalid["args"] or "")
        assert sent == arguments[:length]


@every_finish_reason
@all_complete_arguments
def test_complete_arguments_get_no_marker(arguments: str, finish_reason: str) -> None:
    for position in range(len(arguments)):
        *_, last = build_chunks(
            [
                create_tool_call_event(
                    index=0, id="a", name="remove", arguments=arguments[:position]
                ),
                create_tool_call_event(index=0, arguments=arguments[position:]),
                create_event(finish_reason=finish_reason),
            ]
        )

        assert last.tool_call_chunks == []


def test_empty_arguments_at_the_token_limit_give_an_invalid_tool_call() -> None:
    message = join_chunks(
        [
            create_tool_call_event(index=0, id="a1b2c3d4e", name="remove", arguments=""),
            create_event(finish_reason="length"),
        ]
    )

    assert message.tool_calls == []
    assert [(call["name"], call["id"]) for call in message.invalid_tool_calls] == [
        ("remove", "a1b2c3d4e")
    ]


def test_only_the_truncated_tool_call_is_invalid() -> None:
    message = join_chunks(
        [
            create_tool_call_event(index=0, id="a", name="f", arguments='{"x":1}'),
            create_tool_call_event(index=1, id="b", name="g", arguments='{"y":"ha'),
            create_event(finish_reason="length"),
        ]
    )

    assert [call["id"] for call in message.tool_calls] == ["a"]
    assert [call["id"] for call in message.invalid_tool_calls] == ["b"]


# --- chunks without validation -------------------------------------------------------

OBSERVATIONS: list[Callable[[ChatGenerationChunk], Any]] = [
    lambda chunk: chunk,
    lambda chunk: chunk.message,
    repr,
    str,
    dumps,
    lambda chunk: chunk.model_dump(),
    lambda chunk: chunk.model_dump_json(exclude_unset=True),
    lambda chunk: chunk.message.model_dump(exclude_defaults=True),
    lambda chunk: chunk.message.content_blocks,
    lambda chunk: chunk.message.text,
    lambda chunk: chunk.message.pretty_repr(),
    lambda chunk: list(chunk.message.__dict__),
    lambda chunk: chunk.message.model_fields_set,
    lambda chunk: chunk.model_fields_set,
    copy.copy,
    copy.deepcopy,
    lambda chunk: pickle.loads(pickle.dumps(chunk)),  # noqa: S301 # bytes of this test
    lambda chunk: chunk.model_copy(deep=True),
    lambda chunk: chunk + create_validated_chunk("more", {"reasoning_content": "x"}),
    lambda chunk: create_validated_chunk("before", {}) + chunk,
    lambda chunk: chunk.message + AIMessageChunk(content="", chunk_position="last"),
    lambda chunk: AIMessageChunk.model_validate(chunk.message.model_dump()),
]
"""Everything that a user may do with a chunk to see how it was created."""

every_observation = pytest.mark.parametrize("observe", OBSERVATIONS)


@every_observation
@given(
    text=st.text(max_size=20),
    additional_kwargs=st.sampled_from([{}, {"reasoning_content": "Hm."}]),
)
def test_unvalidated_chunk_is_identical_to_a_validated_one(
    observe: Callable[[ChatGenerationChunk], Any], text: str, additional_kwargs: dict[str, Any]
) -> None:
    unvalidated = observe(create_unvalidated_chunk(text, dict(additional_kwargs)))
    validated = observe(create_validated_chunk(text, dict(additional_kwargs)))

    assert unvalidated == validated
    assert type(unvalidated) is type(validated)


def test_unvalidated_chunks_share_no_values() -> None:
    changed, other = create_unvalidated_chunk("a", {}), create_unvalidated_chunk("a", {})

    message = get_chunk_message(changed)
    message.response_metadata["logprobs"] = {}
    message.additional_kwargs["x"] = 1
    message.tool_calls.append({"name": "f", "args": {}, "id": None})
    message.id = "run-1"

    assert other == create_validated_chunk("a", {})


def test_installed_versions_allow_unvalidated_chunks() -> None:
    assert chunks.create_chunk is create_unvalidated_chunk


PUBLIC_NAMES_PROGRAM = """
from langchain_cerebras_inference._conversion import chunks

assert chunks.create_chunk is chunks.create_validated_chunk
print(repr(chunks.create_chunk("Yes.", {"reasoning_content": "Hm."})))
"""


def test_chunk_is_validated_by_the_public_fallback() -> None:
    output = subprocess.check_output(
        [*PYTHON, "-c", PUBLIC_NAMES_PROGRAM],
        env={**os.environ, "CEREBRAS_INFERENCE_PUBLIC_NAMES_ONLY": "1"},
        text=True,
    )

    expected = create_unvalidated_chunk("Yes.", {"reasoning_content": "Hm."})
    assert output == f"{expected!r}\n"


@every_observation
@given(
    arguments=st.lists(
        st.text(alphabet='{}[]":, \\n\\ab1', max_size=12) | st.text(max_size=6),
        min_size=1,
        max_size=2,
    ),
    name=st.sampled_from([None, "f"]),
)
def test_tool_call_chunk_is_identical_to_that_of_langchain_core(
    observe: Callable[[ChatGenerationChunk], Any], arguments: list[str], name: str | None
) -> None:
    fragments = [
        tool_call_chunk(name=name, args=text, id=name, index=index)
        for index, text in enumerate(arguments)
    ]
    message = AIMessageChunk(
        content="",
        tool_call_chunks=fragments,
        response_metadata={"model_provider": PROVIDER},
    )

    built = create_chunk_with_tool_calls(fragments)

    assert observe(built) == observe(ChatGenerationChunk(message=message))
