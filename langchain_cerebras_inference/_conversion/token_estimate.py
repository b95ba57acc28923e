"""Wire messages and tools → how many tokens they are, roughly, with no tokenizer.

A tokenizer would be a download; an estimate is enough to trim and to pace by. For
gpt-oss it follows the harmony template, which shows no earlier reasoning and writes
tools like TypeScript (https://cookbook.openai.com/articles/openai-harmony). For other
models it errs on the high side: all that is sent counts, after a long preamble.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

# Patterns that `re` compiles when they are first used, and keeps.
#
# What byte-pair vocabularies tend to keep whole: words and letters of other scripts,
# numbers and marks, space, and any other character alone.
_PIECE = (
    r" ?[A-Z]?[a-z]{1,12}| ?[A-Z]{1,3}| ?[\u00c0-\u1fff]{1,3}"
    r"|\d{1,3}| ?[!-/:-@\[-`{-~]{1,2}|\s+|."
)
_JSON_MARKS = r'[{}\[\]":, ]+'

IMAGE_TOKENS = 2_304  # the most that Cerebras makes of one image

# Harmony's own tokens: before all messages, around one, around a call, around tools.
_PREAMBLE = 63
_TURNS = {"user": 4, "assistant": 6, "system": 9, "developer": 9, "tool": 14}
_CALL = 6
_TOOLS = 24
_TOOL = 8
# The longest template recorded of another model, and a vocabulary smaller by a fifth.
_OTHER_PREAMBLE = 48
_OTHER_TURN = 10
_OTHER_TOOLS = 280
_OTHER_VOCABULARY = 1.2


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text is."""
    return len(re.findall(_PIECE, text))


def estimate_message_tokens(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    model: str,
) -> int:
    """Estimate the `prompt_tokens` of wire messages and tools for a model."""
    if "gpt-oss" in model:
        parts = [*map(_turn, messages), *map(_declaration, tools or ())]
        return _PREAMBLE + (_TOOLS if tools else 0) + sum(parts)
    parts = [*map(_other_turn, messages), *map(_json_tokens, tools or ())]
    preamble = _OTHER_PREAMBLE + (_OTHER_TOOLS if tools else 0)
    return preamble + math.ceil(_OTHER_VOCABULARY * sum(parts))


def _turn(message: Mapping[str, Any]) -> int:
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    called = sum(_CALL + estimate_tokens(f["name"] + f["arguments"]) for f in calls)
    return _TURNS.get(message["role"], 9) + _content(message.get("content")) + called


def _declaration(tool: Mapping[str, Any]) -> int:
    words = re.sub(_JSON_MARKS, " ", json.dumps(tool["function"], ensure_ascii=False))
    return _TOOL + estimate_tokens(words)


def _other_turn(message: Mapping[str, Any]) -> int:
    said = _content(message.get("content")) + _content(message.get("reasoning"))
    return _OTHER_TURN + said + _json_tokens(message.get("tool_calls") or [])


def _content(content: str | Sequence[Mapping[str, Any]] | None) -> int:
    if isinstance(content, str):
        return estimate_tokens(content)
    images = [part for part in content or () if part["type"] == "image_url"]
    texts = [part.get("text", "") for part in content or ()]
    return IMAGE_TOKENS * len(images) + sum(map(estimate_tokens, texts))


def _json_tokens(value: object) -> int:
    return estimate_tokens(json.dumps(value, ensure_ascii=False))
