"""`<think>…</think>` at the start of an answer: how older models say what they think.

Newer ones have a field for it. Only the start is looked at, so a text that speaks of
the tag stays as it is, and a stream is through with this at its first word.
"""

from __future__ import annotations

TEXT, REASONING = "text", "reasoning"

_OPENING, _CLOSING = "<think>", "</think>"


def split(said: str) -> tuple[str, str]:
    """Split a whole answer into reasoning and text."""
    if _OPENING not in said:
        return "", said
    opening = Opening()
    pieces = [*opening.read(said), *opening.rest()]
    thought = "".join(piece for kind, piece in pieces if kind is REASONING)
    return thought, "".join(piece for kind, piece in pieces if kind is TEXT)


class Opening:
    """The start of an answer, up to its first word of text.

    Where there are tags, neither the thought nor the text begins with a blank line.
    """

    def __init__(self) -> None:
        self._held = ""
        self._is_opened = self._is_closed = self._has_thought = False

    def read(self, more: str) -> list[tuple[str, str]]:
        """Add what has arrived; return what is new and certain, and of which kind."""
        self._held += more
        return self._new(is_whole=False)

    def rest(self) -> list[tuple[str, str]]:
        """What was held because a tag might have followed."""
        return self._new(is_whole=True)

    def _new(self, *, is_whole: bool) -> list[tuple[str, str]]:
        if not self._is_opened:
            start = self._held.lstrip()
            if not start.startswith(_OPENING):
                may_begin = not is_whole and _OPENING.startswith(start)
                return [] if may_begin else _said("", self._taken(len(self._held)))
            self._is_opened = True
            self._held = start.removeprefix(_OPENING)
        thought = "" if self._is_closed else self._thought(is_whole=is_whole)
        text = self._taken(len(self._held)).lstrip() if self._is_closed else ""
        return _said(thought, text)

    def _thought(self, *, is_whole: bool) -> str:
        end = self._held.find(_CLOSING)
        self._is_closed = end >= 0
        if not self._is_closed:
            end = len(self._held) if is_whole else _without_half_a_tag(self._held)
        thought = self._taken(end)
        self._held = self._held.removeprefix(_CLOSING) if self._is_closed else self._held
        if not self._has_thought:
            thought = thought.lstrip()
        self._has_thought = self._has_thought or bool(thought)
        return thought

    def _taken(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        return taken


def _said(thought: str, text: str) -> list[tuple[str, str]]:
    return [(kind, each) for kind, each in ((REASONING, thought), (TEXT, text)) if each]


def _without_half_a_tag(thought: str) -> int:
    """How much of a thought is certain to be none of the closing tag."""
    for length in range(len(_CLOSING) - 1, 0, -1):
        if thought.endswith(_CLOSING[:length]):
            return len(thought) - length
    return len(thought)
