"""Convert message content, in every form that LangChain has for it.

Text blocks are joined, so that the same conversation always has the same bytes, and the prompt
cache is used. Images are sent as base64 data, the only form that Cerebras accepts.
Source: https://inference-docs.cerebras.ai/capabilities/image-understanding
"""

from __future__ import annotations

import base64
import urllib.parse
from typing import Any

REASONING_TYPES = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content"})
"""Types of blocks that contain reasoning, which is not sent as content."""

_TOOL_CALL_TYPES = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call"}
)
"""Types of blocks for tool calls, in LangChain's form and in those of other providers."""

_SKIPPED_TYPES = REASONING_TYPES | _TOOL_CALL_TYPES | {"cachePoint"}
"""Types of blocks that are sent in other fields, or that mark where Bedrock caches."""

_CONTENT_TYPES = frozenset(
    {"text", "image", "image_url", "audio", "input_audio", "video", "file", "media"}
)
"""Blocks of an assistant message that raise an error if they cannot be sent."""

_IMAGE_TYPES = frozenset({"image", "image_url"})
_IMAGE_PREFIXES = ("data:image/png;base64,", "data:image/jpeg;base64,")


def join_text(content: str | list[Any]) -> str:
    """Join the text blocks of a message that may contain only text.

    Raises:
        ValueError: If a block is not text.
    """
    if isinstance(content, str):
        return content
    return "".join(
        _get_text(block, index)
        for index, block in enumerate(content)
        if _get_type(block) not in _SKIPPED_TYPES
    )


def join_assistant_text(content: str | list[Any]) -> str:
    """Join the text blocks of an assistant message.

    Blocks about tools that another provider's server ran, such as a web search, are left out.

    Raises:
        ValueError: If a block is an image or other content that is not text.
    """
    if isinstance(content, str):
        return content
    return "".join(
        _get_text(block, index)
        for index, block in enumerate(content)
        if _get_type(block) not in _SKIPPED_TYPES and _is_assistant_content(block)
    )


def convert_user_content(content: str | list[Any]) -> str | list[dict[str, Any]]:
    """Convert the content of a user message to a string, or to a list if it has images.

    Raises:
        ValueError: If a block is neither text nor an image with its data.
    """
    if isinstance(content, str):
        return content
    if not any(_get_type(block) in _IMAGE_TYPES for block in content):
        return join_text(content)
    parts: list[dict[str, Any]] = []
    for index, block in enumerate(content):
        block_type = _get_type(block)
        if block_type in _IMAGE_TYPES:
            url = _get_image_url(block, index)
            parts.append({"type": "image_url", "image_url": {"url": url}})
        elif block_type not in _SKIPPED_TYPES:
            parts.append({"type": "text", "text": _get_text(block, index)})
    return parts


def _get_type(block: Any) -> str:
    """Return the type of a block.

    Bedrock's blocks have no `type`, but a single key with the name of the type.
    """
    if not isinstance(block, dict):
        return "text"
    return str(block.get("type") or next(iter(block), "text"))


def _get_text(block: Any, index: int) -> str:
    if isinstance(block, str):
        return block
    if isinstance(block, dict):
        text = block.get("refusal" if block.get("type") == "refusal" else "text")
        if isinstance(text, str):
            return text
    raise ValueError(
        f"content[{index}] is a {_get_type(block)!r} block, which Cerebras does not accept"
        " here. Remove it, or describe it as text."
    )


def _is_assistant_content(block: Any) -> bool:
    if not isinstance(block, dict):
        return True
    block_type = _get_type(block)
    if block_type == "text":  # Anthropic's may have citations instead of text
        return block.get("text", "") is not None
    text = block.get("text") or block.get("refusal")
    return block_type in _CONTENT_TYPES or isinstance(text, str)


def _get_image_url(block: dict[str, Any], index: int) -> str:
    """Return the data URI of an image in any of LangChain's forms.

    Other fields of the image, such as OpenAI's `detail`, are left out, because Cerebras
    rejects them.
    """
    url = block.get("image_url") or block.get("url")
    if isinstance(url, dict):
        url = url.get("url")
    data = block.get("base64") or block.get("data")
    mime_type = block.get("mime_type")
    source = block.get("source")
    if data is None and isinstance(source, dict):  # Anthropic
        data, mime_type = source.get("data"), source.get("media_type")
    if data is not None:
        url = f"data:{mime_type or 'image/jpeg'};base64,{data}"
    if isinstance(url, str):
        url = _normalize_data_uri(url)
    if not isinstance(url, str) or not url.startswith(_IMAGE_PREFIXES):
        raise ValueError(
            f"content[{index}]: Cerebras accepts images only as base64 PNG or JPEG data, not"
            " by URL or file id. Download the image and pass its data."
        )
    try:
        base64.b64decode(url.partition(",")[2], validate=True)
    except ValueError as error:
        raise ValueError(
            f"content[{index}]: The data of the image is not valid base64 ({error})."
            " Encode it again."
        ) from None
    return url


def _normalize_data_uri(url: str) -> str:
    """Return a data URI in the only form that Cerebras accepts; return other URLs unchanged.

    The type becomes lower case, its parameters are left out, and the data gets the standard
    alphabet of base64, without line breaks.
    """
    header, comma, data = url.strip().partition(",")
    media_type, *parameters = (part.strip().lower() for part in header.split(";"))
    if not (comma and media_type.startswith("data:") and "base64" in parameters):
        return url
    if "%" in data:
        data = urllib.parse.unquote(data)
    if "\n" in data or "\r" in data:
        data = "".join(line.strip() for line in data.splitlines())
    if "-" in data or "_" in data:  # the URL-safe alphabet, which is often not padded
        data = data.replace("-", "+").replace("_", "/")
        data += "=" * (-len(data) % 4)
    if media_type == "data:image/jpg":
        media_type = "data:image/jpeg"
    return f"{media_type};base64,{data}"
