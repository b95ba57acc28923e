"""The log of received requests: what arrived, and what became of it."""

import gzip
import json
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiohttp import web

from langchain_cerebras_inference.emulator.errors import Refuse, RequestError, bad_request


class Moment(threading.Event):
    """An event that also knows when it was set."""

    time: float | None = None
    """When it was set first, in seconds of `time.monotonic()`."""

    def set(self) -> None:
        """Set the event."""
        if not self.is_set():
            self.time = time.monotonic()
        super().set()


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """One received request."""

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
    """The decoded JSON body; `None` if there is none, or it is invalid."""
    body_error: RequestError | None = None
    """Why the body could not be decoded."""
    peer: tuple[Any, ...] = ()
    """The client's address: the same for all requests of one connection."""
    time: float = field(default_factory=time.monotonic)
    """When it arrived, in seconds of `time.monotonic()`."""
    answered: Moment = field(default_factory=Moment)
    """Set once everything was sent: the whole response, or as much as the script says."""
    disconnected: Moment = field(default_factory=Moment)
    """Set when the client disconnected before that."""

    @property
    def streamed(self) -> bool:
        """Whether the request asks for a stream."""
        return isinstance(self.body, dict) and self.body.get("stream") is True

    @property
    def bearer(self) -> str | None:
        """The API key in the `Authorization` header."""
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None


async def read_request(http: web.Request) -> Request:
    """Read the whole request and decode its body."""
    content = await http.read()
    body, body_error = None, None
    try:
        body = _decode_body(content, http.headers)
    except RequestError as error:
        body_error = error
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
        body_error=body_error,
        peer=tuple(peer or ()),
    )


def _decode_body(content: bytes, headers: Mapping[str, str]) -> Any:
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise RequestError(Refuse(415))
    try:
        data = gzip.decompress(content) if encoding == "gzip" else content
        return json.loads(data, parse_constant=_reject_constant) if data else None
    except (ValueError, RecursionError, OSError, EOFError, zlib.error):
        raise bad_request("The request body is not valid JSON.") from None


def _reject_constant(constant: str) -> NoReturn:
    """Reject `NaN` and `Infinity`, which Python accepts although they are not JSON."""
    raise ValueError(constant)
