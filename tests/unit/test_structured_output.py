"""Answers → parsed objects, or an error."""

import operator
from collections.abc import AsyncIterator, Iterator
from functools import reduce
from typing import Any

import pydantic.v1
import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableLambda
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_cerebras_inference._conversion.structured_output import (
    StructuredParser,
    to_pipeline,
)
from langchain_cerebras_inference._conversion.tool_arguments import tail_for


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


PARAMETERS = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "metres": {"type": "integer"}},
    "required": ["place", "metres"],
}
SCHEMA = {"title": "Tide", **PARAMETERS}
TEXT = '{"place":"Cape North","metres":4}'
OBJECT = {"place": "Cape North", "metres": 4}
TIDE = Tide(place="Cape North", metres=4)


def answering(message: AIMessage) -> Runnable[Any, Any]:
    return RunnableLambda(lambda _: message)


def streaming(*pieces: AIMessageChunk) -> Runnable[Any, Any]:
    def sync(_: Iterator[Any]) -> Iterator[AIMessageChunk]:
        yield from pieces

    async def later(_: AsyncIterator[Any]) -> AsyncIterator[AIMessageChunk]:
        for piece in pieces:
            yield piece

    return RunnableGenerator(sync, later)


def pipeline(
    message: AIMessage, schema: Any = Tide, tool_name: str | None = None, **options: Any
) -> Runnable[Any, Any]:
    settings = {"include_raw": False, **options}
    return to_pipeline(answering(message), schema, tool_name=tool_name, **settings)


def called(**args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "Tide", "args": args, "id": "a"}])


# --- whole answers -----------------------------------------------------------------------


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
def test_an_answer_is_an_object_of_the_class(text: str) -> None:
    assert pipeline(AIMessage(text)).invoke("?") == TIDE


def test_an_object_of_an_older_pydantic_is_one() -> None:
    found = pipeline(AIMessage(TEXT), OldTide).invoke("?")

    assert found == OldTide(place="Cape North", metres=4)


@pytest.mark.parametrize("schema", [TypedTide, SCHEMA, None])
def test_without_a_class_the_object_is_a_dict(schema: Any) -> None:
    assert pipeline(AIMessage(TEXT), schema).invoke("?") == OBJECT


@pytest.mark.parametrize("schema", [TypedTide, SCHEMA, None])
def test_dict_is_not_validated(schema: Any) -> None:
    assert pipeline(AIMessage('{"place":5}'), schema).invoke("?") == {"place": 5}


def test_reasoning_in_the_content_is_not_the_answer() -> None:
    message = AIMessage(
        [{"type": "reasoning", "reasoning": "{}"}, {"type": "text", "text": TEXT}]
    )

    assert pipeline(message).invoke("?") == TIDE


def test_the_arguments_of_the_tool_are_the_answer() -> None:
    message = AIMessage(
        "Here.",
        tool_calls=[
            {"name": "other", "args": {}, "id": "a"},
            {"name": "Tide", "args": OBJECT, "id": "b"},
        ],
    )

    assert pipeline(message, tool_name="Tide").invoke("?") == TIDE


@pytest.mark.parametrize(
    ("message", "tool_name", "why"),
    [
        (AIMessage(""), None, "no whole JSON object: ''"),
        (AIMessage("Four metres."), None, "no whole JSON object: 'Four metres.'"),
        (AIMessage(TEXT[:-1]), None, "no whole JSON object"),
        (AIMessage(f"{TEXT} {TEXT}"), None, "no whole JSON object"),
        (AIMessage("[1]"), None, "no whole JSON object"),
        (AIMessage("null"), None, "no whole JSON object"),
        (AIMessage('{"place":"x"}'), None, "does not fit Tide"),
        (AIMessage('{"place":"x","metres":-1}'), None, "does not fit Tide"),
        (AIMessage("Four."), "Tide", "no call of 'Tide'; it says 'Four.'"),
        (called(place="x"), "Tide", "does not fit Tide"),
        (called(place="x"), "Other", "no call of 'Other'"),
        (
            AIMessage(
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
            ),
            "Tide",
            "its arguments are not whole: '{\"pl'",
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_an_error_that_says_why(
    message: AIMessage, tool_name: str | None, why: str
) -> None:
    with pytest.raises(OutputParserException) as caught:
        pipeline(message, tool_name=tool_name).invoke("?")

    assert why in str(caught.value)


def test_an_answer_that_does_not_fit_an_older_class_is_an_error() -> None:
    with pytest.raises(OutputParserException, match="does not fit OldTide"):
        pipeline(AIMessage('{"place":"x"}'), OldTide).invoke("?")


@pytest.mark.parametrize("tool_name", [None, "Tide"])
def test_an_answer_the_token_limit_cut_says_what_to_do(tool_name: str | None) -> None:
    message = AIMessage(TEXT[:-5], response_metadata={"finish_reason": "length"})

    with pytest.raises(OutputParserException, match="The token limit cut it: raise max_tokens"):
        pipeline(message, tool_name=tool_name).invoke("?")


# --- include_raw -------------------------------------------------------------------------


def test_with_the_raw_answer_a_fitting_one_has_no_error() -> None:
    message = AIMessage(TEXT)

    assert pipeline(message, include_raw=True).invoke("?") == {
        "raw": message,
        "parsed": TIDE,
        "parsing_error": None,
    }


@pytest.mark.parametrize(
    ("message", "tool_name"),
    [(AIMessage("Four."), None), (AIMessage("Four."), "Tide"), (AIMessage("{}"), None)],
)
async def test_with_the_raw_answer_another_is_an_error_beside_it(
    message: AIMessage, tool_name: str | None
) -> None:
    chain = pipeline(message, tool_name=tool_name, include_raw=True)

    for found in (chain.invoke("?"), await chain.ainvoke("?")):
        assert found["raw"] == message
        assert found["parsed"] is None
        assert isinstance(found["parsing_error"], OutputParserException)


@pytest.mark.parametrize("schema", [Tide, SCHEMA])
@pytest.mark.parametrize("length", [len(TEXT), len(TEXT) - 1, 20, 1, 0])
async def test_what_streams_with_the_raw_answer_adds_up_to_what_is_invoked(
    schema: Any, length: int
) -> None:
    pieces = texts(TEXT[: length // 2], TEXT[length // 2 : length])
    chain = to_pipeline(streaming(*pieces), schema, tool_name=None, include_raw=True)

    whole = chain.invoke("?")

    for came in (list(chain.stream("?")), [each async for each in chain.astream("?")]):
        found = reduce(operator.add, came)
        assert found["raw"] == whole["raw"]
        assert found["parsed"] == whole["parsed"]
        assert str(found["parsing_error"]) == str(whole["parsing_error"])
    assert (whole["parsed"] is None) is (length < len(TEXT))


# --- streams -----------------------------------------------------------------------------


def texts(*pieces: str) -> list[AIMessageChunk]:
    return [AIMessageChunk(content=each) for each in pieces]


async def test_a_dict_grows_as_it_arrives() -> None:
    chain = to_pipeline(
        streaming(*texts("{", '"place":"Cape', ' North"', ',"metres":4', "}")),
        SCHEMA,
        tool_name=None,
        include_raw=False,
    )

    expected = [{}, {"place": "Cape"}, {"place": "Cape North"}, OBJECT]

    assert list(chain.stream("?")) == expected
    assert [each async for each in chain.astream("?")] == expected


async def test_a_fenced_answer_is_there_at_its_end() -> None:
    pieces = texts("```json\n", TEXT[:9], TEXT[9:], "\n```")
    chain = to_pipeline(streaming(*pieces), SCHEMA, tool_name=None, include_raw=False)

    assert list(chain.stream("?")) == [OBJECT]
    assert [each async for each in chain.astream("?")] == [OBJECT]


def test_an_object_is_made_once_it_fits() -> None:
    chain = to_pipeline(
        streaming(*texts('{"place":"Cape North"', ',"metres":4', "}")),
        Tide,
        tool_name=None,
        include_raw=False,
    )

    assert list(chain.stream("?")) == [TIDE]


def test_the_arguments_of_a_tool_grow_as_they_arrive() -> None:
    pieces = [
        AIMessageChunk(
            content="",
            tool_call_chunks=[
                tool_call_chunk(
                    name="Tide" if place == 0 else None,
                    args=text,
                    id="a" if place == 0 else None,
                    index=0,
                )
            ],
        )
        for place, text in enumerate(["", '{"place":"Cape North"', ',"metres":4}'])
    ]
    chain = to_pipeline(streaming(*pieces), SCHEMA, tool_name="Tide", include_raw=False)

    assert list(chain.stream("?")) == [{"place": "Cape North"}, OBJECT]


def test_a_stream_that_ends_early_is_an_error_after_what_came() -> None:
    pieces = texts('{"place":"Cape', " North")
    chain = to_pipeline(streaming(*pieces), SCHEMA, tool_name=None, include_raw=False)
    came = chain.stream("?")

    assert next(came) == {"place": "Cape"}
    assert next(came) == {"place": "Cape North"}
    with pytest.raises(OutputParserException, match="no whole JSON object"):
        next(came)


async def test_an_asynchronous_stream_that_ends_early_is_an_error_too() -> None:
    pieces = texts('{"place":"Cape')
    chain = to_pipeline(streaming(*pieces), SCHEMA, tool_name=None, include_raw=False)
    came = chain.astream("?")

    assert await anext(came) == {"place": "Cape"}
    with pytest.raises(OutputParserException, match="no whole JSON object"):
        await anext(came)


def test_a_stream_of_a_broken_call_shows_what_the_server_sent() -> None:
    cut = '{"place":'
    call = tool_call_chunk(name="Tide", args=cut + tail_for(cut), id="a", index=0)
    piece = AIMessageChunk(content="", tool_call_chunks=[call])
    chain = to_pipeline(streaming(piece), Tide, tool_name="Tide", include_raw=False)

    with pytest.raises(OutputParserException, match=f"are not whole: '{cut}'"):
        list(chain.stream("?"))


@pytest.mark.parametrize("tool_name", [None, "Tide"])
def test_a_stream_of_nothing_is_an_error(tool_name: str | None) -> None:
    parser = StructuredParser(tool_name=tool_name)

    with pytest.raises(OutputParserException):
        list(parser.transform(iter([])))


def test_text_alone_can_be_parsed_too() -> None:
    parser = StructuredParser(target=Tide)

    assert parser.parse(TEXT) == TIDE
    assert parser.parse_result([Generation(text=TEXT)]) == TIDE
    assert parser.parse_result([ChatGeneration(message=AIMessage(TEXT))]) == TIDE
    assert list(parser.transform(iter([TEXT[:9], TEXT[9:]]))) == [TIDE]


def test_part_of_an_answer_that_is_nothing_yet_is_none() -> None:
    parser = StructuredParser(target=Tide, tool_name="Tide")
    other = AIMessageChunk(
        content="",
        tool_call_chunks=[tool_call_chunk(name="other", args="{", id="a", index=0)],
    )

    for message in (other, AIMessageChunk(content="Four"), AIMessage("Four")):
        assert parser.parse_result([ChatGeneration(message=message)], partial=True) is None
