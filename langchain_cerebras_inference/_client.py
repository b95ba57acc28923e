"""One call, from payload to events: sending, repairs, retries.

Nothing is sent twice once a word has reached the caller. Until then a call is repaired
where the fault is known (each repair once) and sent again where the error says that
this may help, after the wait that the server asks for or its limits imply.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Mapping,
)
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pydantic_core import PydanticSerializationError, to_json

from langchain_cerebras_inference import _error_mapping
from langchain_cerebras_inference._auth import key_exchange
from langchain_cerebras_inference._auth.api_key import KeyProvider
from langchain_cerebras_inference._auth.key_exchange import KeyExchange
from langchain_cerebras_inference._http import (
    compression,
    connection_pool,
    portal,
    rate_limits,
    request,
)
from langchain_cerebras_inference._response_parser import Events, Judge, says_something
from langchain_cerebras_inference._version import get_user_agent
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasError,
    CerebrasInvalidRequestError,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

    from langchain_cerebras_inference._auth.api_key import Credential
    from langchain_cerebras_inference._auth.key_exchange import Bearer
    from langchain_cerebras_inference._http.response import Answer
    from langchain_cerebras_inference._types import RequestBody, Reply

logger = logging.getLogger("langchain_cerebras_inference")

T = TypeVar("T")

_ASSUMED_COMPLETION = 16_384
"""What the server is reported to reserve where no max_completion_tokens is sent."""

_HOME = "https://api.cerebras.ai/"
_LEAST_COMPRESSED = 4096
"""Bytes: below it the time for compressing is not won back on the way."""

_AT_ONCE = 32
"""Events handed on together. More of them no longer fit into a processor's cache, where
joined ones cost half as much; what is behind them waits as bytes, a tenth as large."""

_DEMO_HEADERS = {"Accept-Encoding": "gzip, deflate", "User-Agent": "ex/JS 1.5.0"}
"""What the playground's demo keys are used with."""


@cache
def _key_headers() -> Mapping[str, str]:
    return {
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": get_user_agent(),
        "X-Cerebras-3rd-Party-Integration": "langchain",
    }


@dataclass(slots=True)
class Call:
    """One call as it goes: what is sent, what was mended, what came back."""

    payload: RequestBody
    timeout: float
    max_retries: int
    coalesce: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    bearer: Bearer | None = None
    needs_fresh_connection: bool = False
    needs_plain_body: bool = False
    is_compressed: bool = False
    repairs: set[str] = field(default_factory=set)


class CerebrasClient:
    """A base URL, a way to a key and a route to both; the calls to be made there."""

    def __init__(
        self,
        *,
        base_url: str,
        key: SecretStr | Callable[[], Any] | None,
        cookies: SecretStr | None,
        session_url: str,
        headers: Mapping[str, SecretStr] | None,
        proxy: SecretStr | None,
        verify: bool | str,
        connect_timeout: float,
        timeout: float,
        max_retry_wait: float,
        compression: Literal["auto"] | bool,
    ) -> None:
        self._base_url = base_url
        self._timeout = timeout
        self._max_retry_wait = max_retry_wait
        self._compression = compression
        self._given = {
            name: value.get_secret_value() for name, value in (headers or {}).items()
        }
        self._route = request.Route(
            proxy.get_secret_value() if proxy else None, verify, connect_timeout
        )
        to_session = dataclasses.replace(self._route, setting="session_url")
        self.keys = KeyProvider(key, cookies, KeyExchange(session_url, to_session, timeout))

    async def complete(self, call: Call) -> Reply:
        """Make a call; return the whole reply."""
        return await self._with_retries(call, self._whole)

    async def stream(self, call: Call) -> AsyncGenerator[list[Reply], None]:
        """Make a call; yield its events, of those that came together several at a time.

        The end of a whole stream is an empty list, when its connection is free again.

        Raises:
            CerebrasError: After what came was yielded. A stream that ends without a
                finish reason is a `CerebrasConnectionError`.
        """
        events, batch = await self._with_retries(call, self._first_words)
        answer = events.answer
        try:
            while batch:
                answer.hold()
                yield batch
                answer.progressed()
                batch = await events.read()
        finally:
            answer.close()
        yield []

    async def get(self, url: str, *, signed: bool = True, max_retries: int = 0) -> Any:
        """Fetch JSON from this server."""

        async def attempt(call: Call) -> Any:
            with await self._send(call, "GET", url, signed=signed) as answer:
                return await self._judge(call).json(answer)

        return await self._with_retries(
            Call({"model": ""}, self._timeout, max_retries), attempt
        )

    async def credential(self, max_retries: int) -> Credential:
        """What the next request would be signed with, without the secret."""

        async def attempt(_: Call) -> Credential:
            return await self.keys.get_credential(self._base_url)

        return await self._with_retries(
            Call({"model": ""}, self._timeout, max_retries), attempt
        )

    def complete_from_thread(self, call: Call) -> Reply:
        """`complete`, for code that is not async."""
        return portal.run(self.complete(call))

    def stream_from_thread(self, call: Call) -> Generator[list[Reply], None, None]:
        """`stream`, for code that is not async; together what has come meanwhile."""
        with closing(portal.iterate(self.stream(call))) as ready:
            for batches in ready:
                if events := [event for batch in batches for event in batch]:
                    yield events
                if not batches[-1]:
                    yield []

    def from_thread(self, work: Coroutine[Any, Any, T]) -> T:
        """Any other work, for code that is not async."""
        return portal.run(work)

    async def let_go(self) -> None:
        """Let go of the running loop's connections."""
        await connection_pool.let_go()

    # --- one attempt -------------------------------------------------------------------

    async def _whole(self, call: Call) -> Reply:
        with await self._post(call) as answer:
            return await self._judge(call).reply(answer)

    async def _first_words(self, call: Call) -> tuple[Events, list[Reply]]:
        """Begin a stream; read up to the first event that says something."""
        answer = await self._post(call)
        judge = self._judge(call)
        try:
            kind = answer.headers.get("content-type", "text/event-stream")
            if not kind.lower().startswith("text/event-stream"):
                body = await judge.json(answer)
                raise judge.unexpected(answer, body)
            events = Events(answer, judge, _AT_ONCE)
            while batch := await events.read():
                if any(map(says_something, batch)):
                    break
        except BaseException:
            answer.close()
            raise
        return events, batch

    async def _post(self, call: Call) -> Answer:
        url = f"{self._base_url}/chat/completions"
        return await self._send(call, "POST", url, body=_to_bytes(call.payload))

    async def _send(
        self,
        call: Call,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        signed: bool = True,
    ) -> Answer:
        call.bearer = await self.keys.get_bearer() if signed else None
        headers = self._headers(call.bearer, has_body=body is not None)
        call.is_compressed = body is not None and self._compresses(call, body)
        if body and call.is_compressed:
            headers["Content-Encoding"] = "gzip"
            body = await compression.gzipped(body)
        answer = await request.send(
            method,
            url,
            headers=headers,
            body=body,
            route=self._route,
            timeout=call.timeout,
            fresh=call.needs_fresh_connection,
        )
        call.headers.clear()
        call.headers.update({name.lower(): value for name, value in answer.headers.items()})
        if answer.status == 200:
            return answer
        with answer:
            raise await self._judge(call).refusal(answer)

    def _headers(self, bearer: Bearer | None, *, has_body: bool) -> dict[str, str]:
        """Ours, then those the user gave, which win whatever their case."""
        headers = dict(_DEMO_HEADERS if bearer and bearer.is_demo else _key_headers())
        if has_body:
            headers["Content-Type"] = "application/json"
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer.key}"
        given = {name.lower() for name in self._given}
        kept = {name: headers[name] for name in headers if name.lower() not in given}
        return {**kept, **self._given}

    def _compresses(self, call: Call, body: bytes) -> bool:
        if call.needs_plain_body or compression.is_refused_by(self._base_url):
            return False
        if self._compression == "auto":
            return len(body) >= _LEAST_COMPRESSED and self._base_url.startswith(_HOME)
        return self._compression

    def _judge(self, call: Call) -> Judge:
        """Who judges what comes, knowing what was asked and what is secret."""
        keys = [call.bearer.key] if call.bearer else []
        request = _error_mapping.Request(
            call.payload["model"],
            with_demo_key=call.bearer is not None and call.bearer.is_demo,
            reserves=lambda: _reserved_tokens(call.payload),
        )
        return Judge(request, [*keys, *self._given.values()])

    # --- trying again ------------------------------------------------------------------

    async def _with_retries(self, call: Call, attempt: Callable[[Call], Awaitable[T]]) -> T:
        try:
            return await self._with_repairs(call, attempt)
        except CerebrasError as error:
            if not call.max_retries or not self._may_retry(error):
                raise
            failure = error
        return await self._retrying(call, attempt, failure)

    async def _retrying(
        self,
        call: Call,
        attempt: Callable[[Call], Awaitable[T]],
        failure: CerebrasError,
    ) -> T:
        # Imported after a first failure: a call that succeeds does not pay for it.
        import tenacity

        failures = [failure]

        async def again() -> T:
            if failures:
                raise failures.pop()
            return await self._with_repairs(call, attempt)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return self._wait(error, state.attempt_number)

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(call.max_retries + 1),
            retry=tenacity.retry_if_exception(self._may_retry),
            wait=wait,
            before_sleep=tenacity.before_sleep_log(logger, logging.DEBUG),
            reraise=True,
        )
        return await retrying(again)

    def _may_retry(self, error: BaseException) -> bool:
        """Whether sending again may help before the caller loses patience."""
        if not isinstance(error, CerebrasError) or not error.is_retryable:
            return False
        return (error.retry_after or 0.0) <= self._max_retry_wait

    def _wait(self, error: BaseException | None, attempt: int) -> float:
        """Seconds before the next attempt: as the server asks, else ever longer."""
        if isinstance(error, CerebrasError) and error.retry_after is not None:
            return error.retry_after
        code = error.code if isinstance(error, CerebrasError) else None
        return min(rate_limits.backoff(attempt, code), self._max_retry_wait)

    async def _with_repairs(self, call: Call, attempt: Callable[[Call], Awaitable[T]]) -> T:
        while True:
            try:
                result = await attempt(call)
            except CerebrasError as error:
                repair = self._repair(call, error)
                if repair is None or repair in call.repairs:
                    raise
                call.repairs.add(repair)
                logger.debug("%s was mended, and the call sent again", repair)
            else:
                if call.needs_plain_body:  # else the encoding was not what was wrong
                    compression.remember_refusal(self._base_url)
                return result

    def _repair(self, call: Call, error: CerebrasError) -> str | None:
        """Mend what is known to be wrong with a call; its name, or `None`."""
        if isinstance(error, request.DeadConnectionError):
            call.needs_fresh_connection = True
            return "a dead connection"
        is_unauthorized = isinstance(error, CerebrasAuthenticationError)
        if is_unauthorized and call.bearer and call.bearer.is_demo:
            key_exchange.drop_demo_key(call.bearer)
            return "a rejected demo key"
        if "prediction" in call.payload and _refuses_prediction(error):
            rest = {k: v for k, v in call.payload.items() if k != "prediction"}
            call.payload = cast("RequestBody", rest)
            return "a refused prediction"
        if _refuses_encoding(error) and call.is_compressed:
            call.needs_plain_body = True
            return "a refused encoding"
        return None


def _to_bytes(payload: RequestBody) -> bytes:
    try:
        return to_json(payload)
    except PydanticSerializationError:  # half of a surrogate pair, as in scraped text
        return json.dumps(payload, separators=(",", ":")).encode()


def _reserved_tokens(payload: RequestBody) -> int:
    """What the server sets aside for a request: its prompt and its longest answer."""
    asked: Any = payload.get("max_completion_tokens")  # `extra_body` may hold anything
    longest = asked if isinstance(asked, int) else _ASSUMED_COMPLETION
    return len(_to_bytes(payload)) // 4 + max(longest, 0)


def _refuses_encoding(error: CerebrasError) -> bool:
    said = str(error).lower().replace("-", " ")
    names_it = "content encoding" in said or "gzip" in said
    return error.status == 415 or (error.status == 400 and names_it)


def _refuses_prediction(error: CerebrasError) -> bool:
    said = str(error).lower()
    return (
        isinstance(error, CerebrasInvalidRequestError)
        and "prediction" in said
        and ("unsupported" in said or "not currently supported" in said)
    )
