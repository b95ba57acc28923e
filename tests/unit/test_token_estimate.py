"""Estimates of prompt tokens."""

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._conversion.token_estimate import (
    IMAGE_TOKENS,
    estimate_message_tokens,
    estimate_tokens,
)

USER_MESSAGE = {"role": "user", "content": "How tall is the old lighthouse?"}
CALL_MESSAGE = {
    "role": "assistant",
    "tool_calls": [
        {
            "id": "a1b2c3d4e",
            "type": "function",
            "function": {"name": "measure", "arguments": '{"what":"lighthouse"}'},
        }
    ],
}
TOOL_MESSAGE = {"role": "tool", "tool_call_id": "a1b2c3d4e", "content": "41 metres"}
TOOL = {
    "type": "function",
    "function": {
        "name": "measure",
        "description": "Measure a building",
        "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
    },
}


def estimate(*messages: dict[str, Any], model: str = "gpt-oss-120b") -> int:
    return estimate_message_tokens(messages, model=model)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("lighthouse", 1),
        ("How tall is the old lighthouse?", 7),
        ("12345", 2),
        ("\n\n", 1),
        ("灯台", 2),
    ],
)
def test_tokens_of_a_text_are_estimated(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_english_prose_has_four_to_five_characters_per_token() -> None:
    prose = "The keeper climbed the stairs every evening and lit the lamp. " * 20

    assert 4 <= len(prose) / estimate_tokens(prose) <= 5.5


@pytest.mark.parametrize(
    ("text", "recorded"), [("Test message", 69), ("What is the capital of France?", 74)]
)
def test_estimate_for_gpt_oss_is_near_the_recorded_usage(text: str, recorded: int) -> None:
    """Usage in the public recordings of dcdpr/jp and pydantic/pydantic-ai."""
    estimated = estimate({"role": "user", "content": text})

    assert estimated == pytest.approx(recorded, rel=0.2)


def test_harmony_preamble_is_counted_once() -> None:
    assert estimate(USER_MESSAGE) == 63 + 4 + 7
    assert estimate(USER_MESSAGE, USER_MESSAGE) - estimate(USER_MESSAGE) == 4 + 7


def test_tool_call_and_its_result_are_counted_for_gpt_oss() -> None:
    assert (
        25 <= estimate(USER_MESSAGE, CALL_MESSAGE, TOOL_MESSAGE) - estimate(USER_MESSAGE) <= 45
    )


def test_earlier_reasoning_is_not_counted_for_gpt_oss() -> None:
    answer = {"role": "assistant", "content": "41 metres."}

    assert estimate(answer | {"reasoning": "long " * 90}) == estimate(answer)


def test_earlier_reasoning_is_counted_for_other_models() -> None:
    answer = {"role": "assistant", "content": "41 metres."}
    with_reasoning = answer | {"reasoning": "long " * 90}

    more = estimate(with_reasoning, model="other") - estimate(answer, model="other")

    assert more >= 90


def test_estimate_for_other_models_is_higher() -> None:
    conversation = [{"role": "user", "content": "Tell me more of it. " * 50}]
    tools = [TOOL]

    own = estimate_message_tokens(conversation, tools, model="gpt-oss-120b")
    other = estimate_message_tokens(conversation, tools, model="other")

    assert other > own


@pytest.mark.parametrize("model", ["gpt-oss-120b", "my-gpt-oss", "other"])
def test_tools_are_counted(model: str) -> None:
    without = estimate(USER_MESSAGE, model=model)
    one = estimate_message_tokens([USER_MESSAGE], [TOOL], model=model)
    two = estimate_message_tokens([USER_MESSAGE], [TOOL, TOOL], model=model)

    assert without < one < two
    assert estimate_message_tokens([USER_MESSAGE], [], model=model) == without


@pytest.mark.parametrize("model", ["gpt-oss-120b", "other"])
def test_text_parts_are_counted_like_a_string(model: str) -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": USER_MESSAGE["content"]}]}

    assert estimate(parts, model=model) == estimate(USER_MESSAGE, model=model)


@pytest.mark.parametrize("model", ["gpt-oss-120b", "other"])
def test_image_is_counted_by_its_maximum_and_not_by_its_data(model: str) -> None:
    url = {"url": "data:image/png;base64," + "A" * 100_000}
    image = {"role": "user", "content": [{"type": "image_url", "image_url": url}]}

    assert IMAGE_TOKENS <= estimate(image, model=model) < 2 * IMAGE_TOKENS


@pytest.mark.parametrize("content", [None, "", []])
@pytest.mark.parametrize("model", ["gpt-oss-120b", "other"])
def test_message_without_content_is_counted(content: Any, model: str) -> None:
    empty = {"role": "assistant", "content": content}

    assert estimate(empty, model=model) == estimate({"role": "assistant"}, model=model)


# --- messages of LangChain ---------------------------------------------------------------

PDF = {"type": "file", "base64": "JVBERi0xLjc=", "mime_type": "application/pdf"}
AUDIO = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
IMAGE = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage([PDF]),
        HumanMessage([AUDIO, "Listen."]),
        HumanMessage([{"type": "image", "url": "https://example.com/a.png"}]),
        HumanMessage([{"type": "image", "base64": "no base64", "mime_type": "image/png"}]),
        HumanMessage([{"type": "file", "source_type": "text", "text": "Ahoy"}]),
        HumanMessage([{"type": "tool_result", "tool_use_id": "a", "content": [PDF]}]),
        SystemMessage([IMAGE]),
        AIMessage([IMAGE, {"type": "server_tool_use", "name": "f"}]),
        AIMessage("", tool_calls=[{"name": "f", "args": {"x": object()}, "id": "a"}]),
        AIMessage("", tool_calls=[{"name": "f", "args": {"x": "\ud83d"}, "id": "a"}]),
        ToolMessage([IMAGE, PDF, {"a": b"x"}], tool_call_id="a"),
        ToolMessage([{"type": "x", "text": "\ud83d"}], tool_call_id="a"),
        ToolMessage([{"type": "x", "size": 10**5000}], tool_call_id="a"),
        AIMessage.model_construct(content=[{"type": ["a"], "text": "Ahoy"}], type="ai"),
        ChatMessage(content="Ahoy", role="pirate"),
        ChatMessage(content=[PDF], role="tool"),
        FunctionMessage(content="12", name="f"),
        HumanMessage.model_construct(content=None, type="human"),
        HumanMessage.model_construct(content=[5, None, ["Ahoy"]], type="human"),
    ],
)
@pytest.mark.parametrize("model_name", ["gpt-oss-120b", "qwen-3.8-27b", "my-own"])
def test_tokens_of_content_that_cannot_be_sent_are_counted(
    message: BaseMessage, model_name: str
) -> None:
    model = ChatCerebrasInference(model=model_name, api_key="test")

    trimmed = trim_messages(
        [*[message] * 50, HumanMessage("So?")],
        max_tokens=150,
        token_counter=model,
        strategy="last",
    )

    assert model.get_num_tokens_from_messages([message]) >= 50
    assert trimmed[-1] == HumanMessage("So?")
    assert len(trimmed) < 51


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage([{**PDF, "base64": "JVBERi0x" * 10_000}]),
        ToolMessage([{**PDF, "base64": "JVBERi0x" * 10_000}], tool_call_id="a"),
        ToolMessage([{"type": "x", "pages": [b"x" * 80_000]}], tool_call_id="a"),
        AIMessage([{"type": "x", "data": f"data:image/png;base64,{'iVBORw0K' * 10_000}"}]),
    ],
)
def test_data_of_a_file_is_not_counted(message: BaseMessage) -> None:
    model = ChatCerebrasInference(model="qwen-3.8-27b", api_key="test")

    assert model.get_num_tokens_from_messages([message]) < 200


def test_image_of_a_tool_is_counted_for_a_model_that_accepts_images() -> None:
    message = ToolMessage([IMAGE], tool_call_id="a")
    with_vision, without_vision = (
        ChatCerebrasInference(model=name, api_key="test").get_num_tokens_from_messages(
            [message]
        )
        for name in ("qwen-3.8-27b", "gpt-oss-120b")
    )

    assert with_vision > IMAGE_TOKENS > without_vision
