"""Answers → parsed objects, or an error.

A completion is parsed leniently only while it is still arriving. At its end it must be a
complete object; a pydantic class also validates it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from operator import itemgetter
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic_core import from_json, to_json

from langchain_cerebras_inference._conversion import response_format, tool_arguments

_FENCES = (("```json", "```"), ("```", "```"))


def to_pipeline(
    llm: Runnable[Any, Any],
    schema: Any,
    *,
    tool_name: str | None,
    include_raw: bool,
) -> Runnable[Any, Any]:
    """Follow a model with the parser of its answers, or with all there is to know."""
    if schema is not None:
        response_format.to_json_schema(schema)  # raises if it is not an object
    parser = StructuredParser(
        target=schema if is_basemodel_subclass(schema) else None,
        tool_name=tool_name,
    )
    if not include_raw:
        return llm | parser
    parts: dict[str, Runnable[Any, Any]] = {
        wanted: itemgetter("raw") | parser.model_copy(update={"wanted": wanted})
        for wanted in ("parsed", "parsing_error")
    }
    return RunnableMap(raw=llm) | RunnablePassthrough.assign(**parts)


class StructuredParser(BaseTransformOutputParser[Any]):
    """Parses an answer, or the arguments of a tool call, into an object of a schema."""

    target: Any = None
    """The pydantic class to make; `None` leaves the object as parsed."""
    tool_name: str | None = None
    """The tool whose arguments are the answer; `None` reads the answer's text."""
    wanted: Literal["object", "parsed", "parsing_error"] = "object"
    """The object or an error raised; the object or `None`; the error or `None`."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse an answer; what cannot be parsed of a partial one is `None`.

        Raises:
            OutputParserException: If a whole answer does not fit.
        """
        message = _message_of(result)
        return self._parse_partial(message) if partial else self._parse_whole(message)

    def parse(self, text: str) -> Any:
        """Parse an answer's text."""
        return self._parse_whole(AIMessage(text))

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:
        growing = _Growing(self)
        for piece in input:
            yield from growing.add(piece)
        yield from growing.end()

    async def _atransform(
        self,
        input: AsyncIterator[str | BaseMessage],  # core's name for it
    ) -> AsyncIterator[Any]:
        growing = _Growing(self)
        async for piece in input:
            for parsed in growing.add(piece):
                yield parsed
        for parsed in growing.end():
            yield parsed

    def _parse_whole(self, message: AIMessage) -> Any:
        try:
            answer = self._made(self._object_of(message))
        except OutputParserException as error:
            if self.wanted == "object":
                raise
            return error if self.wanted == "parsing_error" else None
        return None if self.wanted == "parsing_error" else answer

    def _parse_partial(self, message: AIMessage) -> Any:
        if self.wanted != "object":  # it may yet be an error, which nothing takes back
            return None
        text = self._text_of_call(message) if self.tool_name else message.text
        try:
            return self._made(parse_partial_json(text)) if text else None
        except (ValueError, OutputParserException):
            return None

    def _object_of(self, message: AIMessage) -> Any:
        return self._arguments(message) if self.tool_name else _json_of(message)

    def _made(self, answer: Any) -> Any:
        if self.target is None or answer is None:
            return answer
        try:
            if hasattr(self.target, "model_validate_json"):
                return self.target.model_validate_json(to_json(answer))
            return self.target.parse_obj(answer)
        except ValueError as error:
            msg = f"The answer does not fit {self.target.__name__}: {error}"
            raise OutputParserException(msg, llm_output=str(answer)) from error

    def _arguments(self, message: AIMessage) -> dict[str, Any]:
        for call in message.tool_calls:
            if call["name"] == self.tool_name:
                return call["args"]
        if cut := [each["args"] for each in message.invalid_tool_calls]:
            why = f"its arguments are not whole: {tool_arguments.without_tail(cut[0] or '')!r}"
        else:
            why = f"it says {message.text!r}"
        msg = f"The answer makes no call of {self.tool_name!r}; {why}.{_hint(message)}"
        raise OutputParserException(msg, llm_output=message.text)

    def _text_of_call(self, message: AIMessage) -> str:
        for call in getattr(message, "tool_call_chunks", ()):
            if call["name"] == self.tool_name:
                return call["args"] or ""
        return ""


class _Growing:
    """An answer as it arrives, parsed again with every piece."""

    def __init__(self, parser: StructuredParser) -> None:
        self._parser = parser
        self._message: Any = None
        self._last: Any = None

    def add(self, piece: str | BaseMessage) -> Iterator[Any]:
        new = AIMessageChunk(content=piece) if isinstance(piece, str) else piece
        self._message = new if self._message is None else self._message + new
        parsed = self._parsed(partial=True)
        if parsed is not None and parsed != self._last:
            self._last = parsed
            yield parsed

    def end(self) -> Iterator[Any]:
        parsed = self._parsed(partial=False)
        if parsed is None or parsed != self._last:
            yield parsed

    def _parsed(self, *, partial: bool) -> Any:
        message = self._message or AIMessage("")
        return self._parser.parse_result([ChatGeneration(message=message)], partial=partial)


def _message_of(result: list[Generation]) -> AIMessage:
    generation = result[0]
    if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
        return generation.message
    return AIMessage(generation.text)


def _json_of(message: AIMessage) -> dict[str, Any]:
    text = message.text.strip()
    for opening, closing in _FENCES:
        if text.startswith(opening) and text.endswith(closing):
            text = text.removeprefix(opening).removesuffix(closing)
    try:
        answer = from_json(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        msg = f"The answer is no whole JSON object: {message.text!r}.{_hint(message)}"
        raise OutputParserException(msg, llm_output=message.text)
    return answer


def _hint(message: AIMessage) -> str:
    if message.response_metadata.get("finish_reason") != "length":
        return ""
    return " The token limit cut it: raise max_tokens, or lower reasoning_effort."
