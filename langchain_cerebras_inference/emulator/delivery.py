"""Send a response: its bytes, its timing, and its scripted faults."""

import asyncio
import gzip
import json
import math
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never

from aiohttp import web

from langchain_cerebras_inference.emulator.errors import Refuse
from langchain_cerebras_inference.emulator.received_requests import Request
from langchain_cerebras_inference.emulator.script import (
    Cut,
    ErrorEvent,
    Garble,
    Redirect,
    Reply,
    Stall,
)

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream; charset=utf-8"
DONE_EVENT = b"data: [DONE]\n\n"
BOT_CHECK_PAGE = "<!DOCTYPE html><title>Just a moment...</title><p>Checking your browser."
MIN_COMPRESSED_BYTES = 1024

# Before a connection is aborted, the bytes that were written need this time to be sent.
_FLUSH_SECONDS = 0.02
_NO_LINGER_TIME = struct.pack("ii", 1, 0)

_ENDLESS_START = b'data: {"id":"'
_ENDLESS_BLOCK = b"x" * 65536
_INVALID_PAYLOADS = {
    "json": b'{"id":"chatcmpl-0","choices":[{"delta":{"content":"half',
    "deep": b"[" * 200_000,
    "null": b"null",
    "list": b"[]",
    "types": b'{"id":7,"choices":{"delta":"none"},"created":"now","usage":[]}',
    "utf8": b'{"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}',
}


def encode_json(value: Any) -> bytes:
    r"""Encode JSON as Cerebras does: without spaces, and with unescaped Unicode.

    Surrogates are escaped (`\ud83d`), because UTF-8 cannot express them.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")


def encode_event(data: bytes) -> bytes:
    """Encode one server-sent event."""
    return b"data: " + data + b"\n\n"


def encode_body(body: Mapping[str, Any] | bytes | str) -> bytes:
    """Encode a scripted body. A mapping is encoded as JSON."""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else encode_json(body)


@dataclass(frozen=True)
class SuccessResponse:
    """A response of status 200 that can be sent."""

    parts: Sequence[bytes]
    """The events of a stream, or one whole body."""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0
    """Seconds before the first byte."""
    pace: float = 0
    """The pause before each event, in seconds."""
    tokens: int | None = None
    """How many tokens the prompt and the completion have together."""

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return self.content_type == STREAM_TYPE

    def split(self, after: int) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Split a stream after `after` events; split a whole body in the middle."""
        if not self.is_stream:
            first_half, last_half = _halve(b"".join(self.parts))
            return [first_half], [last_half]
        return self.parts[:after], self.parts[after:]


def _halve(data: bytes) -> tuple[bytes, bytes]:
    middle = len(data) // 2
    return data[:middle], data[middle:]


ResponseBuilder: TypeAlias = Callable[[Reply], SuccessResponse]
"""Builds the response of an endpoint from a scripted reply, or from an empty one if nothing is
scripted."""
ResponseBehavior: TypeAlias = Reply | Refuse | Cut | Stall | Garble | ErrorEvent | Redirect
"""What `Delivery` can send as a response. A `Session` is first converted to a `Reply`."""


class Delivery:
    """Sends the response to one request."""

    def __init__(
        self,
        http_request: web.Request,
        request: Request,
        headers: Mapping[str, str],
        build_response: ResponseBuilder,
    ) -> None:
        """Prepare to send.

        Args:
            http_request: The request as an object of aiohttp.
            request: The same request as the emulator keeps it.
            headers: Headers that every response gets.
            build_response: Builds the response of the requested endpoint.
        """
        self._http_request = http_request
        self._request = request
        self._headers = headers
        self._build_response = build_response
        self._http_response = web.StreamResponse()

    async def deliver(self, behavior: ResponseBehavior) -> web.StreamResponse:
        """Send the response that a behavior describes."""
        match behavior:
            case Reply():
                await self._send(self._build_response(behavior))
            case Refuse():
                await self._send_error(behavior)
            case Redirect():
                headers = {"Location": behavior.location}
                await self._send_whole(b"", behavior.status, headers)
            case Cut():
                await self._send_truncated(behavior)
            case Stall():
                await self._send_stalled(behavior)
            case Garble():
                await self._send_garbled(behavior)
            case ErrorEvent():
                await self._send_error_event(behavior)
            case _:
                assert_never(behavior)
        return self._http_response

    async def _send(self, response: SuccessResponse) -> None:
        if response.is_stream:
            await self._send_parts(response, response.parts)
            return
        await asyncio.sleep(response.delay)
        headers = {"Content-Type": response.content_type, **response.headers}
        await self._send_whole(b"".join(response.parts), 200, headers)

    async def _send_error(self, error: Refuse) -> None:
        await asyncio.sleep(error.delay)
        body = error.build_error() if error.body is None else error.body
        headers = {"Content-Type": JSON_TYPE, **error.headers}
        await self._send_whole(encode_body(body), error.status, headers)

    async def _send_truncated(self, cut: Cut) -> None:
        if cut.after is None:  # before the first byte
            await self._abort_connection(reset=cut.how == "reset")
            return
        response = self._build_response(cut.reply)
        parts, remaining = response.split(cut.after)
        if cut.how == "half" and response.is_stream and remaining:
            first_half, _ = _halve(remaining[0])
            parts = [*parts, first_half]
        await self._send_parts(response, parts)
        if cut.how in ("drop", "reset"):
            await self._abort_connection(reset=cut.how == "reset")

    async def _send_stalled(self, stall: Stall) -> None:
        response = self._build_response(stall.reply)
        if stall.after is None:
            await asyncio.sleep(stall.seconds)
            await self._send(response)
            return
        first_parts, last_parts = response.split(stall.after)
        await self._send_parts(response, first_parts)
        await self._pause(stall)
        for part in last_parts:
            await self._http_response.write(part)

    async def _pause(self, stall: Stall) -> None:
        remaining = stall.seconds
        while stall.comments and remaining > 0:
            await self._http_response.write(b": keep-alive\n\n")
            await asyncio.sleep(min(remaining, stall.every))
            remaining -= stall.every
        await asyncio.sleep(max(0, remaining))

    async def _send_garbled(self, garble: Garble) -> None:
        match garble.how:
            case "html":
                headers = {"Content-Type": "text/html"}
                await self._send_whole(BOT_CHECK_PAGE.encode(), 200, headers)
            case "flat_error":
                body = encode_json(Refuse(500).build_error())
                await self._send_whole(body, 200, {"Content-Type": JSON_TYPE})
            case "empty":
                content_type = self._build_response(garble.reply).content_type
                await self._send_whole(b"", 200, {"Content-Type": content_type})
            case "endless":
                await self._send_endless_event(garble)
            case _:
                await self._send_garbled_event(garble)

    async def _send_garbled_event(self, garble: Garble) -> None:
        data = _INVALID_PAYLOADS[garble.how]
        response = self._build_response(garble.reply)
        if response.is_stream:
            first_parts, last_parts = response.split(garble.after)
            parts = [*first_parts, encode_event(data), *last_parts]
            await self._send_parts(response, parts)
        else:
            await self._send_parts(response, [data])

    async def _send_endless_event(self, garble: Garble) -> None:
        response = self._build_response(garble.reply)
        first_parts = response.split(garble.after)[0] if response.is_stream else []
        await self._send_parts(response, [*first_parts, _ENDLESS_START])
        while True:
            await self._http_response.write(_ENDLESS_BLOCK)

    async def _send_error_event(self, event: ErrorEvent) -> None:
        response = self._build_response(event.reply)
        error: dict[str, Any] = event.error_response.build_error()
        if event.shape.endswith("enveloped"):
            error = {"status_code": event.status, "error": error}
        name_line = b"event: error\n" if event.shape.startswith("event-") else b""
        first_parts, _ = response.split(event.after)
        error_event = name_line + encode_event(encode_json(error))
        await self._send_parts(response, [*first_parts, error_event])

    async def _send_parts(self, response: SuccessResponse, parts: Sequence[bytes]) -> None:
        """Send the headers and some parts, with pauses.

        aiohttp ends the body when the handler of the request returns.
        """
        await asyncio.sleep(response.delay)
        self._request.status = 200
        self._http_response.headers.update(
            {"Content-Type": response.content_type, **self._headers, **response.headers}
        )
        await self._http_response.prepare(self._http_request)
        clock = asyncio.get_running_loop().time
        due = clock()
        for part in parts:
            due += response.pace
            await asyncio.sleep(max(0, due - clock()))
            await self._http_response.write(part)

    async def _send_whole(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        headers = {**self._headers, **headers}
        if self._should_compress(body, status):
            body = gzip.compress(body, 1)
            headers = {"Content-Encoding": "gzip", **headers}
        self._request.status = status
        self._http_response = web.Response(body=body, status=status, headers=headers)
        await self._http_response.prepare(self._http_request)
        await self._http_response.write_eof()

    def _should_compress(self, body: bytes, status: int) -> bool:
        """Whether Cerebras would compress this body: status 200, and not too short."""
        is_accepted = "gzip" in self._http_request.headers.get("Accept-Encoding", "")
        return is_accepted and status == 200 and len(body) >= MIN_COMPRESSED_BYTES

    async def _abort_connection(self, *, reset: bool) -> None:
        await asyncio.sleep(_FLUSH_SECONDS)
        self._request.answered.set()
        if transport := self._http_request.transport:
            if reset:
                # With a linger time of zero, closing the socket resets the connection.
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER_TIME)
            transport.abort()
        # When the connection is lost, aiohttp cancels this handler. Wait for that.
        await asyncio.sleep(math.inf)
