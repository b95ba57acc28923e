"""Chunks of text and of reasoning, built without pydantic's validating constructor.

That constructor is most of what a chunk costs, and a stream makes thousands. The chunks
are the same in every way that can be seen, which is checked when this is imported; on a
langchain-core or pydantic where they are not, the validating constructor is used.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_cerebras_inference._conversion.responses import PROVIDER

_GIVEN = ("content", "additional_kwargs", "response_metadata")
_set: Any = object.__setattr__
_new: Any = object.__new__


def validated(text: str, kept: dict[str, Any]) -> ChatGenerationChunk:
    """A chunk, made the plain way.

    Args:
        text: The chunk's text.
        kept: The message's `additional_kwargs`; it becomes the chunk's own.
    """
    message = AIMessageChunk(
        content=text,
        additional_kwargs=kept,
        response_metadata={"model_provider": PROVIDER},
    )
    return ChatGenerationChunk(message=message)


def bare(text: str, kept: dict[str, Any]) -> ChatGenerationChunk:
    """The same chunk, made of what pydantic would have put into it."""
    message = _new(AIMessageChunk)
    fields: dict[str, Any] = {
        "content": text,
        "additional_kwargs": kept,
        "response_metadata": {"model_provider": PROVIDER},
        "type": "AIMessageChunk",
        "name": None,
        "id": None,
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": None,
        "tool_call_chunks": [],
        "chunk_position": None,
    }
    _set(message, "__dict__", fields)
    _set(
        message,
        "__pydantic_fields_set__",
        {"content", "additional_kwargs", "response_metadata"},
    )
    _set(message, "__pydantic_extra__", {})
    _set(message, "__pydantic_private__", None)
    chunk = _new(ChatGenerationChunk)
    fields = {"text": text, "generation_info": None, "type": "ChatGenerationChunk"}
    fields["message"] = message
    _set(chunk, "__dict__", fields)
    _set(chunk, "__pydantic_fields_set__", {"message", "text"})
    _set(chunk, "__pydantic_extra__", None)
    _set(chunk, "__pydantic_private__", None)
    return chunk  # type: ignore[no-any-return]


def _are_alike(one: Any, other: Any) -> bool:
    return (
        type(one) is type(other)
        and list(one.__dict__) == list(other.__dict__)
        and one == other
        and one.__pydantic_fields_set__ == other.__pydantic_fields_set__
        and one.__pydantic_extra__ == other.__pydantic_extra__
        and one.__pydantic_private__ == other.__pydantic_private__
    )


def _is_safe() -> bool:
    """Whether this core and this pydantic make what `bare` makes."""
    one, other = bare("text", {"name": "value"}), validated("text", {"name": "value"})
    return _are_alike(one, other) and _are_alike(one.message, other.message)


chunk = bare if _is_safe() else validated
