"""Scripted behaviors. They replace the emulator's default response to a request.

`Refuse`, the error response, is in `errors.py`, because the emulator also uses it without a
script.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, TypeAlias, get_args

from langchain_cerebras_inference.emulator.errors import Refuse
from langchain_cerebras_inference.emulator.received_requests import Request

BreakKind: TypeAlias = Literal["close", "half", "drop", "reset"]
GarbleKind: TypeAlias = Literal[
    "json", "html", "flat_error", "empty", "deep", "null", "list", "types", "utf8", "endless"
]
ErrorEventShape: TypeAlias = Literal["enveloped", "flat", "event-enveloped", "event-flat"]
SessionKind: TypeAlias = Literal[
    "signed_in", "empty", "null", "null_user", "no_key", "html", "not_json", "too_large"
]


def check_literal(name: str, value: str, literal_type: Any) -> None:
    """Raise `ValueError` unless `value` is a value of a `Literal` type."""
    allowed = get_args(literal_type)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")


def make_call_id(*parts: object) -> str:
    """Make a tool call id of nine hexadecimal digits. Equal parts give equal ids."""
    return sha256(repr(parts).encode()).hexdigest()[:9]


@dataclass(frozen=True)
class ToolCall:
    """A tool call of a completion."""

    name: str
    """The name of the tool."""
    arguments: str | Mapping[str, Any] = "{}"
    """The tool arguments: a mapping, or JSON text that is sent unchanged."""
    id: str | None = None
    """The tool call id. Default: derived from the name and the arguments."""

    @property
    def arguments_text(self) -> str:
        """The tool arguments as JSON text."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(self.arguments, ensure_ascii=False)

    @property
    def sent_id(self) -> str:
        """The tool call id that is sent: `id`, or the derived id."""
        return self.id if self.id is not None else make_call_id(self.name, self.arguments)


@dataclass(frozen=True)
class Reply:
    """Respond with status 200.

    The fields replace what the emulator would generate. If at least one of `content`,
    `reasoning` and `tool_calls` is set, none of the three is generated.
    """

    content: str | None = None
    """The text of the completion."""
    reasoning: str | None = None
    """The reasoning before the text."""
    tool_calls: Sequence[ToolCall] = ()
    """The tool calls after the text."""
    finish_reason: str | None = None
    """Replaces the finish reason."""
    usage: Mapping[str, Any] | None = None
    """Replaces the usage. An empty mapping removes it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional response headers."""
    delay: float = 0
    """Seconds before the first byte."""
    pace: float = 0
    """The pause before each event of a stream, in seconds."""
    events: Sequence[Mapping[str, Any]] | None = None
    """Replaces the events of a stream. `[DONE]` is added."""
    data: bytes | Sequence[bytes] | None = None
    """Replaces the bytes of a stream. Each item of a sequence is written separately."""
    body: Mapping[str, Any] | bytes | str | None = None
    """Replaces the body of a response that is not a stream."""

    @property
    def has_scripted_message(self) -> bool:
        """Whether content, reasoning or tool calls are set."""
        texts = (self.content, self.reasoning)
        return bool(self.tool_calls) or any(text is not None for text in texts)


@dataclass(frozen=True)
class Cut:
    """Truncate the response.

    A response that is not a stream is truncated in the middle of its body.

    Raises:
        ValueError: If `how` is unknown.
    """

    after: int | None = 1
    """The number of complete events that are sent. A negative number counts from the end, as
    in a slice: -1 omits only `[DONE]`. `None` breaks the connection before the first byte."""
    how: BreakKind = "close"
    """`close` ends the body normally, and the connection stays open. `half` does the same, but
    after half of the next event. `drop` closes the connection without an end of the body, and
    `reset` resets the connection."""
    reply: Reply = field(default_factory=Reply)
    """The response that is truncated."""

    def __post_init__(self) -> None:
        check_literal("how", self.how, BreakKind)


@dataclass(frozen=True)
class Stall:
    """Pause the response, then send the remaining part.

    A response that is not a stream pauses in the middle of its body.
    """

    after: int | None = 1
    """The number of events that are sent before the pause. `None` means that the pause is
    before the first byte."""
    seconds: float = math.inf
    """The length of the pause."""
    comments: bool = False
    """Whether keep-alive comments are sent during the pause."""
    every: float = 0.05
    """Seconds between two comments."""
    reply: Reply = field(default_factory=Reply)
    """The response that is paused."""


@dataclass(frozen=True)
class Garble:
    """Respond with status 200 and an invalid completion.

    Raises:
        ValueError: If `how` is unknown.
    """

    how: GarbleKind = "json"
    """`html`, `flat_error` (an error body) and `empty` replace the whole body. The other
    values add one invalid event to a stream, or replace the body of a response that is not a
    stream: `json` is incomplete JSON, `deep` is nested too deeply, `null` and `list` are not
    objects, `types` has fields of the wrong types, `utf8` is not valid UTF-8, `endless` never
    ends."""
    after: int = 1
    """The number of events that are sent before the invalid event."""
    reply: Reply = field(default_factory=Reply)
    """The response that is made invalid."""

    def __post_init__(self) -> None:
        check_literal("how", self.how, GarbleKind)


@dataclass(frozen=True)
class ErrorEvent:
    """Send an error as the last event of a stream with status 200.

    A request without `stream` gets the same error as an error response.

    Raises:
        ValueError: If `shape` is unknown, or `status` is not an error status.
    """

    after: int = 1
    """The number of events that are sent before the error."""
    status: int = 429
    """The status of the error, 400 to 599."""
    code: str | None = None
    """The error code. Default: that of Cerebras for this status."""
    message: str | None = None
    """The error message. Default: that of Cerebras for this code."""
    shape: ErrorEventShape = "enveloped"
    """The format of the event. `enveloped` is `{"status_code": ..., "error": ...}`, `flat` is
    only the error. `event-enveloped` and `event-flat` begin with the line `event: error`."""
    reply: Reply = field(default_factory=Reply)
    """The stream that ends with the error."""

    def __post_init__(self) -> None:
        check_literal("shape", self.shape, ErrorEventShape)
        _ = self.error_response  # raises if the status is invalid

    @property
    def error_response(self) -> Refuse:
        """The same error as an error response."""
        return Refuse(self.status, self.code, self.message)


@dataclass(frozen=True)
class Redirect:
    """Respond with a redirect."""

    location: str
    """The URL in the header `Location`."""
    status: int = 307
    """The status of the response."""


@dataclass(frozen=True)
class Session:
    """Respond to a request for the browser session.

    Raises:
        ValueError: If `how` is unknown.
    """

    how: SessionKind = "signed_in"
    """`signed_in` is a session with a demo key. `null_user` is a session without a user, and
    `no_key` one without a demo key. `empty` is `{}`, `null` is `null`, `html` is the page of a
    bot check, `not_json` is plain text, and `too_large` is a session of 8 MiB."""
    demo_key: str | None = None
    """Replaces the emulator's demo key."""
    expires: str | None = "2099-01-01T00:00:00.000Z"
    """When the session ends. `None` omits the field."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional response headers."""
    delay: float = 0
    """Seconds before the response."""

    def __post_init__(self) -> None:
        check_literal("how", self.how, SessionKind)


Act: TypeAlias = Reply | Refuse | Cut | Stall | Garble | ErrorEvent | Redirect | Session
"""A scripted behavior."""
Scripted: TypeAlias = Act | Callable[[Request], Act]
"""A scripted behavior, or a function that returns one for a request."""


def check_scripted(item: Any) -> None:
    """Raise `TypeError` unless `item` can be scripted."""
    # A class is callable too, but `Reply` instead of `Reply()` is a mistake.
    is_function = callable(item) and not isinstance(item, type)
    if not isinstance(item, Act) and not is_function:
        raise TypeError(
            "Expected a scripted behavior, such as Reply(...), or a function that returns "
            f"one, not {item!r:.60}."
        )
