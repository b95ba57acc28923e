"""Requests that are sent without a reservation: no limit is known, or the quota is ample."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from langchain_cerebras_inference._quota.queue import Permit, Quota, Ticket

LIMIT = "x-ratelimit-limit-requests-minute"
REMAINING = "x-ratelimit-remaining-requests-minute"

TOKEN_LIMITS = {
    "x-ratelimit-limit-tokens-minute": "100000",
    "x-ratelimit-remaining-tokens-minute": "60000",
}


@dataclass
class Request:
    """A request that needs a number of tokens."""

    tokens: float = 1.0

    def estimate_tokens(self) -> float:
        return self.tokens


def acquire(quota: Quota, tokens: float = 1.0) -> Permit:
    permit = quota.try_acquire(Request(tokens))
    assert permit
    return permit


def test_requests_without_limits_are_described() -> None:
    quota = Quota("quota")
    permits = [acquire(quota) for _ in range(3)]
    quota.report_handled(permits[0], {})
    quota.report_unsent(permits[1])

    info = quota.describe()

    assert (info.accepted, info.in_flight) == (1, 1)
    assert not quota.is_idle
    quota.report_handled(permits[2], {})
    assert quota.is_idle


def test_requests_that_are_not_sent_do_not_fill_the_window() -> None:
    quota = Quota("quota", clock=lambda: 0.0)

    for _ in range(100):
        quota.report_unsent(acquire(quota))


def test_requests_in_flight_are_counted_when_the_first_limit_is_shown() -> None:
    quota = Quota("quota", clock=lambda: 0.0)
    permits = [acquire(quota, 1_000) for _ in range(10)]

    quota.report_handled(permits[0], TOKEN_LIMITS)

    # The quota is ample up to 50,000 tokens. The other nine requests need 9,000 of the
    # remaining 60,000.
    acquire(quota, 1_000)
    assert quota.try_acquire(Request(1_000)) is None
    for permit in permits[1:]:
        quota.report_handled(permit, {})
    assert (quota.describe().accepted, quota.describe().in_flight) == (10, 1)


def test_request_that_is_collected_while_it_is_counted_leaves_nothing_in_flight() -> None:
    """Garbage collection can close a stream at any time, and this reports its request."""
    quota = Quota("quota")

    @dataclass
    class CollectedRequest:
        permit: Permit | None = None

        def estimate_tokens(self) -> float:
            assert self.permit
            quota.report_handled(self.permit, {})
            return 1_000.0

    request = CollectedRequest()
    request.permit = quota.try_acquire(request)

    quota.report_handled(acquire(quota), TOKEN_LIMITS)

    assert quota.describe().in_flight == 0
    assert quota._sent == quota._handled


def test_first_rejection_raises_the_estimate_of_its_request() -> None:
    quota = Quota("quota", clock=lambda: 0.0)
    permit = acquire(quota, 40_000)
    permit.ticket = Ticket(40_000.0)
    limits = {
        "x-ratelimit-limit-tokens-minute": "60000",
        "x-ratelimit-remaining-tokens-minute": "59000",
    }

    quota.report_rejected(permit, limits, "token_quota_exceeded")

    assert permit.ticket.tokens == 59_000  # all that remained


def test_ticket_does_not_keep_the_store_of_the_quota_of_another_key() -> None:
    first, second = Quota("first", clock=lambda: 0.0), Quota("second", clock=lambda: 0.0)
    ticket = Ticket(1.0, has_unlimited_wait=True)
    first.report_handled(acquire(first), {LIMIT: "1000", REMAINING: "900"})

    assert asyncio.run(first.acquire(ticket)).store is not None
    assert asyncio.run(second.acquire(ticket)).store is None


def test_request_is_counted_once_if_it_is_rejected_after_it_was_handled() -> None:
    quota = Quota("quota")
    permit = acquire(quota)
    quota.report_handled(permit, {})

    quota.report_rejected(permit, {}, "request_quota_exceeded")

    info = quota.describe()
    assert (info.accepted, info.rejected, info.in_flight) == (1, 1, 0)


@pytest.fixture
def frequent_thread_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_thread_switches")
def test_no_request_stays_in_flight_if_a_limit_is_shown_while_threads_send() -> None:
    quotas = [Quota("quota") for _ in range(1_000)]
    permits: list[list[Permit]] = [[] for _ in quotas]
    barrier = threading.Barrier(3, timeout=30)

    def send() -> None:
        for quota, permits_of_quota in zip(quotas, permits, strict=True):
            barrier.wait()
            for number in range(6):
                permit = quota.try_acquire(Request())
                if permit is not None:
                    permits_of_quota.append(permit)
                    quota.report_handled(permit, {} if number < 3 else TOKEN_LIMITS)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(permits)
    assert all(quota.is_idle for quota in quotas)
    assert [quota.describe().in_flight for quota in quotas] == [0] * len(quotas)
    assert [quota.describe().accepted for quota in quotas] == [len(each) for each in permits]


@pytest.mark.parametrize("is_described", [False, True])
def test_newest_response_that_shows_an_exhausted_limit_counts(*, is_described: bool) -> None:
    now = 0.0
    quota = Quota("quota", clock=lambda: now)
    first, second = acquire(quota), acquire(quota)
    quota.report_handled(first, {LIMIT: "1000", REMAINING: "990"})
    now = 0.005  # less than the interval between two readings
    quota.report_handled(second, {LIMIT: "1000", REMAINING: "0"})
    if is_described:  # this reads the newest response
        assert quota.describe().limits["requests-minute"].remaining == 0
    else:
        now = 1.0

    assert quota.try_acquire(Request()) is None


def test_older_response_does_not_replace_a_newer_one() -> None:
    now = 0.0
    quota = Quota("quota", clock=lambda: now)
    permits = [acquire(quota) for _ in range(3)]
    # The second response arrives too early to be read, and the third one is read.
    for permit, time, remaining in zip(
        permits, (0.0, 0.005, 0.02), ("990", "980", "600"), strict=True
    ):
        now = time
        quota.report_handled(permit, {LIMIT: "1000", REMAINING: remaining})

    assert quota.describe().limits["requests-minute"].remaining == 600


@pytest.mark.parametrize("value", ["unlimited", "0"])
def test_limits_that_cannot_be_read_do_not_allow_more_first_requests(value: str) -> None:
    async def count_permits(quota: Quota) -> int:
        count = 0
        for _ in range(300):
            try:
                async with asyncio.timeout(0):
                    await quota.acquire(Ticket(10.0))
            except TimeoutError:
                break
            count += 1
        return count

    counts = []
    for headers in ({}, {LIMIT: value}):
        quota = Quota("quota", clock=lambda: 0.0)
        permit = acquire(quota)
        quota.report_handled(permit, headers)
        counts.append(asyncio.run(count_permits(quota)))

    assert counts[0] == counts[1] < 100


def test_limits_that_cannot_be_read_leave_the_short_path_open() -> None:
    quota = Quota("quota")
    for _ in range(3):
        quota.report_handled(acquire(quota), {LIMIT: "unlimited"})

    assert quota.describe().accepted == 3
    assert not quota.describe().limits


def test_limits_that_cannot_be_read_do_not_replace_known_ones() -> None:
    now = 0.0
    quota = Quota("quota", clock=lambda: now)
    for headers in ({LIMIT: "1000", REMAINING: "900"}, {LIMIT: "unlimited"}):
        now += 1.0
        permit = acquire(quota)
        quota.report_handled(permit, headers)

    assert quota.describe().limits
