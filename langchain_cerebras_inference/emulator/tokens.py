"""Tokens, as the emulator counts them: about four characters each."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 400
MESSAGE_TOKENS = 4

_TOKEN = re.compile(r"\s?\S{1,5}|\s")


def tokens(text: str) -> list[str]:
    """`text` in pieces; joined they are `text` again."""
    return _TOKEN.findall(text)


def text_of(content: Any) -> str:
    """The text of a message's content, given as a string or as parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part.get("text", "") for part in parts if isinstance(part, Mapping))


def prompt_text(body: Mapping[str, Any]) -> str:
    """Everything the model reads, in the order in which it is cached."""
    return "\n".join(_pieces(body))


def _pieces(body: Mapping[str, Any]) -> Iterator[str]:
    for tool in body.get("tools") or ():
        yield json.dumps(tool)
    for message in body.get("messages") or ():
        yield f"{message.get('role')}: {text_of(message.get('content'))}"
        yield text_of(message.get("reasoning"))
        for call in message.get("tool_calls") or ():
            yield json.dumps(call)


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """How many tokens the prompt counts for, images included."""
    written = len(prompt_text(body)) // CHARACTERS_PER_TOKEN
    framing = MESSAGE_TOKENS * len(body.get("messages") or ())
    return written + framing + image_tokens(body)


def image_tokens(body: Mapping[str, Any]) -> int:
    """How many of them are images."""
    contents = [message.get("content") for message in body.get("messages") or ()]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return IMAGE_TOKENS * len([part for part in parts if part.get("type") == "image_url"])
