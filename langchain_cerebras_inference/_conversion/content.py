"""Convert message content, in every form that LangChain has for it.

Text blocks are joined, so that the same conversation always has the same bytes, and the prompt
cache is used. A block that Cerebras has no form for becomes JSON text. A file that Cerebras
does not accept is an error only in a prompt that the user has just written. Elsewhere it
becomes a note: the user may not be able to remove it, and every later turn would fail.

For the same reason, an image in a new user message is always sent, and one in an earlier user
message unless the model is known not to accept images. An image in a tool or assistant message,
which the user has not chosen, is sent only if the model is known to accept images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from langchain_cerebras_inference._conversion import json_text, media

REASONING_TYPES = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content"})
"""Types of blocks that contain reasoning, which is not sent as content."""

_TOOL_CALL_TYPES = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call"}
)
"""Types of blocks for tool calls, in LangChain's form and in those of other providers."""

_CACHE_POINT = frozenset({"cachePoint", "cache_point"})
"""Types of blocks that mark where Bedrock caches."""

_SKIPPED_TYPES = REASONING_TYPES | _TOOL_CALL_TYPES | _CACHE_POINT
"""Types of blocks that are sent in other fields, or not at all."""

_SKIPPED_IN_TOOL_MESSAGES = REASONING_TYPES | _CACHE_POINT

_SKIPPED_IN_ASSISTANT_MESSAGES = _SKIPPED_TYPES | {"toolUse", "reasoningContent"}

_TYPES_AS_KEY = frozenset(
    {"text", "image", "document", "video", "audio", "toolUse", "toolResult", "searchResult"}
    | {"reasoningContent", "cachePoint", "inline_data"}
)
"""Blocks of Bedrock and Google have no `type`, but a single key with the name of the type."""

_TEXT_KEYS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "summary_text": "text",
    "refusal": "refusal",
}
"""Maps types of text blocks to the key with the text."""

_DOCUMENT_TYPES = frozenset(
    {"text-plain", "document", "search_result", "searchResult", "resource"}
)

_UNSENT_KEYS = frozenset({"cache_control", "index"})
"""Keys of blocks that mean nothing to the model."""

_SERVER_CALL_TYPES = frozenset(
    {"server_tool_use", "server_tool_call", "server_tool_call_chunk", "mcp_tool_use"}
    | {"mcp_list_tools", "mcp_approval_request"}
)
_RESULT_KEYS = ("output", "outputs", "result", "results")
_KEYS_WITHOUT_CONTENT = _UNSENT_KEYS | {
    "type",
    "id",
    "status",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "citations",
    "annotations",
}

_NO_IMAGE_INPUT = "The model does not accept images, or it is not known whether it does."
_UNACCEPTED_IMAGE = "Cerebras accepts only PNG and JPEG data."
_TOO_LARGE_IMAGE = "The image has too many pixels."
_UNACCEPTED_FILE = "Cerebras does not accept such files."


class _Data(NamedTuple):
    """A block that is sent as JSON text."""

    block: Any


_Item: TypeAlias = str | _Data | media.Media
"""What a block contains: text, anything that becomes JSON text, or a file."""


class TextAndImages(NamedTuple):
    """Content of a message whose images are sent in another message.

    Attributes:
        text: The text. It mentions the images by number.
        image_urls: The data URIs of the images.
    """

    text: str
    image_urls: list[str]


# --- messages of each role ---------------------------------------------------------------


def convert_system_content(content: Any, *, is_new: bool = True) -> str:
    """Convert the content of a system message.

    Args:
        content: The content.
        is_new: Whether the message is new. In one that is not, files become notes.

    Raises:
        ValueError: If a block is a file, and the message is new.
    """
    if isinstance(content, str):
        return content
    return _join_lines(
        _convert_to_text(item, position, is_new=is_new)
        for position, item in _read_blocks(content, _SKIPPED_TYPES)
    )


def convert_user_content(
    content: Any, *, is_new: bool = True, accepts_images: bool | None = None
) -> str | list[dict[str, Any]]:
    """Convert the content of a user message to a string, or to a list if it has images.

    Args:
        content: The content.
        is_new: Whether the message is new. In one that is not, files that Cerebras does not
            accept become notes.
        accepts_images: Whether the model accepts images; `None` if this is unknown. It has no
            effect on a new message.

    Raises:
        ValueError: If a block is a file that Cerebras does not accept, and the message is new.
    """
    if isinstance(content, str):
        return content
    parts: list[dict[str, Any]] = []
    for position, item in _read_blocks(content, _SKIPPED_TYPES):
        if not isinstance(item, media.Media) or not item.is_image:
            text = _convert_to_text(item, position, is_new=is_new)
            parts.append(create_text_part(text))
        elif is_new:
            parts.append(create_image_part(_build_image_url(item, position)))
        elif accepts_images is False:
            parts.append(create_text_part(media.build_note(item, _NO_IMAGE_INPUT)))
        else:
            url, note = _build_image_url_or_note(item)
            parts.append(create_image_part(url) if url else create_text_part(note))
    if any(part["type"] == "image_url" for part in parts):
        return [part for part in parts if part.get("text") != ""]
    return _join_lines(part["text"] for part in parts)


def convert_tool_content(content: Any, *, accepts_images: bool | None = None) -> TextAndImages:
    """Convert the content of a tool message. No content is rejected."""
    if isinstance(content, str):
        return TextAndImages(content, [])
    images: list[str] = []
    lines = [
        _convert_generated_item(item, images, accepts_images=accepts_images)
        for _, item in _read_blocks(content, _SKIPPED_IN_TOOL_MESSAGES)
    ]
    return TextAndImages(_join_lines(lines), images)


def convert_assistant_content(
    content: Any, *, accepts_images: bool | None = None
) -> TextAndImages:
    """Convert the content of an assistant message. No content is rejected.

    Adjacent text blocks are parts of one text and are joined as they are. Calls of tools that
    another provider's server ran, such as a web search, are left out.
    """
    if isinstance(content, str):
        return TextAndImages(content, [])
    images: list[str] = []
    text = ""
    was_text = True
    for _, item in _read_blocks(content, _SKIPPED_IN_ASSISTANT_MESSAGES):
        if isinstance(item, _Data) and _is_left_out(item.block):
            continue
        is_text = isinstance(item, str)
        addition = _convert_generated_item(item, images, accepts_images=accepts_images)
        has_line_break = text.endswith("\n") or addition.startswith("\n")
        if text and addition and not (is_text and was_text) and not has_line_break:
            text += "\n"
        text += addition
        was_text = is_text
    return TextAndImages(text, images)


def find_tool_results(content: Any) -> list[tuple[int, Mapping[str, Any]]]:
    """Find the blocks of a user message that are results of tools, as Anthropic has them.

    Returns:
        The index of each block, and the block.
    """
    return [
        (index, block)
        for index, block in enumerate(_list_blocks(content))
        if isinstance(block, Mapping) and block.get("type") == "tool_result"
    ]


def create_text_part(text: str) -> dict[str, Any]:
    """Create a text part of a user message."""
    return {"type": "text", "text": text}


def create_image_part(url: str) -> dict[str, Any]:
    """Create an image part of a user message."""
    return {"type": "image_url", "image_url": {"url": url}}


# --- blocks ------------------------------------------------------------------------------


def _list_blocks(content: Any) -> list[Any]:
    if content is None:
        return []
    return list(content) if isinstance(content, (list, tuple)) else [content]


def _read_blocks(
    content: Any, skipped_types: frozenset[str], path: str = "content"
) -> Iterator[tuple[str, _Item]]:
    """Read the blocks of a content, and those inside of them.

    Yields:
        The position of each block, such as `content[0]`, and what it contains.
    """
    for index, block in enumerate(_list_blocks(content)):
        yield from _read_block(block, skipped_types, f"{path}[{index}]")


def _read_block(
    block: Any, skipped_types: frozenset[str], position: str
) -> Iterator[tuple[str, _Item]]:
    if isinstance(block, Mapping):
        yield from _read_mapping(block, skipped_types, position)
    elif isinstance(block, (list, tuple)):
        yield from _read_blocks(block, skipped_types, position)
    elif block is not None:
        yield position, block if isinstance(block, str) else _Data(block)


def _read_mapping(
    block: Mapping[str, Any], skipped_types: frozenset[str], position: str
) -> Iterator[tuple[str, _Item]]:
    block_type = _get_type(block)
    if block_type in skipped_types:
        return
    if block_type == "non_standard":
        yield from _read_block(block.get("value"), skipped_types, position)
    elif block_type in ("tool_result", "toolResult"):
        result = block.get("toolResult", block)
        yield from _read_blocks(result.get("content"), skipped_types, f"{position}.content")
    elif (item := _read_single_block(block, block_type)) is not None:
        yield position, item


def _get_type(block: Mapping[str, Any]) -> str:
    """Return the type of a block, or an empty string for an object that is not a block."""
    if "type" in block:
        block_type = block["type"]
        return block_type if isinstance(block_type, str) else ""
    keys = [key for key in block if key not in _UNSENT_KEYS]
    if len(keys) != 1 or keys[0] not in _TYPES_AS_KEY:
        return ""
    [key] = keys
    return key if key in ("text", "cachePoint") or isinstance(block[key], Mapping) else ""


def _read_single_block(block: Mapping[str, Any], block_type: str) -> _Item | None:
    """Return the item of a block that has no blocks inside; `None` if it has no content."""
    if block_type in _TEXT_KEYS:
        text = block.get(_TEXT_KEYS[block_type])
        if isinstance(text, str):
            return text
        return _Data(block) if text is not None or _has_content(block) else None
    if block_type in _DOCUMENT_TYPES:
        document = _read_document(block, block_type)
        if document is not None:
            return document
    if block.get("source_type") == "text" and isinstance(block.get("text"), str):
        return str(block["text"])
    return _read_file(block, block_type) or (_Data(block) if block else None)


def _read_file(block: Mapping[str, Any], block_type: str) -> media.Media | None:
    """Return the file of a block, or `None` if the block is not a file."""
    if block_type == "image_generation_call" and block.get("result"):  # OpenAI
        mime_type = f"image/{block.get('output_format') or 'png'}"
        image = {"base64": block["result"], "mime_type": mime_type}
        return media.read_media(image, "image")
    if block_type in media.MEDIA_TYPES:
        return media.read_media(block, block_type)
    if block_type in ("document", "resource"):
        file = media.read_media(block, block_type)
        return None if file.is_empty else file
    return None


def _has_content(block: Mapping[str, Any]) -> bool:
    return any(value for key, value in block.items() if key not in _KEYS_WITHOUT_CONTENT)


def _read_document(block: Mapping[str, Any], block_type: str) -> str | None:
    """Return a line with the id, title and source of a document, and then its text.

    Returns:
        The text, or `None` if the document has no text.
    """
    fields = _remove_unsent_keys(block)
    if isinstance(fields.get(block_type), Mapping):  # Bedrock, MCP
        fields |= fields.pop(block_type)
    source = fields.get("source")
    if isinstance(fields.get("text"), str):
        text = fields.pop("text")
    elif "content" in fields:
        text = convert_tool_content(fields.pop("content")).text
    elif isinstance(source, Mapping) and source.get("type") in ("text", "content"):
        text = convert_tool_content(source.get("data") or source.get("content")).text
        del fields["source"]
    else:
        return None
    for key in ("type", "mime_type", "citations"):
        fields.pop(key, None)
    header = json_text.build_json_text(fields) if any(fields.values()) else ""
    return _join_lines([header, text])


def _remove_unsent_keys(block: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a block without what means nothing to the model, such as LangChain's own ids."""
    fields = {key: value for key, value in block.items() if key not in _UNSENT_KEYS}
    if str(fields.get("id")).startswith("lc_"):
        del fields["id"]
    return fields


def _is_left_out(block: Any) -> bool:
    """Return whether a block of an assistant message has nothing that the model needs."""
    if not isinstance(block, Mapping):
        return False
    block_type = str(block.get("type") or "")
    if block_type in _SERVER_CALL_TYPES or block_type.endswith("_call"):
        return not any(block.get(key) for key in _RESULT_KEYS)
    return not _has_content(block)


# --- text and images ---------------------------------------------------------------------


def _join_lines(texts: Iterable[str]) -> str:
    return "\n".join(filter(None, texts))


def _convert_to_text(item: _Item, position: str, *, is_new: bool) -> str:
    """Convert an item of a user or system message.

    Raises:
        ValueError: If the item is a file, and the message is new.
    """
    if not isinstance(item, media.Media):
        return _write_text(item)
    if is_new:
        raise ValueError(
            f"{position} is a {item.block_type!r} block, which Cerebras does not accept here."
            " Remove it, or describe it as text."
        )
    return media.build_note(item, _UNACCEPTED_FILE)


def _convert_generated_item(
    item: _Item, image_urls: list[str], *, accepts_images: bool | None
) -> str:
    """Convert an item of a tool or assistant message.

    Args:
        item: The item.
        image_urls: The image is added to it, if the model accepts it.
        accepts_images: Whether the model accepts images; `None` if this is unknown.

    Returns:
        The text of the item, or text that mentions the file.
    """
    if not isinstance(item, media.Media):
        return _write_text(item)
    if not item.is_image or item.is_empty:
        return _write_text(_Data(item.block))
    if not accepts_images:
        return media.build_note(item, _NO_IMAGE_INPUT)
    url, note = _build_image_url_or_note(item)
    if url:
        image_urls.append(url)
        return f"[image {len(image_urls)}: see the next user message]"
    return note


def _write_text(item: str | _Data) -> str:
    if isinstance(item, str):
        return item
    block = item.block
    fields = _remove_unsent_keys(block) if isinstance(block, Mapping) else block
    return json_text.build_json_text(fields)


def _build_image_url(image: media.Media, position: str) -> str:
    try:
        return media.build_image_url(image)
    except ValueError as error:
        raise ValueError(f"{position}: {error}") from None


def _build_image_url_or_note(image: media.Media) -> tuple[str, str]:
    """Return the data URI of an image, or else the note that is sent instead of it."""
    try:
        url = media.build_image_url(image)
    except ValueError:
        return "", media.build_note(image, _UNACCEPTED_IMAGE)
    if media.is_too_large(url):
        return "", media.build_note(image, _TOO_LARGE_IMAGE)
    return url, ""
