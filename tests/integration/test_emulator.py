import asyncio
import gzip
import json
import math
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from http.client import RemoteDisconnected
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from pydantic import BaseModel, Field

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import (
    Act,
    Cut,
    Emulator,
    ErrorEvent,
    Garble,
    Redirect,
    Refuse,
    Reply,
    Request,
    Session,
    Stall,
    ToolCall,
)
from langchain_cerebras_inference.emulator.__main__ import main

GPT_OSS = "gpt-oss-120b"
QWEN = "qwen-3.8-27b"
PNG = "data:image/png;base64,iVBORw0KGgo="

WEATHER = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
}
MAGIC = {
    "type": "object",
    "properties": {"input": {"type": "integer"}},
    "required": ["input"],
}
CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}

Json = dict[str, Any]


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


def tool(name: str, parameters: Json, **more: Any) -> Json:
    function = {"name": name, "parameters": parameters, **more}
    return {"type": "function", "function": function}


def call(call_id: str, name: str = "f") -> Json:
    function = {"name": name, "arguments": "{}"}
    return {"id": call_id, "type": "function", "function": function}


def user(content: Any = "Hello!") -> Json:
    return {"role": "user", "content": content}


def assistant(**more: Any) -> Json:
    return {"role": "assistant", **more}


def result(call_id: str, content: str = "done") -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def request_body(**more: Any) -> Json:
    return {"model": GPT_OSS, "messages": [user()], **more}


class Response:
    def __init__(self, status: int, headers: Any, content: bytes) -> None:
        self.status = status
        self.headers = dict(headers)
        self.content = content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def message(self) -> Json:
        message: Json = self.json["choices"][0]["message"]
        return message

    @property
    def events(self) -> list[Json]:
        frames = self.content.decode().split("\n\n")
        data = [frame.removeprefix("data: ") for frame in frames if frame]
        return [json.loads(one) for one in data if one != "[DONE]"]

    @property
    def deltas(self) -> list[Json]:
        return [event["choices"][0]["delta"] for event in self.events]


def fetch(
    url: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    request = urllib.request.Request(url, content, dict(headers or {}))  # noqa: S310
    opener = urllib.request.build_opener(NoRedirects)
    try:
        with opener.open(request, timeout=10) as answer:
            return Response(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.headers, error.read())


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


def bearer(server: Emulator, key: str | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key or server.api_key}"}


def post(server: Emulator, body: Any, **headers: str) -> Response:
    content = json.dumps(body).encode()
    url = f"{server.base_url}/chat/completions"
    return fetch(url, content, {**bearer(server), **headers})


def ask(server: Emulator, **more: Any) -> Response:
    return post(server, request_body(**more))


def session(server: Emulator, cookies: Mapping[str, str] | None = None) -> Response:
    pairs = (server.cookies if cookies is None else cookies).items()
    cookie = "; ".join(f"{name}={value}" for name, value in pairs)
    return fetch(server.session_url, headers={"Cookie": cookie})


@asynccontextmanager
async def streaming(server: Emulator) -> AsyncIterator[aiohttp.ClientResponse]:
    url = f"{server.base_url}/chat/completions"
    body = request_body(stream=True)
    async with (
        aiohttp.ClientSession(headers=bearer(server)) as client,
        client.post(url, json=body) as answer,
    ):
        yield answer


async def until(happened: Callable[[], bool]) -> None:
    for _ in range(400):
        if happened():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not happen within two seconds")


# Answers


def test_a_whole_reply_has_the_recorded_keys(server: Emulator) -> None:
    reply = ask(server).json

    assert list(reply) == [
        "id",
        "choices",
        "created",
        "model",
        "system_fingerprint",
        "object",
        "usage",
        "time_info",
    ]
    assert re.fullmatch(r"chatcmpl-[0-9a-f-]{36}", reply["id"])
    assert list(reply["choices"][0]) == ["finish_reason", "index", "message"]
    assert list(reply["choices"][0]["message"]) == ["content", "reasoning", "role"]


def test_the_same_request_gets_the_same_answer(server: Emulator) -> None:
    assert ask(server).message == ask(server).message


def test_the_last_user_message_is_quoted(server: Emulator) -> None:
    assert "Ahoy" in ask(server, messages=[user("Ahoy")]).message["content"]


def test_an_answer_has_as_many_words_as_asked_for(server: Emulator) -> None:
    message = ask(server, messages=[user("Write 300 words.")]).message

    assert len(message["content"].split()) == 300


def test_usage_adds_up(server: Emulator) -> None:
    usage = ask(server).json["usage"]

    total = usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["total_tokens"] == total
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < reasoning < usage["completion_tokens"]


def test_a_prefix_sent_before_is_cached_in_blocks_of_128(server: Emulator) -> None:
    messages = [user("A long story. " * 200)]

    first = ask(server, messages=messages).json["usage"]
    second = ask(server, messages=[*messages, user("More")]).json["usage"]

    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["prompt_tokens_details"]["cached_tokens"] == 640


def test_quotas_are_told_as_limit_and_remaining_without_reset(server: Emulator) -> None:
    names = {name for name in ask(server).headers if "ratelimit" in name.lower()}

    assert names == {
        f"x-ratelimit-{what}-{kind}-{period}"
        for what in ("limit", "remaining")
        for kind in ("requests", "tokens")
        for period in ("minute", "hour", "day")
    }


def test_reasoning_grows_with_the_effort(server: Emulator) -> None:
    efforts = ("low", "medium", "high")
    thoughts = [ask(server, reasoning_effort=one).message["reasoning"] for one in efforts]

    assert thoughts == sorted(thoughts, key=len)
    assert len(set(thoughts)) == 3


def test_qwen_without_effort_does_not_reason(server: Emulator) -> None:
    message = ask(server, model=QWEN, reasoning_effort="none").message

    assert set(message) == {"content", "role"}


def test_hidden_reasoning_is_paid_for_but_not_shown(server: Emulator) -> None:
    reply = ask(server, reasoning_format="hidden").json

    assert "reasoning" not in reply["choices"][0]["message"]
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_raw_reasoning_is_glued_before_the_content(server: Emulator) -> None:
    parsed = ask(server).message
    raw = ask(server, reasoning_format="raw").message

    assert raw["content"] == parsed["reasoning"] + parsed["content"]


def test_reasoning_eats_the_budget_first(server: Emulator) -> None:
    reply = ask(server, max_completion_tokens=4).json

    assert set(reply["choices"][0]["message"]) == {"reasoning", "role"}
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 4


def test_the_budget_cuts_tool_arguments(server: Emulator) -> None:
    asked = {
        "messages": [user("What is the weather in San Francisco, CA?")],
        "tools": [tool("get_weather", WEATHER)],
    }
    whole = ask(server, **asked).json
    budget = whole["usage"]["completion_tokens"] - 3

    reply = ask(server, **asked, max_completion_tokens=budget).json

    (cut,) = reply["choices"][0]["message"]["tool_calls"]
    assert reply["choices"][0]["finish_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut["function"]["arguments"])


def test_a_stop_sequence_ends_the_text(server: Emulator) -> None:
    message = ask(server, model=QWEN, stop=" comes").message

    assert message["content"].endswith("This answer")


def test_gpt_oss_stops_within_its_reasoning_and_says_nothing(server: Emulator) -> None:
    reply = ask(server, stop=["user"]).json

    assert reply["choices"][0]["message"] == {"role": "assistant"}
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_n_choices_are_given(server: Emulator) -> None:
    choices = ask(server, n=3).json["choices"]

    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) == 3


def test_logprobs_list_the_reasoning_unless_it_is_parsed(server: Emulator) -> None:
    def listed(choice: Json, key: str) -> str:
        return "".join(entry["token"] for entry in choice[key]["content"])

    default = ask(server, logprobs=True, top_logprobs=2).json["choices"][0]
    asked = {"logprobs": True, "reasoning_format": "parsed"}
    parsed = ask(server, **asked).json["choices"][0]

    said = default["message"]
    assert listed(default, "logprobs") == said["reasoning"] + said["content"]
    assert len(default["logprobs"]["content"][0]["top_logprobs"]) == 2
    assert listed(parsed, "logprobs") == said["content"]
    assert listed(parsed, "reasoning_logprobs") == said["reasoning"]


def test_the_service_tier_is_echoed(server: Emulator) -> None:
    assert ask(server, service_tier="flex").json["service_tier"] == "flex"


# Tools and structured answers


@pytest.mark.parametrize(
    ("prompt", "name", "arguments"),
    [
        ("What is the value of magic(3)? Use the tool.", "magic", {"input": 3}),
        (
            "What is the weather in San Francisco, CA?",
            "get_weather",
            {"location": "San Francisco, CA"},
        ),
        (
            "The weather for '你好啊集团', please",
            "get_weather",
            {"location": "你好啊集团"},
        ),
    ],
)
def test_a_tool_the_prompt_speaks_of_is_called_with_what_it_says(
    server: Emulator, prompt: str, name: str, arguments: Json
) -> None:
    tools = [tool("magic", MAGIC), tool("get_weather", WEATHER)]

    reply = ask(server, messages=[user(prompt)], tools=tools).json

    (made,) = reply["choices"][0]["message"]["tool_calls"]
    assert made["function"]["name"] == name
    assert json.loads(made["function"]["arguments"]) == arguments
    assert re.fullmatch(r"[0-9a-f]{9}", made["id"])
    assert reply["choices"][0]["finish_reason"] == "tool_calls"
    assert "content" not in reply["choices"][0]["message"]


def test_a_prompt_that_speaks_of_no_tool_gets_text(server: Emulator) -> None:
    assert "content" in ask(server, tools=[tool("get_weather", WEATHER)]).message


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("required", ["magic"]),
        ({"type": "function", "function": {"name": "get_weather"}}, ["get_weather"]),
    ],
)
def test_a_tool_choice_is_obeyed(server: Emulator, choice: Any, called: list[str]) -> None:
    tools = [tool("magic", MAGIC), tool("get_weather", WEATHER)]

    message = ask(server, tools=tools, tool_choice=choice).message

    calls = message.get("tool_calls", [])
    assert [made["function"]["name"] for made in calls] == called


def test_a_tool_result_is_answered_in_text_that_quotes_it(server: Emulator) -> None:
    turn = [user("The weather?"), assistant(tool_calls=[call("a", "get_weather")])]
    messages = [*turn, result("a", "Sunny, 21°C")]

    message = ask(server, messages=messages, tools=[tool("get_weather", WEATHER)]).message

    assert "Sunny, 21°C" in message["content"]


def test_qwen_calls_several_tools_at_once_and_gpt_oss_one(server: Emulator) -> None:
    asked = {
        "messages": [user("magic(3) and the weather in Paris")],
        "tools": [tool("magic", MAGIC), tool("get_weather", WEATHER)],
    }

    counts = [len(ask(server, model=m, **asked).message["tool_calls"]) for m in MODELS]

    assert counts == [1, 2]


MODELS = (GPT_OSS, QWEN)


def test_a_json_schema_is_filled(server: Emulator) -> None:
    schema = {
        "type": "object",
        "properties": {"setup": {"type": "string"}, "stars": {"type": "integer"}},
        "required": ["setup", "stars"],
        "additionalProperties": False,
    }
    wanted = {"name": "Joke", "schema": schema, "strict": True}
    form = {"type": "json_schema", "json_schema": wanted}

    message = ask(server, messages=[user("A 5 star joke")], response_format=form).message

    assert json.loads(message["content"]) == {"setup": "an example setup", "stars": 5}


class Booking(BaseModel):
    """All that strict schemas cannot say, except in words."""

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
def test_words_in_a_description_are_obeyed_as_keywords_are(
    server: Emulator, method: Any, strict: Any
) -> None:
    model = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)

    booking = model.with_structured_output(Booking, method=method, strict=strict)

    assert isinstance(booking.invoke("Book it."), Booking)


def test_a_json_object_has_the_keys_the_prompt_quotes(server: Emulator) -> None:
    prompt = "A joke as JSON with 'setup' and 'punchline' keys."
    form = {"type": "json_object"}

    message = ask(server, messages=[user(prompt)], response_format=form).message

    assert set(json.loads(message["content"])) == {"setup", "punchline"}


# Streams


@pytest.mark.parametrize("model", MODELS)
def test_the_deltas_add_up_to_the_whole_reply(server: Emulator, model: str) -> None:
    whole = ask(server, model=model).message
    deltas = ask(server, model=model, stream=True).deltas

    for key in ("reasoning", "content"):
        assert "".join(delta.get(key, "") for delta in deltas) == whole[key]


def test_a_stream_begins_with_the_role_and_ends_with_the_figures(
    server: Emulator,
) -> None:
    answer = ask(server, stream=True)

    first, *_, last = answer.events
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert first["choices"] == [{"delta": {"role": "assistant"}, "index": 0}]
    ending = {"delta": {}, "finish_reason": "stop", "index": 0}
    assert last["choices"] == [ending]
    assert {"usage", "time_info"} <= last.keys()
    assert not any("usage" in event for event in answer.events[:-1])
    assert answer.content.endswith(b"}\n\ndata: [DONE]\n\n")


def test_one_chunk_carries_the_end_of_reasoning_and_the_first_text(
    server: Emulator,
) -> None:
    both = [d for d in ask(server, stream=True).deltas if {"reasoning", "content"} <= d.keys()]

    assert len(both) == 1


def test_gpt_oss_streams_a_call_as_a_header_and_fragments(server: Emulator) -> None:
    asked = {"tools": [tool("magic", MAGIC)], "tool_choice": "required"}

    deltas = ask(server, **asked, stream=True).deltas

    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert list(calls[0]) == ["function", "type", "id", "index"]
    assert calls[0]["function"] == {"name": "magic", "arguments": ""}
    assert all(set(call) == {"function", "type", "index"} for call in calls[1:])
    joined = "".join(call["function"]["arguments"] for call in calls)
    assert json.loads(joined) == {"input": 1}


def test_qwen_streams_whole_calls_together(server: Emulator) -> None:
    asked = {
        "messages": [user("magic(3) and the weather in Paris")],
        "tools": [tool("magic", MAGIC), tool("get_weather", WEATHER)],
    }

    deltas = ask(server, model=QWEN, **asked, stream=True).deltas

    (calls,) = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 1]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [
        {"input": 3},
        {"location": "Paris"},
    ]


def test_streamed_choices_take_turns(server: Emulator) -> None:
    events = ask(server, n=2, stream=True).events

    indices = [event["choices"][0]["index"] for event in events]
    assert indices[:4] == [0, 1, 0, 1]


def test_a_pace_holds_about_200_events_a_second() -> None:
    with Emulator(tokens_per_second=2000) as server:
        began = time.monotonic()
        answer = ask(server, messages=[user("Write 300 words.")], stream=True)
        took = time.monotonic() - began

    assert 120 < len(answer.events) / took < 230


# What is refused


@pytest.mark.parametrize(
    "extra",
    [
        {"thinking": True},
        {"top_k": 1},
        {"disable_reasoning": True},
        {"store": False},
        {"stream_options": {"other": 1}},
        {"messages": [user() | {"extra": 1}]},
        {"messages": [user(), assistant(content="x", reasoning_content="y"), user()]},
        {"messages": [user(), assistant(content="x", refusal=None), user()]},
        {"messages": [user([{"type": "text", "text": "x", "cache_control": {}}])]},
        {"tools": [tool("f", {}, other=1)]},
    ],
    ids=lambda extra: json.dumps(extra)[:40],
)
def test_an_unknown_property_is_refused(server: Emulator, extra: Json) -> None:
    answer = ask(server, **extra)

    assert answer.status == 400
    assert list(answer.json) == ["message", "type", "param", "code"]
    assert answer.json["code"] == "wrong_api_format"
    assert re.fullmatch(r"property 'body\..+' is unsupported", answer.json["message"])


@pytest.mark.parametrize(
    "extra",
    [
        {"messages": []},
        {"messages": [{"role": "function", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [user([{"type": "audio"}])]},
        {"messages": [user(None)]},
        {"messages": [result("a")]},
        {"messages": [user(), assistant(tool_calls=[])]},
        {"messages": [user(), assistant(tool_calls=[call("a")])]},
        {"messages": [user(), assistant(tool_calls=[call("a")]), user(), result("a")]},
        {"messages": [user(), assistant(tool_calls=[call("a")]), result("b")]},
        {"messages": [assistant(tool_calls=[call("a")]), result("a"), result("a")]},
        {"messages": [assistant(tool_calls=[call("a"), call("a")]), result("a")]},
        {"tools": []},
        {"tools": [tool("not a name", {})]},
        {"tools": [tool("f", CLOSED, strict=True), tool("g", CLOSED)]},
        {"tools": [tool("f", {"type": "object"}, strict=True)]},
        {"tool_choice": "auto"},
        {"tools": [tool("f", {})], "tool_choice": "any"},
        {
            "tools": [tool("f", {})],
            "tool_choice": {"type": "function", "function": {"name": "g"}},
        },
        {"tools": [tool("f", {})], "response_format": {"type": "json_object"}},
        {"response_format": {"type": "yaml"}},
        {"response_format": {"type": "json_object"}, "reasoning_format": "raw"},
        {"reasoning_effort": "none"},
        {"reasoning_effort": "minimal"},
        {"model": QWEN, "reasoning_format": "hidden"},
        {"model": QWEN, "messages": [{"role": "developer", "content": "x"}]},
        {"temperature": 2.1},
        {"temperature": "hot"},
        {"top_p": 1.1},
        {"presence_penalty": -2.1},
        {"frequency_penalty": 2.1},
        {"logit_bias": {"1": 101}},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"top_logprobs": 2},
        {"top_logprobs": 21, "logprobs": True},
        {"max_completion_tokens": 1.5},
        {"n": 0},
        {"prompt_cache_key": "k" * 1025},
        {"service_tier": "fast"},
        {"model": QWEN, "prediction": {"type": "content", "content": "x"}},
        {"prediction": {"type": "content", "content": "x"}, "n": 2},
        {"prediction": {"type": "content", "content": "x"}, "logprobs": True},
    ],
    ids=lambda extra: json.dumps(extra)[:60],
)
def test_what_cerebras_does_not_take_is_refused(server: Emulator, extra: Json) -> None:
    answer = ask(server, **extra)

    assert answer.status == 400
    assert answer.json["code"] == "wrong_api_format"


@pytest.mark.parametrize(
    "extra",
    [
        {"temperature": None, "stop": None, "tools": None},
        {
            "temperature": 0,
            "seed": 1,
            "user": "me",
            "top_p": 1,
            "clear_thinking": False,
        },
        {"stream_options": {"include_usage": True}},
        {"stop": "x", "logit_bias": {"1": -100}, "prompt_cache_key": "k" * 1024},
        {"prediction": {"type": "content", "content": "x"}},
        {"messages": [user([{"type": "text", "text": "x"}]), user(), user()]},
        {"messages": [user(), assistant(reasoning="Hm."), user()]},
        {
            "messages": [
                user(),
                assistant(content=None, tool_calls=[call("a")]),
                result("a"),
            ]
        },
        {
            "messages": [
                user(),
                assistant(reasoning="Hm.", tool_calls=[call("a"), call("b")]),
                result("b") | {"name": "f"},
                result("a"),
            ]
        },
        {"messages": [{"role": "developer", "content": "x"}, user()]},
        {"tools": [tool("f", {"$schema": "x", "type": ["object"]}), tool("g", {})]},
        {"tools": [tool("f", CLOSED, strict=True), tool("g", CLOSED, strict=True)]},
        {
            "model": QWEN,
            "tools": [tool("f", {})],
            "response_format": {"type": "json_object"},
        },
        {
            "model": QWEN,
            "messages": [user([{"type": "image_url", "image_url": {"url": PNG}}])],
        },
    ],
    ids=lambda extra: json.dumps(extra)[:60],
)
def test_what_cerebras_takes_is_taken(server: Emulator, extra: Json) -> None:
    assert ask(server, **extra).status == 200


@pytest.mark.parametrize(
    ("model", "url", "status", "code"),
    [
        (GPT_OSS, PNG, 403, "multimodal_not_enabled"),
        (QWEN, "https://example.com/cat.png", 400, "wrong_api_format"),
        (QWEN, "data:image/gif;base64,R0lG", 400, "wrong_api_format"),
        (QWEN, "data:image/png;base64,!", 400, "wrong_api_format"),
        (QWEN, "data:image/png;base64," + "A" * 14_000_000, 413, "image_too_large"),
    ],
    ids=["gpt-oss", "https", "gif", "not base64", "too large"],
)
def test_an_image_cerebras_cannot_see_is_refused(
    server: Emulator, model: str, url: str, status: int, code: str
) -> None:
    image = {"type": "image_url", "image_url": {"url": url}}

    answer = ask(server, model=model, messages=[user([image])])

    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("bad model", "model_not_found"),
        ("gemma-4-31b", "model_archived"),
        ("llama3.1-8b", "model_archived"),
        ("llama3.3-70b", "model_archived"),
    ],
)
def test_a_model_that_is_not_there_is_404(server: Emulator, model: str, code: str) -> None:
    answer = ask(server, model=model)

    assert (answer.status, answer.json["code"]) == (404, code)
    assert answer.json["message"].startswith(f"Model {model} ")


@pytest.mark.parametrize(
    "extra",
    [{"messages": [user("x" * 600_000)]}, {"max_completion_tokens": 131_072}],
    ids=["a long prompt", "a large budget"],
)
def test_what_does_not_fit_the_context_is_refused(server: Emulator, extra: Json) -> None:
    answer = ask(server, **extra)

    assert answer.status == 400
    assert answer.json["code"] == "context_length_exceeded"
    assert answer.json["message"].endswith("while limit is 131072")


@pytest.mark.parametrize("key", ["wrong", ""])
def test_a_wrong_key_gets_the_recorded_401(server: Emulator, key: str) -> None:
    answer = post(server, request_body(), Authorization=f"Bearer {key}")

    assert answer.status == 401
    assert answer.content == (
        b'{"message":"Wrong API Key","type":"invalid_request_error",'
        b'"param":"api_key","code":"wrong_api_key"}'
    )


def test_a_gzip_body_is_taken_and_any_other_encoding_refused(server: Emulator) -> None:
    packed = gzip.compress(json.dumps(request_body()).encode())
    url = f"{server.base_url}/chat/completions"

    taken, broken, unknown = (
        fetch(url, content, {**bearer(server), "Content-Encoding": encoding})
        for content, encoding in [(packed, "gzip"), (b"x", "gzip"), (packed, "br")]
    )

    assert (taken.status, broken.status, unknown.status) == (200, 400, 415)
    assert server.requests[0].content == packed
    assert server.requests[0].body == request_body()


NOT_JSON = json.dumps(request_body(tools=[tool("f", {"minimum": math.nan})])).encode()


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000, b"", NOT_JSON])
def test_a_body_that_is_no_object_is_refused(server: Emulator, content: bytes) -> None:
    url = f"{server.base_url}/chat/completions"

    assert fetch(url, content, bearer(server)).status == 400


# The other routes


def test_models_are_listed_with_a_key_and_in_public_without(server: Emulator) -> None:
    listed = fetch(f"{server.base_url}/models", headers=bearer(server)).json
    public = fetch(f"{server.origin}/public/v1/models").json

    assert [model["id"] for model in listed["data"]] == list(MODELS)
    assert [model["id"] for model in public["data"]] == list(MODELS)
    assert fetch(f"{server.base_url}/models").status == 401


def test_one_model_is_described(server: Emulator) -> None:
    listed = fetch(f"{server.base_url}/models/{QWEN}", headers=bearer(server)).json
    public = fetch(f"{server.origin}/public/v1/models/{QWEN}").json
    unknown = fetch(f"{server.origin}/public/v1/models/x")

    expected = {"id": QWEN, "object": "model", "created": 0, "owned_by": "Cerebras"}
    assert listed == expected
    assert public["capabilities"]["vision"] is True
    assert unknown.status == 404
    assert unknown.json == {"detail": "Model 'x' not found or not publicly available"}
    assert fetch(f"{server.base_url}/models/x", headers=bearer(server)).status == 404


def test_warming_and_unknown_routes(server: Emulator) -> None:
    assert fetch(f"{server.base_url}/tcp_warming", headers=bearer(server)).status == 200
    assert fetch(f"{server.origin}/chat/completions", b"{}").status == 404


def test_cookies_become_a_demo_key_that_is_accepted(server: Emulator) -> None:
    key = session(server).json["user"]["demoApiKey"]

    assert key == server.demo_key
    assert post(server, request_body(), Authorization=f"Bearer {key}").status == 200


def test_a_cookie_in_chunks_is_put_together(server: Emulator) -> None:
    ((name, value),) = server.cookies.items()
    chunks = {f"{name}.0": value[:10], f"{name}.1": value[10:]}

    assert "user" in session(server, chunks).json


def test_a_stranger_is_signed_out(server: Emulator) -> None:
    assert session(server, {"other": "cookie"}).content == b"{}"


def test_the_session_route_takes_cookies_and_nothing_else(server: Emulator) -> None:
    assert fetch(server.session_url, headers=bearer(server)).status == 400


def test_the_sign_in_page_sets_the_cookie(server: Emulator) -> None:
    answer = fetch(f"{server.origin}/api/auth/signin")

    ((name, value),) = server.cookies.items()
    assert answer.headers["Set-Cookie"].startswith(f"{name}={value};")


def test_a_rotated_demo_key_is_rejected(server: Emulator) -> None:
    old = server.demo_key

    server.rotate_demo_key()

    assert post(server, request_body(), Authorization=f"Bearer {old}").status == 401
    assert session(server).json["user"]["demoApiKey"] == server.demo_key != old


@pytest.mark.parametrize(
    ("act", "status", "content"),
    [
        (Session("empty"), 200, b"{}"),
        (Session("null"), 200, b"null"),
        (Session("null_user", expires=None), 200, b'{"user": null}'),
        (Session("not_json"), 200, b"unavailable"),
        (Session("html"), 200, b"<!DOCTYPE html>"),
        (Session(demo_key="demo-x"), 200, b"demo-x"),
        (Session(expires="2026-01-01T00:00:00.000Z"), 200, b"2026-01-01"),
        (Session("too_large"), 200, b"A" * 1_000_000),
        (Redirect("/signin", 302), 302, b""),
        (Refuse(403), 403, b"forbidden"),
        (Refuse(429, headers={"Retry-After": "1"}), 429, b"quota"),
        (Refuse(503, body="<html>"), 503, b"<html>"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_session_route_plays(
    server: Emulator, act: Act, status: int, content: bytes
) -> None:
    server.script_session(act)

    answer = session(server)

    assert answer.status == status
    assert content in answer.content


def test_a_session_without_a_demo_key_has_a_user(server: Emulator) -> None:
    server.script_session(Session("no_key"))

    assert "demoApiKey" not in session(server).json["user"]


# Acts


@pytest.mark.parametrize("streamed", [False, True])
def test_a_reply_says_what_is_given(server: Emulator, *, streamed: bool) -> None:
    calls = [ToolCall("rm", {"path": "é"}, id="x"), ToolCall("ls", '{"a": fal')]
    server.script(
        Reply("Hi", reasoning="Hm", tool_calls=calls, finish_reason="length", usage={})
    )

    answer = ask(server, model=QWEN, stream=streamed)

    assert "é" in answer.content.decode()
    assert "usage" not in (answer.events[-1] if streamed else answer.json)
    assert b'"finish_reason":"length"' in answer.content


def test_a_finish_reason_alone_keeps_the_answer(server: Emulator) -> None:
    server.script(Reply(finish_reason="content_filter"))

    (choice,) = ask(server).json["choices"]

    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["content"]


def test_half_a_surrogate_pair_is_survived(server: Emulator) -> None:
    assert ask(server, messages=[user("\ud800" * 1000)]).status == 200


def test_a_reply_can_be_raw(server: Emulator) -> None:
    chunk = {"id": "x", "choices": []}
    replies = (Reply(events=[chunk]), Reply(data=[b"da", b"ta"]), Reply(body="{}"))
    server.script(*replies)

    answers = [ask(server, stream=streamed) for streamed in (True, True, False)]

    assert [answer.content for answer in answers] == [
        b'data: {"id":"x","choices":[]}\n\ndata: [DONE]\n\n',
        b"data",
        b"{}",
    ]


def test_the_script_is_played_once_and_in_order(server: Emulator) -> None:
    server.script(Refuse(429), Refuse(500))

    assert [ask(server).status for _ in range(3)] == [429, 500, 200]


def test_a_refused_request_takes_nothing_from_the_script(server: Emulator) -> None:
    server.script(Reply("Scripted"))

    assert ask(server, thinking=1).status == 400
    assert ask(server).message["content"] == "Scripted"


def test_an_act_can_be_chosen_from_the_request(server: Emulator) -> None:
    def echo(request: Request) -> Reply:
        return Reply(request.body["messages"][0]["content"][::-1])

    server.script(echo)

    assert ask(server, messages=[user("abc")]).message["content"] == "cba"


def test_every_choice_says_what_is_scripted(server: Emulator) -> None:
    server.script(Reply("Hi"))

    choices = ask(server, n=2).json["choices"]

    assert [choice["message"]["content"] for choice in choices] == ["Hi", "Hi"]


@pytest.mark.parametrize("act", ["x", None, 5, [Reply("a")], Reply, {"content": "a"}], ids=repr)
def test_what_is_no_act_cannot_be_scripted(server: Emulator, act: Any) -> None:
    with pytest.raises(TypeError, match="Script an act, or a function that returns one"):
        server.script(Reply(), act)

    assert "Hello!" in ask(server).message["content"]


def test_there_are_no_other_routes_to_script(server: Emulator) -> None:
    with pytest.raises(ValueError, match=r"'nope' is none of chat, models, session\."):
        server.script(Reply(), route="nope")  # type: ignore[arg-type]


WORDED: list[Callable[[Any], Act]] = [
    Session,
    Garble,
    lambda word: Cut(how=word),
    lambda word: ErrorEvent(shape=word),
]


@pytest.mark.parametrize("act", WORDED)
def test_an_act_knows_its_words(act: Callable[[Any], Act]) -> None:
    with pytest.raises(ValueError, match="'bogus' is none of "):
        act("bogus")


@pytest.mark.parametrize("status", [99, 200, 307, 600])
def test_a_status_that_is_no_error_cannot_refuse(status: int) -> None:
    with pytest.raises(ValueError, match="status must be 400 to 599, not"):
        Refuse(status)
    with pytest.raises(ValueError, match="status must be 400 to 599, not"):
        ErrorEvent(status=status)


@pytest.mark.parametrize(
    ("choose", "said"),
    [
        (lambda request: request.body["nope"], "KeyError('nope')"),
        (lambda _request: None, "TypeError('None is no act')"),
        (lambda _request: Reply, "is no act"),
    ],
)
def test_a_function_that_chooses_no_act_is_a_500_no_retry_hides(
    server: Emulator, choose: Any, said: str
) -> None:
    server.script(choose)

    answer = ask(server)

    assert answer.status == 500
    assert answer.headers["x-should-retry"] == "false"
    assert said in answer.json["message"]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 429, 529])
def test_a_refusal_has_the_flat_body(server: Emulator, status: int) -> None:
    server.script(Refuse(status, headers={"X-Extra": "1"}))

    answer = ask(server)

    assert answer.status == status
    assert answer.headers["X-Extra"] == "1"
    assert list(answer.json) == ["message", "type", "param", "code"]


def test_a_refused_quota_has_nothing_left(server: Emulator) -> None:
    server.script(Refuse(429), Refuse(429, message="Tokens per day limit exceeded"))

    minute, day = ask(server).headers, ask(server).headers

    assert minute["x-ratelimit-remaining-requests-minute"] == "0"
    assert minute["x-ratelimit-remaining-tokens-day"] != "0"
    assert day["x-ratelimit-remaining-tokens-day"] == "0"
    assert "Retry-After" not in minute


@pytest.mark.parametrize("after", [0, 2, -1])
def test_a_clean_cut_leaves_out_the_rest(server: Emulator, after: int) -> None:
    whole = ask(server, stream=True).events
    server.script(Cut(after))

    cut = ask(server, stream=True)

    expected = whole[:after] if after >= 0 else whole
    assert len(cut.events) == len(expected)
    assert b"[DONE]" not in cut.content


def test_a_half_cut_ends_within_an_event(server: Emulator) -> None:
    server.script(Cut(1, "half"))

    content = ask(server, stream=True).content

    assert content.count(b"data: ") == 2
    assert not content.endswith(b"\n\n")


def test_a_whole_reply_is_cut_in_the_middle(server: Emulator) -> None:
    server.script(Cut())

    with pytest.raises(json.JSONDecodeError):
        _ = ask(server).json


def raw_stream(server: Emulator) -> bytes:
    content = json.dumps(request_body(stream=True)).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {server.api_key}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    arrived = b""
    with socket.create_connection(("127.0.0.1", port_of(server))) as client:
        client.sendall(head.encode() + content)
        while piece := client.recv(65536):
            arrived += piece
            assert arrived.count(b"data: ") <= 2
    return arrived


def port_of(server: Emulator) -> int:
    return int(server.origin.rpartition(":")[2])


def test_a_dropped_connection_ends_after_the_events(server: Emulator) -> None:
    server.script(Cut(2, "drop"))

    arrived = raw_stream(server)

    assert arrived.count(b"data: ") == 2
    assert not arrived.endswith(b"0\r\n\r\n")
    assert not server.requests[0].disconnected.is_set()


def test_a_reset_connection_is_reset(server: Emulator) -> None:
    server.script(Cut(2, "reset"))

    with pytest.raises(ConnectionResetError):
        raw_stream(server)

    assert not server.requests[0].disconnected.is_set()


@pytest.mark.parametrize("how", ["drop", "reset"])
def test_a_connection_can_break_before_any_byte(server: Emulator, how: Any) -> None:
    server.script(Cut(None, how))

    with pytest.raises((RemoteDisconnected, ConnectionResetError, urllib.error.URLError)):
        ask(server)


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("json", b'"half'),
        ("deep", b"[[[["),
        ("null", b"null"),
        ("list", b"[]"),
        ("types", b'"created":"now"'),
        ("utf8", b"\xff\xfe"),
        ("html", b"<!DOCTYPE html>"),
        ("flat_error", b'{"message":'),
        ("empty", b""),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_garble_is_sent_with_status_200(
    server: Emulator, how: Any, found: bytes, *, streamed: bool
) -> None:
    server.script(Garble(how))

    answer = ask(server, stream=streamed)

    assert answer.status == 200
    assert found in answer.content


async def test_an_endless_event_goes_on_until_the_client_leaves(
    server: Emulator,
) -> None:
    server.script(Garble("endless"))

    async with streaming(server) as answer:
        size = 0
        async for piece in answer.content.iter_any():
            size += len(piece)
            if size > 5_000_000:
                break

    await until(server.requests[0].disconnected.is_set)


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ("enveloped", rb'data: \{"status_code":429,"error":\{"message":.*\}\}\n\n'),
        ("flat", rb'data: \{"message":.*\}\n\n'),
        ("event-enveloped", rb'event: error\ndata: \{"status_code":.*\}\}\n\n'),
        ("event-flat", rb'event: error\ndata: \{"message":.*\}\n\n'),
    ],
)
def test_an_error_event_is_the_last(server: Emulator, shape: Any, last: bytes) -> None:
    server.script(ErrorEvent(after=2, shape=shape), ErrorEvent())

    streamed, whole = ask(server, stream=True), ask(server)

    assert streamed.status == 200
    first = rb"(data: \{\"id.*\n\n){2}"
    assert re.fullmatch(first + last, streamed.content)
    assert whole.status == 429


def test_a_redirect_names_its_location(server: Emulator) -> None:
    server.script(Redirect("https://example.com/", 308))

    answer = ask(server)

    assert (answer.status, answer.headers["Location"]) == (308, "https://example.com/")


def test_a_stall_goes_on_afterwards(server: Emulator) -> None:
    quiet = ask(server, stream=True).events
    server.script(Stall(2, seconds=0.15, comments=True), Stall(None, seconds=0.1))

    began = time.monotonic()
    stalled = ask(server, stream=True).content
    took = time.monotonic() - began
    late = ask(server)

    assert took >= 0.15
    assert stalled.count(b": keep-alive\n\n") >= 2
    assert stalled.count(b"data: ") == len(quiet) + 1
    assert late.status == 200


def test_a_reply_can_be_late_and_slow(server: Emulator) -> None:
    server.script(Reply("Hi", delay=0.1, pace=0.02))

    began = time.monotonic()
    events = ask(server, stream=True).events

    assert time.monotonic() - began >= 0.1 + 0.02 * len(events)


def test_models_and_chat_have_scripts_of_their_own(server: Emulator) -> None:
    server.script_models(Refuse(503))

    assert ask(server).status == 200
    assert fetch(f"{server.base_url}/models", headers=bearer(server)).status == 503


# What is remembered, and the life of the server


def test_a_request_is_remembered_as_it_arrived(server: Emulator) -> None:
    ask(server)

    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["AUTHORIZATION"] == f"Bearer {server.api_key}"
    assert request.bearer == server.api_key
    assert request.body == request_body()
    assert json.loads(request.content) == request_body()
    assert request.answered.wait(1)
    assert not request.disconnected.is_set()


def test_a_header_sent_twice_is_seen_twice(server: Emulator) -> None:
    with socket.create_connection(("127.0.0.1", port_of(server))) as client:
        client.sendall(
            b"GET /public/v1/models HTTP/1.1\r\nHost: x\r\n"
            b"X-Twice: a\r\nx-twice: b\r\nConnection: close\r\n\r\n"
        )
        while client.recv(65536):
            pass

    sent = [pair for pair in server.requests[0].raw_headers if pair[1] in ("a", "b")]
    assert sent == [("X-Twice", "a"), ("x-twice", "b")]


async def test_connections_are_counted(server: Emulator) -> None:
    url = f"{server.origin}/public/v1/models"
    async with aiohttp.ClientSession() as client:
        for _ in range(3):
            async with client.get(url) as answer:
                await answer.read()
        assert (server.connections, server.open_connections) == (1, 1)

    assert len({request.peer for request in server.requests}) == 1
    await until(lambda: server.open_connections == 0)


@pytest.mark.parametrize(
    "act", [Stall(2), Stall(None), Reply(delay=60), Reply(pace=1)], ids=repr
)
async def test_a_client_that_goes_away_is_noticed_at_once(server: Emulator, act: Act) -> None:
    server.script(act)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), streaming(server) as answer:
            await answer.read()
    left = time.monotonic()
    await until(server.requests[0].disconnected.is_set)

    noticed = server.requests[0].disconnected.time
    assert noticed is not None
    assert noticed - left < 0.2
    assert not server.requests[0].answered.is_set()


def test_reset_forgets_requests_and_script(server: Emulator) -> None:
    ask(server)
    server.script(Refuse(500))

    server.reset()

    assert server.requests == []
    assert ask(server).status == 200


async def test_stop_is_quick_with_clients_still_there() -> None:
    with Emulator() as server:
        server.script(Stall(1), Stall(None), Garble("endless"))
        tasks = [asyncio.create_task(drain(server)) for _ in range(3)]
        await until(lambda: len(server.requests) == 3)
        await asyncio.sleep(0.05)
        began = time.monotonic()

    assert time.monotonic() - began < 0.5
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, aiohttp.ClientError) for one in done)
    assert not any(request.disconnected.is_set() for request in server.requests)


async def drain(server: Emulator) -> None:
    async with streaming(server) as answer:
        await asyncio.sleep(0.2)
        await answer.read()


async def test_it_runs_beside_an_event_loop_and_can_start_again() -> None:
    server = Emulator(api_key="csk-mine")

    for _ in range(2):
        async with server, streaming(server) as answer:
            assert (await answer.read()).endswith(b"data: [DONE]\n\n")

    assert server.api_key == "csk-mine"


def test_an_address_in_use_is_an_error(server: Emulator) -> None:
    with pytest.raises(OSError, match="use"):
        Emulator(port=port_of(server)).start()


def test_it_listens_on_ipv6() -> None:
    with Emulator(host="::1") as server:
        assert server.base_url.startswith("http://[::1]:")
        assert ask(server).status == 200


def test_the_command_line_serves_until_interrupted() -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-m"]
    module = "langchain_cerebras_inference.emulator"
    process = subprocess.Popen(
        [*command, module, "--tokens-per-second", "3000", "--api-key", "a b'$x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        settings = dict(
            shlex.split(line)[1].split("=", 1)
            for line in iter(process.stdout.readline, "Ctrl-C stops it.\n")
            if line.startswith("export ")
        )
        base, key = settings["CEREBRAS_API_BASE"], settings["CEREBRAS_API_KEY"]
        content = json.dumps(request_body()).encode()
        authorization = {"Authorization": f"Bearer {key}"}
        answer = fetch(f"{base}/chat/completions", content, authorization)
        cookie = settings["CEREBRAS_COOKIES"]
        signed_in = fetch(settings["CEREBRAS_SESSION_URL"], headers={"Cookie": cookie})
        process.terminate()
        _, errors = process.communicate(timeout=10)

    assert (answer.status, key) == (200, "a b'$x")
    assert "demoApiKey" in signed_in.json["user"]
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--port", "-1"], "port must be 0 to 65535, not -1."),
        (["--port", "65536"], "port must be 0 to 65535, not 65536."),
        (["--host", "nope.invalid"], "cannot listen on nope.invalid: "),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1: "),
        (["--tokens-per-second", "0"], "positive and finite, not 0.0."),
        (["--tokens-per-second", "-5"], "positive and finite, not -5.0."),
        (["--tokens-per-second", "nan"], "positive and finite, not nan."),
        (["--tokens-per-second", "inf"], "positive and finite, not inf."),
    ],
)
def test_the_command_line_says_in_one_line_what_is_wrong(
    arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    *_usage, said = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert "error: " in said
    assert fault in said


def test_the_command_line_says_that_a_port_is_in_use(
    server: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--port", str(port_of(server))])

    assert "cannot listen on 127.0.0.1: Address already in use" in capsys.readouterr().err
