from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_cerebras_inference import (
    CerebrasAuthenticationError,
    CerebrasBillingError,
    CerebrasConnectionError,
    CerebrasContextOverflowError,
    CerebrasError,
    CerebrasInvalidRequestError,
    CerebrasModelNotFoundError,
    CerebrasPermissionDeniedError,
    CerebrasProtocolError,
    CerebrasRateLimitError,
    CerebrasServerError,
    CerebrasTimeoutError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import (
    Act,
    Cut,
    Emulator,
    ErrorEvent,
    Garble,
    Redirect,
    Refuse,
    Reply,
    Stall,
    ToolCall,
)
from tests.integration.styles import STYLES, Style

QWEN = {"model": "qwen-3.8-27b"}
MAGIC = {
    "name": "magic",
    "description": "Does magic.",
    "parameters": {"type": "object", "properties": {"input": {"type": "integer"}}},
}
TRICK = {**MAGIC, "name": "trick"}
JOKE = {
    "title": "joke",
    "type": "object",
    "properties": {"setup": {"type": "string"}},
    "required": ["setup"],
}
IN_JSON_SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "joke", "schema": JOKE},
}
OTHERS = [style for style in STYLES if style != "invoke"]


@dataclass(frozen=True)
class Scenario:
    """What is asked for, what the server does, what `invoke` must make of it."""

    act: Act = field(default_factory=Reply)
    question: str = "Hello!"
    fields: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Mapping[str, Any], ...] = ()
    expected: Mapping[str, Any] = field(default_factory=dict)


ANSWERS = {
    "text with reasoning": Scenario(
        Reply(reasoning="Let me see.", content="Hello, you."),
        expected={
            "text": "Hello, you.",
            "blocks": [
                {"type": "reasoning", "reasoning": "Let me see."},
                {"type": "text", "text": "Hello, you."},
            ],
        },
    ),
    "text alone": Scenario(
        Reply(content="Hello, you."),
        expected={"text": "Hello, you.", "reasoning": None},
    ),
    "long text": Scenario(
        question="Write 300 words.",
        expected={"text": " ".join(f"word{n}" for n in range(1, 301))},
    ),
    "text beyond ASCII": Scenario(
        Reply(content="né 日本\u2028語 🦙", reasoning="à\u0085"),
        expected={"text": "né 日本\u2028語 🦙", "reasoning": "à\u0085"},
    ),
    "hidden reasoning": Scenario(
        fields={"reasoning_format": "hidden"}, expected={"reasoning": None}
    ),
    "tool call": Scenario(
        question="Call magic with 3.",
        tools=(MAGIC,),
        expected={"calls": [("magic", {"input": 3})], "text": ""},
    ),
    "tool call without arguments": Scenario(
        Reply(tool_calls=[ToolCall("magic", "")]),
        tools=(MAGIC,),
        expected={"calls": [("magic", {})], "invalid": []},
    ),
    "text before a tool call": Scenario(
        Reply(content="I will.", reasoning="So.", tool_calls=[ToolCall("magic")]),
        tools=(MAGIC,),
        expected={"calls": [("magic", {})], "text": "I will.", "reasoning": "So."},
    ),
    "two tool calls at once": Scenario(
        question="Call magic with 3 and trick with 4.",
        fields=QWEN,
        tools=(MAGIC, TRICK),
        expected={"calls": [("magic", {"input": 3}), ("trick", {"input": 3})]},
    ),
    "two calls of one tool": Scenario(
        Reply(
            tool_calls=[
                ToolCall("magic", {"input": 1}, id="a"),
                ToolCall("magic", {"input": 2}, id="b"),
            ]
        ),
        tools=(MAGIC,),
        expected={"calls": [("magic", {"input": 1}), ("magic", {"input": 2})]},
    ),
    "tool arguments cut": Scenario(
        Reply(
            tool_calls=[ToolCall("magic", '{"input": 1, "more": "hal', id="a")],
            finish_reason="length",
        ),
        tools=(MAGIC,),
        expected={"calls": [], "invalid": [("magic", "a")]},
    ),
    "tool arguments cut before the first": Scenario(
        Reply(tool_calls=[ToolCall("magic", "", id="a")], finish_reason="length"),
        tools=(MAGIC,),
        expected={"calls": [], "invalid": [("magic", "a")]},
    ),
    "one whole call and one cut": Scenario(
        Reply(
            tool_calls=[
                ToolCall("magic", {"input": 1}, id="a"),
                ToolCall("trick", '{"input": [1, ', id="b"),
            ],
            finish_reason="length",
        ),
        tools=(MAGIC, TRICK),
        expected={"calls": [("magic", {"input": 1})], "invalid": [("trick", "b")]},
    ),
    "structured output": Scenario(
        fields={"response_format": IN_JSON_SCHEMA},
        expected={"text": '{"setup": "an example setup"}'},
    ),
    "nothing but reasoning, cut": Scenario(
        fields={"max_tokens": 3},
        expected={"text": "", "reasoning": "The user says:", "calls": []},
    ),
    "nothing at all": Scenario(
        question="Stop at The, please.",
        fields={"stop": ["The"]},
        expected={"text": "", "reasoning": None, "blocks": []},
    ),
    "stop": Scenario(fields={"stop": ["said"], **QWEN}, expected={"text": "You "}),
    "log probabilities": Scenario(fields={"logprobs": True, "top_logprobs": 2}),
    "log probabilities of reasoning": Scenario(
        fields={"logprobs": True, "reasoning_format": "parsed"}
    ),
    "no usage": Scenario(Reply(content="Hello.", usage={}), expected={"usage": None}),
    "cached tokens": Scenario(
        Reply(
            content="Hello.",
            usage={
                "prompt_tokens": 200,
                "completion_tokens": 10,
                "total_tokens": 210,
                "prompt_tokens_details": {"cached_tokens": 128},
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
        ),
        expected={
            "usage": {
                "input_tokens": 200,
                "output_tokens": 10,
                "total_tokens": 210,
                "input_token_details": {"cache_read": 128},
                "output_token_details": {"reasoning": 7},
            }
        },
    ),
    "content filter": Scenario(Reply(content="He", finish_reason="content_filter")),
}


def seen(message: AIMessage) -> dict[str, Any]:
    """All of a message that must not depend on the style, nor on the time."""
    metadata = dict(message.response_metadata)
    del metadata["id"]
    metadata["time_info"] = metadata["time_info"] | {"created": None}
    return {
        "text": message.text,
        "content": message.content,
        "reasoning": message.additional_kwargs.get("reasoning_content"),
        "blocks": [
            {"type": block["type"]} | ({"id": block["id"], "name": block["name"]})
            if block["type"] == "invalid_tool_call"
            else dict(block)
            for block in message.content_blocks
        ],
        "calls": [(call["name"], call["args"]) for call in message.tool_calls],
        "call ids": [call["id"] for call in message.tool_calls],
        "invalid": [(call["name"], call["id"]) for call in message.invalid_tool_calls],
        "usage": message.usage_metadata,
        "metadata": metadata,
    }


def answer_to(scenario: Scenario, style: Style) -> dict[str, Any]:
    with Emulator() as server:
        server.script(scenario.act)
        model = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)
        bound = model.bind(**scenario.fields, tools=list(scenario.tools))
        return seen(style(bound, scenario.question))


@pytest.mark.parametrize("name", ANSWERS)
def test_invoke_gives_what_the_server_said(name: str) -> None:
    scenario = ANSWERS[name]

    answer = answer_to(scenario, STYLES["invoke"])

    assert {key: answer[key] for key in scenario.expected} == scenario.expected


@pytest.mark.parametrize("style", OTHERS)
@pytest.mark.parametrize("name", ANSWERS)
def test_every_style_gives_the_same_answer(name: str, style: str) -> None:
    scenario = ANSWERS[name]

    answer = answer_to(scenario, STYLES[style])

    assert answer == answer_to(scenario, STYLES["invoke"])


OVERFLOW = "context_length_exceeded"

ERRORS: Mapping[str, tuple[Act, type[CerebrasError], int | None, str | None, bool]] = {
    "400": (
        Refuse(400),
        CerebrasInvalidRequestError,
        400,
        "wrong_api_format",
        False,
    ),
    "400 overflow": (
        Refuse(400, OVERFLOW),
        CerebrasContextOverflowError,
        400,
        OVERFLOW,
        False,
    ),
    "401": (Refuse(401), CerebrasAuthenticationError, 401, "wrong_api_key", False),
    "402": (Refuse(402), CerebrasBillingError, 402, "payment_required", False),
    "403": (Refuse(403), CerebrasPermissionDeniedError, 403, "forbidden", False),
    "404": (Refuse(404), CerebrasModelNotFoundError, 404, "model_not_found", False),
    "405": (
        Refuse(405, body=b""),
        CerebrasInvalidRequestError,
        405,
        None,
        False,
    ),
    "408": (Refuse(408), CerebrasTimeoutError, 408, "request_timeout", True),
    "409": (Refuse(409), CerebrasServerError, 409, "bad_request", True),
    "413": (
        Refuse(413),
        CerebrasInvalidRequestError,
        413,
        "request_too_large",
        False,
    ),
    "413 overflow": (
        Refuse(413, OVERFLOW),
        CerebrasContextOverflowError,
        413,
        OVERFLOW,
        False,
    ),
    "422": (
        Refuse(422),
        CerebrasInvalidRequestError,
        422,
        "wrong_api_format",
        False,
    ),
    "429": (
        Refuse(429),
        CerebrasRateLimitError,
        429,
        "request_quota_exceeded",
        True,
    ),
    "500": (Refuse(500), CerebrasServerError, 500, "internal_error", True),
    "502 in HTML": (
        Refuse(502, body="<html>Bad gateway</html>"),
        CerebrasServerError,
        502,
        None,
        True,
    ),
    "503": (Refuse(503), CerebrasServerError, 503, "internal_error", True),
    "504": (Refuse(504), CerebrasServerError, 504, "internal_error", True),
    "529": (Refuse(529), CerebrasServerError, 529, "internal_error", True),
    "a redirect": (
        Redirect("https://example.com/"),
        CerebrasProtocolError,
        307,
        None,
        False,
    ),
    "HTML with 200": (Garble("html"), CerebrasProtocolError, 200, None, True),
    "a reset before headers": (
        Cut(after=None, how="reset"),
        CerebrasConnectionError,
        None,
        None,
        True,
    ),
    "no answer in time": (
        Stall(after=None),
        CerebrasTimeoutError,
        None,
        None,
        True,
    ),
    "an enveloped error": (
        ErrorEvent(after=1, status=429),
        CerebrasRateLimitError,
        429,
        "request_quota_exceeded",
        True,
    ),
    "a flat error": (
        ErrorEvent(after=1, status=400, code="tool_use_failed", shape="flat"),
        CerebrasInvalidRequestError,
        400,
        "tool_use_failed",
        False,
    ),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ERRORS)
def test_every_style_raises_the_same_error(name: str, style: str, server: Emulator) -> None:
    act, kind, status, code, is_retryable = ERRORS[name]
    server.script(act)
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=0.3
    )

    with pytest.raises(CerebrasError) as caught:
        STYLES[style](model, "Hello!")

    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code) == (status, code)
    assert error.is_retryable is is_retryable
    assert len(server.requests) == 1


@pytest.mark.parametrize("style", STYLES)
def test_every_style_says_which_request_failed(style: str, server: Emulator) -> None:
    server.script(Refuse(500, headers={"x-request-id": "abc", "Retry-After": "7"}))
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, max_retries=0
    )

    with pytest.raises(CerebrasServerError) as caught:
        STYLES[style](model, "Hello!")

    assert caught.value.request_id == "abc"
    assert caught.value.retry_after == 7
    assert caught.value.body["message"] == "Something went wrong."


@pytest.mark.parametrize("style", STYLES)
def test_every_style_sends_the_same_body(style: str, server: Emulator) -> None:
    model = ChatCerebrasInference(
        base_url=server.base_url,
        api_key=server.api_key,
        temperature=0,
        max_tokens=100,
        stop=["\n"],
        seed=7,
    )

    STYLES[style](model.bind(top_p=0.5, extra_body={"user": "me"}), "Hello!")

    body = server.requests[0].body
    assert body.pop("stream", None) in (None, True)
    assert body == {
        "model": "gpt-oss-120b",
        "messages": [{"role": "user", "content": "Hello!"}],
        "max_completion_tokens": 100,
        "temperature": 0,
        "top_p": 0.5,
        "stop": ["\n"],
        "seed": 7,
        "user": "me",
    }


@pytest.mark.parametrize("style", STYLES)
def test_output_of_version_1_is_a_list_of_blocks_in_every_style(
    style: str, server: Emulator
) -> None:
    server.script(Reply(reasoning="So.", content="I will.", tool_calls=[ToolCall("magic")]))
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, output_version="v1"
    )

    answer = STYLES[style](model.bind_tools([MAGIC]), "Hello!")

    kinds = [block["type"] for block in answer.content]
    assert kinds == ["reasoning", "text", "tool_call"]
    assert answer.content == answer.content_blocks
    assert answer.text == "I will."
    assert [call["name"] for call in answer.tool_calls] == ["magic"]


@pytest.mark.parametrize("style", STYLES)
def test_an_answer_goes_back_to_the_server_as_it_came(
    style: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(reasoning="So.", tool_calls=[ToolCall("magic", id="a")]))
    answer = STYLES[style](model.bind_tools([MAGIC]), "Hello!")

    model.bind_tools([MAGIC]).invoke(
        ["Hello!", answer, {"role": "tool", "tool_call_id": "a", "content": "done"}]
    )

    sent = server.requests[1].body["messages"][1]
    assert sent == {
        "role": "assistant",
        "reasoning": "So.",
        "tool_calls": [
            {
                "id": "a",
                "type": "function",
                "function": {"name": "magic", "arguments": "{}"},
            }
        ],
    }
