"""Parse a response: a whole completion, the events of a stream, or an error.

A stream is complete once an event has a finish reason. A stream that ends without a finish
reason is truncated, which is an error even if the connection was closed properly. Errors after
the finish reason are ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydantic_core import from_json

from langchain_cerebras_inference import _error_mapping, _surrogates, _urls
from langchain_cerebras_inference._http.sse import (
    ErrorPayload,
    EventTooLargeError,
    SSEDecoder,
)
from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasProtocolError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from langchain_cerebras_inference._http.response import Response
    from langchain_cerebras_inference._types import Completion, StreamEvent

_MAX_COMPLETION_BYTES = 256 * 1024 * 1024
"""More than the longest completion needs, even with 20 log probabilities for each token."""

_MAX_ERROR_BYTES = 64 * 1024

_MAX_EVENTS_PER_BATCH = 32
"""How many events are decoded together.

With `coalesce`, merging the events is twice as fast while they fit into the CPU cache. The
other events that have arrived are decoded later. Until then they stay bytes, which take a
tenth of the memory.
"""

_SECONDS_AFTER_FINISH = 1.0
"""How long to wait for the usage event, `[DONE]` and the end of the body."""

_TRUNCATED = "The stream was truncated: it ended without a finish reason. Try again."
_DONE = b"[DONE]"
_FIELDS_BESIDE_DELTA = ("finish_reason", "logprobs", "reasoning_logprobs")

_MIN_SECRET_LENGTH = 8
"""Secrets that are shorter are not redacted. They also occur in ordinary text, and `***` in a
well-known sentence would show what the secret is."""


class ResponseParser:
    """Parses the responses to one request.

    Args:
        request: Data of the request for error messages and waits.
        secrets: Strings to redact in errors, because a server may quote them.
    """

    def __init__(self, request: _error_mapping.RequestInfo, secrets: list[str]) -> None:
        self._request = request
        self._secrets = [secret for secret in secrets if len(secret) >= _MIN_SECRET_LENGTH]

    async def parse_error(self, response: Response) -> CerebrasError:
        """Return the error for a response with a status other than 200."""
        try:
            raw = await response.read(_MAX_ERROR_BYTES)
        except CerebrasError:  # the body is truncated, but the status says enough
            raw = b""
        return self._create_error(response, response.status, _decode_body(raw))

    async def parse_json(self, response: Response) -> Any:
        """Return the decoded JSON of a response with status 200.

        Raises:
            CerebrasError: If the body describes an error, is not JSON or is too large.
        """
        try:
            raw = await response.read(_MAX_COMPLETION_BYTES)
            if len(raw) > _MAX_COMPLETION_BYTES:
                raise CerebrasProtocolError(
                    f"The response is larger than {_MAX_COMPLETION_BYTES} bytes."
                    f" {_urls.get_wrong_server_advice()}"
                )
            try:
                body = from_json(raw)
            except ValueError:
                body = _surrogates.decode_json(raw)
        except CerebrasError as error:
            raise _add_response_data(error, response) from None
        except ValueError:
            raise self.create_unexpected_error(response, _decode_body(raw)) from None
        if _error_mapping.is_error_body(body):
            raise self.create_error_from_body(response, body)
        return body

    async def parse_completion(self, response: Response) -> Completion:
        """Return the whole completion in a response.

        Raises:
            CerebrasError: If the body describes an error or is not a completion.
        """
        body = await self.parse_json(response)
        choices = body.get("choices") if isinstance(body, dict) else None
        if not isinstance(choices, list) or not choices:
            raise self.create_unexpected_error(response, body)
        return cast("Completion", body)

    def create_error_from_body(
        self, response: Response, body: Any, *, is_in_stream: bool = False
    ) -> CerebrasError:
        """Return the error for an error body that arrived with status 200."""
        status = body.get("status_code") if isinstance(body, dict) else None
        is_number = isinstance(status, int) and not isinstance(status, bool)
        status = status if is_number else None
        return self._create_error(response, status, body, is_in_stream=is_in_stream)

    def create_unexpected_error(self, response: Response, body: Any) -> CerebrasError:
        """Return the error for a body that this API does not send."""
        body = self._redact(body)
        content_type = self._redact(response.headers.get("content-type") or "unknown")
        quoted = _error_mapping.quote(body)
        body_text = quoted if body in (None, "") else f"body {quoted!r}"
        return CerebrasProtocolError(
            f"Unexpected response with status {response.status}, content type"
            f" {_error_mapping.quote(content_type)} and {body_text}."
            f" {_urls.get_wrong_server_advice()}",
            status=response.status,
            body=body,
            request_id=_error_mapping.find_request_id(response.headers),
        )

    def _create_error(
        self, response: Response, status: int | None, body: Any, *, is_in_stream: bool = False
    ) -> CerebrasError:
        return _error_mapping.create_error(
            status,
            self._redact(body),
            response.headers,
            self._request,
            is_in_stream=is_in_stream,
        )

    def _redact(self, body: Any) -> Any:
        """Redact the secrets in decoded JSON; before decoding, secrets may be escaped."""
        if isinstance(body, dict):
            return {self._redact(name): self._redact(body[name]) for name in body}
        if isinstance(body, list):
            return [self._redact(item) for item in body]
        if isinstance(body, str):
            for secret in self._secrets:
                body = body.replace(secret, "***")
        return body


class EventStream:
    """The events of one streamed response.

    Each event has `choices`: an empty list, or a list whose first item is a dict. If that dict
    has a `delta`, the delta is a dict or a value that counts as false.

    Args:
        response: The response whose body is the stream.
        parser: The parser that creates the errors.
        max_events: The maximum number of events that are decoded together.

    Attributes:
        on_error: A function that is called with an error before the error is raised.
    """

    def __init__(
        self,
        response: Response,
        parser: ResponseParser,
        max_events: int = _MAX_EVENTS_PER_BATCH,
    ) -> None:
        self._response = response
        self._parser = parser
        self._max_events = max_events
        self._decoder = SSEDecoder()
        self._payloads: list[bytes] = []  # those that have arrived and are not decoded yet
        self._first_events: list[StreamEvent] = []  # those that `wait_for_content` has read
        self._surrogate_joiner: _surrogates.SurrogateJoiner | None = None
        self._should_restart_timeout = False
        self._has_finish_reason = False
        self._is_exhausted = False  # after the end of the body, or an error
        self._error: CerebrasError | None = None  # to be raised after the events before it
        self.on_error: Callable[[CerebrasError], object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def wait_for_content(self) -> None:
        """Wait for the first event with content; until then a retry is possible.

        Earlier events, without content, are dropped.

        Raises:
            CerebrasError: If the stream is truncated or contains an error before the first
                content.
        """
        while events := await self.read_batch():
            if any(map(has_content, events)):
                self._first_events = events
                return

    async def read_batch(self) -> list[StreamEvent]:
        """Wait for the next events; an empty list is the end of a complete stream.

        Raises:
            CerebrasError: If the stream is truncated or contains an error. All events before
                the error have been returned by earlier calls.
        """
        events, self._first_events = self._first_events, []
        while not (events or self._is_exhausted):
            try:
                if not self._payloads:
                    data = await self._response.read_available(
                        restart_timeout=self._should_restart_timeout
                    )
                    self._is_exhausted = not data
                    self._payloads = self._split(data) if data else self._split_end()
                events = self._decode_events()
                if self._surrogate_joiner is not None:
                    events = self._surrogate_joiner.join(events)
            except CerebrasError as error:
                self._end_with_error(error)
        # The next call begins with a new idle timeout: the caller may be busy until then.
        self._should_restart_timeout = True
        if not events:
            self.close()
            if self._error is not None:
                if self.on_error is not None:
                    self.on_error(self._error)
                raise self._error
        return events

    def close(self) -> None:
        """Close the response; before the end of the stream this closes the connection."""
        self._response.close()

    def _split(self, data: bytes) -> list[bytes]:
        """Return the payloads of the events that new data completes."""
        try:
            payloads = self._decoder.feed(data)
        except EventTooLargeError as error:
            raise CerebrasProtocolError(f"{error} {_urls.get_wrong_server_advice()}") from None
        # Comments keep the connection alive, but are no progress.
        self._should_restart_timeout = any(payloads) or self._decoder.is_inside_data
        return payloads

    def _split_end(self) -> list[bytes]:
        """Return the payload of a last event that no blank line follows.

        Return it only if it is complete JSON.
        """
        return [payload for payload in self._decoder.close() if _is_json(payload)]

    def _decode_events(self) -> list[StreamEvent]:
        """Decode the next payloads, up to the first one that describes an error.

        At the end of the body, a missing finish reason is an error, too.
        """
        payloads = self._payloads[: self._max_events]
        self._payloads = self._payloads[self._max_events :]
        events: list[StreamEvent] = []
        for payload in payloads:
            try:
                event = from_json(payload)
                choice = event["choices"][0]
                finish_reason = choice.get("finish_reason")
                is_error = isinstance(payload, ErrorPayload) or event.get("error")
                is_usual = not is_error and type(choice.get("delta") or {}) is dict
            except (ValueError, KeyError, IndexError, TypeError, AttributeError):
                is_usual = False
            if is_usual:
                events.append(event)
                if finish_reason and not self._has_finish_reason:
                    self._set_finished()
            elif payload and payload != _DONE:
                try:
                    events.append(self._decode_unusual_event(payload))
                except CerebrasError as error:
                    self._end_with_error(error)
                    break
        if self._is_exhausted and not self._has_finish_reason and self._error is None:
            self._end_with_error(CerebrasConnectionError(_TRUNCATED))
        return events

    def _decode_unusual_event(self, payload: bytes) -> StreamEvent:
        """Return an event with surrogates, or one without a choice, such as the usage event.

        Raises:
            CerebrasError: If the payload is an error, or not an event that this API sends.
        """
        try:
            event = _surrogates.decode_json(payload)
        except ValueError:
            event = payload.decode("utf-8", "replace")
        if isinstance(payload, ErrorPayload) or _error_mapping.is_error_body(event):
            raise self._parser.create_error_from_body(self._response, event, is_in_stream=True)
        if _has_choice(event):
            # Only surrogates make it unusual. `decode_json` has replaced the lone ones, but the
            # next event may have the other half of a pair.
            if event["choices"][0].get("finish_reason") and not self._has_finish_reason:
                self._set_finished()
            self._surrogate_joiner = self._surrogate_joiner or _surrogates.SurrogateJoiner()
            return cast("StreamEvent", _surrogates.decode_with_surrogates(payload))
        if not isinstance(event, dict) or event.get("choices"):
            raise self._parser.create_unexpected_error(self._response, event)
        return cast("StreamEvent", {**event, "choices": []})

    def _set_finished(self) -> None:
        """Remember that an event has had a finish reason, and limit the remaining time."""
        self._has_finish_reason = True
        self._response.limit_remaining_time(_SECONDS_AFTER_FINISH)

    def _end_with_error(self, error: CerebrasError) -> None:
        """End the stream; the error is raised once all events before it have been read.

        An error after the finish reason is ignored, because the completion is whole.
        """
        self._is_exhausted = True
        if self._error is None and not self._has_finish_reason:
            self._error = _add_response_data(error, self._response)


def has_content(event: StreamEvent) -> bool:
    """Return whether an event has content: anything other than a role.

    Usage, a finish reason and log probabilities count, too.
    """
    if not event["choices"]:
        return "usage" in event
    choice = event["choices"][0]
    delta = choice.get("delta")
    # Only an event that is known to have nothing but a role is skipped. A choice without a
    # delta is not such an event.
    if not isinstance(delta, dict) or any(map(choice.get, _FIELDS_BESIDE_DELTA)):
        return True
    return any(value for name, value in delta.items() if name != "role")


def _has_choice(event: Any) -> bool:
    try:
        return type(event["choices"][0].get("delta") or {}) is dict
    except (KeyError, IndexError, TypeError, AttributeError):
        return False


def _decode_body(raw: bytes) -> Any:
    """Decode a body for an error: as JSON, or as text if it is not JSON."""
    text = raw.decode("utf-8", "replace")
    try:
        return _surrogates.decode_json(text.encode())
    except ValueError:
        return text


def _is_json(payload: bytes) -> bool:
    try:
        _surrogates.decode_json(payload)
    except ValueError:
        return False
    return True


def _add_response_data(error: CerebrasError, response: Response) -> CerebrasError:
    """Add the status and the request id to an error that happened after the headers."""
    error.status = error.status or response.status
    error.request_id = error.request_id or _error_mapping.find_request_id(response.headers)
    return error
