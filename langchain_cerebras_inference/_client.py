"""One call, from payload to events: sending, judging what came, repairs, retries.

Nothing is sent twice once a word has reached the caller. Until then a call is repaired
where the fault is known (each repair once) and sent again where the error says that
this may help, after the wait that the server asks for or its limits imply.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

from langchain_cerebras_inference._credentials.keys import Keys
from langchain_cerebras_inference._transport import http, pacing, portal, sessions
from langchain_cerebras_inference._transport.sse import (
    ErrorData,
    EventTooLargeError,
    SSEDecoder,
)
from langchain_cerebras_inference._version import user_agent
from langchain_cerebras_inference.errors import (
    CerebrasAuthenticationError,
    CerebrasConnectionError,
    CerebrasError,
    CerebrasInvalidRequestError,
    CerebrasProtocolError,
    CerebrasRateLimitError,
    error_for,
    is_error_body,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Awaitable,
        Callable,
        Coroutine,
        Generator,
        Mapping,
    )

    from pydantic import SecretStr

    from langchain_cerebras_inference._credentials.keys import Bearer
    from langchain_cerebras_inference._wire import Payload, Reply

logger = logging.getLogger("langchain_cerebras_inference")

T = TypeVar("T")

_MAX_REPLY_BYTES = 256 * 1024 * 1024
"""Above the longest answer with 20 log probabilities a token."""

_MAX_ERROR_BYTES = 64 * 1024
_ASSUMED_COMPLETION = 16_384
"""What the server reserves where no max_completion_tokens is sent, as reported."""

_AFTER_FINISH = 1.0
"""Seconds for what follows the finish: a usage event, `[DONE]`, the body's end."""

_DONE = b"[DONE]"

_DEMO_HEADERS = {"Accept-Encoding": "gzip, deflate", "User-Agent": "ex/JS 1.5.0"}
"""The demo key's own client is the playground's, and says so."""


@cache
def _own_headers() -> Mapping[str, str]:
    return {
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": user_agent(),
        "X-Cerebras-3rd-Party-Integration": "langchain",
    }


@dataclass(slots=True)
class Call:
    """One call as it goes: what is sent, what was mended, what came back."""

    payload: Payload
    timeout: float
    max_retries: int
    headers: dict[str, str] = field(default_factory=dict)
    bearer: Bearer | None = None
    fresh: bool = False
    implied_wait: float | None = None
    repaired: set[str] = field(default_factory=set)

    @property
    def model(self) -> str:
        return self.payload["model"]


class CerebrasClient:
    """A base URL, a way to a key and a route to both; the calls that can be made there."""

    def __init__(  # noqa: PLR0913 # the settings of a model that decide this
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
    ) -> None:
        self._base_url = base_url
        self._timeout = timeout
        self._max_retry_wait = max_retry_wait
        self._given = {
            name: value.get_secret_value() for name, value in (headers or {}).items()
        }
        self._route = http.Route(
            proxy.get_secret_value() if proxy else None, verify, connect_timeout
        )
        self.keys = Keys(key, cookies, session_url, self._route, timeout)

    async def complete(self, call: Call) -> Reply:
        """Send `call`; return the whole reply."""
        return await self._persist(call, self._whole)

    async def stream(self, call: Call) -> AsyncGenerator[list[Reply], None]:
        """Send `call`; yield its events, together those that came together.

        The end of a whole stream is an empty list, when its connection is free again.

        Raises:
            CerebrasError: After what came was yielded. A stream that ends without a
                finish reason is a `CerebrasConnectionError`.
        """
        events, batch = await self._persist(call, self._first_words)
        try:
            while batch:
                events.answer.hold()
                yield batch
                events.answer.progressed()
                batch = await events.read()
        finally:
            events.answer.close()
        yield []

    def complete_from_thread(self, call: Call) -> Reply:
        """`complete`, from code that is not async."""
        return portal.run(self.complete(call))

    def stream_from_thread(self, call: Call) -> Generator[list[Reply], None, None]:
        """`stream`, from code that is not async."""
        return portal.iterate(self.stream(call))

    def from_thread(self, work: Coroutine[Any, Any, T]) -> T:
        """Run any of these calls from code that is not async."""
        return portal.run(work)

    async def let_go(self) -> None:
        """Let go of the running loop's connections."""
        await sessions.let_go()

    async def get(self, url: str, *, signed: bool = True) -> Any:
        """Fetch and decode JSON from this server."""
        call = Call({"model": ""}, self._timeout, max_retries=0)
        answer = await self._send(call, "GET", url, signed=signed)
        try:
            return await self._judge_whole(call, answer)
        finally:
            answer.close()

    # --- one attempt -------------------------------------------------------------------

    async def _whole(self, call: Call) -> Reply:
        answer = await self._send(call, "POST", f"{self._base_url}/chat/completions")
        try:
            reply = await self._judge_whole(call, answer)
        finally:
            answer.close()
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if not isinstance(choices, list) or not choices:
            raise _not_an_answer(answer, reply)
        return cast("Reply", reply)

    async def _first_words(self, call: Call) -> tuple[_Events, list[Reply]]:
        """Begin a stream and read up to the first event that says something."""
        answer = await self._send(call, "POST", f"{self._base_url}/chat/completions")
        try:
            content_type = answer.headers.get("content-type", "text/event-stream")
            if not content_type.startswith("text/event-stream"):
                raise _not_an_answer(answer, await self._judge_whole(call, answer))
            events = _Events(answer, self._secrets(call), call.model)
            while batch := await events.read():
                if any(map(_says_something, batch)):
                    break
        except BaseException:
            answer.close()
            raise
        return events, batch

    async def _send(
        self, call: Call, method: str, url: str, *, signed: bool = True
    ) -> http.Answer:
        call.bearer = await self.keys.bearer() if signed else None
        answer = await http.send(
            method,
            url,
            headers=self._headers(call.bearer, has_body=method == "POST"),
            body=_to_bytes(call.payload) if method == "POST" else None,
            route=self._route,
            timeout=call.timeout,
            fresh=call.fresh,
        )
        call.headers.update(answer.headers)
        if answer.status == 200:  # noqa: PLR2004
            return answer
        try:
            body = await _error_body(answer)
        finally:
            answer.close()
        raise self._refusal(call, answer, body)

    def _headers(self, bearer: Bearer | None, *, has_body: bool) -> dict[str, str]:
        """Ours, then those the user gave, which win whatever their case."""
        headers = dict(_DEMO_HEADERS if bearer and bearer.is_demo else _own_headers())
        if has_body:
            headers["Content-Type"] = "application/json"
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer.key}"
        given = {name.lower() for name in self._given}
        kept = {name: headers[name] for name in headers if name.lower() not in given}
        return {**kept, **self._given}

    # --- judging -----------------------------------------------------------------------

    async def _judge_whole(self, call: Call, answer: http.Answer) -> Any:
        raw = await answer.read(_MAX_REPLY_BYTES)
        if len(raw) > _MAX_REPLY_BYTES:
            msg = f"The answer has more than {_MAX_REPLY_BYTES} bytes."
            raise CerebrasProtocolError(msg, status=answer.status)
        try:
            body = from_json(raw)
        except ValueError:
            raise _not_an_answer(answer, _masked(raw, self._secrets(call))) from None
        if is_error_body(body):
            raise error_for(
                None, _json_or_text(raw, self._secrets(call)), model=call.model
            )
        return body

    def _refusal(self, call: Call, answer: http.Answer, raw: bytes) -> CerebrasError:
        error = error_for(
            answer.status,
            _json_or_text(raw, self._secrets(call)),
            model=call.model,
            request_id=_request_id(answer.headers),
            retry_after=pacing.asked_wait(answer.headers, time.time()),
        )
        if isinstance(error, CerebrasRateLimitError):
            call.implied_wait = pacing.implied_wait(
                answer.headers, error.code, _reserved_tokens(call.payload)
            )
            if pacing.spent_quota(answer.headers):
                error.is_retryable = False
        ordered = pacing.should_retry(answer.headers)
        if ordered is not None:
            error.is_retryable = ordered
        return error

    def _secrets(self, call: Call) -> list[str]:
        key = [call.bearer.key] if call.bearer else []
        return [*key, *self._given.values()]

    # --- trying again ------------------------------------------------------------------

    async def _persist(self, call: Call, attempt: Callable[[Call], Awaitable[T]]) -> T:
        try:
            return await self._repairing(call, attempt)
        except CerebrasError as error:
            if not call.max_retries or self._wait(call, error, 1) is None:
                raise
            failure = error
        return await self._retrying(call, attempt, failure)

    async def _repairing(
        self, call: Call, attempt: Callable[[Call], Awaitable[T]]
    ) -> T:
        while True:
            try:
                return await attempt(call)
            except CerebrasError as error:
                if not self._repair(call, error):
                    raise
                logger.debug("sent again at once: %s", error)

    def _repair(self, call: Call, error: CerebrasError) -> bool:
        """Mend `call` where it is known what was wrong; whether it was mended."""
        if isinstance(error, http.DeadConnectionError):
            name, call.fresh = "connection", True
        elif isinstance(error, CerebrasAuthenticationError) and call.bearer:
            name = "key"
            if not self.keys.reject(call.bearer):
                return False
        elif _refuses_prediction(error) and "prediction" in call.payload:
            name = "prediction"
            call.payload = cast(
                "Payload", {k: v for k, v in call.payload.items() if k != name}
            )
        else:
            return False
        is_new = name not in call.repaired
        call.repaired.add(name)
        return is_new

    async def _retrying(
        self,
        call: Call,
        attempt: Callable[[Call], Awaitable[T]],
        failure: CerebrasError,
    ) -> T:
        # Imported after a first failure: a call that succeeds does not pay for it.
        import tenacity  # noqa: PLC0415

        failures = [failure]

        async def again() -> T:
            if failures:
                raise failures.pop()
            return await self._repairing(call, attempt)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return self._wait(call, error, state.attempt_number) or 0.0

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(call.max_retries + 1),
            retry=tenacity.retry_if_exception(
                lambda error: self._wait(call, error, 1) is not None
            ),
            wait=wait,
            before_sleep=tenacity.before_sleep_log(logger, logging.DEBUG),
            reraise=True,
        )
        return await retrying(again)

    def _wait(
        self, call: Call, error: BaseException | None, attempt: int
    ) -> float | None:
        """Seconds to wait before trying again; `None` where that will not help."""
        if not isinstance(error, CerebrasError) or not error.is_retryable:
            return None
        wait = error.retry_after
        if wait is None and isinstance(error, CerebrasRateLimitError):
            wait = call.implied_wait
        if wait is None:
            wait = pacing.backoff(attempt, error.code)
        return wait if wait <= self._max_retry_wait else None


class _Events:
    """The events of one answer's stream, each judged once."""

    def __init__(self, answer: http.Answer, secrets: list[str], model: str) -> None:
        self.answer = answer
        self._secrets = secrets
        self._model = model
        self._decoder = SSEDecoder()
        self._is_finished = False
        self._is_over = False
        self._failure: CerebrasError | None = None

    async def read(self) -> list[Reply]:
        """Wait for more events; an empty list is the end."""
        while not self._is_over:
            try:
                batch = await self._next()
            except CerebrasError as error:
                self._fail(error)
                continue
            if batch:
                return batch
        if self._failure is not None:
            raise self._failure
        return []

    async def _next(self) -> list[Reply]:
        data = await self.answer.read_some()
        if not data:
            return self._end()
        try:
            found = self._decoder.feed(data)
        except EventTooLargeError as error:
            raise CerebrasProtocolError(f"The stream is not one: {error}.") from None
        if found or self._decoder.is_inside_event:
            self.answer.progressed()
        return self._judged(found) if found else []

    def _judged(self, found: list[bytes]) -> list[Reply]:
        events: list[Reply] = []
        for data in found:
            try:
                event = from_json(data)
                finish = event["choices"][0].get("finish_reason")
                is_plain = not event.get("error") and type(data) is bytes
            except (ValueError, KeyError, IndexError, TypeError, AttributeError):
                is_plain = False
            if is_plain:
                events.append(event)
                if finish is not None:
                    self._finish()
            elif data != _DONE:
                try:
                    events.extend(self._judge_odd(data))
                except CerebrasError as error:
                    self._fail(error)
                    break
        return events

    def _judge_odd(self, data: bytes) -> list[Reply]:
        """Judge an event that is not a choice: an error, a usage, or nonsense."""
        body = _json_or_text(data, self._secrets)
        if is_error_body(body) or isinstance(data, ErrorData):
            status = body.get("status_code") if isinstance(body, dict) else None
            raise error_for(
                status if isinstance(status, int) else None,
                body,
                model=self._model,
                request_id=_request_id(self.answer.headers),
            )
        choices = body.get("choices", []) if isinstance(body, dict) else None
        if choices not in ([], None) or not isinstance(body, dict):
            raise CerebrasProtocolError(
                f"An event of the stream is not what it should be: {str(body)[:200]!r}.",
                body=body,
                request_id=_request_id(self.answer.headers),
            )
        return [cast("Reply", {**body, "choices": []})]

    def _finish(self) -> None:
        if not self._is_finished:
            self._is_finished = True
            self.answer.allow(_AFTER_FINISH)

    def _end(self) -> list[Reply]:
        self._is_over = True
        try:
            events = self._judged(
                [each for each in self._decoder.close() if _is_json(each)]
            )
        finally:
            if not self._is_finished:
                self._fail(_cut(self.answer))
        return events

    def _fail(self, error: CerebrasError) -> None:
        """Keep the error for when what came before it has been read."""
        self._is_over = True
        if self._failure is None and not self._is_finished:
            self._failure = error


def _says_something(event: Reply) -> bool:
    """Whether an event holds more than the role that opens a stream."""
    choices = event["choices"]
    if not choices:
        return "usage" in event
    delta = choices[0].get("delta")
    if choices[0].get("finish_reason") or not isinstance(delta, dict):
        return delta is not None
    return any(value for name, value in delta.items() if name != "role")


def _to_bytes(payload: Payload) -> bytes:
    try:
        return to_json(payload)
    except PydanticSerializationError:  # half of a surrogate pair, as scraped text has
        return json.dumps(payload, separators=(",", ":")).encode()


def _is_json(data: bytes) -> bool:
    try:
        from_json(data)
    except ValueError:
        return False
    return True


async def _error_body(answer: http.Answer) -> bytes:
    """What came of an error's body: the status says enough where it is cut off."""
    try:
        return await answer.read(_MAX_ERROR_BYTES)
    except CerebrasError:
        return b""


def _masked(raw: bytes, secrets: list[str]) -> str:
    text = raw.decode("utf-8", "replace")
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


def _json_or_text(raw: bytes, secrets: list[str]) -> Any:
    text = _masked(raw, secrets)
    try:
        return from_json(text)
    except ValueError:
        return text


def _request_id(headers: Mapping[str, str]) -> str | None:
    return (
        headers.get("x-request-id")
        or headers.get("inference-id")
        or headers.get("cf-ray")
    )


def _reserved_tokens(payload: Payload) -> int:
    longest = payload.get("max_completion_tokens", _ASSUMED_COMPLETION)
    return len(_to_bytes(payload)) // 4 + max(longest, 0)


def _refuses_prediction(error: CerebrasError) -> bool:
    said = str(error).lower()
    return (
        isinstance(error, CerebrasInvalidRequestError)
        and "prediction" in said
        and ("unsupported" in said or "not currently supported" in said)
    )


def _cut(answer: http.Answer) -> CerebrasError:
    return CerebrasConnectionError(
        "The stream ended before its finish: the answer is not whole; try again.",
        request_id=_request_id(answer.headers),
    )


def _not_an_answer(answer: http.Answer, body: Any) -> CerebrasError:
    kind = answer.headers.get("content-type", "no content type")
    return CerebrasProtocolError(
        f"Status {answer.status} came with {kind}, not with an answer:"
        f" {' '.join(str(body).split())[:200]!r}."
        " Is base_url right, or does a proxy answer in its place?",
        status=answer.status,
        body=body,
        request_id=_request_id(answer.headers),
    )
