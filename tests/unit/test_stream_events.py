"""Native stream events: a valid lifecycle, and the message core's bridge would make."""

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models._compat_bridge import chunks_to_events
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_cerebras_inference._conversion import tool_arguments
from langchain_cerebras_inference._conversion.chunks import ChunkReader
from langchain_cerebras_inference._conversion.stream_events import EventReader

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}

texts = st.text(min_size=1, max_size=8)
fragments = st.builds(
    lambda index, id_, name, text: {
        "index": index,
        "id": id_,
        "function": {"name": name, "arguments": text},
    },
    st.sampled_from([0, 1, None]),
    st.sampled_from([None, "id_0", "id_1"]),
    st.sampled_from([None, None, "tool_0", "tool_1", "tool_10"]),
    st.sampled_from(["", '{"a"', ": ", "1}", '"b', "{}", "]"]),
)
deltas = st.one_of(
    st.builds(lambda text: {"content": text}, texts),
    st.builds(lambda text: {"reasoning": text}, texts),
    st.builds(lambda one, other: {"reasoning": one, "content": other}, texts, texts),
    st.builds(lambda fragment: {"tool_calls": [fragment]}, fragments),
    st.just({}),
)


def event(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    finish = more.pop("finish_reason", None)
    choice = {"index": 0, "delta": delta, **({"finish_reason": finish} if finish else {})}
    return {"id": "chatcmpl-1", "model": "gpt-oss-120b", "choices": [choice], **more}


def opened(slot: int) -> dict[str, Any]:
    function = {"name": f"tool_{slot}", "arguments": ""}
    return {"tool_calls": [{"index": slot, "id": f"id_{slot}", "function": function}]}


@st.composite
def streams(draw: st.DrawFn) -> list[list[Any]]:
    """Batches of events, with a finish in the last, as they come from the decoder."""
    said = draw(st.lists(deltas, max_size=12))
    if any("tool_calls" in delta for delta in said):
        said = [opened(0), opened(1), *said]
    finish = draw(st.sampled_from(["stop", "length", "tool_calls"]))
    events = [event({"role": "assistant"}), *map(event, said)]
    events.append(event({}, finish_reason=finish, usage=USAGE, time_info={"total_time": 1.0}))
    cut = draw(st.integers(1, len(events)))
    return [batch for batch in (events[:cut], events[cut:]) if batch]


def native_events(batches: list[list[Any]], *, coalesce: bool = False) -> list[dict[str, Any]]:
    reader = EventReader({}, coalesce=coalesce)
    return [each for batch in [*batches, []] for each in reader.to_events(batch)]


def bridged_events(batches: list[list[Any]]) -> Iterator[Any]:
    reader = ChunkReader({})
    chunks = [chunk for batch in [*batches, []] for chunk in reader.to_chunks(batch)]
    return chunks_to_events(iter(chunks))


def assembled(events: Any) -> AIMessage:
    stream = ChatModelStream()
    for each in events:
        stream.dispatch(each)
    assert stream.output_message is not None
    return stream.output_message


def dumped(message: AIMessage, *, with_tails: bool = False) -> dict[str, Any]:
    """The bridge's has the tails that keep core from mending cut calls; ours needs none."""
    fields = message.model_dump()
    blocks = [block for block in fields["content"] if isinstance(block, dict)]
    for call in [*fields["invalid_tool_calls"], *blocks]:
        if call["type"] == "invalid_tool_call":
            args = call["args"] or ""
            call["args"] = args + tool_arguments.tail_for(args) if with_tails else args
            call.pop("error")
    return fields


@given(streams())
def test_the_lifecycle_is_valid(batches: list[list[Any]]) -> None:
    events = native_events(batches)

    assert_valid_event_stream(events)


@given(streams(), st.booleans())
def test_the_message_is_the_one_the_bridge_makes(
    batches: list[list[Any]], coalesce: bool
) -> None:
    native = assembled(native_events(batches, coalesce=coalesce))

    bridged = assembled(bridged_events(batches))
    assert dumped(native, with_tails=True) == dumped(bridged)


def test_each_kind_is_one_block_in_the_order_of_its_first_word() -> None:
    said = [{"content": "a"}, {"reasoning": "b"}, {"content": "c"}]
    events = native_events(
        [[event(delta) for delta in said], [event({}, finish_reason="stop")]]
    )

    starts = [each for each in events if each["event"] == "content-block-start"]

    assert [(each["index"], each["content"]["type"]) for each in starts] == [
        (0, "text"),
        (1, "reasoning"),
    ]


def test_the_start_names_provider_and_model() -> None:
    events = native_events([[event({"content": "a"}, finish_reason="stop")]])

    assert events[0] == {
        "event": "message-start",
        "role": "ai",
        "id": "",
        "metadata": {"provider": "cerebras", "model": "gpt-oss-120b"},
    }


def test_cut_arguments_are_an_invalid_call_as_they_came() -> None:
    cut = {"tool_calls": [{"index": 0, "function": {"arguments": '{"path": "/t'}}]}
    events = native_events([[event(opened(0)), event(cut), event({}, finish_reason="length")]])

    message = assembled(events)

    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["name"] == "tool_0"
    assert message.invalid_tool_calls[0]["args"] == '{"path": "/t'


def test_log_probabilities_are_all_in_the_finish() -> None:
    first = {"content": [{"token": "a", "logprob": -0.1}]}
    second = {"content": [{"token": "b", "logprob": -0.2}]}
    one, other = event({"content": "a"}), event({"content": "b"})
    one["choices"][0]["logprobs"], other["choices"][0]["logprobs"] = first, second

    events = native_events([[one, other, event({}, finish_reason="stop")]])

    tokens = [each["token"] for each in events[-1]["metadata"]["logprobs"]["content"]]
    assert tokens == ["a", "b"]


def test_an_answer_that_says_nothing_has_a_start_and_a_finish() -> None:
    events = native_events([[event({}, finish_reason="stop")]])

    assert [each["event"] for each in events] == ["message-start", "message-finish"]
