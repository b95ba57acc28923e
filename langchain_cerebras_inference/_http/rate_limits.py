"""An answer's headers → how long to wait before the next request; pure.

Cerebras' answers name limits and what remains of them, and since 2026 no time of reset.
The buckets refill continuously, so a limit of N a minute has room for one more after
60 / N seconds. Source: https://inference-docs.cerebras.ai/support/rate-limits
"""

from __future__ import annotations

import datetime
import math
import random
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FIRST_BACKOFF = 0.5
_MOST_DOUBLINGS = 4
_QUOTA_BACKOFF = (5.0, 15.0, 30.0)
_RESET = "x-ratelimit-reset-"
_QUOTA_CODES = frozenset({"request_quota_exceeded", "token_quota_exceeded"})


def asked_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds the server asks to wait, or `None` where it asks for nothing.

    Args:
        headers: The answer's headers, looked up without regard to case.
        now: The current Unix time, for a `Retry-After` that is a date.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    after = headers.get("retry-after")
    return None if after is None else _seconds_or_date(after, now)


def quota_wait(
    headers: Mapping[str, str], code: str | None, reserves: Callable[[], int]
) -> float | None:
    """Seconds after which a quota has room again: at its reset, else as its limit implies.

    Args:
        headers: The headers of a 429.
        code: The server's word for which quota it was.
        reserves: Counts what the request reserves: its prompt and longest completion.
    """
    until_reset = _reset_wait(headers, code)
    return _implied_wait(headers, code, reserves) if until_reset is None else until_reset


def _implied_wait(
    headers: Mapping[str, str], code: str | None, reserves: Callable[[], int]
) -> float | None:
    if code == "token_quota_exceeded":
        limit = _number(headers.get("x-ratelimit-limit-tokens-minute"))
        return reserves() * 60 / limit if limit else None
    if code == "request_quota_exceeded":
        limit = _number(headers.get("x-ratelimit-limit-requests-minute"))
        return 60 / limit if limit else None
    return None


def backoff(attempt: int, code: str | None) -> float:
    """Seconds to wait where nothing says how long; `attempt` counts from 1."""
    if code in _QUOTA_CODES:
        return _QUOTA_BACKOFF[min(attempt, len(_QUOTA_BACKOFF)) - 1]
    longest = _FIRST_BACKOFF * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)
    return longest * (1 - random.random() / 4)  # noqa: S311 # spreads clients, no secret


def is_long_quota_spent(headers: Mapping[str, str]) -> bool:
    """Whether the headers say that a quota of an hour or a day is used up."""
    return any(
        _number(headers.get(f"x-ratelimit-remaining-{what}-{period}")) == 0
        for what in ("requests", "tokens")
        for period in ("hour", "day")
    )


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """What `x-should-retry` orders; `None` where it is not sent."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").lower())


def _reset_wait(headers: Mapping[str, str], code: str | None) -> float | None:
    """The reset of a bucket that is empty; of any, where a quota has no such."""
    resets = {
        name[len(_RESET) :]: seconds
        for name, value in ((key.lower(), value) for key, value in headers.items())
        if name.startswith(_RESET) and (seconds := _number(value)) is not None
    }
    empty = [
        seconds
        for bucket, seconds in resets.items()
        if _number(headers.get(f"x-ratelimit-remaining-{bucket}")) == 0
    ]
    if empty:
        return max(empty)
    # A full queue is none: it may pass long before any bucket's reset.
    return min(resets.values(), default=None) if code in _QUOTA_CODES else None


def _seconds_or_date(value: str, now: float) -> float | None:
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # of "Mon, 01 Jan 99999999999999 00:00:00 GMT"
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, date.timestamp() - now)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
