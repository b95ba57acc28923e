"""Estimate the prompt tokens of a request without a tokenizer.

A tokenizer would be a download, and an estimate is enough for trimming conversations. For the
quota, `_pacing` has a faster and less exact estimate.

For gpt-oss, the estimate follows the harmony template, which leaves out earlier reasoning and
writes tools like TypeScript (https://cookbook.openai.com/articles/openai-harmony). For other
models it is too high rather than too low: it counts everything in the request, and a long
preamble.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

# `re` compiles these patterns at their first use and caches them, which keeps the import
# fast.
#
# Matches what is usually one token of a byte-pair vocabulary: a word, letters of other scripts,
# a number, punctuation, whitespace, or any other single character.
_TOKENS_PATTERN = (
    r" ?[A-Z]?[a-z]{1,12}| ?[A-Z]{1,3}| ?[\u00c0-\u1fff]{1,3}"
    r"|\d{1,3}| ?[!-/:-@\[-`{-~]{1,2}|\s+|."
)
_JSON_PUNCTUATION = r'[{}\[\]":, ]+'

IMAGE_TOKENS = 2_304
"""The maximum that Cerebras counts for one image."""

# Tokens that the harmony template adds to a request, a message, a tool call and a tool.
_PREAMBLE_TOKENS = 63
_MESSAGE_TOKENS = {"user": 4, "assistant": 6, "system": 9, "developer": 9, "tool": 14}
_TOOL_CALL_TOKENS = 6
_TOOLS_PREAMBLE_TOKENS = 24
_TOOL_TOKENS = 8

# Tokens that the longest template of another model adds, according to recorded responses.
_OTHER_PREAMBLE_TOKENS = 48
_OTHER_MESSAGE_TOKENS = 10
_OTHER_TOOLS_PREAMBLE_TOKENS = 280

# Other vocabularies need up to a fifth more tokens for the same text.
_OTHER_VOCABULARY_FACTOR = 1.2


def estimate_tokens(text: str) -> int:
    """Estimate the number of tokens of a string."""
    return len(re.findall(_TOKENS_PATTERN, text))


def estimate_message_tokens(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    model: str,
) -> int:
    """Estimate the `prompt_tokens` of the messages and tools of a request.

    Args:
        messages: The messages of the request.
        tools: The tools in OpenAI's format.
        model: The id of the model. The template depends on it.
    """
    if "gpt-oss" in model:
        counts = [
            *map(_count_gpt_oss_message, messages),
            *map(_count_gpt_oss_tool, tools or ()),
        ]
        preamble = _PREAMBLE_TOKENS + (_TOOLS_PREAMBLE_TOKENS if tools else 0)
        return preamble + sum(counts)
    counts = [*map(_count_other_message, messages), *map(_count_json, tools or ())]
    preamble = _OTHER_PREAMBLE_TOKENS + (_OTHER_TOOLS_PREAMBLE_TOKENS if tools else 0)
    return preamble + math.ceil(_OTHER_VOCABULARY_FACTOR * sum(counts))


def _count_gpt_oss_message(message: Mapping[str, Any]) -> int:
    functions = [call["function"] for call in message.get("tool_calls") or ()]
    calls = sum(
        _TOOL_CALL_TOKENS + estimate_tokens(function["name"] + function["arguments"])
        for function in functions
    )
    content = _count_content(message.get("content"))
    return _MESSAGE_TOKENS[message["role"]] + content + calls


def _count_gpt_oss_tool(tool: Mapping[str, Any]) -> int:
    """Count a tool, which the template of gpt-oss writes without most punctuation."""
    encoded = json.dumps(tool["function"], ensure_ascii=False)
    return _TOOL_TOKENS + estimate_tokens(re.sub(_JSON_PUNCTUATION, " ", encoded))


def _count_other_message(message: Mapping[str, Any]) -> int:
    """Count a message for any other model than gpt-oss."""
    text = _count_content(message.get("content")) + _count_content(message.get("reasoning"))
    return _OTHER_MESSAGE_TOKENS + text + _count_json(message.get("tool_calls") or [])


def _count_content(content: str | Sequence[Mapping[str, Any]] | None) -> int:
    if isinstance(content, str):
        return estimate_tokens(content)
    images = [part for part in content or () if part["type"] == "image_url"]
    texts = [part.get("text", "") for part in content or ()]
    return IMAGE_TOKENS * len(images) + sum(map(estimate_tokens, texts))


def _count_json(value: object) -> int:
    return estimate_tokens(json.dumps(value, ensure_ascii=False))
