"""Tests that send requests to Cerebras, for developers with a credential: `make live`."""

import os

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_cerebras_inference import ChatCerebrasInference

pytestmark = pytest.mark.live

# Read at import, because a fixture removes these variables for every test.
API_KEY, COOKIES = os.environ.get("CEREBRAS_API_KEY"), os.environ.get("CEREBRAS_COOKIES")
MODEL = os.environ.get("CEREBRAS_MODEL")


class Capital(BaseModel):
    """A country and its capital."""

    country: str
    city: str


@tool
def square(number: int) -> int:
    """Square a number."""
    return number * number


@pytest.fixture
def live_model() -> ChatCerebrasInference:
    if not (API_KEY or COOKIES):
        pytest.fail("set CEREBRAS_API_KEY or CEREBRAS_COOKIES to run the live tests")
    return ChatCerebrasInference(
        model=MODEL, api_key=API_KEY, cookies=None if API_KEY else COOKIES, max_tokens=2000
    )


def test_invoke_returns_text_and_usage(live_model: ChatCerebrasInference) -> None:
    message = live_model.invoke("Say hello.")

    assert message.text
    assert message.usage_metadata


async def test_astream_yields_chunks_up_to_finish_and_usage(
    live_model: ChatCerebrasInference,
) -> None:
    first, *others = [chunk async for chunk in live_model.astream("Count from one to ten.")]

    message = sum(others, first)
    assert message.text
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.usage_metadata


def test_model_calls_a_tool_and_uses_its_result(live_model: ChatCerebrasInference) -> None:
    bound = live_model.bind_tools([square])
    question = HumanMessage("What is the square of 132413? Use the tool.")

    tool_call = bound.invoke([question])
    result = square.invoke(tool_call.tool_calls[0])
    message = bound.invoke([question, tool_call, result])

    digits = "".join(char for char in message.text if char.isdigit())
    assert isinstance(result, ToolMessage)
    assert "17533202569" in digits


def test_structured_output_follows_the_schema(live_model: ChatCerebrasInference) -> None:
    capital = live_model.with_structured_output(Capital).invoke(
        "What is the capital of France?"
    )

    assert capital == Capital(country="France", city="Paris")


def test_list_models_returns_ids(live_model: ChatCerebrasInference) -> None:
    assert [model.id for model in live_model.list_models()]
