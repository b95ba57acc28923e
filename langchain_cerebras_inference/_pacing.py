"""Make a call wait for its quota, and report its responses to the quota."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from langchain_cerebras_inference._http import rate_limits
from langchain_cerebras_inference._quota.queue import Ticket, take_arrival_number
from langchain_cerebras_inference._quota.registry import get_quota
from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasRateLimitError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_cerebras_inference._quota.queue import Permit, Quota
    from langchain_cerebras_inference._types import RequestBody

_MAX_RESERVED_COMPLETION = 16_384
"""The maximum number of tokens that the server reserves for a completion, as reported by
users of the API."""

_BYTES_PER_TOKEN = 4
_TOKENS_PER_IMAGE = 2_304
"""The maximum number of tokens of one image."""

_MIN_LONG_LIMIT_PAUSE = 60.0
_MAX_LONG_LIMIT_PAUSE = 900.0
"""The first and the longest pause, in seconds, after a limit per hour or per day is reached."""

_REJECTIONS_BEFORE_BACKOFF = 2

_MAX_PAUSE = 86_400.0
"""Seconds; a longer Retry-After is probably a mistake, such as a Unix time."""


class PacedCall:
    """A call that waits while its quota is exhausted, and reports each response to the quota.

    Args:
        pace: `True` waits as long as it takes, and `"auto"` for a limited time.
        max_wait: The longest time in the queue with `"auto"`, in seconds.
        can_wait: Whether the call may wait at all.
        store_url: The URL of a store that several processes share, or `None`.

    Attributes:
        rejection: The last error with which the server rejected a request because of the quota.
        waited: The seconds that the call has spent in the queue.
    """

    rejection: CerebrasError | None = None
    _quota: Quota
    _body: RequestBody
    _body_size: int
    _ticket: Ticket | None = None
    _permit: Permit | None = None
    _rejections = 0

    def __init__(
        self,
        *,
        pace: Literal["auto", True],
        max_wait: float,
        can_wait: bool,
        store_url: str | None,
    ) -> None:
        self._arrival = take_arrival_number()
        self._has_unlimited_wait = pace is True
        self._max_wait = max_wait
        self._can_wait = can_wait
        self._store_url = store_url

    @property
    def waited(self) -> float:
        return self._ticket.waited if self._ticket is not None else 0.0

    def try_acquire(
        self, base_url: str, headers: Mapping[str, str], body: RequestBody, size: int
    ) -> bool:
        """Find the quota of a request, and return whether the request may be sent at once.

        If not, the call has to `wait`.

        Args:
            base_url: The URL of the API.
            headers: The request headers; the quota belongs to their `Authorization`.
            body: The request body.
            size: The number of bytes of the body as JSON.
        """
        self._body, self._body_size = body, size
        self._permit = None
        self._quota = find_quota(base_url, headers, str(body["model"]), self._store_url)
        if self._has_unlimited_wait:
            return False
        # An upper bound of `_estimate_tokens`, without a look at the messages.
        tokens = size // _BYTES_PER_TOKEN + _get_reserved_completion(body)
        self._permit = self._quota.try_acquire(tokens, self._ticket)
        return self._permit is not None

    async def wait(self) -> None:
        """Wait until the quota allows the request of the last `try_acquire`.

        Raises:
            NotSentError: If the call would wait for too long.
            CerebrasConnectionError: If a shared store does not work.
        """
        self._permit = await self._quota.acquire(self._get_ticket())

    def report_handled(self, headers: Mapping[str, str]) -> None:
        """Report that the server handled the request, or that this is unknown."""
        if self._permit is not None:
            self._quota.report_handled(self._permit, headers)

    def report_unsent(self) -> None:
        """Report that the request was not sent, or that the server did not get it."""
        if self._permit is not None:
            self._quota.report_unsent(self._permit)
            self._permit = None

    def forget_permit(self) -> None:
        """Forget the permit of the last attempt, whose outcome was reported."""
        self._permit = None

    def report_error(self, error: CerebrasError, headers: Mapping[str, str]) -> bool:
        """Report an error of the request, also one in a stream.

        Args:
            error: The error.
            headers: The response headers, with lower-case names; empty without a response.

        Returns:
            Whether the server rejected the request because of the quota.
        """
        if self._permit is None:
            return False
        if _is_quota_error(error):
            self.rejection = error
            self._rejections += 1
            pause = _compute_pause(error, headers, self._rejections)
            self._permit.ticket = self._get_ticket()
            self._quota.report_rejected(self._permit, headers, error.code, pause)
        elif error.code == "queue_exceeded" or (
            isinstance(error, CerebrasConnectionError) and error.status is None
        ):
            self.report_unsent()
        else:
            self.report_handled(headers)
        return _is_quota_error(error)

    def can_queue_again(self, error: CerebrasError, headers: Mapping[str, str]) -> bool:
        """Return whether the call may return to the queue after a rejection by the quota."""
        if not self._can_wait:
            return False
        if self._has_unlimited_wait:  # it also waits for a limit per day
            return rate_limits.get_should_retry(headers) is not False
        return error.is_retryable

    def log_rejection(self, error: CerebrasError) -> None:
        """Log that the call waits again, at most once a second for all calls of the quota."""
        self._quota.log_rejection(error)

    def _get_ticket(self) -> Ticket:
        """Return the ticket of the call, which is created when it is first needed."""
        if self._ticket is None:
            prompt, completion = _estimate_tokens(self._body, self._body_size)
            is_completion_limited = _get_completion_limit(self._body) is not None
            self._ticket = Ticket(
                tokens=prompt + completion,
                # The estimate of the prompt may be twice too high.
                min_tokens=prompt // 2 + (completion if is_completion_limited else 0),
                has_unlimited_wait=self._has_unlimited_wait,
                can_wait=self._can_wait,
                max_wait=self._max_wait,
                arrival=self._arrival,
            )
        return self._ticket


def find_quota(
    base_url: str, headers: Mapping[str, str], model: str, store_url: str | None
) -> Quota:
    """Return the quota of the requests with these headers for a model."""
    authorization = headers.get("Authorization") or _find_authorization(headers)
    return get_quota(_get_origin(base_url), authorization, model, store_url)


def _is_quota_error(error: CerebrasError) -> bool:
    """Return whether the server rejected a request because a quota is exhausted."""
    is_rejection = isinstance(error, CerebrasRateLimitError) and error.status == 429
    return is_rejection and error.code != "queue_exceeded"


def count_reserved_tokens(body: RequestBody, size: int) -> int:
    """Estimate the tokens that the server reserves for the prompt and the completion."""
    return sum(_estimate_tokens(body, size))


def _estimate_tokens(body: RequestBody, size: int) -> tuple[int, int]:
    """Estimate the tokens of the prompt, and those that are reserved for the completion."""
    images = 0
    messages: Any = body["messages"]  # `extra_body` can put any type there
    for message in messages if isinstance(messages, list) else ():
        content: Any = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") == "image_url":
                images += 1
                image = part.get("image_url")
                size -= len(image["url"]) if isinstance(image, dict) and "url" in image else 0
    prompt = size // _BYTES_PER_TOKEN + images * _TOKENS_PER_IMAGE
    return prompt, _get_reserved_completion(body)


def _get_reserved_completion(body: RequestBody) -> int:
    limit = _get_completion_limit(body)
    return _MAX_RESERVED_COMPLETION if limit is None else min(limit, _MAX_RESERVED_COMPLETION)


def _get_completion_limit(body: RequestBody) -> int | None:
    limit: Any = body.get("max_completion_tokens")  # -1 means no limit
    return limit if isinstance(limit, int) and limit >= 0 else None


def _find_authorization(headers: Mapping[str, str]) -> str:
    """Return the value of the header, which may have another case if a user has set it."""
    values = (headers[name] for name in headers if name.lower() == "authorization")
    return next(values, "")


@cache
def _get_origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _compute_pause(
    error: CerebrasError, headers: Mapping[str, str], rejections: int
) -> float | None:
    """Return the seconds during which no request of the quota may be sent, or `None`.

    The first of these that is known:

    1. what `Retry-After` says;
    2. the time until the reset of an exhausted limit;
    3. for a limit per hour or day that only the message names: one minute or more;
    4. nothing, if the headers contain the limits, because these say when to send a request;
    5. a backoff.

    After several rejections of a call, the pause is at least a backoff.
    """
    pause = rate_limits.get_retry_after(headers, time.time())
    if pause is None:
        pause = rate_limits.get_reset_wait(headers, error.code)
    if pause is None and not error.is_retryable:
        if not rate_limits.is_long_limit_reached(headers):
            seconds = _MIN_LONG_LIMIT_PAUSE * 2.0 ** min(rejections - 1, 9)
            pause = rate_limits.add_jitter(min(seconds, _MAX_LONG_LIMIT_PAUSE))
    elif pause is None and not rate_limits.parse_limits(headers):
        pause = rate_limits.add_jitter(rate_limits.compute_backoff(rejections, error.code))
    if rejections > _REJECTIONS_BEFORE_BACKOFF:
        backoff = rate_limits.compute_backoff(rejections - _REJECTIONS_BEFORE_BACKOFF, None)
        pause = max(pause or 0.0, backoff)
    return None if pause is None else min(pause, _MAX_PAUSE)
