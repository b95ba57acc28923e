"""A server that says byte for byte what a test has it say."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"


class Line(socketserver.StreamRequestHandler):
    """One connection, as the server holds it."""

    def asked(self) -> bool:
        """Wait for a whole request; `False` where the client has hung up."""
        length = 0
        for line in self.rfile:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            if line == b"\r\n":
                self.rfile.read(length)
                return True
        return False

    def say(self, data: bytes) -> None:
        self.wfile.write(data)


@contextmanager
def serving(talk: Callable[[Line], None]) -> Iterator[str]:
    """Have `talk` answer every connection, in a thread of its own; the base URL."""

    class Handler(Line):
        def handle(self) -> None:
            talk(self)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def reply(text: str) -> bytes:
    """A whole answer."""
    message = {"role": "assistant", "content": text}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


def event(text: str = "", **choice: Any) -> bytes:
    """One event of a stream, in a chunk of its own."""
    body = json.dumps({"choices": [{"delta": {"content": text}, **choice}]})
    return chunk(f"data: {body}\n\n".encode())


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
