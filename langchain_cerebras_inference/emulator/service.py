"""What the emulator knows, and which route answers what."""

import asyncio
import gzip
import hashlib
import json
import secrets
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from aiohttp import web

from langchain_cerebras_inference.emulator.acts import (
    Act,
    Playable,
    Reply,
    Scripted,
    Session,
)
from langchain_cerebras_inference.emulator.answers import Answer, answers, shown
from langchain_cerebras_inference.emulator.catalogue import MODELS
from langchain_cerebras_inference.emulator.limits import quota
from langchain_cerebras_inference.emulator.records import Request
from langchain_cerebras_inference.emulator.refusals import (
    Refuse,
    RequestError,
    bad_request,
)
from langchain_cerebras_inference.emulator.sessions import Playground
from langchain_cerebras_inference.emulator.shapes import Shape
from langchain_cerebras_inference.emulator.stage import (
    DONE,
    STREAM_TYPE,
    Prepared,
    Stage,
    encoded,
    event,
)
from langchain_cerebras_inference.emulator.tokens import (
    CHARACTERS_PER_TOKEN,
    prompt_text,
)
from langchain_cerebras_inference.emulator.validation import check_request, find_model

Route: TypeAlias = Literal["chat", "models", "session"]
Prepare: TypeAlias = Callable[[Reply], Prepared]

REMEMBERED = 20_000
CACHE_BLOCK = 128


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
        self._cached: set[bytes] = set()
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
        content = await http.read()
        body, fault = _decoded(content, http.headers)
        request = _recorded(http, content, body)
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
        prepare: Prepare = _prepared
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
            act = act(request)
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
                return "models", _document(_listing(name))
            case ("GET", "public", "v1", "models", *name):
                return "models", _document(_public(name))
            case ("GET", "v1", "tcp_warming"):
                return None, _document({})
            case ("GET", "api", "auth", "session" | "signin" as page):
                route: Route | None = "session" if page == "session" else None
                return route, _default(self.playground.reply(page, request))
        raise RequestError(Refuse(404, body='{"detail":"Not Found"}'))

    def _check_key(self, request: Request) -> None:
        if request.bearer not in (self.api_key, self.playground.demo_key):
            raise RequestError(Refuse(401))

    def _chat(self, request: Request) -> Prepare:
        body = request.body
        model = check_request(body)
        cached = self._cached_tokens(request)
        self._served += 1

        def prepare(reply: Reply) -> Prepared:
            shape = Shape(body, model, cached, self._tokens_per_second)
            return _performed(reply, shape, quota(self._served))

        return prepare

    def _cached_tokens(self, request: Request) -> int:
        """How much of the prompt this key has sent before, in whole blocks."""
        fresh = list(_prefixes(request))
        known = [prefix in self._cached for prefix in fresh]
        self._cached.update(fresh)
        return CACHE_BLOCK * (known.index(False) if False in known else len(known))


def _performed(reply: Reply, shape: Shape, headers: Mapping[str, str]) -> Prepared:
    """`reply` to a chat request, in the shape it asked for."""
    headers = {**headers, "inference-id": shape.id, **reply.headers}
    streamed = shape.body.get("stream") is True
    return Prepared(
        list(_events(reply, shape)) if streamed else [_whole(reply, shape)],
        **({"content_type": STREAM_TYPE} if streamed else {}),
        headers=headers,
        delay=reply.delay,
        pace=reply.pace or shape.pace,
    )


def _events(reply: Reply, shape: Shape) -> Iterator[bytes]:
    if reply.data is not None:
        yield from [reply.data] if isinstance(reply.data, bytes) else reply.data
        return
    said, usage = _said(reply, shape)
    chunks = shape.chunks(said, usage) if reply.events is None else reply.events
    for chunk in chunks:
        yield event(encoded(chunk))
    yield DONE


def _whole(reply: Reply, shape: Shape) -> bytes:
    if reply.body is not None:
        return _bytes(reply.body)
    return encoded(shape.completion(*_said(reply, shape)))


def _said(reply: Reply, shape: Shape) -> tuple[list[Answer], Mapping[str, Any]]:
    """The scripted answer, or the one made from the request; and its usage."""
    if reply.says_something:
        said = [_scripted(reply)]
        visible = said
    else:
        said = answers(shape.body, shape.model)
        visible = [shown(answer, shape.body) for answer in said]
    usage = shape.usage(said) if reply.usage is None else reply.usage
    return visible, usage


def _scripted(reply: Reply) -> Answer:
    ending = reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")
    texts = (reply.reasoning or "", reply.content or "")
    return Answer(*texts, tuple(reply.tool_calls), ending)


def _prepared(reply: Reply) -> Prepared:
    body = b"" if reply.body is None else _bytes(reply.body)
    return Prepared([body], headers=reply.headers, delay=reply.delay)


def _default(default: Reply) -> Prepare:
    """Prepare replies for a route whose own answer is `default`."""

    def prepare(reply: Reply) -> Prepared:
        if reply.body is not None:
            return _prepared(reply)
        headers = {**default.headers, **reply.headers}
        return replace(_prepared(default), headers=headers, delay=reply.delay)

    return prepare


def _document(value: Any) -> Prepare:
    return _default(Reply(body=encoded(value)))


def _listing(name: list[str]) -> Any:
    if name:
        return find_model("/".join(name)).listing()
    return {"object": "list", "data": [model.listing() for model in MODELS.values()]}


def _public(name: list[str]) -> Any:
    if not name:
        entries = [model.public_entry() for model in MODELS.values()]
        return {"object": "list", "data": entries}
    if name[0] in MODELS:
        return MODELS[name[0]].public_entry()
    detail = f"Model '{name[0]}' not found or not publicly available"
    raise RequestError(Refuse(404, body=encoded({"detail": detail})))


def _recorded(http: web.Request, content: bytes, body: Any) -> Request:
    transport = http.transport
    peer = transport.get_extra_info("peername") if transport else None
    return Request(
        method=http.method,
        path=http.path,
        query=http.query,
        headers=http.headers,
        raw_headers=tuple(
            (name.decode(), value.decode(errors="replace"))
            for name, value in http.raw_headers
        ),
        content=content,
        body=body,
        peer=tuple(peer or ()),
    )


def _decoded(
    content: bytes, headers: Mapping[str, str]
) -> tuple[Any, RequestError | None]:
    """The JSON in `content`, or why there is none."""
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        return None, RequestError(Refuse(415))
    try:
        plain = gzip.decompress(content) if encoding == "gzip" else content
        return (json.loads(plain) if plain else None), None
    except (ValueError, RecursionError, OSError, EOFError, zlib.error):
        return None, bad_request("The request body is not valid JSON.")


def _prefixes(request: Request) -> Iterator[bytes]:
    """A digest of each whole block of the prompt and all before it."""
    text = prompt_text(request.body).encode()
    size = CACHE_BLOCK * CHARACTERS_PER_TOKEN
    seen = hashlib.blake2b(f"{request.bearer} {request.body['model']}".encode())
    for start in range(0, len(text) - size + 1, size):
        seen.update(text[start : start + size])
        yield seen.digest()


def _bytes(body: Mapping[str, Any] | bytes | str) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else encoded(body)
