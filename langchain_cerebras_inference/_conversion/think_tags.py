"""Reasoning in `<think>` tags at the start of a completion, as older models send it.

Newer models have a field for reasoning. Only the start is examined, so a text that mentions
the tag stays as it is, and a stream needs this only until its first text.
"""

from __future__ import annotations

TEXT, REASONING = "text", "reasoning"

_OPENING_TAG, _CLOSING_TAG = "<think>", "</think>"


def split_reasoning(content: str) -> tuple[str, str]:
    """Split the content of a whole completion into reasoning and text."""
    if _OPENING_TAG not in content:
        return "", content
    parser = ThinkTagParser()
    parts = [*parser.feed(content), *parser.close()]
    reasoning = "".join(part for kind, part in parts if kind is REASONING)
    return reasoning, "".join(part for kind, part in parts if kind is TEXT)


class ThinkTagParser:
    """Separates reasoning from text in the content of a stream, up to the first text.

    White space around the tags is removed.
    """

    def __init__(self) -> None:
        self._pending = ""
        self._is_open = self._is_closed = self._has_reasoning = False

    def feed(self, content: str) -> list[tuple[str, str]]:
        """Add content, and return the parts whose kind is certain, each with its kind."""
        self._pending += content
        return self._parse(is_end=False)

    def close(self) -> list[tuple[str, str]]:
        """Return content that could have been the beginning of a tag."""
        return self._parse(is_end=True)

    def _parse(self, *, is_end: bool) -> list[tuple[str, str]]:
        if not self._is_open:
            start = self._pending.lstrip()
            if not start.startswith(_OPENING_TAG):
                may_become_tag = not is_end and _OPENING_TAG.startswith(start)
                return [] if may_become_tag else _label("", self._take(len(self._pending)))
            self._is_open = True
            self._pending = start.removeprefix(_OPENING_TAG)
        reasoning = "" if self._is_closed else self._parse_reasoning(is_end=is_end)
        text = self._take(len(self._pending)).lstrip() if self._is_closed else ""
        return _label(reasoning, text)

    def _parse_reasoning(self, *, is_end: bool) -> str:
        end = self._pending.find(_CLOSING_TAG)
        self._is_closed = end >= 0
        if not self._is_closed:
            is_tag_possible = not is_end
            end = len(self._pending)
            end -= _count_tag_characters(self._pending) if is_tag_possible else 0
        reasoning = self._take(end)
        if self._is_closed:
            self._pending = self._pending.removeprefix(_CLOSING_TAG)
        if not self._has_reasoning:
            reasoning = reasoning.lstrip()
        self._has_reasoning = self._has_reasoning or bool(reasoning)
        return reasoning

    def _take(self, length: int) -> str:
        taken, self._pending = self._pending[:length], self._pending[length:]
        return taken


def _label(reasoning: str, text: str) -> list[tuple[str, str]]:
    return [(kind, part) for kind, part in ((REASONING, reasoning), (TEXT, text)) if part]


def _count_tag_characters(content: str) -> int:
    """Return how many characters at the end may belong to the closing tag."""
    for length in range(len(_CLOSING_TAG) - 1, 0, -1):
        if content.endswith(_CLOSING_TAG[:length]):
            return length
    return 0
