"""Tool arguments: whole or not, and the tail that says that they are not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_cerebras_inference._conversion.tool_arguments import (
    parse,
    tail_for,
    without_tail,
)

WHOLE = [
    "{}",
    '{"path":"a.txt","force":false}',
    '{ "a" : [ 1, [ 2.5e-3, [] ], {"b": [{}]} ] }',
    '{"quoted":"say \\"hi\\" \\\\","slash":"\\/","end":"\\\\"}',
    '{"unicode":"\\u00e9\\ud83c\\udf0a","raw":"é🌊\u2028"}',
    '{"literals":[true,false,null],"n":-12.5E+7}',
    '{"brackets in text":"}]{[\\"]}","":""}',
    '{"lines":"a\\nb\\tc"}',
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=4)


def halves_of(text: str) -> list[str]:
    return [text[:length] for length in range(1, len(text))]


def calls_of(*arguments: str) -> tuple[list[Any], list[Any]]:
    """The valid and the invalid calls of a stream whose fragments are these."""
    first, *rest = (
        AIMessageChunk(
            content="",
            tool_call_chunks=[
                tool_call_chunk(
                    name=None if place else "remove",
                    args=text,
                    id=None if place else "abc123456",
                    index=0,
                )
            ],
        )
        for place, text in enumerate(arguments)
    )
    message = first
    for each in rest:
        message += each
    end = AIMessageChunk(content="", chunk_position="last")
    message = message + end if rest else message
    return message.tool_calls, message.invalid_tool_calls


@pytest.mark.parametrize("text", WHOLE)
def test_a_whole_object_is_parsed(text: str) -> None:
    assert parse(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "null", " null "])
def test_no_arguments_are_an_empty_object(text: str) -> None:
    assert parse(text) == {}


@pytest.mark.parametrize("text", WHOLE)
def test_half_an_object_is_no_object(text: str) -> None:
    assert [half for half in halves_of(text) if parse(half) is not None] == []


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "5",
        '"text"',
        "true",
        '{"a":1}}',
        '{"a":1} {"b":2}',
        '{"a":NaN}',
        '{"a":Infinity}',
        "{'a':1}",
        '{"a":1,}',
        "not JSON",
        " ",
        '{"a":"line\nfeed"}',
        "[" * 10_000,
    ],
)
def test_what_is_no_object_in_strict_json_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", WHOLE)
def test_a_tail_keeps_half_an_object_from_becoming_a_call(text: str) -> None:
    for half in halves_of(text):
        valid, invalid = calls_of(half, tail_for(half))

        assert valid == []
        assert [(call["name"], call["id"]) for call in invalid] == [("remove", "abc123456")]


def test_without_a_tail_core_makes_a_call_of_half_an_object() -> None:
    """If this fails, core no longer parses leniently, and tails can go."""
    valid, _ = calls_of('{"path":"a.txt","force":fal')

    assert [call["args"] for call in valid] == [{"path": "a.txt"}]


@pytest.mark.parametrize("text", ["", "5", "[1]", '{"a":1}}', '{"a":NaN}', '{"a":1]'])
def test_a_tail_keeps_what_is_no_object_from_becoming_a_call(text: str) -> None:
    valid, invalid = calls_of(text, tail_for(text))

    assert valid == []
    assert len(invalid) == 1


@pytest.mark.parametrize("text", WHOLE)
def test_arguments_without_their_tail_are_as_they_were_sent(text: str) -> None:
    halves = ["", *halves_of(text)]

    assert [without_tail(half + tail_for(half)) for half in halves] == halves


@pytest.mark.parametrize("text", ["", *WHOLE])
def test_whole_arguments_have_no_tail_to_take_off(text: str) -> None:
    assert without_tail(text) == text


@pytest.mark.parametrize("text", ["not JSON", '{"a":1', '{"a":"b', "5", "{'a':1}"])
def test_invalid_arguments_that_have_no_tail_stay(text: str) -> None:
    assert without_tail(text) == text


@given(OBJECTS, st.booleans(), st.data())
def test_half_of_any_object_is_never_a_call_and_can_go_back(
    value: dict[str, Any], escaped: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]

    valid, invalid = calls_of(cut, tail_for(cut))

    assert valid == []
    assert len(invalid) == 1
    assert without_tail(cut + tail_for(cut)) == cut


@given(st.text('{}[]",:\\ 1a', max_size=12))
def test_a_tail_makes_a_call_of_nothing(text: str) -> None:
    valid, _ = calls_of(text, tail_for(text))

    assert valid == []
