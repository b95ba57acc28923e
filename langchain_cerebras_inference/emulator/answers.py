"""The answer, made from the request alone: the same request, the same answer."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_cerebras_inference.emulator.catalogue import Model
from langchain_cerebras_inference.emulator.choosing import chosen, prompt_of
from langchain_cerebras_inference.emulator.instances import Filler
from langchain_cerebras_inference.emulator.tokens import text_of, tokens

Json = dict[str, Any]

_WORDS_WANTED = re.compile(r"\b(\d{1,6}) words\b")
_QUOTED_CHARACTERS = 200


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool; `arguments` are a JSON text, or an object to make one of."""

    name: str
    arguments: str | Mapping[str, Any] = "{}"
    id: str | None = None

    @property
    def arguments_text(self) -> str:
        """The arguments as they go over the wire."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(self.arguments, ensure_ascii=False)

    @property
    def wire_id(self) -> str:
        """The given id, or one of nine hexadecimal digits made from the call."""
        return self.id if self.id is not None else _digest(self.name, self.arguments)


@dataclass(frozen=True)
class Answer:
    """What the model says: reasoning first, then text or calls."""

    reasoning: str = ""
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"

    @property
    def completion_tokens(self) -> int:
        """Everything generated, its end included."""
        calls = (call.name + call.arguments_text for call in self.tool_calls)
        texts = (self.reasoning, self.content, *calls)
        ends = self.finish_reason != "length"
        return sum(len(tokens(text)) for text in texts) + ends

    @property
    def reasoning_tokens(self) -> int:
        """The share of it that was reasoning."""
        return len(tokens(self.reasoning))


def answers(body: Json, model: Model) -> list[Answer]:
    """One answer for each of the `n` choices, within the limits the request sets."""
    indices = range(choice_count(body))
    return [_limited(_answer(body, model, index), body, model) for index in indices]


def choice_count(body: Json) -> int:
    """How many answers are asked for."""
    return body.get("n") or 1


def shown(answer: Answer, body: Json) -> Answer:
    """`answer` as the request's `reasoning_format` presents it."""
    style = body.get("reasoning_format")
    if style == "hidden":
        return replace(answer, reasoning="")
    if style == "raw" and body["model"].startswith("gpt-oss"):
        glued = answer.reasoning + answer.content
        return replace(answer, reasoning="", content=glued)
    return answer


def _answer(body: Json, model: Model, index: int) -> Answer:
    reasoning = _reasoning(body, model)
    if calls := _calls(body, model):
        return Answer(reasoning, "", calls, "tool_calls")
    content = _content(body)
    return Answer(reasoning, content if not index else f"{content} ({index + 1})")


def _reasoning(body: Json, model: Model) -> str:
    """More of it for more effort."""
    effort = body.get("reasoning_effort") or model.default_effort
    thoughts = (
        f'The user says: "{_clipped(prompt_of(body))}".',
        "Everything needed stands in the request.",
        "Check it once more, then answer briefly.",
    )
    count = {"none": 0, "low": 1, "medium": 2, "high": 3}[effort]
    return " ".join(thoughts[:count])


def _content(body: Json) -> str:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return _instance(wanted["json_schema"]["schema"], body)
    if wanted.get("type") == "json_object":
        return _instance(_prompted_schema(prompt_of(body)), body)
    if body["messages"][-1]["role"] == "tool":
        return " ".join(_tool_results(body["messages"]))
    return _text(prompt_of(body))


def _text(prompt: str) -> str:
    if wanted := _WORDS_WANTED.search(prompt):
        return " ".join(_counted_words(int(wanted[1])))
    return (
        f'You said: "{_clipped(prompt)}". This answer comes from the local emulator, '
        "which makes it from the request alone, "
        "in the shapes of Cerebras."
    )


def _counted_words(count: int) -> Iterator[str]:
    return (f"word{number}" for number in range(1, count + 1))


def _tool_results(messages: Sequence[Json]) -> Iterator[str]:
    """A sentence for each result since the last turn of anybody else."""
    names = {
        call["id"]: call["function"]["name"]
        for message in messages
        for call in message.get("tool_calls") or ()
    }
    first = len(messages)
    while messages[first - 1]["role"] == "tool":
        first -= 1
    for message in messages[first:]:
        name = names[message["tool_call_id"]]
        yield f"The tool {name} answered: {text_of(message['content'])}"


def _prompted_schema(prompt: str) -> Json:
    """An object with the keys that the prompt puts in quotes."""
    keys = re.findall(r"[\"'`](\w+)[\"'`]", prompt) or ["answer"]
    properties = {key: {"type": "string", "const": f"an example {key}"} for key in keys}
    return {"type": "object", "properties": properties, "required": keys}


def _instance(schema: Json, body: Json) -> str:
    value = Filler(schema, prompt_of(body)).fill()
    return json.dumps(value, ensure_ascii=False)


def _calls(body: Json, model: Model) -> tuple[ToolCall, ...]:
    functions = [tool["function"] for tool in body.get("tools") or ()]
    called = chosen(functions, body)
    if not model.calls_in_parallel or body.get("parallel_tool_calls") is False:
        called = called[:1]
    return tuple(_call(function, body) for function in called)


def _call(function: Json, body: Json) -> ToolCall:
    arguments = _instance(function.get("parameters") or {"type": "object"}, body)
    turn = len(body["messages"])
    return ToolCall(function["name"], arguments, _digest(function["name"], arguments, turn))


def _clipped(text: str) -> str:
    is_long = len(text) > _QUOTED_CHARACTERS
    return text[:_QUOTED_CHARACTERS] + "…" if is_long else text


def _limited(answer: Answer, body: Json, model: Model) -> Answer:
    stopped = _stopped(answer, _stops(body), model)
    budget = body.get("max_completion_tokens") or body.get("max_tokens") or -1
    return _cut(stopped, budget) if budget > 0 else stopped


def _stops(body: Json) -> list[str]:
    stops = body.get("stop") or []
    return [stops] if isinstance(stops, str) else stops


def _stopped(answer: Answer, stops: list[str], model: Model) -> Answer:
    """`answer` up to the first stop; gpt-oss looks for it in the reasoning too."""
    hits = [stop for stop in stops if stop]
    if model.stops_in_reasoning and any(stop in answer.reasoning for stop in hits):
        return Answer()
    ends = [answer.content.find(stop) for stop in hits if stop in answer.content]
    return replace(answer, content=answer.content[: min(ends)]) if ends else answer


def _cut(answer: Answer, budget: int) -> Answer:
    """`answer` within `budget` tokens, reasoning counted first."""
    if answer.completion_tokens <= budget:
        return answer
    reasoning = tokens(answer.reasoning)[:budget]
    budget -= len(reasoning)
    content = tokens(answer.content)[:budget]
    budget -= len(content)
    calls = []
    for call in answer.tool_calls:
        arguments = tokens(call.arguments_text)[: max(0, budget - len(tokens(call.name)))]
        if budget > 0:
            calls.append(replace(call, arguments="".join(arguments)))
        budget -= len(tokens(call.name)) + len(arguments)
    return Answer("".join(reasoning), "".join(content), tuple(calls), "length")


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:9]
