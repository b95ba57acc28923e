"""One call of the API: authenticate, send, recover, retry, parse.

A request is never sent again once an event with content has been returned. Before that, a
known problem is fixed once and the request is sent again (a recovery), and an error that may
be temporary leads to a retry, after the wait that the server asks for.

While its quota is exhausted, a request waits in a queue. If the server rejects the request
because of the quota, the call enters the queue again. This does not count against
`max_retries`, but `metadata["retries"]` includes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from pydantic_core import PydanticSerializationError, to_json

from langchain_cerebras_inference import _error_mapping, _surrogates, _tracing
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
from langchain_cerebras_inference._pacing import (
    PacedCall,
    count_reserved_tokens,
    estimate_tokens_from_size,
)
from langchain_cerebras_inference._quota.queue import NotSentError
from langchain_cerebras_inference._quota.registry import get_quota
from langchain_cerebras_inference._response_parser import EventStream, ResponseParser
from langchain_cerebras_inference._version import get_user_agent
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasError,
    CerebrasInvalidRequestError,
    CerebrasRateLimitError,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

    from langchain_cerebras_inference._auth.api_key import Credential
    from langchain_cerebras_inference._http.response import Response
    from langchain_cerebras_inference._quota.info import QuotaInfo
    from langchain_cerebras_inference._quota.queue import Permit, Quota
    from langchain_cerebras_inference._types import Completion, RequestBody, StreamEvent

logger = logging.getLogger("langchain_cerebras_inference")

T = TypeVar("T")

_NO_SPAN = contextlib.nullcontext()

Recovery: TypeAlias = Literal[
    "fresh-connection", "new-demo-key", "without-prediction", "plain-body"
]
"""The kinds of recovery: how the request is changed before it is sent again."""

_SECONDS_BEFORE_NEW_KEY = 10.0
"""After this many seconds in the queue, get the key again before the request is sent: if
`api_key` is a function, it may return another key."""

_CEREBRAS_URL_PREFIX = "https://api.cerebras.ai/"
_MIN_COMPRESSED_BYTES = 4096
"""Compressing a smaller body takes longer than sending it as it is."""

_DEMO_KEY_HEADERS = {"Accept-Encoding": "gzip, deflate", "User-Agent": "ex/JS 1.5.0"}
"""The headers that gpt4free, another client of the session endpoint, sends with a demo key."""


@cache
def _get_api_key_headers() -> Mapping[str, str]:
    return {
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": get_user_agent(),
        "X-Cerebras-3rd-Party-Integration": "langchain",
    }


@dataclass(slots=True)
class Call:
    """One call through all its attempts.

    Attributes:
        body: The request body.
        timeout: The idle timeout in seconds.
        max_retries: How often the request is sent again after an error that may be temporary.
        coalesce: Whether to merge adjacent deltas of the stream.
        body_size: The number of bytes of the last request body, before compression.
        permit: The permission of the quota for the last request; `None` if `pace` is `False`.
        paced_call: The state of the call in the queue of its quota; `None` until the call has
            to wait or a request fails.
        key: The key of the last request.
        is_compressed: Whether the body of the last request was compressed.
        response_headers: The headers of the last response, with lower-case names. It is always
            the same dict, because a chunk builder gets it before there is a response.
        recoveries: The recoveries that have been tried.
        retries: The number of retries that count against `max_retries`.
        metadata: Data for the response metadata. Its `retries` also counts the requests that
            were sent again after a rejection because of the quota; recoveries do not count.
    """

    body: RequestBody
    timeout: float
    max_retries: int
    coalesce: bool = False
    body_size: int = 0
    permit: Permit | None = field(default=None, repr=False)
    paced_call: PacedCall | None = field(default=None, repr=False)
    key: Key | None = None
    is_compressed: bool = False
    response_headers: dict[str, str] = field(default_factory=dict)
    recoveries: set[Recovery] = field(default_factory=set)
    retries: int = 0
    metadata: dict[str, Any] = field(default_factory=lambda: {"retries": 0})

    def estimate_tokens(self) -> float:
        """Estimate the tokens of the last request, without a look at the messages."""
        return estimate_tokens_from_size(self.body, self.body_size)


class CerebrasClient:
    """Makes calls with the settings of one model.

    A model creates a client for each call; connections are in the pools of `_http`.

    Args:
        owner: The model. If it is closed, so are the connection pools that no other existing
            model has used.
        base_url: The URL of the API.
        key: The API key, or a function that returns it.
        cookies: The cookies to exchange for a key.
        session_url: The URL of the key exchange.
        headers: Additional headers for each request. With `Authorization`, no key is needed.
        proxy: The URL of a proxy.
        verify: Whether to check certificates, or the path of a CA bundle.
        client_cert: The paths of a client certificate for the API, as in `Route`.
        connect_timeout: Seconds for a connection.
        timeout: The idle timeout in seconds.
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
        client_cert: str | tuple[str, str] | None,
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
        self._authorization: str | None = None
        for name, value in (headers or {}).items():
            if name.lower() == "authorization":
                self._authorization = value.get_secret_value()
                self._extra_headers["Authorization"] = self._authorization
            else:
                self._extra_headers[name] = value.get_secret_value()
        proxy_url = proxy.get_secret_value() if proxy else None
        self._route = Route(proxy_url, verify, connect_timeout, client_cert=client_cert)
        exchange_route = Route(proxy_url, verify, connect_timeout, url_setting="session_url")
        self._keys = KeyProvider(
            key, cookies, KeyExchange(session_url, exchange_route, timeout)
        )

    async def complete(self, call: Call) -> Completion:
        """Make a call and return the whole completion."""
        with _use_span_of_call():
            return await self._with_retries(call, self._complete_once)

    async def open_stream(self, call: Call) -> EventStream:
        """Make a call, and return its stream once the first event with content has arrived."""
        with _use_span_of_call():
            return await self._with_retries(call, self._open_stream_once)

    async def get(self, url: str, *, needs_key: bool = True, max_retries: int = 0) -> Any:
        """Fetch JSON from a URL of the API."""

        async def get_once(call: Call) -> Any:
            call.key = await self._get_key() if needs_key else None
            headers = self._create_headers(call.key, has_body=False)
            with await self._send(call, "GET", url, headers) as response:
                return await self._create_parser(call).parse_json(response)

        return await self._with_retries(self._create_call_without_body(max_retries), get_once)

    async def describe_credential(self, max_retries: int) -> Credential:
        """Return a description of the key for the next request, without the key itself."""

        async def get_once(_: Call) -> Credential:
            return await self._keys.describe_credential(self._base_url)

        return await self._with_retries(self._create_call_without_body(max_retries), get_once)

    async def describe_quota(self, model: str, max_retries: int) -> QuotaInfo:
        """Describe what this process knows about the quota of a model.

        Only a key exchange may need a request.
        """

        async def describe_once(_: Call) -> QuotaInfo:
            headers = self._create_headers(await self._get_key(), has_body=False)
            return get_quota(self._base_url, headers, model, self._quota_store).describe()

        return await self._with_retries(
            self._create_call_without_body(max_retries), describe_once
        )

    async def close(self) -> None:
        """Close the running event loop's connections.

        Connections that another existing model has used stay open.
        """
        await connection_pool.close_unshared(self._owner)

    def _create_call_without_body(self, max_retries: int) -> Call:
        # This body is not sent. Only the messages of errors depend on it.
        return Call({"model": "", "messages": []}, self._timeout, max_retries)

    # --- synchronous callers ----------------------------------------------------------------

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
            # Errors up to here reach `_handle_error`, which reports them to the quota.
            if call.permit is not None:
                stream.on_error = partial(self._report_error, call)
        except BaseException:
            response.close()
            raise
        return stream

    async def _post(self, call: Call) -> Response:
        body = _encode_body(call.body)
        call.body_size = len(body)
        call.permit = None
        call.key = await self._get_key()
        headers = self._create_headers(call.key, has_body=True)
        pace = self._pace
        if pace is not False:
            quota = get_quota(self._base_url, headers, call.body["model"], self._quota_store)
            if pace == "auto":
                call.permit = quota.try_acquire(call)
            if call.permit is None:
                headers = await self._wait_for_quota(call, quota, headers)
        call.is_compressed = self._should_compress(call, body)
        if call.is_compressed:
            headers["Content-Encoding"] = "gzip"
            body = await compression.compress(body)
        url = f"{self._base_url}/chat/completions"
        response = await self._send(call, "POST", url, headers, body)
        permit = call.permit
        if permit is not None:
            permit.quota.report_handled(permit, call.response_headers)
        return response

    async def _send(
        self,
        call: Call,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Response:
        """Send a request and return its response if that has status 200."""
        call.response_headers.clear()
        response = await request.send(
            method,
            url,
            headers=headers,
            body=body,
            route=self._route,
            timeout=call.timeout,
            owner=self._owner,
            use_fresh_connection="fresh-connection" in call.recoveries,
        )
        for name, value in response.headers.items():
            call.response_headers[name.lower()] = value
        if response.status == 200:
            return response
        with response:
            raise await self._create_parser(call).parse_error(response)

    async def _get_key(self) -> Key | None:
        """Return the key for a request; `None` if `headers` have another authorization."""
        return await self._keys.get_key() if self._authorization is None else None

    def _create_headers(self, key: Key | None, *, has_body: bool) -> dict[str, str]:
        is_demo_key = key is not None and key.is_demo
        headers = dict(_DEMO_KEY_HEADERS if is_demo_key else _get_api_key_headers())
        if has_body:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Authorization"] = f"Bearer {key.value}"
        if self._extra_headers:
            replaced = {name.lower() for name in self._extra_headers}
            headers = {name: headers[name] for name in headers if name.lower() not in replaced}
            headers.update(self._extra_headers)
        return headers

    def _should_compress(self, call: Call, body: bytes) -> bool:
        if "plain-body" in call.recoveries or self._base_url in compression.rejecting_servers:
            return False
        if self._compression == "auto":
            is_long = len(body) >= _MIN_COMPRESSED_BYTES
            return is_long and self._base_url.startswith(_CEREBRAS_URL_PREFIX)
        return self._compression

    def _create_parser(self, call: Call) -> ResponseParser:
        key = call.key
        request_info = _error_mapping.RequestInfo(
            call.body["model"],
            has_demo_key=key is not None and key.is_demo,
            count_reserved_tokens=partial(_count_reserved_tokens, call.body),
        )
        secrets = list(self._extra_headers.values())
        if key is not None:
            secrets.append(key.value)
        if self._authorization is not None:
            secrets.append(self._authorization.rpartition(" ")[2])  # without the scheme
        return ResponseParser(request_info, secrets)

    # --- the queue of the quota -------------------------------------------------------------

    async def _wait_for_quota(
        self, call: Call, quota: Quota, headers: dict[str, str]
    ) -> dict[str, str]:
        """Wait until the quota allows the request; return the headers to send then."""
        paced_call = self._get_paced_call(call)
        while True:
            waited_before = paced_call.waited
            call.permit = await paced_call.wait(quota)
            if call.key is None or paced_call.waited - waited_before < _SECONDS_BEFORE_NEW_KEY:
                return headers
            try:
                key = await self._get_key()
            except BaseException:
                quota.report_unsent(call.permit)
                call.permit = None  # the error is not about this quota
                raise
            if key == call.key:
                return headers
            quota.report_unsent(call.permit)  # another key has another quota
            call.key = key
            headers = self._create_headers(key, has_body=True)
            quota = get_quota(self._base_url, headers, call.body["model"], self._quota_store)

    def _get_paced_call(self, call: Call) -> PacedCall:
        """Return the state of the call in the queue, which is created when it is needed."""
        if call.paced_call is None:
            call.paced_call = PacedCall(
                call.body,
                call.body_size,
                has_unlimited_wait=self._pace is True,
                max_wait=self._max_retry_wait,
                can_wait=call.max_retries > 0,
                permit=call.permit,
            )
        return call.paced_call

    def _report_error(self, call: Call, error: CerebrasError) -> bool:
        """Report an error to the quota.

        Returns:
            Whether the server rejected the request because of the quota.
        """
        if call.permit is None:
            return False
        paced_call = self._get_paced_call(call)
        return paced_call.report_error(call.permit, error, call.response_headers)

    # --- recoveries and retries -------------------------------------------------------------

    async def _with_retries(self, call: Call, attempt: Callable[[Call], Awaitable[T]]) -> T:
        """Make attempts until one succeeds, or raise the last error."""
        while True:
            try:
                result = await attempt(call)
            except CerebrasError as error:
                wait = self._handle_error(call, error)
            except BaseException:  # such as a cancellation
                if call.permit is not None:  # the server may have handled the request
                    call.permit.quota.report_handled(call.permit, {})
                raise
            else:
                if "plain-body" in call.recoveries:  # and it was accepted
                    compression.rejecting_servers.add(self._base_url)
                return result
            # Outside the `except` block: inside it, the traceback of a cancellation would also
            # show the error.
            await asyncio.sleep(wait)

    def _handle_error(self, call: Call, error: CerebrasError) -> float:
        """Prepare another attempt and return the seconds before it, or raise the error."""
        if isinstance(error, NotSentError):
            rejection = call.paced_call.rejection if call.paced_call is not None else None
            raise _create_queue_error(error, rejection) from None
        is_rejected = self._report_error(call, error)
        if self._recover(call, error):
            return 0.0
        if is_rejected and call.permit is not None:  # the second is for the type checker
            if not self._get_paced_call(call).can_queue_again(error, call.response_headers):
                raise error
            call.metadata["retries"] += 1
            call.permit.quota.log_rejection(error)
            return 0.0
        if call.retries >= call.max_retries or not self._can_retry(error):
            raise error
        call.retries += 1
        call.metadata["retries"] += 1
        wait = self._compute_wait(error, call.retries)
        logger.info(
            "Retry %d of %d in %.1f s after: %s", call.retries, call.max_retries, wait, error
        )
        return wait

    def _can_retry(self, error: CerebrasError) -> bool:
        return error.is_retryable and (error.retry_after or 0.0) <= self._max_retry_wait

    def _compute_wait(self, error: CerebrasError, retry: int) -> float:
        """Return the seconds before a retry: what the server asks for, or a backoff."""
        wait = error.retry_after
        if wait is None:
            wait = min(rate_limits.compute_backoff(retry, error.code), self._max_retry_wait)
        # Calls that failed at the same time should not be retried at the same time.
        return min(rate_limits.add_jitter(wait), self._max_retry_wait)

    def _recover(self, call: Call, error: CerebrasError) -> bool:
        """Fix a known problem, at most once per kind and call.

        Returns:
            Whether to send the request again.
        """
        recovery = _choose_recovery(call, error)
        if recovery == "new-demo-key" and call.key is not None:
            drop_demo_key(call.key)
        if recovery is None or recovery in call.recoveries:
            return False
        if recovery == "without-prediction":
            body = call.body.copy()
            del body["prediction"]
            call.body = body
        call.recoveries.add(recovery)
        logger.debug("Sending the request again (recovery %s) after: %s", recovery, error)
        return True


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine for a synchronous caller and return its result."""
    return portal.run(coroutine)


def _use_span_of_call() -> contextlib.AbstractContextManager[Any]:
    run_id = _tracing.current_run_id.get()
    return _NO_SPAN if run_id is None else _tracing.use_span(run_id)


def _choose_recovery(call: Call, error: CerebrasError) -> Recovery | None:
    if isinstance(error, request.DeadConnectionError):
        return "fresh-connection"
    if isinstance(error, CerebrasAuthenticationError):
        is_demo_key = call.key is not None and call.key.is_demo
        return "new-demo-key" if is_demo_key else None
    message = str(error).lower().replace("-", " ")
    is_unsupported = "unsupported" in message or "not currently supported" in message
    if (
        isinstance(error, CerebrasInvalidRequestError)
        and "prediction" in call.body
        and "prediction" in message
        and is_unsupported
    ):
        return "without-prediction"
    is_about_encoding = "content encoding" in message or "gzip" in message
    if call.is_compressed and (
        error.status == 415 or (error.status == 400 and is_about_encoding)
    ):
        return "plain-body"
    return None


def _encode_body(body: RequestBody) -> bytes:
    try:
        return to_json(body)
    except PydanticSerializationError:  # lone surrogates, as in text from web pages
        return _surrogates.encode_json(body)


def _count_reserved_tokens(body: RequestBody) -> int:
    return count_reserved_tokens(body, len(_encode_body(body)))


def _create_queue_error(
    error: NotSentError, rejection: CerebrasError | None
) -> CerebrasRateLimitError:
    """Create the error for a request that the queue did not let through.

    Args:
        error: The reason.
        rejection: The last rejection because of the quota, if there was one.
    """
    if rejection is None:
        return CerebrasRateLimitError(
            str(error), retry_after=error.retry_after, is_retryable=error.is_retryable
        )
    reason = f"{rejection.status} {rejection.code or ''}".strip()
    return CerebrasRateLimitError(
        f"The server rejected the request with status {reason}. {error}",
        status=rejection.status,
        code=rejection.code,
        request_id=rejection.request_id,
        retry_after=error.retry_after,
        body=rejection.body,
        is_retryable=error.is_retryable,
    )
