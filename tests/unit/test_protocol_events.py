"""Protocol events (version 3): a valid sequence that gives the same message as chunks."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models._compat_bridge import chunks_to_events
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_cerebras_inference._conversion import tool_arguments
from langchain_cerebras_inference._conversion.chunks import ChunkBuilder
from langchain_cerebras_inference._conversion.protocol_events import ProtocolEventBuilder
from tests.unit.stream_helpers import create_event, create_tool_call_event

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
FINISH = create_event(finish_reason="stop")


def begin_tool_call(index: int) -> Any:
    return create_tool_call_event(
        index=index, id=f"id_{index}", name=f"tool_{index}", arguments=""
    )


def build_protocol_events(*batches: list[Any], coalesce: bool = False) -> list[dict[str, Any]]:
    builder = ProtocolEventBuilder({}, coalesce=coalesce)
    return [
        protocol_event
        for batch in [*batches, []]
        for protocol_event in builder.build_protocol_events(batch)
    ]


def convert_chunks_to_protocol_events(batches: list[list[Any]]) -> Iterable[Any]:
    """Return the protocol events that langchain-core creates from our chunks."""
    builder = ChunkBuilder({})
    chunks = [chunk for batch in [*batches, []] for chunk in builder.build_chunks(batch)]
    return chunks_to_events(iter(chunks))


def assemble_message(protocol_events: Iterable[Any]) -> AIMessage:
    stream = ChatModelStream()
    for protocol_event in protocol_events:
        stream.dispatch(protocol_event)
    assert stream.output_message is not None
    return stream.output_message


def dump_message(message: AIMessage, *, add_markers: bool = False) -> dict[str, Any]:
    """Return the fields of a message without the texts of errors.

    Args:
        message: The message.
        add_markers: Whether to add the markers for truncated arguments, which chunks have.
    """
    fields = message.model_dump()
    blocks = [block for block in fields["content"] if isinstance(block, dict)]
    for call in [*fields["invalid_tool_calls"], *blocks]:
        if call["type"] == "invalid_tool_call":
            arguments = call["args"] or ""
            marker = tool_arguments.create_truncation_marker(arguments) if add_markers else ""
            call["args"] = arguments + marker
            call.pop("error")
    return fields


texts = st.text(min_size=1, max_size=8)
arguments = st.sampled_from(["", '{"a"', ": ", "1}", '"b', "{}", "]"])
# Names are whole, because langchain-core's conversion keeps only the last part of a name.
first_fragments = st.builds(
    lambda name, text: create_tool_call_event(name=name, arguments=text),
    st.sampled_from(["tool_1", "tool_2", "tool_10"]),
    arguments,
)
later_fragments = st.builds(
    lambda index, id_, text: create_tool_call_event(index=index, id=id_, arguments=text),
    st.sampled_from([0, 1, None]),
    st.sampled_from([None, "id_0", "id_1"]),
    arguments,
)
content_events = st.one_of(
    st.builds(lambda text: create_event({"content": text}), texts),
    st.builds(lambda text: create_event({"reasoning": text}), texts),
    st.builds(
        lambda reasoning, text: create_event({"reasoning": reasoning, "content": text}),
        texts,
        texts,
    ),
    first_fragments,
    later_fragments,
    st.just(create_event()),
)


@st.composite
def streams(draw: st.DrawFn) -> list[list[Any]]:
    """Draw a stream of one or two batches; the last event has the finish reason."""
    events = draw(st.lists(content_events, max_size=12))
    if any("tool_calls" in event["choices"][0]["delta"] for event in events):
        events = [begin_tool_call(0), begin_tool_call(1), *events]
    finish_reason = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    finish = create_event(finish_reason=finish_reason)
    facts = {"id": "chatcmpl-1", "usage": USAGE, "time_info": {"total_time": 1.0}}
    events = [create_event({"role": "assistant"}), *events, finish | facts]
    position = draw(st.integers(1, len(events)))
    return [batch for batch in (events[:position], events[position:]) if batch]


@given(streams())
def test_sequence_of_v3_events_is_valid(batches: list[list[Any]]) -> None:
    assert_valid_event_stream(build_protocol_events(*batches))


@given(streams(), st.booleans())
def test_message_is_the_one_that_langchain_core_creates_from_chunks(
    batches: list[list[Any]], coalesce: bool
) -> None:
    message = assemble_message(build_protocol_events(*batches, coalesce=coalesce))

    message_from_chunks = assemble_message(convert_chunks_to_protocol_events(batches))
    assert dump_message(message, add_markers=True) == dump_message(message_from_chunks)


def test_each_kind_of_content_is_one_block_in_the_order_of_its_first_delta() -> None:
    deltas = [{"content": "a"}, {"reasoning": "b"}, {"content": "c"}]

    protocol_events = build_protocol_events([create_event(delta) for delta in deltas], [FINISH])

    assert [
        (event["index"], event["content"]["type"])
        for event in protocol_events
        if event["event"] == "content-block-start"
    ] == [(0, "text"), (1, "reasoning")]


def test_first_v3_event_has_provider_and_model() -> None:
    first, *_ = build_protocol_events([create_event({"content": "a"}), FINISH])

    assert first == {
        "event": "message-start",
        "role": "ai",
        "id": "",
        "metadata": {"provider": "cerebras", "model": "m"},
    }


def test_truncated_arguments_give_an_invalid_tool_call_without_marker() -> None:
    truncated = create_tool_call_event(index=0, arguments='{"path": "/t')
    finish = create_event(finish_reason="length")

    message = assemble_message(build_protocol_events([begin_tool_call(0), truncated, finish]))

    assert message.tool_calls == []
    [invalid] = message.invalid_tool_calls
    assert (invalid["name"], invalid["args"]) == ("tool_0", '{"path": "/t')
    assert invalid["error"] == "The arguments are not a complete JSON object."


def test_refusal_is_the_last_block() -> None:
    events = [create_event({"content": "a"}), create_event(finish_reason="content_filter")]

    *_, start, finish, message_finish = build_protocol_events(events)

    block = {
        "type": "refusal",
        "refusal": "",
        "extras": {"finish_reason": "content_filter"},
    }
    assert start == {"event": "content-block-start", "index": 1, "content": block}
    assert finish == {"event": "content-block-finish", "index": 1, "content": block}
    assert message_finish["metadata"]["finish_reason"] == "content_filter"


def test_message_of_a_refusal_without_text_has_the_refusal() -> None:
    """langchain-core drops the block, but the translator adds it again."""
    message = assemble_message(
        build_protocol_events([create_event(finish_reason="content_filter")])
    )

    assert [block["type"] for block in message.content_blocks] == ["refusal"]


def test_last_v3_event_has_all_logprobs() -> None:
    protocol_events = build_protocol_events(
        [
            create_event({"content": "a"}, logprobs={"content": [{"token": "a"}]}),
            create_event({"content": "b"}, logprobs={"content": [{"token": "b"}]}),
            FINISH,
        ]
    )

    logprobs = protocol_events[-1]["metadata"]["logprobs"]["content"]
    assert [entry["token"] for entry in logprobs] == ["a", "b"]


def test_empty_completion_has_only_a_start_and_a_finish() -> None:
    protocol_events = build_protocol_events([FINISH])

    assert [event["event"] for event in protocol_events] == ["message-start", "message-finish"]


def test_chunk_for_callbacks_precedes_the_v3_events_of_its_delta() -> None:
    builder = ProtocolEventBuilder({})
    event = create_event({"reasoning": "a", "content": "b"})

    built = builder.build_protocol_events([event], with_chunks=True)
    built += builder.build_protocol_events([], with_chunks=True)

    kinds = [
        "chunk" if isinstance(item, ChatGenerationChunk) else item["event"] for item in built
    ]
    assert kinds == [
        "message-start",
        *("chunk", "content-block-start", "content-block-delta"),
        *("chunk", "content-block-start", "content-block-delta"),
        *("chunk", "content-block-finish", "content-block-finish", "message-finish"),
    ]


@pytest.mark.parametrize("with_chunks", [False, True])
def test_builder_is_complete_after_the_last_v3_event(with_chunks: bool) -> None:
    builder = ProtocolEventBuilder({})

    builder.build_protocol_events([FINISH], with_chunks=with_chunks)
    assert not builder.is_complete

    builder.build_protocol_events([], with_chunks=with_chunks)
    assert builder.is_complete
