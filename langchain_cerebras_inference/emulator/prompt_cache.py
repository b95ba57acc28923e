"""The prompt cache: blocks of a prefix that was sent before."""

import hashlib
from collections.abc import Iterator

from langchain_cerebras_inference.emulator.request_schema import ChatRequest
from langchain_cerebras_inference.emulator.tokens import CHARACTERS_PER_TOKEN, render_prompt

BLOCK_TOKENS = 128


class PromptCache:
    """Remembers every prefix of every prompt, per API key and model."""

    def __init__(self) -> None:
        self._prefixes: set[bytes] = set()

    def add(self, request: ChatRequest, api_key: str | None) -> int:
        """Add a prompt; return how many of its tokens were cached before."""
        prefixes = list(_hash_prefixes(request, api_key))
        is_cached = [prefix in self._prefixes for prefix in prefixes]
        self._prefixes.update(prefixes)
        return BLOCK_TOKENS * [*is_cached, False].index(False)


def _hash_prefixes(request: ChatRequest, api_key: str | None) -> Iterator[bytes]:
    """Hash each full block of the prompt together with everything before it."""
    text = render_prompt(request).encode(errors="replace")
    block_size = BLOCK_TOKENS * CHARACTERS_PER_TOKEN
    prefix = hashlib.blake2b(f"{api_key} {request.model}".encode())
    for start in range(0, len(text) - block_size + 1, block_size):
        prefix.update(text[start : start + block_size])
        yield prefix.digest()
