"""Every call style sends the same request and returns the same message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Act, Emulator, Reply, ToolCall
from tests.integration.call_styles import CALL_STYLES, CallStyle, every_call_style, invoke
from tests.integration.helpers import create_model

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
JSON_SCHEMA_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "joke", "schema": JOKE},
}


REFUSAL = {"type": "refusal", "refusal": "", "extras": {"finish_reason": "content_filter"}}


@dataclass(frozen=True)
class Scenario:
    """A prompt with call options, the server's behavior, and what `invoke` must return.

    `expected` has some of the keys of `get_comparable_parts`.
    """

    behavior: Act = field(default_factory=Reply)
    prompt: str = "Hello!"
    options: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Mapping[str, Any], ...] = ()
    expected: Mapping[str, Any] = field(default_factory=dict)


SCENARIOS = {
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
    "text only": Scenario(
        Reply(content="Hello, you."),
        expected={"text": "Hello, you.", "reasoning": None},
    ),
    "long text": Scenario(
        prompt="Write 300 words.",
        expected={"text": " ".join(f"word{n}" for n in range(1, 301))},
    ),
    "text beyond ASCII": Scenario(
        Reply(content="né 日本\u2028語 🦙", reasoning="à\u0085"),
        expected={"text": "né 日本\u2028語 🦙", "reasoning": "à\u0085"},
    ),
    "hidden reasoning": Scenario(
        options={"reasoning_format": "hidden"}, expected={"reasoning": None}
    ),
    "tool call": Scenario(
        prompt="Call magic with 3.",
        tools=(MAGIC,),
        expected={"calls": [("magic", {"input": 3})], "text": ""},
    ),
    "tool call with empty arguments": Scenario(
        Reply(tool_calls=[ToolCall("magic", "")]),
        tools=(MAGIC,),
        expected={"calls": [("magic", {})], "invalid": []},
    ),
    "tool call with null arguments": Scenario(
        Reply(tool_calls=[ToolCall("magic", "null")]),
        tools=(MAGIC,),
        expected={"calls": [("magic", {})], "invalid": []},
    ),
    "refusal without text": Scenario(
        Reply(content="", finish_reason="content_filter"),
        expected={"text": "", "blocks": [REFUSAL]},
    ),
    "refusal after a part of the text": Scenario(
        Reply(reasoning="Is it allowed?", content="First you", finish_reason="content_filter"),
        expected={
            "text": "First you",
            "blocks": [
                {"type": "reasoning", "reasoning": "Is it allowed?"},
                {"type": "text", "text": "First you"},
                REFUSAL,
            ],
        },
    ),
    "text before a tool call": Scenario(
        Reply(content="I will.", reasoning="So.", tool_calls=[ToolCall("magic")]),
        tools=(MAGIC,),
        expected={"calls": [("magic", {})], "text": "I will.", "reasoning": "So."},
    ),
    "parallel calls of two tools": Scenario(
        prompt="Call magic with 3 and trick with 4.",
        options=QWEN,
        tools=(MAGIC, TRICK),
        expected={"calls": [("magic", {"input": 3}), ("trick", {"input": 3})]},
    ),
    "parallel calls of one tool": Scenario(
        Reply(
            tool_calls=[
                ToolCall("magic", {"input": 1}, id="a"),
                ToolCall("magic", {"input": 2}, id="b"),
            ]
        ),
        tools=(MAGIC,),
        expected={"calls": [("magic", {"input": 1}), ("magic", {"input": 2})]},
    ),
    "truncated tool arguments": Scenario(
        Reply(
            tool_calls=[ToolCall("magic", '{"input": 1, "more": "hal', id="a")],
            finish_reason="length",
        ),
        tools=(MAGIC,),
        expected={"calls": [], "invalid": [("magic", "a")]},
    ),
    "tool arguments truncated before their start": Scenario(
        Reply(tool_calls=[ToolCall("magic", "", id="a")], finish_reason="length"),
        tools=(MAGIC,),
        expected={"calls": [], "invalid": [("magic", "a")]},
    ),
    "tool arguments with control characters": Scenario(
        Reply(tool_calls=[ToolCall("magic", '{"input": 3, "more": "a\n\x00b"}', id="a")]),
        tools=(MAGIC,),
        expected={"calls": [("magic", {"input": 3, "more": "a\n\0b"})], "invalid": []},
    ),
    "truncated tool arguments with control characters": Scenario(
        Reply(tool_calls=[ToolCall("magic", '{"input": 3, "more": "a\nb', id="a")]),
        tools=(MAGIC,),
        expected={"calls": [], "invalid": [("magic", "a")]},
    ),
    "tool arguments in a Markdown fence": Scenario(
        Reply(tool_calls=[ToolCall("magic", 'So:\n```json\n{"input": 3}\n```', id="a")]),
        tools=(MAGIC,),
        expected={"calls": [("magic", {"input": 3})], "invalid": []},
    ),
    "tool arguments in a Markdown fence without end": Scenario(
        Reply(tool_calls=[ToolCall("magic", '```json\n{"input": 3}\n', id="a")]),
        tools=(MAGIC,),
        expected={"calls": [], "invalid": [("magic", "a")]},
    ),
    "halves of characters": Scenario(
        Reply(
            reasoning="a\ud83d",
            content="\ud83d\ude00 b\ude00",
            tool_calls=[ToolCall("magic", '{"input": 3, "more": "\\ud83d\ud83d"}', id="a")],
        ),
        tools=(MAGIC,),
        expected={
            "text": "😀 b\ufffd",
            "reasoning": "a\ufffd",
            "calls": [("magic", {"input": 3, "more": "\ufffd\ufffd"})],
        },
    ),
    "a complete and a truncated tool call": Scenario(
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
        Reply(reasoning="So.", content='{"setup": "Why?"}'),
        options={"response_format": JSON_SCHEMA_FORMAT},
        expected={"text": '{"setup": "Why?"}', "reasoning": "So."},
    ),
    "truncated reasoning": Scenario(
        Reply(reasoning="The user says", finish_reason="length"),
        expected={"text": "", "reasoning": "The user says", "calls": []},
    ),
    "token limit within the reasoning": Scenario(
        options={"max_tokens": 3}, expected={"text": "", "calls": []}
    ),
    "empty completion": Scenario(
        prompt="Stop at The, please.",
        options={"stop": ["The"]},
        expected={"text": "", "reasoning": None, "blocks": []},
    ),
    "stop sequence": Scenario(options={"stop": ["said"], **QWEN}, expected={"text": "You "}),
    "log probabilities": Scenario(options={"logprobs": True, "top_logprobs": 2}),
    "log probabilities of reasoning": Scenario(
        options={"logprobs": True, "reasoning_format": "parsed"}
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


def get_comparable_parts(message: AIMessage) -> dict[str, Any]:
    """The parts of a message that depend neither on the call style nor on the time."""
    metadata = dict(message.response_metadata)
    del metadata["id"]
    metadata["time_info"] = metadata["time_info"] | {"created": None}
    return {
        "text": message.text,
        "content": message.content,
        "reasoning": message.additional_kwargs.get("reasoning_content"),
        "blocks": [
            {key: block.get(key) for key in ("type", "id", "name")}
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


def run_scenario(name: str, call: CallStyle) -> dict[str, Any]:
    scenario = SCENARIOS[name]
    with Emulator() as server:
        server.script(scenario.behavior)
        model = create_model(server).bind(**scenario.options, tools=list(scenario.tools))
        return get_comparable_parts(call(model, scenario.prompt))


@cache
def run_invoke_scenario(name: str) -> dict[str, Any]:
    return run_scenario(name, invoke)


@pytest.mark.parametrize("name", SCENARIOS)
def test_invoke_returns_what_the_server_sent(name: str) -> None:
    message = run_invoke_scenario(name)

    expected = SCENARIOS[name].expected
    assert {key: message[key] for key in expected} == expected


@pytest.mark.parametrize("call", [call for call in CALL_STYLES.values() if call is not invoke])
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_call_style_returns_the_same_message(name: str, call: CallStyle) -> None:
    assert run_scenario(name, call) == run_invoke_scenario(name)


@every_call_style
def test_every_call_style_sends_the_same_request(call: CallStyle, server: Emulator) -> None:
    model = create_model(server, temperature=0, max_tokens=100, stop=["\n"], seed=7)

    call(model.bind(top_p=0.5, extra_body={"user": "me"}), "Hello!")

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


@every_call_style
def test_output_version_v1_returns_content_blocks_in_every_call_style(
    call: CallStyle, server: Emulator
) -> None:
    server.script(Reply(reasoning="So.", content="I will.", tool_calls=[ToolCall("magic")]))
    model = create_model(server, output_version="v1")

    message = call(model.bind_tools([MAGIC]), "Hello!")

    block_types = [block["type"] for block in message.content]
    assert block_types == ["reasoning", "text", "tool_call"]
    assert message.content == message.content_blocks
    assert message.text == "I will."
    assert [tool_call["name"] for tool_call in message.tool_calls] == ["magic"]


@every_call_style
def test_message_of_every_call_style_can_be_sent_back_unchanged(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(reasoning="So.", tool_calls=[ToolCall("magic", id="a")]))
    message = call(model.bind_tools([MAGIC]), "Hello!")

    model.bind_tools([MAGIC]).invoke(
        ["Hello!", message, {"role": "tool", "tool_call_id": "a", "content": "done"}]
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
