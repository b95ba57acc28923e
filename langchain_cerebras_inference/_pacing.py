"""Make a call wait for its quota, and report its responses to the quota."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from langchain_cerebras_inference._http import rate_limits
from langchain_cerebras_inference._quota.queue import Ticket, take_arrival_number
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

_SERVER_QUEUE_FULL = "queue_exceeded"
"""The code of an error that says nothing about the quota: the server had no capacity."""

_REJECTIONS_BEFORE_BACKOFF = 2

_MAX_PAUSE = 86_400.0
"""Seconds; a longer Retry-After is probably a mistake, such as a Unix time."""


class PacedCall:
    """The ticket and the rejections of a call, from its first wait or its first error on.

    Args:
        body: The request body.
        body_size: The number of bytes of the body as JSON.
        has_unlimited_wait: Whether the call waits as long as it takes (`pace=True`).
        max_wait: The longest time in the queue otherwise, in seconds.
        can_wait: Whether the call may wait at all.
        permit: The permission for the first request, if it was sent without a wait.

    Attributes:
        rejection: The last error with which the server rejected a request because of the quota.
    """

    rejection: CerebrasError | None = None
    _rejection_count = 0

    def __init__(
        self,
        body: RequestBody,
        body_size: int,
        *,
        has_unlimited_wait: bool,
        max_wait: float,
        can_wait: bool,
        permit: Permit | None,
    ) -> None:
        prompt, completion = _estimate_tokens(body, body_size)
        is_completion_limited = _get_completion_limit(body) < sys.maxsize
        self._ticket = Ticket(
            tokens=prompt + completion,
            # The prompt may need only half of its estimate.
            min_tokens=prompt // 2 + (completion if is_completion_limited else 0),
            has_unlimited_wait=has_unlimited_wait,
            can_wait=can_wait,
            max_wait=max_wait,
            arrival=take_arrival_number() if permit is None else permit.arrival,
        )

    @property
    def waited(self) -> float:
        """The seconds that the call has spent in the queue."""
        return self._ticket.waited

    async def wait(self, quota: Quota) -> Permit:
        """Wait until the quota allows the request.

        Raises:
            NotSentError: If the call would wait for too long.
            CerebrasConnectionError: If a shared store does not work.
        """
        return await quota.acquire(self._ticket)

    def report_error(
        self, permit: Permit, error: CerebrasError, headers: Mapping[str, str]
    ) -> bool:
        """Report an error of a request to its quota, also one in a stream.

        Args:
            permit: The permission for the request.
            error: The error.
            headers: The response headers, with lower-case names; empty without a response.

        Returns:
            Whether the server rejected the request because of the quota.
        """
        is_rejected = _is_quota_error(error)
        if is_rejected:
            self.rejection = error
            self._rejection_count += 1
            pause = _compute_pause(error, headers, self._rejection_count)
            permit.ticket = self._ticket  # `report_rejected` counts the rejection in it
            permit.quota.report_rejected(permit, headers, error.code, pause)
        elif error.code == _SERVER_QUEUE_FULL or (
            isinstance(error, CerebrasConnectionError) and error.status is None
        ):
            permit.quota.report_unsent(permit)
        else:
            permit.quota.report_handled(permit, headers)
        return is_rejected

    def can_queue_again(self, error: CerebrasError, headers: Mapping[str, str]) -> bool:
        """Return whether the call may return to the queue after a rejection by the quota."""
        if not self._ticket.can_wait:
            return False
        if self._ticket.has_unlimited_wait:  # it also waits for a limit per day
            return rate_limits.get_should_retry(headers) is not False
        return error.is_retryable


def _is_quota_error(error: CerebrasError) -> bool:
    """Return whether the server rejected a request because a quota is exhausted."""
    is_rejection = isinstance(error, CerebrasRateLimitError) and error.status == 429
    return is_rejection and error.code != _SERVER_QUEUE_FULL


def count_reserved_tokens(body: RequestBody, size: int) -> int:
    """Estimate the tokens that the server reserves for the prompt and the completion."""
    return sum(_estimate_tokens(body, size))


def estimate_tokens_from_size(body: RequestBody, size: int) -> int:
    """Estimate the tokens quickly, without a look at the messages.

    The result is the sum of `_estimate_tokens` or more, except with images of less than 9 KB.
    """
    if "max_completion_tokens" not in body:
        return size // _BYTES_PER_TOKEN + _MAX_RESERVED_COMPLETION
    completion = min(_get_completion_limit(body), _MAX_RESERVED_COMPLETION)
    return size // _BYTES_PER_TOKEN + completion


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
                url = image.get("url") if isinstance(image, dict) else None
                size -= len(url) if isinstance(url, str) else 0
    prompt = size // _BYTES_PER_TOKEN + images * _TOKENS_PER_IMAGE
    return prompt, min(_get_completion_limit(body), _MAX_RESERVED_COMPLETION)


def _get_completion_limit(body: RequestBody) -> int:
    limit: Any = body.get("max_completion_tokens")  # -1 means no limit
    return limit if isinstance(limit, int) and limit >= 0 else sys.maxsize


def _compute_pause(
    error: CerebrasError, headers: Mapping[str, str], rejections: int
) -> float | None:
    """Return the seconds during which no request of the quota may be sent, or `None`.

    After several rejections of a call, the pause is at least a backoff.
    """
    pause = _choose_pause(error, headers, rejections)
    if rejections > _REJECTIONS_BEFORE_BACKOFF:
        backoff = rate_limits.compute_backoff(rejections - _REJECTIONS_BEFORE_BACKOFF, None)
        pause = max(pause or 0.0, backoff)
    return None if pause is None else min(pause, _MAX_PAUSE)


def _choose_pause(
    error: CerebrasError, headers: Mapping[str, str], rejections: int
) -> float | None:
    """Return the first of these that is known.

    1. what `Retry-After` says;
    2. the time until the reset of an exhausted limit;
    3. `None` if the buckets (see `_quota/state.py`) can determine when to send a request. They
       can if the headers show any limit. If the error is about a limit per hour or day, the
       headers must show that nothing of such a limit remains;
    4. for a limit per hour or day that only the message names: one minute or more;
    5. a backoff.
    """
    pause = rate_limits.get_retry_after(headers, time.time())
    if pause is None:
        pause = rate_limits.get_reset_wait(headers, error.code)
    if pause is not None:
        return pause
    # A 429 that is not retryable is about such a limit, or has `x-should-retry: false`.
    is_long_limit = not error.is_retryable
    if is_long_limit:
        if rate_limits.is_long_limit_reached(headers):
            return None
        seconds = _MIN_LONG_LIMIT_PAUSE * 2.0 ** min(rejections - 1, 9)
        return rate_limits.add_jitter(min(seconds, _MAX_LONG_LIMIT_PAUSE))
    if rate_limits.parse_limits(headers):
        return None
    return rate_limits.add_jitter(rate_limits.compute_backoff(rejections, error.code))
