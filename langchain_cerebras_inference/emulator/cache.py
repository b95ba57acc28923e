"""The prompt cache: whole blocks of a prefix that was sent before."""

import hashlib
from collections.abc import Iterator

from langchain_cerebras_inference.emulator.records import Request
from langchain_cerebras_inference.emulator.tokens import CHARACTERS_PER_TOKEN, prompt_text

BLOCK = 128


class PromptCache:
    """Digests of every prefix seen, apart for each key and model."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def tokens(self, request: Request) -> int:
        """How many tokens of the prompt are cached; from now on all of them are."""
        prefixes = list(_prefixes(request))
        known = [prefix in self._seen for prefix in prefixes]
        self._seen.update(prefixes)
        return BLOCK * (known.index(False) if False in known else len(known))


def _prefixes(request: Request) -> Iterator[bytes]:
    """A digest of each whole block of the prompt and all before it."""
    text = prompt_text(request.body).encode(errors="replace")
    size = BLOCK * CHARACTERS_PER_TOKEN
    seen = hashlib.blake2b(f"{request.bearer} {request.body['model']}".encode())
    for start in range(0, len(text) - size + 1, size):
        seen.update(text[start : start + size])
        yield seen.digest()
