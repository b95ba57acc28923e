"""The queue of a quota, on an event loop with virtual time, against a simulated server."""

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from langchain_cerebras_inference import CerebrasConnectionError, CerebrasRateLimitError
from langchain_cerebras_inference._quota import registry
from langchain_cerebras_inference._quota.info import LimitInfo, QuotaInfo
from langchain_cerebras_inference._quota.queue import (
    NotSentError,
    Permit,
    Quota,
    Ticket,
)
from langchain_cerebras_inference._quota.state import Amounts, Decision, Outcome
from langchain_cerebras_inference._quota.stores import QuotaStoreError
from tests.unit import virtual_time

Clock = Callable[[], float]


@dataclass
class Limiter:
    """A server with a bucket for requests, one for tokens, and optionally a hidden one."""

    clock: Clock
    rate: float
    capacity: float
    token_rate: float = 1e6
    token_capacity: float = 1e7
    hidden_rate: float | None = None
    has_headers: bool = True
    latency: float = 0.01
    accepted: list[Any] = field(default_factory=list)
    rejections: int = 0

    def __post_init__(self) -> None:
        self._levels = [self.capacity, self.token_capacity, self.hidden_rate or 0.0]
        self._time = self.clock()
        self.start = self._time

    def handle(self, name: Any, tokens: float) -> tuple[str | None, dict[str, str]]:
        """Return the code of the error, if there is one, and the headers."""
        now = self.clock()
        rates = [self.rate, self.token_rate, self.hidden_rate or 0.0]
        capacities = [self.capacity, self.token_capacity, self.hidden_rate or 0.0]
        needs = [1.0, tokens, 1.0 if self.hidden_rate else 0.0]
        for index, rate in enumerate(rates):
            refilled = self._levels[index] + rate * (now - self._time)
            self._levels[index] = min(capacities[index], refilled)
        self._time = now
        code = None
        if self._levels[0] < 1 - 1e-6 or self._levels[2] < needs[2] - 1e-6:
            code = "request_quota_exceeded"
        elif self._levels[1] < tokens - 1e-6:
            code = "token_quota_exceeded"
        if code is None:
            self._levels = [
                level - need for level, need in zip(self._levels, needs, strict=True)
            ]
            self.accepted.append(name)
        else:
            self.rejections += 1
        return code, self._create_headers()

    def _create_headers(self) -> dict[str, str]:
        if not self.has_headers:
            return {}
        return {
            "x-ratelimit-limit-requests-minute": str(self.rate * 60),
            "x-ratelimit-remaining-requests-minute": str(int(self._levels[0])),
            "x-ratelimit-limit-tokens-minute": str(self.token_rate * 60),
            "x-ratelimit-remaining-tokens-minute": str(int(self._levels[1])),
        }


async def make_call(
    quota: Quota, limiter: Limiter, ticket: Ticket, name: Any = None, tokens: float = 100.0
) -> None:
    """Make one call as the client does."""
    while True:
        permit = await quota.acquire(ticket)
        await asyncio.sleep(limiter.latency / 2)
        code, headers = limiter.handle(name, tokens)
        await asyncio.sleep(limiter.latency / 2)
        if code is None:
            quota.report_handled(permit, headers)
            return
        quota.report_rejected(permit, headers, code, None if headers else 1.0)


def create_ticket(tokens: float = 100.0, **options: Any) -> Ticket:
    return Ticket(tokens, **{"max_wait": 60.0, **options})


async def make_calls(quota: Quota, limiter: Limiter, count: int, **options: Any) -> None:
    await asyncio.gather(
        *(make_call(quota, limiter, create_ticket(**options), n) for n in range(count))
    )


def run(work: Callable[[Clock], Coroutine[Any, Any, None]]) -> None:
    virtual_time.run(work)


# --- sending while the quota allows it ---------------------------------------------------


@pytest.mark.parametrize("latency", [0.001, 0.2])
def test_paced_calls_use_the_whole_quota_without_a_rejection(latency: float) -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=10, capacity=20, latency=latency)
        await make_calls(Quota("q", clock=clock), limiter, 1_000, has_unlimited_wait=True)

        ideal = (1_000 - 20) / 10
        assert limiter.rejections == 0
        assert ideal <= clock() - limiter.start <= ideal * 1.03

    run(work)


def test_calls_with_the_default_setting_wait_for_their_turn() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=10, capacity=20)
        quota = Quota("q", clock=clock)
        slots = asyncio.Semaphore(16)

        async def call(number: int) -> None:
            async with slots:
                await make_call(quota, limiter, create_ticket(), number)

        await asyncio.gather(*map(call, range(200)))

        assert limiter.rejections == 0
        assert clock() - limiter.start <= 18 * 1.05

    run(work)


def test_calls_with_many_tokens_use_the_whole_quota() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, 1e3, 1e3, token_rate=10_000, token_capacity=40_000)
        quota = Quota("q", clock=clock)
        sizes = [100 + 37 * n % 9_000 for n in range(300)]
        calls = (
            make_call(quota, limiter, create_ticket(size, has_unlimited_wait=True), tokens=size)
            for size in sizes
        )
        await asyncio.gather(*calls)

        ideal = (sum(sizes) - 40_000) / 10_000
        assert limiter.rejections <= 3
        assert clock() - limiter.start <= ideal * 1.05

    run(work)


def test_too_high_token_estimate_does_not_slow_down_sequential_calls() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, 1e3, 1e3, token_rate=500, token_capacity=30_000)
        quota = Quota("q", clock=clock)
        for _ in range(50):
            await make_call(quota, limiter, create_ticket(16_384), tokens=100)

        assert limiter.rejections == 0
        assert clock() - limiter.start < 1

    run(work)


def test_hidden_limit_causes_few_rejections() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=10, capacity=60, hidden_rate=10, latency=0.1)
        await make_calls(Quota("q", clock=clock), limiter, 600, has_unlimited_wait=True)

        assert limiter.rejections <= 30

    run(work)


def test_description_has_the_queue_the_wait_and_the_last_limits() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=10, capacity=20)
        quota = Quota("q", clock=clock)
        assert quota.describe() == QuotaInfo(0, 0.0, 0, 0, 0, {})
        calls = asyncio.gather(
            *(
                make_call(quota, limiter, create_ticket(has_unlimited_wait=True))
                for _ in range(120)
            )
        )
        await asyncio.sleep(3)

        info = quota.describe()
        assert info.limits["requests-minute"] == LimitInfo(600, 0)
        assert info.used_share == 1
        assert info.queue_length + info.in_flight + info.accepted == 120
        assert info.queue_length > 60
        assert info.wait == pytest.approx(info.queue_length / 10, abs=0.3)
        assert info.rejected == limiter.rejections

        await calls
        done = quota.describe()
        assert (done.queue_length, done.wait, done.in_flight, done.accepted) == (0, 0, 0, 120)

    run(work)


@pytest.mark.parametrize(
    ("limit", "remaining", "share"),
    [
        (10, 10, 0),
        (10, 4, 0.6),
        (10, 0, 1),
        (10, -1, 1),
        (10, 12, 0),
        (10, None, None),
        (0, 0, None),
    ],
)
def test_used_share_of_a_limit_is_between_0_and_1(
    limit: float, remaining: float | None, share: float | None
) -> None:
    info = LimitInfo(limit, remaining)

    assert info.used_share == (None if share is None else pytest.approx(share))


def test_calls_leave_the_queue_in_order_of_arrival() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, rate=10)
        left: list[int] = []

        async def call(number: int) -> None:
            await quota.acquire(create_ticket(has_unlimited_wait=number % 2 == 0))
            left.append(number)

        await asyncio.gather(*map(call, range(100)))

        assert left == sorted(left)

    run(work)


def test_rejected_call_returns_to_its_position_in_the_queue() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=1, capacity=1, latency=0.5)
        quota = Quota("q", clock=clock)
        await make_call(quota, limiter, create_ticket(), "first")
        limiter._levels[0] = -2.0  # somebody else uses the quota as well
        calls = [
            asyncio.create_task(make_call(quota, limiter, create_ticket(), name))
            for name in ("second", "third", "fourth")
        ]
        await asyncio.gather(*calls)

        assert limiter.rejections >= 1
        assert limiter.accepted == ["first", "second", "third", "fourth"]

    run(work)


# --- before the limits are known ---------------------------------------------------------


@pytest.mark.parametrize(("has_unlimited_wait", "count"), [(True, 8), (False, 64)])
def test_few_requests_are_sent_before_the_limits_are_known(
    has_unlimited_wait: bool, count: int
) -> None:
    async def work(clock: Clock) -> None:
        quota = Quota("q", clock=clock)
        sent: list[float] = []

        async def send() -> None:
            await quota.acquire(create_ticket(has_unlimited_wait=has_unlimited_wait))
            sent.append(clock())

        tasks = [asyncio.create_task(send()) for _ in range(8 * count)]
        await asyncio.sleep(0)
        assert len(sent) == count
        await asyncio.sleep(1.001)
        assert len(sent) == pytest.approx(2 * count, abs=1)
        await asyncio.sleep(1)
        assert len(sent) == pytest.approx(4 * count, abs=1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(work)


def test_each_response_without_limits_allows_two_more_requests() -> None:
    async def work(clock: Clock) -> None:
        quota = Quota("q", clock=clock)
        permits: list[Permit] = []

        async def send() -> None:
            permits.append(await quota.acquire(create_ticket()))

        tasks = [asyncio.create_task(send()) for _ in range(100)]
        await asyncio.sleep(0)
        for permit in permits[:10]:
            quota.report_handled(permit, {})
        for _ in range(50):
            await asyncio.sleep(0)

        assert len(permits) == 64 + 20
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(work)


def test_all_calls_succeed_on_a_server_without_limit_headers() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=10, capacity=20, has_headers=False)
        await make_calls(Quota("q", clock=clock), limiter, 100, has_unlimited_wait=True)

        assert len(limiter.accepted) == 100
        assert limiter.rejections <= 100

    run(work)


# --- while the quota is ample ------------------------------------------------------------


def create_headers(remaining: float, limit: float = 60.0) -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests-minute": str(limit),
        "x-ratelimit-remaining-requests-minute": str(remaining),
    }


async def open_quota(clock: Clock, *, rate: float = 1.0, remaining: float = 0) -> Quota:
    """Create a quota whose limit per minute is known."""
    quota = Quota("q", clock=clock)
    permit = await quota.acquire(create_ticket())
    quota.report_handled(permit, create_headers(remaining, 60 * rate))
    return quota


async def count_permits(quota: Quota, **options: Any) -> int:
    """Return how many of many simultaneous calls may be sent at once."""
    tickets = [create_ticket(max_wait=1e9, **options) for _ in range(200)]
    calls = [asyncio.create_task(quota.acquire(ticket)) for ticket in tickets]
    for _ in range(1_000):
        await asyncio.sleep(0)
    permits = sum(call.done() for call in calls)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    return permits


@pytest.mark.parametrize("capacity", [20, 60, 300, 400, 600])
@pytest.mark.parametrize("latency", [0.001, 0.3])
def test_calls_use_the_whole_quota_of_any_capacity(capacity: float, latency: float) -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=10, capacity=capacity, latency=latency)
        quota = Quota("q", clock=clock)
        slots = asyncio.Semaphore(16)

        async def call(number: int) -> None:
            async with slots:
                await make_call(quota, limiter, create_ticket(), number)

        await asyncio.gather(*map(call, range(1_000)))

        ideal = (1_000 - capacity) / 10
        assert limiter.rejections == 0
        # No more requests than slots are in flight, which limits the speed of the first burst.
        burst = capacity / 16 * latency
        assert clock() - limiter.start <= (ideal + burst) * 1.05

    run(work)


@pytest.mark.parametrize("remaining", [0, 10, 29, 30, 31, 45, 59])
@pytest.mark.parametrize("has_unlimited_wait", [False, True])
def test_no_more_requests_are_sent_at_once_than_remain(
    remaining: int, has_unlimited_wait: bool
) -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, remaining=remaining)
        permits = await count_permits(quota, has_unlimited_wait=has_unlimited_wait)

        # Paced calls also observe the window.
        assert permits == (min(remaining, 8) if has_unlimited_wait else remaining)

    run(work)


@pytest.mark.parametrize("is_sent_first", [False, True])
def test_requests_in_flight_are_subtracted_from_what_remains(is_sent_first: bool) -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, remaining=59)
        if is_sent_first:
            others = [await quota.acquire(create_ticket()) for _ in range(10)]
            own = await quota.acquire(create_ticket())
        else:
            own = await quota.acquire(create_ticket())
            others = [await quota.acquire(create_ticket()) for _ in range(10)]
        assert len(others) == 10
        quota.report_handled(own, create_headers(50))

        assert await count_permits(quota) == 40

    run(work)


def test_quota_is_refilled_since_the_last_response() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, remaining=59)
        quota.report_handled(await quota.acquire(create_ticket()), create_headers(35))
        await asyncio.sleep(20)

        assert await count_permits(quota) == 55

    run(work)


def test_burst_after_an_idle_time_is_no_larger_than_the_bucket() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, remaining=59)
        await asyncio.sleep(600)

        assert await count_permits(quota) == 60

    run(work)


def test_quota_is_refilled_up_to_the_largest_amount_that_a_response_showed() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, remaining=44)
        quota.report_handled(await quota.acquire(create_ticket()), create_headers(35))
        await asyncio.sleep(60)

        assert await count_permits(quota) == 45

    run(work)


def test_tokens_of_all_requests_in_flight_count_while_the_quota_is_ample() -> None:
    async def work(clock: Clock) -> None:
        quota = Quota("q", clock=clock)
        headers = {
            "x-ratelimit-limit-tokens-minute": "10000",
            "x-ratelimit-remaining-tokens-minute": "9900",
        }
        quota.report_handled(await quota.acquire(create_ticket()), headers)

        assert await count_permits(quota, tokens=1_000) == 9

    run(work)


@pytest.mark.parametrize("seconds_between", [0.0, 5.0])
def test_newest_response_is_described_and_used_while_the_quota_is_ample(
    seconds_between: float,
) -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, remaining=59)
        for remaining in (58, 35):  # another client takes 22 in between
            await asyncio.sleep(seconds_between)
            permit = await quota.acquire(create_ticket())
            quota.report_handled(permit, create_headers(remaining))

        assert quota.describe().limits["requests-minute"] == LimitInfo(60.0, 35.0)
        assert await count_permits(quota) == 35

    run(work)


def test_use_by_another_client_is_seen_in_time_while_the_quota_is_ample() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, remaining=59)
        permits = [await quota.acquire(create_ticket()) for _ in range(10)]
        for number, permit in enumerate(permits):
            await asyncio.sleep(0.02)
            quota.report_handled(permit, create_headers(20 - number))

        assert await count_permits(quota) == 11

    run(work)


def test_rejection_ends_the_ample_phase() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, remaining=59)
        permit = await quota.acquire(create_ticket())
        quota.report_rejected(permit, create_headers(0), "request_quota_exceeded")

        assert await count_permits(quota) == 0

    run(work)


def test_calls_do_not_overtake_waiting_calls_when_the_limits_are_ample() -> None:
    async def work(clock: Clock) -> None:
        quota = Quota("q", clock=clock)
        left: list[int] = []

        async def call(number: int) -> None:
            permit = await quota.acquire(create_ticket())
            left.append(number)
            await asyncio.sleep(0.1)
            quota.report_handled(permit, create_headers(5_000 - len(left), limit=6_000))

        waiting = [asyncio.create_task(call(number)) for number in range(100)]
        await asyncio.sleep(0.099)
        assert 64 <= len(left) < 100
        for number in range(100, 200):
            await asyncio.sleep(0.0001)
            waiting.append(asyncio.create_task(call(number)))
        await asyncio.gather(*waiting)

        assert left == list(range(200))
        assert quota.is_idle

    run(work)


class CountingTicket(Ticket):
    """A ticket that counts how often its call is woken."""

    wake_ups = 0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.wake_ups += 1


@pytest.mark.parametrize(
    "options", [{"has_unlimited_wait": True}, {"max_wait": 1e9}], ids=["paced", "auto"]
)
def test_calls_in_a_long_queue_sleep_until_they_are_first(options: dict[str, Any]) -> None:
    tickets = [CountingTicket(100.0, **options) for _ in range(300)]

    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=0.1, capacity=1)
        quota = Quota("q", clock=clock)
        await make_call(quota, limiter, create_ticket())
        await asyncio.gather(*(make_call(quota, limiter, ticket) for ticket in tickets))

        assert clock() - limiter.start > 2_900

    run(work)
    assert max(ticket.wake_ups for ticket in tickets) <= 4


# --- how long a call waits ---------------------------------------------------------------


def test_call_that_would_wait_too_long_fails_at_once_with_the_wait_in_the_error() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock)
        tasks = [
            asyncio.create_task(quota.acquire(create_ticket(max_wait=10))) for _ in range(20)
        ]
        start = clock()
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)

        assert clock() - start < 0.1
        errors = [task.exception() for task in done if task.exception()]
        assert all(isinstance(error, CerebrasRateLimitError) for error in errors)
        assert "pace=True" in str(errors[0])
        assert "requests per minute" in str(errors[0])
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(result, Permit) for result in results) == 10
        error = next(result for result in results if isinstance(result, NotSentError))
        assert error.retry_after == pytest.approx(11, abs=1)
        assert error.is_retryable

    run(work)


def test_wait_of_the_last_call_is_estimated_from_the_current_time() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, rate=0.05)
        start = clock()
        head = asyncio.create_task(quota.acquire(Ticket(100.0)))
        await asyncio.sleep(19.0)

        await quota.acquire(Ticket(100.0, max_wait=25.0))

        assert head.done()
        assert clock() - start == pytest.approx(40.0)

    virtual_time.run(work)


def test_waiting_calls_fail_if_the_first_headers_show_a_wait_that_is_too_long() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=1, capacity=70, latency=0.2)
        quota = Quota("q", clock=clock)
        calls = (make_call(quota, limiter, create_ticket(max_wait=10)) for _ in range(200))
        results = await asyncio.gather(*calls, return_exceptions=True)

        failed = [result for result in results if result is not None]
        assert all(isinstance(result, NotSentError) for result in failed)
        assert 100 < len(failed) < 130
        assert clock() - limiter.start < 12

    run(work)


def test_time_in_the_queue_is_limited_over_all_attempts() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=1, capacity=1)
        quota = Quota("q", clock=clock)
        await make_call(quota, limiter, create_ticket())
        limiter._levels[0] = -1e6  # it rejects everything
        start = clock()

        with pytest.raises(NotSentError):
            await make_call(quota, limiter, create_ticket(max_wait=30))

        assert clock() - start <= 31

    run(work)


@pytest.mark.parametrize("period", ["hour", "day"])
def test_call_fails_at_once_for_an_exhausted_long_limit_unless_paced(
    period: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "langchain_cerebras_inference")

    async def work(clock: Clock) -> None:
        quota = Quota("q", clock=clock)
        headers = {
            f"x-ratelimit-limit-requests-{period}": "2",
            f"x-ratelimit-remaining-requests-{period}": "0",
        }
        quota.report_handled(await quota.acquire(create_ticket()), headers)

        with pytest.raises(NotSentError, match=f"requests per {period}"):
            await quota.acquire(create_ticket(max_wait=1e9))
        start = clock()
        await quota.acquire(create_ticket(has_unlimited_wait=True))

        expected = {"hour": 1_800, "day": 43_200}[period]
        assert clock() - start == pytest.approx(expected, rel=0.01)

    run(work)
    [message] = caplog.messages
    assert f"limit of requests per {period}" in message
    assert "until 2" in message


def test_call_that_may_not_wait_is_sent_or_fails_at_once() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock)
        start = clock()
        waiting = asyncio.create_task(quota.acquire(create_ticket()))
        await asyncio.sleep(0)

        await quota.acquire(create_ticket(can_wait=False))
        assert clock() == start
        with pytest.raises(NotSentError, match="max_retries"):
            await quota.acquire(create_ticket(can_wait=False, has_unlimited_wait=True))
        assert clock() == start
        await waiting

    run(work)


def test_request_that_is_larger_than_the_limit_fails_at_once() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, 10, 10, token_rate=100, token_capacity=6_000)
        quota = Quota("q", clock=clock)
        await make_call(quota, limiter, create_ticket())
        start = clock()

        with pytest.raises(CerebrasRateLimitError, match="max_tokens") as caught:
            await quota.acquire(create_ticket(9_000, min_tokens=7_000, has_unlimited_wait=True))

        assert clock() == start
        assert caught.value.is_retryable is False

    run(work)


def test_request_larger_than_the_limit_is_sent_when_the_limit_may_have_changed() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, 10, 10, token_rate=100, token_capacity=6_000)
        quota = Quota("q", clock=clock)
        await make_call(quota, limiter, create_ticket())
        await asyncio.sleep(61)

        await quota.acquire(create_ticket(9_000, min_tokens=7_000))

    run(work)


def test_request_that_is_larger_than_the_bucket_fails_after_three_rejections() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, 10, 10, token_rate=100, token_capacity=1_000)
        quota = Quota("q", clock=clock)
        await make_call(quota, limiter, create_ticket())

        with pytest.raises(CerebrasRateLimitError, match="1000"):
            await make_call(
                quota, limiter, create_ticket(3_000, has_unlimited_wait=True), tokens=3_000
            )

        assert limiter.rejections == 3

    run(work)


def test_token_estimate_that_is_too_low_is_raised_after_a_rejection() -> None:
    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, 10, 10, token_rate=100, token_capacity=1_000)
        quota = Quota("q", clock=clock)
        await make_call(quota, limiter, create_ticket(900), tokens=900)

        await make_call(quota, limiter, create_ticket(500, has_unlimited_wait=True), tokens=800)

        assert limiter.rejections <= 3

    run(work)


# --- leaving the queue -------------------------------------------------------------------


def test_cancelled_call_leaves_the_queue() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock)
        start = clock()
        tasks = [asyncio.create_task(quota.acquire(create_ticket())) for _ in range(4)]
        await asyncio.sleep(0.5)

        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert clock() - start == pytest.approx(2, abs=0.05)
        assert not quota._queues

    run(work)


def test_cancelled_permit_ends_the_wait_of_the_next_call() -> None:
    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, rate=0.01, remaining=1)
        permit = await quota.acquire(create_ticket())
        task = asyncio.create_task(quota.acquire(create_ticket(has_unlimited_wait=True)))
        await asyncio.sleep(1)
        start = clock()

        quota.report_unsent(permit)
        await task

        assert clock() == start

    run(work)


def test_cancelled_permit_ends_the_wait_in_another_event_loop() -> None:
    """The quota allows one request; the permit for it is cancelled in another thread."""
    quota = Quota("q")
    headers = {
        "x-ratelimit-limit-requests-minute": "0.001",
        "x-ratelimit-remaining-requests-minute": "1",
    }

    async def take() -> Permit:
        quota.report_handled(await quota.acquire(create_ticket()), headers)
        return await quota.acquire(create_ticket())

    permit = asyncio.run(take())
    thread = threading.Thread(
        target=lambda: asyncio.run(quota.acquire(create_ticket(has_unlimited_wait=True)))
    )
    thread.start()
    while not quota._queues:
        pass
    quota.report_unsent(permit)
    thread.join(30)

    assert not thread.is_alive()
    assert not quota._queues


def test_waits_above_a_second_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "langchain_cerebras_inference")

    async def work(clock: Clock) -> None:
        quota = await open_quota(clock, rate=2.0)
        await asyncio.gather(*(quota.acquire(create_ticket()) for _ in range(3)))

    run(work)

    assert len(caplog.messages) == 2
    assert caplog.messages[0] == (
        "Waiting up to 1.0 s for the limit of requests per minute; calls in the queue: 2"
    )


@pytest.mark.parametrize("has_unlimited_wait", [False, True])
@pytest.mark.parametrize("has_headers", [False, True])
def test_waits_and_rejections_are_logged_at_most_once_a_second(
    has_headers: bool, has_unlimited_wait: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "langchain_cerebras_inference")
    error = CerebrasRateLimitError("The quota is exhausted.")
    seconds = 0.0

    async def work(clock: Clock) -> None:
        nonlocal seconds
        quota = Quota("q", clock=clock)
        limiter = Limiter(clock, rate=50, capacity=50, has_headers=has_headers)
        start = clock()
        await make_calls(quota, limiter, 500, has_unlimited_wait=has_unlimited_wait)
        seconds = clock() - start
        for _ in range(100):
            quota.log_rejection(error)

    run(work)

    *waits, rejection = caplog.messages
    lengths = [int(message.rpartition("calls in the queue: ")[2]) for message in waits]
    assert rejection == "Waiting for the quota again after: The quota is exhausted."
    assert seconds / 2 <= len(waits) <= seconds + 1
    assert max(lengths) > 300
    assert lengths[1:] == sorted(lengths[1:], reverse=True)


def test_log_shows_how_long_the_last_call_waits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "langchain_cerebras_inference")

    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=10, capacity=10)
        quota = await open_quota(clock, rate=10.0)
        await make_calls(quota, limiter, 60, has_unlimited_wait=True)

    run(work)

    text = "Waiting up to 4.{} s for the limit of requests per minute; calls in the queue: {}"
    assert re.search(text.format(r"\d", r"4\d"), "\n".join(caplog.messages))


# --- stores that do not work -------------------------------------------------------------


class BrokenStore:
    """A shared store that is down."""

    is_shared = True

    def __init__(self) -> None:
        self.operations = 0

    async def reserve(
        self,
        name: str,
        needs: Amounts,
        *,
        position: Amounts | None = None,
        force: bool = False,
    ) -> Decision:
        self.operations += 1
        raise QuotaStoreError("Redis at example.com: ConnectionError")

    def record_outcome(self, name: str, outcome: Outcome, on_done: Callable[[], None]) -> None:
        on_done()


def test_paced_call_fails_if_the_store_does_not_work() -> None:
    async def work(clock: Clock) -> None:
        quota = Quota("q", BrokenStore(), clock=clock)
        with pytest.raises(
            CerebrasConnectionError, match=r"example\.com.*Check the setting quota_store"
        ):
            await quota.acquire(create_ticket(has_unlimited_wait=True))
        assert not quota._queues

    run(work)


def test_unpaced_calls_continue_without_the_store_and_log_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = BrokenStore()

    async def work(clock: Clock) -> None:
        limiter = Limiter(clock, rate=10, capacity=20)
        await make_calls(Quota("q", store, clock=clock), limiter, 100)

        assert limiter.rejections == 0

    run(work)

    assert store.operations == 1
    [message] = caplog.messages
    assert "quota store does not work" in message


# --- the quotas of a process -------------------------------------------------------------


def test_quota_belongs_to_origin_authorization_and_model() -> None:
    def get_quotas() -> list[Quota]:
        return [
            registry.get_quota(base_url, {"Authorization": authorization}, model, None)
            for base_url, authorization, model in (
                ("https://a.example", "Bearer k", "m"),
                ("https://b.example", "Bearer k", "m"),
                ("https://a.example", "Bearer l", "m"),
                ("https://a.example", "Bearer k", "n"),
            )
        ]

    quotas = get_quotas()

    assert len(set(map(id, quotas))) == 4
    assert get_quotas() == quotas
    shown = f"{vars(registry)} {vars(quotas[0])}"
    assert "Bearer" not in shown


def test_all_urls_of_a_server_have_the_same_quota() -> None:
    quotas = [
        registry.get_quota(f"https://a.example{path}", {"Authorization": "Bearer k"}, "m", None)
        for path in ("", "/v1", "/v2/x")
    ]

    assert quotas[0] is quotas[1] is quotas[2]


def test_model_of_any_type_has_a_quota() -> None:
    headers = {"Authorization": "Bearer k"}
    model: Any = ["m"]  # `extra_body` can set any value
    quota = registry.get_quota("https://a.example", headers, model, None)

    assert registry.get_quota("https://a.example", headers, ["m"], None) is quota  # type: ignore[arg-type]


def test_number_of_idle_quotas_is_limited() -> None:
    for number in range(registry._MAX_ENTRIES + 10):
        headers = {"Authorization": f"Bearer {number}"}
        registry.get_quota("https://a.example", headers, "m", None)
        assert len(registry._quotas) <= registry._MAX_ENTRIES
