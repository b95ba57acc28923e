"""The emulator itself: a server in a thread of its own, and its script."""

import asyncio
import math
import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from langchain_cerebras_inference.emulator.acts import Scripted, check_scripted, check_word
from langchain_cerebras_inference.emulator.listening import Listening
from langchain_cerebras_inference.emulator.records import Request
from langchain_cerebras_inference.emulator.service import Route, Service
from langchain_cerebras_inference.emulator.sessions import Playground

_LAST_PORT = 65535


class Emulator:
    """A local Cerebras, for tests and demonstrations without a key or a network.

    ```python
    with Emulator() as server:
        server.script(Refuse(429), Reply("Hello"))
        call(server.base_url, server.api_key)
        assert len(server.requests) == 2
    ```

    It runs in a thread of its own, so blocking and asynchronous code can both use it.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tokens_per_second: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        api_key: str | None = None,
    ) -> None:
        """Set up a server that does not listen yet.

        Args:
            host: The address to listen on.
            port: The port; 0 is any free one.
            tokens_per_second: The pace of streams; `None` is as fast as possible.
            ssl_context: Serve https with it.
            api_key: The key to accept; one is made up otherwise.

        Raises:
            ValueError: if there is no such port, or no such pace.
        """
        if not 0 <= port <= _LAST_PORT:
            raise ValueError(f"port must be 0 to {_LAST_PORT}, not {port}.")
        if tokens_per_second is not None and not 0 < tokens_per_second < math.inf:
            pace = f"positive and finite, not {tokens_per_second}"
            raise ValueError(f"tokens_per_second must be {pace}.")
        self._host = host
        self._port = port
        self._ssl = ssl_context
        self._playground = Playground(secure=ssl_context is not None)
        self._service = Service(self._playground, api_key, tokens_per_second)
        self._listening: Listening | None = None

    @property
    def base_url(self) -> str:
        """The URL for `base_url` and `CEREBRAS_API_BASE`."""
        return f"{self.origin}/v1"

    @property
    def session_url(self) -> str:
        """The URL where cookies become a demo key."""
        return f"{self.origin}/api/auth/session"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._ssl else 'http'}://{host}:{self._port}"

    @property
    def api_key(self) -> str:
        """The API key that is accepted."""
        return self._service.api_key

    @property
    def demo_key(self) -> str:
        """The demo key of the session, accepted as well."""
        return self._playground.demo_key

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies of the signed-in session."""
        cookie = {self._playground.cookie_name: self._playground.cookie_value}
        return MappingProxyType(cookie)

    @property
    def requests(self) -> list[Request]:
        """What arrived so far, in order; at most the last 20,000."""
        return list(self._service.requests)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._service.connections

    @property
    def open_connections(self) -> int:
        """How many of them are open."""
        return self._listening.open_connections if self._listening else 0

    def script(self, *acts: Scripted, route: Route = "chat") -> None:
        """Add `acts`: every request to `route` that is not refused takes one.

        Raises:
            TypeError: if one of them is neither an act nor a function.
            ValueError: if there is no such route.
        """
        check_word(route, Route)
        for act in acts:
            check_scripted(act)
        self._service.scripts[route].extend(acts)

    def script_session(self, *acts: Scripted) -> None:
        """Add `acts` for the session route."""
        self.script(*acts, route="session")

    def script_models(self, *acts: Scripted) -> None:
        """Add `acts` for the routes that list models."""
        self.script(*acts, route="models")

    def rotate_demo_key(self) -> None:
        """Give the session a new demo key; the old one is rejected from now on."""
        self._playground.rotate_demo_key()

    def reset(self) -> None:
        """Forget the requests and the script; connections and keys stay."""
        self._service.reset()

    def start(self) -> Self:
        """Listen.

        Raises:
            OSError: if the address cannot be had.
        """
        if self._listening is None:
            address = (self._host, self._port)
            self._listening = Listening(self._service, address, self._ssl)
            self._port = self._listening.port
        return self

    def stop(self) -> None:
        """Close every connection at once and stop listening."""
        if self._listening is not None:
            self._listening.stop()
            self._listening = None

    def __enter__(self) -> Self:
        """Listen."""
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Listen, in the thread all the same."""
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_exc: object) -> None:
        """Stop."""
        await asyncio.to_thread(self.stop)
