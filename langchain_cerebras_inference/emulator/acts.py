"""The script: what the emulator does next, instead of what it would do."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from langchain_cerebras_inference.emulator.answers import ToolCall
from langchain_cerebras_inference.emulator.records import Request
from langchain_cerebras_inference.emulator.refusals import Refuse

Broken: TypeAlias = Literal["close", "half", "drop", "reset"]
Garbled: TypeAlias = Literal[
    "json", "html", "flat_error", "empty", "deep", "null", "list", "types", "utf8", "endless"
]
ErrorShape: TypeAlias = Literal["enveloped", "flat", "event-enveloped", "event-flat"]
Visitor: TypeAlias = Literal[
    "signed_in", "empty", "null", "null_user", "no_key", "html", "not_json", "too_large"
]


def check_word(word: str, known: Any) -> None:
    """Raise `ValueError` for a word that a literal type does not have."""
    if word not in get_args(known):
        raise ValueError(f"{word!r} is none of {', '.join(get_args(known))}.")


@dataclass(frozen=True)
class Reply:
    """Answer, with what is given here in place of what would be made up.

    As soon as one of `content`, `reasoning` and `tool_calls` is given, the answer has
    no other of them. A streamed request gets `data` (raw bytes, in as many writes) or
    `events` (chunks, `[DONE]` follows); a whole one gets `body`.
    """

    content: str | None = None
    reasoning: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    """Replaces the usage; `{}` leaves it out."""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0
    """Seconds before the first byte."""
    pace: float = 0
    """Seconds before each event."""
    events: Sequence[Mapping[str, Any]] | None = None
    data: bytes | Sequence[bytes] | None = None
    body: Mapping[str, Any] | bytes | str | None = None

    @property
    def says_something(self) -> bool:
        """Whether the answer itself is given."""
        said = (self.content, self.reasoning)
        return bool(self.tool_calls) or any(text is not None for text in said)


@dataclass(frozen=True)
class Cut:
    """Break off after `after` events, or with `None` before any byte.

    A negative number counts from the end, as in a slice: `-1` leaves out `[DONE]`. A
    whole reply is broken off in the middle.

    `how`: `close` ends the body as if it were whole, `half` does so within the next
    event, `drop` closes the connection, `reset` resets it.
    """

    after: int | None = 1
    how: Broken = "close"
    reply: Reply = field(default_factory=Reply)

    def __post_init__(self) -> None:
        check_word(self.how, Broken)


@dataclass(frozen=True)
class Stall:
    """Fall silent for `seconds` after `after` events, then go on.

    With `None` no byte is sent before; `comments` sends keep-alive comments meanwhile.
    """

    after: int | None = 1
    seconds: float = math.inf
    comments: bool = False
    every: float = 0.05
    """Seconds between the comments."""
    reply: Reply = field(default_factory=Reply)


@dataclass(frozen=True)
class Garble:
    """Answer 200 with something that is no answer.

    `html`, `flat_error` and `empty` take the place of the whole body. The others are
    one event, after `after` events of the stream, or the body of a whole reply: `json`
    breaks off, `deep` nests without end, `null` and `list` are no objects, `types` has
    a wrong type in each field, `utf8` is not UTF-8, `endless` does not end.
    """

    how: Garbled = "json"
    after: int = 1
    reply: Reply = field(default_factory=Reply)

    def __post_init__(self) -> None:
        check_word(self.how, Garbled)


@dataclass(frozen=True)
class ErrorEvent:
    """Put an error into a stream of status 200, and nothing after it.

    `shape`: `enveloped` is `{"status_code", "error"}`, `flat` the error alone; `event-`
    before either adds an `event: error` line. A whole reply is refused with `status`.
    """

    after: int = 1
    status: int = 429
    code: str | None = None
    message: str | None = None
    shape: ErrorShape = "enveloped"
    reply: Reply = field(default_factory=Reply)

    def __post_init__(self) -> None:
        check_word(self.shape, ErrorShape)
        _ = self.refusal

    @property
    def refusal(self) -> Refuse:
        """The same error as an answer of its own."""
        return Refuse(self.status, self.code, self.message)


@dataclass(frozen=True)
class Redirect:
    """Send the client elsewhere."""

    location: str
    status: int = 307


@dataclass(frozen=True)
class Session:
    """Answer the session route; `how` says who is signed in.

    `empty` is `{}`, `null` is `null`, `null_user` and `no_key` are sessions without a
    user or without their demo key; `html` is a challenge page, `not_json` plain text,
    `too_large` eight megabytes.
    """

    how: Visitor = "signed_in"
    demo_key: str | None = None
    """In place of the emulator's."""
    expires: str | None = "2099-01-01T00:00:00.000Z"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0

    def __post_init__(self) -> None:
        check_word(self.how, Visitor)


Playable: TypeAlias = Reply | Refuse | Cut | Stall | Garble | ErrorEvent | Redirect
Act: TypeAlias = Playable | Session
Scripted: TypeAlias = Act | Callable[[Request], Act]
"""An act, or a function that chooses one when the request is there."""


def check_scripted(act: Any) -> None:
    """Raise `TypeError` for what is neither an act nor a function."""
    # A class is callable too: an act whose parentheses were forgotten.
    if not isinstance(act, Act) and (isinstance(act, type) or not callable(act)):
        raise TypeError(f"Script an act, or a function that returns one, not {act!r:.60}.")
