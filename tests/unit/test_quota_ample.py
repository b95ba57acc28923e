"""Requests that are sent without a reservation while the quota is ample."""

import asyncio

import pytest

from langchain_cerebras_inference._quota.queue import Quota, Ticket

LIMIT = "x-ratelimit-limit-requests-minute"
REMAINING = "x-ratelimit-remaining-requests-minute"


@pytest.mark.parametrize("is_described", [False, True])
def test_newest_response_that_shows_an_exhausted_limit_counts(*, is_described: bool) -> None:
    now = 0.0
    quota = Quota("quota", clock=lambda: now)
    first, second = quota.try_acquire(1), quota.try_acquire(1)
    assert first
    assert second
    quota.report_handled(first, {LIMIT: "1000", REMAINING: "990"})
    now = 0.005  # less than the interval between two readings
    quota.report_handled(second, {LIMIT: "1000", REMAINING: "0"})
    if is_described:  # this reads the newest response
        assert quota.describe().limits["requests-minute"].remaining == 0
    else:
        now = 1.0

    assert quota.try_acquire(1) is None


def test_older_response_does_not_replace_a_newer_one() -> None:
    now = 0.0
    quota = Quota("quota", clock=lambda: now)
    permits = [quota.try_acquire(1) for _ in range(3)]
    # The second response arrives too early to be read, and the third one is read.
    for permit, time, remaining in zip(
        permits, (0.0, 0.005, 0.02), ("990", "980", "600"), strict=True
    ):
        assert permit
        now = time
        quota.report_handled(permit, {LIMIT: "1000", REMAINING: remaining})

    assert quota.describe().limits["requests-minute"].remaining == 600


@pytest.mark.parametrize("value", ["unlimited", "0"])
def test_limits_that_cannot_be_read_do_not_allow_more_first_requests(value: str) -> None:
    async def acquire(quota: Quota) -> int:
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
        permit = quota.try_acquire(1)
        assert permit
        quota.report_handled(permit, headers)
        counts.append(asyncio.run(acquire(quota)))

    assert counts[0] == counts[1] < 100


def test_limits_that_cannot_be_read_do_not_replace_known_ones() -> None:
    now = 0.0
    quota = Quota("quota", clock=lambda: now)
    for headers in ({LIMIT: "1000", REMAINING: "900"}, {LIMIT: "unlimited"}):
        now += 1.0
        permit = quota.try_acquire(1)
        assert permit
        quota.report_handled(permit, headers)

    assert quota.describe().limits
