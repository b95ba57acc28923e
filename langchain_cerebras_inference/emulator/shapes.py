"""Answers in the recorded shapes: one whole reply, or the chunks of a stream."""

import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from langchain_cerebras_inference.emulator.answers import Answer, Json, ToolCall
from langchain_cerebras_inference.emulator.catalogue import Model
from langchain_cerebras_inference.emulator.tokens import image_tokens, prompt_tokens, tokens

EVENT_TOKENS = 6
EVENTS_PER_SECOND = 200
QUEUE_TIME = 0.0042
PROMPT_TIME = 0.0065

_ACCEPTED = "accepted_prediction_tokens"
_REJECTED = "rejected_prediction_tokens"


@dataclass(frozen=True)
class Shape:
    """What every chunk of one answer repeats, and how the answer is cut up."""

    body: Json
    model: Model
    cached_tokens: int = 0
    tokens_per_second: float | None = None
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4()}")
    started: float = field(default_factory=time.time)

    def completion(self, shown: Sequence[Answer], usage: Mapping[str, Any] | None) -> Json:
        """The whole reply."""
        choices = [self._choice(index, answer) for index, answer in enumerate(shown)]
        return self._envelope(choices, "chat.completion") | self._figures(usage)

    def chunks(
        self, shown: Sequence[Answer], usage: Mapping[str, Any] | None
    ) -> Iterator[Json]:
        """The events of a stream, the choices in turn; the last has the figures."""
        streams = [self._deltas(index, answer) for index, answer in enumerate(shown)]
        rounds = zip_longest(*streams)
        choices = [choice for turn in rounds for choice in turn if choice]
        for choice in choices[:-1]:
            yield self._envelope([choice], "chat.completion.chunk")
        last = self._envelope(choices[-1:], "chat.completion.chunk")
        yield last | self._figures(usage)

    def usage(self, answers: Sequence[Answer]) -> Json:
        """What the answers cost, with the fields of this model."""
        completion = sum(answer.completion_tokens for answer in answers)
        reasoning = sum(answer.reasoning_tokens for answer in answers)
        prompt = prompt_tokens(self.body)
        details: Json = {"reasoning_tokens": reasoning}
        if self.model.takes_prediction:
            details = {_ACCEPTED: 0, _REJECTED: self._rejected(), **details}
        images = {"image_tokens": image_tokens(self.body)}
        return {
            **(images if self.model.sees_images else {}),
            "total_tokens": prompt + completion,
            "completion_tokens": completion,
            "completion_tokens_details": details,
            "prompt_tokens": prompt,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }

    def _rejected(self) -> int:
        predicted = (self.body.get("prediction") or {}).get("content") or ""
        return len(tokens(predicted)) if isinstance(predicted, str) else 0

    def _envelope(self, choices: list[Json], kind: str) -> Json:
        return {
            "id": self.id,
            "choices": choices,
            "created": int(self.started),
            "model": self.model.id,
            "system_fingerprint": self.model.fingerprint,
            "object": kind,
        }

    def _figures(self, usage: Mapping[str, Any] | None) -> Json:
        tier = self.body.get("service_tier")
        return {
            **({"usage": usage} if usage else {}),
            "time_info": self._time_info(usage or {}),
            **({"service_tier": tier} if tier else {}),
        }

    def _time_info(self, usage: Mapping[str, Any]) -> Json:
        speed = self.tokens_per_second or self.model.tokens_per_second
        completion = usage.get("completion_tokens", 0) / speed
        return {
            "created": self.started,
            "queue_time": QUEUE_TIME,
            "prompt_time": PROMPT_TIME,
            "completion_time": completion,
            "total_time": QUEUE_TIME + PROMPT_TIME + completion,
        }

    @property
    def batch(self) -> int:
        """How many tokens go into one event."""
        if self.tokens_per_second is None:
            return EVENT_TOKENS
        return max(1, round(self.tokens_per_second / EVENTS_PER_SECOND))

    @property
    def pace(self) -> float:
        """Seconds from one event to the next."""
        speed = self.tokens_per_second
        return self.batch / speed if speed else 0

    def _choice(self, index: int, answer: Answer) -> Json:
        calls = [_whole_call(call) for call in answer.tool_calls]
        message = {
            **({"content": answer.content} if answer.content else {}),
            **({"reasoning": answer.reasoning} if answer.reasoning else {}),
            **({"tool_calls": calls} if calls else {}),
            "role": "assistant",
        }
        choice = {"finish_reason": answer.finish_reason, "index": index}
        logprobs = self._logprobs(tokens(answer.reasoning), tokens(answer.content))
        return {**choice, "message": message, **logprobs}

    def _deltas(self, index: int, answer: Answer) -> Iterator[Json]:
        yield {"delta": {"role": "assistant"}, "index": index}
        for reasoning, content in self._batches(answer):
            delta = {
                **({"content": "".join(content)} if content else {}),
                **({"reasoning": "".join(reasoning)} if reasoning else {}),
            }
            logprobs = self._logprobs(reasoning, content)
            yield {"delta": delta, "index": index, **logprobs}
        for calls in self._call_deltas(answer.tool_calls):
            yield {"delta": {"tool_calls": calls}, "index": index}
        yield {"delta": {}, "finish_reason": answer.finish_reason, "index": index}

    def _batches(self, answer: Answer) -> Iterator[tuple[list[str], list[str]]]:
        """Reasoning, then content; where one turns into the other, both at once."""
        thoughts = tokens(answer.reasoning)
        reasoning = [thoughts[:1], *_batched(thoughts[1:], self.batch)] if thoughts else []
        content = list(_batched(tokens(answer.content), self.batch))
        has_turn = len(reasoning) > 1 and content
        turn = [(reasoning.pop(), content.pop(0))] if has_turn else []
        yield from ((batch, []) for batch in reasoning)
        yield from turn
        yield from (([], batch) for batch in content)

    def _call_deltas(self, calls: Sequence[ToolCall]) -> Iterator[list[Json]]:
        if not self.model.fragments_arguments:
            whole = [_whole_call(call) | {"index": at} for at, call in enumerate(calls)]
            yield from [whole] if whole else []
            return
        for at, call in enumerate(calls):
            head = _whole_call(call) | {"index": at}
            yield [head | {"function": {"name": call.name, "arguments": ""}}]
            pieces = tokens(call.arguments_text)
            # Arguments always come in two fragments at least, as recorded.
            size = min(self.batch, -(-len(pieces) // 2) or 1)
            for batch in _batched(pieces, size):
                function = {"arguments": "".join(batch)}
                yield [{"function": function, "type": "function", "index": at}]

    def _logprobs(self, reasoning: list[str], content: list[str]) -> Json:
        """Reasoning counts as content here, unless it was asked for `parsed`."""
        if not self.body.get("logprobs"):
            return {}
        top = self.body.get("top_logprobs") or 0
        if self.body.get("reasoning_format") != "parsed":
            return {"logprobs": _listed(reasoning + content, top)}
        apart = {"reasoning_logprobs": _listed(reasoning, top)} if reasoning else {}
        return {"logprobs": _listed(content, top), **apart}


def _batched(pieces: list[str], size: int) -> Iterator[list[str]]:
    return (pieces[start : start + size] for start in range(0, len(pieces), size))


def _whole_call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments_text}
    return {"function": function, "type": "function", "id": call.wire_id}


def _listed(pieces: list[str], top: int) -> Json:
    return {"content": [_entry(piece, top) for piece in pieces]}


def _entry(token: str, top: int) -> Json:
    others = [_logprob(f"{token}{rank or ''}", rank) for rank in range(top)]
    return {**_logprob(token, 0), "top_logprobs": others}


def _logprob(token: str, rank: int) -> Json:
    logprob = math.log(0.5) * (rank + 1)
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
