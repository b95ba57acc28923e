"""Which tools a model calls: those its prompt speaks of."""

import re
from typing import Any

from langchain_cerebras_inference.emulator.tokens import text_of

Json = dict[str, Any]

_SPEAKS_OF_TOOLS = re.compile(r"(?i)\btools?\b")
_NAME_PARTS = re.compile(r"[a-z]+|[A-Z][a-z]*|[^\W\d_a-zA-Z]+")
_TELLING_WORD = 4


def prompt_of(body: Json) -> str:
    """What the user said last."""
    turns = (message for message in reversed(body["messages"]) if message["role"] == "user")
    last = next(turns, body["messages"][-1])
    return text_of(last.get("content"))


def chosen(functions: list[Json], body: Json) -> list[Json]:
    """The tools to call: the named one, those the prompt speaks of, or none."""
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, dict):
        name = choice["function"]["name"]
        return [function for function in functions if function["name"] == name]
    is_free = choice == "auto" and body["messages"][-1]["role"] != "user"
    if not functions or choice == "none" or is_free:
        return []
    prompt = prompt_of(body)
    spoken_of = _spoken_of(functions, prompt)
    if choice == "required":
        return _fresh(spoken_of + functions, body)[: len(spoken_of) or 1]
    return spoken_of or (functions[:1] if _SPEAKS_OF_TOOLS.search(prompt) else [])


def _fresh(functions: list[Json], body: Json) -> list[Json]:
    """`functions`, without those called since the user spoke, unless all were."""
    called = set()
    for message in reversed(body["messages"]):
        if message["role"] == "user":
            break
        called |= {call["function"]["name"] for call in message.get("tool_calls") or ()}
    return [one for one in functions if one["name"] not in called] or functions


def _spoken_of(functions: list[Json], prompt: str) -> list[Json]:
    """The tools whose name the prompt mentions, the best match first."""
    said = prompt.lower()
    scores = [(_mentioned(function["name"], said), function) for function in functions]
    named = [(score, function) for score, function in scores if score]
    best = sorted(named, key=lambda pair: -pair[0])
    return [function for _, function in best]


def _mentioned(name: str, said: str) -> float:
    """How much of a tool's name is said: 1 is all of it."""
    if name.lower() in said:
        return 1
    words = [word.lower() for word in _NAME_PARTS.findall(name)]
    telling = [word for word in words if len(word) >= _TELLING_WORD]
    return sum(word in said for word in telling) / len(telling) if telling else 0
