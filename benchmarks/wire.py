"""What the server says: workloads in the wire's shapes, rendered once, before anybody asks."""

import json
import math
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

EVENTS = 2_000
"""Pieces in one stream."""

PIECE = " as much as one event"
ARGUMENTS = ('{"text":"', PIECE, '"}')
"""How a tool's arguments begin, go on and end: a file's text, say."""

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"date: Sat, 22 Nov 2025 12:00:00 GMT\r\n"
    b"content-type: %s\r\n"
    b"%s\r\n"
    b"server: cloudflare\r\n"
    b"x-request-id: 0123456789abcdef-FRA\r\n"
    b"x-ratelimit-limit-requests-day: 14400\r\n"
    b"x-ratelimit-limit-tokens-minute: 60000\r\n"
    b"x-ratelimit-remaining-requests-day: 14399\r\n"
    b"x-ratelimit-remaining-tokens-minute: 59000\r\n\r\n"
)
STREAM_HEAD = HEAD % (b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked")

_BASE = {
    "id": "chatcmpl-0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    "created": 1_763_800_000,
    "model": "gpt-oss-120b",
    "system_fingerprint": "fp_0123456789abcdef0123",
}
_USAGE = {
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
class Script:
    """What one kind of request is answered with.

    Attributes:
        frames: The body, ready for the socket.
        ends: Where in it each step ends.
        per_second: How many steps a second; by default as fast as the socket takes them.
        tick: Seconds between two writes; what is due by then goes out together.
        pause: Seconds before the last step.
    """

    frames: bytes
    ends: tuple[int, ...]
    per_second: float = math.inf
    tick: float = 0.0
    pause: float = 0.0

    def due(self, elapsed: float) -> int:
        """How many steps may be written so many seconds after the beginning."""
        steps = len(self.ends) - (elapsed < self.pause)
        return int(min(steps, 1 + elapsed * self.per_second))

    def slice(self, done: int, due: int) -> bytes:
        """The bytes of the steps from `done` to `due`."""
        return self.frames[self.ends[done - 1] if done else 0 : self.ends[due - 1]]

    def next(self, done: int, elapsed: float) -> float:
        """When, after the beginning, to come again."""
        if done == len(self.ends) - 1:
            return max(self.pause, elapsed + self.tick)
        return max(done / self.per_second, elapsed + self.tick)


def _event(delta: dict[str, Any], **more: Any) -> bytes:
    choice = {"delta": delta, "index": 0, **more}
    body = {**_BASE, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def _finish(reason: str) -> bytes:
    body = {
        **_BASE,
        "object": "chat.completion.chunk",
        "choices": [{"delta": {}, "finish_reason": reason, "index": 0}],
        **_USAGE,
    }
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def _chunked(parts: list[bytes]) -> list[bytes]:
    return [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]


def _script(pieces: list[bytes], reason: str = "stop", **how: float) -> Script:
    """Each event a chunk of HTTP and a step of its own."""
    opening = _event({"role": "assistant"}) + pieces[0]
    ending = _finish(reason) + b"data: [DONE]\n\n"
    frames = _chunked([opening, *pieces[1:], ending])
    frames[-1] += b"0\r\n\r\n"
    return Script(b"".join(frames), tuple(accumulate(map(len, frames))), **how)


def _burst(pieces: list[bytes], reason: str = "stop") -> Script:
    """One step, its chunks of HTTP as large as a proxy's buffer."""
    said = [_event({"role": "assistant"}), *pieces, _finish(reason), b"data: [DONE]\n\n"]
    body = b"".join(said)
    slices = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
    frames = b"".join([*_chunked(slices), b"0\r\n\r\n"])
    return Script(frames, (len(frames),))


def _fragments() -> list[bytes]:
    function: dict[str, Any] = {"name": "save", "arguments": ""}
    first = {"index": 0, "id": "call_0", "type": "function", "function": function}
    texts = [ARGUMENTS[0], *[ARGUMENTS[1]] * (EVENTS - 3), ARGUMENTS[2]]
    rest = [{"function": {"arguments": text}, "type": "function", "index": 0} for text in texts]
    return [_event({"tool_calls": [call]}) for call in (first, *rest)]


def _scored() -> list[bytes]:
    token = {"token": PIECE, "logprob": -0.25, "bytes": list(PIECE.encode())}
    others = [{**token, "logprob": -float(rank)} for rank in range(1, 6)]
    logprobs = {"content": [{**token, "top_logprobs": others}], "refusal": None}
    return [_event({"content": PIECE}, logprobs=logprobs)] * EVENTS


@cache
def scripts() -> dict[str, Script]:
    """Workloads by name, which is the first step of the URL's path."""
    text = [_event({"content": PIECE})] * EVENTS
    return {
        "burst": _burst(text),
        "framed": _script(text),
        "reasoning": _burst([_event({"reasoning": PIECE})] * EVENTS),
        "tools": _burst(_fragments(), "tool_calls"),
        "logprobs": _burst(_scored()),
        "slow": _script(text[: EVENTS // 5], per_second=200.0),
        "fast": _script(text, per_second=3_000.0, tick=0.005),
        "short": _script(text[:20], per_second=200.0),
        "held": _script(text, pause=600.0),
    }


@cache
def whole() -> bytes:
    """A reply that is not a stream."""
    message = {"role": "assistant", "content": "The sky scatters what is blue."}
    choice = {"finish_reason": "stop", "index": 0, "message": message}
    body = {**_BASE, "object": "chat.completion", "choices": [choice], **_USAGE}
    return as_json(body)


def as_json(body: Any) -> bytes:
    """An answer whose body is JSON."""
    raw = json.dumps(body, separators=(",", ":")).encode()
    return HEAD % (b"application/json", b"content-length: %d" % len(raw)) + raw
