"""Parsing of completions into objects of a schema."""

import operator
import pickle
import re
from collections.abc import AsyncIterator, Callable, Iterator
from functools import reduce
from typing import Any, TypeAlias

import cloudpickle
import pydantic.v1
import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableLambda
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._conversion.structured_output import StructuredOutputParser
from langchain_cerebras_inference._conversion.tool_arguments import create_truncation_marker

Chain: TypeAlias = Runnable[Any, Any]


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


@pytest.mark.parametrize("dump", [pickle.dumps, cloudpickle.dumps])
@pytest.mark.parametrize("schema", [Tide, OldTide, TypedTide, JSON_SCHEMA])
@pytest.mark.parametrize("include_raw", [False, True])
def test_structured_output_can_be_pickled(include_raw: bool, schema: Any, dump: Pickle) -> None:
    model = ChatCerebrasInference(api_key="k")
    chain = model.with_structured_output(schema, include_raw=include_raw)

    restored = pickle.loads(dump(chain))  # noqa: S301 # the bytes are our own

    assert restored == chain


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
