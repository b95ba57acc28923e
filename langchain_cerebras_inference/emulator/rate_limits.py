"""Quotas: how many requests and tokens a client may use, and the headers that say so.

Source: https://inference-docs.cerebras.ai/support/rate-limits
"""

import asyncio
import math
from dataclasses import dataclass
from typing import NamedTuple

from langchain_cerebras_inference.emulator.errors import Refuse, RequestError
from langchain_cerebras_inference.emulator.request_log import Request

PERIOD_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}

# The headers show these limits where no quota is set. Cerebras also has a quota per second,
# which no recorded header shows.
_RECORDED_LIMITS = {
    "requests": {"minute": 1_000, "hour": 60_000, "day": 1_440_000},
    "tokens": {"minute": 1_000_000, "hour": 60_000_000, "day": 2_000_000_000},
}
_CODES = {"requests": "request_quota_exceeded", "tokens": "token_quota_exceeded"}


class QuotaName(NamedTuple):
    """The name of a quota, for example `("requests", "minute")`."""

    unit: str
    """`requests` or `tokens`."""
    period: str
    """`second`, `minute`, `hour` or `day`."""


class Bucket:
    """What remains of one quota: a token bucket that is refilled continuously."""

    def __init__(self, limit: float, capacity: float, refill_rate: float, now: float) -> None:
        """Create a full bucket.

        Args:
            limit: The quota, as a header shows it.
            capacity: How much the bucket holds.
            refill_rate: How much is added per second.
            now: The time, in seconds.
        """
        self.limit = limit
        self.level = capacity
        self._capacity = capacity
        self._refill_rate = refill_rate
        self._refilled_at = now

    def refill(self, now: float) -> None:
        """Add what has accrued since the last time."""
        self.add((now - self._refilled_at) * self._refill_rate)
        self._refilled_at = now

    def add(self, amount: float) -> None:
        """Add some amount; what the bucket cannot hold is lost."""
        self.level = min(self._capacity, self.level + amount)


@dataclass(frozen=True, kw_only=True)
class QuotaSettings:
    """The quotas of an emulator; `Emulator` describes the fields.

    Raises:
        ValueError: if a number is out of range, or a burst is given without its quota.
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
            "requests_per_minute requests_per_hour requests_per_day tokens_per_minute "
            "tokens_per_hour tokens_per_day burst token_burst"
        ).split():
            value = getattr(self, name)
            if value is not None and not 1 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number of at least 1, not {value}.")
        if self.burst is not None and self.requests_per_minute is None:
            raise ValueError("burst needs requests_per_minute: set both, or neither.")
        if self.token_burst is not None and self.tokens_per_minute is None:
            raise ValueError("token_burst needs tokens_per_minute: set both, or neither.")

    def create_buckets(self, now: float) -> dict[QuotaName, Bucket]:
        """Create a full bucket for each quota that is set."""
        limits: dict[QuotaName, float | None] = {
            QuotaName("requests", "second"): self.requests_per_second,
            QuotaName("requests", "minute"): self.requests_per_minute,
            QuotaName("tokens", "minute"): self.tokens_per_minute,
            QuotaName("requests", "hour"): self.requests_per_hour,
            QuotaName("tokens", "hour"): self.tokens_per_hour,
            QuotaName("requests", "day"): self.requests_per_day,
            QuotaName("tokens", "day"): self.tokens_per_day,
        }
        bursts: dict[QuotaName, float | None] = {
            # A bucket that holds less than one request would reject all of them.
            QuotaName("requests", "second"): max(1, self.requests_per_second or 0),
            QuotaName("requests", "minute"): self.burst,
            QuotaName("tokens", "minute"): self.token_burst,
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
    """Enforces quotas; each API key has buckets of its own for each model.

    It runs on the emulator's event loop only, which gives it the time.
    """

    def __init__(self, settings: QuotaSettings) -> None:
        """Start with full buckets."""
        self._settings = settings
        self._buckets: dict[tuple[str | None, str | None], dict[QuotaName, Bucket]] = {}
        self._reserved_tokens: dict[Request, int] = {}

    def reserve(self, request: Request, tokens: int) -> None:
        """Take one request and some tokens from the buckets; from all of them, or from none.

        Raises:
            RequestError: if a bucket has less than that: status 429, as recorded.
        """
        buckets = self._refill_buckets(request)
        amounts = {"requests": 1, "tokens": tokens}
        for name, bucket in buckets.items():
            if bucket.level < amounts[name.unit]:
                headers = self.build_headers(request)
                raise RequestError(_build_quota_error(name, headers))
        for name, bucket in buckets.items():
            bucket.level -= amounts[name.unit]
        if self._settings.refund_unused_tokens:
            self._reserved_tokens[request] = tokens

    def refund(self, request: Request) -> None:
        """Give back the tokens that a request reserved and did not use, if that is set."""
        unused = self._reserved_tokens.pop(request, 0) - (request.tokens or 0)
        if unused > 0:
            for name, bucket in self._refill_buckets(request).items():
                if name.unit == "tokens":
                    bucket.add(unused)

    def build_headers(self, request: Request, error: Refuse | None = None) -> dict[str, str]:
        """Build the rate-limit headers of a response.

        As in recorded responses of 2026, there is neither a reset header nor `Retry-After`.

        Args:
            request: The request, whose API key and model have these quotas.
            error: A scripted error response of status 429: nothing remains of the limit that
                its message names.
        """
        buckets = self._refill_buckets(request)
        message = error.error()["message"].lower() if error else ""
        headers = {}
        for unit, recorded_limits in _RECORDED_LIMITS.items():
            for period, recorded_limit in recorded_limits.items():
                bucket = buckets.get(QuotaName(unit, period))
                limit = bucket.limit if bucket else recorded_limit
                remaining = bucket.level if bucket else recorded_limit
                if f"{unit} per {period} " in message:
                    remaining = 0
                headers[f"x-ratelimit-limit-{unit}-{period}"] = str(int(limit))
                headers[f"x-ratelimit-remaining-{unit}-{period}"] = str(int(remaining))
        return headers

    def _refill_buckets(self, request: Request) -> dict[QuotaName, Bucket]:
        """Return the buckets of the request's API key and model, refilled up to now."""
        now = asyncio.get_running_loop().time()
        owner = (request.bearer, request.model)
        if owner not in self._buckets:
            self._buckets[owner] = self._settings.create_buckets(now)
        buckets = self._buckets[owner]
        for bucket in buckets.values():
            bucket.refill(now)
        return buckets


def _build_quota_error(name: QuotaName, headers: dict[str, str]) -> Refuse:
    """Build the error response of an exceeded quota; its message names the period."""
    code = _CODES[name.unit]
    message: str = Refuse(429, code).error()["message"]
    message = message.replace("minute", name.period)
    return Refuse(429, code, message, headers=headers)
