"""Where acts are played: bytes, silences and broken connections."""

import asyncio
import gzip
import math
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from aiohttp import web

from langchain_cerebras_inference.emulator.acts import (
    Cut,
    ErrorEvent,
    Garble,
    Playable,
    Redirect,
    Reply,
    Stall,
)
from langchain_cerebras_inference.emulator.records import Request
from langchain_cerebras_inference.emulator.refusals import Refuse
from langchain_cerebras_inference.emulator.replies import (
    JSON_TYPE,
    Prepare,
    Prepared,
    encoded,
    event,
    halves,
    to_bytes,
)

COMPRESSED_FROM = 1024
_RESET = struct.pack("ii", 1, 0)
_SETTLE = 0.02

_PAGE = "<!DOCTYPE html><title>Just a moment...</title><p>Checking your browser."
_ENDLESS = b"x" * 65536
_GARBLED = {
    "json": b'{"id":"chatcmpl-0","choices":[{"delta":{"content":"half',
    "deep": b"[" * 200_000,
    "null": b"null",
    "list": b"[]",
    "types": b'{"id":7,"choices":{"delta":"none"},"created":"now","usage":[]}',
    "utf8": b'{"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}',
}


class Stage:
    """One request's connection, and the acts that can be played on it."""

    def __init__(
        self,
        http: web.Request,
        record: Request,
        headers: Mapping[str, str],
        prepare: Prepare,
    ) -> None:
        """Play for `record`; `prepare` turns a reply into what this route sends."""
        self._http = http
        self._record = record
        self._headers = headers
        self._prepare = prepare
        self._response = web.StreamResponse()

    async def play(self, act: Playable) -> web.StreamResponse:
        """Play one act, to its end."""
        match act:
            case Refuse():
                await self._refuse(act)
            case Redirect():
                await self._whole(b"", act.status, {"Location": act.location})
            case Cut():
                await self._cut(act)
            case Stall():
                await self._stall(act)
            case Garble():
                await self._garble(act)
            case ErrorEvent():
                await self._error_event(act)
            case Reply():
                await self._reply(self._prepare(act))
            case _:
                assert_never(act)
        return self._response

    async def _reply(self, prepared: Prepared) -> None:
        if prepared.streamed:
            await self._frames(prepared, prepared.frames)
            return
        await asyncio.sleep(prepared.delay)
        typed = {"Content-Type": prepared.content_type, **prepared.headers}
        await self._whole(b"".join(prepared.frames), 200, typed)

    async def _refuse(self, act: Refuse) -> None:
        await asyncio.sleep(act.delay)
        body = encoded(act.error()) if act.body is None else to_bytes(act.body)
        typed = {"Content-Type": JSON_TYPE, **act.headers}
        await self._whole(body, act.status, typed)

    async def _cut(self, act: Cut) -> None:
        if act.after is not None:
            prepared = self._prepare(act.reply)
            sent, left = prepared.split(act.after)
            half = halves(left[0])[:1] if left and act.how == "half" else []
            await self._frames(prepared, [*sent, *half])
        if act.after is None or act.how in ("drop", "reset"):
            await self._lose(reset=act.how == "reset")

    async def _stall(self, act: Stall) -> None:
        prepared = self._prepare(act.reply)
        if act.after is None:
            await asyncio.sleep(act.seconds)
            await self._reply(prepared)
            return
        sent, left = prepared.split(act.after)
        await self._frames(prepared, sent)
        await self._silence(act)
        for frame in left:
            await self._response.write(frame)

    async def _silence(self, act: Stall) -> None:
        left = act.seconds
        while act.comments and left > 0:
            await self._response.write(b": keep-alive\n\n")
            await asyncio.sleep(min(left, act.every))
            left -= act.every
        await asyncio.sleep(max(0, left))

    async def _garble(self, act: Garble) -> None:
        match act.how:
            case "html":
                await self._whole(_PAGE.encode(), 200, {"Content-Type": "text/html"})
            case "flat_error":
                body = encoded(Refuse(500).error())
                await self._whole(body, 200, {"Content-Type": JSON_TYPE})
            case "empty":
                kind = self._prepare(act.reply).content_type
                await self._whole(b"", 200, {"Content-Type": kind})
            case _:
                await self._garble_event(act)

    async def _garble_event(self, act: Garble) -> None:
        prepared = self._prepare(act.reply)
        sent, left = prepared.split(act.after) if prepared.streamed else ([], [])
        await self._frames(prepared, sent)
        if act.how == "endless":
            await self._response.write(b'data: {"id":"')
            while True:
                await self._response.write(_ENDLESS)
        data = _GARBLED[act.how]
        for frame in (event(data) if prepared.streamed else data, *left):
            await self._response.write(frame)

    async def _error_event(self, act: ErrorEvent) -> None:
        prepared = self._prepare(act.reply)
        if not prepared.streamed:
            await self._refuse(act.refusal)
            return
        error: dict[str, Any] = act.refusal.error()
        if act.shape.endswith("enveloped"):
            error = {"status_code": act.status, "error": error}
        line = b"event: error\n" if act.shape.startswith("event-") else b""
        sent, _ = prepared.split(act.after)
        await self._frames(prepared, [*sent, line + event(encoded(error))])

    async def _frames(self, prepared: Prepared, frames: Sequence[bytes]) -> None:
        """Begin the answer and send `frames`, each in its time."""
        await asyncio.sleep(prepared.delay)
        typed = {"Content-Type": prepared.content_type}
        self._response.headers.update({**typed, **self._headers, **prepared.headers})
        await self._response.prepare(self._http)
        clock = asyncio.get_running_loop().time
        due = clock()
        for frame in frames:
            due += prepared.pace
            await asyncio.sleep(max(0, due - clock()))
            await self._response.write(frame)

    async def _whole(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        packed = self._packed(body, status)
        encoding = {"Content-Encoding": "gzip"} if packed is not body else {}
        merged = {**self._headers, **encoding, **headers}
        self._response = web.Response(body=packed, status=status, headers=merged)
        await self._response.prepare(self._http)
        await self._response.write_eof()

    def _packed(self, body: bytes, status: int) -> bytes:
        """`body`, compressed where Cerebras would: not an error, not a small one."""
        accepts = "gzip" in self._http.headers.get("Accept-Encoding", "")
        worth_it = status == 200 and len(body) >= COMPRESSED_FROM
        return gzip.compress(body, 1) if accepts and worth_it else body

    async def _lose(self, *, reset: bool) -> None:
        """End the connection; what was written is given a moment to arrive."""
        await asyncio.sleep(_SETTLE)
        self._record.answered.set()
        if transport := self._http.transport:
            if reset:
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        # aiohttp cancels the handler of a lost connection.
        await asyncio.sleep(math.inf)
