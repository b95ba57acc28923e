"""Limits of requests and tokens, and the rate-limit headers of a response.

All limits of one API key and one model together are a quota.

Source: https://inference-docs.cerebras.ai/support/rate-limits
"""

import asyncio
import math
from dataclasses import dataclass
from typing import NamedTuple

from langchain_cerebras_inference.emulator.errors import Refuse, RequestError
from langchain_cerebras_inference.emulator.received_requests import Request

PERIOD_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}

# If a limit is not set, the headers show the recorded one. Cerebras also has a limit per
# second, but no recorded header shows it.
_RECORDED_LIMITS = {
    "requests": {"minute": 1_000, "hour": 60_000, "day": 1_440_000},
    "tokens": {"minute": 1_000_000, "hour": 60_000_000, "day": 2_000_000_000},
}
_CODES = {"requests": "request_quota_exceeded", "tokens": "token_quota_exceeded"}


class LimitName(NamedTuple):
    """The name of a limit, for example `("requests", "minute")`."""

    unit: str
    """`requests` or `tokens`."""
    period: str
    """`second`, `minute`, `hour` or `day`."""


class Bucket:
    """The remaining amount of one limit, which is refilled continuously."""

    def __init__(self, limit: float, capacity: float, refill_rate: float, now: float) -> None:
        """Create a full bucket.

        Args:
            limit: The limit that a header shows.
            capacity: The greatest amount that the bucket can hold.
            refill_rate: How much is added per second.
            now: The time, in seconds.
        """
        self.limit = limit
        self.level = capacity
        self._capacity = capacity
        self._refill_rate = refill_rate
        self._refilled_at = now

    def refill(self, now: float) -> None:
        """Add the refill for the time since the last refill."""
        self.add((now - self._refilled_at) * self._refill_rate)
        self._refilled_at = now

    def add(self, amount: float) -> None:
        """Add an amount. Anything above the capacity is lost."""
        self.level = min(self._capacity, self.level + amount)


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """The limits of an emulator. `Emulator` documents the fields.

    Raises:
        ValueError: If a number is out of range, or a burst is given without its limit.
    """

    requests_per_second: float | None = None
    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_hour: int | None = None
    tokens_per_day: int | None = None
    burst: int | None = None
    token_burst: int | None = None
    refund_unused_tokens: bool = False
    used_by_others: float = 0

    def __post_init__(self) -> None:
        if not 0 <= self.used_by_others < 1:
            raise ValueError(
                f"used_by_others must be at least 0 and less than 1, not {self.used_by_others}."
            )
        rate = self.requests_per_second
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(f"requests_per_second must be positive and finite, not {rate}.")
        for name in (
            "requests_per_minute",
            "requests_per_hour",
            "requests_per_day",
            "tokens_per_minute",
            "tokens_per_hour",
            "tokens_per_day",
            "burst",
            "token_burst",
        ):
            value = getattr(self, name)
            if value is not None and not 1 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number of at least 1, not {value}.")
        if self.burst is not None and self.requests_per_minute is None:
            raise ValueError("burst needs requests_per_minute: set both, or neither.")
        if self.token_burst is not None and self.tokens_per_minute is None:
            raise ValueError("token_burst needs tokens_per_minute: set both, or neither.")

    def create_buckets(self, now: float) -> dict[LimitName, Bucket]:
        """Create a full bucket for each limit that is set."""
        limits: dict[LimitName, float | None] = {
            LimitName("requests", "second"): self.requests_per_second,
            LimitName("requests", "minute"): self.requests_per_minute,
            LimitName("tokens", "minute"): self.tokens_per_minute,
            LimitName("requests", "hour"): self.requests_per_hour,
            LimitName("tokens", "hour"): self.tokens_per_hour,
            LimitName("requests", "day"): self.requests_per_day,
            LimitName("tokens", "day"): self.tokens_per_day,
        }
        bursts: dict[LimitName, float | None] = {
            # A bucket that holds less than one request would reject all of them.
            LimitName("requests", "second"): max(1, self.requests_per_second or 0),
            LimitName("requests", "minute"): self.burst,
            LimitName("tokens", "minute"): self.token_burst,
        }
        buckets = {}
        for name, limit in limits.items():
            if limit is not None:
                burst = bursts.get(name)
                refill_rate = limit / PERIOD_SECONDS[name.period] * (1 - self.used_by_others)
                capacity = limit if burst is None else burst
                buckets[name] = Bucket(limit, capacity, refill_rate, now)
        return buckets


class RateLimiter:
    """Enforces the limits. Each API key has separate buckets for each model.

    It must run on the emulator's event loop, because it uses the time of that loop.
    """

    def __init__(self, settings: LimitSettings) -> None:
        """Start with full buckets."""
        self._settings = settings
        self._buckets: dict[tuple[str | None, str | None], dict[LimitName, Bucket]] = {}
        self._reserved_tokens: dict[Request, int] = {}

    def reserve(self, request: Request, tokens: int) -> None:
        """Take one request and some tokens from the buckets.

        If one bucket has too little, nothing is taken from any bucket.

        Raises:
            RequestError: If a bucket has too little. The status is 429.
        """
        buckets = self._refill_buckets(request)
        amounts = {"requests": 1, "tokens": tokens}
        for name, bucket in buckets.items():
            if bucket.level < amounts[name.unit]:
                headers = self.build_headers(request)
                raise RequestError(_build_limit_error(name, headers))
        for name, bucket in buckets.items():
            bucket.level -= amounts[name.unit]
        if self._settings.refund_unused_tokens:
            self._reserved_tokens[request] = tokens

    def refund(self, request: Request) -> None:
        """Return the tokens that a request reserved but did not use, if that is enabled."""
        unused = self._reserved_tokens.pop(request, 0) - (request.tokens or 0)
        if unused > 0:
            for name, bucket in self._refill_buckets(request).items():
                if name.unit == "tokens":
                    bucket.add(unused)

    def build_headers(
        self, request: Request, exceeded: LimitName | None = None
    ) -> dict[str, str]:
        """Build the rate-limit headers of a response.

        As in recorded responses of 2026, there is neither a reset header nor `Retry-After`.

        Args:
            request: The request. Its API key and model select the buckets.
            exceeded: A limit that a scripted error response reports as exceeded. Its
                remaining amount is shown as 0.
        """
        buckets = self._refill_buckets(request)
        headers = {}
        for unit, recorded_limits in _RECORDED_LIMITS.items():
            for period, recorded_limit in recorded_limits.items():
                name = LimitName(unit, period)
                bucket = buckets.get(name)
                limit = bucket.limit if bucket else recorded_limit
                remaining = bucket.level if bucket else recorded_limit
                if name == exceeded:
                    remaining = 0
                headers[f"x-ratelimit-limit-{unit}-{period}"] = str(int(limit))
                headers[f"x-ratelimit-remaining-{unit}-{period}"] = str(int(remaining))
        return headers

    def _refill_buckets(self, request: Request) -> dict[LimitName, Bucket]:
        """Refill the buckets of the request's API key and model, and return them."""
        now = asyncio.get_running_loop().time()
        owner = (request.bearer, request.model)
        if owner not in self._buckets:
            self._buckets[owner] = self._settings.create_buckets(now)
        buckets = self._buckets[owner]
        for bucket in buckets.values():
            bucket.refill(now)
        return buckets


def _build_limit_error(name: LimitName, headers: dict[str, str]) -> Refuse:
    """Build the error response for an exceeded limit."""
    code = _CODES[name.unit]
    minute_message: str = Refuse(429, code).build_error()["message"]
    message = minute_message.replace("minute", name.period)
    return Refuse(429, code, message, headers=headers)


def find_exceeded_limit(error: Refuse) -> LimitName | None:
    """Find the limit that the message of an error response names, such as `Tokens per day`."""
    message = error.build_error()["message"].lower()
    for unit, limits in _RECORDED_LIMITS.items():
        for period in limits:
            if f"{unit} per {period} " in message:
                return LimitName(unit, period)
    return None
