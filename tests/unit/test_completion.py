"""A whole reply → message, usage, metadata."""

from typing import Any

import pytest
from langchain_cerebras_inference._conversion.usage import to_usage
from langchain_core.messages import AIMessage

from langchain_cerebras_inference._conversion.completion import (
    to_arguments,
    to_metadata,
    to_result,
    to_text,
)
from langchain_cerebras_inference.errors import CerebrasProtocolError


def reply(message: Any, finish_reason: str | None = "stop", **more: Any) -> Any:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "model": "gpt-oss-120b", "choices": [choice], **more}


def message_of(message: Any, finish_reason: str | None = "stop", **more: Any) -> AIMessage:
    [generation] = to_result(reply(message, finish_reason, **more), {}).generations
    assert isinstance(generation.message, AIMessage)
    return generation.message


def call(name: str, arguments: Any, id_: str | None = "a") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "id": id_, "function": function}


# --- messages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "text", "kept"),
    [
        ({"role": "assistant"}, "", {}),
        ({"content": "Yes."}, "Yes.", {}),
        ({"content": None, "reasoning": None, "tool_calls": None}, "", {}),
        ({"content": "Yes.", "reasoning": ""}, "Yes.", {}),
        ({"reasoning": "Is it?"}, "", {"reasoning_content": "Is it?"}),
        (
            {"content": "Yes.", "reasoning": "Is it?"},
            "Yes.",
            {"reasoning_content": "Is it?"},
        ),
    ],
)
def test_what_is_left_out_is_empty(message: Any, text: str, kept: dict[str, Any]) -> None:
    made = message_of(message)

    assert made.content == text
    assert made.additional_kwargs == kept
    assert made.tool_calls == []
    assert made.id is None


def test_metadata_tells_what_the_reply_tells() -> None:
    made = message_of(
        {"content": "Yes."},
        system_fingerprint="fp_1",
        service_tier="auto",
        service_tier_used="flex",
        time_info={"completion_time": 0.02},
        usage={"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43},
        created=1786000000,
        object="chat.completion",
    )

    assert made.response_metadata == {
        "model_provider": "cerebras",
        "id": "chatcmpl-1",
        "model_name": "gpt-oss-120b",
        "system_fingerprint": "fp_1",
        "service_tier": "auto",
        "service_tier_used": "flex",
        "time_info": {"completion_time": 0.02},
        "tokens_per_second": 2000.0,
        "finish_reason": "stop",
    }


def test_each_choice_is_a_generation_and_the_first_has_the_usage() -> None:
    choices = [
        {"index": n, "message": {"content": text}, "finish_reason": "stop"}
        for n, text in enumerate(["one", "two"])
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

    result = to_result({"model": "m", "choices": choices, "usage": usage}, {})  # type: ignore[typeddict-item]
    messages = [each.message for each in result.generations]

    assert [each.text for each in result.generations] == ["one", "two"]
    assert [isinstance(each, AIMessage) and each.usage_metadata for each in messages] == [
        {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        None,
    ]
    assert result.llm_output == {"model_name": "m"}


def test_the_generation_tells_the_finish_reason_and_the_log_probabilities() -> None:
    choice: Any = {
        "message": {"content": "a"},
        "finish_reason": "length",
        "logprobs": {"content": [{"token": "a"}]},
        "reasoning_logprobs": None,
    }

    [generation] = to_result({"choices": [choice]}, {}).generations

    assert generation.generation_info == {
        "finish_reason": "length",
        "logprobs": {"content": [{"token": "a"}]},
    }
    assert generation.message.response_metadata["logprobs"] == {"content": [{"token": "a"}]}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"choices": None},
        {"choices": ["a"]},
        {"choices": [{}]},
        {"choices": [{"message": "a"}]},
        reply({"content": 5}),
        reply({"content": "a", "reasoning": 5}),
        reply({"tool_calls": "a"}),
        reply({"tool_calls": [{}]}),
        reply({"tool_calls": [call("f", "{}", id_=5)]}),  # type: ignore[arg-type]
        reply({"tool_calls": [call(5, "{}")]}),  # type: ignore[arg-type]
        reply({"content": "a"}, usage="a"),
        reply({"content": "a"}, usage={"prompt_tokens": "many"}),
        reply({"content": "a"}, usage={"completion_tokens": 5}, time_info=[1]),
    ],
)
def test_values_of_other_types_than_the_wires_are_a_protocol_error(odd: Any) -> None:
    with pytest.raises(CerebrasProtocolError, match="is base_url Cerebras'"):
        to_result(odd, {})


# --- tool calls --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ('{"x":1}', {"x": 1}),
        ("{}", {}),
        ("", {}),
        (None, {}),
        ("null", {}),
        ({"x": 1}, {"x": 1}),
    ],
)
def test_whole_arguments_are_a_call(arguments: Any, args: dict[str, Any]) -> None:
    made = message_of({"tool_calls": [call("f", arguments)]}, "tool_calls")

    assert made.tool_calls == [{"name": "f", "args": args, "id": "a", "type": "tool_call"}]
    assert made.invalid_tool_calls == []


@pytest.mark.parametrize("arguments", ['{"x":1', "[]", "5", "{'x':1}", '{"x":NaN}', [1]])
def test_arguments_that_are_no_whole_object_are_an_invalid_call(arguments: Any) -> None:
    made = message_of({"tool_calls": [call("f", arguments)]}, "tool_calls")

    assert made.tool_calls == []
    assert made.invalid_tool_calls == [
        {
            "name": "f",
            "args": "[1]" if arguments == [1] else arguments,
            "id": "a",
            "error": None,
            "type": "invalid_tool_call",
        }
    ]


def test_calls_without_ids_of_their_own_are_told_apart() -> None:
    calls = [call("f", "{}", None), call("g", '{"x', None), call("h", "{}", "call_1")]

    made = message_of({"tool_calls": calls}, "tool_calls")

    assert [each["id"] for each in made.tool_calls] == ["call_0", "call_2"]
    assert [each["id"] for each in made.invalid_tool_calls] == ["call_1"]


def test_names_are_those_the_user_knows() -> None:
    names = {"math_add_1b3d": "math.add"}
    calls = [call("math_add_1b3d", "{}"), call("math_add_1b3d", "{"), call("plain", "{}")]

    [generation] = to_result(reply({"tool_calls": calls}), names).generations
    made = generation.message

    assert isinstance(made, AIMessage)
    assert [each["name"] for each in made.tool_calls] == ["math.add", "plain"]
    assert [each["name"] for each in made.invalid_tool_calls] == ["math.add"]


@pytest.mark.parametrize(
    ("text", "finish_reason", "args"),
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
def test_no_arguments_are_cut_ones_where_the_token_limit_ended_the_answer(
    text: str, finish_reason: str | None, args: dict[str, Any] | None
) -> None:
    assert to_arguments(text, finish_reason) == args


@pytest.mark.parametrize(
    ("given", "text"),
    [(None, ""), ("", ""), ('{"x":1}', '{"x":1}'), ({"x": ["é"]}, '{"x":["é"]}'), (5, "5")],
)
def test_arguments_are_text_in_whatever_form_they_came(given: Any, text: str) -> None:
    assert to_text(given) == text


# --- usage and metadata ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "made"),
    [
        (None, None),
        ({}, None),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
            {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4},
            {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        ),
        ({"total_tokens": 7}, {"input_tokens": 0, "output_tokens": 0, "total_tokens": 7}),
        (
            {
                "prompt_tokens": 300,
                "completion_tokens": 40,
                "total_tokens": 340,
                "image_tokens": 0,
                "prompt_tokens_details": {"cached_tokens": 128},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            {
                "input_tokens": 300,
                "output_tokens": 40,
                "total_tokens": 340,
                "input_token_details": {"cache_read": 128},
                "output_token_details": {"reasoning": 30},
            },
        ),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            {
                "input_tokens": 3,
                "output_tokens": 4,
                "total_tokens": 7,
                "input_token_details": {"cache_read": 0},
                "output_token_details": {"reasoning": 0},
            },
        ),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "prompt_tokens_details": None,
                "completion_tokens_details": {},
            },
            {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        ),
    ],
)
def test_usage_is_langchains_with_cached_and_reasoning_as_parts(usage: Any, made: Any) -> None:
    assert to_usage(usage) == made


@pytest.mark.parametrize(
    ("more", "speed"),
    [
        ({"usage": {"completion_tokens": 30}, "time_info": {"completion_time": 0.01}}, 3000.0),
        ({"usage": {"completion_tokens": 1}, "time_info": {"completion_time": 0.003}}, 333.3),
        ({"usage": {"completion_tokens": 30}, "time_info": {"completion_time": 0}}, None),
        ({"usage": {"completion_tokens": 0}, "time_info": {"completion_time": 1}}, None),
        ({"usage": {"completion_tokens": 30}}, None),
        ({"time_info": {"completion_time": 1}}, None),
        ({"usage": None, "time_info": None}, None),
    ],
)
def test_speed_is_told_where_it_is_known(more: dict[str, Any], speed: float | None) -> None:
    assert to_metadata(more).get("tokens_per_second") == speed


def test_values_of_odd_types_are_left_out_of_the_metadata() -> None:
    assert to_metadata({"id": 5, "model": None, "time_info": []}) == {
        "model_provider": "cerebras"
    }


def test_only_useful_headers_are_kept_and_only_where_wanted() -> None:
    headers = {
        "x-ratelimit-remaining-tokens-minute": "100",
        "inference-id": "chatcmpl-1",
        "x-request-id": "req-1",
        "cf-ray": "8f00",
        "server-timing": "cfEdge;dur=24",
        "set-cookie": "secret",
        "content-type": "application/json",
    }

    wanted = to_metadata({}, headers)

    assert wanted["headers"] == {
        "x-ratelimit-remaining-tokens-minute": "100",
        "inference-id": "chatcmpl-1",
        "x-request-id": "req-1",
        "cf-ray": "8f00",
        "server-timing": "cfEdge;dur=24",
    }
    assert "headers" not in to_metadata({})
