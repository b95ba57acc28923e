"""Content blocks of messages whose `model_provider` is `"cerebras"`.

langchain-core asks the provider's translator. The indices are strings that begin with
`lc_`: core merges blocks by index, and with the integers of its own best effort a first
tool call is merged into the text or the reasoning before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages.block_translators import register_translator

from langchain_cerebras_inference._conversion.completion import PROVIDER

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.messages.content import ContentBlock


INDEX = {"reasoning": "lc_rs_0", "text": "lc_txt_0"}
CALL_INDEX = "lc_tc_"


def to_blocks(message: AIMessage) -> list[ContentBlock]:
    """The blocks of a whole message: reasoning, text, calls, invalid calls."""
    blocks: list[Any] = _said(message)
    blocks += [
        {
            "type": "tool_call",
            "name": call["name"],
            "args": call["args"],
            "id": call["id"],
        }
        for call in message.tool_calls
    ]
    blocks += [{"type": "invalid_tool_call", **call} for call in message.invalid_tool_calls]
    return blocks


def to_chunk_blocks(chunk: AIMessageChunk) -> list[ContentBlock]:
    """The blocks of a chunk, or of chunks added up; whole calls once the last is in."""
    if chunk.chunk_position == "last" and _has_whole_calls(chunk):
        return to_blocks(chunk)
    blocks: list[Any] = [
        {**block, "index": INDEX[block["type"]]} if block["type"] in INDEX else block
        for block in _said(chunk)
    ]
    blocks += [
        {
            "type": "tool_call_chunk",
            "id": call["id"],
            "name": call["name"],
            "args": call["args"],
            "index": f"{CALL_INDEX}{call['index']}",
        }
        for call in chunk.tool_call_chunks
    ]
    return blocks


def _said(message: AIMessage) -> list[Any]:
    blocks: list[Any] = []
    if reasoning := message.additional_kwargs.get("reasoning_content"):
        blocks.append({"type": "reasoning", "reasoning": reasoning})
    if isinstance(message.content, str):
        if message.content:
            blocks.append({"type": "text", "text": message.content})
    else:
        blocks += [block for block in message.content if _is_said(block)]
    return blocks


def _is_said(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") not in {
        "tool_call",
        "tool_call_chunk",
        "invalid_tool_call",
    }


def _has_whole_calls(chunk: AIMessageChunk) -> bool:
    """A chunk that ends a call it did not begin has no name for it."""
    return all(call["name"] for call in chunk.tool_call_chunks)


register_translator(PROVIDER, to_blocks, to_chunk_blocks)
