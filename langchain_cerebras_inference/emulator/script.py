"""Scripted behaviors: what the emulator does with a request in place of its default.

`Refuse`, the error response, is in `errors.py`: the emulator also uses it on its own.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, TypeAlias, get_args

from langchain_cerebras_inference.emulator.errors import Refuse
from langchain_cerebras_inference.emulator.request_log import Request

BreakKind: TypeAlias = Literal["close", "half", "drop", "reset"]
GarbleKind: TypeAlias = Literal[
    "json", "html", "flat_error", "empty", "deep", "null", "list", "types", "utf8", "endless"
]
ErrorEventShape: TypeAlias = Literal["enveloped", "flat", "event-enveloped", "event-flat"]
SessionKind: TypeAlias = Literal[
    "signed_in", "empty", "null", "null_user", "no_key", "html", "not_json", "too_large"
]


def check_literal(name: str, value: str, literal_type: Any) -> None:
    """Raise `ValueError` unless `value` is one of the values of a `Literal` type."""
    allowed = get_args(literal_type)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")


def make_call_id(*parts: object) -> str:
    """Make a tool call id of nine hexadecimal digits; equal parts give equal ids."""
    return sha256(repr(parts).encode()).hexdigest()[:9]


@dataclass(frozen=True)
class ToolCall:
    """A tool call of a completion."""

    name: str
    arguments: str | Mapping[str, Any] = "{}"
    """The tool arguments: JSON text, sent as it is, or an object."""
    id: str | None = None
    """The tool call id; `None` derives one from name and arguments."""

    @property
    def arguments_text(self) -> str:
        """The tool arguments as JSON text."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(self.arguments, ensure_ascii=False)

    @property
    def wire_id(self) -> str:
        """The id that is sent: `id`, or the derived one."""
        return self.id if self.id is not None else make_call_id(self.name, self.arguments)


@dataclass(frozen=True)
class Reply:
    """Answer with status 200.

    The fields replace what the emulator would generate. If any of `content`,
    `reasoning` and `tool_calls` is given, the completion has only those that are given.
    """

    content: str | None = None
    reasoning: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    """Replaces the usage; `{}` leaves it out."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional response headers."""
    delay: float = 0
    """Seconds before the first byte."""
    pace: float = 0
    """Seconds before each event of a stream."""
    events: Sequence[Mapping[str, Any]] | None = None
    """The events of a stream; `[DONE]` is added."""
    data: bytes | Sequence[bytes] | None = None
    """The bytes of a stream; a sequence is sent in as many writes."""
    body: Mapping[str, Any] | bytes | str | None = None
    """The whole body of a response that is not a stream."""

    @property
    def says_something(self) -> bool:
        """Whether content, reasoning or tool calls are given."""
        texts = (self.content, self.reasoning)
        return bool(self.tool_calls) or any(text is not None for text in texts)


@dataclass(frozen=True)
class Cut:
    """Break off the response.

    A response that is not a stream breaks off in the middle.

    Raises:
        ValueError: if there is no such `how`.
    """

    after: int | None = 1
    """How many events are sent before. A negative number counts from the end, as in a
    slice: -1 leaves out `[DONE]`. `None` breaks off before the first byte."""
    how: BreakKind = "close"
    """`close` ends the body as if it were complete, `half` does so in the middle of the
    next event, `drop` closes the connection, `reset` resets it."""
    reply: Reply = field(default_factory=Reply)
    """The response that is broken off."""

    def __post_init__(self) -> None:
        check_literal("how", self.how, BreakKind)


@dataclass(frozen=True)
class Stall:
    """Pause the response, then send the rest."""

    after: int | None = 1
    """How many events are sent before; `None` pauses before the first byte."""
    seconds: float = math.inf
    """How long the pause is."""
    comments: bool = False
    """Whether keep-alive comments are sent during the pause."""
    every: float = 0.05
    """Seconds between two comments."""
    reply: Reply = field(default_factory=Reply)
    """The response that is paused."""


@dataclass(frozen=True)
class Garble:
    """Answer with status 200 and something that is not a valid completion.

    Raises:
        ValueError: if there is no such `how`.
    """

    how: GarbleKind = "json"
    """`html`, `flat_error` (an error body) and `empty` replace the whole body. The others
    are one event of a stream, or the body of a response that is not a stream: `json` is
    incomplete JSON, `deep` is nested too deeply, `null` and `list` are not objects, `types`
    has wrong types in its fields, `utf8` is not valid UTF-8, `endless` never ends."""
    after: int = 1
    """How many events are sent before."""
    reply: Reply = field(default_factory=Reply)
    """The response that is garbled."""

    def __post_init__(self) -> None:
        check_literal("how", self.how, GarbleKind)


@dataclass(frozen=True)
class ErrorEvent:
    """Send an error as the last event of a stream with status 200.

    A request that does not ask for a stream gets the same error as an error response.

    Raises:
        ValueError: if there is no such `shape`, or `status` is not an error status.
    """

    after: int = 1
    """How many events are sent before."""
    status: int = 429
    code: str | None = None
    message: str | None = None
    shape: ErrorEventShape = "enveloped"
    """`enveloped` is `{"status_code": ..., "error": ...}`, `flat` is the error alone;
    `event-enveloped` and `event-flat` have a line `event: error` before it."""
    reply: Reply = field(default_factory=Reply)
    """The stream that ends with the error."""

    def __post_init__(self) -> None:
        check_literal("shape", self.shape, ErrorEventShape)
        _ = self.refusal  # checks the status

    @property
    def refusal(self) -> Refuse:
        """The same error as an error response."""
        return Refuse(self.status, self.code, self.message)


@dataclass(frozen=True)
class Redirect:
    """Answer with a redirect."""

    location: str
    status: int = 307


@dataclass(frozen=True)
class Session:
    """Answer a request for the browser session.

    Raises:
        ValueError: if there is no such `how`.
    """

    how: SessionKind = "signed_in"
    """`signed_in` is a session with a demo key, `null_user` and `no_key` are sessions
    without a user or without a demo key, `empty` is `{}`, `null` is `null`, `html` is a bot
    check's page, `not_json` is plain text, `too_large` is a session of eight megabytes."""
    demo_key: str | None = None
    """Replaces the emulator's demo key."""
    expires: str | None = "2099-01-01T00:00:00.000Z"
    """When the session ends; `None` leaves it out."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional response headers."""
    delay: float = 0
    """Seconds before the response."""

    def __post_init__(self) -> None:
        check_literal("how", self.how, SessionKind)


Act: TypeAlias = Reply | Refuse | Cut | Stall | Garble | ErrorEvent | Redirect | Session
"""A scripted behavior."""
Scripted: TypeAlias = Act | Callable[[Request], Act]
"""A scripted behavior, or a function that chooses one for the request."""


def check_scripted(item: Any) -> None:
    """Raise `TypeError` unless `item` can be scripted."""
    # A class is callable too: `Reply` instead of `Reply()` is a mistake.
    is_function = callable(item) and not isinstance(item, type)
    if not isinstance(item, Act) and not is_function:
        raise TypeError(
            "Expected a scripted behavior, such as Reply(...), or a function that returns "
            f"one, not {item!r:.60}."
        )
