"""Structured output: every method with every kind of schema, whole and streamed."""

import asyncio
import operator
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, Literal, NotRequired, TypeAlias

import pydantic.v1
import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply, ToolCall
from tests.integration.call_styles import collect

Chain: TypeAlias = Runnable[Any, Any]
Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]

QUESTION = "Tell a joke in JSON, as 'setup' and 'punchline'."


class Joke(BaseModel):
    """A joke."""

    setup: str = Field(description="How it begins.")
    punchline: str


class OlderJoke(pydantic.v1.BaseModel):
    """A joke."""

    setup: str
    punchline: str


class TypedJoke(TypedDict):
    """A joke."""

    setup: str
    punchline: str


class LongerJoke(TypedJoke):
    """A joke."""

    source: NotRequired[str]


KINDS: dict[str, Any] = {
    "pydantic": Joke,
    "pydantic 1": OlderJoke,
    "TypedDict": TypedJoke,
    "JSON schema": Joke.model_json_schema(),
    "tool": {"name": "joke", "description": "A joke.", "parameters": Joke.model_json_schema()},
    "response format": {
        "type": "json_schema",
        "json_schema": {"name": "joke", "schema": Joke.model_json_schema()},
    },
    "TypedDict with a key that may be missing": LongerJoke,
}
METHODS: list[Method] = ["json_schema", "function_calling", "json_mode"]


def invoke(chain: Chain) -> Any:
    return chain.invoke(QUESTION)


def ainvoke(chain: Chain) -> Any:
    return asyncio.run(chain.ainvoke(QUESTION))


def stream(chain: Chain) -> Any:
    return last_of(list(chain.stream(QUESTION)))


def astream(chain: Chain) -> Any:
    return last_of(asyncio.run(collect(chain.astream(QUESTION))))


def last_of(pieces: list[Any]) -> Any:
    """What a stream comes to: its last piece, or the sum of its parts."""
    is_raw = isinstance(pieces[0], dict) and "raw" in pieces[0]
    return reduce(operator.add, pieces) if is_raw else pieces[-1]


styles = pytest.mark.parametrize("style", [invoke, ainvoke, stream, astream])
methods = pytest.mark.parametrize("method", METHODS)
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as server:
        yield server


@pytest.fixture
def server(running: Emulator) -> Emulator:
    """One for all of this module, forgetful between tests."""
    running.reset()
    return running


def is_the_joke(answer: Any, schema: Any) -> bool:
    if schema in (Joke, OlderJoke):
        return type(answer) is schema and bool(answer.setup and answer.punchline)
    return isinstance(answer, dict) and answer.keys() - {"source"} == {"setup", "punchline"}


@styles
@methods
@kinds
def test_an_object_of_any_kind_comes_by_any_method(
    kind: str, method: Method, style: Callable[[Chain], Any], model: ChatCerebrasInference
) -> None:
    schema = KINDS[kind]

    assert is_the_joke(style(model.with_structured_output(schema, method=method)), schema)

    whole = style(model.with_structured_output(schema, method=method, include_raw=True))
    assert is_the_joke(whole["parsed"], schema)
    assert whole["parsing_error"] is None
    assert isinstance(whole["raw"], AIMessage)


UNFIT = {
    "text": Reply(content="No."),
    "nothing": Reply(content=""),
    "null": Reply(content="null"),
    "half": Reply(content='{"setup": "Why', finish_reason="length"),
    "most": Reply(content='{"setup": "Why", "punchline": "B', finish_reason="length"),
    "another tool": Reply(tool_calls=[ToolCall("other", {"setup": "a", "punchline": "b"})]),
    "half a call": Reply(
        tool_calls=[ToolCall("Joke", '{"setup": "Why')], finish_reason="length"
    ),
    "too little": Reply(content='{"setup": "Why?"}', tool_calls=[ToolCall("Joke", "{}")]),
}


@styles
@methods
@pytest.mark.parametrize("kind", ["pydantic", "JSON schema"])
@pytest.mark.parametrize("unfit", UNFIT)
def test_what_does_not_fit_is_an_error_and_never_nothing(
    unfit: str,
    kind: str,
    method: Method,
    style: Callable[[Chain], Any],
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    server.script(UNFIT[unfit], UNFIT[unfit])

    with pytest.raises(OutputParserException):
        style(model.with_structured_output(KINDS[kind], method=method))

    whole = style(model.with_structured_output(KINDS[kind], method=method, include_raw=True))
    assert whole["parsed"] is None
    assert isinstance(whole["parsing_error"], OutputParserException)
    assert isinstance(whole["raw"], AIMessage)


@methods
def test_an_object_grows_while_it_arrives(method: Method, server: Emulator) -> None:
    said = '{"setup": "Why did the llama cross the road?", "punchline": "Tokens."}'
    server.script(Reply(content=said, tool_calls=[ToolCall("TypedJoke", said)], pace=0.05))
    model = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)

    pieces = list(model.with_structured_output(TypedJoke, method=method).stream(QUESTION))

    lengths = [len(str(piece)) for piece in pieces]
    assert len(pieces) > 1
    assert lengths == sorted(lengths)
    assert pieces[-1] == {
        "setup": "Why did the llama cross the road?",
        "punchline": "Tokens.",
    }


# --- agents ------------------------------------------------------------------------------


def get_joke(about: str) -> str:
    """Find a joke about something."""
    return f"A joke about {about}."


async def arun(agent: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await agent.ainvoke({"messages": [("user", QUESTION)]})
    return answer


@pytest.mark.parametrize("bound", [[], [get_joke]])
@pytest.mark.parametrize("wanted", [Joke, ToolStrategy(Joke), KINDS["JSON schema"]])
def test_an_agent_answers_with_an_object_with_and_without_tools(
    bound: list[Any], wanted: Any, model: ChatCerebrasInference, server: Emulator
) -> None:
    agent: Any = create_agent(model, bound, response_format=wanted)

    answers = [agent.invoke({"messages": [("user", QUESTION)]}), asyncio.run(arun(agent))]

    schema = KINDS["JSON schema"] if isinstance(wanted, dict) else Joke
    assert all(is_the_joke(answer["structured_response"], schema) for answer in answers)
    assert not any("response_format" in request.body for request in server.requests)


def test_an_agent_without_tools_may_have_the_server_hold_to_the_schema(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    agent: Any = create_agent(model, [], response_format=ProviderStrategy(Joke))

    answer = agent.invoke({"messages": [("user", QUESTION)]})

    assert isinstance(answer["structured_response"], Joke)
    [request] = server.requests
    assert request.body["response_format"]["json_schema"]["strict"] is True


def test_an_agent_with_tools_that_wants_both_is_told_what_to_use(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    agent: Any = create_agent(model, [get_joke], response_format=ProviderStrategy(Joke))

    with pytest.raises(ValueError, match=r"use\s+ToolStrategy"):
        agent.invoke({"messages": [("user", QUESTION)]})

    assert not server.requests
