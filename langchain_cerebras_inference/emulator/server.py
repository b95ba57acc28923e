"""The emulator: an HTTP server in its own thread."""

import asyncio
import math
import socket
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any, Self, TextIO, cast

from aiohttp import web

from langchain_cerebras_inference.emulator.browser_session import BrowserSession
from langchain_cerebras_inference.emulator.endpoints import Endpoint, Service
from langchain_cerebras_inference.emulator.rate_limits import LimitSettings
from langchain_cerebras_inference.emulator.received_requests import Request
from langchain_cerebras_inference.emulator.script import (
    Scripted,
    check_literal,
    check_scripted,
)

MAX_PORT = 65535
BACKLOG = 1024
# The time for aiohttp to notice that all connections were aborted.
SHUTDOWN_SECONDS = 1.0


class Emulator:
    """A local emulator of Cerebras, for tests and demonstrations without a key or a network.

    ```python
    with Emulator() as server:
        server.script(Refuse(429), Reply("Hello"))
        ...  # send two requests to server.base_url with server.api_key
        assert len(server.requests) == 2
    ```

    It runs in its own thread, so both blocking and asynchronous code can use it.

    Like Cerebras, it enforces the limits that are set. Each limit is a bucket of requests or
    tokens. Each API key has separate buckets for each model: its quota of that model. A bucket
    starts full, and is refilled continuously, at the rate of its limit.

    A valid chat request takes one request from each bucket of requests. From each bucket of
    tokens, it takes the tokens of its prompt plus `max_completion_tokens`. The latter counts as
    at most 16,384, and as 16,384 if it is not set.
    If one bucket has too little, nothing is taken, and the request gets an error response of
    status 429 with the code `request_quota_exceeded` or `token_quota_exceeded`. A request for
    more tokens than a bucket can hold is never accepted. A request with a scripted response
    takes the same amounts.

    The headers `x-ratelimit-limit-*` and `x-ratelimit-remaining-*` show the limits per
    minute, hour and day. If a limit is not set, they show the recorded one, and the
    remaining amount never changes.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tokens_per_second: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        api_key: str | None = None,
        latency: tuple[float, float] | None = None,
        log: TextIO | None = None,
        requests_per_minute: int | None = None,
        requests_per_hour: int | None = None,
        requests_per_day: int | None = None,
        tokens_per_minute: int | None = None,
        tokens_per_hour: int | None = None,
        tokens_per_day: int | None = None,
        burst: int | None = None,
        token_burst: int | None = None,
        requests_per_second: float | None = None,
        refund_unused_tokens: bool = False,
        used_by_others: float = 0,
    ) -> None:
        """Create an emulator. `start()`, `with` or `async with` starts it.

        Args:
            host: The address to listen on.
            port: The port to listen on. 0 means any free port.
            tokens_per_second: The speed of streams. This limits no request. Default: as fast
                as possible.
            ssl_context: The TLS settings of the server, for https. Default: plain http.
            api_key: The API key to accept. Default: a random key.
            latency: The minimum and the maximum delay of a completion, in seconds. Each delay
                is random, but the sequence of delays is the same in each run. Error responses
                are not delayed. Default: no delay.
            log: A text stream, such as `sys.stdout`, that gets one line for each request.
                The line has the time, method, path, model, status, tokens and milliseconds,
                and never a key, a cookie or a message. Default: no log.
            requests_per_minute: The limit of requests per minute. Default: no limit.
            requests_per_hour: The limit of requests per hour. Default: no limit.
            requests_per_day: The limit of requests per day. Default: no limit.
            tokens_per_minute: The limit of tokens per minute. Default: no limit.
            tokens_per_hour: The limit of tokens per hour. Default: no limit.
            tokens_per_day: The limit of tokens per day. Default: no limit.
            burst: How many requests the bucket of `requests_per_minute` can hold, and so how
                many are accepted in a burst. With `requests_per_minute=600, burst=20`, 20
                requests are accepted immediately, and then 10 per second. Default:
                `requests_per_minute`.
            token_burst: How many tokens the bucket of `tokens_per_minute` can hold. Default:
                `tokens_per_minute`.
            requests_per_second: A hidden limit of requests per second: no header shows it. Its
                bucket holds the requests of one second, and at least one. Default: no limit.
            refund_unused_tokens: Whether the tokens that a request reserved and did not use
                are returned when its response has ended.
            used_by_others: The share of every limit that others use all the time, from 0 to
                less than 1. With 0.2, the buckets are refilled at 80 % of the rate that the
                headers promise.

        Raises:
            TypeError: If `ssl_context` is not an `ssl.SSLContext`.
            ValueError: If a number is out of range, a burst is set without its limit, or
                `ssl_context` is for clients.
        """
        if not 0 <= port <= MAX_PORT:
            raise ValueError(f"port must be 0 to {MAX_PORT}, not {port}.")
        if tokens_per_second is not None and not 0 < tokens_per_second < math.inf:
            raise ValueError(
                f"tokens_per_second must be positive and finite, not {tokens_per_second}."
            )
        if latency is not None and not 0 <= latency[0] <= latency[1] < math.inf:
            raise ValueError(
                "latency must be two finite numbers of seconds, the minimum and the maximum, "
                f"not {latency}."
            )
        _check_ssl_context(ssl_context)
        self._host = host
        self._port = port
        self._ssl_context = ssl_context
        self._browser_session = BrowserSession(is_https=ssl_context is not None)
        limits = LimitSettings(
            requests_per_second=requests_per_second,
            requests_per_minute=requests_per_minute,
            requests_per_hour=requests_per_hour,
            requests_per_day=requests_per_day,
            tokens_per_minute=tokens_per_minute,
            tokens_per_hour=tokens_per_hour,
            tokens_per_day=tokens_per_day,
            burst=burst,
            token_burst=token_burst,
            refund_unused_tokens=refund_unused_tokens,
            used_by_others=used_by_others,
        )
        self._service = Service(
            self._browser_session,
            api_key=api_key,
            tokens_per_second=tokens_per_second,
            latency=latency,
            limits=limits,
            log=log,
        )
        self._thread: _ServerThread | None = None

    @property
    def base_url(self) -> str:
        """The URL of the API, for `base_url` and `CEREBRAS_API_BASE`."""
        return f"{self.origin}/v1"

    @property
    def session_url(self) -> str:
        """The URL of the session endpoint, for `session_url` and `CEREBRAS_SESSION_URL`."""
        return f"{self.origin}/api/auth/session"

    @property
    def origin(self) -> str:
        """The scheme, host and port of all URLs."""
        scheme = "http" if self._ssl_context is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}"

    @property
    def api_key(self) -> str:
        """The API key that is accepted."""
        return self._service.api_key

    @property
    def demo_key(self) -> str:
        """The demo key of the browser session. It is accepted like the API key."""
        return self._browser_session.demo_key

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies of the browser session."""
        cookies = {self._browser_session.cookie_name: self._browser_session.cookie_value}
        return MappingProxyType(cookies)

    @property
    def requests(self) -> list[Request]:
        """The requests that have arrived so far, in order; at most the last 20,000."""
        return list(self._service.requests)

    @property
    def accepted(self) -> int:
        """The number of chat requests so far that got no error response.

        A request counts as soon as it is accepted, even if its response is delayed.
        """
        return self._service.counts.accepted

    @property
    def rejected(self) -> int:
        """The number of chat requests so far that a limit or script rejected with 429."""
        return self._service.counts.rejected

    @property
    def connections(self) -> int:
        """The number of connections that were accepted so far."""
        return self._service.connections

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return self._thread.open_connections if self._thread else 0

    def script(self, *behaviors: Scripted, route: Endpoint = "chat") -> None:
        """Add scripted behaviors to an endpoint.

        Each request takes the next one. A request that Cerebras would reject takes none, and
        gets an error response. Without a scripted behavior, the response is as `always` set
        it, or else it is generated.

        Args:
            *behaviors: Behaviors, or functions that return one for a `Request`.
            route: The endpoint: `chat`, `models` or `session`.

        Raises:
            TypeError: If an argument is neither a behavior nor a function.
            ValueError: If `route` is unknown.
        """
        check_literal("route", route, Endpoint)
        for behavior in behaviors:
            check_scripted(behavior)
        self._service.scripts[route].extend(behaviors)

    def always(self, behavior: Scripted, *, route: Endpoint = "chat") -> None:
        """Set the default behavior of an endpoint, for requests without a scripted one.

        Behaviors that `script` adds are used first, each for one request. Another call
        replaces the default behavior of that endpoint. `always(Reply())` makes this endpoint
        generate its responses again; `reset()` does so for all endpoints. A request that
        Cerebras would reject still gets an error response.

        Args:
            behavior: A behavior, or a function that returns one for each `Request`.
            route: The endpoint: `chat`, `models` or `session`.

        Raises:
            TypeError: If `behavior` is neither a behavior nor a function.
            ValueError: If `route` is unknown.
        """
        check_literal("route", route, Endpoint)
        check_scripted(behavior)
        self._service.default_behaviors[route] = behavior

    def script_session(self, *behaviors: Scripted) -> None:
        """Add scripted behaviors to the session endpoint."""
        self.script(*behaviors, route="session")

    def script_models(self, *behaviors: Scripted) -> None:
        """Add scripted behaviors to the endpoints that list models."""
        self.script(*behaviors, route="models")

    def rotate_demo_key(self) -> None:
        """Give the browser session a new demo key; the old one is rejected from now on."""
        self._browser_session.rotate_demo_key()

    def reset(self) -> None:
        """Forget the received requests, their counts and all behaviors, and fill all buckets.

        Connections, keys and the prompt cache are kept.
        """
        self._service.reset()

    def start(self) -> Self:
        """Start to listen.

        Raises:
            OSError: If the emulator cannot listen on this host and port.
        """
        if self._thread is None:
            address = (self._host, self._port)
            self._thread = _ServerThread(self._service, address, self._ssl_context)
            self._port = self._thread.port
        return self

    def stop(self) -> None:
        """Abort all connections and stop listening."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    def __enter__(self) -> Self:
        """Start to listen."""
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start to listen, without blocking the event loop."""
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_exc: object) -> None:
        """Stop, without blocking the event loop."""
        await asyncio.to_thread(self.stop)


def _check_ssl_context(ssl_context: Any) -> None:
    if ssl_context is None:
        return
    hint = "for example ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)"
    if not isinstance(ssl_context, ssl.SSLContext):
        kind = type(ssl_context).__name__
        raise TypeError(f"ssl_context must be an ssl.SSLContext, {hint}, not {kind}.")
    if ssl_context.protocol is ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError(f"ssl_context is for clients: give one for servers, {hint}.")


class _ServerThread:
    """A thread that runs the HTTP server until it is stopped."""

    def __init__(
        self,
        service: Service,
        address: tuple[str, int],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        """Start the thread, and wait until it accepts connections."""
        self._service = service
        self._ssl_context = ssl_context
        self._server: web.Server
        self._loop: asyncio.AbstractEventLoop
        self._stop_requested: asyncio.Event
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.create_server(address, family=family, backlog=BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._thread.start()
        if error := self._started.exception():
            self._thread.join()
            raise error

    @property
    def open_connections(self) -> int:
        return len(self._server.connections)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop_requested.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            # `debug=False` overrides PYTHONASYNCIODEBUG: its warnings would be about the
            # emulator, not about the tested program.
            with self._socket, asyncio.Runner(debug=False) as runner:
                runner.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop_requested = asyncio.Event()
        runner = _create_runner(self._service)
        await runner.setup()
        try:
            self._server = cast("web.Server", runner.server)
            listener = await self._loop.create_server(
                self._accept, sock=self._socket, ssl=self._ssl_context, backlog=BACKLOG
            )
            self._service.is_stopping = False
            self._started.set_result(None)
            await self._stop_requested.wait()
            self._service.is_stopping = True
            listener.close()
            self._abort_connections()
        finally:
            await runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        self._service.connections += 1
        return self._server()

    def _abort_connections(self) -> None:
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()


def _create_runner(service: Service) -> web.AppRunner:
    application = web.Application(client_max_size=0)  # 0 means no limit
    application.router.add_route("*", "/{path:.*}", service.handle)
    return web.AppRunner(
        application,
        access_log=None,
        auto_decompress=False,  # requests are kept as they were sent
        handler_cancellation=True,  # cancels the handler when the client disconnects
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
