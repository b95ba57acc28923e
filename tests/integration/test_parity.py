from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Act, Emulator, Reply, ToolCall
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
        expected={
            "text": '{"setup": "an example setup"}',
            "reasoning": 'The user says: "Hello!". Everything needed stands in the request.',
        },
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
