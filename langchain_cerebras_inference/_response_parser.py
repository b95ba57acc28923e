"""What came, judged: a whole reply, or the events of a stream, or the error it is.

A stream is whole once an event has named its finish. Whatever ends it before that has
cut it, however cleanly; whatever happens after it does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydantic_core import from_json

from langchain_cerebras_inference import _error_mapping
from langchain_cerebras_inference._http.sse import (
    ErrorData,
    EventTooLargeError,
    SSEDecoder,
)
from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasProtocolError,
)

if TYPE_CHECKING:
    from langchain_cerebras_inference._http.response import Answer
    from langchain_cerebras_inference._types import Reply

_MAX_REPLY_BYTES = 256 * 1024 * 1024
"""Above the longest answer with 20 log probabilities a token."""

_MAX_ERROR_BYTES = 64 * 1024

_AFTER_FINISH = 1.0
"""Seconds for what follows the finish: a usage event, `[DONE]`, the body's end."""

_CUT = "The stream ended before its finish, so the answer is not whole; try again."
_DONE = b"[DONE]"

_SAYING = ("finish_reason", "logprobs", "reasoning_logprobs")
"""What of a choice says something beside its delta."""

_SHORTEST_SECRET = 8
"""A shorter one is in half of what a server says, and hidden there it would tell more."""


class Judge:
    """Judges the answers to one request.

    Args:
        request: What was asked, for the advice in errors.
        secrets: What must not be seen in an error, where a server echoes it.
    """

    def __init__(self, request: _error_mapping.Request, secrets: list[str]) -> None:
        self._request = request
        self._secrets = [each for each in secrets if len(each) >= _SHORTEST_SECRET]

    async def refusal(self, answer: Answer) -> CerebrasError:
        """The error an answer with another status than 200 is."""
        try:
            raw = await answer.read(_MAX_ERROR_BYTES)
        except CerebrasError:  # cut off, but the status says enough
            raw = b""
        body = self.to_json_or_text(raw)
        return _error_mapping.to_error(answer.status, body, answer.headers, self._request)

    async def json(self, answer: Answer) -> Any:
        """The JSON of an answer, unless it is an error.

        Raises:
            CerebrasError: If it is an error, or no JSON, or too large.
        """
        try:
            raw = await answer.read(_MAX_REPLY_BYTES)
            if len(raw) > _MAX_REPLY_BYTES:
                raise CerebrasProtocolError(f"The answer has over {_MAX_REPLY_BYTES} bytes.")
            body = from_json(raw)
        except CerebrasError as error:
            raise _with_origin(answer, error) from None
        except ValueError:
            raise self.unexpected(answer, self.to_json_or_text(raw)) from None
        if _error_mapping.is_error(body):
            raise self.error(answer, self._masked(body))
        return body

    async def reply(self, answer: Answer) -> Reply:
        """The whole reply an answer is.

        Raises:
            CerebrasError: If it is none.
        """
        body = await self.json(answer)
        choices = body.get("choices") if isinstance(body, dict) else None
        if not isinstance(choices, list) or not choices:
            raise self.unexpected(answer, body)
        return cast("Reply", body)

    def error(self, answer: Answer, body: Any) -> CerebrasError:
        """The error a body is that came with status 200."""
        status = body.get("status_code") if isinstance(body, dict) else None
        known = status if isinstance(status, int) and not isinstance(status, bool) else None
        return _error_mapping.to_error(known, body, answer.headers, self._request)

    def unexpected(self, answer: Answer, body: Any) -> CerebrasError:
        """The error for what is not of this API at all."""
        body = self._masked(body)
        kind = self._masked(answer.headers.get("content-type", "no content type"))
        return CerebrasProtocolError(
            f"Status {answer.status} came with {_error_mapping.quoted(kind)} and no answer:"
            f" {_error_mapping.quoted(body)!r}. Is base_url right, or does a proxy answer"
            " for it?",
            status=answer.status,
            body=body,
            request_id=_error_mapping.request_id(answer.headers),
        )

    def to_json_or_text(self, raw: bytes) -> Any:
        """A body for an error's attributes, without the request's own secrets."""
        text = raw.decode("utf-8", "replace")
        try:
            return self._masked(from_json(text))
        except ValueError:
            return self._masked(text)

    def _masked(self, body: Any) -> Any:
        """Decoded JSON, masked within its strings, where nothing is escaped any more."""
        if isinstance(body, dict):
            return {self._masked(name): self._masked(body[name]) for name in body}
        if isinstance(body, list):
            return [self._masked(each) for each in body]
        if isinstance(body, str):
            for secret in self._secrets:
                body = body.replace(secret, "***")
        return body


class Events:
    """The events of one stream.

    Args:
        answer: The answer whose body is the stream.
        judge: Who judges what is in it.
        most: How many are decoded and returned at once, at most.
    """

    def __init__(self, answer: Answer, judge: Judge, most: int) -> None:
        self.answer = answer
        self._judge = judge
        self._most = most
        self._found: list[bytes] = []
        self._decoder = SSEDecoder()
        self._is_finished = False
        self._is_over = False
        self._failure: CerebrasError | None = None

    async def read(self) -> list[Reply]:
        """Wait for more events; an empty list is the end of a whole stream.

        Raises:
            CerebrasError: If the stream is cut or holds an error; what came before
                has been returned.
        """
        while not self._is_over:
            try:
                events = await self._next()
            except CerebrasError as error:
                self._fail(error)
            else:
                if events:
                    return events
        if self._failure is not None:
            raise self._failure
        return []

    async def _next(self) -> list[Reply]:
        if not self._found:
            data = await self.answer.read_some()
            if not data:
                return self._rest()
            self._found = self._split(data)
        found, self._found = self._found[: self._most], self._found[self._most :]
        return self._judged(found)

    def _split(self, data: bytes) -> list[bytes]:
        try:
            found = self._decoder.feed(data)
        except EventTooLargeError as error:
            raise CerebrasProtocolError(
                f"What comes is no stream of events: {error}."
            ) from None
        if any(found) or self._decoder.is_inside_data:
            self.answer.progressed()
        return found

    def _judged(self, found: list[bytes]) -> list[Reply]:
        events: list[Reply] = []
        for data in found:
            try:
                event = from_json(data)
                finish = event["choices"][0].get("finish_reason")
                is_plain = type(data) is bytes and not event.get("error")
            except (ValueError, KeyError, IndexError, TypeError, AttributeError):
                is_plain = False
            if is_plain:
                events.append(event)
                if finish:
                    self._finish()
            elif data and data != _DONE:
                try:
                    events.append(self._odd(data))
                except CerebrasError as error:
                    self._fail(error)
                    break
        return events

    def _odd(self, data: bytes) -> Reply:
        """An event without a choice: a usage, an error or nonsense."""
        body = self._judge.to_json_or_text(data)
        if _error_mapping.is_error(body) or isinstance(data, ErrorData):
            raise self._judge.error(self.answer, body)
        if not (isinstance(body, dict) and _is_json(data)) or body.get("choices"):
            raise self._judge.unexpected(self.answer, body)
        return cast("Reply", {**from_json(data), "choices": []})

    def _rest(self) -> list[Reply]:
        """The last event, where no blank line ended it; without a finish, the cut."""
        self._is_over = True
        whole = [data for data in self._decoder.close() if _is_json(data)]
        events = self._judged(whole)
        if not self._is_finished:
            self._fail(CerebrasConnectionError(_CUT))
        return events

    def _finish(self) -> None:
        if not self._is_finished:
            self._is_finished = True
            self.answer.allow(_AFTER_FINISH)

    def _fail(self, error: CerebrasError) -> None:
        """Keep the error until what came before it has been read."""
        self._is_over = True
        if self._failure is None and not self._is_finished:
            self._failure = _with_origin(self.answer, error)


def says_something(event: Reply) -> bool:
    """Whether an event holds more than the role that opens a stream."""
    if not event["choices"]:
        return "usage" in event
    choice = event["choices"][0]
    delta = choice.get("delta")
    if not isinstance(delta, dict) or any(map(choice.get, _SAYING)):
        return True
    return any(value for name, value in delta.items() if name != "role")


def _is_json(data: bytes) -> bool:
    try:
        from_json(data)
    except ValueError:
        return False
    return True


def _with_origin(answer: Answer, error: CerebrasError) -> CerebrasError:
    """An error that came after the headers says which answer it ended."""
    error.status = error.status or answer.status
    error.request_id = error.request_id or _error_mapping.request_id(answer.headers)
    return error
