"""The completions that the emulator generates without a script."""

import json
import re
import time
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply
from tests.integration.emulator_client import (
    JSON,
    MAGIC_TOOL,
    MODELS,
    QWEN,
    WEATHER_TOOL,
    assistant_message,
    chat,
    tool,
    tool_call,
    tool_message,
    user_message,
)

TOOLS = [MAGIC_TOOL, WEATHER_TOOL]
ASK_FOR_BOTH_TOOLS: JSON = {
    "messages": [user_message("magic(3) and the weather in Paris")],
    "tools": TOOLS,
}


def test_completion_has_the_recorded_keys(server: Emulator) -> None:
    completion = chat(server).json

    (choice,) = completion["choices"]
    assert " ".join(completion) == (
        "id choices created model system_fingerprint object usage time_info"
    )
    assert re.fullmatch(r"chatcmpl-[0-9a-f-]{36}", completion["id"])
    assert list(choice) == ["finish_reason", "index", "message"]
    assert list(choice["message"]) == ["content", "reasoning", "role"]


def test_same_request_gets_the_same_message(server: Emulator) -> None:
    assert chat(server).message == chat(server).message


def test_content_quotes_the_last_user_message(server: Emulator) -> None:
    assert "Ahoy" in chat(server, messages=[user_message("Ahoy")]).message["content"]


def test_content_has_as_many_words_as_the_prompt_asks_for(server: Emulator) -> None:
    message = chat(server, messages=[user_message("Write 300 words.")]).message

    assert len(message["content"].split()) == 300


def test_prompt_with_lone_surrogates_gets_a_completion(server: Emulator) -> None:
    assert chat(server, messages=[user_message("\ud800" * 1000)], logprobs=True).status == 200


def test_service_tier_is_echoed(server: Emulator) -> None:
    assert chat(server, service_tier="flex").json["service_tier"] == "flex"


def test_usage_adds_up(server: Emulator) -> None:
    usage = chat(server).json["usage"]

    reasoning_tokens = usage["completion_tokens_details"]["reasoning_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < reasoning_tokens < usage["completion_tokens"]


def test_prompt_has_a_token_for_every_four_characters(server: Emulator) -> None:
    short, long = (
        chat(server, messages=[user_message("x" * length)]).json["usage"]["prompt_tokens"]
        for length in (400, 800)
    )

    assert long - short == 100


def test_completion_has_a_token_for_every_short_word_and_for_its_end(server: Emulator) -> None:
    server.script(Reply("one two three"))

    assert chat(server).json["usage"]["completion_tokens"] == 4


def test_repeated_prefix_is_cached_in_blocks_of_128_tokens(
    server: Emulator,
) -> None:
    messages = [user_message("A long story. " * 200)]

    first = chat(server, messages=messages).json["usage"]
    second = chat(server, messages=[*messages, user_message("More")]).json["usage"]

    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["prompt_tokens_details"]["cached_tokens"] == 640


def test_prompt_in_any_writing_system_has_at_least_as_many_tokens_as_are_cached(
    server: Emulator,
) -> None:
    messages = [user_message("長い話。" * 400)]

    first = chat(server, messages=messages).json["usage"]
    second = chat(server, messages=messages).json["usage"]

    assert first["prompt_tokens"] == second["prompt_tokens"]
    assert 0 < second["prompt_tokens_details"]["cached_tokens"] <= second["prompt_tokens"]


def test_rate_limit_headers_have_limit_and_remaining_but_no_reset(server: Emulator) -> None:
    names = {name for name in chat(server).headers if "ratelimit" in name.lower()}

    assert names == {
        f"x-ratelimit-{value}-{unit}-{period}"
        for value in ("limit", "remaining")
        for unit in ("requests", "tokens")
        for period in ("minute", "hour", "day")
    }


# Reasoning and limits


def test_reasoning_grows_with_the_effort(server: Emulator) -> None:
    low, medium, high = (
        len(chat(server, reasoning_effort=effort).message["reasoning"])
        for effort in ("low", "medium", "high")
    )

    assert low < medium < high


def test_effort_none_turns_reasoning_off(server: Emulator) -> None:
    message = chat(server, model=QWEN, reasoning_effort="none").message

    assert set(message) == {"content", "role"}


def test_hidden_reasoning_counts_as_usage(server: Emulator) -> None:
    response = chat(server, reasoning_format="hidden")

    usage = response.json["usage"]
    assert "reasoning" not in response.message
    assert usage["completion_tokens_details"]["reasoning_tokens"] > 0


def test_raw_reasoning_precedes_the_content_without_a_separator(server: Emulator) -> None:
    parsed = chat(server).message
    raw = chat(server, reasoning_format="raw").message

    assert raw["content"] == parsed["reasoning"] + parsed["content"]


def test_token_limit_truncates_after_the_reasoning(server: Emulator) -> None:
    response = chat(server, max_completion_tokens=4)

    assert set(response.message) == {"reasoning", "role"}
    assert response.json["choices"][0]["finish_reason"] == "length"
    assert response.json["usage"]["completion_tokens"] == 4


def test_token_limit_truncates_tool_arguments(server: Emulator) -> None:
    complete = chat(server, **ASK_FOR_BOTH_TOOLS)
    limit = complete.json["usage"]["completion_tokens"] - 3

    response = chat(server, **ASK_FOR_BOTH_TOOLS, max_completion_tokens=limit)

    (call,) = response.tool_calls
    assert response.json["choices"][0]["finish_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(call["function"]["arguments"])


def test_stop_sequence_ends_the_content(server: Emulator) -> None:
    message = chat(server, model=QWEN, stop=" comes").message

    assert message["content"].endswith("This completion")


def test_stop_sequence_in_gpt_oss_reasoning_leaves_an_empty_message(server: Emulator) -> None:
    response = chat(server, stop=["user"])

    assert response.message == {"role": "assistant"}
    assert response.json["choices"][0]["finish_reason"] == "stop"


def test_n_is_the_number_of_choices(server: Emulator) -> None:
    choices = chat(server, n=3).json["choices"]

    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) == 3


def test_logprobs_include_the_reasoning_unless_it_is_parsed(server: Emulator) -> None:
    def join_tokens(choice: JSON, key: str) -> str:
        return "".join(entry["token"] for entry in choice[key]["content"])

    (choice,) = chat(server, logprobs=True, top_logprobs=2).json["choices"]
    (parsed,) = chat(server, logprobs=True, reasoning_format="parsed").json["choices"]

    message = choice["message"]
    assert join_tokens(choice, "logprobs") == message["reasoning"] + message["content"]
    assert len(choice["logprobs"]["content"][0]["top_logprobs"]) == 2
    assert join_tokens(parsed, "logprobs") == message["content"]
    assert join_tokens(parsed, "reasoning_logprobs") == message["reasoning"]


# Tools and structured output


@pytest.mark.parametrize(
    ("prompt", "name", "arguments"),
    [
        ("What is the value of magic(3)? Use the tool.", "magic", {"input": 3}),
        (
            "What is the weather in San Francisco, CA?",
            "get_weather",
            {"location": "San Francisco, CA"},
        ),
        ("The weather for '你好啊集团', please", "get_weather", {"location": "你好啊集团"}),
    ],
)
def test_mentioned_tool_is_called_with_arguments_from_the_prompt(
    server: Emulator, prompt: str, name: str, arguments: JSON
) -> None:
    response = chat(server, messages=[user_message(prompt)], tools=TOOLS)

    (call,) = response.tool_calls
    assert call["function"]["name"] == name
    assert json.loads(call["function"]["arguments"]) == arguments
    assert re.fullmatch(r"[0-9a-f]{9}", call["id"])
    assert response.json["choices"][0]["finish_reason"] == "tool_calls"
    assert "content" not in response.message


@pytest.mark.parametrize(
    ("tool_choice", "called"),
    [
        (None, []),
        ("none", []),
        ("required", ["magic"]),
        ({"type": "function", "function": {"name": "get_weather"}}, ["get_weather"]),
    ],
)
def test_tool_choice_decides_which_unmentioned_tool_is_called(
    server: Emulator, tool_choice: Any, called: list[str]
) -> None:
    response = chat(server, tools=TOOLS, tool_choice=tool_choice)

    assert [call["function"]["name"] for call in response.tool_calls] == called
    assert ("content" in response.message) is (not called)


def test_content_after_a_tool_message_quotes_it(server: Emulator) -> None:
    calls = [tool_call("a", "get_weather")]
    messages = [
        user_message("The weather?"),
        assistant_message(tool_calls=calls),
        tool_message("a", "Sunny, 21°C"),
    ]

    message = chat(server, messages=messages, tools=TOOLS).message

    assert "Sunny, 21°C" in message["content"]


def test_images_of_a_tool_result_in_a_user_message_belong_to_the_tool_message(
    server: Emulator,
) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    images = [
        {"type": "text", "text": "Image of get_weather:"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    messages = [
        user_message("The weather?"),
        assistant_message(tool_calls=[tool_call("a", "get_weather")]),
        tool_message("a", "Sunny, 21°C"),
        user_message(images),
    ]

    message = chat(server, model=QWEN, messages=messages, tools=TOOLS).message

    assert "Sunny, 21°C" in message["content"]


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ([], ["magic", "get_weather"]),
        (["magic"], ["get_weather"]),
        (["get_weather"], ["magic"]),
        (["magic", "get_weather"], ["other"]),
        (["magic", "get_weather", "other"], ["magic", "get_weather"]),
    ],
)
def test_required_tool_choice_calls_each_mentioned_tool_once(
    server: Emulator, called: list[str], expected: list[str]
) -> None:
    calls = [tool_call(name, name) for name in called]
    messages = [*ASK_FOR_BOTH_TOOLS["messages"]]
    if called:
        messages += [assistant_message(tool_calls=calls), *map(tool_message, called)]
    tools = [*TOOLS, tool("other", {"type": "object"})]

    response = chat(server, model=QWEN, messages=messages, tools=tools, tool_choice="required")

    assert [call["function"]["name"] for call in response.tool_calls] == expected


def test_only_qwen_calls_several_tools_at_once(server: Emulator) -> None:
    counts = [
        len(chat(server, model=model, **ASK_FOR_BOTH_TOOLS).tool_calls) for model in MODELS
    ]

    assert counts == [1, 2]


JOKE_SCHEMA = {
    "type": "object",
    "properties": {"setup": {"type": "string"}, "stars": {"type": "integer"}},
    "required": ["setup", "stars"],
    "additionalProperties": False,
}
JOKE = {"name": "Joke", "schema": JOKE_SCHEMA, "strict": True}


@pytest.mark.parametrize(
    ("response_format", "prompt", "content"),
    [
        (
            {"type": "json_schema", "json_schema": JOKE},
            "A 5 star joke",
            {"setup": "an example setup", "stars": 5},
        ),
        (
            {"type": "json_object"},
            "JSON with 'setup' and 'end' keys.",
            {"setup": "an example setup", "end": "an example end"},
        ),
    ],
    ids=["keys of the schema", "keys in quotes"],
)
def test_json_content_has_the_keys_that_the_request_names(
    server: Emulator, response_format: JSON, prompt: str, content: JSON
) -> None:
    response = chat(server, messages=[user_message(prompt)], response_format=response_format)

    assert json.loads(response.message["content"]) == content


class Booking(BaseModel):
    """A schema with keywords that strict schemas only have in descriptions."""

    day: date = Field(description="The day.")
    at: datetime | None = Field(description="When.")
    stay: timedelta
    id: UUID
    code: str = Field(pattern=r"^[A-Z]{3}-\d{4,}$")
    note: str = Field(min_length=20, max_length=30)
    rooms: list[str] = Field(min_length=2, max_length=3)
    floors: set[int] = Field(min_length=2)


@pytest.mark.parametrize("strict", [None, False])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_generated_object_follows_the_keywords_in_descriptions(
    model: ChatCerebrasInference, method: Any, strict: Any
) -> None:
    booking = model.with_structured_output(Booking, method=method, strict=strict)

    assert isinstance(booking.invoke("Book it."), Booking)


# Streams


@pytest.mark.parametrize("model_name", MODELS)
def test_deltas_add_up_to_the_whole_message(server: Emulator, model_name: str) -> None:
    message = chat(server, model=model_name).message
    deltas = chat(server, model=model_name, stream=True).deltas

    for key in ("reasoning", "content"):
        assert "".join(delta.get(key, "") for delta in deltas) == message[key]


def test_stream_starts_with_the_role_and_ends_with_usage(server: Emulator) -> None:
    response = chat(server, stream=True)

    first, *middle, last = response.events
    final_choice = {"delta": {}, "finish_reason": "stop", "index": 0}
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert first["choices"] == [{"delta": {"role": "assistant"}, "index": 0}]
    assert last["choices"] == [final_choice]
    assert {"usage", "time_info"} <= last.keys()
    assert not any("usage" in event for event in [first, *middle])
    assert response.content.endswith(b"}\n\ndata: [DONE]\n\n")


def test_one_delta_has_the_last_reasoning_and_the_first_content(server: Emulator) -> None:
    deltas = chat(server, stream=True).deltas

    assert sum({"reasoning", "content"} <= delta.keys() for delta in deltas) == 1


def test_gpt_oss_streams_tool_arguments_in_fragments(server: Emulator) -> None:
    deltas = chat(server, tools=[MAGIC_TOOL], tool_choice="required", stream=True).deltas

    first, *fragments = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    arguments = "".join(fragment["function"]["arguments"] for fragment in fragments)
    assert list(first) == ["function", "type", "id", "index"]
    assert first["function"] == {"name": "magic", "arguments": ""}
    assert all(set(fragment) == {"function", "type", "index"} for fragment in fragments)
    assert json.loads(arguments) == {"input": 1}


def test_qwen_streams_all_tool_calls_in_one_delta(server: Emulator) -> None:
    deltas = chat(server, model=QWEN, **ASK_FOR_BOTH_TOOLS, stream=True).deltas

    (calls,) = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 1]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [
        {"input": 3},
        {"location": "Paris"},
    ]


def test_events_of_several_choices_alternate(server: Emulator) -> None:
    events = chat(server, n=2, stream=True).events

    assert [event["choices"][0]["index"] for event in events[:4]] == [0, 1, 0, 1]


def test_tokens_per_second_sets_the_pace_at_about_200_events_per_second() -> None:
    with Emulator(tokens_per_second=2000) as server:
        start = time.monotonic()
        response = chat(server, messages=[user_message("Write 300 words.")], stream=True)
        seconds = time.monotonic() - start

    assert 120 < len(response.events) / seconds < 230
