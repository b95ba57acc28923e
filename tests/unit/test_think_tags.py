"""Thoughts that older models put into the content, and answers that are nothing else."""

import logging
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_cerebras_inference._conversion.chunks import ChunkReader
from langchain_cerebras_inference._conversion.completion import to_result
from langchain_cerebras_inference._conversion.stream_events import EventReader
from langchain_cerebras_inference._conversion.think_tags import Opening, split

SPLITS = [
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
]


def events_of(pieces: list[str], finish: str = "stop") -> list[Any]:
    return [delta(content=piece) for piece in pieces] + [delta(finish_reason=finish)]


def delta(finish_reason: str | None = None, **delta: Any) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def sum_of(events: list[Any], *, together: bool = False) -> tuple[str, str]:
    reader = ChunkReader({})
    batches = [events] if together else [[event] for event in events]
    chunks = [chunk.message for batch in [*batches, []] for chunk in reader.to_chunks(batch)]
    return parts_of(reduce(add, chunks))


def whole(message: dict[str, Any], finish: str = "stop") -> tuple[str, str]:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    [generation] = to_result({"choices": [choice]}, {}).generations  # type: ignore[list-item]
    return parts_of(generation.message)


def parts_of(message: Any) -> tuple[str, str]:
    assert isinstance(message, AIMessage | AIMessageChunk)
    return message.additional_kwargs.get("reasoning_content", ""), message.text


@pytest.mark.parametrize(("said", "thought", "text"), SPLITS)
def test_thoughts_at_the_start_are_reasoning_and_the_rest_is_text(
    said: str, thought: str, text: str
) -> None:
    assert split(said) == (thought, text)
    assert whole({"content": said}) == (thought, text)


@pytest.mark.parametrize(("said", "thought", "text"), SPLITS)
def test_a_stream_may_be_cut_anywhere(said: str, thought: str, text: str) -> None:
    for place in range(len(said) + 1):
        events = events_of([said[:place], said[place:]])
        assert sum_of(events) == (thought, text)
        assert sum_of(events, together=True) == (thought, text)
    assert sum_of(events_of(list(said))) == (thought, text)


@given(
    pieces=st.lists(
        st.sampled_from(["<think>", "</think>", "<thi", "nk>", "</", "think>", "\n", " ", "a"])
    ),
    places=st.sets(st.integers(0, 60)),
)
def test_what_is_streamed_is_what_comes_whole(pieces: list[str], places: set[int]) -> None:
    said = "".join(pieces)
    cut = [said[a:b] for a, b in pairwise([0, *sorted(places), len(said)]) if a < b]

    assert sum_of(events_of(cut)) == whole({"content": said})


def test_thoughts_stream_as_they_come() -> None:
    reader = ChunkReader({})

    said = [
        [parts_of(chunk.message) for chunk in reader.to_chunks([delta(content=piece)])]
        for piece in ["<thi", "nk>Is ", "it?</", "i></think", ">\n", "Yes", "."]
    ]

    assert said == [
        [],
        [("Is ", "")],
        [("it?", "")],
        [("</i>", "")],
        [],
        [("", "Yes")],
        [("", ".")],
    ]


def test_a_thought_of_any_length_is_read_once() -> None:
    opening = Opening()
    opening.read("<think>")

    held = [len(opening.read(" so")) and len(opening._held) for _ in range(1_000)]

    assert set(held) == {0}


def test_a_model_that_has_a_field_for_thoughts_may_speak_of_the_tag() -> None:
    text = "<think>Is it?</think>"

    assert whole({"reasoning": "Hm.", "content": text}) == ("Hm.", text)
    events = [delta(reasoning="Hm."), *events_of(["<think>Is", " it?</think>"])]
    assert sum_of(events) == ("Hm.", text)


def test_what_looked_like_a_tag_is_kept_when_reasoning_comes_after_it() -> None:
    events = [delta(content="<th"), delta(reasoning="Hm."), *events_of(["ree"])]

    assert sum_of(events) == ("Hm.", "<three")


def test_native_events_have_a_block_for_inline_thoughts() -> None:
    reader = EventReader({})
    events = events_of(["<think>Is it?</think>", "Yes."])

    made = [event for batch in ([each] for each in events) for event in reader.to_events(batch)]
    made += reader.to_events([])

    blocks = [each["content"] for each in made if each["event"] == "content-block-finish"]
    assert [(block["type"], block[block["type"]]) for block in blocks] == [
        ("reasoning", "Is it?"),
        ("text", "Yes."),
    ]


def test_log_probabilities_survive_what_is_held_back() -> None:
    events = events_of(["<think>So.", "</think>", "Yes."])
    for number, event in enumerate(events):
        event["choices"][0]["logprobs"] = {"content": [{"token": str(number)}]}
    reader = ChunkReader({})

    chunks = [chunk.message for event in [*events] for chunk in reader.to_chunks([event])]

    tokens = [
        each["token"]
        for chunk in chunks
        for each in chunk.response_metadata["logprobs"]["content"]
    ]
    assert tokens == ["0", "1", "2", "3"]


# --- silence -----------------------------------------------------------------------------


SAID_WHY = ["max_tokens", "reasoning_effort"]
CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}


@pytest.mark.parametrize(
    ("said", "finish", "warns"),
    [
        ({"reasoning": "Is it"}, "length", True),
        ({}, "length", True),
        ({"content": "<think>Is it"}, "length", True),
        ({"reasoning": "Is it", "content": "Y"}, "length", False),
        ({"content": "Y"}, "length", False),
        ({"tool_calls": [CALL]}, "length", False),
        ({"reasoning": "Is it?"}, "stop", False),
        ({}, "content_filter", False),
    ],
)
@pytest.mark.parametrize("style", ["whole", "chunks", "events"])
def test_an_answer_that_reasoning_left_no_room_for_says_what_helps(
    said: dict[str, Any],
    finish: str,
    warns: bool,
    style: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if style == "whole":
        whole(said, finish)
    elif style == "chunks":
        sum_of([delta(**said), delta(finish_reason=finish), delta(finish_reason=finish)])
    else:
        reader = EventReader({})
        list(reader.to_events([delta(finish_reason=finish, **said)]))
        list(reader.to_events([]))

    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == warns
    assert all(word in each.getMessage() for each in warnings for word in SAID_WHY)
