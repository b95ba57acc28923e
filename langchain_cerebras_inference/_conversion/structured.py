"""Answers → parsed objects, or an error.

An answer is parsed leniently only while it is still arriving. At its end it must be
whole and fit the schema; what does not is an `OutputParserException` that says why.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from operator import itemgetter
from typing import Any, Literal, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic_core import from_json, to_json

from langchain_cerebras_inference._conversion import schemas, tools, validity

_FENCES = (("```json", "```"), ("```", "```"))


def to_response_format(schema: Any, *, strict: bool | None) -> dict[str, Any]:
    """Make the `response_format` that asks for an object of `schema`."""
    wire, is_strict = schemas.to_wire_schema(to_json_schema(schema), strict=strict)
    name = getattr(schema, "__name__", None) or wire.get("title") or "answer"
    described = {"name": tools.to_wire_name(name), "schema": wire, "strict": is_strict}
    return {"type": "json_schema", "json_schema": described}


def to_format(schema: Any, method: str, *, strict: bool | None) -> dict[str, Any]:
    """Make the `response_format` of a method of structured output.

    Raises:
        ValueError: If there is no such method, or it cannot be strict.
    """
    if method == "json_schema":
        return to_response_format(schema, strict=strict)
    if method != "json_mode":
        raise ValueError(
            f"method must be json_schema, function_calling or json_mode, not {method!r}."
        )
    if strict is not None:
        msg = "strict goes with a schema the server sees; 'json_mode' sends none."
        raise ValueError(msg)
    return {"type": "json_object"}


def to_json_schema(schema: Any) -> dict[str, Any]:
    """The JSON schema of a pydantic class of either major version, a TypedDict, a dict."""
    if inspect.isclass(schema) and hasattr(schema, "model_json_schema"):
        return dict(schema.model_json_schema())
    if inspect.isclass(schema) and is_basemodel_subclass(schema):
        return dict(cast("Any", schema).schema())
    if isinstance(schema, Mapping) and "properties" in schema:
        return dict(schema)
    return dict(to_function(schema)["parameters"])


def to_function(schema: Any) -> dict[str, Any]:
    """The name and the parameters of a schema, as of a tool."""
    function: dict[str, Any] = convert_to_openai_tool(schema)["function"]
    return function


def to_pipeline(
    llm: Runnable[Any, Any],
    schema: Any,
    *,
    tool_name: str | None,
    include_raw: bool,
) -> Runnable[Any, Any]:
    """Follow a model with the parser of its answers, or with all there is to know."""
    target = schema if inspect.isclass(schema) and is_basemodel_subclass(schema) else None
    is_checked = target is None and schema is not None
    parser = StructuredParser(
        target=target,
        json_schema=to_json_schema(schema) if is_checked else None,
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
    json_schema: dict[str, Any] | None = None
    """What a whole object must fit where there is no class."""
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
            answer = self._made(self._checked(self._object_of(message)))
        except OutputParserException as error:
            if self.wanted == "object":
                raise
            return error if self.wanted == "parsing_error" else None
        return None if self.wanted == "parsing_error" else answer

    def _parse_partial(self, message: AIMessage) -> Any:
        if self.wanted == "parsing_error":
            return None
        text = self._text_of_call(message) if self.tool_name else message.text
        try:
            return self._made(parse_partial_json(text)) if text else None
        except (ValueError, OutputParserException):
            return None

    def _object_of(self, message: AIMessage) -> Any:
        return self._arguments(message) if self.tool_name else _json_of(message)

    def _checked(self, answer: Any) -> Any:
        if self.json_schema and (fault := validity.fault_of(answer, self.json_schema)):
            msg = f"The answer does not fit the schema: {fault}."
            raise OutputParserException(msg, llm_output=str(answer))
        return answer

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
            why = f"its arguments are not whole: {cut[0]!r}"
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
