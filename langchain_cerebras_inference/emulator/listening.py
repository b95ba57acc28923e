"""A service that listens, in a thread and on an event loop of its own."""

import asyncio
import socket
import ssl
import threading
from concurrent.futures import Future
from typing import cast

from aiohttp import web

from langchain_cerebras_inference.emulator.service import Service

BACKLOG = 1024
# Every connection has been aborted by then: this is for what aiohttp has left to do.
SHUTDOWN_SECONDS = 1.0


class Listening:
    """The thread, from the first connection it takes to the last it closes."""

    def __init__(
        self,
        service: Service,
        address: tuple[str, int],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        """Listen on `address` and wait until connections are taken."""
        self._service = service
        self._ssl = ssl_context
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.create_server(address, family=family, backlog=BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self._runner = _runner(service)
        self._server: web.Server
        self._loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Event
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._thread.start()
        self._ready.result()

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return len(self._server.connections)

    def stop(self) -> None:
        """Abort every connection and wait for the thread to end."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        # Debug mode would complain of slow callbacks on somebody else's stderr.
        asyncio.run(self._serve(), debug=False)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        await self._runner.setup()
        self._server = cast("web.Server", self._runner.server)
        listener = await self._loop.create_server(
            self._accept, sock=self._socket, ssl=self._ssl, backlog=BACKLOG
        )
        self._service.is_stopping = False
        self._ready.set_result(None)
        await self._stopped.wait()
        self._service.is_stopping = True
        listener.close()
        self._abort_connections()
        await self._runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        self._service.connections += 1
        return self._server()

    def _abort_connections(self) -> None:
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()


def _runner(service: Service) -> web.AppRunner:
    # No limit on a body's size, and bodies as sent: the service decodes them itself.
    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/{path:.*}", service.handle)
    return web.AppRunner(
        application,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
