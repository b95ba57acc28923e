"""What the emulator knows, and which route answers what."""

import asyncio
import secrets
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from aiohttp import web

from langchain_cerebras_inference.emulator.acts import Act, Playable, Reply, Scripted, Session
from langchain_cerebras_inference.emulator.cache import PromptCache
from langchain_cerebras_inference.emulator.catalogue import listed, public
from langchain_cerebras_inference.emulator.limits import quota
from langchain_cerebras_inference.emulator.records import Request, received
from langchain_cerebras_inference.emulator.refusals import Refuse, RequestError
from langchain_cerebras_inference.emulator.replies import (
    Prepare,
    Prepared,
    default,
    document,
    performed,
)
from langchain_cerebras_inference.emulator.sessions import Playground
from langchain_cerebras_inference.emulator.shapes import Shape
from langchain_cerebras_inference.emulator.stage import Stage
from langchain_cerebras_inference.emulator.validation import check_request

Route: TypeAlias = Literal["chat", "models", "session"]

REMEMBERED = 20_000


class Service:
    """Cerebras without the network: it judges a request and has it answered."""

    def __init__(
        self,
        playground: Playground,
        api_key: str | None,
        tokens_per_second: float | None,
    ) -> None:
        """Begin with nobody's requests."""
        self.playground = playground
        self.api_key = api_key or f"csk-{secrets.token_hex(24)}"
        self.connections = 0
        self.is_stopping = False
        self._tokens_per_second = tokens_per_second
        self._cache = PromptCache()
        self._served = 0
        self.reset()

    def reset(self) -> None:
        """Forget the requests and the script."""
        self.requests: deque[Request] = deque(maxlen=REMEMBERED)
        self.scripts: dict[Route, deque[Scripted]] = {
            "chat": deque(),
            "models": deque(),
            "session": deque(),
        }

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one request, and remember what became of it."""
        request, fault = await received(http)
        self.requests.append(request)
        try:
            response = await self._answer(http, request, fault)
        except asyncio.CancelledError:
            self._went_away(request)
            raise
        except ConnectionError:
            self._went_away(request)
            return web.Response()
        request.answered.set()
        return response

    def _went_away(self, request: Request) -> None:
        if not self.is_stopping and not request.answered.is_set():
            request.disconnected.set()

    async def _answer(
        self, http: web.Request, request: Request, fault: RequestError | None
    ) -> web.StreamResponse:
        prepare: Prepare = document({})
        try:
            route, prepare = self._routed(request, fault)
            act = self._next(route, request)
        except RequestError as refused:
            act = refused.refusal
        headers = {"x-request-id": uuid.uuid4().hex[:16]}
        return await Stage(http, request, headers, prepare).play(act)

    def _next(self, route: Route | None, request: Request) -> Playable:
        script = self.scripts[route] if route else None
        act = script.popleft() if script else Reply()
        if not isinstance(act, Act):
            act = _chosen(act, request)
        if isinstance(act, Session):
            return self.playground.played(act)
        if isinstance(act, Refuse) and act.status == 429:
            return replace(act, headers={**quota(self._served, act), **act.headers})
        return act

    def _routed(
        self, request: Request, fault: RequestError | None
    ) -> tuple[Route | None, Prepare]:
        """Who answers the request, if anybody may.

        Raises:
            RequestError: if Cerebras would not take it; the script then stays as it is.
        """
        if request.path.startswith("/v1/"):
            self._check_key(request)
        if fault:
            raise fault
        match (request.method, *request.path.strip("/").split("/")):
            case ("POST", "v1", "chat", "completions"):
                return "chat", self._chat(request)
            case ("GET", "v1", "models", *name):
                return "models", document(listed(name))
            case ("GET", "public", "v1", "models", *name):
                return "models", document(public(name))
            case ("GET", "v1", "tcp_warming"):
                return None, document({})
            case ("GET", "api", "auth", "session" | "signin" as page):
                route: Route | None = "session" if page == "session" else None
                return route, default(self.playground.reply(page, request))
        raise RequestError(Refuse(404, body='{"detail":"Not Found"}'))

    def _check_key(self, request: Request) -> None:
        if request.bearer not in (self.api_key, self.playground.demo_key):
            raise RequestError(Refuse(401))

    def _chat(self, request: Request) -> Prepare:
        body = request.body
        model = check_request(body)
        cached = self._cache.tokens(request)
        self._served += 1

        def prepare(reply: Reply) -> Prepared:
            shape = Shape(body, model, cached, self._tokens_per_second)
            return performed(reply, shape, quota(self._served))

        return prepare


def _chosen(choose: Callable[[Request], Act], request: Request) -> Act:
    """The act that a scripted function chooses; its failure is a 500 that no retry hides."""
    try:
        act: Any = choose(request)
        if not isinstance(act, Act):
            raise TypeError(f"{act!r:.60} is no act")
    except Exception as error:
        message = f"The scripted function failed: {error!r}"
        headers = {"x-should-retry": "false"}
        raise RequestError(Refuse(500, message=message, headers=headers)) from error
    return act
