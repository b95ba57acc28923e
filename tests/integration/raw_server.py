"""A server that sends the bytes of a test, for HTTP that the emulator never sends."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
STREAM_END = b"0\r\n\r\n"


class Connection(socketserver.StreamRequestHandler):
    """The server's side of one connection."""

    def read_request(self) -> bool:
        """Wait for a whole request; return `False` if the client has disconnected."""
        length = 0
        for line in self.rfile:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            if line == b"\r\n":
                self.rfile.read(length)
                return True
        return False

    def send(self, data: bytes) -> None:
        self.wfile.write(data)


@contextmanager
def run_raw_server(serve_connection: Callable[[Connection], None]) -> Iterator[str]:
    """Call `serve_connection` for each connection, in its own thread; yield the base URL."""

    class Handler(Connection):
        def handle(self) -> None:
            serve_connection(self)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def completion_response(text: str) -> bytes:
    """Return an HTTP response with a whole completion."""
    message = {"role": "assistant", "content": text}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


def event_http_chunk(text: str = "", **choice: Any) -> bytes:
    """Return one event of a stream as one chunk of the chunked transfer encoding."""
    body = json.dumps({"choices": [{"delta": {"content": text}, **choice}]})
    data = f"data: {body}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)
