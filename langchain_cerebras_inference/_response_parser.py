"""Parsing a response: a whole completion, the events of a stream, or an error.

A stream is complete once an event has a finish reason. A stream that ends before is
truncated, and an error, however the server ended it. What happens after the finish reason
does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydantic_core import from_json

from langchain_cerebras_inference import _error_mapping
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
"""More than the longest completion has with 20 log probabilities a token."""

_MAX_ERROR_BYTES = 64 * 1024

_MAX_EVENTS_PER_BATCH = 32
"""More decoded events than this do not fit into the processor's cache, where joining them
costs half as much. Later events wait as bytes, which take a tenth of the memory."""

_SECONDS_AFTER_FINISH = 1.0
"""How long to wait for a usage event, `[DONE]` and the end of the body."""

_TRUNCATED = "The stream was truncated: it ended before its finish reason; try again."
_DONE = b"[DONE]"
_CONTENT_FIELDS = ("finish_reason", "logprobs", "reasoning_logprobs")

_MIN_SECRET_LENGTH = 8
"""Shorter secrets occur in ordinary text, and replacing them there would reveal them."""


class ResponseParser:
    """Parses the responses to one request.

    Args:
        request: Facts about the request, for the advice in errors.
        secrets: Texts to redact in errors, because a server may quote them.
    """

    def __init__(self, request: _error_mapping.RequestInfo, secrets: list[str]) -> None:
        self._request = request
        self._secrets = [secret for secret in secrets if len(secret) >= _MIN_SECRET_LENGTH]

    async def parse_error(self, response: Response) -> CerebrasError:
        """Return the error for a response with another status than 200."""
        try:
            raw = await response.read(_MAX_ERROR_BYTES)
        except CerebrasError:  # the body is truncated, but the status says enough
            raw = b""
        body = self.decode_redacted(raw)
        return _error_mapping.create_error(
            response.status, body, response.headers, self._request
        )

    async def parse_json(self, response: Response) -> Any:
        """Return the decoded JSON of a response with status 200.

        Raises:
            CerebrasError: If the body describes an error, is not JSON or is too large.
        """
        try:
            raw = await response.read(_MAX_COMPLETION_BYTES)
            if len(raw) > _MAX_COMPLETION_BYTES:
                raise CerebrasProtocolError(
                    f"The response has more than {_MAX_COMPLETION_BYTES} bytes; check base_url."
                )
            body = from_json(raw)
        except CerebrasError as error:
            raise _with_response_facts(error, response) from None
        except ValueError:
            raise self.create_unexpected_error(response, self.decode_redacted(raw)) from None
        if _error_mapping.is_error_body(body):
            raise self.create_error_from_body(response, self._redact(body))
        return body

    async def parse_completion(self, response: Response) -> Completion:
        """Return the whole completion in a response.

        Raises:
            CerebrasError: If the response is something else.
        """
        body = await self.parse_json(response)
        choices = body.get("choices") if isinstance(body, dict) else None
        if not isinstance(choices, list) or not choices:
            raise self.create_unexpected_error(response, body)
        return cast("Completion", body)

    def create_error_from_body(self, response: Response, body: Any) -> CerebrasError:
        """Return the error for an error body that came with status 200."""
        status = body.get("status_code") if isinstance(body, dict) else None
        is_number = isinstance(status, int) and not isinstance(status, bool)
        return _error_mapping.create_error(
            status if is_number else None, body, response.headers, self._request
        )

    def create_unexpected_error(self, response: Response, body: Any) -> CerebrasError:
        """Return the error for a body that this API does not send."""
        body = self._redact(body)
        content_type = self._redact(response.headers.get("content-type", "no content type"))
        return CerebrasProtocolError(
            f"Expected a completion, but status {response.status} came with"
            f" {_error_mapping.quote(content_type)} and {_error_mapping.quote(body)!r};"
            " check base_url, and whether a proxy responds in its place.",
            status=response.status,
            body=body,
            request_id=_error_mapping.find_request_id(response.headers),
        )

    def decode_redacted(self, raw: bytes) -> Any:
        """Decode a body for an error, as JSON or else as text, and redact its secrets."""
        text = raw.decode("utf-8", "replace")
        try:
            return self._redact(from_json(text))
        except ValueError:
            return self._redact(text)

    def _redact(self, body: Any) -> Any:
        # Decoded JSON, because a secret may be escaped in its text.
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

    Each event has `choices`: an empty list, or a list whose first item is a dict. If that has
    a `delta`, it is a dict, too.

    Args:
        response: The response whose body is the stream.
        parser: The parser for events that are not completions.
        max_events: The maximum number of events that are decoded at once.

    Attributes:
        on_error: Is called with an error before that is raised.
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
        self._payloads: list[bytes] = []
        self._first_events: list[StreamEvent] = []
        self._has_progress = False
        self._is_finished = False
        self._is_ended = False
        self._error: CerebrasError | None = None
        self.on_error: Callable[[CerebrasError], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def wait_for_content(self) -> None:
        """Wait for the first event with content; until then the request may be repeated.

        Events before it have nothing but the role, and are dropped.

        Raises:
            CerebrasError: If the stream is truncated or contains an error before that.
        """
        while events := await self.read_events():
            if any(map(has_content, events)):
                self._first_events = events
                return

    async def read_events(self) -> list[StreamEvent]:
        """Wait for the next events; an empty list is the end of a complete stream.

        Raises:
            CerebrasError: If the stream is truncated or contains an error. All events
                before that have been returned.
        """
        events, self._first_events = self._first_events, []
        while not (events or self._is_ended):
            try:
                if not self._payloads:
                    data = await self._response.read_available(
                        restart_timeout=self._has_progress
                    )
                    self._payloads = self._split(data)
                events = self._decode_events()
            except CerebrasError as error:
                self._end(error)
        self._has_progress = True  # time that the caller takes does not count
        if not events:
            self.close()
            if self._error is not None:
                if self.on_error is not None:
                    self.on_error(self._error)
                raise self._error
        return events

    def close(self) -> None:
        """Close the response; leaving a stream early closes its connection."""
        self._response.close()

    def _split(self, data: bytes) -> list[bytes]:
        """Split new data into the payloads of the events that it completes."""
        if not data:
            self._is_ended = True
            # Without its blank line the last event may be truncated.
            return [payload for payload in self._decoder.close() if _is_json(payload)]
        try:
            payloads = self._decoder.feed(data)
        except EventTooLargeError as error:
            raise CerebrasProtocolError(
                f"The response is not an event stream ({error}); check base_url."
            ) from None
        # Comments keep the connection alive, but are no progress.
        self._has_progress = any(payloads) or self._decoder.is_inside_data
        return payloads

    def _decode_events(self) -> list[StreamEvent]:
        payloads = self._payloads[: self._max_events]
        self._payloads = self._payloads[self._max_events :]
        events: list[StreamEvent] = []
        for payload in payloads:
            try:
                event = from_json(payload)
                choice = event["choices"][0]
                finish_reason = choice.get("finish_reason")
                is_error = type(payload) is not bytes or event.get("error")
                is_completion = not is_error and type(choice.get("delta") or {}) is dict
            except (ValueError, KeyError, IndexError, TypeError, AttributeError):
                is_completion = False
            if is_completion:
                events.append(event)
                if finish_reason and not self._is_finished:
                    self._is_finished = True
                    self._response.limit_remaining_time(_SECONDS_AFTER_FINISH)
            elif payload and payload != _DONE:
                try:
                    events.append(self._parse_other_event(payload))
                except CerebrasError as error:
                    self._end(error)
                    break
        if self._is_ended and not self._is_finished and self._error is None:
            self._end(CerebrasConnectionError(_TRUNCATED))
        return events

    def _parse_other_event(self, payload: bytes) -> StreamEvent:
        """Return an event without a choice, such as one with the usage.

        Raises:
            CerebrasError: If it describes an error or is nothing that this API sends.
        """
        body = self._parser.decode_redacted(payload)
        if _error_mapping.is_error_body(body) or isinstance(payload, ErrorPayload):
            raise self._parser.create_error_from_body(self._response, body)
        if not (isinstance(body, dict) and _is_json(payload)) or body.get("choices"):
            raise self._parser.create_unexpected_error(self._response, body)
        return cast("StreamEvent", {**from_json(payload), "choices": []})

    def _end(self, error: CerebrasError) -> None:
        """End the stream; the error is raised when all events before it have been read.

        An error after the finish reason is ignored: the completion is there.
        """
        self._is_ended = True
        if self._error is None and not self._is_finished:
            self._error = _with_response_facts(error, self._response)


def has_content(event: StreamEvent) -> bool:
    """Return whether an event contains more than the role that opens a stream."""
    if not event["choices"]:
        return "usage" in event
    choice = event["choices"][0]
    delta = choice.get("delta")
    if not isinstance(delta, dict) or any(map(choice.get, _CONTENT_FIELDS)):
        return True
    return any(value for name, value in delta.items() if name != "role")


def _is_json(payload: bytes) -> bool:
    try:
        from_json(payload)
    except ValueError:
        return False
    return True


def _with_response_facts(error: CerebrasError, response: Response) -> CerebrasError:
    """Add the status and the request id to an error that came after the headers."""
    error.status = error.status or response.status
    error.request_id = error.request_id or _error_mapping.find_request_id(response.headers)
    return error
