"""Estimate the prompt tokens of a request without a tokenizer.

A tokenizer would be a download, and an estimate is enough for trimming and pacing. For
gpt-oss it follows the harmony template, which leaves out earlier reasoning and writes
tools like TypeScript (https://cookbook.openai.com/articles/openai-harmony). For other
models it is rather too high: it counts everything that is sent, and a long preamble.
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
# What byte-pair vocabularies usually keep as one token: words, letters of other scripts,
# numbers, punctuation, whitespace, or any other single character.
_TOKENS_PATTERN = (
    r" ?[A-Z]?[a-z]{1,12}| ?[A-Z]{1,3}| ?[\u00c0-\u1fff]{1,3}"
    r"|\d{1,3}| ?[!-/:-@\[-`{-~]{1,2}|\s+|."
)
_JSON_PUNCTUATION = r'[{}\[\]":, ]+'

IMAGE_TOKENS = 2_304
"""The maximum that Cerebras counts for one image."""

# Tokens that the harmony template adds: once, and for each message, tool call and tool.
_PREAMBLE = 63
_MESSAGE = {"user": 4, "assistant": 6, "system": 9, "developer": 9, "tool": 14}
_TOOL_CALL = 6
_TOOLS_PREAMBLE = 24
_TOOL = 8

# For other models: the longest template that was recorded, and a vocabulary that needs a
# fifth more tokens.
_OTHER_PREAMBLE = 48
_OTHER_MESSAGE = 10
_OTHER_TOOLS_PREAMBLE = 280
_OTHER_VOCABULARY = 1.2


def estimate_tokens(text: str) -> int:
    """Estimate the number of tokens of a text."""
    return len(re.findall(_TOKENS_PATTERN, text))


def estimate_message_tokens(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    model: str,
) -> int:
    """Estimate the `prompt_tokens` of the messages and tools of a request.

    Args:
        messages: The messages, as they are sent.
        tools: The tools in OpenAI's form.
        model: The id of the model, which decides about the template.
    """
    if "gpt-oss" in model:
        parts = [*map(_count_message, messages), *map(_count_tool, tools or ())]
        return _PREAMBLE + (_TOOLS_PREAMBLE if tools else 0) + sum(parts)
    parts = [*map(_count_other_message, messages), *map(_count_json, tools or ())]
    preamble = _OTHER_PREAMBLE + (_OTHER_TOOLS_PREAMBLE if tools else 0)
    return preamble + math.ceil(_OTHER_VOCABULARY * sum(parts))


def _count_message(message: Mapping[str, Any]) -> int:
    """Count a message for gpt-oss."""
    functions = [call["function"] for call in message.get("tool_calls") or ()]
    calls = sum(
        _TOOL_CALL + estimate_tokens(function["name"] + function["arguments"])
        for function in functions
    )
    return _MESSAGE.get(message["role"], 9) + _count_content(message.get("content")) + calls


def _count_tool(tool: Mapping[str, Any]) -> int:
    """Count a tool for gpt-oss, whose template writes it without most punctuation."""
    encoded = json.dumps(tool["function"], ensure_ascii=False)
    return _TOOL + estimate_tokens(re.sub(_JSON_PUNCTUATION, " ", encoded))


def _count_other_message(message: Mapping[str, Any]) -> int:
    text = _count_content(message.get("content")) + _count_content(message.get("reasoning"))
    return _OTHER_MESSAGE + text + _count_json(message.get("tool_calls") or [])


def _count_content(content: str | Sequence[Mapping[str, Any]] | None) -> int:
    if isinstance(content, str):
        return estimate_tokens(content)
    images = [part for part in content or () if part["type"] == "image_url"]
    texts = [part.get("text", "") for part in content or ()]
    return IMAGE_TOKENS * len(images) + sum(map(estimate_tokens, texts))


def _count_json(value: object) -> int:
    return estimate_tokens(json.dumps(value, ensure_ascii=False))
