"""Count tokens.

Prompts are estimated at four characters per token; completions are split by `split_tokens`.
"""

import json
import re
from collections.abc import Iterator

from langchain_cerebras_inference.emulator.request_schema import (
    AssistantMessage,
    ChatRequest,
    ImagePart,
    join_text,
)

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_IMAGE = 400
TOKENS_PER_MESSAGE = 4
MAX_RESERVED_COMPLETION_TOKENS = 16_384

_TOKEN = re.compile(r"\s?\S{1,5}|\s")


def split_tokens(text: str) -> list[str]:
    """Split a text into tokens. The joined tokens are the text again."""
    return _TOKEN.findall(text)


def render_prompt(request: ChatRequest) -> str:
    """Join everything that the model reads: first the tools, then the messages."""
    return "\n".join(_list_prompt_lines(request))


def _list_prompt_lines(request: ChatRequest) -> Iterator[str]:
    for function in request.functions:
        yield json.dumps([function.name, function.description, function.parameters])
    for message in request.messages:
        yield f"{message.role}: {join_text(message.content)}"
        if isinstance(message, AssistantMessage):
            yield join_text(message.reasoning)
            for call in message.tool_calls or ():
                yield json.dumps([call.id, call.function.name, call.function.arguments])


def list_images(request: ChatRequest) -> list[str]:
    """List the URLs of all images."""
    parts = (part for message in request.messages for part in message.content or ())
    return [part.image_url.url for part in parts if isinstance(part, ImagePart)]


def count_image_tokens(request: ChatRequest) -> int:
    """Count the tokens of all images."""
    return TOKENS_PER_IMAGE * len(list_images(request))


def count_prompt_tokens(request: ChatRequest) -> int:
    """Estimate the tokens of the prompt, including its images."""
    text_tokens = len(render_prompt(request)) // CHARACTERS_PER_TOKEN
    message_tokens = TOKENS_PER_MESSAGE * len(request.messages)
    return text_tokens + message_tokens + count_image_tokens(request)


def count_reserved_tokens(request: ChatRequest) -> int:
    """Count the tokens that a request reserves: its prompt plus `max_completion_tokens`.

    `max_completion_tokens` counts as at most 16,384, which is also its default.
    Source: https://github.com/dcdpr/jp/pull/1085
    """
    limit = request.completion_token_limit or MAX_RESERVED_COMPLETION_TOKENS
    return count_prompt_tokens(request) + min(limit, MAX_RESERVED_COMPLETION_TOKENS)
