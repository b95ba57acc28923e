"""The message chunks of one stream.

Each chunk has only one kind of content: reasoning, text or tool calls. Usage and metadata are
in the last chunk only: when chunks are added, langchain-core sums their usage and concatenates
strings in their metadata.

Chunks of text and of reasoning are created without pydantic's validating constructor, which
takes most of the time and which a stream would call thousands of times. An import-time check
compares such a chunk with a validated one. If they differ with an installed version of
langchain-core or pydantic, the validating constructor is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import BaseModel

from langchain_cerebras_inference._conversion import tool_arguments
from langchain_cerebras_inference._conversion.completion import PROVIDER
from langchain_cerebras_inference._conversion.deltas import (
    REASONING,
    TEXT,
    Delta,
    DeltaParser,
)
from langchain_cerebras_inference._private_names_switch import PRIVATE_NAMES_ALLOWED

if TYPE_CHECKING:
    from langchain_core.messages import ToolCallChunk

    from langchain_cerebras_inference._types import StreamEvent


class ChunkBuilder(DeltaParser):
    """Builds the chunks of one stream from its events.

    Attributes:
        is_complete: Whether the last chunk has been built.
    """

    is_complete = False

    def build_chunks(self, events: list[StreamEvent]) -> list[ChatGenerationChunk]:
        """Build the chunks for events that have arrived together.

        Args:
            events: The next events. An empty list is the end of the stream; it gives the
                last chunk.

        Raises:
            CerebrasProtocolError: If an event has a value of the wrong type.
        """
        if not events:
            self.is_complete = True
            return [self.build_last_chunk()]
        return convert_deltas(self.parse_deltas(events))

    def build_last_chunk(self) -> ChatGenerationChunk:
        """Build the last chunk of the stream.

        It has usage and metadata, and a marker (see `tool_arguments`) for each call whose
        arguments are truncated or invalid.
        """
        metadata = self.get_metadata()
        message = AIMessageChunk(
            content="",
            tool_call_chunks=[
                tool_call_chunk(
                    name=None,
                    args=tool_arguments.create_truncation_marker(call.arguments),
                    id=None,
                    index=call.index,
                )
                for call in self.tool_calls
                if self.parse_arguments(call) is None
            ],
            usage_metadata=self.get_usage(),
            response_metadata=metadata,
            chunk_position="last",
        )
        generation_info = {"finish_reason": metadata["finish_reason"]}
        return ChatGenerationChunk(message=message, generation_info=generation_info)


def convert_deltas(deltas: list[Delta]) -> list[ChatGenerationChunk]:
    """Build one chunk for each delta."""
    chunks = []
    for kind, value, logprobs in deltas:
        if kind is TEXT:
            chunk = create_chunk(value, {})
        elif kind is REASONING:
            chunk = create_chunk("", {"reasoning_content": value})
        else:
            chunk = create_chunk_with_tool_calls(value)
        if logprobs:
            chunk.message.response_metadata.update(logprobs)
        chunks.append(chunk)
    return chunks


def create_chunk_with_tool_calls(tool_call_chunks: list[ToolCallChunk]) -> ChatGenerationChunk:
    """Create a chunk with tool call chunks.

    langchain-core's constructor parses the arguments as JSON. If that fails, it retries with
    one character less each time (quadratic time). For arguments that do not begin with `{`
    this never succeeds, so the constructor is skipped.
    """
    can_be_objects = any(
        (call["args"] or "").lstrip()[:1] in {"", "{"} for call in tool_call_chunks
    )
    if can_be_objects:
        message = AIMessageChunk(
            content="",
            tool_call_chunks=tool_call_chunks,
            response_metadata={"model_provider": PROVIDER},
        )
        return ChatGenerationChunk(message=message)
    chunk = create_chunk("", {})
    # The constructor above would not have marked this field as set.
    chunk.message.model_fields_set.discard("additional_kwargs")
    message = cast("AIMessageChunk", chunk.message)
    message.tool_calls = []
    message.tool_call_chunks = tool_call_chunks
    message.invalid_tool_calls = [
        invalid_tool_call(name=call["name"], args=call["args"], id=call["id"], error=None)
        for call in tool_call_chunks
    ]
    return chunk


# --- chunks without validation ------------------------------------------------------------
# The last line of this file selects the function that is used as `create_chunk`.

_new: Any = object.__new__


def _get_slot_setter(name: str) -> Any:
    return getattr(BaseModel.__dict__.get(name), "__set__", None)


# Pydantic keeps this state of an instance in slots, outside of its `__dict__`. The setters are
# looked up once, because a lookup takes half a microsecond for each chunk.
_set_fields_set = _get_slot_setter("__pydantic_fields_set__")
_set_extra = _get_slot_setter("__pydantic_extra__")
_set_private = _get_slot_setter("__pydantic_private__")


def create_validated_chunk(text: str, additional_kwargs: dict[str, Any]) -> ChatGenerationChunk:
    """Create a chunk with pydantic's constructors.

    Args:
        text: The text of the chunk.
        additional_kwargs: The `additional_kwargs` of the message. The dict is not copied.
    """
    message = AIMessageChunk(
        content=text,
        additional_kwargs=additional_kwargs,
        response_metadata={"model_provider": PROVIDER},
    )
    return ChatGenerationChunk(message=message)


def create_unvalidated_chunk(
    text: str, additional_kwargs: dict[str, Any]
) -> ChatGenerationChunk:
    """Create the same chunk as `create_validated_chunk`, without validation.

    Attributes are set one by one to keep CPython's key-sharing dicts, which save a fifth of a
    chunk's memory.
    """
    message = _new(AIMessageChunk)
    fields = message.__dict__
    fields["content"] = text
    fields["additional_kwargs"] = additional_kwargs
    fields["response_metadata"] = {"model_provider": PROVIDER}
    fields["type"] = "AIMessageChunk"
    fields["name"] = None
    fields["id"] = None
    fields["tool_calls"] = []
    fields["invalid_tool_calls"] = []
    fields["usage_metadata"] = None
    fields["tool_call_chunks"] = []
    fields["chunk_position"] = None
    _set_fields_set(message, {"content", "additional_kwargs", "response_metadata"})
    _set_extra(message, {})
    _set_private(message, None)
    chunk = _new(ChatGenerationChunk)
    fields = chunk.__dict__
    fields["text"] = text
    fields["generation_info"] = None
    fields["type"] = "ChatGenerationChunk"
    fields["message"] = message
    _set_fields_set(chunk, {"message", "text"})
    _set_extra(chunk, None)
    _set_private(chunk, None)
    return chunk  # type: ignore[no-any-return]


def _are_identical(first: Any, second: Any) -> bool:
    return (
        type(first) is type(second)
        and list(first.__dict__) == list(second.__dict__)
        and first == second
        and first.__pydantic_fields_set__ == second.__pydantic_fields_set__
        and first.__pydantic_extra__ == second.__pydantic_extra__
        and first.__pydantic_private__ == second.__pydantic_private__
    )


def _can_skip_validation() -> bool:
    """Return whether both functions create the same chunk with the installed versions."""
    if not (PRIVATE_NAMES_ALLOWED and _set_fields_set and _set_extra and _set_private):
        return False
    unvalidated = create_unvalidated_chunk("text", {"name": "value"})
    validated = create_validated_chunk("text", {"name": "value"})
    return _are_identical(unvalidated, validated) and _are_identical(
        unvalidated.message, validated.message
    )


create_chunk = create_unvalidated_chunk if _can_skip_validation() else create_validated_chunk
