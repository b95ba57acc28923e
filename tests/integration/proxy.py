"""A forward proxy on loopback, and a gateway: both pass on what real ones pass on."""

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import NamedTuple, Self
from urllib.parse import urlsplit

TARGETLESS = ("proxy-", "connection:")


class Head(NamedTuple):
    """What a request begins with."""

    method: str
    target: str
    headers: tuple[str, ...]

    @classmethod
    def read(cls, data: bytes) -> Self:
        line, *headers = data.decode("latin-1").strip().split("\r\n")
        method, target, _ = line.split(" ")
        return cls(method, target, tuple(headers))

    def value(self, name: str) -> str:
        pairs = (header.split(": ", 1) for header in self.headers)
        return next((value for each, value in pairs if each.lower() == name), "")

    def to(self, path: str) -> bytes:
        """The same head for the server itself, which then closes the connection."""
        kept = [each for each in self.headers if not each.lower().startswith(TARGETLESS)]
        lines = [f"{self.method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1")


class _Server:
    """Listens in a thread of its own, and ends with everything it began."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self.seen: list[Head] = []
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
                head = Head.read(await reader.readuntil(b"\r\n\r\n"))
                self.seen.append(head)
                await self._answer(head, reader, writer)

    async def _answer(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        raise NotImplementedError


class Proxy(_Server):
    """Tunnels CONNECT, passes on requests for whole URLs, and may want a password.

    What servers say is passed on `lag` seconds later.
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
        return [head.method for head in self.seen]

    def url(self, credentials: str) -> str:
        """Its URL with a user and a password in it."""
        return self.origin.replace("://", f"://{credentials}@")

    async def _answer(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not self._lets_in(head):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n")
            writer.write(b'Proxy-Authenticate: Basic realm="proxy"\r\n')
            writer.write(b"Content-Length: 0\r\n\r\n")
            await writer.drain()
            return
        is_tunnel = head.method == "CONNECT"
        url = urlsplit(f"//{head.target}" if is_tunnel else head.target)
        try:
            upward, upstream = await asyncio.open_connection(url.hostname, url.port)
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        async with _closing(upstream):
            if is_tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                upstream.write(head.to(url._replace(scheme="", netloc="").geturl()))
            await _relay(reader, writer, upward, upstream, self._lag)

    def _lets_in(self, head: Head) -> bool:
        if self._credentials is None:
            return True
        expected = base64.b64encode(self._credentials.encode()).decode()
        return head.value("proxy-authorization") == f"Basic {expected}"


class Gateway(_Server):
    """Has one server's paths under a prefix of its own."""

    def __init__(self, prefix: str, origin: str) -> None:
        super().__init__()
        self._prefix = prefix
        self._server = urlsplit(origin)

    async def _answer(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        to = self._server
        upward, upstream = await asyncio.open_connection(to.hostname, to.port)
        async with _closing(upstream):
            upstream.write(head.to(head.target.removeprefix(self._prefix)))
            await _relay(reader, writer, upward, upstream)


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


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    upward: asyncio.StreamReader,
    upstream: asyncio.StreamWriter,
    lag: float = 0,
) -> None:
    """Pass everything on in both directions, until one of them ends."""
    ways = [
        asyncio.create_task(_pass_on(reader, upstream)),
        asyncio.create_task(_pass_on(upward, writer, lag)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lag: float = 0
) -> None:
    while data := await reader.read(65536):
        await asyncio.sleep(lag)
        writer.write(data)
        await writer.drain()
