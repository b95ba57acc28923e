"""A received request: its content, its outcome, and its log line."""

import gzip
import json
import threading
import time
import urllib.parse
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

from aiohttp import web

from langchain_cerebras_inference.emulator.errors import Refuse, RequestError, bad_request

MAX_LOGGED_CHARACTERS = 200


class Moment(threading.Event):
    """A flag that remembers when it was set."""

    time: float | None = None
    """When it was first set, in seconds of `time.monotonic()`. `None` means not yet."""

    def set(self) -> None:
        """Set the flag."""
        if not self.is_set():
            self.time = time.monotonic()
        super().set()


@dataclass(eq=False, kw_only=True)
class Request:
    """One received request and its outcome."""

    method: str
    """The HTTP method, such as `POST`."""
    path: str
    """The path of the URL, such as `/v1/chat/completions`."""
    query: Mapping[str, str]
    """The parameters of the URL."""
    headers: Mapping[str, str]
    """Case-insensitive. A repeated header has its first value."""
    raw_headers: tuple[tuple[str, str], ...]
    """The headers as they were sent, with their order, case and repetitions."""
    content: bytes
    """The bytes of the body as they were sent. They may be compressed."""
    body: Any = None
    """The decoded JSON body. `None` means that there is no body, or that it is invalid."""
    body_error: RequestError | None = None
    """Why the body could not be decoded. `None` means that it could."""
    peer: tuple[Any, ...] = ()
    """The address of the client. All requests of one connection have the same."""
    time: float = field(default_factory=time.monotonic)
    """When it arrived, in seconds of `time.monotonic()`."""
    answered: Moment = field(default_factory=Moment)
    """Set when everything was sent: the whole response, or the part that a script allows."""
    disconnected: Moment = field(default_factory=Moment)
    """Set when the client disconnected before `answered` was set."""
    status: int | None = None
    """The status of the response. `None` means that no response was sent yet."""
    tokens: int | None = None
    """How many tokens the prompt and the completion have. `None` means no completion.

    This is `total_tokens` of the usage, even if a script replaces the body or the events.
    """

    @property
    def streamed(self) -> bool:
        """Whether the request asks for a stream."""
        return isinstance(self.body, dict) and self.body.get("stream") is True

    @property
    def model(self) -> str | None:
        """The name of the model in the body."""
        name = self.body.get("model") if isinstance(self.body, dict) else None
        return name if isinstance(name, str) else None

    @property
    def bearer(self) -> str | None:
        """The API key in the `Authorization` header."""
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None


def format_log_line(request: Request) -> str:
    """Describe a request in one line, without headers, query and content.

    The line has the time, method, path, model, status, tokens, and the milliseconds since the
    request arrived. A missing value is shown as `-`.
    """
    values = {
        "model": request.model and _escape(request.model),
        "status": request.status,
        "tokens": request.tokens,
        "ms": round(1000 * (time.monotonic() - request.time)),
    }
    fields = [f"{name}={'-' if value is None else value}" for name, value in values.items()]
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return " ".join([now, request.method, _escape(request.path), *fields])


def _escape(text: str) -> str:
    """Escape spaces and control characters, and shorten a long text."""
    return urllib.parse.quote(text[:MAX_LOGGED_CHARACTERS], errors="replace")


async def read_request(http_request: web.Request) -> Request:
    """Read the whole request and decode its body."""
    content = await http_request.read()
    body, body_error = None, None
    try:
        body = _decode_body(content, http_request.headers)
    except RequestError as error:
        body_error = error
    transport = http_request.transport
    peer = transport.get_extra_info("peername") if transport else None
    return Request(
        method=http_request.method,
        path=http_request.path,
        query=http_request.query,
        headers=http_request.headers,
        raw_headers=tuple(
            (name.decode(), value.decode(errors="replace"))
            for name, value in http_request.raw_headers
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
