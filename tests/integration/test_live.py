"""Cerebras itself, for whoever has a credential: `make live`."""

import os

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_cerebras_inference import ChatCerebrasInference

pytestmark = pytest.mark.live

# Read before the fixture that clears them for every test.
_KEY, _COOKIES = os.environ.get("CEREBRAS_API_KEY"), os.environ.get("CEREBRAS_COOKIES")
_MODEL = os.environ.get("CEREBRAS_MODEL")


class Capital(BaseModel):
    """A country and its capital."""

    country: str
    city: str


@tool
def square(number: int) -> int:
    """Square a number."""
    return number * number


@pytest.fixture
def live() -> ChatCerebrasInference:
    if not (_KEY or _COOKIES):
        pytest.fail("set CEREBRAS_API_KEY or CEREBRAS_COOKIES to talk to Cerebras")
    return ChatCerebrasInference(
        model=_MODEL, api_key=_KEY, cookies=None if _KEY else _COOKIES, max_tokens=2000
    )


def test_an_answer_comes_whole(live: ChatCerebrasInference) -> None:
    answer = live.invoke("Say hello.")

    assert answer.text
    assert answer.usage_metadata


async def test_a_stream_adds_up(live: ChatCerebrasInference) -> None:
    whole: AIMessageChunk | None = None
    async for chunk in live.astream("Count from one to ten."):
        whole = chunk if whole is None else whole + chunk

    assert whole is not None
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata


def test_a_tool_is_called_and_its_result_read(live: ChatCerebrasInference) -> None:
    bound = live.bind_tools([square])
    question = HumanMessage("What is the square of 132413? Use the tool.")

    called = bound.invoke([question])
    result = square.invoke(called.tool_calls[0])
    answer = bound.invoke([question, called, result])

    assert isinstance(result, ToolMessage)
    assert "17533202569" in "".join(char for char in answer.text if char.isdigit())


def test_a_schema_is_kept(live: ChatCerebrasInference) -> None:
    answer = live.with_structured_output(Capital).invoke("What is the capital of France?")

    assert answer == Capital(country="France", city="Paris")


def test_the_models_are_listed(live: ChatCerebrasInference) -> None:
    assert [model.id for model in live.list_models()]
