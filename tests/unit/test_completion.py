"""Whole completions: message, tool calls, usage and metadata."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_cerebras_inference._conversion.completion import (
    combine_llm_outputs,
    convert_completion,
    convert_finish_reason,
    convert_metadata,
    convert_usage,
)
from langchain_cerebras_inference.errors import CerebrasProtocolError
from tests.unit.stream_helpers import convert_to_message


def create_completion(message: Any, finish_reason: Any = "stop", **fields: Any) -> Any:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "model": "gpt-oss-120b", "choices": [choice], **fields}


def create_tool_call(name: Any, arguments: Any, id_: Any = "a") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "id": id_, "function": function}


def convert_tool_calls(*tool_calls: Any, **tool_names: str) -> AIMessage:
    completion = create_completion({"tool_calls": list(tool_calls)}, "tool_calls")
    return convert_to_message(completion, tool_names)


# --- messages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "content", "additional_kwargs"),
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
        # Some gateways send reasoning in another field, or in both.
        ({"reasoning_content": "Is it?"}, "", {"reasoning_content": "Is it?"}),
        (
            {"content": "Yes.", "reasoning": None, "reasoning_content": "Is it?"},
            "Yes.",
            {"reasoning_content": "Is it?"},
        ),
        (
            {"content": "Yes.", "reasoning": "Is it?", "reasoning_content": "Is it?"},
            "Yes.",
            {"reasoning_content": "Is it?"},
        ),
        ({"content": "Yes.", "reasoning_content": None}, "Yes.", {}),
        ({"content": "Yes.", "reasoning_content": ""}, "Yes.", {}),
    ],
)
def test_missing_fields_of_a_message_are_empty(
    message: Any, content: str, additional_kwargs: dict[str, Any]
) -> None:
    converted = convert_to_message(create_completion(message))

    assert converted.content == content
    assert converted.additional_kwargs == additional_kwargs
    assert converted.tool_calls == []
    assert converted.id is None


def test_each_choice_is_a_generation_and_only_the_first_has_usage() -> None:
    choices = [
        {"index": index, "message": {"content": text}, "finish_reason": "stop"}
        for index, text in enumerate(["one", "two"])
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    completion: Any = {"model": "m", "choices": choices, "usage": usage}

    result = convert_completion(completion, {})

    messages = [generation.message for generation in result.generations]
    assert [message.text for message in messages] == ["one", "two"]
    assert [
        isinstance(message, AIMessage) and message.usage_metadata for message in messages
    ] == [
        {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        None,
    ]
    assert result.llm_output == {"model_name": "m", "token_usage": usage}


def test_generation_info_has_finish_reason_and_logprobs() -> None:
    choice: Any = {
        "message": {"content": "a"},
        "finish_reason": "length",
        "logprobs": {"content": [{"token": "a"}]},
        "reasoning_logprobs": None,
    }

    [generation] = convert_completion({"choices": [choice]}, {}).generations

    assert generation.generation_info == {
        "finish_reason": "length",
        "logprobs": {"content": [{"token": "a"}]},
    }
    assert generation.message.response_metadata["logprobs"] == {"content": [{"token": "a"}]}


@pytest.mark.parametrize(
    ("completion", "field"),
    [
        ({"choices": ["a"]}, "choices[]"),
        ({"choices": [{}]}, "message"),
        ({"choices": [{"message": None}]}, "message"),
        ({"choices": [{"message": "a"}]}, "message"),
        (create_completion({"content": 5}), "content"),
        (create_completion({"content": "a", "reasoning": 5}), "reasoning"),
        (create_completion({"tool_calls": "a"}), "tool_calls"),
        (create_completion({"tool_calls": [None]}), "tool_calls[]"),
        (create_completion({"tool_calls": [{}]}), "function"),
        (create_completion({"tool_calls": [create_tool_call("f", "{}", 5)]}), "id"),
        (create_completion({"tool_calls": [create_tool_call(5, "{}")]}), "name"),
        (create_completion({"content": "a"}, finish_reason=["stop"]), "finish_reason"),
        ({"choices": [{"message": {}, "logprobs": [1]}]}, "logprobs"),
        (create_completion({"content": "a"}, usage="a"), "usage"),
    ],
)
def test_missing_or_wrong_value_raises_protocol_error_that_names_the_field(
    completion: Any, field: str
) -> None:
    with pytest.raises(CerebrasProtocolError, match="base_url") as caught:
        convert_completion(completion, {})

    assert f"The field {field} " in str(caught.value)


# --- tool calls ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"x":1}', {"x": 1}),
        ("{}", {}),
        ("", {}),
        (None, {}),
        ("null", {}),
        ({"x": 1}, {"x": 1}),
    ],
)
def test_complete_arguments_give_a_tool_call(arguments: Any, expected: dict[str, Any]) -> None:
    message = convert_tool_calls(create_tool_call("f", arguments))

    assert message.tool_calls == [
        {"name": "f", "args": expected, "id": "a", "type": "tool_call"}
    ]
    assert message.invalid_tool_calls == []


@pytest.mark.parametrize("arguments", ['{"x":1', "[]", "5", "{'x':1}", '{"x":NaN}', [1]])
def test_arguments_that_are_not_a_complete_object_give_an_invalid_tool_call(
    arguments: Any,
) -> None:
    message = convert_tool_calls(create_tool_call("f", arguments))

    assert message.tool_calls == []
    assert message.invalid_tool_calls == [
        {
            "name": "f",
            "args": "[1]" if arguments == [1] else arguments,
            "id": "a",
            "error": None,
            "type": "invalid_tool_call",
        }
    ]


def test_tool_calls_without_ids_get_different_ids() -> None:
    message = convert_tool_calls(
        create_tool_call("f", "{}", None),
        create_tool_call("g", '{"x', None),
        create_tool_call("h", "{}", "call_1"),
    )

    assert [call["id"] for call in message.tool_calls] == ["call_0", "call_2"]
    assert [call["id"] for call in message.invalid_tool_calls] == ["call_1"]


def test_tool_names_are_mapped_back_to_the_users_names() -> None:
    message = convert_tool_calls(
        create_tool_call("math_add_1b3d", "{}"),
        create_tool_call("math_add_1b3d", "{"),
        create_tool_call("plain", "{}"),
        math_add_1b3d="math.add",
    )

    assert [call["name"] for call in message.tool_calls] == ["math.add", "plain"]
    assert [call["name"] for call in message.invalid_tool_calls] == ["math.add"]


@pytest.mark.parametrize(
    ("outputs", "combined"),
    [
        ([], {}),
        ([None, None], {}),
        ([{}, None], {}),
        ([{"model_name": "m"}], {"model_name": "m"}),
        (
            [
                {"model_name": "m", "token_usage": {"prompt_tokens": 3, "total_tokens": 7}},
                None,
                {"model_name": "m", "token_usage": {"prompt_tokens": 5, "total_tokens": 6}},
            ],
            {"model_name": "m", "token_usage": {"prompt_tokens": 8, "total_tokens": 13}},
        ),
        (
            [
                {"token_usage": {"prompt_tokens_details": {"cached_tokens": 128}}},
                {"token_usage": {"prompt_tokens_details": None, "image_tokens": None}},
                {"token_usage": {"prompt_tokens_details": {"cached_tokens": 2}}},
                {"token_usage": {"prompt_tokens_details": {"audio_tokens": 1}}},
            ],
            {
                "token_usage": {
                    "prompt_tokens_details": {"cached_tokens": 130, "audio_tokens": 1}
                }
            },
        ),
    ],
    ids=str,
)
def test_token_usage_of_several_results_is_summed(outputs: Any, combined: Any) -> None:
    before = repr(outputs)

    assert combine_llm_outputs(outputs) == combined
    assert repr(outputs) == before


# --- usage ---------------------------------------------------------------------------

COUNTS = {"prompt_tokens": 3, "completion_tokens": 4}
CONVERTED_COUNTS = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ({**COUNTS, "total_tokens": 7}, CONVERTED_COUNTS),
        (COUNTS, CONVERTED_COUNTS),
        ({"total_tokens": 7}, {"input_tokens": 0, "output_tokens": 0, "total_tokens": 7}),
        ({**COUNTS, "prompt_tokens": 3.0}, CONVERTED_COUNTS),
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
                **COUNTS,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            {
                **CONVERTED_COUNTS,
                "input_token_details": {"cache_read": 0},
                "output_token_details": {"reasoning": 0},
            },
        ),
        (
            {
                **COUNTS,
                "image_tokens": 2,
                "completion_tokens_details": {
                    "accepted_prediction_tokens": 1,
                    "rejected_prediction_tokens": 0,
                },
            },
            {
                **CONVERTED_COUNTS,
                "input_token_details": {"image": 2},
                "output_token_details": {"accepted_prediction": 1},
            },
        ),
        (
            {**COUNTS, "prompt_tokens_details": None, "completion_tokens_details": {}},
            CONVERTED_COUNTS,
        ),
        ({**COUNTS, "prompt_tokens_details": []}, CONVERTED_COUNTS),
    ],
)
def test_usage_has_cached_and_reasoning_tokens_as_details(usage: Any, expected: Any) -> None:
    assert convert_usage(usage) == expected


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ("a", "usage"),
        ([1], "usage"),
        ({"prompt_tokens": "many"}, "prompt_tokens"),
        ({"completion_tokens": 1.5}, "completion_tokens"),
        ({"total_tokens": True}, "total_tokens"),
        ({"total_tokens": float("nan")}, "total_tokens"),
        ({"total_tokens": float("inf")}, "total_tokens"),
        ({"total_tokens": 10**400}, "total_tokens"),
        ({"prompt_tokens_details": 5}, "prompt_tokens_details"),
        ({"prompt_tokens_details": {"cached_tokens": []}}, "cached_tokens"),
    ],
)
def test_wrong_token_count_raises_protocol_error_that_names_the_field(
    usage: Any, field: str
) -> None:
    with pytest.raises(CerebrasProtocolError, match=f"The field {field} "):
        convert_usage(usage)


# --- metadata ------------------------------------------------------------------------


def test_metadata_has_the_fields_of_the_completion() -> None:
    completion = create_completion(
        {"content": "Yes."},
        system_fingerprint="fp_1",
        service_tier="auto",
        service_tier_used="flex",
        time_info={"completion_time": 0.02},
        usage={"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43},
        created=1786000000,
        object="chat.completion",
    )

    assert convert_to_message(completion).response_metadata == {
        "model_provider": "cerebras",
        "id": "chatcmpl-1",
        "model_name": "gpt-oss-120b",
        "system_fingerprint": "fp_1",
        "service_tier": "auto",
        "service_tier_used": "flex",
        "time_info": {"completion_time": 0.02},
        "tokens_per_second": 2000.0,
        "token_usage": {"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43},
        **convert_finish_reason("stop", has_tool_calls=False),
    }


def test_metadata_leaves_out_fields_of_the_wrong_type() -> None:
    completion: Any = {"id": 5, "model": None, "service_tier": [], "time_info": []}

    assert convert_metadata(completion) == {"model_provider": "cerebras"}


@pytest.mark.parametrize(
    ("tokens", "time_info", "speed"),
    [
        (30, {"completion_time": 0.01}, 3000.0),
        (1, {"completion_time": 0.003}, 333.3),
        (30, {"completion_time": 0}, None),
        (30, {"completion_time": -1}, None),
        (30, {"completion_time": "long"}, None),
        (30, {"completion_time": None}, None),
        (30, {}, None),
        (30, [1], None),
        (30, None, None),
        (0, {"completion_time": 1}, None),
        (None, {"completion_time": 1}, None),
    ],
)
def test_speed_needs_a_token_count_and_a_time(
    tokens: int | None, time_info: Any, speed: float | None
) -> None:
    completion = {"usage": {"completion_tokens": tokens}, "time_info": time_info}

    assert convert_metadata(completion).get("tokens_per_second") == speed


@pytest.mark.parametrize("usage", [None, {}, "a"])
def test_speed_is_left_out_without_usage(usage: Any) -> None:
    completion: Any = {"usage": usage, "time_info": {"completion_time": 1}}

    assert "tokens_per_second" not in convert_metadata(completion)


def test_metadata_has_only_useful_headers_and_none_by_default() -> None:
    useful_headers = {
        "x-ratelimit-remaining-tokens-minute": "100",
        "inference-id": "chatcmpl-1",
        "x-request-id": "req-1",
        "cf-ray": "8f00",
        "server-timing": "cfEdge;dur=24",
    }
    other_headers = {"set-cookie": "secret", "content-type": "application/json"}

    metadata = convert_metadata({}, useful_headers | other_headers)

    assert metadata["headers"] == useful_headers
    assert "headers" not in convert_metadata({})


# --- normalized finish reasons -------------------------------------------------------

CONVERT_WITH_NEWER_CORE = """
import json, sys
import langchain_core.language_models
langchain_core.language_models.__path__.append(sys.argv[1])
from langchain_cerebras_inference._conversion.protocol_events import ProtocolEventBuilder
from tests.unit.stream_helpers import convert_to_message, create_event, join_chunks

def convert(delta, finish_reason):
    choice = {"message": delta, "finish_reason": finish_reason}
    events = [create_event(delta), create_event(finish_reason=finish_reason)]
    builder = ProtocolEventBuilder({})
    *_, last = builder.build_protocol_events(events) + builder.build_protocol_events([])
    messages = [convert_to_message({"choices": [choice]}), join_chunks(events)]
    return [*(message.response_metadata for message in messages), last["metadata"], last]

print(json.dumps([convert(*case) for case in json.load(sys.stdin)]))
"""
"""Converts completions and streams with a langchain-core that has the module of 1.8.4."""

TOOL_CALL = {"tool_calls": [{**create_tool_call("f", "{}"), "index": 0}]}
INVALID_TOOL_CALL = {"tool_calls": [{**create_tool_call("f", "{"), "index": 0}]}
NORMALIZED_FINISH_REASONS: list[tuple[Any, str, str]] = [
    ({"content": "a"}, "stop", "stop"),
    ({"content": "a"}, "length", "length"),
    ({"content": "a"}, "content_filter", "refusal"),
    ({"content": "a"}, "paused", "other"),
    (TOOL_CALL, "tool_calls", "tool_call"),
    (TOOL_CALL, "stop", "tool_call"),
    (INVALID_TOOL_CALL, "stop", "stop"),
    (INVALID_TOOL_CALL, "length", "length"),
]


def test_finish_reason_is_normalized_if_langchain_core_reads_it(tmp_path: Path) -> None:
    (tmp_path / "_finish_reason.py").touch()
    cases = json.dumps([case[:2] for case in NORMALIZED_FINISH_REASONS])

    output = subprocess.check_output(
        [sys.executable, "-c", CONVERT_WITH_NEWER_CORE, tmp_path], input=cases, text=True
    )

    for metadata, (_, finish_reason, normalized) in zip(
        json.loads(output), NORMALIZED_FINISH_REASONS, strict=True
    ):
        for fields in metadata:
            assert fields["finish_reason"] == finish_reason
            assert fields["normalized_finish_reason"] == normalized
