"""Measure what a long queue costs per call: `python -m benchmarks.quota_queue`.

10,000 calls wait for one quota, on an event loop with virtual time, against a simulated server
without a network. Each figure is CPU time per call, minus the CPU time of the same calls
without a quota, and the best of several rounds:

- enter: from the start of `Quota.acquire` until the call waits in the queue.
- leave: from then until the call has a permit, with all decisions, timers and wake-ups on the
  way.
- report: reporting the outcome of its request to the quota.

A wake-up: a waiting call wakes up and asks again whether it may be sent.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from langchain_cerebras_inference._quota.queue import Quota, Ticket
from tests.unit import virtual_time

LATENCY = 0.01
TOKENS = 100.0
SETTINGS: dict[str, dict[str, Any]] = {
    "pace=True": {"has_unlimited_wait": True},
    'pace="auto"': {"max_wait": 1e9},
}
RATES = (10.0, 1_000.0)
"""The requests per second that the server allows. At a low rate, all calls but the first wait
for their own timer; at a high rate, several requests are always in flight."""


class Figures(NamedTuple):
    """The figures of one round: seconds of CPU time, and wake-ups."""

    enter: float
    leave: float
    report: float
    wake_ups: int
    rejections: int


class CpuTimer:
    """Adds up the CPU time of `with` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._start = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._start


class CountingTicket(Ticket):
    """A ticket that counts how often calls are woken."""

    wake_ups = 0

    async def sleep(self, seconds: float) -> None:
        """Sleep, and then count one wake-up."""
        await super().sleep(seconds)
        CountingTicket.wake_ups += 1


class Server:
    """A server with one limit, of requests per minute.

    Args:
        clock: Returns the current time in seconds.
        rate: The requests per second that it allows, and also the largest burst.
    """

    def __init__(self, clock: Callable[[], float], rate: float) -> None:
        self._clock = clock
        self._rate = self._remaining = rate
        self._time = clock()
        self.rejections = 0

    def handle(self) -> tuple[bool, dict[str, str]]:
        """Return whether a request is accepted, and the headers of the response."""
        now = self._clock()
        refilled = self._remaining + self._rate * (now - self._time)
        self._remaining, self._time = min(self._rate, refilled), now
        is_accepted = self._remaining >= 1 - 1e-6
        if is_accepted:
            self._remaining -= 1
        else:
            self.rejections += 1
        return is_accepted, {
            "x-ratelimit-limit-requests-minute": str(self._rate * 60),
            "x-ratelimit-remaining-requests-minute": str(int(self._remaining)),
        }


def main() -> None:
    """Measure all settings at all rates, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    options = parser.parse_args()
    for rate in RATES:
        for name, settings in SETTINGS.items():
            figures = measure(options.calls, options.rounds, rate, settings)
            sys.stdout.write(
                f"{name}, {rate:g} requests/s, {options.calls:,} calls:"
                f" enter {figures.enter / options.calls * 1e6:.1f} µs,"
                f" leave {figures.leave / options.calls * 1e6:.1f} µs,"
                f" report {figures.report / options.calls * 1e6:.1f} µs,"
                f" {figures.wake_ups / options.calls:.2f} wake-ups per call,"
                f" {figures.rejections} rejections\n"
            )


def measure(calls: int, rounds: int, rate: float, settings: dict[str, Any]) -> Figures:
    """Return the best figures of several rounds, minus those of calls without a quota."""
    with_quota, without = [], []
    for _ in range(rounds):
        without.append(_measure_once(calls, rate, None))
        with_quota.append(_measure_once(calls, rate, settings))
    return Figures(
        min(figures.enter for figures in with_quota) - min(base.enter for base in without),
        min(figures.leave for figures in with_quota) - min(base.leave for base in without),
        min(figures.report for figures in with_quota) - min(base.report for base in without),
        with_quota[0].wake_ups,
        with_quota[0].rejections,
    )


def _measure_once(calls: int, rate: float, settings: dict[str, Any] | None) -> Figures:
    gc.collect()
    return virtual_time.run(lambda clock: _run_calls(clock, calls, rate, settings))


async def _run_calls(
    clock: Callable[[], float], calls: int, rate: float, settings: dict[str, Any] | None
) -> Figures:
    CountingTicket.wake_ups = 0
    server, report_timer = Server(clock, rate), CpuTimer()
    if settings is None:
        coroutines = [_call_without_quota(server, n / rate, report_timer) for n in range(calls)]
    else:
        quota = Quota("q", clock=clock)
        first = await quota.acquire(CountingTicket(TOKENS, **settings))
        quota.report_handled(first, server.handle()[1])
        tickets = [CountingTicket(TOKENS, **settings) for _ in range(calls)]
        coroutines = [_call(quota, server, ticket, report_timer) for ticket in tickets]
    start = time.process_time()
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    await asyncio.sleep(0)
    middle = time.process_time()
    await asyncio.gather(*tasks)
    end = time.process_time()
    return Figures(
        middle - start,
        end - middle - report_timer.seconds,
        report_timer.seconds,
        CountingTicket.wake_ups,
        server.rejections,
    )


async def _call(quota: Quota, server: Server, ticket: Ticket, report_timer: CpuTimer) -> None:
    """Make one call as the client does."""
    while True:
        permit = await quota.acquire(ticket)
        await asyncio.sleep(LATENCY)
        is_accepted, headers = server.handle()
        with report_timer:
            if is_accepted:
                quota.report_handled(permit, headers)
            else:
                quota.report_rejected(permit, headers, "request_quota_exceeded")
        if is_accepted:
            return


async def _call_without_quota(server: Server, wait: float, report_timer: CpuTimer) -> None:
    """Make one call that waits as long as it would with a quota, and reports nothing."""
    await asyncio.sleep(wait)
    await asyncio.sleep(LATENCY)
    server.handle()
    with report_timer:  # so that the figures do not contain the cost of the timer
        pass


if __name__ == "__main__":
    main()
