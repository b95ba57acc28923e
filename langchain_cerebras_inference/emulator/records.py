"""What the emulator remembers of each request."""

import gzip
import json
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiohttp import web

from langchain_cerebras_inference.emulator.refusals import Refuse, RequestError, bad_request


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


async def received(http: web.Request) -> tuple[Request, RequestError | None]:
    """The request, and what is wrong with its body if anything is."""
    content = await http.read()
    body, fault = _decoded(content, http.headers)
    return _recorded(http, content, body), fault


def _recorded(http: web.Request, content: bytes, body: Any) -> Request:
    transport = http.transport
    peer = transport.get_extra_info("peername") if transport else None
    return Request(
        method=http.method,
        path=http.path,
        query=http.query,
        headers=http.headers,
        raw_headers=tuple(
            (name.decode(), value.decode(errors="replace")) for name, value in http.raw_headers
        ),
        content=content,
        body=body,
        peer=tuple(peer or ()),
    )


def _decoded(content: bytes, headers: Mapping[str, str]) -> tuple[Any, RequestError | None]:
    """The JSON in `content`, or why there is none."""
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        return None, RequestError(Refuse(415))
    try:
        plain = gzip.decompress(content) if encoding == "gzip" else content
        return (json.loads(plain, parse_constant=_no_json) if plain else None), None
    except (ValueError, RecursionError, OSError, EOFError, zlib.error):
        return None, bad_request("The request body is not valid JSON.")


def _no_json(constant: str) -> NoReturn:
    """Refuse the `NaN` and `Infinity` that only Python takes for JSON."""
    raise ValueError(constant)
