"""Reasoning in think tags, and completions that have nothing but reasoning."""

import logging
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_cerebras_inference._conversion.chunks import ChunkBuilder
from langchain_cerebras_inference._conversion.protocol_events import ProtocolEventBuilder
from langchain_cerebras_inference._conversion.think_tags import ThinkTagParser, split_reasoning
from tests.unit.stream_helpers import (
    build_chunks,
    convert_to_message,
    create_event,
    get_chunk_message,
    join_chunks,
)

Parts = tuple[str, str]
"""The reasoning and the text."""


def get_parts(message: AIMessage) -> Parts:
    return message.additional_kwargs.get("reasoning_content", ""), message.text


def create_stream(*contents: str) -> list[Any]:
    events = [create_event({"content": content}) for content in contents]
    return [*events, create_event(finish_reason="stop")]


def create_completion(message: dict[str, Any], finish_reason: str = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}


# --- where the reasoning ends --------------------------------------------------------

every_content = pytest.mark.parametrize(
    ("content", "reasoning", "text"),
    [
        ("", "", ""),
        ("Yes.", "", "Yes."),
        ("\n\nYes.", "", "\n\nYes."),
        ("<think>Is it?</think>Yes.", "Is it?", "Yes."),
        ("<think>\nIs it?\n</think>\n\nYes.\n", "Is it?\n", "Yes.\n"),
        (" \n<think>Is it?</think> Yes.", "Is it?", "Yes."),
        ("<think>\n\n</think>\n\nYes.", "", "Yes."),
        ("<think></think>", "", ""),
        ("<think>Is it?", "Is it?", ""),
        ("<think>Is it? </thi", "Is it? </thi", ""),
        ("<think>a < b </ c</think>Yes.", "a < b </ c", "Yes."),
        ("<think>So.</think>A </think> and a <think>.", "So.", "A </think> and a <think>."),
        ("The tag <think>x</think>.", "", "The tag <think>x</think>."),
        ("<thin", "", "<thin"),
        ("<thinking>x", "", "<thinking>x"),
        ("<table>x", "", "<table>x"),
    ],
)


@every_content
def test_think_tags_at_the_start_of_a_completion_are_reasoning(
    content: str, reasoning: str, text: str
) -> None:
    message = convert_to_message(create_completion({"content": content}))

    assert split_reasoning(content) == (reasoning, text)
    assert get_parts(message) == (reasoning, text)


@every_content
def test_stream_split_anywhere_gives_the_same_reasoning_and_text(
    content: str, reasoning: str, text: str
) -> None:
    streams = [create_stream(*content)]
    for position in range(len(content) + 1):
        streams.append(create_stream(content[:position], content[position:]))

    for stream in streams:
        assert get_parts(join_chunks(stream)) == (reasoning, text)
        assert get_parts(join_chunks(stream, arrive_together=True)) == (reasoning, text)


@given(
    contents=st.lists(
        st.sampled_from(["<think>", "</think>", "<thi", "nk>", "</", "think>", "\n", " ", "a"])
    ),
    positions=st.sets(st.integers(0, 60)),
)
def test_stream_gives_the_same_reasoning_and_text_as_a_completion(
    contents: list[str], positions: set[int]
) -> None:
    content = "".join(contents)
    bounds = pairwise([0, *sorted(positions), len(content)])
    stream = create_stream(*[content[start:end] for start, end in bounds if start < end])

    parts = get_parts(join_chunks(stream))

    assert parts == get_parts(convert_to_message(create_completion({"content": content})))


def test_model_with_a_reasoning_field_can_write_about_think_tags() -> None:
    text = "<think>Is it?</think>"
    stream = [create_event({"reasoning": "Hm."}), *create_stream("<think>Is", " it?</think>")]

    message = convert_to_message(create_completion({"reasoning": "Hm.", "content": text}))

    assert get_parts(message) == ("Hm.", text)
    assert get_parts(join_chunks(stream)) == ("Hm.", text)


def test_incomplete_tag_before_reasoning_is_text() -> None:
    stream = [
        create_event({"content": "<th"}),
        create_event({"reasoning": "Hm."}),
        *create_stream("ree"),
    ]

    assert get_parts(join_chunks(stream)) == ("Hm.", "<three")


# --- streaming -----------------------------------------------------------------------


def test_reasoning_is_streamed_as_soon_as_it_is_certain() -> None:
    builder = ChunkBuilder({})

    parts_by_event = [
        [
            get_parts(get_chunk_message(chunk))
            for chunk in builder.build_chunks([create_event({"content": content})])
        ]
        for content in ["<thi", "nk>Is ", "it?</", "i></think", ">\n", "Yes", "."]
    ]

    assert parts_by_event == [
        [],
        [("Is ", "")],
        [("it?", "")],
        [("</i>", "")],
        [],
        [("", "Yes")],
        [("", ".")],
    ]


def test_long_reasoning_is_not_kept() -> None:
    parser = ThinkTagParser()
    parser.feed("<think>")

    for _ in range(1_000):
        assert parser.feed(" so")
        assert parser._pending == ""


def test_v3_events_have_a_block_for_reasoning_in_think_tags() -> None:
    builder = ProtocolEventBuilder({})
    events = create_stream("<think>Is it?</think>", "Yes.")

    built = [
        protocol_event
        for batch in [*([event] for event in events), []]
        for protocol_event in builder.build_protocol_events(batch)
    ]

    blocks = [item["content"] for item in built if item["event"] == "content-block-finish"]
    assert [(block["type"], block[block["type"]]) for block in blocks] == [
        ("reasoning", "Is it?"),
        ("text", "Yes."),
    ]


def test_logprobs_of_events_with_undecided_text_are_kept() -> None:
    events = create_stream("<think>So.", "</think>", "Yes.")
    for number, event in enumerate(events):
        event["choices"][0]["logprobs"] = {"content": [{"token": str(number)}]}

    *chunks, _ = build_chunks(events)

    assert [
        entry["token"]
        for chunk in chunks
        for entry in chunk.response_metadata["logprobs"]["content"]
    ] == ["0", "1", "2", "3"]


# --- completions without text --------------------------------------------------------

TOOL_CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}


@pytest.mark.parametrize(
    ("message", "finish_reason", "has_warning"),
    [
        ({"reasoning": "Is it"}, "length", True),
        ({}, "length", True),
        ({"content": "<think>Is it"}, "length", True),
        ({"reasoning": "Is it", "content": "Y"}, "length", False),
        ({"content": "Y"}, "length", False),
        ({"tool_calls": [TOOL_CALL]}, "length", False),
        ({"reasoning": "Is it?"}, "stop", False),
        ({}, "content_filter", False),
    ],
)
@pytest.mark.parametrize("form", ["completion", "chunks", "protocol events"])
def test_completion_without_text_at_the_token_limit_logs_one_warning(
    message: dict[str, Any],
    finish_reason: str,
    has_warning: bool,
    form: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    finish = create_event(finish_reason=finish_reason)
    if form == "completion":
        convert_to_message(create_completion(message, finish_reason))
    elif form == "chunks":
        build_chunks([create_event(message), finish, finish])
    else:
        builder = ProtocolEventBuilder({})
        builder.build_protocol_events([create_event(message, finish_reason=finish_reason)])
        builder.build_protocol_events([])

    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == has_warning
    for warning in warnings:
        assert "max_tokens" in warning.getMessage()
        assert "reasoning_effort" in warning.getMessage()
