"""A Cerebras that does nothing but write: raw asyncio, bytes that were rendered before.

It runs in a process of its own, so that what it costs is nobody's. The first step of a
request's path names the workload: `/burst/v1/chat/completions`. It says on stdout which
port it has, and ends with its stdin.
"""

import asyncio
import re
import sys
import time
from typing import cast

from benchmarks import wire

_BLOCKED = 0.001
"""Seconds until a client that was behind is looked at again."""

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')

received = {"requests": 0, "bytes": 0}


class Connection(asyncio.Protocol):
    """One client's connection: a request, its answer, the next request."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._request = bytearray()
        self._is_blocked = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop writing."""
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        """Wait: the client is behind."""
        self._is_blocked = True

    def resume_writing(self) -> None:
        """Go on: the client has caught up."""
        self._is_blocked = False

    def data_received(self, data: bytes) -> None:
        """Answer a request when all of it is here."""
        self._request += data
        end = self._request.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = bytes(self._request[:end])
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if len(self._request) < end + size:
            return
        body = bytes(self._request[end:])
        self._request.clear()
        self._answer(head.split(b" ", 2)[1].decode(), body)

    def _answer(self, path: str, body: bytes) -> None:
        received["requests"] += 1
        received["bytes"] = len(body) or received["bytes"]
        if path == "/stats":
            cpu = time.process_time()
            self._transport.write(wire.as_json({**received, "cpu": cpu}))
        elif _STREAM.search(body):
            script = wire.scripts()[path.split("/")[1]]
            self._transport.write(wire.STREAM_HEAD)
            self._play(script, 0, asyncio.get_running_loop().time())
        else:
            self._transport.write(wire.whole())

    def _play(self, script: wire.Script, done: int, begun: float) -> None:
        """Write the steps that are due; come again while there are more."""
        loop = asyncio.get_running_loop()
        elapsed = loop.time() - begun
        if self._is_blocked:
            again = elapsed + _BLOCKED
        else:
            due = script.due(elapsed)
            if due > done:
                self._transport.write(script.slice(done, due))
                done = due
            again = script.next(done, elapsed)
        if done < len(script.ends):
            self._timer = loop.call_at(begun + again, self._play, script, done, begun)


async def serve() -> None:
    """Serve until stdin ends."""
    wire.scripts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
