"""The responses that the benchmark server sends, rendered before the first request."""

import json
import math
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

EVENTS = 2_000
"""The number of content events in one stream of a full-length workload."""

SLOW_EVENTS, SHORT_EVENTS = EVENTS // 5, 20
"""The number of content events in one stream of the workloads `slow` and `short`."""

STEPS_PER_SECOND = 200.0
"""The speed of the workloads `slow` and `short`, that of Cerebras."""

EVENT_TEXT = " as much as one event"
TOOL_ARGUMENTS = ('{"text":"', EVENT_TEXT, '"}')
"""The first, every middle and the last delta of a tool call's arguments."""

_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"date: Sat, 22 Nov 2025 12:00:00 GMT\r\n"
    b"content-type: %s\r\n"
    b"%s\r\n"
    b"server: cloudflare\r\n"
    b"x-request-id: 0123456789abcdef-FRA\r\n"
    b"x-ratelimit-limit-requests-day: 14400000\r\n"  # so that no client waits for them
    b"x-ratelimit-limit-tokens-minute: 6000000000\r\n"
    b"x-ratelimit-remaining-requests-day: 14399999\r\n"
    b"x-ratelimit-remaining-tokens-minute: 5999999000\r\n\r\n"
)
STREAM_HEAD = _HEAD % (b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked")
STREAM_END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"

_PROXY_BUFFER = 16_384
"""Bytes per HTTP chunk when a proxy has buffered a stream."""

_COMMON_FIELDS = {
    "id": "chatcmpl-0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    "created": 1_763_800_000,
    "model": "gpt-oss-120b",
    "system_fingerprint": "fp_0123456789abcdef0123",
}
_USAGE_FIELDS = {
    "usage": {
        "prompt_tokens": 97,
        "completion_tokens": EVENTS,
        "total_tokens": 97 + EVENTS,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
    "time_info": {"queue_time": 0.0001, "prompt_time": 0.002, "completion_time": 0.6},
}


@dataclass(frozen=True)
class Workload:
    """The body of a streamed response, divided into steps, and how fast to send it.

    Attributes:
        body: All bytes after the response head.
        step_ends: Offset in `body` at which each step ends.
        events: The number of content events.
        steps_per_second: The speed. Default: as fast as the socket accepts the steps.
        write_interval: The minimum time between two writes, in seconds. Steps that have
            become due in the meantime are written together.
        last_step_at: The earliest time of the last step, in seconds after the start.
    """

    body: bytes
    step_ends: tuple[int, ...]
    events: int
    steps_per_second: float = math.inf
    write_interval: float = 0.0
    last_step_at: float = 0.0

    def count_due_steps(self, elapsed: float) -> int:
        """Return how many steps are due after `elapsed` seconds."""
        allowed = len(self.step_ends)
        if elapsed < self.last_step_at:
            allowed -= 1
        # With an infinite speed, all allowed steps are due.
        return int(min(allowed, 1 + elapsed * self.steps_per_second))

    def get_bytes(self, first_step: int, end_step: int) -> bytes:
        """Return the bytes of the steps from `first_step` up to, not including, `end_step`."""
        start = self.step_ends[first_step - 1] if first_step else 0
        return self.body[start : self.step_ends[end_step - 1]]

    def get_next_write(self, sent_steps: int, elapsed: float) -> float:
        """Return when to write again, in seconds after the start."""
        earliest = elapsed + self.write_interval
        if sent_steps == len(self.step_ends) - 1:
            return max(self.last_step_at, earliest)
        return max(sent_steps / self.steps_per_second, earliest)


# --- parts of a response ---------------------------------------------------------------


def render_event(delta: dict[str, Any], **choice_fields: Any) -> bytes:
    """Render one event of a streamed completion."""
    return _render_event({"delta": delta, "index": 0, **choice_fields})


def render_finish_event(reason: str) -> bytes:
    """Render the last event: finish reason, usage and timings."""
    choice = {"delta": {}, "finish_reason": reason, "index": 0}
    return _render_event(choice, **_USAGE_FIELDS)


def _render_event(choice: dict[str, Any], **fields: Any) -> bytes:
    event = {
        **_COMMON_FIELDS,
        "object": "chat.completion.chunk",
        "choices": [choice],
        **fields,
    }
    return b"data: " + _to_json(event) + b"\n\n"


def render_http_chunk(data: bytes) -> bytes:
    """Frame data for `transfer-encoding: chunked`."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def render_json_response(body: Any) -> bytes:
    """Render a whole HTTP response with a JSON body."""
    raw = _to_json(body)
    return _HEAD % (b"application/json", b"content-length: %d" % len(raw)) + raw


@cache
def render_completion() -> bytes:
    """Render the response to a request that is not streamed."""
    message = {"role": "assistant", "content": "The sky scatters blue light."}
    choice = {"finish_reason": "stop", "index": 0, "message": message}
    return render_json_response(
        {**_COMMON_FIELDS, "object": "chat.completion", "choices": [choice], **_USAGE_FIELDS}
    )


@cache
def render_completion_without_limits() -> bytes:
    """Render the same response without rate limit headers."""
    head, separator, body = render_completion().partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"x-ratelimit-")]
    return b"\r\n".join(lines) + separator + body


@cache
def render_completion_with_twelve_limits() -> bytes:
    """Render the same response with the twelve rate limit headers of Cerebras."""
    minutes = {"minute": 1, "hour": 60, "day": 1_440}
    limits = {"requests": 10_000_000, "tokens": 100_000_000_000}
    headers = [
        f"x-ratelimit-{name}-{kind}-{period}: {limit * minutes[period] - used}\r\n"
        for kind, limit in limits.items()
        for period in minutes
        for name, used in (("limit", 0), ("remaining", 1))
    ]
    start_line, _, rest = render_completion_without_limits().partition(b"\r\n")
    return start_line + b"\r\n" + "".join(headers).encode() + rest


def _to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# --- workloads -------------------------------------------------------------------------


@cache
def get_workloads() -> dict[str, Workload]:
    """Return all workloads by name; the name is the first segment of the URL's path."""
    text = [render_event({"content": EVENT_TEXT})] * EVENTS
    return {
        "burst": build_burst(text),
        "http_chunks": _build_steps(text),
        "reasoning": build_burst([render_event({"reasoning": EVENT_TEXT})] * EVENTS),
        "tool_call": build_burst(_render_tool_call(), "tool_calls"),
        "logprobs": build_burst(_render_logprobs()),
        "slow": _build_steps(text[:SLOW_EVENTS], steps_per_second=STEPS_PER_SECOND),
        "fast": _build_steps(text, steps_per_second=3_000.0, write_interval=0.005),
        "short": _build_steps(text[:SHORT_EVENTS], steps_per_second=STEPS_PER_SECOND),
        "unfinished": _build_steps(text, last_step_at=600.0),
    }


def _build_steps(events: list[bytes], **timing: float) -> Workload:
    """Build a workload in which each event is one HTTP chunk and one step."""
    opening = render_event({"role": "assistant"}) + events[0]
    ending = render_finish_event("stop") + DONE
    steps = [render_http_chunk(data) for data in (opening, *events[1:], ending)]
    steps[-1] += STREAM_END
    step_ends = tuple(accumulate(map(len, steps)))
    return Workload(b"".join(steps), step_ends, len(events), **timing)


def build_burst(events: list[bytes], finish_reason: str = "stop") -> Workload:
    """Build a workload of one step. Its HTTP chunks have the size of a proxy's buffer."""
    opening, ending = render_event({"role": "assistant"}), render_finish_event(finish_reason)
    data = b"".join([opening, *events, ending, DONE])
    slices = (
        data[start : start + _PROXY_BUFFER] for start in range(0, len(data), _PROXY_BUFFER)
    )
    body = b"".join([*map(render_http_chunk, slices), STREAM_END])
    return Workload(body, (len(body),), len(events))


def _render_tool_call() -> list[bytes]:
    function: dict[str, Any] = {"name": "save", "arguments": ""}
    first = {"index": 0, "id": "call_0", "type": "function", "function": function}
    opening, middle, ending = TOOL_ARGUMENTS
    parts = [opening] + [middle] * (EVENTS - 3) + [ending]
    deltas = [
        {"function": {"arguments": part}, "type": "function", "index": 0} for part in parts
    ]
    return [render_event({"tool_calls": [delta]}) for delta in (first, *deltas)]


def _render_logprobs() -> list[bytes]:
    token = {"token": EVENT_TEXT, "logprob": -0.25, "bytes": list(EVENT_TEXT.encode())}
    alternatives = [{**token, "logprob": -float(rank)} for rank in range(1, 6)]
    logprobs = {"content": [{**token, "top_logprobs": alternatives}], "refusal": None}
    return [render_event({"content": EVENT_TEXT}, logprobs=logprobs)] * EVENTS
