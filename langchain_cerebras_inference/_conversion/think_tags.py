"""Reasoning in `<think>` tags at the start of a completion, as older models send it.

Newer models have a field for reasoning. Tags after the first text are part of the text, so a
stream needs the parser only until its first text.
"""

from __future__ import annotations

TEXT, REASONING = "text", "reasoning"

_OPENING_TAG, _CLOSING_TAG = "<think>", "</think>"

_BEFORE_TAGS, _IN_REASONING, _AFTER_TAGS = "before tags", "in reasoning", "after tags"


def split_reasoning(content: str) -> tuple[str, str]:
    """Split the content of a whole completion into reasoning and text."""
    if _OPENING_TAG not in content:
        return "", content
    parser = ThinkTagParser()
    parts = [*parser.feed(content), *parser.close()]
    reasoning = "".join(part for kind, part in parts if kind is REASONING)
    return reasoning, "".join(part for kind, part in parts if kind is TEXT)


class ThinkTagParser:
    """Splits the content of a stream into reasoning and text, up to the first text.

    White space before the opening tag and after each tag is removed.
    """

    def __init__(self) -> None:
        self._state = _BEFORE_TAGS
        self._pending = ""  # content that may be part of a tag
        self._has_reasoning = False

    def feed(self, content: str) -> list[tuple[str, str]]:
        """Add content, and return the parts whose kind is certain, as (kind, part)."""
        self._pending += content
        return self._parse(is_end=False)

    def close(self) -> list[tuple[str, str]]:
        """Return the remaining part, which could have been part of a tag until now."""
        return self._parse(is_end=True)

    def _parse(self, *, is_end: bool) -> list[tuple[str, str]]:
        if self._state is _BEFORE_TAGS:
            start = self._pending.lstrip()
            if not start.startswith(_OPENING_TAG):
                may_become_tag = not is_end and _OPENING_TAG.startswith(start)
                return [] if may_become_tag else self._take_text()
            self._state = _IN_REASONING
            self._pending = start.removeprefix(_OPENING_TAG)
        parts = self._take_reasoning(is_end=is_end) if self._state is _IN_REASONING else []
        if self._state is _AFTER_TAGS:
            self._pending = self._pending.lstrip()
            parts += self._take_text()
        return parts

    def _take_reasoning(self, *, is_end: bool) -> list[tuple[str, str]]:
        reasoning, tag, text = self._pending.partition(_CLOSING_TAG)
        if tag:
            self._state = _AFTER_TAGS
            self._pending = text
        else:
            length = len(reasoning)
            if not is_end:
                length -= _count_tag_characters(reasoning)
            reasoning, self._pending = reasoning[:length], reasoning[length:]
        if not self._has_reasoning:
            reasoning = reasoning.lstrip()
        if not reasoning:
            return []
        self._has_reasoning = True
        return [(REASONING, reasoning)]

    def _take_text(self) -> list[tuple[str, str]]:
        text, self._pending = self._pending, ""
        return [(TEXT, text)] if text else []


def _count_tag_characters(content: str) -> int:
    """Return how many characters at the end of the content may start the closing tag."""
    for length in range(len(_CLOSING_TAG) - 1, 0, -1):
        if content.endswith(_CLOSING_TAG[:length]):
            return length
    return 0
