"""Token estimates."""

from typing import Any

import pytest

from langchain_cerebras_inference._conversion.token_estimate import (
    IMAGE_TOKENS,
    estimate_message_tokens,
    estimate_tokens,
)

USER = {"role": "user", "content": "How tall is the old lighthouse?"}
CALL = {
    "role": "assistant",
    "tool_calls": [
        {
            "id": "a1b2c3d4e",
            "type": "function",
            "function": {"name": "measure", "arguments": '{"what":"lighthouse"}'},
        }
    ],
}
RESULT = {"role": "tool", "tool_call_id": "a1b2c3d4e", "content": "41 metres"}
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
def test_a_text_is_estimated_by_its_pieces(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_english_prose_is_four_to_five_characters_a_token() -> None:
    prose = "The keeper climbed the stairs every evening and lit the lamp. " * 20

    assert 4 <= len(prose) / estimate_tokens(prose) <= 5.5


@pytest.mark.parametrize(
    ("text", "recorded"), [("Test message", 69), ("What is the capital of France?", 74)]
)
def test_an_estimate_for_gpt_oss_is_near_what_was_recorded(text: str, recorded: int) -> None:
    """Usage in the public recordings of dcdpr/jp and pydantic/pydantic-ai."""
    estimated = estimate({"role": "user", "content": text})

    assert estimated == pytest.approx(recorded, rel=0.2)


def test_the_harmony_preamble_is_paid_once() -> None:
    assert estimate(USER) == 63 + 4 + 7
    assert estimate(USER, USER) - estimate(USER) == 4 + 7


def test_a_call_and_its_result_count_on_gpt_oss() -> None:
    assert 25 <= estimate(USER, CALL, RESULT) - estimate(USER) <= 45


def test_earlier_reasoning_does_not_count_on_gpt_oss() -> None:
    answer = {"role": "assistant", "content": "41 metres."}

    assert estimate(answer | {"reasoning": "long " * 90}) == estimate(answer)


def test_all_that_is_sent_counts_on_other_models() -> None:
    answer = {"role": "assistant", "content": "41 metres."}
    thoughtful = answer | {"reasoning": "long " * 90}

    more = estimate(thoughtful, model="other") - estimate(answer, model="other")

    assert more >= 90


def test_another_model_is_estimated_higher() -> None:
    conversation = [{"role": "user", "content": "Tell me more of it. " * 50}]
    tools = [TOOL]

    own = estimate_message_tokens(conversation, tools, model="gpt-oss-120b")
    other = estimate_message_tokens(conversation, tools, model="other")

    assert other > own


@pytest.mark.parametrize("model", ["gpt-oss-120b", "my-gpt-oss", "other"])
def test_tools_count(model: str) -> None:
    without = estimate(USER, model=model)
    one = estimate_message_tokens([USER], [TOOL], model=model)
    two = estimate_message_tokens([USER], [TOOL, TOOL], model=model)

    assert without < one < two
    assert estimate_message_tokens([USER], [], model=model) == without


@pytest.mark.parametrize("model", ["gpt-oss-120b", "other"])
def test_text_parts_count_like_a_string(model: str) -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": USER["content"]}]}

    assert estimate(parts, model=model) == estimate(USER, model=model)


@pytest.mark.parametrize("model", ["gpt-oss-120b", "other"])
def test_an_image_counts_what_it_can_cost_however_long_its_url(model: str) -> None:
    url = {"url": "data:image/png;base64," + "A" * 100_000}
    image = {"role": "user", "content": [{"type": "image_url", "image_url": url}]}

    assert IMAGE_TOKENS <= estimate(image, model=model) < 2 * IMAGE_TOKENS


@pytest.mark.parametrize("content", [None, "", []])
@pytest.mark.parametrize("model", ["gpt-oss-120b", "other"])
def test_a_message_without_content_costs_its_frame(content: Any, model: str) -> None:
    empty = {"role": "assistant", "content": content}

    assert estimate(empty, model=model) == estimate({"role": "assistant"}, model=model)
