"""Find limits and waits in the headers of a response, and compute backoffs.

The responses of Cerebras contain limits and remaining amounts, but since 2026 no reset times.
The server refills a limit continuously: with a limit of N requests per minute, it allows
another request after 60 / N seconds. Source: https://inference-docs.cerebras.ai/support/rate-limits
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
_MAX_DOUBLINGS = 4
_QUOTA_BACKOFFS = (5.0, 15.0, 30.0)
_RESET_PREFIX = "x-ratelimit-reset-"
_QUOTA_CODES = frozenset({"request_quota_exceeded", "token_quota_exceeded"})
_MAX_JITTER = 0.25
_MIN_LIMIT = 1e-3
_MAX_RETRY_AFTER = 1e9
_PERIODS = {"minute": 60, "hour": 3_600, "day": 86_400}
_HEADERS_OF_LIMITS = tuple(
    (
        f"{unit}-{period}",
        f"x-ratelimit-limit-{unit}-{period}",
        f"x-ratelimit-remaining-{unit}-{period}",
    )
    for unit in ("requests", "tokens")
    for period in _PERIODS
)
"""For each limit: its name, the header with its limit, the header with its remaining amount."""


def get_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the server asks to wait, or `None` if it does not.

    Args:
        headers: The response headers, with case-insensitive lookup.
        now: The current Unix time, for a `Retry-After` that is a date.
    """
    milliseconds = _parse_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, _MAX_RETRY_AFTER)
    retry_after = headers.get("retry-after")
    seconds = None if retry_after is None else _parse_seconds_or_date(retry_after, now)
    return None if seconds is None else min(seconds, _MAX_RETRY_AFTER)


def has_limits(headers: Mapping[str, str]) -> bool:
    """Return whether the headers show any limit.

    Args:
        headers: The response headers, with lower-case names.
    """
    # Much faster than a loop or a set operation, and this runs for each response.
    return (
        "x-ratelimit-limit-tokens-minute" in headers
        or "x-ratelimit-limit-requests-minute" in headers
        or "x-ratelimit-limit-requests-day" in headers
        or "x-ratelimit-limit-tokens-day" in headers
        or "x-ratelimit-limit-requests-hour" in headers
        or "x-ratelimit-limit-tokens-hour" in headers
    )


def parse_limits(headers: Mapping[str, str]) -> dict[str, tuple[float, float | None]]:
    """Return the limits in the headers.

    In 2025 there were two limits, `requests-day` and `tokens-minute`; since 2026 there is one
    for each unit (requests, tokens) and period (minute, hour, day).

    Args:
        headers: The response headers, with lower-case names.

    Returns:
        For each limit, by its name: (limit, remaining amount). A remaining amount that is
        missing or is not a number is `None`.
    """
    limits: dict[str, tuple[float, float | None]] = {}
    for name, limit_header, remaining_header in _HEADERS_OF_LIMITS:
        limit_text = headers.get(limit_header)
        if limit_text is None:
            continue
        remaining_text = headers.get(remaining_header, "")
        try:  # faster than `_parse_number`, because this runs for each response
            limit, remaining = float(limit_text), float(remaining_text)
        except ValueError:
            limit, remaining = _parse_number(limit_text) or 0.0, -1.0
        if _MIN_LIMIT <= limit < math.inf:
            limits[name] = limit, remaining if 0 <= remaining < math.inf else None
    return limits


def get_reset_wait(headers: Mapping[str, str], code: str | None) -> float | None:
    """Return the seconds until the reset of a limit that is reached, or `None`.

    If several limits are reached, the latest reset counts. If none is reached, but the code
    names one, the earliest reset counts.
    """
    resets = {
        name.lower().removeprefix(_RESET_PREFIX): seconds
        for name, value in headers.items()
        if name.lower().startswith(_RESET_PREFIX)
        and (seconds := _parse_number(value)) is not None
    }
    resets_of_reached_limits = [
        seconds
        for limit, seconds in resets.items()
        if _parse_number(headers.get(f"x-ratelimit-remaining-{limit}")) == 0
    ]
    if resets_of_reached_limits:
        return max(resets_of_reached_limits)
    # If only the server's queue is full, the queue may become shorter long before a reset.
    return min(resets.values(), default=None) if code in _QUOTA_CODES else None


def estimate_quota_wait(
    headers: Mapping[str, str], code: str | None, count_reserved_tokens: Callable[[], int]
) -> float | None:
    """Return the seconds until the quota allows the request, from its reset or its limit.

    Args:
        headers: The headers of a response with status 429.
        code: The error code, which names the unit of the limit that is reached.
        count_reserved_tokens: Counts the tokens that the server reserves for the request:
            its prompt and its longest completion.
    """
    wait = get_reset_wait(headers, code)
    if wait is not None:
        return wait
    if code not in _QUOTA_CODES:
        return None
    unit = "tokens" if code == "token_quota_exceeded" else "requests"
    need = count_reserved_tokens() if unit == "tokens" else 1
    waits = []
    for period, seconds in _PERIODS.items():
        limit = _parse_number(headers.get(f"x-ratelimit-limit-{unit}-{period}"))
        remaining = _parse_number(headers.get(f"x-ratelimit-remaining-{unit}-{period}"))
        # A limit per minute counts even if something remains, because the request may need
        # more tokens than that. A longer limit counts only if nothing remains: its long wait
        # would otherwise replace the wait for the minute.
        if limit and limit >= _MIN_LIMIT and (period == "minute" or remaining == 0):
            waits.append(need * seconds / limit)
    return max(waits, default=None)


def compute_backoff(retry: int, code: str | None) -> float:
    """Return the seconds before a retry for which the server states no wait.

    After a rejection because of a quota they are fixed, and otherwise random.

    Args:
        retry: The number of the retry; 1 is the first.
        code: The error code, which says whether a limit was reached.
    """
    if code in _QUOTA_CODES:
        return _QUOTA_BACKOFFS[min(retry, len(_QUOTA_BACKOFFS)) - 1]
    longest = _FIRST_BACKOFF * 2.0 ** min(retry - 1, _MAX_DOUBLINGS)
    return longest * (1 - random.random() / 4)  # noqa: S311 # jitter needs no secrecy


def add_jitter(seconds: float) -> float:
    """Return a slightly longer time, so that calls do not end their waits together."""
    return seconds * (1 + _MAX_JITTER * random.random())  # noqa: S311 # needs no secrecy


def is_long_limit_reached(headers: Mapping[str, str]) -> bool:
    """Return whether a limit per hour or per day is reached."""
    return any(
        _parse_number(headers.get(f"x-ratelimit-remaining-{unit}-{period}")) == 0
        for unit in ("requests", "tokens")
        for period in ("hour", "day")
    )


def get_should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return the value of `x-should-retry`, or `None` if it is not sent."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").lower())


def _parse_seconds_or_date(value: str, now: float) -> float | None:
    seconds = _parse_number(value)
    if seconds is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # such as "Mon, 01 Jan 99999999999999 00:00:00 GMT"
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, date.timestamp() - now)


def _parse_number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
