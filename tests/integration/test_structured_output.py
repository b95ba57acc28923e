"""Structured output: every method with every kind of schema, in every call style."""

import asyncio
import operator
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, Literal, NotRequired, TypeAlias

import pydantic.v1
import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply, ToolCall
from tests.integration.call_styles import collect

Chain: TypeAlias = Runnable[Any, Any]

# Before version 1.7.5, langchain-core had no error class for a refusal.
ModelRefusalError: Any = getattr(exceptions, "ModelRefusalError", OutputParserException)
Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]

QUESTION = "Tell a joke in JSON, as 'setup' and 'punchline'."


class Joke(BaseModel):
    """A joke."""

    setup: str = Field(description="How it begins.")
    punchline: str


class OldJoke(pydantic.v1.BaseModel):
    """A joke."""

    setup: str
    punchline: str


class TypedJoke(TypedDict):
    """A joke."""

    setup: str
    punchline: str


class JokeWithSource(TypedJoke):
    """A joke."""

    source: NotRequired[str]


SCHEMAS: dict[str, Any] = {
    "pydantic": Joke,
    "pydantic 1": OldJoke,
    "TypedDict": TypedJoke,
    "JSON schema": Joke.model_json_schema(),
    "tool": {"name": "joke", "description": "A joke.", "parameters": Joke.model_json_schema()},
    "response format": {
        "type": "json_schema",
        "json_schema": {"name": "joke", "schema": Joke.model_json_schema()},
    },
    "TypedDict with an optional key": JokeWithSource,
}
METHODS: list[Method] = ["json_schema", "function_calling", "json_mode"]


def invoke(chain: Chain) -> Any:
    return chain.invoke(QUESTION)


def ainvoke(chain: Chain) -> Any:
    return asyncio.run(chain.ainvoke(QUESTION))


def stream(chain: Chain) -> Any:
    return combine(list(chain.stream(QUESTION)))


def astream(chain: Chain) -> Any:
    return combine(asyncio.run(collect(chain.astream(QUESTION))))


def combine(outputs: list[Any]) -> Any:
    """Return the last output of a stream, or the sum of its dicts with raw chunks."""
    has_raw = isinstance(outputs[0], dict) and "raw" in outputs[0]
    return reduce(operator.add, outputs) if has_raw else outputs[-1]


every_call_style = pytest.mark.parametrize("call", [invoke, ainvoke, stream, astream])
every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as server:
        yield server


@pytest.fixture
def server(running: Emulator) -> Emulator:
    """One emulator for all tests of this module, reset between them."""
    running.reset()
    return running


def is_joke(result: Any, schema: Any) -> bool:
    if schema in (Joke, OldJoke):
        return type(result) is schema and bool(result.setup and result.punchline)
    return isinstance(result, dict) and result.keys() - {"source"} == {"setup", "punchline"}


@every_call_style
@every_method
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS.keys())
def test_every_method_returns_an_object_of_every_kind_of_schema(
    schema: Any, method: Method, call: Callable[[Chain], Any], model: ChatCerebrasInference
) -> None:
    chain = model.with_structured_output(schema, method=method)
    chain_with_raw = model.with_structured_output(schema, method=method, include_raw=True)

    assert is_joke(call(chain), schema)
    output = call(chain_with_raw)
    assert is_joke(output["parsed"], schema)
    assert output["parsing_error"] is None
    assert isinstance(output["raw"], AIMessage)


NOT_OBJECTS = {
    "text": Reply(content="No."),
    "no text": Reply(content=""),
    "null": Reply(content="null"),
    "list": Reply(content="[]"),
    "truncated at the first value": Reply(content='{"setup": "Why', finish_reason="length"),
    "truncated at the last value": Reply(
        content='{"setup": "Why", "punchline": "B', finish_reason="length"
    ),
    "call of another tool": Reply(
        tool_calls=[ToolCall("other", {"setup": "a", "punchline": "b"})]
    ),
    "truncated tool call": Reply(
        tool_calls=[ToolCall("Joke", '{"setup": "Why')], finish_reason="length"
    ),
}
INCOMPLETE_OBJECT = Reply(content='{"setup": "Why?"}', tool_calls=[ToolCall("Joke", "{}")])


def assert_error(
    reply: Reply,
    chains: tuple[Chain, Chain],
    call: Callable[[Chain], Any],
    server: Emulator,
) -> None:
    """Check that a completion is an error, and a `parsing_error` of the chain with `raw`."""
    chain, chain_with_raw = chains
    server.script(reply, reply)

    with pytest.raises(OutputParserException):
        call(chain)

    output = call(chain_with_raw)
    assert output["parsed"] is None
    assert isinstance(output["parsing_error"], OutputParserException)
    assert isinstance(output["raw"], AIMessage)


def create_chains(model: ChatCerebrasInference, schema: Any, method: Method) -> Any:
    """Return a chain without and one with `include_raw`."""
    return tuple(
        model.with_structured_output(schema, method=method, include_raw=include_raw)
        for include_raw in (False, True)
    )


@every_call_style
@every_method
@pytest.mark.parametrize("schema", ["pydantic", "JSON schema"])
@pytest.mark.parametrize("reply", NOT_OBJECTS.values(), ids=NOT_OBJECTS.keys())
def test_completion_without_an_object_is_an_error_and_never_none(
    reply: Reply,
    schema: str,
    method: Method,
    call: Callable[[Chain], Any],
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    assert_error(reply, create_chains(model, SCHEMAS[schema], method), call, server)


# Complete objects that are not strict JSON, and the value of `setup`.
LENIENT_OBJECTS = {
    "line feed": ('{"setup": "a\nb", "punchline": "c"}', "a\nb"),
    "control characters": ('{"setup": "\x00\t\x1f", "punchline": "c"}', "\x00\t\x1f"),
    "prose around a fence": (
        'It is:\n```json\n{"setup": "a\n```", "punchline": "c"}\n```\nFunny?',
        "a\n```",
    ),
    "escaped lone surrogate": ('{"setup": "a\\ud83d", "punchline": "c"}', "a\ufffd"),
    "lone surrogate": ('{"setup": "a\ud83d", "punchline": "c"}', "a\ufffd"),
    "pair of surrogates": ('{"setup": "\ud83d\ude00", "punchline": "c"}', "😀"),
}


@every_call_style
@every_method
@pytest.mark.parametrize("schema", ["pydantic", "JSON schema"])
@pytest.mark.parametrize("case", LENIENT_OBJECTS)
def test_complete_object_that_is_not_strict_json_is_parsed(
    case: str,
    schema: str,
    method: Method,
    call: Callable[[Chain], Any],
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    text, setup = LENIENT_OBJECTS[case]
    reply = Reply(content=text)
    if method == "function_calling":
        reply = Reply(tool_calls=[ToolCall("Joke", text)])
    server.script(reply, reply)

    joke = call(model.with_structured_output(SCHEMAS[schema], method=method))

    joke = joke if isinstance(joke, dict) else joke.model_dump()
    assert joke == {"setup": setup, "punchline": "c"}


@every_call_style
@every_method
@pytest.mark.parametrize("schema", ["pydantic", "pydantic 1"])
def test_object_that_does_not_match_the_class_is_an_error(
    schema: str,
    method: Method,
    call: Callable[[Chain], Any],
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    chains = create_chains(model, SCHEMAS[schema], method)

    assert_error(INCOMPLETE_OBJECT, chains, call, server)


@every_call_style
@pytest.mark.parametrize("schema", ["TypedDict", "JSON schema"])
def test_object_of_a_schema_that_is_not_a_class_is_not_validated(
    schema: str, call: Callable[[Chain], Any], model: ChatCerebrasInference, server: Emulator
) -> None:
    chain, chain_with_raw = create_chains(model, SCHEMAS[schema], "json_schema")
    server.script(INCOMPLETE_OBJECT, INCOMPLETE_OBJECT)

    assert call(chain) == {"setup": "Why?"}
    assert call(chain_with_raw)["parsed"] == {"setup": "Why?"}


@every_method
def test_dict_grows_while_it_is_streamed(method: Method, server: Emulator) -> None:
    text = '{"setup": "Why did the llama cross the road?", "punchline": "Tokens."}'
    server.script(Reply(content=text, tool_calls=[ToolCall("TypedJoke", text)], pace=0.05))
    model = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)

    outputs = list(model.with_structured_output(TypedJoke, method=method).stream(QUESTION))

    lengths = [len(str(output)) for output in outputs]
    assert len(outputs) > 1
    assert lengths == sorted(lengths)
    assert outputs[-1] == {
        "setup": "Why did the llama cross the road?",
        "punchline": "Tokens.",
    }


def get_joke(about: str) -> str:
    """Find a joke about something."""
    return f"A joke about {about}."


@every_call_style
def test_tools_of_the_caller_and_the_schema_can_both_be_called(
    call: Callable[[Chain], Any], model: ChatCerebrasInference, server: Emulator
) -> None:
    joke = ToolCall("Joke", {"setup": "Why?", "punchline": "Because."})
    other = ToolCall("get_joke", {"about": "llamas"})
    server.script(Reply(tool_calls=[other, joke]), Reply(tool_calls=[other]))
    options: Any = {"method": "function_calling", "tools": [get_joke], "tool_choice": "any"}

    output = call(model.with_structured_output(Joke, include_raw=True, **options))

    assert output["parsed"] == Joke(setup="Why?", punchline="Because.")
    assert [item["name"] for item in output["raw"].tool_calls] == ["get_joke", "Joke"]
    body = server.requests[0].body
    assert [item["function"]["name"] for item in body["tools"]] == ["get_joke", "Joke"]
    assert body["tool_choice"] == "required"
    with pytest.raises(OutputParserException, match="It calls 'get_joke'"):
        call(model.with_structured_output(Joke, **options))


@every_call_style
def test_text_in_place_of_an_optional_tool_call_is_an_error_with_the_text(
    call: Callable[[Chain], Any], model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="I know no joke."))
    chain = model.with_structured_output(Joke, method="function_calling", tool_choice="auto")

    with pytest.raises(OutputParserException, match="I know no joke"):
        call(chain)

    assert server.requests[0].body["tool_choice"] == "auto"


@every_call_style
@every_method
@pytest.mark.parametrize("text", ["", '{"setup": "Why', '{"setup": "a", "punchline": "b"}'])
def test_refusal_raises_refusal_error_with_every_method(
    text: str,
    method: Method,
    call: Callable[[Chain], Any],
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    tool_calls = [ToolCall("Joke", text)] if method == "function_calling" and text else []
    refusal = Reply(content=text, tool_calls=tool_calls, finish_reason="content_filter")
    server.script(refusal, refusal)
    chain, chain_with_raw = create_chains(model, Joke, method)

    with pytest.raises(ModelRefusalError):
        call(chain)

    output = call(chain_with_raw)
    assert output["parsed"] is None
    assert isinstance(output["parsing_error"], ModelRefusalError)


# --- agents ------------------------------------------------------------------------------


async def invoke_async(agent: Any) -> dict[str, Any]:
    result: dict[str, Any] = await agent.ainvoke({"messages": [("user", QUESTION)]})
    return result


@pytest.mark.parametrize("tools", [[], [get_joke]])
@pytest.mark.parametrize("response_format", [Joke, ToolStrategy(Joke), SCHEMAS["JSON schema"]])
def test_agent_returns_an_object_with_and_without_tools(
    tools: list[Any], response_format: Any, model: ChatCerebrasInference, server: Emulator
) -> None:
    agent: Any = create_agent(model, tools, response_format=response_format)

    results = [
        agent.invoke({"messages": [("user", QUESTION)]}),
        asyncio.run(invoke_async(agent)),
    ]

    schema = response_format if isinstance(response_format, dict) else Joke
    assert all(is_joke(result["structured_response"], schema) for result in results)
    assert not any("response_format" in request.body for request in server.requests)


def test_agent_without_tools_can_have_the_server_enforce_the_schema(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    agent: Any = create_agent(model, [], response_format=ProviderStrategy(Joke))

    result = agent.invoke({"messages": [("user", QUESTION)]})

    assert isinstance(result["structured_response"], Joke)
    [request] = server.requests
    assert request.body["response_format"]["json_schema"]["strict"] is True


def test_error_for_an_agent_with_tools_and_provider_strategy_says_what_to_use(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    agent: Any = create_agent(model, [get_joke], response_format=ProviderStrategy(Joke))

    with pytest.raises(ValueError, match=r"use\s+ToolStrategy"):
        agent.invoke({"messages": [("user", QUESTION)]})

    assert not server.requests
