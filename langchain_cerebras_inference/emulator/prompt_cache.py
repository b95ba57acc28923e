"""The prompt cache: it counts the tokens at the start of a prompt that were sent before."""

import hashlib
from collections.abc import Iterator
from itertools import takewhile

from langchain_cerebras_inference.emulator.request_schema import ChatRequest
from langchain_cerebras_inference.emulator.tokens import CHARACTERS_PER_TOKEN, render_prompt

BLOCK_TOKENS = 128


class PromptCache:
    """Remembers the prefixes of all prompts, separately for each API key and model.

    A prefix ends after each full block of `BLOCK_TOKENS` tokens.
    """

    def __init__(self) -> None:
        self._prefixes: set[bytes] = set()

    def add(self, request: ChatRequest, api_key: str | None) -> int:
        """Add a prompt, and return how many of its tokens were already cached."""
        prefixes = list(_hash_prefixes(request, api_key))
        cached_blocks = len(list(takewhile(self._prefixes.__contains__, prefixes)))
        self._prefixes.update(prefixes)
        return BLOCK_TOKENS * cached_blocks


def _hash_prefixes(request: ChatRequest, api_key: str | None) -> Iterator[bytes]:
    """Yield a hash for each full block of the prompt, including everything before the block."""
    prompt = render_prompt(request)
    block_size = BLOCK_TOKENS * CHARACTERS_PER_TOKEN
    prefix = hashlib.blake2b(f"{api_key} {request.model}".encode())
    for start in range(0, len(prompt) - block_size + 1, block_size):
        block = prompt[start : start + block_size]
        prefix.update(block.encode(errors="replace"))
        yield prefix.digest()
