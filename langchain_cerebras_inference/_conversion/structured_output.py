"""Parse completions into objects that match a schema.

Incomplete JSON is accepted only while the completion is still arriving. At its end it must be a
complete object; a pydantic class also validates it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cache
from typing import Any

from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import AddableDict, RunnableConfig
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, RootModel
from pydantic_core import from_json

from langchain_cerebras_inference import _surrogates
from langchain_cerebras_inference._conversion import response_format, tool_arguments

_ModelRefusalError: Any = getattr(exceptions, "ModelRefusalError", OutputParserException)
"""langchain-core's error for a refusal. Before version 1.7.5, it had none."""

_INCOMPLETE_NUMBER = r"(?:[0-9](?:\.|[eE][+-]?)|-)\Z"


class StructuredOutputParser(BaseTransformOutputParser[Any]):
    """Parses the text of a completion, or the arguments of a tool call, into an object."""

    object_schema: Any = None
    """The schema of the object. A pydantic class validates the object. With any other schema,
    the output is the JSON object, which is not validated here."""

    tool_name: str | None = None
    """The name of the tool whose arguments are the object. `None` parses the text."""

    include_raw: bool = False
    """Whether the output is a dict of `raw` (the message), `parsed` and `parsing_error`.
    An error is then part of the output instead of being raised."""

    @property
    def OutputType(self) -> Any:  # noqa: N802 # a name of LangChain
        """The type of the output: the pydantic class, or a dict."""
        is_class = is_basemodel_subclass(self.object_schema) and not self.include_raw
        return self.object_schema if is_class else dict[str, Any]

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return a pydantic class whose JSON schema describes the output."""
        schema = self.OutputType
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return schema
        json_schema: dict[str, Any] = {"title": "Object", "type": "object"}
        if self.object_schema is not None:
            json_schema = response_format.to_json_schema(self.object_schema)
        if self.include_raw:
            json_schema = _describe_output_with_raw(json_schema)
        return _create_output_class(json_schema)

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse a completion.

        Args:
            result: The generations of a completion. Only the first one is parsed.
            partial: Whether the completion is still arriving. The output is then the object
                so far, or `None` as long as there is none.

        Raises:
            OutputParserException: If a complete completion does not match the schema.
            ModelRefusalError: If the model refuses (langchain-core 1.7.5 or newer).
        """
        generation = result[0]
        message = generation.message if isinstance(generation, ChatGeneration) else None
        if not isinstance(message, AIMessage):
            message = AIMessage(generation.text)
        if partial:
            return self.parse_partial_message(message)
        if self.include_raw:
            return {"raw": message, **self.try_parse_message(message)}
        return self.parse_message(message)

    def parse(self, text: str) -> Any:
        """Parse the text of a completion."""
        return self.parse_result([Generation(text=text)])

    def parse_message(self, message: AIMessage) -> Any:
        """Parse a complete message.

        Raises:
            OutputParserException: If the message does not match the schema.
            ModelRefusalError: If the model refuses (langchain-core 1.7.5 or newer).
        """
        _raise_if_refused(message)
        if self.tool_name:
            return self._validate(_get_tool_arguments(message, self.tool_name))
        return self._validate(_parse_json_object(message))

    def try_parse_message(self, message: AIMessage) -> dict[str, Any]:
        """Parse a complete message; return the object or the error, in a dict."""
        try:
            return {"parsed": self.parse_message(message), "parsing_error": None}
        except (OutputParserException, _ModelRefusalError) as error:
            return {"parsed": None, "parsing_error": error}

    def parse_partial_message(self, message: AIMessage) -> Any:
        """Parse a message that is still arriving; return `None` as long as it has no object."""
        text: str = message.text
        if self.tool_name:
            chunks = getattr(message, "tool_call_chunks", ())
            arguments = (chunk["args"] for chunk in chunks if chunk["name"] == self.tool_name)
            text = next(arguments, None) or ""
        try:
            value = _parse_partial_json(text) if text else None
            return self._validate(value) if isinstance(value, dict) else None
        except (ValueError, RecursionError):
            return None

    def _validate(self, value: dict[str, Any]) -> Any:
        schema = self.object_schema
        if not is_basemodel_subclass(schema):
            return value
        try:
            if hasattr(schema, "model_validate_json"):
                return schema.model_validate_json(_surrogates.encode_json(value))
            return schema.parse_obj(value)  # pydantic 1
        except ValueError as error:
            raise OutputParserException(
                f"The completion does not match {schema.__name__}: {error}",
                llm_output=str(value),
            ) from error

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:
        stream = _ParsedStream(self)
        for chunk in input:
            yield from stream.add(chunk)
        yield from stream.finish()

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:
        stream = _ParsedStream(self)
        async for chunk in input:
            for output in stream.add(chunk):
                yield output
        for output in stream.finish():
            yield output


class _ParsedStream:
    """Accumulates the chunks of one stream, and returns the outputs to yield for them."""

    def __init__(self, parser: StructuredOutputParser) -> None:
        self._parser = parser
        self._message: Any = None
        self._last_output: Any = None

    def add(self, chunk: str | BaseMessage) -> list[Any]:
        """Add a chunk; return it as `raw`, or the object so far if that has changed."""
        message = AIMessageChunk(content=chunk) if isinstance(chunk, str) else chunk
        self._message = message if self._message is None else self._message + message
        if self._parser.include_raw:
            return [AddableDict(raw=message)]
        output = self._parser.parse_partial_message(self._message)
        if output is None or output == self._last_output:
            return []
        self._last_output = output
        return [output]

    def finish(self) -> list[Any]:
        """Parse the complete message; return the output unless it has already been yielded."""
        message = self._message or AIMessage("")
        if self._parser.include_raw:
            return [AddableDict(self._parser.try_parse_message(message))]
        output = self._parser.parse_message(message)
        return [] if output == self._last_output else [output]


def _raise_if_refused(message: AIMessage) -> None:
    for item in message.content_blocks:
        # Before langchain-core knew refusals, it kept them inside of other blocks.
        block = item["value"] if item["type"] == "non_standard" else item
        if block.get("type") != "refusal":
            continue
        if _ModelRefusalError is not OutputParserException:
            raise _ModelRefusalError.from_refusal(block, raw_message=message)
        raise OutputParserException(
            f"The model refuses to respond. {block.get('refusal', '')}".strip(),
            llm_output=message.text,
        )


def _get_tool_arguments(message: AIMessage, tool_name: str) -> dict[str, Any]:
    for call in message.tool_calls:
        if call["name"] == tool_name:
            return call["args"]
    invalid_arguments = [
        tool_arguments.remove_truncation_marker(call["args"] or "")
        for call in message.invalid_tool_calls
        if call["name"] == tool_name
    ]
    if invalid_arguments:
        reason = f"The arguments are truncated or invalid: {invalid_arguments[0]!r}"
    elif message.tool_calls:
        names = ", ".join(repr(call["name"]) for call in message.tool_calls)
        reason = f"It calls {names}, and the text is {message.text!r}"
    else:
        reason = f"The text is {message.text!r}"
    raise OutputParserException(
        f"The completion has no valid call of the tool {tool_name!r}. {reason}."
        f"{_explain_token_limit(message)}",
        llm_output=message.text,
    )


def _parse_json_object(message: AIMessage) -> dict[str, Any]:
    value = tool_arguments.parse_object(message.text.strip())
    if value is None:
        raise OutputParserException(
            f"The completion is not a complete JSON object: {message.text!r}."
            f"{_explain_token_limit(message)}",
            llm_output=message.text,
        )
    return value


def _parse_partial_json(text: str) -> Any:
    """Parse JSON whose end has not arrived yet.

    pydantic's parser is a hundred times faster than langchain-core's, and is called for every
    chunk. It drops a number at the end that is not complete, and rejects lone surrogates and
    control characters.

    Raises:
        ValueError: If the text is not the beginning of JSON.
    """
    if _knows_partial_strings() and not re.search(_INCOMPLETE_NUMBER, text[-3:]):
        try:
            return from_json(text, allow_partial="trailing-strings")
        except (ValueError, TypeError):
            pass
    text, _ = tool_arguments.replace_lone_surrogates(text)
    return parse_partial_json(text)


@cache
def _knows_partial_strings() -> bool:
    """Return whether pydantic parses a string whose end is missing (since version 2.10)."""
    return bool(from_json('["a', allow_partial="trailing-strings") == ["a"])


def _explain_token_limit(message: AIMessage) -> str:
    if message.response_metadata.get("finish_reason") != "length":
        return ""
    return " It stopped at the token limit. Raise max_tokens or lower reasoning_effort."


def _describe_output_with_raw(json_schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an output with `raw`, `parsed` and `parsing_error`."""
    # References in the schema point to definitions at its root.
    definitions = {
        name: json_schema[name] for name in ("$defs", "definitions") if name in json_schema
    }
    parsed = {name: value for name, value in json_schema.items() if name not in definitions}
    properties = {
        "raw": {"title": "AIMessage", "type": "object"},
        "parsed": {"anyOf": [parsed, {"type": "null"}]},
        "parsing_error": {"title": "Exception"},
    }
    return {
        "title": f"{json_schema.get('title', 'Object')}WithRaw",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        **definitions,
    }


def _create_output_class(json_schema: dict[str, Any]) -> type[BaseModel]:
    """Create a pydantic class that shows a JSON schema, and accepts any dict."""

    class Output(RootModel[dict[str, Any]]):
        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return json_schema

    Output.__name__ = str(json_schema.get("title", "Object"))
    return Output
