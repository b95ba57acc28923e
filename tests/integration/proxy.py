"""A forward proxy and an API gateway that listen on loopback."""

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import NamedTuple, Self
from urllib.parse import urlsplit

# Headers with these prefixes are for the proxy, which does not forward them.
HOP_BY_HOP_PREFIXES = ("proxy-", "connection:")


class RequestHead(NamedTuple):
    """The request line and the headers of a request."""

    method: str
    target: str
    headers: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        line, *headers = data.decode("latin-1").strip().split("\r\n")
        method, target, _ = line.split(" ")
        return cls(method, target, tuple(headers))

    def header(self, name: str) -> str:
        pairs = (header.split(": ", 1) for header in self.headers)
        return next((value for key, value in pairs if key.lower() == name), "")

    def to_origin_bytes(self, path: str) -> bytes:
        """Return the head for the origin server; it asks the server to close the connection."""
        headers = [
            header
            for header in self.headers
            if not header.lower().startswith(HOP_BY_HOP_PREFIXES)
        ]
        lines = [f"{self.method} {path} HTTP/1.1", *headers, "Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1")


class _Server:
    """A server that runs in a thread of its own, and cancels all its tasks when it stops."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self.requests: list[RequestHead] = []
        self._ssl = ssl_context
        self._handlers: set[asyncio.Task[None]] = set()
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._ready.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    @property
    def origin(self) -> str:
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._handlers)

    def _run(self) -> None:
        asyncio.run(self._listen(), debug=False)

    async def _listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._ssl)
        self._ready.set_result(server.sockets[0].getsockname()[1])
        await self._stopped.wait()
        server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = self._loop.create_task(self._serve(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with _closing(writer):
                head = RequestHead.parse(await reader.readuntil(b"\r\n\r\n"))
                self.requests.append(head)
                await self._respond(head, reader, writer)

    async def _respond(
        self, head: RequestHead, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        raise NotImplementedError


class Proxy(_Server):
    """A forward proxy: it tunnels CONNECT requests and forwards requests for absolute URLs.

    Args:
        credentials: The `user:password` that the proxy requires, if any.
        ssl_context: The TLS context for connections to the proxy itself.
        lag: The seconds by which everything from the origin server is delayed.
    """

    def __init__(
        self,
        *,
        credentials: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        lag: float = 0,
    ) -> None:
        super().__init__(ssl_context)
        self._credentials = credentials
        self._lag = lag

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def methods(self) -> list[str]:
        return [head.method for head in self.requests]

    def url(self, credentials: str) -> str:
        """The proxy's URL with `user:password` in it."""
        return self.origin.replace("://", f"://{credentials}@")

    async def _respond(
        self, head: RequestHead, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not self._is_authorized(head):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n")
            writer.write(b'Proxy-Authenticate: Basic realm="proxy"\r\n')
            writer.write(b"Content-Length: 0\r\n\r\n")
            await writer.drain()
            return
        is_tunnel = head.method == "CONNECT"
        url = urlsplit(f"//{head.target}" if is_tunnel else head.target)
        try:
            origin_reader, origin_writer = await asyncio.open_connection(url.hostname, url.port)
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        async with _closing(origin_writer):
            if is_tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = url._replace(scheme="", netloc="").geturl()
                origin_writer.write(head.to_origin_bytes(path))
            await _forward_both(reader, writer, origin_reader, origin_writer, self._lag)

    def _is_authorized(self, head: RequestHead) -> bool:
        if self._credentials is None:
            return True
        expected = base64.b64encode(self._credentials.encode()).decode()
        return head.header("proxy-authorization") == f"Basic {expected}"


class Gateway(_Server):
    """A reverse proxy that serves the origin server's paths under a prefix."""

    def __init__(self, prefix: str, origin: str) -> None:
        super().__init__()
        self._prefix = prefix
        self._origin_url = urlsplit(origin)

    async def _respond(
        self, head: RequestHead, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        origin_reader, origin_writer = await asyncio.open_connection(
            self._origin_url.hostname, self._origin_url.port
        )
        async with _closing(origin_writer):
            origin_writer.write(head.to_origin_bytes(head.target.removeprefix(self._prefix)))
            await _forward_both(reader, writer, origin_reader, origin_writer)


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _forward_both(
    client_reader: asyncio.StreamReader,
    client_writer: asyncio.StreamWriter,
    origin_reader: asyncio.StreamReader,
    origin_writer: asyncio.StreamWriter,
    lag: float = 0,
) -> None:
    """Forward data in both directions until one of them ends."""
    tasks = [
        asyncio.create_task(_forward(client_reader, origin_writer)),
        asyncio.create_task(_forward(origin_reader, client_writer, lag)),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lag: float = 0
) -> None:
    while data := await reader.read(65536):
        await asyncio.sleep(lag)
        writer.write(data)
        await writer.drain()
