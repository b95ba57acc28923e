"""Fields and call arguments → the body of a request."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, create_model

from langchain_cerebras_inference._conversion.request_body import (
    Request,
    decisive,
    refuse_both,
    to_request,
)

AHOY = {"role": "user", "content": "Ahoy"}


class Tide(BaseModel):
    """The tide at a place."""

    place: str


def request(settings: Any = None, *, streams: Any = False, **arguments: Any) -> Request:
    fields = {
        "model": "gpt-oss-120b",
        "replay_reasoning": True,
        "timeout": 60.0,
        "max_retries": 2,
        "coalesce": False,
        **(settings or {}),
    }
    return to_request(fields, [HumanMessage("Ahoy")], arguments, stream=streams)


def body(settings: Any = None, *, streams: Any = False, **arguments: Any) -> dict[str, Any]:
    return dict(request(settings, streams=streams, **arguments).payload)


# --- fields and arguments ----------------------------------------------------------------


def test_what_is_not_said_is_not_sent() -> None:
    assert body({"temperature": None, "stop": [], "extra_body": None}) == {
        "model": "gpt-oss-120b",
        "messages": [AHOY],
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
def test_a_field_and_an_argument_are_sent_as_they_are(name: str, value: Any) -> None:
    assert body({name: value})[name] == value
    assert body(**{name: value})[name] == value


def test_an_argument_comes_before_the_field_and_none_leaves_it() -> None:
    settings = {"temperature": 1.0, "seed": 5, "timeout": 60.0}

    made = request(settings, temperature=0, seed=None, timeout=None)

    assert made.payload["temperature"] == 0
    assert made.payload["seed"] == 5
    assert made.timeout == 60.0


def test_how_the_call_is_made_is_no_part_of_what_is_sent() -> None:
    made = request(timeout=5.0, max_retries=0, coalesce=True)

    assert (made.timeout, made.max_retries, made.coalesce) == (5.0, 0, True)
    assert made.payload.keys() == {"model", "messages"}


@pytest.mark.parametrize(
    ("alias", "name", "value"),
    [
        ("model_name", "model", "qwen-3.8-27b"),
        ("max_tokens", "max_completion_tokens", 5),
        ("stop_sequences", "stop", ["."]),
    ],
)
def test_an_argument_may_have_its_other_name(alias: str, name: str, value: Any) -> None:
    assert body(**{alias: value})[name] == value
    assert body(**{alias: value, name: None})[name] == value
    with pytest.raises(ValueError, match=f"'{name}' and '{alias}' are one; give one of them"):
        body(**{name: value, alias: value})


@pytest.mark.parametrize("name", ["stream", "stream_usage", "stream_options"])
def test_what_is_langchains_is_dropped(name: str) -> None:
    assert body(**{name: True}).keys() == {"model", "messages"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("temprature", " Did you mean 'temperature'?"),
        ("max_token", " Did you mean 'max_tokens'?"),
        ("zzz", ""),
        ("messages", ""),
    ],
)
def test_an_unknown_argument_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match="Cerebras knows no argument") as caught:
        body(**{name: "value"})

    assert str(caught.value).startswith(f"Cerebras knows no argument {name!r}.{hint}")
    assert "extra_body" in str(caught.value)


@pytest.mark.parametrize("name", ["default_headers", "api_key", "connect_timeout", "proxy"])
def test_a_setting_of_the_model_is_refused_as_an_argument(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is a setting of the model, not of a call"):
        body(**{name: "value"})


def test_an_alias_of_a_model_is_resolved() -> None:
    assert body(model="llama-3.1-8b")["model"] == "llama3.1-8b"


def test_a_stream_says_so() -> None:
    assert body(streams=True)["stream"] is True
    assert "stream" not in body()


def test_the_body_has_the_wires_order_so_that_equal_calls_are_equal_bytes() -> None:
    one = body({"seed": 5, "temperature": 1}, user="a", top_p=0.5)
    other = body({"temperature": 1, "seed": 5}, top_p=0.5, user="a")

    assert json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize(
    ("stop", "sent"),
    [(".", ["."]), (["."], ["."]), (("a", "b"), ["a", "b"]), ([], None), ("", [""])],
)
def test_stops_are_a_list_and_an_empty_one_is_not_sent(stop: Any, sent: Any) -> None:
    assert body({"stop": stop}).get("stop") == sent


def test_more_than_four_stops_are_refused() -> None:
    with pytest.raises(ValueError, match="up to 4 stop sequences, not 5"):
        body(stop=["a", "b", "c", "d", "e"])


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("model", [5, b"m"], "a model's id"),
        ("stop", [5, True, {".": 1}], "a text or a list of texts"),
        ("extra_body", [[1], "{}"], "a mapping"),
        ("n", [0, "2", 1.5, True], "a whole number above 0"),
        ("timeout", [0, -1, "long", True, float("nan")], "a number above 0"),
        ("max_retries", [-1, 1.5, "2", True], "a whole number that is not negative"),
    ],
)
def test_an_argument_a_field_would_not_take_is_refused(
    name: str, values: list[Any], what: str
) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"^{name} must be {what}\\.$"):
            body(**{name: value})


def test_a_call_may_wait_for_ever() -> None:
    assert request(timeout=float("inf")).timeout == float("inf")


@pytest.mark.parametrize("where", ["field", "argument"])
def test_a_stream_has_one_answer(where: str) -> None:
    settings, arguments = ({"n": 2}, {}) if where == "field" else ({}, {"n": 2})

    assert body(settings, **arguments)["n"] == 2
    with pytest.raises(ValueError, match="a stream has one answer"):
        body(settings, streams=True, **arguments)


# --- what decides ------------------------------------------------------------------------


def decides(settings: Any = None, **arguments: Any) -> dict[str, Any]:
    fields = {"model": "gpt-oss-120b", "replay_reasoning": True, **(settings or {})}
    return json.loads(json.dumps(decisive(fields, arguments)))  # type: ignore[no-any-return]


def test_what_is_not_set_decides_nothing() -> None:
    arguments = {"seed": None, "timeout": 5, "max_retries": 0, "coalesce": True}
    langchains = {"stream": True, "ls_structured_output_format": {"schema": Tide}}

    assert decides({"temperature": None, "extra_body": {}}, **arguments, **langchains) == {
        "model": "gpt-oss-120b",
        "replay_reasoning": True,
    }


@pytest.mark.parametrize(
    ("settings", "arguments", "same"),
    [
        ({"temperature": 1}, {"temperature": None}, {"temperature": 1}),
        ({"temperature": 1}, {"temperature": 0}, {"temperature": 0}),
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
        ({"tool_choice": "any"}, {"parallel_tool_calls": True}, {}),
        ({}, {"response_format": {"type": "text"}}, {}),
    ],
)
def test_the_same_said_in_another_way_decides_the_same(
    settings: Any, arguments: Any, same: Any
) -> None:
    assert decides(settings, **arguments) == decides(same)


def test_two_classes_of_one_name_decide_otherwise() -> None:
    other = create_model("Tide", depth=(int, ...))

    for name, value in {"tools": [other], "response_format": other}.items():
        mine = [Tide] if name == "tools" else Tide
        assert decides(**{name: mine}) != decides(**{name: value})


# --- extra_body --------------------------------------------------------------------------


def test_extra_body_is_merged_deeply_and_last() -> None:
    made = body(
        {"extra_body": {"new": {"a": 1, "b": 2}, "seed": 7}, "seed": 5},
        extra_body={"new": {"b": 3, "c": [1]}, "temperature": None},
        temperature=1,
    )

    assert made["new"] == {"a": 1, "b": 3, "c": [1]}
    assert made["seed"] == 7
    assert made["temperature"] is None


def test_extra_body_may_change_what_has_been_made() -> None:
    made = body(
        response_format=Tide, extra_body={"response_format": {"json_schema": {"name": "x"}}}
    )

    assert made["response_format"]["json_schema"]["name"] == "x"
    assert made["response_format"]["json_schema"]["strict"] is True


def test_what_was_given_is_not_changed() -> None:
    settings = {"extra_body": {"new": {"a": 1}}}
    arguments: dict[str, Any] = {
        "extra_body": {"new": {"b": 2}},
        "tools": [Tide],
        "stop": ["."],
    }

    body(settings, **arguments)

    assert settings == {"extra_body": {"new": {"a": 1}}}
    assert arguments == {"extra_body": {"new": {"b": 2}}, "tools": [Tide], "stop": ["."]}


# --- reasoning ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "effort"),
    [
        ({"disable_reasoning": True}, "none"),
        ({"disable_reasoning": True, "reasoning_effort": "low"}, "low"),
        ({"disable_reasoning": False}, None),
    ],
)
def test_disable_reasoning_is_an_effort_of_none(
    settings: dict[str, Any], effort: str | None
) -> None:
    made = body(settings)

    assert made.get("reasoning_effort") == effort
    assert "disable_reasoning" not in made


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
def test_glm_is_told_to_keep_the_reasoning_that_goes_back(
    settings: dict[str, Any], sent: bool | None
) -> None:
    assert body(settings).get("clear_thinking") is sent


@pytest.mark.parametrize("replays", [True, False])
def test_earlier_reasoning_goes_back_if_it_is_wanted(replays: bool) -> None:
    history = [AIMessage("Yes.", additional_kwargs={"reasoning_content": "Is it?"})]
    settings = {
        "model": "gpt-oss-120b",
        "replay_reasoning": replays,
        "timeout": 1.0,
        "max_retries": 0,
        "coalesce": False,
    }

    [message] = to_request(settings, history, {}, stream=False).payload["messages"]

    assert message.get("reasoning") == ("Is it?" if replays else None)


# --- tools and formats -------------------------------------------------------------------


@pytest.mark.parametrize("tools", [None, []])
def test_without_tools_nothing_about_them_is_sent(tools: Any) -> None:
    made = body(tools=tools, tool_choice="any", parallel_tool_calls=True)

    assert made.keys() == {"model", "messages"}


def test_tools_and_their_choice_are_sent_in_wire_form() -> None:
    made = request(
        tools=[Tide, {"name": "math.add", "description": "", "parameters": {}}],
        tool_choice="math.add",
        parallel_tool_calls=False,
    )

    assert [tool["function"]["name"] for tool in made.payload["tools"]] == [
        "Tide",
        "math_add_ecef409b",
    ]
    assert made.payload["tool_choice"] == {
        "type": "function",
        "function": {"name": "math_add_ecef409b"},
    }
    assert made.payload["parallel_tool_calls"] is False
    assert made.names == {"math_add_ecef409b": "math.add"}


def test_a_choice_that_is_left_to_the_server_is_not_sent() -> None:
    assert "tool_choice" not in body(tools=[Tide], tool_choice=False)


@pytest.mark.parametrize(
    "response_format", [Tide, {"type": "json_object"}, {"type": "json_schema"}]
)
def test_tools_and_a_format_never_travel_together(response_format: Any) -> None:
    with pytest.raises(ValueError, match=r"use ToolStrategy\(schema\)"):
        body(tools=[Tide], response_format=response_format)


@pytest.mark.parametrize(
    ("bound", "response_format"),
    [([], {"type": "json_object"}), ([Tide], None), ([Tide], {"type": "text"})],
)
def test_tools_or_a_format_may_travel_alone(bound: list[Any], response_format: Any) -> None:
    refuse_both(bound, response_format)
