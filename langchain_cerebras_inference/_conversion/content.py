"""Message content, in every shape LangChain has for it → text or parts for the wire.

Text in parts is joined, so that the same conversation is the same bytes and the prompt
cache hits. Images go as base64 data, the one form Cerebras takes.
Source: https://inference-docs.cerebras.ai/capabilities/image-understanding
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

THOUGHTS = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content"})
"""Blocks that hold what the model thought: they travel apart from the text."""

_CALLS = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call"}
)
_ELSEWHERE = THOUGHTS | _CALLS | {"cachePoint"}
"""Blocks that are no text: they travel elsewhere, or mark where Bedrock caches."""

_SHOWN = frozenset(
    {"text", "image", "image_url", "audio", "input_audio", "video", "file", "media"}
)
"""Blocks that a reader would miss: to leave one out would change what was said."""

_SEEN_FORMATS = ("data:image/png;base64,", "data:image/jpeg;base64,")


def to_text(content: str | list[Any]) -> str:
    """The text of a message's content; thoughts and tool calls travel elsewhere."""
    return content if isinstance(content, str) else "".join(map(_text_of, _here(content)))


def to_speech(content: str | list[Any]) -> str:
    """The text of an assistant's turn.

    What another provider's server did in it, a search say, is no word of the assistant's
    and is left out.
    """
    if isinstance(content, str):
        return content
    return to_text([each for each in content if _is_said(each)])


def to_parts(content: str | list[Any]) -> str | list[dict[str, Any]]:
    """The content of a user message: text, or parts where it holds images."""
    if isinstance(content, str):
        return content
    if not any(_is_image(block) for block in content):
        return to_text(content)
    return [
        {"type": "image_url", "image_url": {"url": _image_url(block)}}
        if _is_image(block)
        else {"type": "text", "text": _text_of(block)}
        for block in _here(content)
    ]


def _here(content: list[Any]) -> list[Any]:
    return [block for block in content if _type_of(block) not in _ELSEWHERE]


def _type_of(block: Any) -> str:
    """The type of a block; one of Bedrock's has a key of that name instead."""
    if not isinstance(block, dict):
        return "text"
    return str(block.get("type") or next(iter(block), "text"))


def _text_of(block: Any) -> str:
    if isinstance(block, str):
        return block
    if isinstance(block, dict):
        text = block.get("refusal" if block.get("type") == "refusal" else "text")
        if isinstance(text, str):
            return text
    msg = f"a {_type_of(block)!r} block cannot be sent to Cerebras as text."
    raise ValueError(msg)


def _is_said(block: Any) -> bool:
    if not isinstance(block, dict):
        return True
    if _type_of(block) == "text":  # Anthropic's may hold nothing but citations
        return block.get("text", "") is not None
    says = block.get("text") or block.get("refusal")
    return _type_of(block) in _SHOWN or isinstance(says, str)


def _is_image(block: Any) -> bool:
    return _type_of(block) in {"image", "image_url"}


def _image_url(block: Mapping[str, Any]) -> str:
    """The data URI of an image in any of LangChain's shapes; `detail` is not known."""
    given = block.get("image_url")
    url = given.get("url") if isinstance(given, dict) else given
    encoded = block.get("base64") or block.get("data")
    if encoded is None and isinstance(source := block.get("source"), dict):
        block, encoded = (
            source | {"mime_type": source.get("media_type")},
            source.get("data"),
        )
    if encoded is not None:
        url = f"data:{block.get('mime_type') or 'image/jpeg'};base64,{encoded}"
    url = url or block.get("url")
    if isinstance(url, str):
        url = url.replace("data:image/jpg;", "data:image/jpeg;", 1)
    if not isinstance(url, str) or not url.startswith(_SEEN_FORMATS):
        msg = "Cerebras takes images as base64 PNG or JPEG data, not by URL or file id."
        raise ValueError(msg)
    try:
        base64.b64decode(url.partition(",")[2], validate=True)
    except binascii.Error as error:
        msg = f"the data of an image is no base64: {error}."
        raise ValueError(msg) from None
    return url
