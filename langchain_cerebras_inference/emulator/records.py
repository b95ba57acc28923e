"""What the emulator remembers of each request."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Moment(threading.Event):
    """An event that also knows when it happened (`time.monotonic()`)."""

    time: float | None = None

    def set(self) -> None:
        """Let it have happened, once."""
        if not self.is_set():
            self.time = time.monotonic()
        super().set()


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """One request as it arrived, and what became of it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Case-insensitive; of a repeated header, the first."""
    raw_headers: tuple[tuple[str, str], ...]
    """As sent: order, case and repetitions kept."""
    content: bytes
    """The body's bytes as sent, compressed if they were."""
    body: Any = None
    """The decoded JSON; `None` where there was none."""
    peer: tuple[Any, ...] = ()
    """The client's address: the same for all requests of one connection."""
    time: float = field(default_factory=time.monotonic)
    answered: Moment = field(default_factory=Moment)
    """Set once the whole answer, or the whole fault, was sent."""
    disconnected: Moment = field(default_factory=Moment)
    """Set when the client went away before that."""

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return isinstance(self.body, dict) and self.body.get("stream") is True

    @property
    def bearer(self) -> str | None:
        """The key in the `Authorization` header."""
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None
