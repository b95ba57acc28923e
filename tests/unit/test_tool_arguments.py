"""Tool arguments: whether they are complete, and the marker for truncated ones."""

import json
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_cerebras_inference._conversion.tool_arguments import (
    create_truncation_marker,
    parse_arguments,
    remove_truncation_marker,
    to_string,
)

COMPLETE_ARGUMENTS = [
    "{}",
    '{"path":"a.txt","force":false}',
    '{ "a" : [ 1, [ 2.5e-3, [] ], {"b": [{}]} ] }',
    '{"quoted":"say \\"hi\\" \\\\","slash":"\\/","end":"\\\\"}',
    '{"unicode":"\\u00e9\\ud83c\\udf0a","raw":"é🌊\u2028"}',
    '{"literals":[true,false,null],"n":-12.5E+7}',
    '{"brackets in text":"}]{[\\"]}","":""}',
    '{"lines":"a\\nb\\tc"}',
]
all_complete_arguments = pytest.mark.parametrize("arguments", COMPLETE_ARGUMENTS)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)
json_objects = st.dictionaries(st.text(max_size=5), json_values, min_size=1, max_size=4)


def truncate_everywhere(arguments: str) -> list[str]:
    return [arguments[:length] for length in range(1, len(arguments))]


def parse_with_langchain_core(*fragments: str) -> tuple[list[Any], list[Any]]:
    """Return the valid and the invalid tool calls of a stream of fragments."""
    first, *others = fragments
    chunks = [tool_call_chunk(name="remove", args=first, id="abc123456", index=0)]
    chunks += [tool_call_chunk(name=None, args=text, id=None, index=0) for text in others]
    messages = [AIMessageChunk(content="", tool_call_chunks=[chunk]) for chunk in chunks]
    if others:
        messages.append(AIMessageChunk(content="", chunk_position="last"))
    message = reduce(add, messages)
    return message.tool_calls, message.invalid_tool_calls


# --- parsing -------------------------------------------------------------------------


@all_complete_arguments
def test_complete_object_is_parsed(arguments: str) -> None:
    assert parse_arguments(arguments) == json.loads(arguments)


@pytest.mark.parametrize("arguments", ["", "null", " null "])
def test_missing_arguments_are_an_empty_object(arguments: str) -> None:
    assert parse_arguments(arguments) == {}


@pytest.mark.parametrize(
    ("arguments", "finish_reason", "expected"),
    [
        ("", "stop", {}),
        ("", "tool_calls", {}),
        ("", None, {}),
        ("", "length", None),
        ("{}", "length", {}),
        ('{"x":1}', "length", {"x": 1}),
        ('{"x":', "tool_calls", None),
    ],
)
def test_missing_arguments_are_rejected_only_at_the_token_limit(
    arguments: str, finish_reason: str | None, expected: dict[str, Any] | None
) -> None:
    assert parse_arguments(arguments, finish_reason) == expected


@all_complete_arguments
def test_truncated_object_is_rejected(arguments: str) -> None:
    parsed = map(parse_arguments, truncate_everywhere(arguments))

    assert [value for value in parsed if value is not None] == []


@pytest.mark.parametrize(
    "arguments",
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
        pytest.param("[" * 10_000, id="10,000 opening brackets"),
    ],
)
def test_anything_but_one_strict_json_object_is_rejected(arguments: str) -> None:
    assert parse_arguments(arguments) is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(None, ""), ("", ""), ('{"x":1}', '{"x":1}'), ({"x": ["é"]}, '{"x":["é"]}'), (5, "5")],
)
def test_arguments_of_any_type_become_a_string(arguments: Any, text: str) -> None:
    assert to_string(arguments) == text


# --- the marker for truncated arguments ----------------------------------------------


@all_complete_arguments
def test_marker_makes_truncated_arguments_invalid(arguments: str) -> None:
    for truncated in truncate_everywhere(arguments):
        marker = create_truncation_marker(truncated)

        valid, invalid = parse_with_langchain_core(truncated, marker)

        assert valid == []
        assert [(call["name"], call["id"]) for call in invalid] == [("remove", "abc123456")]


def test_langchain_core_completes_truncated_arguments_without_marker() -> None:
    """If this fails, langchain-core has become strict, and the marker can be removed."""
    valid, _ = parse_with_langchain_core('{"path":"a.txt","force":fal')

    assert [call["args"] for call in valid] == [{"path": "a.txt"}]


@pytest.mark.parametrize("arguments", ["", "5", "[1]", '{"a":1}}', '{"a":NaN}', '{"a":1]'])
def test_marker_makes_other_strings_invalid(arguments: str) -> None:
    valid, invalid = parse_with_langchain_core(arguments, create_truncation_marker(arguments))

    assert valid == []
    assert len(invalid) == 1


@given(st.text('{}[]",:\\ 1a', max_size=12))
def test_marker_never_gives_a_valid_tool_call(arguments: str) -> None:
    valid, _ = parse_with_langchain_core(arguments, create_truncation_marker(arguments))

    assert valid == []


@all_complete_arguments
def test_removing_the_marker_restores_the_sent_arguments(arguments: str) -> None:
    sent = ["", *truncate_everywhere(arguments)]

    with_markers = [text + create_truncation_marker(text) for text in sent]

    assert list(map(remove_truncation_marker, with_markers)) == sent


@pytest.mark.parametrize(
    "arguments",
    ["", *COMPLETE_ARGUMENTS, "not JSON", '{"a":1', '{"a":"b', "5", "{'a':1}"],
)
def test_arguments_without_marker_stay_as_they_are(arguments: str) -> None:
    assert remove_truncation_marker(arguments) == arguments


@given(json_objects, st.booleans(), st.data())
def test_any_truncated_object_is_invalid_and_can_be_restored(
    value: dict[str, Any], is_ascii: bool, data: st.DataObject
) -> None:
    arguments = json.dumps(value, ensure_ascii=is_ascii)
    truncated = arguments[: data.draw(st.integers(0, len(arguments) - 1))]
    marker = create_truncation_marker(truncated)

    valid, invalid = parse_with_langchain_core(truncated, marker)

    assert valid == []
    assert len(invalid) == 1
    assert remove_truncation_marker(truncated + marker) == truncated
