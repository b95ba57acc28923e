"""One call of the API: authenticate, send, recover, retry, parse.

A request is never repeated once a part of its completion has reached the caller. Before
that, a known problem is fixed once and the request is sent again (a recovery), and an error
that may be temporary leads to a retry, after the wait that the server asks for.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pydantic_core import PydanticSerializationError, to_json

from langchain_cerebras_inference import _error_mapping
from langchain_cerebras_inference._auth.api_key import KeyProvider
from langchain_cerebras_inference._auth.key_exchange import Key, KeyExchange, drop_demo_key
from langchain_cerebras_inference._http import (
    compression,
    connection_pool,
    portal,
    rate_limits,
    request,
)
from langchain_cerebras_inference._http.route import Route
from langchain_cerebras_inference._response_parser import EventStream, ResponseParser
from langchain_cerebras_inference._version import get_user_agent
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasError,
    CerebrasInvalidRequestError,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

    from langchain_cerebras_inference._auth.api_key import Credential
    from langchain_cerebras_inference._http.response import Response
    from langchain_cerebras_inference._types import Completion, RequestBody, StreamEvent

logger = logging.getLogger("langchain_cerebras_inference")

T = TypeVar("T")

_DEFAULT_RESERVED_COMPLETION = 16_384
"""Tokens that the server reportedly reserves for a request without max_completion_tokens."""

_CEREBRAS_HOST = "https://api.cerebras.ai/"
_MIN_COMPRESSED_BYTES = 4096
"""Compressing a smaller body takes longer than sending it as it is."""

_DEMO_KEY_HEADERS = {"Accept-Encoding": "gzip, deflate", "User-Agent": "ex/JS 1.5.0"}
"""The headers with which the playground uses its demo keys."""


@cache
def _get_api_key_headers() -> Mapping[str, str]:
    return {
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": get_user_agent(),
        "X-Cerebras-3rd-Party-Integration": "langchain",
    }


@dataclass(slots=True)
class Call:
    """One call: its request, the recoveries so far, and facts about its response.

    Attributes:
        body: The request body.
        timeout: Seconds that the server may be idle.
        max_retries: How often the request may be sent again after a temporary error.
        coalesce: Whether to join neighbouring deltas of the stream.
        response_headers: The headers of the last response, with lower-case names.
        bearer: The key of the last request.
        is_compressed: Whether the body of the last request was compressed.
        recoveries: The recoveries that have been tried.
    """

    body: RequestBody
    timeout: float
    max_retries: int
    coalesce: bool = False
    response_headers: dict[str, str] = field(default_factory=dict)
    bearer: Key | None = None
    is_compressed: bool = False
    recoveries: set[str] = field(default_factory=set)


class CerebrasClient:
    """Makes calls with the settings of one model.

    A model creates a client for each call; connections are in the pools of `_http`.

    Args:
        owner: The model; connections are closed when it and their other owners are closed.
        base_url: The URL of the API.
        key: The API key, or a function that returns it.
        cookies: The cookies to exchange for a key.
        session_url: The URL of the key exchange.
        headers: Additional headers for each request.
        proxy: The URL of a proxy.
        verify: Whether to check certificates, or the path of a CA bundle.
        connect_timeout: Seconds for a connection.
        timeout: Seconds that the server may be idle.
        max_retry_wait: The longest wait before a retry, in seconds.
        compression: Whether to compress request bodies.
    """

    def __init__(
        self,
        *,
        owner: object,
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
        self._owner = owner
        self._base_url = base_url
        self._timeout = timeout
        self._max_retry_wait = max_retry_wait
        self._compression = compression
        self._extra_headers: dict[str, str] = {}
        for name, value in (headers or {}).items():
            self._extra_headers[name] = value.get_secret_value()
        proxy_url = proxy.get_secret_value() if proxy else None
        self._route = Route(proxy_url, verify, connect_timeout)
        exchange_route = Route(proxy_url, verify, connect_timeout, setting="session_url")
        self._keys = KeyProvider(
            key, cookies, KeyExchange(session_url, exchange_route, timeout)
        )

    async def complete(self, call: Call) -> Completion:
        """Make a call and return the whole completion."""
        return await self._with_retries(call, self._complete_once)

    async def open_stream(self, call: Call) -> EventStream:
        """Make a call and return its events, once the first one with content is there."""
        return await self._with_retries(call, self._open_stream_once)

    async def get(self, url: str, *, is_signed: bool = True, max_retries: int = 0) -> Any:
        """Fetch JSON from a URL of the API."""

        async def get_once(call: Call) -> Any:
            with await self._send(call, "GET", url, is_signed=is_signed) as response:
                return await self._create_parser(call).parse_json(response)

        call = Call({"model": ""}, self._timeout, max_retries)
        return await self._with_retries(call, get_once)

    async def get_credential(self, max_retries: int) -> Credential:
        """Return what the next request would authenticate with, without the secret."""

        async def get_once(_: Call) -> Credential:
            return await self._keys.get_credential(self._base_url)

        call = Call({"model": ""}, self._timeout, max_retries)
        return await self._with_retries(call, get_once)

    async def close(self) -> None:
        """Close the running event loop's connections that only this model has used."""
        await connection_pool.close_unshared(self._owner)

    # --- the same for synchronous callers ---------------------------------------------------

    def complete_sync(self, call: Call) -> Completion:
        """Make a call and return the whole completion."""
        return portal.run(self.complete(call))

    def stream_sync(self, call: Call) -> Generator[list[StreamEvent], None, None]:
        """Make a call and yield its events in batches; the last batch is empty."""
        return portal.iterate(partial(self.open_stream, call))

    # --- one attempt ------------------------------------------------------------------------

    async def _complete_once(self, call: Call) -> Completion:
        with await self._post(call) as response:
            return await self._create_parser(call).parse_completion(response)

    async def _open_stream_once(self, call: Call) -> EventStream:
        response = await self._post(call)
        try:
            parser = self._create_parser(call)
            content_type = response.headers.get("content-type", "text/event-stream")
            if not content_type.lower().startswith("text/event-stream"):
                body = await parser.parse_json(response)
                raise parser.create_unexpected_error(response, body)
            stream = EventStream(response, parser)
            await stream.wait_for_content()
        except BaseException:
            response.close()
            raise
        return stream

    async def _post(self, call: Call) -> Response:
        url = f"{self._base_url}/chat/completions"
        return await self._send(call, "POST", url, body=_encode_body(call.body))

    async def _send(
        self,
        call: Call,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        is_signed: bool = True,
    ) -> Response:
        """Send a request and return its response if that has status 200."""
        call.bearer = await self._keys.get_key() if is_signed else None
        headers = self._create_headers(call.bearer, has_body=body is not None)
        call.is_compressed = body is not None and self._should_compress(call, body)
        if body and call.is_compressed:
            headers["Content-Encoding"] = "gzip"
            body = await compression.compress(body)
        response = await request.send(
            method,
            url,
            headers=headers,
            body=body,
            route=self._route,
            timeout=call.timeout,
            owner=self._owner,
            use_fresh_connection="fresh connection" in call.recoveries,
        )
        call.response_headers.clear()
        for name, value in response.headers.items():
            call.response_headers[name.lower()] = value
        if response.status == 200:
            return response
        with response:
            raise await self._create_parser(call).parse_error(response)

    def _create_headers(self, bearer: Key | None, *, has_body: bool) -> dict[str, str]:
        is_demo_key = bearer is not None and bearer.is_demo
        headers = dict(_DEMO_KEY_HEADERS if is_demo_key else _get_api_key_headers())
        if has_body:
            headers["Content-Type"] = "application/json"
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer.value}"
        if self._extra_headers:
            replaced = {name.lower() for name in self._extra_headers}
            headers = {name: headers[name] for name in headers if name.lower() not in replaced}
            headers.update(self._extra_headers)
        return headers

    def _should_compress(self, call: Call, body: bytes) -> bool:
        if "plain body" in call.recoveries or self._base_url in compression.rejecting_servers:
            return False
        if self._compression == "auto":
            is_long = len(body) >= _MIN_COMPRESSED_BYTES
            return is_long and self._base_url.startswith(_CEREBRAS_HOST)
        return self._compression

    def _create_parser(self, call: Call) -> ResponseParser:
        bearer = call.bearer
        request_info = _error_mapping.RequestInfo(
            call.body["model"],
            has_demo_key=bearer is not None and bearer.is_demo,
            count_reserved_tokens=partial(_count_reserved_tokens, call.body),
        )
        secrets = list(self._extra_headers.values())
        if bearer is not None:
            secrets.append(bearer.value)
        return ResponseParser(request_info, secrets)

    # --- recoveries and retries -------------------------------------------------------------

    async def _with_retries(self, call: Call, attempt: Callable[[Call], Awaitable[T]]) -> T:
        """Make attempts until one succeeds, or until another one would not help."""
        retries = 0
        while True:
            try:
                result = await attempt(call)
            except CerebrasError as error:
                if self._recover(call, error):
                    continue
                if retries >= call.max_retries or not self._can_retry(error):
                    raise
                retries += 1
                wait = self._compute_wait(error, retries)
                logger.debug("Retry %d in %.1f s after: %s", retries, wait, error)
            else:
                if "plain body" in call.recoveries:  # and it was the solution
                    compression.rejecting_servers.add(self._base_url)
                return result
            await asyncio.sleep(wait)

    def _can_retry(self, error: CerebrasError) -> bool:
        return error.is_retryable and (error.retry_after or 0.0) <= self._max_retry_wait

    def _compute_wait(self, error: CerebrasError, retry: int) -> float:
        """Return the seconds before a retry: as the server asks, else increasing ones."""
        if error.retry_after is not None:
            return error.retry_after
        return min(rate_limits.compute_backoff(retry, error.code), self._max_retry_wait)

    def _recover(self, call: Call, error: CerebrasError) -> bool:
        """Fix a known problem, each kind once a call; return whether that has been done."""
        recovery = _choose_recovery(call, error)
        if recovery == "new demo key" and call.bearer is not None:
            drop_demo_key(call.bearer)
        if recovery is None or recovery in call.recoveries:
            return False
        if recovery == "no prediction":
            fields = {name: call.body[name] for name in call.body if name != "prediction"}  # type: ignore[literal-required]
            call.body = cast("RequestBody", fields)
        call.recoveries.add(recovery)
        logger.debug("Sending the request again with %s after: %s", recovery, error)
        return True


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine for a synchronous caller and return its result."""
    return portal.run(coroutine)


def _choose_recovery(call: Call, error: CerebrasError) -> str | None:
    if isinstance(error, request.DeadConnectionError):
        return "fresh connection"
    if isinstance(error, CerebrasAuthenticationError):
        is_demo_key = call.bearer is not None and call.bearer.is_demo
        return "new demo key" if is_demo_key else None
    message = str(error).lower().replace("-", " ")
    is_unsupported = "unsupported" in message or "not currently supported" in message
    if (
        isinstance(error, CerebrasInvalidRequestError)
        and "prediction" in call.body
        and "prediction" in message
        and is_unsupported
    ):
        return "no prediction"
    is_about_encoding = "content encoding" in message or "gzip" in message
    if call.is_compressed and (
        error.status == 415 or (error.status == 400 and is_about_encoding)
    ):
        return "plain body"
    return None


def _encode_body(body: RequestBody) -> bytes:
    try:
        return to_json(body)
    except PydanticSerializationError:  # half a surrogate pair, as in text from web pages
        return json.dumps(body, separators=(",", ":")).encode()


def _count_reserved_tokens(body: RequestBody) -> int:
    """Estimate the tokens that the server reserves: the prompt and the longest completion."""
    limit: Any = body.get("max_completion_tokens")  # `extra_body` can put any type there
    completion_tokens = limit if isinstance(limit, int) else _DEFAULT_RESERVED_COMPLETION
    return len(_encode_body(body)) // 4 + max(completion_tokens, 0)
