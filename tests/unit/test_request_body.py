"""The body of a request, built from settings, call options and messages."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, create_model

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._conversion.request_body import (
    Request,
    build_parameters,
    build_request,
    reject_tools_with_format,
)
from langchain_cerebras_inference._settings import validate_options

USER_MESSAGE = {"role": "user", "content": "Ahoy"}


class Tide(BaseModel):
    """The tide at a place."""

    place: str


def create_settings(settings: dict[str, Any] | None) -> dict[str, Any]:
    return ChatCerebrasInference(api_key="test", **(settings or {})).__dict__


def build(
    settings: dict[str, Any] | None = None, *, streaming: bool = False, **options: Any
) -> Request:
    return build_request(
        create_settings(settings),
        [HumanMessage("Ahoy")],
        validate_options(options, ChatCerebrasInference),
        stream=streaming,
    )


def build_body(
    settings: dict[str, Any] | None = None, *, streaming: bool = False, **options: Any
) -> dict[str, Any]:
    return dict(build(settings, streaming=streaming, **options).body)


# --- settings and options ----------------------------------------------------------------


def test_default_request_has_only_model_and_messages() -> None:
    assert build_body({"temperature": None, "stop": [], "extra_body": None}) == {
        "model": "gpt-oss-120b",
        "messages": [USER_MESSAGE],
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0),
        ("top_p", 0.0),
        ("seed", 0),
        ("max_completion_tokens", 100),
        ("logprobs", False),
        ("top_logprobs", 0),
        ("frequency_penalty", 0.0),
        ("presence_penalty", -1.0),
        ("logit_bias", {"5": -100}),
        ("user", "ada"),
        ("n", 2),
        ("reasoning_effort", "low"),
        ("reasoning_format", "parsed"),
        ("clear_thinking", False),
        ("service_tier", "auto"),
        ("prediction", {"type": "content", "content": "a"}),
        ("prompt_cache_key", "conversation-1"),
    ],
)
def test_setting_and_option_are_sent_under_the_same_name(name: str, value: Any) -> None:
    assert build_body({name: value})[name] == value
    assert build_body(**{name: value})[name] == value


def test_option_overrides_the_setting_unless_it_is_none() -> None:
    settings = {"temperature": 1.0, "seed": 5, "timeout": 30.0}

    request = build(settings, temperature=0, seed=None, timeout=None)

    assert request.body["temperature"] == 0
    assert request.body["seed"] == 5
    assert request.timeout == 30.0


def test_converted_value_of_an_option_is_sent() -> None:
    request = build(temperature="0.5", model="llama-3.1-8b", timeout="5")

    assert request.body["temperature"] == 0.5
    assert request.body["model"] == "llama3.1-8b"
    assert request.timeout == 5.0


def test_timeout_retries_and_coalescing_are_not_part_of_the_body() -> None:
    request = build(timeout=5.0, max_retries=0, coalesce=True)

    assert (request.timeout, request.max_retries, request.coalesce) == (5.0, 0, True)
    assert request.body.keys() == {"model", "messages"}


def test_body_of_a_stream_has_stream_true() -> None:
    assert build_body(streaming=True)["stream"] is True
    assert "stream" not in build_body()


def test_equal_requests_are_equal_bytes() -> None:
    body = build_body({"seed": 5, "temperature": 1}, user="a", top_p=0.5)
    reordered = build_body({"temperature": 1, "seed": 5}, top_p=0.5, user="a")

    assert json.dumps(body) == json.dumps(reordered)


@pytest.mark.parametrize(
    ("stop", "sent"),
    [(".", ["."]), (["."], ["."]), (("a", "b"), ["a", "b"]), ([], None), ("", [""])],
)
def test_stop_is_sent_as_a_list_unless_it_is_empty(stop: Any, sent: Any) -> None:
    assert build_body({"stop": stop}).get("stop") == sent
    assert build_body(stop=stop).get("stop") == sent


def test_more_than_four_stop_sequences_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"up to 4 stop sequences, not 5\. Pass fewer"):
        build_body(stop=["a", "b", "c", "d", "e"])


@pytest.mark.parametrize(("settings", "options"), [({"n": 2}, {}), ({}, {"n": 2})])
def test_stream_with_several_completions_is_rejected(
    settings: dict[str, Any], options: dict[str, Any]
) -> None:
    assert build_body(settings, **options)["n"] == 2
    with pytest.raises(
        ValueError, match=r"Streaming supports only one completion\. Use generate"
    ):
        build_body(settings, streaming=True, **options)


def test_request_without_messages_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"There are no messages\. Pass at least one"):
        build_request(create_settings({}), [], {}, stream=False)


# --- parameters that determine the completion --------------------------------------------


def resolve(settings: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    read = validate_options(options, ChatCerebrasInference)
    parameters = build_parameters(create_settings(settings), read)
    return json.loads(json.dumps(parameters))  # type: ignore[no-any-return] # json returns Any


def test_parameters_have_only_fields_that_determine_the_completion() -> None:
    options = {"seed": None, "timeout": 5, "max_retries": 0, "coalesce": True, "stream": True}

    assert resolve({"temperature": None, "extra_body": {}}, **options) == {
        "model_name": "gpt-oss-120b",
        "replay_reasoning": True,
    }


@pytest.mark.parametrize(
    ("settings", "options", "equivalent"),
    [
        ({"temperature": 1}, {"temperature": None}, {"temperature": 1}),
        ({"temperature": 1}, {"temperature": 0}, {"temperature": 0}),
        ({}, {"temperature": "0.5"}, {"temperature": 0.5}),
        ({}, {"max_tokens": 5}, {"max_completion_tokens": 5}),
        ({}, {"model_name": "llama-3.1-8b"}, {"model": "llama3.1-8b"}),
        ({}, {"stop_sequences": "."}, {"stop": ["."]}),
        ({"stop": ["."]}, {"stop": []}, {}),
        (
            {"extra_body": {"a": {"b": 1}}},
            {"extra_body": {"a": {"c": 2}}},
            {"extra_body": {"a": {"b": 1, "c": 2}}},
        ),
        ({"disable_reasoning": True}, {}, {"reasoning_effort": "none"}),
        ({}, {"tool_choice": "any", "parallel_tool_calls": True}, {}),
        ({}, {"response_format": {"type": "text"}}, {}),
    ],
)
def test_settings_and_options_with_the_same_effect_are_the_same_parameters(
    settings: dict[str, Any], options: dict[str, Any], equivalent: dict[str, Any]
) -> None:
    assert resolve(settings, **options) == resolve(equivalent)


def test_different_classes_of_the_same_name_are_different_parameters() -> None:
    other_tide = create_model("Tide", depth=(int, ...))

    assert resolve(tools=[Tide]) != resolve(tools=[other_tide])
    assert resolve(response_format=Tide) != resolve(response_format=other_tide)


# --- extra_body --------------------------------------------------------------------------


def test_extra_body_is_merged_deeply_and_last() -> None:
    body = build_body(
        {"extra_body": {"new": {"a": 1, "b": 2}, "seed": 7}, "seed": 5},
        extra_body={"new": {"b": 3, "c": [1]}, "temperature": None},
        temperature=1,
    )

    assert body["new"] == {"a": 1, "b": 3, "c": [1]}
    assert body["seed"] == 7
    assert body["temperature"] is None


def test_extra_body_can_change_a_field_that_was_built() -> None:
    body = build_body(
        response_format=Tide, extra_body={"response_format": {"json_schema": {"name": "x"}}}
    )

    assert body["response_format"]["json_schema"]["name"] == "x"
    assert body["response_format"]["json_schema"]["strict"] is True


def test_settings_and_options_are_not_changed() -> None:
    settings = {"extra_body": {"new": {"a": 1}}}
    options: dict[str, Any] = {
        "extra_body": {"new": {"b": 2}},
        "tools": [Tide],
        "stop": ["."],
    }

    build_body(settings, **options)

    assert settings == {"extra_body": {"new": {"a": 1}}}
    assert options == {"extra_body": {"new": {"b": 2}}, "tools": [Tide], "stop": ["."]}


# --- reasoning ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "options", "effort"),
    [
        ({"disable_reasoning": True}, {}, "none"),
        ({"disable_reasoning": True, "reasoning_effort": "low"}, {}, "low"),
        ({"disable_reasoning": False}, {}, None),
        ({"reasoning_effort": "low"}, {"disable_reasoning": True}, "none"),
        ({}, {"disable_reasoning": True, "reasoning_effort": "low"}, "low"),
    ],
)
def test_disable_reasoning_is_sent_as_effort_none(
    settings: dict[str, Any], options: dict[str, Any], effort: str | None
) -> None:
    body = build_body(settings, **options)

    assert body.get("reasoning_effort") == effort
    assert "disable_reasoning" not in body


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"model": "zai-glm-4.7"}, False),
        ({"model": "zai-glm-4.7", "clear_thinking": True}, True),
        ({"model": "zai-glm-4.7", "replay_reasoning": False}, None),
        ({"model": "gpt-oss-120b"}, None),
        ({"model": "qwen-3.8-27b"}, None),
    ],
)
def test_glm_keeps_replayed_reasoning(settings: dict[str, Any], sent: bool | None) -> None:
    assert build_body(settings).get("clear_thinking") is sent


@pytest.mark.parametrize("replay_reasoning", [True, False])
def test_earlier_reasoning_is_sent_if_it_is_replayed(replay_reasoning: bool) -> None:
    messages = [AIMessage("Yes.", additional_kwargs={"reasoning_content": "Is it?"})]
    settings = create_settings({"replay_reasoning": replay_reasoning})

    [message] = build_request(settings, messages, {}, stream=False).body["messages"]

    assert message.get("reasoning") == ("Is it?" if replay_reasoning else None)


# --- tools -------------------------------------------------------------------------------


@pytest.mark.parametrize("tools", [None, []])
def test_request_without_tools_has_no_tool_fields(tools: Any) -> None:
    body = build_body(tools=tools, tool_choice="any", parallel_tool_calls=True)

    assert body.keys() == {"model", "messages"}


def test_tools_and_tool_choice_have_names_that_cerebras_accepts() -> None:
    request = build(
        tools=[Tide, {"name": "math.add", "description": "", "parameters": {}}],
        tool_choice="math.add",
        parallel_tool_calls=False,
    )

    assert [tool["function"]["name"] for tool in request.body["tools"]] == [
        "Tide",
        "math_add_ecef409b",
    ]
    assert request.body["tool_choice"] == {
        "type": "function",
        "function": {"name": "math_add_ecef409b"},
    }
    assert request.body["parallel_tool_calls"] is False
    assert request.tool_names == {"math_add_ecef409b": "math.add"}


def test_tool_choice_false_is_not_sent() -> None:
    assert "tool_choice" not in build_body(tools=[Tide], tool_choice=False)


@pytest.mark.parametrize(
    "response_format", [Tide, {"type": "json_object"}, {"type": "json_schema"}]
)
def test_tools_together_with_a_response_format_are_rejected(response_format: Any) -> None:
    with pytest.raises(ValueError, match=r"ToolStrategy\(schema\)"):
        build_body(tools=[Tide], response_format=response_format)


@pytest.mark.parametrize(
    ("tools", "response_format"),
    [([], {"type": "json_object"}), ([Tide], None), ([Tide], {"type": "text"})],
)
def test_tools_or_a_response_format_alone_are_accepted(
    tools: list[Any], response_format: Any
) -> None:
    reject_tools_with_format(tools, response_format)
