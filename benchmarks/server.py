"""A fake of Cerebras. It only writes bytes that were rendered before the first request.

It runs in its own process, so its CPU time is not part of any measurement. The first segment
of the URL's path selects the workload: `/burst/v1/chat/completions`. The server prints its
port to stdout and exits when stdin ends.
"""

import asyncio
import re
import sys
from typing import cast

from benchmarks import workloads

_RETRY_INTERVAL = 0.001
"""Seconds between two attempts to write to a client whose socket buffer is full."""

_CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')

_last_body = {"bytes": 0}


class Connection(asyncio.Protocol):
    """One connection of a client. Handles one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._request = bytearray()
        self._is_paused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the next write."""
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        """Pause writing: the client reads more slowly than the server writes."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Resume writing."""
        self._is_paused = False

    def data_received(self, data: bytes) -> None:
        """Respond as soon as the whole request has arrived."""
        self._request += data
        head_end = self._request.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return
        head = bytes(self._request[:head_end])
        length = _CONTENT_LENGTH.search(head)
        size = int(length[1]) if length else 0
        if len(self._request) < head_end + size:
            return
        body = bytes(self._request[head_end:])
        self._request.clear()
        self._respond(head.split(b" ", 2)[1].decode(), body)

    def _respond(self, path: str, body: bytes) -> None:
        if path == "/last_body":
            self._transport.write(workloads.render_json_response(_last_body))
            return
        _last_body["bytes"] = len(body)
        if _STREAM.search(body):
            workload = workloads.get_workloads()[path.split("/")[1]]
            self._transport.write(workloads.STREAM_HEAD)
            self._send_steps(workload, 0, asyncio.get_running_loop().time())
        elif path.startswith("/no_limits/"):
            self._transport.write(workloads.render_completion_without_limits())
        elif path.startswith("/twelve_limits/"):
            self._transport.write(workloads.render_completion_with_twelve_limits())
        else:
            self._transport.write(workloads.render_completion())

    def _send_steps(self, workload: workloads.Workload, sent: int, start: float) -> None:
        """Write the steps that are due, and schedule the next write."""
        loop = asyncio.get_running_loop()
        elapsed = loop.time() - start
        if self._is_paused:
            next_write = elapsed + _RETRY_INTERVAL
        else:
            due = workload.count_due_steps(elapsed)
            if due > sent:
                self._transport.write(workload.get_bytes(sent, due))
                sent = due
            next_write = workload.get_next_write(sent, elapsed)
        if sent < len(workload.step_ends):
            self._timer = loop.call_at(
                start + next_write, self._send_steps, workload, sent, start
            )


async def serve(connection_class: type[Connection] = Connection) -> None:
    """Serve until stdin ends."""
    workloads.get_workloads()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection_class, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
