"""Content blocks of messages whose `model_provider` is `"cerebras"`.

langchain-core calls the translator of the provider, which this module registers at import. The
index of a block is a string that begins with `lc_`, because langchain-core merges blocks that
have the same index. With its default, an integer, the first tool call would be merged with the
text or the reasoning before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages.block_translators import register_translator

from langchain_cerebras_inference._conversion.completion import CONTENT_FILTER, PROVIDER

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.messages.content import ContentBlock


TEXT_INDICES = {"reasoning": "lc_rs_0", "text": "lc_txt_0"}
TOOL_CALL_INDEX_PREFIX = "lc_tc_"

_LANGCHAIN_TOOL_CALL_TYPES = frozenset({"tool_call", "tool_call_chunk", "invalid_tool_call"})


def translate_message(message: AIMessage) -> list[ContentBlock]:
    """Return the content blocks of a message: reasoning, text, tool calls, then a refusal."""
    blocks = _get_text_blocks(message)
    blocks += [
        {"type": "tool_call", "name": call["name"], "args": call["args"], "id": call["id"]}
        for call in message.tool_calls
    ]
    blocks += [{"type": "invalid_tool_call", **call} for call in message.invalid_tool_calls]
    return blocks + _get_refusal_blocks(message)


def translate_chunk(chunk: AIMessageChunk) -> list[ContentBlock]:
    """Translate a chunk, or the sum of several chunks, to blocks.

    The sum of all chunks has the same blocks as a message. In all others, the tool calls become
    blocks of the type `tool_call_chunk`.
    """
    # The last chunk itself, before it is added to others, may have markers for truncated
    # arguments: tool call chunks without a name.
    has_names = all(call["name"] for call in chunk.tool_call_chunks)
    if chunk.chunk_position == "last" and has_names:
        return translate_message(chunk)
    blocks: list[Any] = [
        {**block, "index": TEXT_INDICES[block["type"]]}
        if block["type"] in TEXT_INDICES
        else block
        for block in _get_text_blocks(chunk)
    ]
    blocks += [
        {
            "type": "tool_call_chunk",
            "id": call["id"],
            "name": call["name"],
            "args": call["args"],
            "index": f"{TOOL_CALL_INDEX_PREFIX}{call['index']}",
        }
        for call in chunk.tool_call_chunks
    ]
    return blocks + _get_refusal_blocks(chunk)


def create_refusal_blocks(finish_reason: str | None) -> list[dict[str, Any]]:
    """Return a refusal block, without a text, if the finish reason is a refusal."""
    if finish_reason != CONTENT_FILTER:
        return []
    return [{"type": "refusal", "refusal": "", "extras": {"finish_reason": finish_reason}}]


def _get_refusal_blocks(message: AIMessage) -> list[Any]:
    """Return the refusal block of a message, unless its content already has one."""
    content = message.content if isinstance(message.content, list) else []
    if any(isinstance(block, dict) and block.get("type") == "refusal" for block in content):
        return []
    return create_refusal_blocks(message.response_metadata.get("finish_reason"))


def _get_text_blocks(message: AIMessage) -> list[Any]:
    """Return the blocks of the reasoning and the content, without tool calls."""
    blocks: list[Any] = []
    if reasoning := message.additional_kwargs.get("reasoning_content"):
        blocks.append({"type": "reasoning", "reasoning": reasoning})
    if isinstance(message.content, str):
        if message.content:
            blocks.append({"type": "text", "text": message.content})
        return blocks
    blocks += [
        block
        for block in message.content
        if isinstance(block, dict) and block.get("type") not in _LANGCHAIN_TOOL_CALL_TYPES
    ]
    return blocks


register_translator(PROVIDER, translate_message, translate_chunk)
