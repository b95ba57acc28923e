"""`<think>…</think>` at the start of an answer: how older models say what they think.

Newer ones have a field for it. Only the start is looked at, so a text that speaks of
the tag stays as it is, and a stream is through with this at its first word.
"""

from __future__ import annotations

TEXT, REASONING = "text", "reasoning"

_OPENING, _CLOSING = "<think>", "</think>"


def split(said: str, *, is_whole: bool = True) -> tuple[str, str]:
    """Split an answer into reasoning and text; neither begins with a blank line.

    Args:
        said: The answer, or as much of it as has arrived.
        is_whole: Whether that is all; else what may become a tag is left out.
    """
    start = said.lstrip()
    if not start.startswith(_OPENING):
        may_begin = not is_whole and _OPENING.startswith(start)
        return "", "" if may_begin else said
    thought, closing, text = start.removeprefix(_OPENING).partition(_CLOSING)
    if not closing and not is_whole:
        thought = _without_half_a_tag(thought)
    return thought.lstrip(), text.lstrip()


def _without_half_a_tag(thought: str) -> str:
    for length in range(len(_CLOSING) - 1, 0, -1):
        if thought.endswith(_CLOSING[:length]):
            return thought[:-length]
    return thought


class Opening:
    """The start of a streamed answer, up to its first word of text."""

    def __init__(self) -> None:
        self._said = self._thought = ""

    def read(self, more: str) -> list[tuple[str, str]]:
        """Add what has arrived; return what is new and certain, and of which kind."""
        self._said += more
        return self._new(is_whole=False)

    def rest(self) -> list[tuple[str, str]]:
        """What was left out because a tag might have followed."""
        return self._new(is_whole=True)

    def _new(self, *, is_whole: bool) -> list[tuple[str, str]]:
        thought, text = split(self._said, is_whole=is_whole)
        new = thought[len(self._thought) :]
        self._thought = thought
        return [(kind, each) for kind, each in ((REASONING, new), (TEXT, text)) if each]
