"""The arithmetic of a quota, against a simulated bucket of the server."""

import heapq
import itertools
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cerebras_inference._quota import state
from langchain_cerebras_inference._quota.state import (
    REQUESTS,
    TOKENS,
    Amounts,
    Decision,
    Limits,
    Outcome,
    QuotaState,
)

MINUTE = 60.0
TOLERANCE = 1e-3


@dataclass
class ServerBucket:
    """A token bucket as the server has it."""

    rate: float
    capacity: float
    level: float
    time: float = 0.0

    def accept(self, need: float, now: float) -> bool:
        self.level = min(self.capacity, self.level + self.rate * (now - self.time))
        self.time = now
        if self.level < need - TOLERANCE:
            return False
        self.level -= need
        return True


def get_limits(bucket: ServerBucket, name: str = "tokens-minute", period: float = 60) -> Limits:
    return {name: (bucket.rate * period, bucket.level)}


def create_state_with_empty_bucket(
    bucket: ServerBucket, name: str = "tokens-minute"
) -> QuotaState:
    """Return the state after one response, to a request that needed the whole bucket."""
    quota = QuotaState(0.0)
    needs = Amounts(1, bucket.capacity)
    decision = quota.reserve(needs, 0.0)
    bucket.level = 0.0
    quota.record_outcome(
        Outcome("handled", needs, decision, limits=get_limits(bucket, name)), 0.0
    )
    return quota


def wait_for_turn(quota: QuotaState, needs: Amounts, now: float) -> tuple[Decision, float]:
    """Wait as the head of a queue does; return the decision, and the time then."""
    decision = quota.reserve(needs, now)
    for _ in range(100):
        if decision.wait == 0:
            return decision, now
        now += decision.wait
        decision = quota.reserve(needs, now, position=decision.position)
    raise AssertionError("the request is never sent")


fractions = st.floats(0.01, 1.0)
gaps = st.floats(0.0, 20.0)


@given(
    rate=st.floats(0.1, 1e5),
    seconds_of_capacity=st.floats(1.0, 60.0),
    requests=st.lists(st.tuples(gaps, fractions), min_size=1, max_size=40),
)
def test_requests_are_sent_as_soon_as_the_server_accepts_them(
    rate: float, seconds_of_capacity: float, requests: list[tuple[float, float]]
) -> None:
    capacity = rate * seconds_of_capacity
    server = ServerBucket(rate, capacity, capacity)
    quota = create_state_with_empty_bucket(server)
    ideal = ServerBucket(rate, capacity, 0.0)
    sent: list[tuple[float, float]] = []
    now = 0.0

    for gap, fraction in requests:
        now += gap
        need = capacity * fraction
        ideal.accept(0.0, now)
        earliest = now + max(need - ideal.level, 0.0) / rate
        decision, now = wait_for_turn(quota, Amounts(1, need), now)
        assert now == pytest.approx(earliest, abs=TOLERANCE)  # neither later nor earlier
        assert ideal.accept(need, now)
        assert server.accept(need, now)
        limits = get_limits(server)
        quota.record_outcome(Outcome("handled", Amounts(1, need), decision, limits=limits), now)
        sent.append((now, need))

    for (i, (start, _)), (j, (end, _)) in itertools.combinations_with_replacement(
        enumerate(sent), 2
    ):
        amount = sum(need for _, need in sent[i : j + 1])
        assert amount <= (capacity + rate * (end - start)) * (1 + TOLERANCE)


@given(
    latencies=st.lists(st.floats(0.0, 2.0), min_size=30, max_size=30),
    rate=st.floats(1.0, 50.0),
)
def test_late_and_unordered_responses_cause_no_rejection_and_little_delay(
    latencies: list[float], rate: float
) -> None:
    """The server handles each request at once, and the responses arrive in any order."""
    capacity = 2 * rate
    server = ServerBucket(rate, capacity, capacity)
    quota = create_state_with_empty_bucket(server, "requests-minute")
    server.capacity = capacity
    now = 0.0
    pending: list[tuple[float, int, Outcome]] = []
    answered = 0
    needs = Amounts(1, 0)

    for number, latency in enumerate(latencies * 4):
        decision = quota.reserve(needs, now)
        while decision.wait:
            moment = now + decision.wait
            if pending and pending[0][0] < moment:
                moment, _, outcome = heapq.heappop(pending)
                since = answered - outcome.overlapping.requests
                outcome.overlapping = Amounts(len(pending) + since, 0)
                quota.record_outcome(outcome, moment)
                answered += 1
            now = moment
            decision = quota.reserve(needs, now, position=decision.position)
        assert server.accept(1, now)
        limits = get_limits(server, "requests-minute")
        in_flight = Amounts(answered, 0)  # until the response arrives
        outcome = Outcome(
            "handled",
            needs,
            decision,
            age=latency,
            limits=limits,
            overlapping=in_flight,
            is_only_process=True,
        )
        heapq.heappush(pending, (now + latency, number, outcome))

    ideal = len(latencies) * 4 / rate
    assert now <= ideal + capacity / rate


@pytest.mark.parametrize(
    ("name", "period"), [("minute", 60.0), ("hour", 3600.0), ("day", 86_400.0)]
)
def test_buckets_of_all_periods_are_refilled_continuously(name: str, period: float) -> None:
    quota = QuotaState(0.0)
    needs = Amounts(1, 100)
    decision = quota.reserve(needs, 0.0)
    limits = {f"requests-{name}": (60.0, 0.0)}
    quota.record_outcome(Outcome("handled", needs, decision, limits=limits), 0.0)

    decision = quota.reserve(needs, 0.0)

    assert decision.wait == pytest.approx(period / 60)
    assert decision.find_bottleneck() == f"requests-{name}"


def test_wait_is_that_of_the_bucket_with_the_longest_wait() -> None:
    quota = QuotaState(0.0)
    needs = Amounts(1, 1_000)
    limits = {
        "requests-minute": (600.0, 0.0),
        "tokens-minute": (6_000.0, 500.0),
        "tokens-day": (1e6, 9e5),
    }
    quota.record_outcome(
        Outcome("handled", needs, quota.reserve(needs, 0.0), limits=limits), 0.0
    )

    decision = quota.reserve(needs, 0.0)

    assert decision.wait == pytest.approx(500 / 100)
    assert decision.find_bottleneck() == "tokens-minute"
    assert decision.estimate_wait(Amounts(2, 3_000)) == pytest.approx(3_500 / 100)


def test_capacity_is_the_largest_remaining_amount_plus_the_need_of_its_request() -> None:
    quota = QuotaState(0.0)
    for time, remaining in ((0.0, 7.0), (0.1, 19.0), (0.2, 12.0)):
        needs = Amounts(1, 5)
        outcome = Outcome(
            "handled",
            needs,
            quota.reserve(needs, time),
            limits={"requests-minute": (60.0, remaining)},
        )
        quota.record_outcome(outcome, time)

    assert quota.buckets["requests-minute"].capacity == 20


def test_request_is_sent_after_a_first_rejection_with_nothing_remaining() -> None:
    quota = QuotaState(0.0)
    needs = Amounts(1, 500)
    limits = {"requests-minute": (60.0, 0.0), "tokens-minute": (60_000.0, 0.0)}
    quota.record_outcome(
        Outcome("rejected", needs, quota.reserve(needs, 0.0), limits=limits, kind=REQUESTS), 0.0
    )

    _, now = wait_for_turn(quota, needs, 0.0)

    assert 0 < now <= 2


def test_requests_in_flight_are_subtracted_when_the_first_limits_arrive() -> None:
    """16 requests are sent at once; the bucket contains 20."""
    quota = QuotaState(0.0)
    needs = Amounts(1, 10)
    decisions = [quota.reserve(needs, 0.0) for _ in range(16)]
    order = sorted(range(16), key=lambda number: number * 7 % 16)

    for count, number in enumerate(order):
        in_flight = Amounts(15 - count, 10 * (15 - count))
        limits = {"requests-minute": (600.0, 19.0 - number)}
        outcome = Outcome(
            "handled", needs, decisions[number], limits=limits, overlapping=in_flight
        )
        quota.record_outcome(outcome, 0.0)
        bucket = quota.buckets["requests-minute"]
        assert bucket.granted - quota.reserved[REQUESTS] <= 4

    assert bucket.granted - quota.reserved[REQUESTS] == pytest.approx(4)


def create_state_with_remaining(
    remaining: float, *, name: str = "requests-minute"
) -> QuotaState:
    quota = QuotaState(0.0)
    needs = Amounts(1, 100)
    outcome = Outcome(
        "handled", needs, quota.reserve(needs, 0.0), limits={name: (600.0, remaining)}
    )
    quota.record_outcome(outcome, 0.0)
    return quota


def test_simultaneous_rejections_delay_all_requests_and_reduce_the_rate_once() -> None:
    quota = create_state_with_remaining(50)
    needs = Amounts(1, 100)
    decisions = [quota.reserve(needs, 1.0) for _ in range(5)]

    for decision in decisions:
        limits = {"requests-minute": (600.0, 0.0)}
        quota.record_outcome(
            Outcome("rejected", needs, decision, limits=limits, kind=REQUESTS), 1.1
        )

    bucket = quota.buckets["requests-minute"]
    assert bucket.share == pytest.approx(0.7)
    assert quota.reserve(needs, 1.1).wait == pytest.approx(0.1 / 0.7, rel=0.01)


def test_share_of_the_rate_recovers() -> None:
    quota = create_state_with_remaining(0)
    bucket = quota.buckets["requests-minute"]
    bucket.share = 0.02

    wait = bucket.compute_wait(100.0)
    bucket.refill(wait)

    assert bucket.share < 1
    assert bucket.granted - quota.reserved[REQUESTS] == pytest.approx(100)
    bucket.refill(60.0)
    assert bucket.share == pytest.approx(1)


@given(share=st.floats(0.02, 1.0), amount=st.floats(0.1, 1e4))
def test_refill_for_the_computed_wait_adds_the_amount(share: float, amount: float) -> None:
    bucket = create_state_with_remaining(0).buckets["requests-minute"]
    bucket.share, bucket.granted = share, 0.0

    bucket.refill(bucket.compute_wait(amount))

    assert bucket.granted == pytest.approx(amount)


def test_rejection_without_headers_empties_the_bucket() -> None:
    quota = create_state_with_remaining(50)
    needs = Amounts(1, 100)
    decision = quota.reserve(needs, 1.0)

    quota.record_outcome(Outcome("rejected", needs, decision, kind=REQUESTS), 1.0)

    assert quota.reserve(needs, 1.0).wait > 0


def test_rejection_with_enough_remaining_reduces_the_capacity() -> None:
    quota = create_state_with_remaining(500)
    needs = Amounts(1, 100)
    decisions = [quota.reserve(needs, 1.0) for _ in range(3)]

    for decision in decisions:
        limits = {"requests-minute": (600.0, 500.0)}
        quota.record_outcome(
            Outcome("rejected", needs, decision, limits=limits, kind=REQUESTS), 1.0
        )
    bucket = quota.buckets["requests-minute"]

    assert bucket.capacity == 10  # that of a second
    assert quota.reserve(needs, 1.0).wait > 0
    answered = Outcome("handled", needs, quota.reserve(needs, 9.0, force=True), limits=limits)
    quota.record_outcome(answered, 9.0)
    assert bucket.capacity == 10


def test_rejection_of_a_too_low_token_estimate_keeps_the_capacity() -> None:
    quota = create_state_with_remaining(1_500, name="tokens-minute")
    needs = Amounts(1, 1_000)
    decision = quota.reserve(needs, 1.0)
    limits = {"tokens-minute": (600.0, 1_200.0)}
    outcome = Outcome("rejected", needs, decision, limits=limits, kind=TOKENS)

    quota.record_outcome(outcome, 1.0)

    assert state.is_estimate_too_low(outcome, "tokens-minute")
    assert quota.buckets["tokens-minute"].capacity == 1_600


def test_unsent_request_gives_back_its_reservation() -> None:
    quota = create_state_with_remaining(1)
    needs = Amounts(1, 100)
    decision = quota.reserve(needs, 0.0)
    assert quota.reserve(needs, 0.0).wait > 0

    quota.record_outcome(Outcome("unsent", needs, decision), 0.0)
    quota.record_outcome(Outcome("unsent", needs, quota.reserve(needs, 0.0, force=True)), 0.0)

    assert quota.buckets["requests-minute"].granted > decision.position.requests  # type: ignore[union-attr] # known


def test_pause_keeps_its_length_if_the_clock_is_set_back() -> None:
    quota = QuotaState(0.0)
    needs = Amounts(1, 100)
    quota.record_outcome(Outcome("rejected", needs, quota.reserve(needs, 0.0), pause=7.0), 0.0)

    assert quota.reserve(needs, -3_600.0).wait == pytest.approx(7.0)


def test_no_request_is_sent_during_a_pause() -> None:
    quota = QuotaState(0.0)
    needs = Amounts(1, 100)
    quota.record_outcome(Outcome("rejected", needs, quota.reserve(needs, 0.0), pause=7.0), 0.0)

    assert quota.reserve(needs, 1.0).wait == pytest.approx(6)
    assert quota.reserve(needs, 1.0, force=True).wait == 0
    assert quota.reserve(needs, 8.0).wait == 0


def test_changed_limit_changes_the_rate() -> None:
    quota = create_state_with_remaining(0)
    needs = Amounts(1, 100)
    decision = quota.reserve(needs, 1.0)

    limits = {"requests-minute": (1_200.0, 9.0)}
    quota.record_outcome(Outcome("handled", needs, decision, limits=limits), 1.0)

    assert quota.buckets["requests-minute"].rate == 20


def test_wait_is_correct_after_the_clock_was_set_back() -> None:
    quota = create_state_with_remaining(0)
    needs = Amounts(1, 100)

    decision = quota.reserve(needs, -1e6)

    assert decision.wait == pytest.approx(0.1)
    assert quota.reserve(needs, -1e6 + 0.1, position=decision.position).wait == 0


def test_waiting_request_gets_a_new_position_if_the_state_was_lost() -> None:
    needs = Amounts(1, 100)
    lost = create_state_with_remaining(0)
    for _ in range(1_000):
        decision = lost.reserve(needs, 0.0)

    quota = create_state_with_remaining(0)
    decision = quota.reserve(needs, 0.0, position=decision.position)

    assert decision.wait == pytest.approx(0.1)


def test_state_is_equal_after_conversion_to_json_and_back() -> None:
    quota = create_state_with_remaining(12)
    needs = Amounts(1, 100)
    quota.reserve(needs, 3.0)
    copy = state.from_json_data(json.loads(json.dumps(state.to_json_data(quota))))

    assert copy.reserve(needs, 4.0) == quota.reserve(needs, 4.0)
    assert copy.buckets["requests-minute"].granted == quota.buckets["requests-minute"].granted


@pytest.mark.parametrize("period", ["hour", "day"])
def test_empty_bucket_is_found_if_the_error_names_another_kind(period: str) -> None:
    quota = create_state_with_remaining(50)
    needs = Amounts(1, 100)
    decision = quota.reserve(needs, 1.0)
    limits = {"requests-minute": (600.0, 50.0), f"requests-{period}": (3_600.0, 0.0)}

    quota.record_outcome(Outcome("rejected", needs, decision, limits=limits, kind=TOKENS), 1.0)

    decision = quota.reserve(needs, 1.0)
    assert decision.find_bottleneck() == f"requests-{period}"
    assert quota.buckets["requests-minute"].share == 1
