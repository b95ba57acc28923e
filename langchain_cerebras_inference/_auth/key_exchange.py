"""Cookies → a demo key: the exchange, once for all who need it.

The playground's session endpoint answers a signed-in browser's cookies with a session
that holds a `demoApiKey`. The key is kept until it ends or the API refuses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass

from langchain_cerebras_inference import _urls
from langchain_cerebras_inference._auth import cookie_sources
from langchain_cerebras_inference._auth.browser_session import (
    MAX_BYTES,
    Bearer,
    failed,
    to_bearer,
)
from langchain_cerebras_inference._http import portal, request
from langchain_cerebras_inference._http.response import Response as Answer
from langchain_cerebras_inference._http.route import Route
from langchain_cerebras_inference._version import user_agent
from langchain_cerebras_inference.errors import CerebrasError

_MAX_KEYS = 256
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """Where cookies become a key, and how to get there.

    Attributes:
        url: The session endpoint.
        route: The way to it.
        timeout: Seconds for the answer; it never gets more than a minute.
    """

    url: str
    route: Route
    timeout: float

    async def key_for(self, cookies: str) -> Bearer:
        """The key that cookies are good for, exchanged if it is not known yet.

        Args:
            cookies: The text that says what or where they are; they are read anew for
                every exchange, because their owner may have signed in again.

        Raises:
            CerebrasCookieError: If the cookies do not become a key, or may not go there.
        """
        self._check()
        what = f"{self.url}\n{cookies}".encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(what).digest()
        if known := _known(digest):
            return known
        return await portal.run_from_event_loop(self._shared(digest, cookies))

    def _check(self) -> None:
        """Refuse what would show cookies to others, whatever the model has been set to."""
        try:
            _urls.to_session_url(self.url)
        except ValueError as error:
            raise failed(str(error)) from None
        if self.route.verify is False and not _urls.is_loopback(self.url):
            raise failed("verify=False would show them to anybody; name a CA bundle.")

    async def _shared(self, digest: bytes, cookies: str) -> Bearer:
        """Share one exchange among all who wait, whoever of them is cancelled."""
        if known := _known(digest):  # since it was asked for on another loop
            return known
        known_as = digest, self.route
        task = _running.get(known_as)
        if task is None:
            exchange = self._exchange(digest, cookies)
            task = _running[known_as] = asyncio.get_running_loop().create_task(exchange)
            task.add_done_callback(functools.partial(_forget_task, known_as))
        return await asyncio.shield(task)

    async def _exchange(self, digest: bytes, cookies: str) -> Bearer:
        chosen = await cookie_sources.choose(cookies, self.url)
        try:
            with await self._ask(chosen.header) as answer:
                body = await answer.read(MAX_BYTES)
        except CerebrasError as error:
            raise failed(str(error), error.status, is_retryable=error.is_retryable) from error
        bearer = to_bearer(answer.status, answer.headers, body, chosen.expired)
        _keys[digest] = bearer
        while len(_keys) > _MAX_KEYS:
            _keys.popitem(last=False)
        return bearer

    async def _ask(self, header: str) -> Answer:
        # Unprotected, cookies go to this machine alone, so no proxy may see them either.
        is_bare = not self.url.startswith("https:") or self.route.verify is False
        route = dataclasses.replace(self.route, proxy="") if is_bare else self.route
        headers = {
            "Cookie": header,
            "Accept": "application/json",
            "User-Agent": user_agent(),
        }
        timeout = min(self.timeout, _LONGEST_WAIT)
        return await request.send(
            "GET", self.url, headers=headers, route=route, timeout=timeout
        )


# Written on the portal's loop alone, where every exchange runs; read from anywhere.
_keys: OrderedDict[bytes, Bearer] = OrderedDict()
_running: dict[tuple[bytes, Route], asyncio.Task[Bearer]] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)


def _known(digest: bytes) -> Bearer | None:
    known = _keys.get(digest)
    if known is None or known.has_expired:
        return None
    with contextlib.suppress(KeyError):  # another thread has just dropped it
        _keys.move_to_end(digest)
    return known


def _forget_task(known_as: tuple[bytes, Route], task: asyncio.Task[Bearer]) -> None:
    _running.pop(known_as, None)
    if not task.cancelled():
        task.exception()  # asyncio complains of one that nobody waited for


def forget(bearer: Bearer) -> None:
    """Drop one key, which the API has refused."""
    for digest, known in list(_keys.items()):
        if known == bearer:
            _keys.pop(digest, None)
