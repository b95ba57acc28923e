"""Requests without a reservation: those that are sent while the quota is ample.

A quota is ample while at least half of each limit remains. Then the arithmetic of `state` would
delay no request, so the requests are only counted. Once the quota is not ample any more, all
requests are reserved. While no limit is known, the window limits the requests in flight.

Requests and tokens are counted as `Totals`: how many there have been up to now.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from langchain_cerebras_inference._http import rate_limits
from langchain_cerebras_inference._quota.state import PERIODS, REQUESTS, TOKENS, Amounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_cerebras_inference._quota.queue import Permit
    from langchain_cerebras_inference._quota.state import Limits

Totals: TypeAlias = tuple[float, float]
"""A number of requests and their tokens, as a plain tuple because it changes so often."""

TOKEN_BUCKETS = frozenset(f"tokens-{period}" for period in PERIODS)

_NOTHING: Totals = (0.0, 0.0)

_AMPLE_SHARE = 0.5
"""The part of each limit that remains while the quota is ample."""

_READ_INTERVAL = 0.01
"""Seconds between two readings of the limits while the quota is ample."""


class ShownLimits:
    """What the responses of a quota have shown.

    Attributes:
        is_known: Whether any response has shown limits.
        newest: The limits of the newest response.
        token_limit: The smallest limit of tokens in that response.
        read_at: When the newest limits were read, by the clock of the quota.
        max_observed: The largest amount that each bucket has contained.
    """

    def __init__(self) -> None:
        self.is_known = False
        self.newest: Limits = {}
        self.token_limit = math.inf
        self.read_at = -math.inf
        self.max_observed: dict[str, float] = {}

    def record(
        self, limits: Limits, needs: Amounts, now: float, *, is_handled: bool
    ) -> tuple[float, float]:
        """Record the limits of a response.

        Args:
            limits: The limits.
            needs: The needs of the request.
            now: The current time.
            is_handled: Whether the server took the needs from the buckets.

        Returns:
            For requests and for tokens: how much can be sent while the quota stays ample.
        """
        self.is_known = True
        self.newest = limits
        self.read_at = now
        token_limit = spare_requests = spare_tokens = math.inf
        for name, (limit, known_remaining) in limits.items():
            remaining = known_remaining or 0.0
            spare = remaining - limit * _AMPLE_SHARE
            if name in TOKEN_BUCKETS:
                contained = remaining + needs[TOKENS] if is_handled else remaining
                token_limit = min(token_limit, limit)
                spare_tokens = min(spare_tokens, spare)
            else:
                contained = remaining + 1.0 if is_handled else remaining
                spare_requests = min(spare_requests, spare)
            if contained > self.max_observed.get(name, -1.0):
                self.max_observed[name] = contained
        self.token_limit = token_limit
        return spare_requests, spare_tokens

    def find_max_observed_tokens(self) -> float:
        """Return the largest number of tokens that a request could have taken.

        It is the smallest of the largest amounts that the buckets of tokens have contained.
        """
        names = self.max_observed.keys() & TOKEN_BUCKETS
        return min((self.max_observed[name] for name in names), default=math.inf)


class Window:
    """The maximum number of requests in flight while the limits are unknown.

    It doubles each second. For calls with `pace="auto"` it also grows by one with each handled
    request. For calls with `pace=True` it also applies when the limits are known, because there
    may be a limit that no header shows, such as a limit per second.

    Args:
        auto_size: The size at the beginning for calls with `pace="auto"`.
        pace_true_size: The size at the beginning for calls with `pace=True`.
        now: The current time.
    """

    def __init__(self, auto_size: float, pace_true_size: float, now: float) -> None:
        self._auto_size = auto_size
        self._pace_true_size = pace_true_size
        self._started_at = now
        self._handled_before = 0.0

    def compute_wait(
        self, in_flight: float, handled: float, now: float, *, has_unlimited_wait: bool
    ) -> float:
        """Return the seconds until one more request may be in flight.

        Args:
            in_flight: The number of requests in flight.
            handled: The number of handled requests.
            now: The current time.
            has_unlimited_wait: Whether the call has `pace=True`.
        """
        auto_size = self._auto_size + handled - self._handled_before
        size = self._pace_true_size if has_unlimited_wait else auto_size
        if in_flight < size:
            return 0.0
        doublings = math.log2((in_flight + 1) / size)  # one each second
        return self._started_at + doublings - now

    def shrink(self, in_flight: float, handled: float, now: float) -> None:
        """Begin again with half of the requests in flight, after a rejection."""
        self._auto_size = self._pace_true_size = max(1.0, in_flight / 2)
        self._handled_before = handled
        self._started_at = now


class LimitsResponse(NamedTuple):
    """A response that showed the limits while the quota was ample.

    Attributes:
        headers: Its headers, with lower-case names.
        permit: The permission with which its request was sent.
        time: When it arrived, by the clock of the quota.
        sent: What had been sent before it arrived.
    """

    headers: Mapping[str, str]
    permit: Permit
    time: float
    sent: Totals


class AmplePhase:
    """The time during which a quota is ample, and the responses with limits in this time.

    Reading the limits of a response takes longer than anything else here, because Cerebras
    shows them in twelve headers. Therefore the newest response stays unread until its limits
    are needed, or until the next request or response at least 10 ms after the last reading.

    Args:
        shown: What the responses of the quota have shown.
        clock: Returns the current time in seconds.

    Attributes:
        is_over: Whether the quota is not ample any more.
    """

    def __init__(
        self, shown: ShownLimits, clock: Callable[[], float], *, is_over: bool
    ) -> None:
        self.is_over = is_over
        self._shown = shown
        self._clock = clock
        # The totals up to which the quota is known to stay ample.
        self._max_sent = _NOTHING
        self._last_read_response: LimitsResponse | None = None
        self._unread_response: LimitsResponse | None = None

    def can_send(self, sent: Totals) -> bool:
        """Return whether the quota stays ample if one more request is sent.

        Args:
            sent: What has been sent then, including this request.
        """
        if self._unread_response is not None:
            is_allowed = sent[0] <= self._max_sent[0] and sent[1] <= self._max_sent[1]
            if not is_allowed or self._is_reading_due(self._clock()):
                self.read_newest_response()
        return sent[0] <= self._max_sent[0] and sent[1] <= self._max_sent[1]

    def keep_response(self, headers: Mapping[str, str], permit: Permit, sent: Totals) -> bool:
        """Keep a response with limits, and read it if the last reading was long ago.

        Returns:
            Whether the quota is still ample. A response that ends the phase is not kept: the
            caller has to report it to the store.
        """
        # A copy, because the call uses the dict again for the headers of its next response.
        response = LimitsResponse(dict(headers), permit, self._clock(), sent)
        if not self._is_reading_due(response.time):
            self._unread_response = response
            return True
        spare = self._read_limits(response)
        if spare is None or spare < 0:
            return False
        self._last_read_response, self._unread_response = response, None
        return True

    def read_newest_response(self) -> None:
        """Read the limits of the newest response if that has not been done yet."""
        response, self._unread_response = self._unread_response, None
        if response is not None and self._read_limits(response) is not None:
            self._last_read_response = response

    def take_newest_response(self) -> LimitsResponse | None:
        """Return the newest response with limits, and forget it."""
        self.read_newest_response()
        response, self._last_read_response = self._last_read_response, None
        return response

    def end(self) -> None:
        """End the phase: all requests need a reservation from now on."""
        self.is_over = True
        self._max_sent = _NOTHING

    def _is_reading_due(self, now: float) -> bool:
        return now - self._shown.read_at >= _READ_INTERVAL

    def _read_limits(self, response: LimitsResponse) -> float | None:
        """Read the limits of a response, and update what can be sent.

        Returns:
            How many requests or tokens can be sent while the quota stays ample; negative if it
            is not ample any more, and `None` if the limits cannot be read.
        """
        limits = rate_limits.parse_limits(response.headers)
        if not limits:
            return None
        permit = response.permit
        needs = Amounts(1.0, permit.tokens)
        spare = self._shown.record(limits, needs, self._clock(), is_handled=True)
        # When the server showed what remains, it had handled at least this request and those
        # before its permit.
        before = permit.handled_before
        self._max_sent = (
            before[REQUESTS] + needs.requests + spare[REQUESTS],
            before[TOKENS] + needs.tokens + spare[TOKENS],
        )
        return min(spare)
