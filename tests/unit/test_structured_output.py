"""Parsing of completions into objects of a schema."""

import copy
import itertools
import json
import operator
import pickle
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import reduce
from typing import Any, TypeAlias

import cloudpickle
import pydantic.v1
import pytest
from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import (
    ConfigurableField,
    Runnable,
    RunnableBinding,
    RunnableGenerator,
    RunnableLambda,
)
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from pydantic import BaseModel, Field, SecretStr
from typing_extensions import TypedDict

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._conversion.structured_output import StructuredOutputParser
from langchain_cerebras_inference._conversion.tool_arguments import (
    create_truncation_marker,
    parse_object,
)

Chain: TypeAlias = Runnable[Any, Any]

# Before version 1.7.5, langchain-core had no error class for a refusal.
ModelRefusalError: Any = getattr(exceptions, "ModelRefusalError", OutputParserException)


class Tide(BaseModel):
    """The tide at a place."""

    place: str
    metres: int = Field(ge=0)


class OldTide(pydantic.v1.BaseModel):
    """The tide at a place."""

    place: str
    metres: int


class TypedTide(TypedDict):
    """The tide at a place."""

    place: str
    metres: int


JSON_SCHEMA = {
    "title": "Tide",
    "type": "object",
    "properties": {"place": {"type": "string", "pattern": "^(a+)+$"}, "metres": {"minimum": 0}},
    "required": ["place", "metres"],
}
TEXT = '{"place":"Cape North","metres":4}'
VALUES = {"place": "Cape North", "metres": 4}
TIDE = Tide(place="Cape North", metres=4)


def create_chain(*messages: AIMessage, schema: Any = Tide, **fields: Any) -> Chain:
    """Parse a message, or the chunks of a stream."""
    parser = StructuredOutputParser(object_schema=schema, **fields)
    if not isinstance(messages[0], AIMessageChunk):
        return RunnableLambda(lambda _: messages[0]) | parser

    def stream(_: Iterator[Any]) -> Iterator[AIMessage]:
        yield from messages

    async def astream(_: AsyncIterator[Any]) -> AsyncIterator[AIMessage]:
        for message in messages:
            yield message

    return RunnableGenerator(stream, astream) | parser


def create_chunks(*texts: str) -> list[AIMessageChunk]:
    return [AIMessageChunk(content=text) for text in texts]


def create_call_chunk(arguments: str, name: str | None = "Tide") -> AIMessageChunk:
    call_id = "a" if name else None
    chunk = tool_call_chunk(name=name, args=arguments, id=call_id, index=0)
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


def call_tool(**arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "Tide", "args": arguments, "id": "a"}])


# --- complete messages -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"  {TEXT}\n",
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```",
        '{"metres":4,"place":"Cape North"}',
    ],
)
def test_text_is_parsed_into_an_object_of_the_class(text: str) -> None:
    assert create_chain(AIMessage(text)).invoke("?") == TIDE


COMPLETE_TEXTS = {
    "line feed": ('{"place":"Cape\nNorth","metres":4}', "Cape\nNorth"),
    "control characters": ('{"place":"\x00\t\x1f","metres":4}', "\x00\t\x1f"),
    "prose around a fence": (f"It is:\n```json\n{TEXT}\n```\nDone.", "Cape North"),
    "line feed in a fence": ('```\n{"place":"a\nb","metres":4}\n```', "a\nb"),
    "escaped lone surrogate": ('{"place":"a\\ud83d","metres":4}', "a\ufffd"),
    "lone surrogate": ('{"place":"a\ud83d","metres":4}', "a\ufffd"),
    "divided pair of surrogates": ('{"place":"\ud83d\ude00","metres":4}', "😀"),
}
all_complete_texts = pytest.mark.parametrize("name", COMPLETE_TEXTS)


@all_complete_texts
@pytest.mark.parametrize("schema", [Tide, OldTide, TypedTide, JSON_SCHEMA, None])
def test_complete_object_that_is_not_strict_json_is_parsed(name: str, schema: Any) -> None:
    text, place = COMPLETE_TEXTS[name]

    for messages in ([AIMessage(text)], create_chunks(*text)):
        parsed = create_chain(*messages, schema=schema).invoke("?")
        expected = {"place": place, "metres": 4}
        assert parsed == (schema(**expected) if schema in (Tide, OldTide) else expected)


@all_complete_texts
def test_object_that_is_not_strict_json_is_rejected_if_it_is_truncated(name: str) -> None:
    text, _ = COMPLETE_TEXTS[name]

    for length in range(text.rindex("}")):
        with pytest.raises(OutputParserException):
            create_chain(AIMessage(text[:length]), schema=None).invoke("?")


def test_object_of_a_stream_has_no_half_of_a_character() -> None:
    text = '{"place":"a\\ud83d\\ude00b\\ud83d","metres":4}'

    outputs = list(create_chain(*create_chunks(*text), schema=None).stream("?"))

    places = [output["place"] for output in outputs if "place" in output]
    assert places[:4] == ["", "a", "a😀", "a😀b"]
    assert places[-1] == "a😀b\ufffd"
    assert not re.search("[\ud800-\udfff]", "".join(places))


def test_halves_in_the_arguments_of_a_tool_call_are_replaced() -> None:
    message = call_tool(place="a\ud83d", metres=4)

    assert create_chain(message, tool_name="Tide").invoke("?").place == "a\ufffd"


def test_text_is_parsed_into_an_object_of_a_pydantic_1_class() -> None:
    parsed = create_chain(AIMessage(TEXT), schema=OldTide).invoke("?")

    assert parsed == OldTide(place="Cape North", metres=4)


@pytest.mark.parametrize("schema", [TypedTide, JSON_SCHEMA, None])
def test_other_schemas_give_a_dict(schema: Any) -> None:
    assert create_chain(AIMessage(TEXT), schema=schema).invoke("?") == VALUES


@pytest.mark.parametrize("schema", [TypedTide, JSON_SCHEMA, None])
def test_dict_is_not_validated(schema: Any) -> None:
    chain = create_chain(AIMessage('{"place":5}'), schema=schema)

    assert chain.invoke("?") == {"place": 5}


def test_reasoning_in_the_content_is_not_parsed() -> None:
    message = AIMessage(
        [{"type": "reasoning", "reasoning": "{}"}, {"type": "text", "text": TEXT}]
    )

    assert create_chain(message).invoke("?") == TIDE


def test_arguments_of_the_tool_are_parsed() -> None:
    message = AIMessage(
        "Here.",
        tool_calls=[
            {"name": "other", "args": {}, "id": "a"},
            {"name": "Tide", "args": VALUES, "id": "b"},
        ],
    )

    assert create_chain(message, tool_name="Tide").invoke("?") == TIDE


TRUNCATED_CALL = AIMessage(
    "",
    invalid_tool_calls=[
        {
            "name": "Tide",
            "args": '{"pl',
            "id": "a",
            "error": None,
            "type": "invalid_tool_call",
        }
    ],
)


@pytest.mark.parametrize("schema", [Tide, TypedTide, JSON_SCHEMA])
@pytest.mark.parametrize(
    ("message", "tool_name", "reason"),
    [
        (AIMessage(""), None, "not a complete JSON object: ''"),
        (AIMessage("Four metres."), None, "not a complete JSON object: 'Four metres.'"),
        (AIMessage(TEXT[:-1]), None, "not a complete JSON object"),
        (AIMessage(f"{TEXT} {TEXT}"), None, "not a complete JSON object"),
        (AIMessage("[1]"), None, "not a complete JSON object"),
        (AIMessage("null"), None, "not a complete JSON object"),
        (AIMessage("Four."), "Tide", "no valid call of the tool 'Tide'. The text is 'Four.'"),
        (call_tool(place="x"), "Other", "no valid call of the tool 'Other'"),
        (call_tool(place="x"), "Other", "It calls 'Tide', and the text is ''"),
        (TRUNCATED_CALL, "Other", "The text is ''"),
        (TRUNCATED_CALL, "Tide", "The arguments are truncated or invalid: '{\"pl'"),
    ],
)
def test_message_without_an_object_raises_an_error_with_the_reason(
    message: AIMessage, tool_name: str | None, reason: str, schema: Any
) -> None:
    with pytest.raises(OutputParserException) as caught:
        create_chain(message, schema=schema, tool_name=tool_name).invoke("?")

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("message", "tool_name", "schema"),
    [
        (AIMessage('{"place":"x"}'), None, Tide),
        (AIMessage('{"place":"x","metres":-1}'), None, Tide),
        (AIMessage('{"place":"x"}'), None, OldTide),
        (call_tool(place="x"), "Tide", Tide),
    ],
)
def test_object_that_does_not_match_the_class_raises_an_error(
    message: AIMessage, tool_name: str | None, schema: Any
) -> None:
    with pytest.raises(
        OutputParserException, match=f"The completion does not match {schema.__name__}: 1 valid"
    ):
        create_chain(message, schema=schema, tool_name=tool_name).invoke("?")


@pytest.mark.parametrize("tool_name", [None, "Tide"])
def test_error_for_a_message_truncated_by_the_token_limit_says_what_to_do(
    tool_name: str | None,
) -> None:
    message = AIMessage(TEXT[:-5], response_metadata={"finish_reason": "length"})

    with pytest.raises(OutputParserException, match=r"the token limit\. Raise max_tokens or"):
        create_chain(message, tool_name=tool_name).invoke("?")


def test_text_without_a_message_can_be_parsed() -> None:
    parser = StructuredOutputParser(object_schema=Tide)

    assert parser.parse(TEXT) == TIDE
    assert parser.invoke(TEXT) == TIDE
    assert parser.parse_result([Generation(text=TEXT)]) == TIDE
    assert parser.parse_result([ChatGeneration(message=AIMessage(TEXT))]) == TIDE
    assert list(parser.transform(iter([TEXT[:9], TEXT[9:]]))) == [TIDE]


# --- refusals ----------------------------------------------------------------------------

REFUSALS = {
    "without text": "",
    "with a part of the object": TEXT[:-5],
    "with the whole object": TEXT,
}


def create_refusal(text: str) -> AIMessage:
    metadata = {"finish_reason": "content_filter", "model_provider": "cerebras"}
    tool_call = {"name": "Tide", "args": VALUES, "id": "a"}
    return AIMessage(text, tool_calls=[tool_call], response_metadata=metadata)


@pytest.mark.parametrize("tool_name", [None, "Tide"])
@pytest.mark.parametrize("text", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusal_raises_refusal_error_with_the_message(
    text: str, tool_name: str | None
) -> None:
    message = create_refusal(text)

    with pytest.raises(ModelRefusalError, match="refuse") as caught:
        create_chain(message, tool_name=tool_name).invoke("?")

    if ModelRefusalError is not OutputParserException:
        assert caught.value.raw_message == message


@pytest.mark.parametrize("text", REFUSALS.values(), ids=REFUSALS.keys())
async def test_refusal_is_the_parsing_error_of_an_output_with_raw(text: str) -> None:
    message = create_refusal(text)
    chain = create_chain(message, include_raw=True)

    for output in (chain.invoke("?"), await chain.ainvoke("?")):
        assert (output["raw"], output["parsed"]) == (message, None)
        assert isinstance(output["parsing_error"], ModelRefusalError)


PARSE_REFUSAL_WITH_OLDER_CORE = """
import langchain_core.output_parsers.json
from langchain_core import exceptions
vars(exceptions).pop("ModelRefusalError", None)
from langchain_core.messages import AIMessage
from langchain_cerebras_inference._conversion.structured_output import StructuredOutputParser

try:
    StructuredOutputParser().invoke(AIMessage([{"type": "refusal", "refusal": "No."}]))
except exceptions.OutputParserException as error:
    print(error)
"""
"""Parses a refusal with a langchain-core that has no error class for it."""


def test_refusal_raises_parser_exception_if_langchain_core_has_no_refusal_error() -> None:
    output = subprocess.check_output(
        [sys.executable, "-c", PARSE_REFUSAL_WITH_OLDER_CORE], text=True
    )

    assert output.startswith("The model refuses to respond. No.")


def test_refusal_of_another_provider_raises_refusal_error_with_its_text() -> None:
    message = AIMessage([{"type": "refusal", "refusal": "I cannot help with that."}])

    with pytest.raises(ModelRefusalError, match=r"I cannot help with that\."):
        create_chain(message).invoke("?")


async def test_streamed_refusal_raises_refusal_error_after_the_last_object() -> None:
    chunk = AIMessageChunk(
        content="",
        response_metadata={"finish_reason": "content_filter", "model_provider": "cerebras"},
        chunk_position="last",
    )
    chain = create_chain(*create_chunks('{"place":"Cape'), chunk, schema=JSON_SCHEMA)
    outputs, async_outputs = chain.stream("?"), chain.astream("?")

    assert next(outputs) == await anext(async_outputs) == {"place": "Cape"}
    with pytest.raises(ModelRefusalError):
        next(outputs)
    with pytest.raises(ModelRefusalError):
        await anext(async_outputs)


# --- include_raw -------------------------------------------------------------------------


def test_output_with_raw_has_the_object_and_no_error() -> None:
    message = AIMessage(TEXT)

    assert create_chain(message, include_raw=True).invoke("?") == {
        "raw": message,
        "parsed": TIDE,
        "parsing_error": None,
    }


@pytest.mark.parametrize(
    ("message", "tool_name"),
    [(AIMessage("Four."), None), (AIMessage("Four."), "Tide"), (AIMessage("{}"), None)],
)
async def test_output_with_raw_has_the_error_instead_of_raising_it(
    message: AIMessage, tool_name: str | None
) -> None:
    chain = create_chain(message, tool_name=tool_name, include_raw=True)

    for output in (chain.invoke("?"), await chain.ainvoke("?"), *chain.batch(["?"])):
        assert output["raw"] == message
        assert output["parsed"] is None
        assert isinstance(output["parsing_error"], OutputParserException)


@pytest.mark.parametrize("schema", [Tide, JSON_SCHEMA])
@pytest.mark.parametrize("length", [len(TEXT), len(TEXT) - 1, 20, 1, 0])
async def test_streamed_output_with_raw_adds_up_to_the_invoked_output(
    schema: Any, length: int
) -> None:
    chunks = create_chunks(TEXT[: length // 2], TEXT[length // 2 : length])
    chain = create_chain(*chunks, schema=schema, include_raw=True)

    invoked = chain.invoke("?")

    for outputs in (list(chain.stream("?")), [output async for output in chain.astream("?")]):
        streamed = reduce(operator.add, outputs)
        assert list(streamed) == ["raw", "parsed", "parsing_error"]
        assert streamed["raw"] == invoked["raw"]
        assert streamed["parsed"] == invoked["parsed"]
        assert str(streamed["parsing_error"]) == str(invoked["parsing_error"])
    assert (invoked["parsed"] is None) is (length < len(TEXT))


def test_chunks_are_streamed_as_raw_before_the_object() -> None:
    chunks = create_chunks(TEXT[:9], TEXT[9:])

    outputs = list(create_chain(*chunks, include_raw=True).stream("?"))

    assert outputs == [
        {"raw": chunks[0]},
        {"raw": chunks[1]},
        {"parsed": TIDE, "parsing_error": None},
    ]


validated_places: list[str] = []


class RecordedTide(Tide):
    """A class that records when it is validated."""

    def model_post_init(self, _: Any) -> None:
        validated_places.append(self.place)


@pytest.mark.parametrize("include_raw", [False, True])
def test_message_is_parsed_once(include_raw: bool) -> None:
    validated_places.clear()

    create_chain(AIMessage(TEXT), schema=RecordedTide, include_raw=include_raw).invoke("?")

    assert validated_places == ["Cape North"]


# --- streams -----------------------------------------------------------------------------


async def test_dict_grows_while_it_is_streamed() -> None:
    chunks = create_chunks("{", '"place":"Cape', ' North"', ',"metres":4', "}")
    chain = create_chain(*chunks, schema=JSON_SCHEMA)

    expected = [{}, {"place": "Cape"}, {"place": "Cape North"}, VALUES]

    assert list(chain.stream("?")) == expected
    assert [output async for output in chain.astream("?")] == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"a":12.5e-3,"b":[-1,{"c":"x\\n\\u00e9-1."}],"d":null,"e":true}',
        '{"a":"x\n-\ty","b":{"c":0.5}}',
        pytest.param(
            '{"a":"\\ud83d\\ude00 \\ud83d x","b":1E5}',
            marks=pytest.mark.skipif(
                ModelRefusalError is OutputParserException,
                reason="the parser of langchain-core before 1.7.5 loses this key",
            ),
        ),
    ],
)
def test_streamed_dict_never_loses_a_key(text: str) -> None:
    outputs = list(create_chain(*create_chunks(*text), schema=None).stream("?"))

    for earlier, later in itertools.pairwise(outputs):
        assert list(later)[: len(earlier)] == list(earlier)
    assert outputs[-1] == parse_object(text)
    assert len(outputs) > 5


def test_long_dict_is_streamed_without_long_pauses() -> None:
    text = json.dumps({"rows": ['a "quoted" \\ row'] * 1500})
    chunks = create_chunks(*(text[start : start + 40] for start in range(0, len(text), 40)))
    start = time.process_time()

    outputs = list(create_chain(*chunks, schema=None).stream("?"))

    assert outputs[-1] == json.loads(text)
    assert time.process_time() - start < 3


@pytest.mark.parametrize("text", ['{"a":', '{"a":[', "["])
@pytest.mark.parametrize("tool_name", [None, "Tide"])
def test_deeply_nested_stream_raises_parser_exception(text: str, tool_name: str | None) -> None:
    chunks = create_chunks(*[text * 1000] * 5)
    if tool_name:
        chunks = [create_call_chunk(text * 1000, name) for name in (tool_name, None, None)]

    with pytest.raises(OutputParserException):
        list(create_chain(*chunks, tool_name=tool_name).stream("?"))


async def test_fenced_object_is_streamed_at_the_end() -> None:
    chunks = create_chunks("```json\n", TEXT[:9], TEXT[9:], "\n```")
    chain = create_chain(*chunks, schema=JSON_SCHEMA)

    assert list(chain.stream("?")) == [VALUES]
    assert [output async for output in chain.astream("?")] == [VALUES]


def test_object_of_a_class_is_streamed_once_it_matches() -> None:
    chunks = create_chunks('{"place":"Cape North"', ',"metres":4', "}")

    assert list(create_chain(*chunks).stream("?")) == [TIDE]


def test_arguments_of_the_tool_grow_while_they_are_streamed() -> None:
    chain = create_chain(
        create_call_chunk(""),
        create_call_chunk('{"place":"Cape North"', name=None),
        create_call_chunk(',"metres":4}', name=None),
        schema=JSON_SCHEMA,
        tool_name="Tide",
    )

    assert list(chain.stream("?")) == [{"place": "Cape North"}, VALUES]


def test_text_that_is_not_an_object_streams_nothing_before_the_error() -> None:
    chain = create_chain(*create_chunks("[1", ",2]"), schema=JSON_SCHEMA)

    with pytest.raises(OutputParserException, match="not a complete JSON object"):
        next(chain.stream("?"))


async def test_incomplete_stream_raises_an_error_after_the_last_object() -> None:
    chain = create_chain(*create_chunks('{"place":"Cape', " North"), schema=JSON_SCHEMA)
    outputs, async_outputs = chain.stream("?"), chain.astream("?")

    for expected in ({"place": "Cape"}, {"place": "Cape North"}):
        assert next(outputs) == expected
        assert await anext(async_outputs) == expected
    with pytest.raises(OutputParserException, match="not a complete JSON object"):
        next(outputs)
    with pytest.raises(OutputParserException, match="not a complete JSON object"):
        await anext(async_outputs)


def test_error_for_a_truncated_tool_call_quotes_the_sent_arguments() -> None:
    arguments = '{"place":'
    chain = create_chain(
        create_call_chunk(arguments + create_truncation_marker(arguments)), tool_name="Tide"
    )

    with pytest.raises(OutputParserException, match=f"truncated or invalid: '{arguments}'"):
        list(chain.stream("?"))


@pytest.mark.parametrize("tool_name", [None, "Tide"])
def test_empty_stream_raises_an_error(tool_name: str | None) -> None:
    parser = StructuredOutputParser(tool_name=tool_name)

    with pytest.raises(OutputParserException):
        list(parser.transform(iter([])))


@pytest.mark.parametrize(
    "message",
    [create_call_chunk("{", name="other"), AIMessageChunk(content="Four"), AIMessage("Four")],
)
def test_partial_message_without_an_object_is_none(message: AIMessage) -> None:
    parser = StructuredOutputParser(object_schema=Tide, tool_name="Tide")

    assert parser.parse_result([ChatGeneration(message=message)], partial=True) is None


# --- with_structured_output --------------------------------------------------------------

Pickle: TypeAlias = Callable[[Any], bytes]


def create_model() -> ChatCerebrasInference:
    return ChatCerebrasInference(api_key="k")


def get_bound_options(chain: Any) -> dict[str, Any]:
    """Return the call options of a chain from `with_structured_output`."""
    options: dict[str, Any] = chain.first.kwargs
    return options


def get_tool_names(options: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in options["tools"]]


def get_weather(location: str) -> str:
    """Get the weather of a place."""
    return f"Sunny in {location}."


def get_time(location: str) -> str:
    """Get the time at a place."""
    return f"Noon in {location}."


@pytest.mark.parametrize("dump", [pickle.dumps, cloudpickle.dumps])
@pytest.mark.parametrize("schema", [Tide, OldTide, TypedTide, JSON_SCHEMA])
@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output_can_be_pickled(
    method: Any, include_raw: bool, schema: Any, dump: Pickle
) -> None:
    chain = create_model().with_structured_output(
        schema, method=method, include_raw=include_raw
    )
    chain.get_output_jsonschema()

    restored = pickle.loads(dump(chain))  # noqa: S301 # the bytes are our own

    assert restored == chain


TIDE_PROPERTIES = {"place", "metres"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("schema", [Tide, OldTide, TypedTide, JSON_SCHEMA])
def test_output_schema_is_the_schema(schema: Any, method: Any) -> None:
    chain = create_model().with_structured_output(schema, method=method)

    json_schema = chain.get_output_jsonschema()

    assert json_schema["properties"].keys() == TIDE_PROPERTIES
    assert set(json_schema["required"]) == TIDE_PROPERTIES


def test_output_schema_of_a_pydantic_class_is_the_class() -> None:
    chain = create_model().with_structured_output(Tide)

    assert chain.get_output_schema() is Tide
    assert chain.OutputType is Tide
    assert chain.get_output_jsonschema() == Tide.model_json_schema()


class Coast(BaseModel):
    """The tides along a coast."""

    tides: list[Tide]


@pytest.mark.parametrize("schema", [Coast, Coast.model_json_schema()])
def test_output_schema_with_raw_has_the_schema_and_its_definitions(schema: Any) -> None:
    chain = create_model().with_structured_output(schema, include_raw=True)

    json_schema = chain.get_output_jsonschema()

    parsed, null = json_schema["properties"]["parsed"]["anyOf"]
    assert json_schema["required"] == ["raw", "parsed", "parsing_error"]
    assert parsed["properties"]["tides"]["items"] == {"$ref": "#/$defs/Tide"}
    assert json_schema["$defs"]["Tide"]["properties"].keys() == TIDE_PROPERTIES
    assert null == {"type": "null"}


@pytest.mark.parametrize("include_raw", [False, True])
def test_output_schema_without_a_schema_is_an_object(include_raw: bool) -> None:
    chain = create_model().with_structured_output(method="json_mode", include_raw=include_raw)

    assert chain.get_output_jsonschema()["type"] == "object"


# --- call options of with_structured_output ----------------------------------------------

FORCED_TIDE = {"type": "function", "function": {"name": "Tide"}}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, FORCED_TIDE),
        ("auto", "auto"),
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        ("none", "none"),
        ("Tide", FORCED_TIDE),
        ("get_weather", {"type": "function", "function": {"name": "get_weather"}}),
        (FORCED_TIDE, FORCED_TIDE),
    ],
)
def test_tool_choice_of_the_caller_replaces_the_forced_call(choice: Any, expected: Any) -> None:
    chain = create_model().with_structured_output(
        Tide, method="function_calling", tool_choice=choice, tools=[get_weather]
    )

    assert get_bound_options(chain)["tool_choice"] == expected


def test_tool_choice_of_false_leaves_the_choice_to_the_server() -> None:
    chain = create_model().with_structured_output(
        Tide, method="function_calling", tool_choice=False
    )

    assert "tool_choice" not in get_bound_options(chain)


@pytest.mark.parametrize("tools", [[get_weather], [get_weather, get_time], (get_time,)])
@pytest.mark.parametrize("schema", [Tide, OldTide, TypedTide, JSON_SCHEMA])
def test_tools_of_the_caller_are_sent_with_the_tool_of_the_schema(
    schema: Any, tools: Any
) -> None:
    chain = create_model().with_structured_output(
        schema, method="function_calling", tools=tools
    )

    options = get_bound_options(chain)
    schema_name = "Tide" if schema is JSON_SCHEMA else schema.__name__
    assert get_tool_names(options) == [*(tool.__name__ for tool in tools), schema_name]
    assert options["tool_choice"]["function"]["name"] == schema_name


@pytest.mark.parametrize("tools", [None, []])
def test_empty_tools_of_the_caller_are_accepted_by_every_method(tools: Any) -> None:
    model = create_model()

    chain = model.with_structured_output(Tide, method="function_calling", tools=tools)
    assert get_tool_names(get_bound_options(chain)) == ["Tide"]
    chain = model.with_structured_output(Tide, tools=tools)
    assert get_bound_options(chain)["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_tools_together_with_a_response_format_are_rejected(method: Any) -> None:
    with pytest.raises(ValueError, match=r"Use method='function_calling', tools=\[\.\.\.\]"):
        create_model().with_structured_output(Tide, method=method, tools=[get_weather])


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_response_format_beside_the_schema_is_rejected(method: Any) -> None:
    with pytest.raises(ValueError, match="leave response_format out"):
        create_model().with_structured_output(Tide, method=method, response_format=Coast)


# --- bound options and with_structured_output --------------------------------------------

Binding: TypeAlias = Callable[[Any], Any]
BINDINGS: dict[str, Binding] = {
    "bind_tools": lambda model: model.bind_tools([get_weather]),
    "bind": lambda model: model.bind(tools=[get_weather]),
    "bind_tools, then bind": lambda model: model.bind_tools([get_weather]).bind(stop=["."]),
    "bind, then bind_tools": lambda model: model.bind(stop=["."]).bind_tools([get_weather]),
    "with_config": lambda model: model.bind_tools([get_weather]).with_config(tags=["a"]),
    "with_retry": lambda model: model.bind_tools([get_weather]).with_retry(),
    "with_listeners": lambda model: model.bind_tools([get_weather]).with_listeners(),
    "with_types": lambda model: model.bind_tools([get_weather]).with_types(input_type=str),
    "with_fallbacks": lambda model: model.bind_tools([get_weather]).with_fallbacks([model]),
    "fallbacks of the model": lambda model: model.with_fallbacks([model]).bind_tools(
        [get_weather]
    ),
    "configurable_fields": lambda model: model.configurable_fields(
        temperature=ConfigurableField(id="warmth")
    ).bind_tools([get_weather]),
    "configurable_alternatives": lambda model: model.bind_tools(
        [get_weather]
    ).configurable_alternatives(ConfigurableField(id="model"), other=model),
    "pickle": lambda model: pickle.loads(  # noqa: S301 # the bytes are our own
        pickle.dumps(model.bind_tools([get_weather]))
    ),
    "copy": lambda model: copy.deepcopy(model.bind_tools([get_weather])),
}


@pytest.mark.parametrize("bind", BINDINGS.values(), ids=BINDINGS.keys())
def test_structured_output_of_a_model_with_bound_tools_is_rejected(bind: Binding) -> None:
    bound = bind(create_model())

    with pytest.raises(
        ValueError, match=r"method='function_calling', tools=\[\.\.\.\]"
    ) as caught:
        bound.with_structured_output(Tide)

    assert "would drop the bound tools" in str(caught.value)


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_bound_options_without_tools_are_kept(method: Any) -> None:
    bound: Any = create_model().bind(temperature=0, seed=5)

    chain = bound.with_structured_output(Tide, method=method, seed=6)

    options = get_bound_options(chain)
    assert (options["temperature"], options["seed"]) == (0, 6)


@pytest.mark.parametrize(
    "bind",
    [
        lambda bound: bound,
        lambda bound: bound.with_config(tags=["a"]),
        lambda bound: bound.bind_tools([get_time], tool_choice="get_time"),
        copy.deepcopy,
    ],
)
def test_bind_tools_keeps_the_bound_options(bind: Any) -> None:
    headers = {"X-Tenant": SecretStr("one")}
    bound = bind(create_model().bind(temperature=0, stop=["."], extra_headers=headers))

    with_tools = bound.bind_tools([get_weather], stop=["!"])

    [tool] = with_tools.kwargs.pop("tools")
    assert tool["function"]["name"] == "get_weather"
    assert with_tools.kwargs == {"temperature": 0, "stop": ["!"], "extra_headers": headers}
    assert with_tools.config.get("tags") == bound.config.get("tags")


def test_bound_options_are_kept_by_every_fallback() -> None:
    model = create_model()
    bound: Any = model.bind(seed=1).with_fallbacks([model.bind(seed=2)])

    chain = bound.with_structured_output(Tide)

    chains = [chain.runnable, *chain.fallbacks]
    assert [get_bound_options(each)["seed"] for each in chains] == [1, 2]


def test_bound_model_is_the_binding_that_langchain_expects() -> None:
    model = create_model()
    bound: Any = model.bind_tools([get_weather])

    assert isinstance(bound, RunnableBinding)
    assert bound.bound is model
    assert bound == model.bind(tools=bound.kwargs["tools"])
    assert bound.get_name() == model.get_name()


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_bound_model_is_serialized_as_the_class_of_langchain() -> None:
    bound: Any = create_model().bind_tools([get_weather])
    serialized = dumpd(bound)

    restored = load(
        serialized,
        allowed_objects=[ChatCerebrasInference, RunnableBinding],
        valid_namespaces=["langchain_cerebras_inference"],
        secrets_map={"CEREBRAS_API_KEY": "k"},
    )

    assert serialized["id"] == ["langchain", "schema", "runnable", "RunnableBinding"]
    assert restored.kwargs == bound.kwargs


class RunRecorder(BaseTracer):
    """Keeps the runs of a chain."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("streaming", [False, True])
def test_trace_has_one_run_for_the_parser(streaming: bool, include_raw: bool) -> None:
    recorder = RunRecorder()
    chain = create_chain(*create_chunks(TEXT[:9], TEXT[9:]), include_raw=include_raw)

    if streaming:
        list(chain.stream("?", config={"callbacks": [recorder]}))
    else:
        chain.invoke("?", config={"callbacks": [recorder]})

    [run] = recorder.runs
    _, parser_run = run.child_runs
    assert (parser_run.name, parser_run.run_type) == ("StructuredOutputParser", "parser")
    assert parser_run.child_runs == []
    assert parser_run.outputs
    if include_raw:
        assert parser_run.outputs.keys() == {"raw", "parsed", "parsing_error"}
    else:
        assert parser_run.outputs == {"output": TIDE}
