"""One call of the API: authenticate, send, recover, retry, parse.

A request is never repeated once a part of its completion has reached the caller. Before
that, a known problem is fixed once and the request is sent again (a recovery), and an error
that may be temporary leads to a retry, after the wait that the server asks for.

A request that its quota has no room for waits in the queue of that quota before it is sent,
and again if the server rejects it because of the quota. That uses up no retries.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pydantic_core import PydanticSerializationError, to_json

from langchain_cerebras_inference import _error_mapping
from langchain_cerebras_inference._auth.api_key import KeyProvider
from langchain_cerebras_inference._auth.key_exchange import Bearer, KeyExchange, drop_demo_key
from langchain_cerebras_inference._http import (
    compression,
    connection_pool,
    portal,
    rate_limits,
    request,
)
from langchain_cerebras_inference._http.route import Route
from langchain_cerebras_inference._quota.queue import QueueLimitError, Ticket
from langchain_cerebras_inference._quota.registry import get_quota
from langchain_cerebras_inference._response_parser import EventStream, ResponseParser
from langchain_cerebras_inference._version import get_user_agent
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasConnectionError,
    CerebrasError,
    CerebrasInvalidRequestError,
    CerebrasRateLimitError,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

    from langchain_cerebras_inference._auth.api_key import Credential
    from langchain_cerebras_inference._http.response import Response
    from langchain_cerebras_inference._quota.queue import Quota, Reservation
    from langchain_cerebras_inference._types import Completion, RequestBody, StreamEvent

logger = logging.getLogger("langchain_cerebras_inference")

T = TypeVar("T")

_MAX_RESERVED_COMPLETION = 16_384
"""The most tokens that the server reportedly reserves for a completion."""

_BYTES_PER_TOKEN = 4
_TOKENS_PER_IMAGE = 2_304
"""The most that Cerebras makes of one image."""

_KEY_LIFETIME = 10.0
"""Seconds in the queue after which a key that a function returned may have changed."""

_LONG_QUOTA_PAUSE = 60.0
_MAX_LONG_QUOTA_PAUSE = 900.0
_REJECTIONS_BEFORE_BACKOFF = 2

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
        retries: How often the request was sent again after a temporary error, without the
            rejections because of a quota.
        metadata: Facts about the call that belong into the metadata of its response.
        quota: The quota of the last request.
        reservation: The permission with which the last request was sent.
        ticket: The call in the queue of its quota.
        rejection: The last error for which the call was queued again.
        rejections: How often the call was queued again.
    """

    body: RequestBody
    timeout: float
    max_retries: int
    coalesce: bool = False
    response_headers: dict[str, str] = field(default_factory=dict)
    bearer: Bearer | None = None
    is_compressed: bool = False
    recoveries: set[str] = field(default_factory=set)
    retries: int = 0
    metadata: dict[str, Any] = field(default_factory=lambda: {"retries": 0})
    quota: Quota | None = field(default=None, repr=False)
    reservation: Reservation | None = field(default=None, repr=False)
    ticket: Ticket | None = field(default=None, repr=False)
    rejection: CerebrasError | None = None
    rejections: int = 0


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
        max_retry_wait: The longest wait before a retry, and the longest time in the queue
            unless `pace` is true, in seconds.
        compression: Whether to compress request bodies.
        pace: Whether calls wait in the queue of their quota: as long as it takes, for a
            limited time (`"auto"`), or not at all.
        quota_store: The URL of a store that keeps the quotas of several processes.
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
        pace: Literal["auto"] | bool,
        quota_store: SecretStr | None,
    ) -> None:
        self._owner = owner
        self._base_url = base_url
        self._timeout = timeout
        self._max_retry_wait = max_retry_wait
        self._compression = compression
        self._pace = pace
        self._quota_store = quota_store.get_secret_value() if quota_store else None
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
            stream.on_error = partial(self._report_error, call)
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
        call.quota = call.reservation = None
        call.bearer = await self._keys.get_bearer() if is_signed else None
        headers = self._create_headers(call.bearer, has_body=body is not None)
        if body is not None and self._pace is not False:
            headers = await self._wait_for_quota(call, headers, body)
        call.response_headers.clear()
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
        for name, value in response.headers.items():
            call.response_headers[name.lower()] = value
        if response.status == 200:
            _settle(call, call.response_headers)
            return response
        with response:
            raise await self._create_parser(call).parse_error(response)

    def _create_headers(self, bearer: Bearer | None, *, has_body: bool) -> dict[str, str]:
        is_demo_key = bearer is not None and bearer.is_demo
        headers = dict(_DEMO_KEY_HEADERS if is_demo_key else _get_api_key_headers())
        if has_body:
            headers["Content-Type"] = "application/json"
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer.key}"
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
            secrets.append(bearer.key)
        return ResponseParser(request_info, secrets)

    # --- the queue of the quota -------------------------------------------------------------

    async def _wait_for_quota(
        self, call: Call, headers: dict[str, str], body: bytes
    ) -> dict[str, str]:
        """Wait until the quota has room for the request; return the headers to send then."""
        if call.ticket is None:
            prompt, completion = _estimate_tokens(call.body, len(body))
            is_completion_limited = "max_completion_tokens" in call.body
            call.ticket = Ticket(
                tokens=prompt + completion,
                min_tokens=prompt // 2 + (completion if is_completion_limited else 0),
                is_paced=self._pace is True,
                can_wait=call.max_retries > 0,
                max_wait=self._max_retry_wait,
            )
        while True:
            waited = call.ticket.waited
            call.quota = self._find_quota(headers, call.body["model"])
            call.reservation = await call.quota.enter(call.ticket)
            if call.bearer is None or call.ticket.waited - waited < _KEY_LIFETIME:
                return headers
            bearer = await self._keys.get_bearer()
            if bearer == call.bearer:
                return headers
            call.quota.cancel(call.reservation)  # another key is another quota
            call.bearer = bearer
            headers = self._create_headers(bearer, has_body=True)

    def _find_quota(self, headers: Mapping[str, str], model: str) -> Quota:
        authorization = headers.get("Authorization")
        if authorization is None:  # the user's header may be in lower case
            values = (headers[name] for name in headers if name.lower() == "authorization")
            authorization = next(values, "")
        origin = "/".join(self._base_url.split("/", 3)[:3])
        return get_quota(origin, authorization, model, self._quota_store)

    def _report_error(self, call: Call, error: CerebrasError) -> None:
        """Tell the quota what became of a request that led to an error."""
        quota, reservation = call.quota, call.reservation
        if quota is None or reservation is None:
            return
        if _is_quota_error(error):
            call.rejections += 1
            pause = _compute_pause(call, error)
            quota.reject(reservation, call.response_headers, error.code, pause)
        elif error.code == "queue_exceeded" or (
            isinstance(error, CerebrasConnectionError) and error.status is None
        ):
            quota.cancel(reservation)
        else:
            _settle(call, call.response_headers)

    def _can_queue(self, call: Call, error: CerebrasError) -> bool:
        """Return whether to queue again after an error."""
        if call.reservation is None or call.max_retries == 0 or not _is_quota_error(error):
            return False
        if self._pace is True:  # it also waits for the quota of a day
            return rate_limits.get_should_retry(call.response_headers) is not False
        return error.is_retryable

    # --- recoveries and retries -------------------------------------------------------------

    async def _with_retries(self, call: Call, attempt: Callable[[Call], Awaitable[T]]) -> T:
        """Make attempts until one succeeds, or until another one would not help."""
        while True:
            try:
                result = await attempt(call)
            except CerebrasError as error:
                wait = self._handle_error(call, error)
            except BaseException:  # such as a cancellation
                _settle(call, {})
                raise
            else:
                if "plain body" in call.recoveries:  # and it was the solution
                    compression.rejecting_servers.add(self._base_url)
                return result
            await asyncio.sleep(wait)

    def _handle_error(self, call: Call, error: CerebrasError) -> float:
        """Prepare another attempt and return the seconds before it, or raise the error."""
        if isinstance(error, QueueLimitError):
            raise _add_rejection(error, call.rejection) from None
        self._report_error(call, error)
        if self._recover(call, error):
            return 0.0
        if self._can_queue(call, error):
            call.rejection = error
            call.metadata["retries"] += 1
            logger.info("Retry when the quota has room, after: %s", error)
            return 0.0
        if call.retries >= call.max_retries or not self._can_retry(call, error):
            raise error
        call.retries += 1
        call.metadata["retries"] += 1
        wait = self._compute_wait(error, call.retries)
        logger.info(
            "Retry %d of %d in %.1f s after: %s", call.retries, call.max_retries, wait, error
        )
        return wait

    def _can_retry(self, call: Call, error: CerebrasError) -> bool:
        if call.reservation is not None and _is_quota_error(error):
            return False  # such a call is queued again, or may not be retried
        return error.is_retryable and (error.retry_after or 0.0) <= self._max_retry_wait

    def _compute_wait(self, error: CerebrasError, retry: int) -> float:
        """Return the seconds before a retry: as the server asks, else increasing ones."""
        wait = error.retry_after
        if wait is None:
            wait = min(rate_limits.compute_backoff(retry, error.code), self._max_retry_wait)
        # Calls that failed at the same time shall not return at the same time.
        return max(wait, min(rate_limits.add_jitter(wait), self._max_retry_wait))

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
    return sum(_estimate_tokens(body, len(_encode_body(body))))


def _estimate_tokens(body: RequestBody, size: int) -> tuple[int, int]:
    """Estimate the tokens of the prompt and those that are reserved for the completion.

    Args:
        body: The request body.
        size: The number of its bytes as JSON.
    """
    images = 0
    for message in body["messages"]:
        content: Any = message.get("content")
        if isinstance(content, list):
            for part in content:
                if "image_url" in part:
                    images += 1
                    size -= len(part["image_url"].get("url", ""))
    limit: Any = body.get("max_completion_tokens")  # `extra_body` can put any type there
    completion = limit if isinstance(limit, int) and limit >= 0 else _MAX_RESERVED_COMPLETION
    prompt = size // _BYTES_PER_TOKEN + images * _TOKENS_PER_IMAGE
    return prompt, min(completion, _MAX_RESERVED_COMPLETION)


def _settle(call: Call, headers: Mapping[str, str]) -> None:
    """Tell the quota that the server has handled a request, or that nobody knows."""
    if call.quota is not None and call.reservation is not None:
        call.quota.settle(call.reservation, headers)


def _is_quota_error(error: CerebrasError) -> bool:
    """Return whether the server rejected a request because a quota is used up."""
    is_quota = isinstance(error, CerebrasRateLimitError) and error.status == 429
    return is_quota and error.code != "queue_exceeded"


def _compute_pause(call: Call, error: CerebrasError) -> float | None:
    """Return the seconds in which the server wants no request of the quota, if it says so.

    The limits in the headers say more than a pause. Without them, or if the request is
    rejected again and again, the pauses become longer.
    """
    headers, rejections = call.response_headers, call.rejections
    pause = rate_limits.get_retry_after(headers, time.time())
    if pause is None:
        pause = rate_limits.get_reset_wait(headers, error.code)
    if pause is None and not error.is_retryable:
        if not rate_limits.is_long_quota_used_up(headers):
            longer = _LONG_QUOTA_PAUSE * 2.0 ** min(rejections - 1, 9)
            pause = rate_limits.add_jitter(min(longer, _MAX_LONG_QUOTA_PAUSE))
    elif pause is None and not rate_limits.parse_limits(headers):
        pause = rate_limits.add_jitter(rate_limits.compute_backoff(rejections, error.code))
    if rejections > _REJECTIONS_BEFORE_BACKOFF:
        backoff = rate_limits.compute_backoff(rejections - _REJECTIONS_BEFORE_BACKOFF, None)
        pause = max(pause or 0.0, backoff)
    return pause


def _add_rejection(error: QueueLimitError, rejection: CerebrasError | None) -> CerebrasError:
    """Return the error for a call that left the queue, with what the server said before."""
    if rejection is None:
        return error
    rejection.args = (f"{rejection} {error}",)
    return rejection
