"""Replies made ready to send: bytes, in frames."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from langchain_cerebras_inference.emulator.acts import Reply
from langchain_cerebras_inference.emulator.answers import Answer, answers, choice_count, shown
from langchain_cerebras_inference.emulator.shapes import Shape

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Prepared:
    """An answer ready to go: its frames, and how they follow each other."""

    frames: Sequence[bytes]
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0
    pace: float = 0

    @property
    def streamed(self) -> bool:
        """Whether it is a stream of events, not one whole body."""
        return self.content_type == STREAM_TYPE

    def split(self, after: int) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """The frames before and after a break; a whole body breaks in the middle."""
        frames = self.frames if self.streamed else halves(b"".join(self.frames))
        at = after if self.streamed else 1
        return frames[:at], frames[at:]


def encoded(value: Any) -> bytes:
    """`value` as JSON the way Cerebras writes it: compact, not escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace")


def event(data: bytes) -> bytes:
    """One event of a stream."""
    return b"data: " + data + b"\n\n"


def halves(data: bytes) -> list[bytes]:
    """`data` in two."""
    middle = len(data) // 2
    return [data[:middle], data[middle:]]


Prepare: TypeAlias = Callable[[Reply], Prepared]


def performed(reply: Reply, shape: Shape, headers: Mapping[str, str]) -> Prepared:
    """`reply` to a chat request, in the shape it asked for."""
    headers = {**headers, "inference-id": shape.id, **reply.headers}
    streamed = shape.body.get("stream") is True
    return Prepared(
        list(_events(reply, shape)) if streamed else [_whole(reply, shape)],
        STREAM_TYPE if streamed else JSON_TYPE,
        headers=headers,
        delay=reply.delay,
        pace=reply.pace or shape.pace,
    )


def _events(reply: Reply, shape: Shape) -> Iterator[bytes]:
    if reply.data is not None:
        yield from [reply.data] if isinstance(reply.data, bytes) else reply.data
        return
    said, usage = _said(reply, shape)
    chunks = shape.chunks(said, usage) if reply.events is None else reply.events
    for chunk in chunks:
        yield event(encoded(chunk))
    yield DONE


def _whole(reply: Reply, shape: Shape) -> bytes:
    if reply.body is not None:
        return to_bytes(reply.body)
    return encoded(shape.completion(*_said(reply, shape)))


def _said(reply: Reply, shape: Shape) -> tuple[list[Answer], Mapping[str, Any]]:
    """The scripted answer, or the one made from the request; and its usage."""
    if reply.says_something:
        said = [_scripted(reply)] * choice_count(shape.body)
        visible = said
    else:
        said = answers(shape.body, shape.model)
        visible = [shown(answer, shape.body) for answer in said]
        if reply.finish_reason:
            visible = [replace(a, finish_reason=reply.finish_reason) for a in visible]
    usage = shape.usage(said) if reply.usage is None else reply.usage
    return visible, usage


def _scripted(reply: Reply) -> Answer:
    ending = reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")
    texts = (reply.reasoning or "", reply.content or "")
    return Answer(*texts, tuple(reply.tool_calls), ending)


def default(own: Reply) -> Prepare:
    """Prepare replies for a route whose own answer is `own`."""

    def prepare(reply: Reply) -> Prepared:
        if reply.body is not None:
            return _prepared(reply)
        headers = {**own.headers, **reply.headers}
        return replace(_prepared(own), headers=headers, delay=reply.delay)

    return prepare


def document(value: Any) -> Prepare:
    """Prepare replies for a route that answers with a JSON document."""
    return default(Reply(body=encoded(value)))


def _prepared(reply: Reply) -> Prepared:
    body = b"" if reply.body is None else to_bytes(reply.body)
    return Prepared([body], headers=reply.headers, delay=reply.delay)


def to_bytes(body: Mapping[str, Any] | bytes | str) -> bytes:
    """A body as given, whatever it is given as."""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else encoded(body)
