"""The arithmetic of one quota: pure functions of plain data and of the current time.

A quota has up to six buckets: requests and tokens, each for a minute, an hour and a day. The
server refills each of them continuously and takes from it what a request needs; responses
say how much remains. The state here predicts those amounts, so that a request is sent when
there is room for it and not before.

All requests of a quota stand in one line. `taken` is the sum of what all of them need, and
the place of a request is that sum up to and including its own need. `Bucket.granted` is how
far the line may advance: it grows as the server refills the bucket, and a request may be sent
once `granted` has reached its place.

Responses arrive late and out of order, each with the amount that remained when the server
handled its request. Therefore each request remembers what was predicted when it was sent, and
the sum of all corrections up to then. A response corrects only the error that no earlier
response has corrected already.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

REQUESTS, TOKENS = 0, 1

PERIODS: Mapping[str, float] = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}

Limits: TypeAlias = Mapping[str, tuple[float, float | None]]
"""Limit and remaining amount by the name of the bucket, such as `tokens-minute`."""

_CUT = 0.7
"""Factor for the share of the rate after a 429: another client uses the quota as well."""

_MIN_SHARE = 0.02
_SHARE_RECOVERY = 0.02
"""How much of the whole rate the share recovers each second."""

_GENTLE = 0.1
"""Part of an upward correction that is applied; a downward correction is applied in full."""

_DISTRUST_SECONDS = 60.0
_MAX_ESTIMATION_ERROR = 2.0
_TOO_SHORT_TO_WAIT = 1e-6
"""Seconds: less than a timer can wait, and more than rounding errors add up to."""


class Amounts(NamedTuple):
    """A number of requests and a number of tokens."""

    requests: float
    tokens: float


_NO_AMOUNTS = Amounts(0.0, 0.0)


@dataclass(slots=True)
class Bucket:
    """What is known of one bucket.

    Attributes:
        kind: `REQUESTS` or `TOKENS`.
        limit: The limit for the whole period, as the server states it.
        rate: The amount that the server adds each second.
        capacity: The most that the bucket can contain, as far as that is known.
        granted: How far the line may advance.
        corrected: The sum of all corrections.
        largest: The largest remaining amount that was seen.
        least: The least remaining amount that the first responses named.
        share: Which part of the rate is used; less than 1 after a 429.
        cut_time: When the share was cut.
        distrust_until: Until when the server's remaining amounts are ignored.
        distrust: How many seconds the next distrust lasts.
    """

    kind: int
    limit: float
    rate: float
    capacity: float
    granted: float
    corrected: float = 0.0
    largest: float = 0.0
    least: float = 0.0
    share: float = 1.0
    cut_time: float = -math.inf
    distrust_until: float = -math.inf
    distrust: float = _DISTRUST_SECONDS

    def refill(self, seconds: float) -> None:
        """Add what the server has added in that time, and let the share recover."""
        share = self.share
        ramp = min(seconds, (1.0 - share) / _SHARE_RECOVERY)
        self.share = min(1.0, share + _SHARE_RECOVERY * ramp)
        self.granted += self.rate * (seconds + ((share + self.share) / 2 - 1.0) * ramp)

    def compute_wait(self, missing: float) -> float:
        """Return the seconds until the bucket has been refilled by that amount."""
        whole_seconds = missing / self.rate
        share = self.share
        if share >= 1.0:
            return whole_seconds
        ramp = (1.0 - share) / _SHARE_RECOVERY
        recovered = (share + 1.0) / 2 * ramp
        if whole_seconds >= recovered:
            return ramp + whole_seconds - recovered
        root = math.sqrt(share * share + 2 * _SHARE_RECOVERY * whole_seconds)
        return (root - share) / _SHARE_RECOVERY

    def correct(self, amount: float) -> None:
        """Correct how far the line may advance, for requests sent from now on."""
        self.granted += amount
        self.corrected += amount

    def add_blind(self, need: float, remaining: float) -> None:
        """Count a response to a request that was sent before any limit was known.

        The new bucket was reduced by all such requests: those that the server had not
        handled yet, and those that it had, but whose responses had not arrived.
        """
        self.correct(need + min(remaining - self.least, 0.0))
        self.least = min(self.least, remaining)

    def cut(self, now: float) -> None:
        """Use a smaller share of the rate."""
        self.share = max(_MIN_SHARE, self.share * _CUT)
        self.cut_time = now

    def limit_burst(self, need: float, now: float) -> None:
        """Learn that there is a limit that no header shows, such as one for a second."""
        self.capacity = max(need, min(self.capacity / 2, self.rate))
        self.distrust_until = now + self.distrust
        self.distrust *= 2


@dataclass(slots=True)
class Grant:
    """The result of a reservation: the request may be sent, or has to wait.

    Attributes:
        wait: Seconds until the request may be sent; 0 means now.
        time: The time of the store.
        place: The place in the line, if there is one.
        predictions: For a request that may be sent: for each bucket how much will remain
            after it, and the sum of all corrections.
        missing: For a request that has to wait: for each bucket the amount that is missing
            until then, and the amount that is added each second.
        knows_limits: Whether the server had shown its limits. If not, the request has no
            place in the line, and is blind.
    """

    wait: float
    time: float
    place: Amounts | None = None
    predictions: dict[str, tuple[float, float]] = field(default_factory=dict)
    missing: dict[str, tuple[float, float]] = field(default_factory=dict)
    knows_limits: bool = False

    def find_bottleneck(self) -> str | None:
        """Return the name of the bucket that the request waits for, if it is one."""
        waits = {name: amount / rate for name, (amount, rate) in self.missing.items()}
        name = max(waits, key=waits.__getitem__, default=None)
        return name if name is not None and waits[name] > 0 else None

    def estimate_wait(self, behind: Amounts) -> float:
        """Return the seconds until there is room for so much more behind this request."""
        wait = self.wait
        for name, (amount, rate) in self.missing.items():
            needed = behind.tokens if name.startswith("tokens") else behind.requests
            wait = max(wait, (amount + needed) / rate)
        return wait


@dataclass(slots=True)
class Outcome:
    """What became of a request that had a place in the line.

    Attributes:
        result: `"answered"`: the server handled the request, or nobody knows; `"rejected"`:
            it rejected the request because of this quota; `"unsent"`: it never got it.
        needs: What was reserved for the request.
        grant: The last grant of the request.
        age: Seconds from sending the request to the headers of the response.
        limits: The limits that the response names.
        kind: Which kind of bucket rejected the request, if the server says so.
        pause: Seconds in which no request of this quota shall be sent.
        is_late: Whether an outcome of the request was reported before, as when an error
            occurs in a stream.
        in_flight: What those other requests of this process need that the server may have
            handled after this one: they have no response yet, or got one while this request
            waited for its own.
        is_alone: Whether no other process uses this state.
    """

    result: Literal["answered", "rejected", "unsent"]
    needs: Amounts
    grant: Grant
    age: float = 0.0
    limits: Limits = field(default_factory=dict)
    kind: int | None = None
    pause: float = 0.0
    is_late: bool = False
    in_flight: Amounts = _NO_AMOUNTS
    is_alone: bool = False


@dataclass(slots=True)
class QuotaState:
    """Everything that is known of one quota.

    Attributes:
        time: When the buckets were last refilled.
        taken: What all requests in the line need, those of the past included.
        waiting: What those requests in the line need that were not sent yet.
        pause_until: Until when no request shall be sent.
        buckets: The buckets by name.
    """

    time: float
    taken: list[float] = field(default_factory=lambda: [0.0, 0.0])
    waiting: list[float] = field(default_factory=lambda: [0.0, 0.0])
    pause_until: float = -math.inf
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def reserve(
        self, needs: Amounts, now: float, *, place: Amounts | None = None, force: bool = False
    ) -> Grant:
        """Ask whether a request may be sent now, and take a place in the line for it.

        Args:
            needs: What the request needs.
            now: The current time.
            place: The place that an earlier reservation of the request took.
            force: Whether the request is sent in any case.
        """
        wait = self.pause_until - now
        if not self.buckets:
            is_paused = wait > _TOO_SHORT_TO_WAIT and not force
            return Grant(wait if is_paused else 0.0, now)
        self._refill(now)
        if place is None:
            place = self._join(needs)
        for bucket in self.buckets.values():
            amount = place[bucket.kind] - bucket.granted
            if amount > 0:
                wait = max(wait, bucket.compute_wait(amount))
        if wait > _TOO_SHORT_TO_WAIT and not force:
            missing = {
                name: (place[bucket.kind] - bucket.granted, bucket.rate * bucket.share)
                for name, bucket in self.buckets.items()
            }
            return Grant(wait, now, place, missing=missing, knows_limits=True)
        self._leave(needs)
        predictions = {}
        for name, bucket in self.buckets.items():
            remaining = bucket.granted - place[bucket.kind]
            most = bucket.capacity - needs[bucket.kind]
            if remaining > most and remaining > 0:
                # What was added while a late timer let the request wait is lost, as in the
                # server's bucket, if that was full.
                bucket.granted -= remaining - max(most, 0.0)
                remaining = max(most, 0.0)
            predictions[name] = remaining, bucket.corrected
        return Grant(0.0, now, place, predictions, knows_limits=True)

    def settle(self, outcome: Outcome, now: float) -> None:
        """Correct the state by what became of a request."""
        self._refill(now)
        if outcome.pause > 0:
            self.pause_until = max(self.pause_until, now + outcome.pause)
        if outcome.result != "answered" and not outcome.is_late:
            self._give_back(outcome)
        if outcome.limits:
            self._update_buckets(outcome)
        if outcome.result == "rejected":
            self._slow_down(outcome)

    def _update_buckets(self, outcome: Outcome) -> None:
        """Correct the buckets by the amounts that remain according to the server."""
        is_blind = not outcome.grant.knows_limits
        for name, (limit, remaining) in outcome.limits.items():
            bucket = self.buckets.get(name)
            if bucket is None:
                self._add_bucket(name, limit, remaining, outcome)
            elif remaining is not None:
                if is_blind:
                    bucket.add_blind(outcome.needs[bucket.kind], remaining)
                self._update_bucket(name, bucket, limit, remaining, outcome)

    def _refill(self, now: float) -> None:
        seconds = now - self.time
        self.time = now
        if seconds <= 0:  # a clock may be set back
            return
        for bucket in self.buckets.values():
            if bucket.share < 1.0:
                bucket.refill(seconds)
            else:  # the same without a call, because this runs for each response
                bucket.granted += bucket.rate * seconds
            full = self.taken[bucket.kind] + bucket.capacity
            bucket.granted = min(bucket.granted, full)

    def _join(self, needs: Amounts) -> Amounts:
        taken = self.taken
        taken[REQUESTS] += needs[REQUESTS]
        taken[TOKENS] += needs[TOKENS]
        self.waiting[REQUESTS] += needs[REQUESTS]
        self.waiting[TOKENS] += needs[TOKENS]
        return Amounts(taken[REQUESTS], taken[TOKENS])

    def _leave(self, needs: Amounts) -> None:
        self.waiting[REQUESTS] -= needs[REQUESTS]
        self.waiting[TOKENS] -= needs[TOKENS]

    def _give_back(self, outcome: Outcome) -> None:
        """Let the line advance by what a request needed that the server did not accept."""
        if outcome.grant.place is None:
            return  # `Bucket.add_blind` does it for blind requests
        if not outcome.grant.predictions:
            self._leave(outcome.needs)  # it was never sent
        for bucket in self.buckets.values():
            bucket.granted += outcome.needs[bucket.kind]

    def _add_bucket(
        self, name: str, limit: float, remaining: float | None, outcome: Outcome
    ) -> None:
        kind = TOKENS if name.startswith("tokens") else REQUESTS
        period = PERIODS[name.partition("-")[2]]
        need = outcome.needs[kind]
        if remaining is None:
            if outcome.result != "rejected":
                return
            remaining = 0.0
        is_accepted = outcome.result == "answered"
        largest = remaining + need if is_accepted else remaining
        self.buckets[name] = Bucket(
            kind=kind,
            limit=limit,
            rate=limit / period,
            capacity=max(largest, need),
            granted=self.taken[kind] + remaining - outcome.in_flight[kind],
            largest=largest,
            least=remaining,
        )

    def _update_bucket(
        self, name: str, bucket: Bucket, limit: float, remaining: float, outcome: Outcome
    ) -> None:
        if limit != bucket.limit:
            bucket.rate *= limit / bucket.limit
            bucket.limit = limit
        need = outcome.needs[bucket.kind]
        if outcome.result != "answered" or self.time < bucket.distrust_until:
            bucket.largest = max(bucket.largest, remaining)
            return
        if remaining + need > bucket.largest:
            bucket.largest = remaining + need
            bucket.capacity = max(bucket.capacity, remaining + need)
        correction = 0.0
        prediction = outcome.grant.predictions.get(name)
        if prediction is not None:
            predicted, corrected = prediction
            refilled = min(outcome.age * bucket.rate, bucket.capacity / 2)
            error = remaining - (predicted + bucket.corrected - corrected) - refilled
            correction = error if error < 0 else error * _GENTLE
        if outcome.is_alone:
            # In whatever order the server handled the requests, so much is left.
            kind = bucket.kind
            sent = self.taken[kind] - self.waiting[kind]
            missing = sent + remaining - outcome.in_flight[kind] - bucket.granted
            correction = max(correction, missing)
        bucket.correct(correction)

    def _slow_down(self, outcome: Outcome) -> None:
        """Learn from a rejection which bucket has less than was predicted."""
        names = [
            name for name, bucket in self.buckets.items() if outcome.kind in (None, bucket.kind)
        ]
        # If no bucket of the named kind is empty, the error may have named the wrong kind.
        empty = self._find_empty(names, outcome) or self._find_empty(self.buckets, outcome)
        for name in empty or names[:1]:  # the first bucket is that of a minute
            bucket = self.buckets[name]
            remaining = _get_remaining(outcome, name)
            is_hidden = not empty and remaining is not None
            if is_hidden and is_estimate_too_low(outcome, name):
                continue
            is_new = outcome.grant.time > bucket.cut_time  # not sent before the last cut
            if is_new and outcome.grant.knows_limits:
                bucket.cut(self.time)
                if is_hidden:
                    bucket.limit_burst(outcome.needs[bucket.kind], self.time)
            left = remaining if empty and remaining is not None else 0.0
            excess = bucket.granted - self.taken[bucket.kind] - left
            bucket.correct(-max(excess, 0.0))

    def _find_empty(self, names: Iterable[str], outcome: Outcome) -> list[str]:
        """Return those buckets that have too little for a request, as the server says."""
        return [
            name
            for name in names
            if (remaining := _get_remaining(outcome, name)) is not None
            and remaining < outcome.needs[self.buckets[name].kind]
        ]


def is_estimate_too_low(outcome: Outcome, name: str) -> bool:
    """Return whether a rejected request probably has more tokens than was estimated."""
    remaining = _get_remaining(outcome, name)
    if remaining is None or not name.startswith("tokens"):
        return False
    needed = outcome.needs.tokens
    return needed <= remaining < _MAX_ESTIMATION_ERROR * needed


def _get_remaining(outcome: Outcome, name: str) -> float | None:
    return outcome.limits[name][1] if name in outcome.limits else None


def to_json_data(state: QuotaState) -> dict[str, Any]:
    """Return a state as data that JSON can represent."""
    return {
        "time": state.time,
        "taken": state.taken,
        "waiting": state.waiting,
        "pause_until": _to_finite(state.pause_until),
        "buckets": {
            name: [_to_finite(getattr(bucket, field)) for field in Bucket.__slots__]
            for name, bucket in state.buckets.items()
        },
    }


def from_json_data(data: dict[str, Any]) -> QuotaState:
    """Return the state that `to_json_data` has converted."""
    buckets = {name: Bucket(*values) for name, values in data["buckets"].items()}
    return QuotaState(**{**data, "buckets": buckets})


def _to_finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
