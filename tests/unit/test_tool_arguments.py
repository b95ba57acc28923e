"""Tool arguments: whether they are complete, and the marker for truncated ones."""

import json
import time
from collections.abc import Callable, Mapping
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
    parse_object,
    remove_truncation_marker,
    replace_lone_surrogates,
    to_string,
)
from tests.unit.stream_helpers import (
    convert_to_message,
    create_event,
    create_tool_call_event,
    join_chunks,
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

# Objects that are complete, but not strict JSON, or not alone.
LENIENT_ARGUMENTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "line feed": ('{"a":"x\ny"}', {"a": "x\ny"}),
    "control characters": ('{"a":"\x00\t\r\n\x1f\x7f"}', {"a": "\x00\t\r\n\x1f\x7f"}),
    "line feed in a key": ('{"a\nb":[{"c":"\n"}]}', {"a\nb": [{"c": "\n"}]}),
    "line feed after an escaped quote": ('{"a":"\\"\n\\\\"}', {"a": '"\n\\'}),
    "brackets after a line feed": ('{"a":"\n}]{["}', {"a": "\n}]{["}),
    "fence in a string": (
        '{"a":"x\n```json\n{\\"b\\":1}\n```\n","c":2}',
        {"a": 'x\n```json\n{"b":1}\n```\n', "c": 2},
    ),
    "fence with an object in a string": (
        '{"a":"x\n```\n{}\n```\n"}',
        {"a": "x\n```\n{}\n```\n"},
    ),
    "fence": ('```json\n{"a":{"b":"}"}}\n```', {"a": {"b": "}"}}),
    "fence without a language": ('```\n{"a":1}\n```\n', {"a": 1}),
    "fence in one line": ('```{"a":1}```', {"a": 1}),
    "fence of four characters": ('````json\n{"a":"```"}\n````', {"a": "```"}),
    "fence with a line feed in a string": ('```json\n{"a":"x\ny"}\n```', {"a": "x\ny"}),
    "fence that contains a fence": (
        '```json\n{"a":"x\n```\n{}\n```\n"}\n```',
        {"a": "x\n```\n{}\n```\n"},
    ),
    "prose before a fence": ('Here, "it" is:\n\n```json\n{"a":1}\n```', {"a": 1}),
    "prose behind a fence": ('```json\n{"a":1}\n```\nThat is [all].', {"a": 1}),
    "prose around a fence": ('\n It is:\n```JSON\r\n{"a":1}\r\n```\r\nDone.', {"a": 1}),
    "lone surrogates": (
        '{"a":"\\ud83d \\uDE00","b":"\\\\ud83d"}',
        {"a": "\ufffd \ufffd", "b": "\\ud83d"},
    ),
    "pair of surrogates": ('{"a":"\\ud83d\\ude00\n"}', {"a": "😀\n"}),
}
all_lenient_arguments = pytest.mark.parametrize("name", LENIENT_ARGUMENTS)
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


@all_lenient_arguments
def test_complete_object_that_is_not_strict_json_is_parsed(name: str) -> None:
    arguments, expected = LENIENT_ARGUMENTS[name]

    assert parse_arguments(arguments) == expected
    assert parse_object(arguments) == expected


@all_lenient_arguments
def test_truncated_object_that_is_not_strict_json_is_rejected(name: str) -> None:
    arguments, expected = LENIENT_ARGUMENTS[name]
    end = max(arguments.rfind("}"), arguments.rfind("```")) + 1  # prose may be truncated

    parsed = map(parse_arguments, truncate_everywhere(arguments[:end]))

    assert [value for value in parsed if value not in (None, expected)] == []
    object_end = arguments.rindex("}") + 1
    assert list(map(parse_arguments, truncate_everywhere(arguments[:object_end]))) == [None] * (
        object_end - 1
    )


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
        '{"a":"line\nfeed"} {"b":1}',
        '{"a":"line\nfeed"}}',
        '{"a":"line\nfeed"',
        '{"a":"\\\n"}',
        '{"a":"\n",}',
        '{"a":["\n",NaN]}',
        '{"a":"\n","b":1e999',
        '["\n"]',
        '{"a":1}\n```',
        '```json\n{"a":1}',
        '```json\n{"a":1}\n``',
        '```json\n{"a":1\n```',
        '```json\n{"a":1} {"b":2}\n```',
        '```json\n{"a":1}\n```\n```json\n{"b":2}\n```',
        '```json\n{"a":1}\n```\n{"b":2}',
        '{"b":2}\n```json\n{"a":1}\n```',
        'It is {"b":"\n```\n{}\n```',
        '["```{}```',
        '"```{}```',
        '```json\n[{"a":1}]\n```',
        "```json\n```",
        "```\nIt is: {}\n```",
        "It is {}.",
        pytest.param('{"a":"\n","b":' + "[" * 10_000, id="10,000 brackets after a line feed"),
        pytest.param(
            '{"a":"\n","b":' + "[" * 500 + "]" * 500 + "}", id="500 levels after a line feed"
        ),
        pytest.param("[" * 10_000, id="10,000 opening brackets"),
    ],
)
def test_anything_but_one_complete_object_is_rejected(arguments: str) -> None:
    assert parse_arguments(arguments) is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(None, ""), ("", ""), ('{"x":1}', '{"x":1}'), ({"x": ["é"]}, '{"x":["é"]}'), (5, "5")],
)
def test_arguments_of_any_type_become_a_string(arguments: Any, text: str) -> None:
    assert to_string(arguments) == text


@pytest.mark.parametrize(
    ("text", "expected", "incomplete"),
    [
        (r"a\u00e9b", r"a\u00e9b", ""),
        (r"\ud83d\ude00", r"\ud83d\ude00", ""),
        (r"\ud83dx\uDE00x", r"\ufffdx\ufffdx", ""),
        (r"\\ud83dx", r"\\ud83dx", ""),
        (r"\\\ud83dx", r"\\\ufffdx", ""),
        (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00", ""),
        (r"\ud83d\ud83d", r"\ufffd", r"\ud83d"),
        (r"\ud83d\n", r"\ufffd\n", ""),
        (r"\ud83d\u00e9", r"\ufffd\u00e9", ""),
        ("a\\", "a", "\\"),
        ("a\\\\", "a\\\\", ""),
        (r"a\u", "a", r"\u"),
        (r"a\ud83", "a", r"\ud83"),
        (r"a\ud83d", "a", r"\ud83d"),
        ("a\\ud83d\\", "a", "\\ud83d\\"),
        (r"a\ud83d\ude0", "a", r"\ud83d\ude0"),
    ],
)
def test_escaped_lone_surrogates_are_replaced(
    text: str, expected: str, incomplete: str
) -> None:
    assert replace_lone_surrogates(text) == (expected, incomplete)


LONG_TEXTS: dict[str, Callable[[int], str]] = {
    "backticks": lambda size: "`" * size,
    "fences": lambda size: "```json\n" * (size // 8),
    "fences with braces": lambda size: '```{":' * (size // 6),
    "opening braces": lambda size: "{" * size,
    "closing braces": lambda size: "{" + "}" * size,
    "objects": lambda size: '{"":' * (size // 4),
    "quotation marks": lambda size: '{"' + '"' * size,
    "backslashes": lambda size: '{"' + "\\" * size,
    "surrogates": lambda size: '{"' + "\\ud83d" * (size // 6),
    "truncated surrogates": lambda size: '{"' + "\\ud8" * (size // 5),
    "line feeds": lambda size: '{"a":"' + "\n" * size,
    "spaces before a fence": lambda size: " " * size + "```{",
    "spaces in a fence": lambda size: "```" + " " * size + "{}",
    "complete object with line feeds": lambda size: '{"a":"' + "\n" * size + '"}',
    "complete object in a fence": lambda size: '```{"a":"' + "`" * size + '"}```',
}


def measure_fastest(function: Callable[[str], object], text: str) -> float:
    """Return the shortest CPU time of five calls."""
    durations = []
    for _ in range(5):
        start = time.thread_time()
        function(text)
        durations.append(time.thread_time() - start)
    return min(durations)


@pytest.mark.parametrize("function", [parse_arguments, to_string])
@pytest.mark.parametrize("name", LONG_TEXTS)
def test_time_for_a_long_text_is_linear(name: str, function: Callable[[str], object]) -> None:
    create_text = LONG_TEXTS[name]

    short, long = (measure_fastest(function, create_text(size)) for size in (62_500, 1_000_000))

    # The text is 16 times as long. Quadratic time would be 256 times as long. The constant is
    # for the clock.
    assert long < 64 * short + 0.005


# --- streams -------------------------------------------------------------------------


def get_calls(message: Any) -> tuple[list[Any], list[Any]]:
    """Return the arguments of the valid calls, and those of the invalid ones."""
    valid = [call["args"] for call in message.tool_calls]
    invalid = [remove_truncation_marker(call["args"]) for call in message.invalid_tool_calls]
    return valid, invalid


def convert_whole_call(arguments: str) -> Any:
    function = {"name": "f", "arguments": arguments}
    message = {"tool_calls": [{"id": "a", "function": function}]}
    return convert_to_message({"choices": [{"message": message, "finish_reason": "stop"}]})


def join_streamed_call(*fragments: str) -> Any:
    events = [create_tool_call_event(index=0, id="a", name="f", arguments="")]
    events += [create_tool_call_event(index=0, arguments=text) for text in fragments]
    return join_chunks([*events, create_event(finish_reason="stop")])


@all_lenient_arguments
def test_streamed_object_that_is_not_strict_json_is_parsed(name: str) -> None:
    arguments, expected = LENIENT_ARGUMENTS[name]

    assert get_calls(join_streamed_call(*arguments)) == ([expected], [])
    assert get_calls(join_streamed_call(arguments)) == ([expected], [])


@all_lenient_arguments
def test_streamed_arguments_are_as_valid_as_whole_ones_at_every_character(name: str) -> None:
    for truncated in truncate_everywhere(LENIENT_ARGUMENTS[name][0]):
        whole = get_calls(convert_whole_call(truncated))

        assert get_calls(join_streamed_call(truncated)) == whole
        assert get_calls(join_streamed_call(*truncated)) == whole


@given(st.text('{}[]",:\\ud83e`1\n ', max_size=20), st.data())
def test_any_streamed_arguments_are_as_valid_as_whole_ones(
    arguments: str, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(arguments)))

    streamed = join_streamed_call(arguments[:cut], arguments[cut:])

    whole = convert_whole_call(arguments)
    assert get_calls(streamed)[0] == get_calls(whole)[0]
    assert len(streamed.invalid_tool_calls) == len(whole.invalid_tool_calls)


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


@given(st.text('{}[]",:\\ 1a\n`', max_size=12))
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


@given(json_objects, st.booleans(), st.booleans(), st.data())
def test_any_object_is_parsed_only_if_it_is_complete(
    value: dict[str, Any], is_ascii: bool, is_fenced: bool, data: st.DataObject
) -> None:
    # Unescaped, so that strings contain control characters.
    arguments = json.dumps(value, ensure_ascii=is_ascii)
    for escape, char in (("\\n", "\n"), ("\\t", "\t"), ("\\u0000", "\0")):
        arguments = arguments.replace(escape, char) if "\\\\" not in arguments else arguments
    opening, closing = ("It is:\n```json\n", "\n```\nDone.") if is_fenced else ("", "")
    truncated = opening + arguments[: data.draw(st.integers(0, len(arguments) - 1))]

    assert parse_arguments(opening + arguments + closing) == value
    assert not parse_arguments(truncated)
    assert not parse_arguments(truncated + closing) or not is_fenced


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
