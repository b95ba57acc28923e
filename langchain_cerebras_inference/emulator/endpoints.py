"""The endpoints of the service, their checks and their responses."""

import asyncio
import contextlib
import random
import secrets
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TextIO, TypeAlias

from aiohttp import web

from langchain_cerebras_inference.emulator.browser_session import BrowserSession
from langchain_cerebras_inference.emulator.checks import check_request
from langchain_cerebras_inference.emulator.completions import Completion
from langchain_cerebras_inference.emulator.delivery import (
    Delivery,
    ResponseBehavior,
    ResponseBuilder,
    SuccessResponse,
    encode_body,
)
from langchain_cerebras_inference.emulator.errors import Refuse, RequestError
from langchain_cerebras_inference.emulator.models import (
    find_model,
    get_public_model,
    list_models,
    list_public_models,
)
from langchain_cerebras_inference.emulator.prompt_cache import PromptCache
from langchain_cerebras_inference.emulator.rate_limits import (
    LimitSettings,
    RateLimiter,
    find_exceeded_limit,
)
from langchain_cerebras_inference.emulator.received_requests import (
    Request,
    format_log_line,
    read_request,
)
from langchain_cerebras_inference.emulator.script import (
    Act,
    ErrorEvent,
    Reply,
    Scripted,
    Session,
)
from langchain_cerebras_inference.emulator.tokens import count_reserved_tokens

Endpoint: TypeAlias = Literal["chat", "models", "session"]
"""An endpoint, or a group of endpoints, that can be scripted."""

CHAT_PATH = "v1/chat/completions"
MAX_KEPT_REQUESTS = 20_000
LATENCY_SEED = 0


@dataclass
class RequestCounts:
    """The numbers of chat requests that were accepted, and rejected with status 429."""

    accepted: int = 0
    rejected: int = 0


class Service:
    """The emulated service. It responds as scripted, or else as Cerebras would."""

    def __init__(
        self,
        browser_session: BrowserSession,
        *,
        api_key: str | None,
        tokens_per_second: float | None,
        latency: tuple[float, float] | None,
        limits: LimitSettings,
        log: TextIO | None,
    ) -> None:
        """Start without requests and without a script. `Emulator` documents the settings."""
        self.browser_session = browser_session
        self.api_key = api_key or f"csk-{secrets.token_hex(24)}"
        self.connections = 0
        self.is_stopping = False
        self._tokens_per_second = tokens_per_second
        self._latency = latency
        self._limits = limits
        self._log = log
        self._prompt_cache = PromptCache()
        self.reset()

    def reset(self) -> None:
        """Forget received requests, their counts and all behaviors, and fill the buckets."""
        self.requests: deque[Request] = deque(maxlen=MAX_KEPT_REQUESTS)
        self.scripts: dict[Endpoint, deque[Scripted]] = {
            "chat": deque(),
            "models": deque(),
            "session": deque(),
        }
        self.default_behaviors: dict[Endpoint, Scripted] = {}
        self.counts = RequestCounts()
        self._rate_limiter = RateLimiter(self._limits)
        self._random = random.Random(LATENCY_SEED)  # noqa: S311 # the latency is no secret

    async def handle(self, http_request: web.Request) -> web.StreamResponse:
        """Keep one request and respond to it."""
        request = await read_request(http_request)
        self.requests.append(request)
        try:
            response = await self._respond(http_request, request)
        except asyncio.CancelledError:
            self._mark_disconnected(request)
            raise
        except ConnectionError:
            self._mark_disconnected(request)
            return web.Response()  # the connection is gone; aiohttp needs some object
        finally:
            self._finish(request)
        request.answered.set()
        return response

    def _mark_disconnected(self, request: Request) -> None:
        if not self.is_stopping and not request.answered.is_set():
            request.disconnected.set()

    def _finish(self, request: Request) -> None:
        self._rate_limiter.refund(request)
        if self._log is not None:
            # If the log can no longer be written, the emulator still responds.
            with contextlib.suppress(OSError):
                self._log.write(f"{format_log_line(request)}\n")
                self._log.flush()

    async def _respond(self, http_request: web.Request, request: Request) -> web.StreamResponse:
        behavior: ResponseBehavior
        try:
            self._check_key_and_body(request)
            endpoint, build_response = self._accept_request(request)
            act = self._take_scripted(endpoint, request)
            behavior = self._convert_behavior(act, endpoint, request)
        except RequestError as error:
            behavior = error.response
            build_response = _create_response_builder(Reply())  # an error response ignores it
        self._count(request, behavior)
        headers = {"x-request-id": uuid.uuid4().hex[:16]}
        return await Delivery(http_request, request, headers, build_response).deliver(behavior)

    def _count(self, request: Request, behavior: ResponseBehavior) -> None:
        if request.path.strip("/") == CHAT_PATH:
            if not isinstance(behavior, Refuse):
                self.counts.accepted += 1
            elif behavior.status == 429:
                self.counts.rejected += 1

    def _check_key_and_body(self, request: Request) -> None:
        """Raise `RequestError` for a wrong API key, or for a body that is not JSON."""
        accepted_keys = (self.api_key, self.browser_session.demo_key)
        if request.path.startswith("/v1/") and request.bearer not in accepted_keys:
            raise RequestError(Refuse(401))
        if request.body_error:
            raise request.body_error

    def _accept_request(self, request: Request) -> tuple[Endpoint | None, ResponseBuilder]:
        """Find the endpoint of a request, and accept the request.

        A chat request is also checked, takes one request and its tokens from the buckets of the
        rate limits, and is added to the prompt cache.

        Returns:
            The endpoint, or `None` if it cannot be scripted; and the function that builds its
            response.

        Raises:
            RequestError: If Cerebras would reject the request.
        """
        match (request.method, *request.path.strip("/").split("/")):
            case ("POST", "v1", "chat", "completions"):
                completion = self._accept_chat_request(request)
                return "chat", self._create_completion_builder(completion, request)
            case ("GET", "v1", "models", *segments):
                name = "/".join(segments)
                body = find_model(name).build_entry() if name else list_models()
                return "models", _create_response_builder(Reply(body=body))
            case ("GET", "public", "v1", "models", *segments):
                name = "/".join(segments)
                body = get_public_model(name) if name else list_public_models()
                return "models", _create_response_builder(Reply(body=body))
            case ("GET", "v1", "tcp_warming"):
                return None, _create_response_builder(Reply(body={}))
            case ("GET", "api", "auth", "session"):
                return "session", _create_response_builder(
                    self.browser_session.build_reply(request)
                )
            case ("GET", "api", "auth", "signin"):
                return None, _create_response_builder(
                    self.browser_session.build_sign_in_reply()
                )
        raise RequestError(Refuse(404, body='{"detail":"Not Found"}'))

    def _accept_chat_request(self, request: Request) -> Completion:
        """Check a chat request, reserve what it needs, and add its prompt to the prompt cache.

        Raises:
            RequestError: If it is invalid, or exceeds a limit.
        """
        chat_request, model = check_request(request.body)
        self._rate_limiter.reserve(request, count_reserved_tokens(chat_request))
        cached_tokens = self._prompt_cache.add(chat_request, request.bearer)
        return Completion(chat_request, model, cached_tokens, self._tokens_per_second)

    def _create_completion_builder(
        self, completion: Completion, request: Request
    ) -> ResponseBuilder:
        headers = self._rate_limiter.build_headers(request)
        latency = self._random.uniform(*self._latency) if self._latency else 0

        def build_response(reply: Reply) -> SuccessResponse:
            response = completion.build_response(reply, headers)
            request.tokens = response.tokens
            return replace(response, delay=response.delay + latency)

        return build_response

    def _take_scripted(self, endpoint: Endpoint | None, request: Request) -> Act:
        """Take the next scripted behavior of an endpoint, or else its default behavior.

        Without either, return `Reply()`.
        """
        if endpoint is None:
            return Reply()
        script = self.scripts[endpoint]
        default = self.default_behaviors.get(endpoint, Reply())
        scripted = script.popleft() if script else default
        if isinstance(scripted, Act):
            return scripted
        return _call_scripted_function(scripted, request)

    def _convert_behavior(
        self, behavior: Act, endpoint: Endpoint | None, request: Request
    ) -> ResponseBehavior:
        """Convert a scripted behavior to one that can be sent to this request.

        A `Session` becomes a `Reply`. An `ErrorEvent` becomes an error response if the request
        does not ask for a stream. An error response of status 429 gets rate-limit headers.
        """
        if isinstance(behavior, Session):
            return self.browser_session.convert_session(behavior)
        if isinstance(behavior, ErrorEvent) and not (endpoint == "chat" and request.streamed):
            behavior = behavior.error_response
        if isinstance(behavior, Refuse) and behavior.status == 429:
            exceeded = find_exceeded_limit(behavior)
            headers = self._rate_limiter.build_headers(request, exceeded)
            return replace(behavior, headers={**headers, **behavior.headers})
        return behavior


def _create_response_builder(unscripted_reply: Reply) -> ResponseBuilder:
    """Create a function that builds a response from a scripted reply.

    A scripted reply without a body gets the body and the headers of `unscripted_reply`. Headers
    of its own take precedence.
    """

    def build_response(reply: Reply) -> SuccessResponse:
        if reply.body is None:
            reply = replace(
                reply,
                body=unscripted_reply.body,
                headers={**unscripted_reply.headers, **reply.headers},
            )
        body = b"" if reply.body is None else encode_body(reply.body)
        return SuccessResponse([body], headers=reply.headers, delay=reply.delay)

    return build_response


def _call_scripted_function(choose: Callable[[Request], Act], request: Request) -> Act:
    """Call a scripted function, which returns a behavior.

    Raises:
        RequestError: If the function fails. The status is 500, and clients do not retry it.
    """
    try:
        behavior: Any = choose(request)
        if not isinstance(behavior, Act):
            raise TypeError(f"{behavior!r:.60} is not a scripted behavior")
    except Exception as error:
        message = f"The scripted function failed: {error!r}"
        headers = {"x-should-retry": "false"}
        raise RequestError(Refuse(500, message=message, headers=headers)) from error
    return behavior
