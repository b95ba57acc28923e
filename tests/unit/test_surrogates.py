r"""Surrogates: adjacent halves of a character are joined, and a lone one becomes U+FFFD.

Tests create the halves with `divide`, which turns each character beyond U+FFFF into two.
"""

import json
import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, HumanMessage

from langchain_cerebras_inference import ChatCerebrasInference, _surrogates
from langchain_cerebras_inference._conversion.chunks import ChunkBuilder
from langchain_cerebras_inference._conversion.protocol_events import ProtocolEventBuilder
from langchain_cerebras_inference._error_mapping import RequestInfo
from langchain_cerebras_inference._http.response import Response
from langchain_cerebras_inference._response_parser import EventStream, ResponseParser
from langchain_cerebras_inference.errors import CerebrasProtocolError, CerebrasRateLimitError
from tests.unit.stream_helpers import (
    FakeResponse,
    create_event,
    create_tool_call_event,
    get_chunk_message,
)

HIGH, LOW = "\ud83d", "\ude00"
FINISH = create_event(finish_reason="stop")

TEXTS = {
    "a pair": (HIGH + LOW, "😀"),
    "a first half": (f"a{HIGH}b", "a\ufffdb"),
    "a second half": (f"a{LOW}b", "a\ufffdb"),
    "a first half at the end": (f"a{HIGH}", "a\ufffd"),
    "a second half at the start": (f"{LOW}a", "\ufffda"),
    "two first halves": (HIGH + HIGH, "\ufffd\ufffd"),
    "halves in the wrong order": (LOW + HIGH, "\ufffd\ufffd"),
    "a lone half before a pair": (HIGH + HIGH + LOW, "\ufffd😀"),
    "a character and a half": (f"😀{LOW}", "😀\ufffd"),
    "no halves": ("é 日本 😀 \ufffd", "é 日本 😀 \ufffd"),
}
every_text = pytest.mark.parametrize("name", TEXTS)

texts_with_surrogates = st.text(
    st.sampled_from(["a", "é", "😀", HIGH, HIGH, LOW, LOW, '"', "\\", "<", "\n"]), max_size=12
)


def has_surrogates(value: Any) -> bool:
    return re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)) is not None


def divide(text: str) -> list[str]:
    """Return the UTF-16 units of a text."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [chr(int.from_bytes(data[i : i + 2], "little")) for i in range(0, len(data), 2)]


# --- text and JSON -----------------------------------------------------------------------


@every_text
def test_halves_in_a_text_are_joined_or_replaced(name: str) -> None:
    text, expected = TEXTS[name]

    assert _surrogates.join_surrogates(text) == expected


@every_text
def test_halves_are_joined_or_replaced_when_json_is_encoded(name: str) -> None:
    text, expected = TEXTS[name]

    encoded = _surrogates.encode_json({"a": [text, {text: ("b", 1)}], "c": None})

    assert json.loads(encoded) == {"a": [expected, {expected: ["b", 1]}], "c": None}


@every_text
@pytest.mark.parametrize("is_escaped", [True, False])
def test_halves_are_joined_or_replaced_when_json_is_decoded(
    name: str, is_escaped: bool
) -> None:
    text, expected = TEXTS[name]
    data = json.dumps({"a": [text, {text: 1}]}, ensure_ascii=is_escaped)

    decoded = _surrogates.decode_json(data.encode("utf-8", "surrogatepass"))

    assert decoded == {"a": [expected, {expected: 1}]}


@pytest.mark.parametrize("mode", ["constants", "null"])
def test_surrogates_do_not_change_how_other_values_are_encoded(mode: Any) -> None:
    value = {"a": float("nan"), "b": 1e22, "c": (1, "é"), "d": 10**30}
    encoded = _surrogates.encode_json({**value, "e": "\ufffd"}, mode)

    assert _surrogates.encode_json({**value, "e": HIGH}, mode) == encoded


def test_value_that_is_nested_too_deeply_raises_value_error() -> None:
    value: Any = HIGH
    for _ in range(100_000):
        value = [value]

    with pytest.raises(ValueError, match=r"nested too deeply|depth"):
        _surrogates.encode_json(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"a":"\\ud83d"',
        b'{"a":"\\ud83d\n"}',
        b'{"a":"\\ud83d\xff"}',
        b'{"a":"\\ud83"}',
        b"[" * 100_000 + b'"\\ud83d"',
        b"[" * 500 + b'"\\ud83d"' + b"]" * 500,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_data_that_is_not_json_raises_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 # the message is that of the JSON library
        _surrogates.decode_json(data)


def test_halves_in_messages_can_be_counted_and_cached() -> None:
    model = ChatCerebrasInference(api_key="k", stop=[HIGH])
    call: Any = {"name": HIGH, "args": {HIGH: HIGH}, "id": HIGH}
    messages = [HumanMessage(HIGH), AIMessage(LOW, tool_calls=[call])]
    tool = {"name": HIGH, "description": HIGH, "parameters": {"type": "object"}}

    assert model.get_num_tokens_from_messages(messages, [tool]) > 0
    assert model.get_num_tokens(HIGH) > 0
    assert model._get_llm_string().encode()


# --- streams -----------------------------------------------------------------------------


async def read_events(*batches: list[Any]) -> list[list[Any]]:
    """Return the events of a response whose surrogates are escaped, in batches."""
    parts = [
        b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in batch)
        for batch in batches
    ]
    parser = ResponseParser(RequestInfo("m"), [])
    stream = EventStream(cast("Response", FakeResponse(parts)), parser)
    received = []
    while events := await stream.read_batch():
        received.append(events)
    return received


def create_deltas(kind: str, texts: list[str]) -> list[Any]:
    """Return one event for each text: content, reasoning or tool arguments."""
    if kind != "arguments":
        return [create_event({kind: text}) for text in texts]
    first = create_tool_call_event(index=0, id="a", name="f", arguments="")
    return [first, *(create_tool_call_event(index=0, arguments=text) for text in texts)]


def get_text(kind: str, message: AIMessage) -> Any:
    if kind == "arguments":
        [call] = message.tool_calls
        return call["args"]["t"]
    return message.text if kind == "content" else message.additional_kwargs["reasoning_content"]


def assemble_protocol_events(batches: list[list[Any]], *, coalesce: bool) -> AIMessage:
    builder = ProtocolEventBuilder({}, coalesce=coalesce)
    stream = ChatModelStream()
    for batch in [*batches, []]:
        for protocol_event in builder.build_protocol_events(batch):
            assert not has_surrogates(protocol_event)
            stream.dispatch(protocol_event)
    assert stream.output_message is not None
    return stream.output_message


def assemble_chunks(batches: list[list[Any]], *, coalesce: bool) -> AIMessage:
    builder = ChunkBuilder({}, coalesce=coalesce)
    chunks = [chunk for batch in [*batches, []] for chunk in builder.build_chunks(batch)]
    messages = [get_chunk_message(chunk) for chunk in chunks]
    assert not any(has_surrogates(message.model_dump(mode="python")) for message in messages)
    first, *others = messages
    return sum(others, first)


every_kind = pytest.mark.parametrize("kind", ["content", "reasoning", "arguments"])
both_forms = pytest.mark.parametrize("assemble", [assemble_chunks, assemble_protocol_events])


@every_text
@every_kind
@both_forms
@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize("arrive_together", [False, True])
async def test_halves_in_different_events_are_joined_or_replaced(
    name: str, kind: str, assemble: Any, coalesce: bool, arrive_together: bool
) -> None:
    text, expected = TEXTS[name]
    begin, end = ('{"t":"', '"}') if kind == "arguments" else ("begin ", " end")
    events = create_deltas(kind, [begin, *divide(text), end])
    events.append(FINISH)
    batches = [events] if arrive_together else [[event] for event in events]

    message = assemble(await read_events(*batches), coalesce=coalesce)

    prefix, suffix = ("", "") if kind == "arguments" else (begin, end)
    assert get_text(kind, message) == prefix + expected + suffix


@every_kind
@both_forms
async def test_half_at_the_end_of_a_stream_is_replaced(kind: str, assemble: Any) -> None:
    begin = '{"t":"' if kind == "arguments" else "begin "
    events = create_deltas(kind, [begin, HIGH])

    message = assemble(await read_events(events, [FINISH]), coalesce=False)

    if kind == "arguments":
        [call] = message.invalid_tool_calls
        assert call["args"].startswith(begin + "\ufffd")
    else:
        assert get_text(kind, message) == begin + "\ufffd"


@every_kind
async def test_half_in_the_event_with_the_finish_reason_is_replaced(kind: str) -> None:
    first, *others, last = create_deltas(kind, ['{"t":"a', HIGH])
    last["choices"][0]["finish_reason"] = "stop"

    message = assemble_chunks(await read_events([first, *others, last]), coalesce=False)

    described = message.model_dump_json()
    assert "a\ufffd" in described


@both_forms
async def test_half_at_the_end_of_the_reasoning_stays_in_the_reasoning(assemble: Any) -> None:
    events = [
        *create_deltas("reasoning", ["So", HIGH]),
        *create_deltas("content", [f"{LOW}Yes", "."]),
        FINISH,
    ]

    message = assemble(await read_events(events), coalesce=False)

    assert message.additional_kwargs["reasoning_content"] == "So\ufffd"
    assert message.text == "\ufffdYes."


@pytest.mark.parametrize("identifiers", [("index", 0, 1), ("id", "a", "b")])
async def test_halves_in_the_arguments_of_different_calls_are_not_joined(
    identifiers: tuple[str, Any, Any],
) -> None:
    name, first, second = identifiers
    events = [
        create_tool_call_event(**{name: first}, name="f", arguments='{"t":"' + HIGH),
        create_tool_call_event(**{name: second}, name="f", arguments='{"t":"' + LOW),
        create_tool_call_event(**{name: first}, arguments='"}'),
        create_tool_call_event(**{name: second}, arguments='"}'),
        FINISH,
    ]

    message = assemble_chunks(await read_events(events), coalesce=False)

    assert [call["args"] for call in message.tool_calls] == [{"t": "\ufffd"}] * 2


async def test_halves_in_log_probabilities_are_replaced() -> None:
    logprobs = {"content": [{"token": HIGH, "logprob": -1.0}]}
    events = [create_event({"content": HIGH + LOW}, logprobs=logprobs), FINISH]

    message = assemble_chunks(await read_events(events), coalesce=False)

    assert message.response_metadata["logprobs"]["content"][0]["token"] == "\ufffd"


@both_forms
@given(texts_with_surrogates, st.data())
async def test_any_text_is_joined_however_it_is_divided(
    assemble: Any, text: str, data: st.DataObject
) -> None:
    units = divide(text)
    cut = data.draw(st.integers(0, len(units)))
    deltas = ["begin ", "".join(units[:cut]), *units[cut:], " end"]
    events = [*create_deltas("content", deltas), FINISH]

    message = assemble(await read_events(events), coalesce=data.draw(st.booleans()))

    assert message.text == f"begin {_surrogates.join_surrogates(''.join(units))} end"


@pytest.mark.parametrize("delta", [{"content": 5}, {"tool_calls": 5}, {"tool_calls": [5]}])
async def test_wrong_type_after_a_half_raises_a_protocol_error(delta: Any) -> None:
    held = create_event({"content": HIGH, "tool_calls": create_fragments(HIGH)})
    batches = await read_events([held], [create_event(delta, finish_reason="stop")])

    with pytest.raises(CerebrasProtocolError):
        assemble_chunks(batches, coalesce=False)


def create_fragments(arguments: str) -> list[Any]:
    return [{"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}]


async def test_error_event_with_a_half_has_its_class() -> None:
    error = {"error": {"message": f"slow {HIGH}", "code": "x"}, "status_code": 429}

    with pytest.raises(CerebrasRateLimitError, match="slow \ufffd"):
        await read_events([error])


async def test_last_event_with_a_half_needs_no_blank_line() -> None:
    payload = json.dumps(create_event({"content": HIGH}, finish_reason="stop")).encode()
    parser = ResponseParser(RequestInfo("m"), [])
    stream = EventStream(cast("Response", FakeResponse([b"data: " + payload])), parser)

    [event] = await stream.read_batch()

    assert event["choices"][0]["delta"].get("content") == "\ufffd"
