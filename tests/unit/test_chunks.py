"""The events of one stream → chunks."""

import json
from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from typing import Any, cast

import pytest
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_cerebras_inference._conversion import tool_arguments
from langchain_cerebras_inference._conversion.chunks import ChunkReader
from langchain_cerebras_inference._conversion.completion import to_result
from langchain_cerebras_inference._conversion.stream_events import EventReader
from langchain_cerebras_inference._http.sse import SSEDecoder
from langchain_cerebras_inference.errors import CerebrasProtocolError

STREAMS = [
    "reasoning",
    "transition",
    "tool_fragments",
    "parallel_tools",
    "logprobs",
    "trailing_usage",
    "unicode",
]
LINE_ENDS = [b"\n", b"\r\n", b"\r"]


def events_of(pieces: Iterable[bytes]) -> list[Any]:
    decoder = SSEDecoder()
    found = [data for piece in pieces for data in decoder.feed(piece)]
    return [json.loads(data) for data in found if data != b"[DONE]"]


def chunks_of(events: list[Any], names: dict[str, str] | None = None) -> list[AIMessageChunk]:
    reader = ChunkReader(names or {})
    made = [chunk for event in events for chunk in reader.to_chunks([event])]
    return [message_of(chunk) for chunk in [*made, *reader.to_chunks([])]]


def message_of(chunk: ChatGenerationChunk) -> AIMessageChunk:
    assert isinstance(chunk.message, AIMessageChunk)
    return chunk.message


def sum_of(events: list[Any], names: dict[str, str] | None = None) -> AIMessageChunk:
    return reduce(add, chunks_of(events, names))


def said(message: AIMessage) -> dict[str, Any]:
    """All there is to an answer, in a form that whole and streamed ones share."""
    return {
        "text": message.content,
        "kwargs": message.additional_kwargs,
        "calls": message.tool_calls,
        "invalid": message.invalid_tool_calls,
        "usage": message.usage_metadata,
        "metadata": message.response_metadata,
    }


def whole_of(body: bytes) -> dict[str, Any]:
    [generation] = to_result(json.loads(body), {}).generations
    assert isinstance(generation.message, AIMessage)
    return said(generation.message)


def event(delta: Any = None, **choice: Any) -> Any:
    return {"model": "m", "choices": [{"index": 0, "delta": delta or {}, **choice}]}


def fragment(**call: Any) -> Any:
    function = {name: call.pop(name) for name in ("name", "arguments") if name in call}
    return event({"tool_calls": [{"type": "function", "function": function, **call}]})


END = event(finish_reason="tool_calls")


# --- recordings --------------------------------------------------------------------------


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("name", STREAMS)
def test_the_sum_of_the_chunks_is_the_whole_reply(
    recorded: Callable[[str], bytes], name: str, end: bytes
) -> None:
    stream = recorded(f"{name}.sse").replace(b"\n", end)
    whole = whole_of(recorded(f"{name}.json"))

    at_once = sum_of(events_of([stream]))
    by_bytes = sum_of(events_of(stream[n : n + 1] for n in range(len(stream))))

    assert said(at_once) == whole
    assert said(by_bytes) == whole


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_in_two_anywhere_gives_the_same_events(
    recorded: Callable[[str], bytes], name: str
) -> None:
    stream = recorded(f"{name}.sse")
    whole = whole_of(recorded(f"{name}.json"))
    expected = events_of([stream])

    differing = [
        cut for cut in range(len(stream)) if events_of([stream[:cut], stream[cut:]]) != expected
    ]

    assert differing == []
    assert said(sum_of(expected)) == whole


@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_events_that_come_together_have_the_same_sum(
    recorded: Callable[[str], bytes], name: str, coalesce: bool
) -> None:
    events = events_of([recorded(f"{name}.sse")])
    reader = ChunkReader({}, coalesce=coalesce)

    together = [message_of(each) for each in reader.to_chunks(events)]
    end = [message_of(each) for each in reader.to_chunks([])]

    assert said(reduce(add, together + end)) == whole_of(recorded(f"{name}.json"))


@pytest.mark.parametrize("name", STREAMS)
def test_a_chunk_is_of_one_kind(recorded: Callable[[str], bytes], name: str) -> None:
    for chunk in chunks_of(events_of([recorded(f"{name}.sse")])):
        kinds = [
            bool(chunk.content),
            "reasoning_content" in chunk.additional_kwargs,
            bool(chunk.tool_call_chunks),
        ]

        assert sum(kinds) <= 1


@pytest.mark.parametrize("name", STREAMS)
def test_only_the_last_chunk_holds_what_belongs_to_the_whole(
    recorded: Callable[[str], bytes], name: str
) -> None:
    *others, last = chunks_of(events_of([recorded(f"{name}.sse")]))

    assert last.chunk_position == "last"
    assert last.usage_metadata is not None
    assert {"finish_reason", "id", "model_name", "time_info"} <= last.response_metadata.keys()
    for chunk in others:
        assert chunk.chunk_position is None
        assert chunk.usage_metadata is None
        assert chunk.response_metadata.keys() <= {"model_provider", "logprobs"}
        assert chunk.id is None


def test_reasoning_text_and_calls_are_those_that_were_sent(
    recorded: Callable[[str], bytes],
) -> None:
    message = sum_of(events_of([recorded("tool_fragments.sse")]))

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


def test_a_transition_delta_gives_its_reasoning_before_its_text(
    recorded: Callable[[str], bytes],
) -> None:
    chunks = chunks_of(events_of([recorded("transition.sse")]))

    assert [
        chunk.additional_kwargs.get("reasoning_content") or chunk.content for chunk in chunks
    ] == [
        "Answer with the word",
        " harbour.",
        "Harbour",
        " lights",
        " Plural is right.",
        ".",
        "",
    ]


def test_log_probabilities_stay_with_their_text(recorded: Callable[[str], bytes]) -> None:
    chunks = chunks_of(events_of([recorded("logprobs.sse")]))

    assert [
        (
            chunk.content,
            [each["token"] for each in chunk.response_metadata["logprobs"]["content"]],
        )
        for chunk in chunks[:-1]
    ] == [("Yes", ["Yes"]), (".", ["."]), ("", ["<|return|>"])]


# --- what comes together -----------------------------------------------------------------


TOGETHER = [
    event({"role": "assistant"}),
    event({"reasoning": "Let me"}),
    event({"reasoning": " see."}),
    event({"content": "It"}),
    event({"reasoning": "Really?", "content": " is"}),
    event({"content": " so."}),
]


def texts_of(chunks: list[ChatGenerationChunk]) -> list[tuple[str, str]]:
    return [
        (str(chunk.message.additional_kwargs.get("reasoning_content", "")), chunk.text)
        for chunk in chunks
    ]


def test_each_delta_is_a_chunk() -> None:
    chunks = ChunkReader({}).to_chunks(TOGETHER)

    assert texts_of(chunks) == [
        ("Let me", ""),
        (" see.", ""),
        ("", "It"),
        ("Really?", ""),
        ("", " is"),
        ("", " so."),
    ]


def test_neighbours_of_one_kind_are_joined_where_that_is_asked_for() -> None:
    chunks = ChunkReader({}, coalesce=True).to_chunks(TOGETHER)

    assert texts_of(chunks) == [
        ("Let me see.", ""),
        ("", "It"),
        ("Really?", ""),
        ("", " is so."),
    ]


def test_joined_texts_keep_all_of_their_log_probabilities() -> None:
    events = [
        event({"content": "a"}, logprobs={"content": [{"token": "a"}]}),
        event({"content": "b"}),
        event({"content": "c"}, logprobs={"content": None}),
        event({"content": "d"}, logprobs={"content": [{"token": "d"}]}),
    ]

    [chunk] = ChunkReader({}, coalesce=True).to_chunks(events)

    assert chunk.text == "abcd"
    assert chunk.message.response_metadata["logprobs"] == {
        "content": [{"token": "a"}, {"token": "d"}]
    }
    assert events[0]["choices"][0]["logprobs"] == {"content": [{"token": "a"}]}


@pytest.mark.parametrize("coalesce", [False, True])
def test_fragments_of_calls_that_come_together_are_one_for_each_call(coalesce: bool) -> None:
    [chunk] = ChunkReader({}, coalesce=coalesce).to_chunks(
        [
            fragment(index=0, id="a", name="f", arguments=""),
            fragment(index=0, arguments='{"x":'),
            fragment(index=1, id="b", name="g", arguments='{"y":'),
            fragment(index=0, arguments="1}"),
            fragment(index=1, arguments="2}"),
        ]
    )

    assert [
        (call["name"], call["id"], call["args"], call["index"])
        for call in message_of(chunk).tool_call_chunks
    ] == [("f", "a", '{"x":1}', 0), ("g", "b", '{"y":2}', 1)]


@pytest.mark.parametrize("coalesce", [False, True])
def test_odd_log_probabilities_are_a_protocol_error_when_joined(coalesce: bool) -> None:
    reader = ChunkReader({}, coalesce=coalesce)
    calls = [
        fragment(index=0, id="a", name="f", arguments=""),
        fragment(index=0, arguments="{}"),
    ]
    for each in calls:
        each["choices"][0]["logprobs"] = ["odd"]

    with pytest.raises(CerebrasProtocolError, match="is base_url Cerebras'"):
        reader.to_chunks(calls)


# --- deltas ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "delta",
    [
        {},
        {"role": "assistant"},
        {"content": ""},
        {"content": None, "reasoning": None, "tool_calls": None},
        {"reasoning": ""},
        {"tool_calls": []},
        {"unknown": "field"},
    ],
)
def test_a_delta_that_says_nothing_gives_no_chunk(delta: dict[str, Any]) -> None:
    assert ChunkReader({}).to_chunks([event(delta)]) == []


@pytest.mark.parametrize("choices", [[], [{"index": 0}], [{"index": 0, "delta": None}]])
def test_an_event_without_a_delta_gives_no_chunk(choices: list[Any]) -> None:
    assert ChunkReader({}).to_chunks([{"choices": choices}]) == []


def test_reasoning_log_probabilities_are_kept_beside_the_others() -> None:
    [chunk, _] = chunks_of(
        [
            event(
                {"reasoning": "So"},
                reasoning_logprobs={"content": [{"token": "So"}]},
                logprobs=None,
            )
        ]
    )

    assert chunk.response_metadata == {
        "model_provider": "cerebras",
        "reasoning_logprobs": {"content": [{"token": "So"}]},
    }


def test_usage_in_the_finish_and_again_after_it_counts_once() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

    message = sum_of(
        [
            event({"content": "a"}),
            {**event(finish_reason="stop"), "usage": usage},
            {"choices": [], "usage": usage},
        ]
    )

    assert message.usage_metadata == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def test_a_stream_without_usage_has_none() -> None:
    message = sum_of([event({"content": "a"}), event(finish_reason="stop")])

    assert message.usage_metadata is None
    assert message.response_metadata == {
        "model_provider": "cerebras",
        "model_name": "m",
        "finish_reason": "stop",
    }


def test_the_last_chunk_names_the_finish_reason_for_callbacks_too() -> None:
    reader = ChunkReader({})
    reader.to_chunks([event({"content": "a"}, finish_reason="length")])

    [last] = reader.to_chunks([])

    assert last.generation_info == {"finish_reason": "length"}


def test_headers_that_are_wanted_are_in_the_last_chunk() -> None:
    reader = ChunkReader({}, {"cf-ray": "8f00", "set-cookie": "secret"})
    reader.to_chunks([event({"content": "a"}, finish_reason="stop")])

    [last] = reader.to_chunks([])

    assert last.message.response_metadata["headers"] == {"cf-ray": "8f00"}


@pytest.mark.parametrize(
    "odd",
    [
        event({"content": 5}),
        event({"content": ["a"]}),
        event({"reasoning": {"text": "a"}}),
        event({"tool_calls": "a"}),
        event({"tool_calls": 5}),
        event({"tool_calls": [{"function": "a"}]}),
        fragment(name=5, id="a", index=0),
        fragment(name="a", id=5, index=0),
        fragment(name="a", id="a", index=[]),
        event(finish_reason=5),
        event("text"),
        {"choices": ["a"]},
        {"choices": 5},
        {},
    ],
)
def test_values_of_other_types_than_the_wires_are_a_protocol_error(odd: Any) -> None:
    reader = ChunkReader({})

    with pytest.raises(CerebrasProtocolError, match="is base_url Cerebras'"):
        reader.to_chunks([odd])


@pytest.mark.parametrize(
    "more",
    [
        {"usage": "a"},
        {"usage": {"prompt_tokens": "many", "completion_tokens": 1}},
        {"usage": {"prompt_tokens_details": 5}},
        {"usage": {"completion_tokens": 5}, "time_info": {"completion_time": "long"}},
    ],
)
def test_odd_usage_is_a_protocol_error_at_the_end(more: Any) -> None:
    reader = ChunkReader({})
    reader.to_chunks([event(finish_reason="stop") | more])

    with pytest.raises(CerebrasProtocolError, match="is base_url Cerebras'"):
        reader.to_chunks([])


# --- tool calls --------------------------------------------------------------------------


Call = tuple[str, Any, Any]
"""The name, the arguments and the id of a call."""


def calls_of(message: AIMessage) -> list[Call]:
    assert message.invalid_tool_calls == []
    return [(call["name"], call["args"], call["id"]) for call in message.tool_calls]


def one_by_one(events: list[Any], names: dict[str, str]) -> list[Call]:
    return calls_of(sum_of(events, names))


def in_one_event(events: list[Any], names: dict[str, str]) -> list[Call]:
    deltas = [each["choices"][0]["delta"] for each in events]
    fragments = [call for delta in deltas for call in delta.get("tool_calls", [])]
    return calls_of(sum_of([event({"tool_calls": fragments}), END], names))


def in_one_read(events: list[Any], names: dict[str, str]) -> list[Call]:
    reader = ChunkReader(names)
    chunks = [*reader.to_chunks(events), *reader.to_chunks([])]
    return calls_of(reduce(add, map(message_of, chunks)))


def in_version_1(events: list[Any], names: dict[str, str]) -> list[Call]:
    """Core puts the blocks of each chunk into its content, and merges these."""
    chunks = chunks_of(events, names)
    for chunk in chunks:
        chunk.content = cast("list[Any]", chunk.content_blocks)
        chunk.response_metadata["output_version"] = "v1"
    blocks = cast("list[Any]", reduce(add, chunks).content)
    assert {block["type"] for block in blocks} == {"tool_call"}
    return [(block["name"], block["args"], block["id"]) for block in blocks]


def as_protocol_events(events: list[Any], names: dict[str, str]) -> list[Call]:
    reader, stream = EventReader(names), ChatModelStream()
    for given in [*([each] for each in events), []]:
        for made in reader.to_events(given):
            if made["event"] == "content-block-start":
                assert made["content"]["name"] in {*names.values(), "f", "g", "look_up"}
            stream.dispatch(made)
    assert stream.output_message is not None
    return calls_of(stream.output_message)


WAYS = [one_by_one, in_one_event, in_one_read, in_version_1, as_protocol_events]
Way = Callable[[list[Any], dict[str, str]], list[Call]]


def test_whole_calls_come_in_one_chunk() -> None:
    [chunk, _] = chunks_of(
        [
            event(
                {
                    "tool_calls": [
                        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
                        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
                    ]
                }
            )
        ]
    )

    assert [(call["name"], call["id"], call["index"]) for call in chunk.tool_call_chunks] == [
        ("f", "a", 0),
        ("g", "b", 1),
    ]


def test_name_and_id_are_said_once_a_call() -> None:
    chunks = chunks_of(
        [
            fragment(index=0, id="a", name="f", arguments=""),
            fragment(index=0, arguments='{"x"'),
            fragment(index=0, id="a", name="f", arguments=":1}"),
            END,
        ]
    )

    assert [
        (call["name"], call["id"], call["args"])
        for chunk in chunks
        for call in chunk.tool_call_chunks
    ] == [("f", "a", '{"x"'), (None, None, ":1}")]


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
            id="fragments of two calls, mixed",
        ),
        pytest.param(
            [
                {"id": "a", "name": "f", "arguments": '{"x":'},
                {"arguments": "1}"},
                {"id": "b", "name": "f", "arguments": '{"x":'},
                {"id": "b", "arguments": "2}"},
            ],
            [("f", {"x": 1}, "a"), ("f", {"x": 2}, "b")],
            id="no index",
        ),
        pytest.param(
            [
                {"id": "a", "name": "f", "arguments": '{"x":'},
                {"id": "b", "name": "f", "arguments": '{"x":2}'},
                {"id": "a", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "a"), ("f", {"x": 2}, "b")],
            id="no index, by id",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": '{"x":1}'},
                {"index": 0, "id": "b", "name": "f", "arguments": '{"x":2}'},
            ],
            [("f", {"x": 1}, "a"), ("f", {"x": 2}, "b")],
            id="one index for all",
        ),
        pytest.param(
            [
                {"index": 0, "name": "f", "arguments": '{"x":1}'},
                {"index": 0, "name": "f", "arguments": '{"x":2}'},
            ],
            [("f", {"x": 1}, "call_0"), ("f", {"x": 2}, "call_1")],
            id="one index for all and no ids",
        ),
        pytest.param(
            [
                {"index": 0, "name": "f", "arguments": '{"x":1}'},
                {"index": 0, "name": "g", "arguments": ""},
                {"index": 0, "arguments": '{"y":2}'},
            ],
            [("f", {"x": 1}, "call_0"), ("g", {"y": 2}, "call_1")],
            id="one index for two names and no ids",
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
            id="one index for all, mixed",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 0, "id": "b", "name": "g", "arguments": ""},
                {"index": 0, "id": "a", "arguments": '{"x":'},
                {"index": 0, "arguments": "1}"},
            ],
            [("f", {"x": 1}, "a"), ("g", {}, "b")],
            id="one index for all and an id now and then",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 1, "id": "a", "name": "g", "arguments": ""},
                {"index": 0, "id": "a", "arguments": '{"x":1}'},
                {"index": 1, "arguments": '{"y":2}'},
            ],
            [("f", {"x": 1}, "a"), ("g", {"y": 2}, "call_1")],
            id="one id for all",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": '{"x":1}'},
                {"index": 0, "name": "g", "arguments": '{"y":2}'},
            ],
            [("f", {"x": 1}, "a"), ("g", {"y": 2}, "call_1")],
            id="an id for the first call alone",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 1, "id": "a", "arguments": '{"x":'},
                {"index": 2, "id": "a", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "a")],
            id="an index for each fragment",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": '{"x":'},
                {"arguments": "1}"},
            ],
            [("f", {"x": 1}, "a")],
            id="an index in the first fragment alone",
        ),
        pytest.param(
            [
                {"index": 0, "name": "f", "arguments": ""},
                {"index": 0, "id": "a", "arguments": '{"x":'},
                {"index": 0, "id": "a", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "call_0")],
            id="an id that comes late",
        ),
        pytest.param(
            [
                {"name": "f", "arguments": '{"x":1}'},
                {"id": "b", "name": "g", "arguments": "{}"},
            ],
            [("f", {"x": 1}, "call_0"), ("g", {}, "b")],
            id="no index and one id",
        ),
        pytest.param(
            [
                {"index": 0, "id": "", "name": "f", "arguments": '{"x":'},
                {"index": 0, "id": "", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "call_0")],
            id="an empty id",
        ),
        pytest.param(
            [
                {"index": 0, "id": "null", "name": "f", "arguments": '{"x":'},
                {"index": 1, "id": "null", "name": "g", "arguments": "{}"},
                {"index": 0, "id": "null", "arguments": "1}"},
            ],
            [("f", {"x": 1}, "null"), ("g", {}, "call_1")],
            id="the word null for an id",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 1, "id": "b", "name": "g", "arguments": "{}"},
                {"index": 0, "arguments": '{"x":1}'},
            ],
            [("f", {"x": 1}, "a"), ("g", {}, "b")],
            id="the arguments of the second call first",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": '{"x":1'},
                {"index": 0, "name": "f", "arguments": "}"},
            ],
            [("f", {"x": 1}, "a")],
            id="the name again with each fragment",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": ""},
                {"index": 0, "name": "f", "arguments": '{"x":1}'},
            ],
            [("f", {"x": 1}, "a")],
            id="the name again with all of the arguments",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "look", "arguments": ""},
                {"index": 0, "name": "_up", "arguments": "{}"},
            ],
            [("look_up", {}, "a")],
            id="a name in two parts",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "look", "arguments": ""},
                {"index": 0, "id": "a", "name": "look_up", "arguments": "{}"},
            ],
            [("look_up", {}, "a")],
            id="a name that grows",
        ),
        pytest.param(
            [{"index": 3, "id": "a", "name": "f", "arguments": "{}"}],
            [("f", {}, "a")],
            id="an index that does not start at 0",
        ),
        pytest.param(
            [{"index": 0, "id": "a", "name": "f", "arguments": ""}],
            [("f", {}, "a")],
            id="no arguments",
        ),
        pytest.param(
            [{"index": 0, "id": "a", "name": "f", "arguments": None}],
            [("f", {}, "a")],
            id="null for arguments",
        ),
        pytest.param(
            [{"index": 0, "id": "a", "name": "f", "arguments": {"x": [1]}}],
            [("f", {"x": [1]}, "a")],
            id="arguments as an object",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "name": "f", "arguments": "{}"},
                {"index": 0, "arguments": ""},
                {"index": 0},
            ],
            [("f", {}, "a")],
            id="empty fragments",
        ),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_each_call_arrives_once_and_whole(
    way: Way, fragments: list[dict[str, Any]], expected: list[Call]
) -> None:
    events = [fragment(**each) for each in fragments]

    assert way([*events, END], {}) == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("index", [{}, {"index": 0}])
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["a", "b", "c"], ["a", "b", "c"]),
        (["a", "a", "a"], ["a", "call_1", "call_2"]),
        ([None, "", None], ["call_0", "call_1", "call_2"]),
        (["call_1", None, "b"], ["call_1", "call_2", "b"]),
        ([None, "call_0", None], ["call_0", "call_1", "call_2"]),
    ],
)
def test_whole_calls_have_the_ids_of_the_whole_reply(
    way: Way, index: dict[str, int], ids: list[str | None], expected: list[str]
) -> None:
    named = zip(["f", "g", "g"], ids, strict=True)
    events = [fragment(**index, name=f, id=id_, arguments='{"x":1}') for f, id_ in named]
    given = [call for each in events for call in each["choices"][0]["delta"]["tool_calls"]]
    reply: Any = {"choices": [{"message": {"tool_calls": given}}]}
    [whole] = to_result(reply, {}).generations
    assert isinstance(whole.message, AIMessage)

    found = way([*events, END], {})

    assert [id_ for _, _, id_ in found] == expected
    assert found == calls_of(whole.message)


def test_a_name_after_its_arguments_is_theirs() -> None:
    events = [
        fragment(index=0, id="a", arguments='{"x":'),
        fragment(index=0, name="math_add_1b3d", arguments="1}"),
        END,
    ]

    found = one_by_one(events, {"math_add_1b3d": "math.add"})

    assert found == [("math.add", {"x": 1}, "a")]


def test_a_fragment_that_adds_nothing_gives_no_chunk() -> None:
    reader = ChunkReader({})
    reader.to_chunks([fragment(index=0, id="a", name="f", arguments="{}")])

    again = reader.to_chunks([fragment(index=0, id="a", name="f", arguments="")])

    assert again == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "parts",
    [
        ["math_add_1b3d"],
        ["math", "_add_1b3d"],
        ["math_add", "math_add_1b3d"],
        ["m", "math_", "add", "", "math_add_1b3d"],
    ],
)
@pytest.mark.parametrize("text", ["", "{}"])
def test_names_are_those_the_user_knows(way: Way, parts: list[str], text: str) -> None:
    events = [
        *(fragment(index=0, id="a", name=part, arguments="") for part in parts),
        fragment(index=1, id="b", name="f", arguments="{}"),
        fragment(index=0, arguments=text),
        END,
    ]

    found = way(events, {"math_add_1b3d": "math.add", "f_1b3d": "f.f"})

    assert found == [("math.add", {}, "a"), ("f", {}, "b")]


WHOLE = [
    '{"path":"a.txt","force":false}',
    '{"a":[[1,2],[{"b":[]}]],"c":{}}',
    '{"text":"say \\"hi\\" \\\\ there\\n"}',
    '{"unicode":"\\u00e9\\ud83c\\udf0a é🌊"}',
    '{"literals":[true,false,null,-1.5e3]}',
]


@pytest.mark.parametrize("finish", ["length", "tool_calls", "stop"])
@pytest.mark.parametrize("text", WHOLE)
def test_half_of_the_arguments_is_never_a_call(text: str, finish: str) -> None:
    for length in range(1, len(text)):
        message = sum_of(
            [
                fragment(index=0, id="a1b2c3d4e", name="remove", arguments=""),
                fragment(index=0, arguments=text[: length // 2]),
                fragment(index=0, arguments=text[length // 2 : length]),
                event(finish_reason=finish),
            ]
        )
        [invalid] = message.invalid_tool_calls

        assert message.tool_calls == []
        assert (invalid["name"], invalid["id"]) == ("remove", "a1b2c3d4e")
        assert tool_arguments.without_tail(invalid["args"] or "") == text[:length]


@pytest.mark.parametrize("finish", ["length", "tool_calls", "stop"])
@pytest.mark.parametrize("text", WHOLE)
def test_whole_arguments_get_no_tail(text: str, finish: str) -> None:
    for cut in range(len(text)):
        *_, last = chunks_of(
            [
                fragment(index=0, id="a", name="remove", arguments=text[:cut]),
                fragment(index=0, arguments=text[cut:]),
                event(finish_reason=finish),
            ]
        )

        assert last.tool_call_chunks == []


def test_no_arguments_are_cut_arguments_where_the_token_limit_ended_the_answer() -> None:
    message = sum_of(
        [
            fragment(index=0, id="a1b2c3d4e", name="remove", arguments=""),
            event(finish_reason="length"),
        ]
    )

    assert message.tool_calls == []
    assert [(call["name"], call["id"]) for call in message.invalid_tool_calls] == [
        ("remove", "a1b2c3d4e")
    ]


def test_only_the_call_that_was_cut_is_invalid() -> None:
    message = sum_of(
        [
            fragment(index=0, id="a", name="f", arguments='{"x":1}'),
            fragment(index=1, id="b", name="g", arguments='{"y":"ha'),
            event(finish_reason="length"),
        ]
    )

    assert [call["id"] for call in message.tool_calls] == ["a"]
    assert [call["id"] for call in message.invalid_tool_calls] == ["b"]
