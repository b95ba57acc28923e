"""The arithmetic of one quota: pure functions of plain data and of the current time.

Words of this module:

- quota: the limits that the server enforces for one key and one model.
- bucket: one of these limits: requests or tokens, for a minute, an hour or a day. The server
  refills each bucket continuously and takes from it what a request needs. It rejects the
  request if a bucket contains too little. Its responses say how much remains.
- needs: the amounts that one request takes from the buckets: 1 request, and its tokens.
- reserve: to add the needs of a request to `QuotaState.reserved`, the sum of the needs of all
  requests up to now. The position of the request is that sum, including its own needs.
- granted: the total amount that the server has made available up to now, used or not. There is
  such an amount for each bucket, and it grows as the server refills the bucket. A request may
  be sent when this amount has reached its position in each bucket.
- unreserved request: a request that was sent without a reservation, because the limits were
  unknown or the quota was ample. It has no position.
- hidden limit: a limit that no header shows, such as a limit per second.

So `granted - reserved` is the predicted content of a bucket. It is negative while requests
wait.

Responses arrive late and out of order, each with the amount that remained when the server
handled its request. Therefore each decision to send a request stores the remaining amount that
it predicts, and the sum of all corrections so far. The error of the prediction is what the
response shows, minus the prediction, minus the corrections since the decision, minus what the
server may have refilled between the decision and the response.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

REQUESTS, TOKENS = 0, 1

PERIODS: Mapping[str, float] = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}

Limits: TypeAlias = Mapping[str, tuple[float, float | None]]
"""Limit and remaining amount by the name of the bucket, such as `tokens-minute`."""

_SHARE_AFTER_REJECTION = 0.7
"""Factor for `Bucket.share` after a 429, because another client may use the quota as well."""

_MIN_SHARE = 0.02
_SHARE_RECOVERY = 0.02
"""How much `Bucket.share` grows each second."""

_UPWARD_CORRECTION = 0.1
"""Part of an upward correction that is applied; a downward correction is applied in full."""

_IGNORE_SECONDS = 60.0
_MAX_ESTIMATE_FACTOR = 2.0
"""How many times its estimate a request may need."""

_MIN_WAIT = 1e-6
"""Seconds; a shorter wait counts as none. Timers cannot wait for so short a time, and
rounding errors stay below it."""


class Amounts(NamedTuple):
    """A number of requests and a number of tokens."""

    requests: float
    tokens: float


_NO_AMOUNTS = Amounts(0.0, 0.0)


@dataclass(slots=True)
class Bucket:
    """The estimated state of one bucket.

    Attributes:
        kind: `REQUESTS` or `TOKENS`.
        limit: The limit for the whole period, as the server states it.
        rate: The amount that the server adds each second.
        capacity: The largest amount that the bucket can contain, as far as that is known.
        granted: The total amount that the server has made available up to now, used or not.
        corrected: The sum of all corrections of `granted`.
        max_observed: The largest amount that the bucket has contained according to responses.
        min_remaining: The smallest remaining amount in the responses to unreserved requests.
        share: The part of the rate that is used; less than 1 after a 429.
        share_reduced_at: When the share was reduced.
        ignore_remaining_until: Until when remaining amounts in responses are ignored. Otherwise
            the next response would undo a reduction of the capacity.
        ignore_seconds: Seconds for which remaining amounts are ignored after the next discovery
            of a hidden limit.
    """

    kind: int
    limit: float
    rate: float
    capacity: float
    granted: float
    corrected: float = 0.0
    max_observed: float = 0.0
    min_remaining: float = 0.0
    share: float = 1.0
    share_reduced_at: float = -math.inf
    ignore_remaining_until: float = -math.inf
    ignore_seconds: float = _IGNORE_SECONDS

    def refill(self, seconds: float) -> None:
        """Add the used share of what the server adds in these seconds; let the share grow."""
        share = self.share
        recovery_seconds = min(seconds, (1.0 - share) / _SHARE_RECOVERY)
        seconds_at_full_share = seconds - recovery_seconds
        self.share = min(1.0, share + _SHARE_RECOVERY * recovery_seconds)
        # While the share recovers, it grows linearly, so its average is used.
        average_share = (share + self.share) / 2
        self.granted += self.rate * (average_share * recovery_seconds + seconds_at_full_share)

    def compute_wait(self, amount: float) -> float:
        """Return the seconds in which `refill` adds an amount."""
        seconds_at_full_rate = amount / self.rate
        share = self.share
        if share >= 1.0:
            return seconds_at_full_rate
        recovery_seconds = (1.0 - share) / _SHARE_RECOVERY
        average_share = (share + 1.0) / 2
        # The seconds in which the full rate adds as much as the whole recovery does.
        recovery_at_full_rate = average_share * recovery_seconds
        if seconds_at_full_rate >= recovery_at_full_rate:
            return recovery_seconds + seconds_at_full_rate - recovery_at_full_rate
        # Solves share * t + _SHARE_RECOVERY * t**2 / 2 = seconds_at_full_rate.
        root = math.sqrt(share * share + 2 * _SHARE_RECOVERY * seconds_at_full_rate)
        return (root - share) / _SHARE_RECOVERY

    def correct(self, amount: float) -> None:
        """Add an amount to `granted`, and remember that it was a correction."""
        self.granted += amount
        self.corrected += amount

    def count_unreserved_request(self, need: float, remaining: float) -> None:
        """Correct the bucket by the response to an unreserved request.

        When the bucket was created, the needs of all unreserved requests without a response
        were subtracted from the remaining amount. The server had handled some of these requests
        already, so their needs were subtracted twice. Therefore this adds the need, and
        subtracts only the amount by which `remaining` is below the smallest one so far.

        Example: Three unreserved requests are sent to a bucket that contains 10. The response
        that arrives first shows 7, because the server has handled all three. The bucket is
        created with 7 - 2 = 5. The other responses show 9 and 8, which is not less than 7, so
        each of them adds 1. The result is 7.
        """
        self.correct(need + min(remaining - self.min_remaining, 0.0))
        self.min_remaining = min(self.min_remaining, remaining)

    def reduce_share(self, now: float) -> None:
        """Use a smaller part of the rate."""
        self.share = max(_MIN_SHARE, self.share * _SHARE_AFTER_REJECTION)
        self.share_reduced_at = now

    def reduce_capacity(self, need: float, now: float) -> None:
        """Allow shorter bursts, because of a hidden limit, such as a limit per second."""
        self.capacity = max(need, min(self.capacity / 2, self.rate))
        self.ignore_remaining_until = now + self.ignore_seconds
        self.ignore_seconds *= 2


@dataclass(slots=True)
class Decision:
    """The decision about one request: it may be sent now, or it has to wait.

    Attributes:
        wait: Seconds until the request may be sent; 0 means now.
        time: The time of the decision, by the clock of the store.
        position: The position of the request; `None` for an unreserved request.
        predictions: For a request that may be sent: for each bucket the amount that will
            remain after it, and the sum of all corrections.
        missing: For a request that has to wait: for each bucket the amount that is missing
            until it may be sent, and the amount that is added each second.
        knows_limits: Whether there were buckets when it was decided; false for an unreserved
            request.
    """

    wait: float
    time: float
    position: Amounts | None = None
    predictions: dict[str, tuple[float, float]] = field(default_factory=dict)
    missing: dict[str, tuple[float, float]] = field(default_factory=dict)
    knows_limits: bool = False

    def find_bottleneck(self) -> str | None:
        """Return the name of the bucket that the request waits for, or `None`."""
        waits = {name: amount / rate for name, (amount, rate) in self.missing.items()}
        name = max(waits, key=waits.__getitem__, default=None)
        return name if name is not None and waits[name] > 0 else None

    def estimate_wait(self, additional: Amounts) -> float:
        """Return the seconds until this request and these additional amounts may be sent."""
        wait = self.wait
        for name, (amount, rate) in self.missing.items():
            needed = additional.tokens if name.startswith("tokens") else additional.requests
            wait = max(wait, (amount + needed) / rate)
        return wait


@dataclass(slots=True)
class Outcome:
    """The outcome of one request, for the state of its quota.

    Attributes:
        result: `"handled"`: the server answered the request, or this is unknown;
            `"rejected"`: it rejected the request because of this quota; `"unsent"`: the
            request took nothing from the quota, for example because it was not sent.
        needs: What was reserved for the request.
        decision: The last decision about the request.
        age: Seconds from sending the request to the headers of the response.
        limits: The limits in the headers of the response.
        kind: The kind of the bucket that rejected the request, if the server names it.
        pause: Seconds during which no request of this quota may be sent.
        is_repeated: Whether an outcome of the request was reported before. This happens if an
            error occurs in a stream.
        overlapping: The needs of other requests of this process that the server may have
            handled after this one: all that were in flight between the sending of this request
            and its response.
        is_only_process: Whether no other process uses this state.
    """

    result: Literal["handled", "rejected", "unsent"]
    needs: Amounts
    decision: Decision
    age: float = 0.0
    limits: Limits = field(default_factory=dict)
    kind: int | None = None
    pause: float = 0.0
    is_repeated: bool = False
    overlapping: Amounts = _NO_AMOUNTS
    is_only_process: bool = False


@dataclass(slots=True)
class QuotaState:
    """Everything that is known about one quota.

    Attributes:
        time: When the buckets were last refilled.
        reserved: The sum of the needs of all requests up to now, by kind.
        waiting: The part of `reserved` whose requests have not been sent yet.
        pause_until: Until when no request may be sent.
        buckets: The buckets by name, such as `tokens-minute`.
    """

    time: float
    reserved: list[float] = field(default_factory=lambda: [0.0, 0.0])
    waiting: list[float] = field(default_factory=lambda: [0.0, 0.0])
    pause_until: float = -math.inf
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def reserve(
        self,
        needs: Amounts,
        now: float,
        *,
        position: Amounts | None = None,
        force: bool = False,
    ) -> Decision:
        """Decide whether a request may be sent now; reserve its needs the first time.

        Args:
            needs: What the request needs.
            now: The current time.
            position: The position in an earlier decision about this request, if there was one.
            force: Whether to send the request even if it should wait.
        """
        self._refill(now)
        wait = self.pause_until - now
        if not self.buckets:
            is_paused = wait > _MIN_WAIT and not force
            return Decision(wait if is_paused else 0.0, now)
        if position is None or position.requests > self.reserved[REQUESTS]:
            # A position above `reserved` shows that the store has lost its state since.
            position = self._take_position(needs)
        for bucket in self.buckets.values():
            amount = position[bucket.kind] - bucket.granted
            if amount > 0:
                wait = max(wait, bucket.compute_wait(amount))
        if wait > _MIN_WAIT and not force:
            missing = {
                name: (position[bucket.kind] - bucket.granted, bucket.rate * bucket.share)
                for name, bucket in self.buckets.items()
            }
            return Decision(wait, now, position, missing=missing, knows_limits=True)
        self._stop_waiting(needs)
        predictions = {}
        for name, bucket in self.buckets.items():
            remaining = bucket.granted - position[bucket.kind]
            max_remaining = max(bucket.capacity - needs[bucket.kind], 0.0)
            if remaining > max_remaining:
                # A timer fired late, and meanwhile the server's bucket was full, so it has lost
                # what exceeded its capacity.
                bucket.granted -= remaining - max_remaining
                remaining = max_remaining
            predictions[name] = remaining, bucket.corrected
        return Decision(0.0, now, position, predictions, knows_limits=True)

    def record_outcome(self, outcome: Outcome, now: float) -> None:
        """Update the state after a request."""
        self._refill(now)
        if outcome.pause > 0:
            self.pause_until = max(self.pause_until, now + outcome.pause)
        if outcome.result != "handled" and not outcome.is_repeated:
            self._release(outcome)
        if outcome.limits:
            self._update_buckets(outcome)
        if outcome.result == "rejected":
            self._slow_down(outcome)

    def _update_buckets(self, outcome: Outcome) -> None:
        """Create or correct the buckets by the limits in the headers."""
        is_unreserved = not outcome.decision.knows_limits
        for name, (limit, remaining) in outcome.limits.items():
            bucket = self.buckets.get(name)
            if bucket is None:
                self._add_bucket(name, limit, remaining, outcome)
            elif remaining is not None:
                if is_unreserved:
                    bucket.count_unreserved_request(outcome.needs[bucket.kind], remaining)
                self._update_bucket(name, bucket, limit, remaining, outcome)

    def _refill(self, now: float) -> None:
        seconds = now - self.time
        self.time = now
        if seconds <= 0:
            if seconds < 0:
                self._shift_times(seconds)
            return
        for bucket in self.buckets.values():
            if bucket.share < 1.0:
                bucket.refill(seconds)
            else:  # the same without a call, because this runs for each response
                bucket.granted += bucket.rate * seconds
            granted_when_full = self.reserved[bucket.kind] + bucket.capacity
            bucket.granted = min(bucket.granted, granted_when_full)

    def _shift_times(self, seconds: float) -> None:
        """Move all points in time, because the clock was set back."""
        self.pause_until += seconds
        for bucket in self.buckets.values():
            bucket.share_reduced_at += seconds
            bucket.ignore_remaining_until += seconds

    def _take_position(self, needs: Amounts) -> Amounts:
        reserved = self.reserved
        reserved[REQUESTS] += needs[REQUESTS]
        reserved[TOKENS] += needs[TOKENS]
        self.waiting[REQUESTS] += needs[REQUESTS]
        self.waiting[TOKENS] += needs[TOKENS]
        return Amounts(reserved[REQUESTS], reserved[TOKENS])

    def _stop_waiting(self, needs: Amounts) -> None:
        self.waiting[REQUESTS] -= needs[REQUESTS]
        self.waiting[TOKENS] -= needs[TOKENS]

    def _release(self, outcome: Outcome) -> None:
        """Give back what was reserved for a request that took nothing from the quota.

        `reserved` stays, because the positions of later requests include these needs. Therefore
        `granted` grows instead.
        """
        if outcome.decision.position is None:
            return  # nothing was reserved; `count_unreserved_request` corrects the buckets
        if not outcome.decision.predictions:
            self._stop_waiting(outcome.needs)  # the request was never sent
        for bucket in self.buckets.values():
            bucket.granted += outcome.needs[bucket.kind]

    def _add_bucket(
        self, name: str, limit: float, remaining: float | None, outcome: Outcome
    ) -> None:
        kind = TOKENS if name.startswith("tokens") else REQUESTS
        need = outcome.needs[kind]
        if remaining is None:
            if outcome.result != "rejected":
                return
            remaining = 0.0
        is_handled = outcome.result == "handled"
        max_observed = remaining + need if is_handled else remaining
        self.buckets[name] = Bucket(
            kind=kind,
            limit=limit,
            rate=limit / _get_period(name),
            capacity=max(max_observed, need),
            granted=self.reserved[kind] + remaining - outcome.overlapping[kind],
            max_observed=max_observed,
            min_remaining=remaining,
        )

    def _update_bucket(
        self, name: str, bucket: Bucket, limit: float, remaining: float, outcome: Outcome
    ) -> None:
        if limit != bucket.limit:
            bucket.rate *= limit / bucket.limit
            bucket.limit = limit
        need = outcome.needs[bucket.kind]
        if outcome.result != "handled" or self.time < bucket.ignore_remaining_until:
            bucket.max_observed = max(bucket.max_observed, remaining)
            return
        if remaining + need > bucket.max_observed:
            bucket.max_observed = remaining + need
            bucket.capacity = max(bucket.capacity, remaining + need)
        correction = 0.0
        prediction = outcome.decision.predictions.get(name)
        if prediction is not None:
            predicted, corrected = prediction
            # The server handled the request at an unknown moment during `age`. If `age` is
            # long, most of the refill may have come later, so at most half of the capacity
            # counts.
            refilled = min(outcome.age * bucket.rate, bucket.capacity / 2)
            # What earlier responses have corrected since the decision is no error any more.
            error = remaining - (predicted + bucket.corrected - corrected) - refilled
            correction = error if error < 0 else error * _UPWARD_CORRECTION
        if outcome.is_only_process:
            # The bucket contains at least `remaining - overlapping`, even if the server handled
            # all the overlapping requests after this one. So `granted` is at least what has
            # been sent plus that amount.
            kind = bucket.kind
            sent = self.reserved[kind] - self.waiting[kind]
            min_granted = sent + remaining - outcome.overlapping[kind]
            correction = max(correction, min_granted - bucket.granted)
        bucket.correct(correction)

    def _slow_down(self, outcome: Outcome) -> None:
        """Use a smaller share of the rate after a rejection, and correct its buckets."""
        empty = self._find_empty_buckets(outcome)
        if empty:
            for name in empty:
                content = _get_remaining(outcome, name) or 0.0
                self._slow_down_bucket(self.buckets[name], outcome, content)
            return
        # Enough remained in each bucket that the headers show. So there were no headers, the
        # estimate of the tokens was too low, or there is a hidden limit.
        names = self._find_names(outcome.kind)
        if not names:
            return
        shortest = min(names, key=_get_period)
        bucket = self.buckets[shortest]
        if _get_remaining(outcome, shortest) is None:  # no headers: the bucket may be empty
            self._slow_down_bucket(bucket, outcome, 0.0)
        elif not is_estimate_too_low(outcome, shortest):
            self._slow_down_bucket(bucket, outcome, 0.0, is_hidden=True)

    def _slow_down_bucket(
        self, bucket: Bucket, outcome: Outcome, content: float, *, is_hidden: bool = False
    ) -> None:
        """Use a smaller share of the rate of a bucket, and correct its content."""
        # Requests that were sent before the last reduction do not cause another one.
        is_new = outcome.decision.time > bucket.share_reduced_at
        if is_new and outcome.decision.knows_limits:
            bucket.reduce_share(self.time)
            if is_hidden:
                bucket.reduce_capacity(outcome.needs[bucket.kind], self.time)
        excess = bucket.granted - self.reserved[bucket.kind] - content
        bucket.correct(-max(excess, 0.0))

    def _find_names(self, kind: int | None) -> list[str]:
        """Return the names of the buckets of a kind, or of all buckets for `None`."""
        return [name for name, bucket in self.buckets.items() if kind in (None, bucket.kind)]

    def _find_empty_buckets(self, outcome: Outcome) -> list[str]:
        """Return the names of the buckets that contain too little for the request.

        If no bucket of the kind that the error names is empty, the error may have named the
        wrong kind, and the others count as well.
        """
        for names in (self._find_names(outcome.kind), list(self.buckets)):
            empty = [
                name
                for name in names
                if (remaining := _get_remaining(outcome, name)) is not None
                and remaining < outcome.needs[self.buckets[name].kind]
            ]
            if empty:
                return empty
        return []


def is_estimate_too_low(outcome: Outcome, name: str) -> bool:
    """Return whether a rejected request probably needs more tokens than was estimated.

    That is so if enough remained for the estimate, but less than twice as much. If more
    remained, another limit is the cause.
    """
    remaining = _get_remaining(outcome, name)
    if remaining is None or not name.startswith("tokens"):
        return False
    estimate = outcome.needs.tokens
    return estimate <= remaining < _MAX_ESTIMATE_FACTOR * estimate


def _get_period(name: str) -> float:
    """Return the seconds of the period of a bucket."""
    return PERIODS[name.partition("-")[2]]


def _get_remaining(outcome: Outcome, name: str) -> float | None:
    return outcome.limits[name][1] if name in outcome.limits else None


def to_json_data(state: QuotaState) -> dict[str, Any]:
    """Convert a state to data that JSON can represent."""
    return {
        "time": state.time,
        "reserved": state.reserved,
        "waiting": state.waiting,
        "pause_until": _to_finite(state.pause_until),
        "buckets": {
            name: [_to_finite(getattr(bucket, field)) for field in Bucket.__slots__]
            for name, bucket in state.buckets.items()
        },
    }


def from_json_data(data: dict[str, Any]) -> QuotaState:
    """Convert the result of `to_json_data` back to a state."""
    buckets = {name: Bucket(*values) for name, values in data["buckets"].items()}
    return QuotaState(**{**data, "buckets": buckets})


def _to_finite(value: float) -> float:
    # JSON has no infinity; each infinite time here lies in the past, and so does 0.
    return value if math.isfinite(value) else 0.0
