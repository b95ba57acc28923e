"""Chat completions in the recorded format: one whole body, or the events of a stream."""

import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from langchain_cerebras_inference.emulator.delivery import (
    DONE_EVENT,
    STREAM_TYPE,
    SuccessResponse,
    encode_body,
    encode_event,
    encode_json,
)
from langchain_cerebras_inference.emulator.generation import (
    Choice,
    apply_reasoning_format,
    generate_choices,
)
from langchain_cerebras_inference.emulator.models import Model
from langchain_cerebras_inference.emulator.request_schema import ChatRequest, join_text
from langchain_cerebras_inference.emulator.script import Reply, ToolCall
from langchain_cerebras_inference.emulator.tokens import (
    count_image_tokens,
    count_prompt_tokens,
    split_tokens,
)

# In recorded streams, most events have 5 to 25 tokens.
TOKENS_PER_EVENT = 6
# Source: the changelog of Cerebras, 2025-10-06
EVENTS_PER_SECOND = 200
# As in a recorded completion of gpt-oss-120b.
QUEUE_SECONDS = 0.0042
PROMPT_SECONDS = 0.0065

JSON = dict[str, Any]


@dataclass(frozen=True)
class Completion:
    """The completion of one chat request."""

    request: ChatRequest
    model: Model
    cached_tokens: int
    tokens_per_second: float | None
    """The speed of the stream. `None` means as fast as possible."""
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4()}")
    created: float = field(default_factory=time.time)

    def build_response(self, reply: Reply, headers: Mapping[str, str]) -> SuccessResponse:
        """Build the response from a reply. What the reply does not set is generated."""
        headers = {**headers, "inference-id": self.id, **reply.headers}
        choices, counted_usage = self._build_choices_and_usage(reply)
        usage = counted_usage if reply.usage is None else reply.usage
        tokens = usage.get("total_tokens", counted_usage["total_tokens"])
        if not self.request.stream:
            body = self._build_body(choices, usage) if reply.body is None else reply.body
            return SuccessResponse(
                [encode_body(body)], headers=headers, delay=reply.delay, tokens=tokens
            )
        default_pace = 0.0
        if self.tokens_per_second:
            default_pace = self._tokens_per_event / self.tokens_per_second
        return SuccessResponse(
            self._build_events(reply, choices, usage),
            STREAM_TYPE,
            headers,
            delay=reply.delay,
            pace=reply.pace or default_pace,
            tokens=tokens,
        )

    def _build_events(
        self, reply: Reply, choices: Sequence[Choice], usage: Mapping[str, Any]
    ) -> list[bytes]:
        if reply.data is not None:
            return [reply.data] if isinstance(reply.data, bytes) else list(reply.data)
        events = reply.events
        if events is None:
            events = self._generate_events(choices, usage)
        return [*(encode_event(encode_json(event)) for event in events), DONE_EVENT]

    def _build_body(self, choices: Sequence[Choice], usage: Mapping[str, Any]) -> JSON:
        bodies = [self._build_choice(index, choice) for index, choice in enumerate(choices)]
        return self._build_envelope("chat.completion", bodies) | self._build_final_fields(usage)

    def _generate_events(
        self, choices: Sequence[Choice], usage: Mapping[str, Any]
    ) -> list[JSON]:
        """Generate the events of a stream. The choices take turns."""
        streams = [
            self._build_stream_choices(index, choice) for index, choice in enumerate(choices)
        ]
        events = [
            self._build_envelope("chat.completion.chunk", [stream_choice])
            for stream_choices in zip_longest(*streams)
            for stream_choice in stream_choices
            if stream_choice is not None
        ]
        events[-1] |= self._build_final_fields(usage)
        return events

    def _build_choices_and_usage(self, reply: Reply) -> tuple[list[Choice], JSON]:
        """Return the choices that are sent, and the usage of everything that was generated."""
        if reply.has_scripted_message:
            choices = [_build_scripted_choice(reply)] * self.request.choice_count
            sent = choices
        else:
            choices = generate_choices(self.request, self.model)
            sent = [
                apply_reasoning_format(choice, self.request, self.model) for choice in choices
            ]
            if reply.finish_reason:
                sent = [replace(choice, finish_reason=reply.finish_reason) for choice in sent]
        return sent, self._count_usage(choices)

    def _count_usage(self, choices: Sequence[Choice]) -> JSON:
        """Count the tokens, including hidden reasoning. The fields depend on the model."""
        prompt_tokens = count_prompt_tokens(self.request)
        completion_tokens = sum(choice.completion_tokens for choice in choices)
        details: JSON = {"reasoning_tokens": sum(choice.reasoning_tokens for choice in choices)}
        if self.model.accepts_prediction:
            prediction = self.request.prediction
            predicted = split_tokens(join_text(prediction.content)) if prediction else []
            details = {
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": len(predicted),
                **details,
            }
        images = {"image_tokens": count_image_tokens(self.request)}
        return {
            **(images if self.model.accepts_images else {}),
            "total_tokens": prompt_tokens + completion_tokens,
            "completion_tokens": completion_tokens,
            "completion_tokens_details": details,
            "prompt_tokens": prompt_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }

    def _build_envelope(self, object_type: str, choices: list[JSON]) -> JSON:
        return {
            "id": self.id,
            "choices": choices,
            "created": int(self.created),
            "model": self.model.id,
            "system_fingerprint": self.model.system_fingerprint,
            "object": object_type,
        }

    def _build_final_fields(self, usage: Mapping[str, Any]) -> JSON:
        """Build the fields that only a whole body and the last event of a stream have."""
        speed = self.tokens_per_second or self.model.tokens_per_second
        completion_seconds = usage.get("completion_tokens", 0) / speed
        time_info = {
            "created": self.created,
            "queue_time": QUEUE_SECONDS,
            "prompt_time": PROMPT_SECONDS,
            "completion_time": completion_seconds,
            "total_time": QUEUE_SECONDS + PROMPT_SECONDS + completion_seconds,
        }
        service_tier = self.request.service_tier
        return _omit_empty(usage=usage, time_info=time_info, service_tier=service_tier)

    def _build_choice(self, index: int, choice: Choice) -> JSON:
        calls = [_encode_tool_call(call) for call in choice.tool_calls]
        message = _omit_empty(
            content=choice.content,
            reasoning=choice.reasoning,
            tool_calls=calls,
            role="assistant",
        )
        return {
            "finish_reason": choice.finish_reason,
            "index": index,
            "message": message,
            **self._build_logprobs(
                split_tokens(choice.reasoning), split_tokens(choice.content)
            ),
        }

    def _build_stream_choices(self, index: int, choice: Choice) -> Iterator[JSON]:
        """Yield, for each event of this choice, the only item of the event's `choices`.

        An item has a delta and the index of the choice.
        """
        yield {"delta": {"role": "assistant"}, "index": index}
        for reasoning, content in self._group_text(choice):
            delta = _omit_empty(content="".join(content), reasoning="".join(reasoning))
            yield {"delta": delta, "index": index, **self._build_logprobs(reasoning, content)}
        for calls in self._group_tool_calls(choice.tool_calls):
            yield {"delta": {"tool_calls": calls}, "index": index}
        yield {"delta": {}, "finish_reason": choice.finish_reason, "index": index}

    @property
    def _tokens_per_event(self) -> int:
        if self.tokens_per_second is None:
            return TOKENS_PER_EVENT
        return max(1, round(self.tokens_per_second / EVENTS_PER_SECOND))

    def _group_text(self, choice: Choice) -> Iterator[tuple[list[str], list[str]]]:
        """Yield the reasoning tokens and the content tokens of each event.

        In recorded streams, the first event after the role event has one reasoning token. The
        last reasoning tokens and the first content tokens are in the same event.
        """
        tokens = split_tokens(choice.reasoning)
        size = self._tokens_per_event
        reasoning = _group_tokens(tokens[:1], 1) + _group_tokens(tokens[1:], size)
        content = _group_tokens(split_tokens(choice.content), size)
        shared = []
        if len(reasoning) > 1 and content:
            shared = [(reasoning.pop(), content.pop(0))]
        yield from ((group, []) for group in reasoning)
        yield from shared
        yield from (([], group) for group in content)

    def _group_tool_calls(self, calls: Sequence[ToolCall]) -> Iterator[list[JSON]]:
        """Yield the `tool_calls` of each event: all calls together, or in fragments."""
        whole_calls = [
            _encode_tool_call(call) | {"index": index} for index, call in enumerate(calls)
        ]
        if not self.model.streams_tool_arguments:
            if whole_calls:
                yield whole_calls
            return
        for index, call in enumerate(calls):
            yield [whole_calls[index] | {"function": {"name": call.name, "arguments": ""}}]
            tokens = split_tokens(call.arguments_text)
            # In recorded streams, tool arguments arrive in at least two fragments.
            size = min(self._tokens_per_event, math.ceil(len(tokens) / 2) or 1)
            for group in _group_tokens(tokens, size):
                function = {"arguments": "".join(group)}
                yield [{"function": function, "type": "function", "index": index}]

    def _build_logprobs(self, reasoning: list[str], content: list[str]) -> JSON:
        """Build the logprobs. Only the format `parsed` has separate ones for reasoning."""
        if not self.request.logprobs:
            return {}
        top = self.request.top_logprobs or 0
        if self.request.reasoning_format != "parsed":
            return {"logprobs": _build_logprob_list(reasoning + content, top)}
        logprobs = {"logprobs": _build_logprob_list(content, top)}
        if reasoning:
            logprobs["reasoning_logprobs"] = _build_logprob_list(reasoning, top)
        return logprobs


def _omit_empty(**fields: Any) -> JSON:
    return {name: value for name, value in fields.items() if value}


def _build_scripted_choice(reply: Reply) -> Choice:
    return Choice(
        reply.reasoning or "",
        reply.content or "",
        tuple(reply.tool_calls),
        reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop"),
    )


def _group_tokens(tokens: list[str], size: int) -> list[list[str]]:
    """Divide tokens into groups, each of which one event contains."""
    return [tokens[start : start + size] for start in range(0, len(tokens), size)]


def _encode_tool_call(call: ToolCall) -> JSON:
    function = {"name": call.name, "arguments": call.arguments_text}
    return {"function": function, "type": "function", "id": call.sent_id}


def _build_logprob_list(tokens: list[str], top: int) -> JSON:
    return {
        "content": [
            {
                **_build_logprob(token, 0),
                "top_logprobs": [
                    _build_logprob(f"{token}{rank or ''}", rank) for rank in range(top)
                ],
            }
            for token in tokens
        ]
    }


def _build_logprob(token: str, rank: int) -> JSON:
    logprob = math.log(0.5) * (rank + 1)
    return {"token": token, "logprob": logprob, "bytes": list(token.encode(errors="replace"))}
