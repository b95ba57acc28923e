"""The queue of the calls that wait for one quota.

Words of this module, in addition to those of `state`:

- ticket: what the queue knows about one call. The call has the same ticket in all its attempts.
- queue: the tickets of one quota and one event loop that wait, in order of arrival.
- permit: the permission to send one request. `Quota.acquire` returns it, and the call reports
  with it what happened to the request.
- in flight: sent, and without a response.
- counted: included in the sums of the needs of all requests. Counting begins with the first
  response that shows a limit, or with the first rejection; with a shared store, at once.
- window: the maximum number of requests in flight while the limits are unknown; see `ample`.
- handled: the server has answered the request, but not with a rejection because of this quota;
  or it is unknown what the server did.
- ample: so much remains of each limit that calls with `pace="auto"` need no reservation; see
  `ample`. Calls with `pace=True` reserve as soon as the limits are known.
- long limit: a limit per hour or per day.

Of the calls in a queue, only the head reserves the needs of its request in the store. So event
loops and processes take turns, and a killed process leaves only one reservation that nobody
uses. There is no background task: each waiting call has its own timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
import logging
import math
import threading
import time
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, Protocol

from langchain_cerebras_inference._http import rate_limits
from langchain_cerebras_inference._quota import state
from langchain_cerebras_inference._quota.ample import (
    TOKEN_BUCKETS,
    AmplePhase,
    ShownLimits,
    Totals,
    Window,
)
from langchain_cerebras_inference._quota.info import LimitInfo, QuotaInfo
from langchain_cerebras_inference._quota.state import (
    REQUESTS,
    TOKENS,
    Amounts,
    Decision,
    Outcome,
)
from langchain_cerebras_inference._quota.stores import (
    MemoryStore,
    QuotaStoreError,
    Store,
)
from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasRateLimitError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger("langchain_cerebras_inference")

_WINDOW_AUTO = 64
_WINDOW_PACE_TRUE = 8
_WINDOW_SHARED = 2
"""The windows at the beginning: for `pace="auto"`, for `pace=True`, and for a shared store."""

_MAX_SLEEP = 60.0
"""Seconds after which the head of a queue asks again, because another process may have given
back a reservation."""

_LIMIT_LIFETIME = 60.0
"""Seconds for which the last known limit of tokens is trusted. After that, a larger request is
sent, because the limit may have been raised."""

_STORE_PAUSE = 30.0
"""Seconds after a failure of the store in which it is not used."""

_MIN_LOGGED_WAIT = 1.0
"""Seconds; a shorter wait is not logged."""

_LOG_INTERVAL = 1.0
"""Seconds in which a quota logs at most one line about waits, and one about rejections."""

_MIN_DATED_WAIT = 600.0
"""Seconds; of a longer wait, the log also shows when it ends."""

_MAX_REJECTIONS = 3
_ESTIMATE_GROWTH = 1.5
_NO_AMOUNTS = Amounts(0.0, 0.0)
_WITHOUT_RESERVATION = Decision(0.0, 0.0)

take_arrival_number = itertools.count().__next__
_get_arrival = attrgetter("arrival")


class NotSentError(CerebrasRateLimitError):
    """A request was not sent: it is too large, has to wait too long, or must not wait."""


class Request(Protocol):
    """A request for which a quota gives permits."""

    def estimate_tokens(self) -> float:
        """Return an estimate of the tokens of the request, which should not be too low."""
        ...


@dataclass(eq=False)
class Ticket:
    """One call in the queue of a quota, with all its attempts.

    Attributes:
        tokens: The estimated tokens of the request: its prompt and its longest completion.
        min_tokens: A lower bound of these tokens.
        has_unlimited_wait: Whether the call waits as long as it takes (`pace=True`).
        can_wait: Whether the call may wait at all (`max_retries` is not 0).
        max_wait: The longest time in the queue, in seconds, without `has_unlimited_wait`.
        arrival: The number of the call in the order of arrival.
        token_rejections: How often the server rejected the request because of its tokens.
        waited: Seconds that the call has spent in the queue.
        deadline: When the call has to leave the queue, by the clock of the quota.
        needs: The needs of the request at the last decision.
        decision: The last decision, until it becomes a permit or its reservation is given back.
        store: The store that made the decision.
        is_woken: Whether `wake` was called since the call last asked whether it may be sent.
        is_logged: Whether the wait of this call was logged since it last entered the queue.
        future: The future that ends the sleep of the call.
    """

    tokens: float
    min_tokens: float = 0.0
    has_unlimited_wait: bool = False
    can_wait: bool = True
    max_wait: float = math.inf
    arrival: int = field(default_factory=take_arrival_number)
    token_rejections: int = field(default=0, init=False)
    waited: float = field(default=0.0, init=False)
    deadline: float = field(default=math.inf, init=False)
    needs: Amounts = field(default=_NO_AMOUNTS, init=False)
    decision: Decision | None = field(default=None, init=False)
    store: Store | None = field(default=None, init=False)
    is_woken: bool = field(default=False, init=False)
    is_logged: bool = field(default=False, init=False)
    future: asyncio.Future[None] | None = field(default=None, init=False)

    def estimate_tokens(self) -> float:
        """Return the tokens with which the request was last allowed."""
        return self.needs.tokens

    def wake(self) -> None:
        """End the sleep of the call, which then asks again whether it may be sent."""
        self.is_woken = True
        if self.future is not None and not self.future.done():
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self.future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Sleep for a number of seconds, or until `wake` is called."""
        if self.is_woken:
            return
        loop = asyncio.get_running_loop()
        self.future = loop.create_future()
        timer = loop.call_later(seconds, self.wake) if seconds < math.inf else None
        try:
            await self.future
        finally:
            self.future = None
            if timer is not None:
                timer.cancel()


class Permit:
    """The permission to send one request.

    Attributes:
        quota: The quota that gave the permission.
        handled_before: The sum of the needs of all counted requests that had been handled
            when the permit was given.
        arrival: The arrival of the call, for the ticket that it gets if this request fails.
        tokens: The tokens that the request needs; 0 if it has not been counted.
        ticket: The ticket of the call; `None` if the call did not need one up to now.
        decision: The decision to send it; `None` for a request without a reservation.
        store: The store that made the decision; `None` for a request without a reservation.
        sent_at: When the request was sent, by the clock of the quota, if it has a reservation.
        is_reported: Whether the outcome was reported.
    """

    # There is no `__init__`, because calling it takes too long. Each permit needs these two.
    quota: Quota
    arrival: int
    handled_before: Totals = (0.0, 0.0)
    tokens: float = 0.0
    ticket: Ticket | None = None
    decision: Decision | None = None
    store: Store | None = None
    sent_at = 0.0
    is_reported = False


class _CallQueue:
    """The tickets of one event loop that wait, in order of arrival."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.tickets: list[Ticket] = []
        self._loop = loop
        self._tokens = 0.0
        self._head_decision: Decision | None = None
        self._head_tokens = 0.0
        self._head_time = 0.0

    def add(self, ticket: Ticket) -> None:
        """Insert a ticket by its arrival; a rejected call comes before later ones."""
        insort(self.tickets, ticket, key=_get_arrival)
        self._tokens += ticket.tokens

    def remove(self, ticket: Ticket) -> None:
        """Remove a ticket, and wake the new first or last call."""
        index = bisect_left(self.tickets, ticket.arrival, key=_get_arrival)
        del self.tickets[index]
        self._tokens -= ticket.tokens
        if not self.tickets:
            return
        if index == 0:
            self.tickets[0].wake()
        if index == len(self.tickets):
            self.tickets[-1].wake()  # it is the last call now, and may have to wait too long

    def record_head(self, head: Ticket, now: float) -> None:
        """Remember the decision about the head, for the estimates of the waits of others."""
        self._head_decision = head.decision
        self._head_tokens = head.tokens
        self._head_time = now

    def estimate_wait(self, ticket: Ticket, now: float) -> float:
        """Return the seconds until a call may be sent; 0 if unknown.

        Args:
            ticket: The ticket of the first or of the last call in the queue.
            now: The current time.
        """
        is_head = ticket is self.tickets[0]
        return self._estimate_wait(0 if is_head else len(self.tickets) - 1, now)

    def estimate_longest_wait(self, now: float) -> float:
        """Return the seconds until the last call may be sent, from any thread."""
        return self._estimate_wait(len(self.tickets) - 1, now)

    def _estimate_wait(self, calls_before: int, now: float) -> float:
        decision = self._head_decision
        if decision is None or calls_before < 0:
            return 0.0
        wait = decision.wait
        if calls_before > 0:
            additional = Amounts(calls_before, self._tokens - self._head_tokens)
            wait = decision.estimate_wait(additional)
        return max(wait - (now - self._head_time), 0.0)

    def find_bottleneck(self) -> str | None:
        """Return the name of the bucket that the head waits for, or `None`."""
        decision = self._head_decision
        return decision.find_bottleneck() if decision is not None else None

    def wake_head(self) -> None:
        """Wake the first call, from any thread."""
        try:
            is_current = asyncio.get_running_loop() is self._loop
        except RuntimeError:  # a thread without an event loop
            is_current = False
        if is_current:
            self._wake_head()
        else:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._wake_head)

    def _wake_head(self) -> None:
        if self.tickets:
            self.tickets[0].wake()


class Quota:
    """One quota: its queues, and what is known about its limits.

    Args:
        name: A digest that identifies the quota.
        store: The store that keeps its state; by default it is in memory.
        clock: Returns the current time in seconds.
    """

    def __init__(
        self,
        name: str,
        store: Store | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._clock = clock
        self._memory = MemoryStore(clock)
        self._store: Store = store or self._memory
        self._store_retry_time = -math.inf
        self._queues: dict[asyncio.AbstractEventLoop, _CallQueue] = {}
        # Reentrant, because garbage collection can close a stream while this thread holds the
        # lock, and closing it reports to the quota.
        self._lock = threading.RLock()
        self._shown = ShownLimits()
        self._rejections = 0
        is_shared = self._store.is_shared
        # Whether requests are counted; see the top of this module. With a shared store, another
        # process may have seen a limit.
        self._is_counting = is_shared
        # The requests in flight that are not counted, and the number of handled requests that
        # were not counted. Counting needs the lock and an estimate of the tokens, which would
        # double the time per request. A single change of a dict needs no lock. If two threads
        # lose an increment, only the window and `accepted` are smaller by one.
        self._uncounted: dict[Permit, Request] = {}
        self._uncounted_handled = 0
        # The needs of all handled requests that were counted.
        self._handled: Totals = (0.0, 0.0)
        # The same, plus the needs of the counted requests in flight. Those of a rejected or
        # unsent request are subtracted again.
        self._sent: Totals = (0.0, 0.0)
        self._window = Window(
            auto_size=_WINDOW_SHARED if is_shared else _WINDOW_AUTO,
            pace_true_size=_WINDOW_SHARED if is_shared else _WINDOW_PACE_TRUE,
            now=clock(),
        )
        # With a shared store there is no such phase: other processes use the quota, too.
        self._ample = AmplePhase(self._shown, clock, is_over=is_shared)
        self._log_times: dict[str, float] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no call waits, and no request is in flight."""
        return not self._queues and self._in_flight <= 0

    @property
    def _in_flight(self) -> float:
        return len(self._uncounted) + self._sent[REQUESTS] - self._handled[REQUESTS]

    @property
    def _accepted(self) -> float:
        """The number of handled requests, counted or not."""
        return self._uncounted_handled + self._handled[REQUESTS]

    def describe(self) -> QuotaInfo:
        """Describe the quota and its queues, from any thread."""
        self._read_newest_response()
        queues = list(self._queues.values())
        now = self._clock()
        return QuotaInfo(
            queue_length=sum(len(queue.tickets) for queue in queues),
            wait=max((queue.estimate_longest_wait(now) for queue in queues), default=0.0),
            in_flight=max(round(self._in_flight), 0),
            accepted=round(self._accepted),
            rejected=self._rejections,
            limits={name: LimitInfo(*values) for name, values in self._shown.newest.items()},
        )

    # --- before a request -------------------------------------------------------------------

    def try_acquire(self, request: Request) -> Permit | None:
        """Return a permit, or `None` if the call may have to wait.

        There is a permit if no other call waits, and either no limit is known and the window
        has room, or the quota is ample. Calls with `pace="auto"` try this before `acquire`,
        because it needs no ticket.

        Args:
            request: The request; it must not change until its outcome is reported.
        """
        if self._queues:
            return None
        if self._is_counting:
            return self._try_acquire_ample(request.estimate_tokens())
        if len(self._uncounted) >= _WINDOW_AUTO + self._uncounted_handled:
            return None
        permit = Permit()
        permit.quota = self
        permit.arrival = take_arrival_number()
        self._uncounted[permit] = request
        return permit

    def _try_acquire_ample(self, tokens: float) -> Permit | None:
        """Return a permit if the quota is ample, else `None`."""
        with self._lock:
            self._count_uncounted()
            sent = (self._sent[0] + 1.0, self._sent[1] + tokens)
            if not self._ample.can_send(sent):
                return None
            self._sent = sent
            permit = Permit()
            permit.quota = self
            permit.arrival = take_arrival_number()
            permit.tokens = tokens
            permit.handled_before = self._handled
            return permit

    def _count_uncounted(self) -> None:
        """If requests are counted, count those in flight; the caller must hold the lock."""
        while self._is_counting and self._uncounted:
            try:
                permit, request = self._uncounted.popitem()
            except KeyError:  # the last one was just reported
                return
            tokens = request.estimate_tokens()
            if not permit.is_reported:  # garbage collection may have reported it just now
                permit.tokens = tokens
            self._sent = (self._sent[0] + 1.0, self._sent[1] + permit.tokens)

    async def acquire(self, ticket: Ticket) -> Permit:
        """Wait until the request may be sent.

        Raises:
            NotSentError: If the call would wait for too long, if a call with `pace=True` would
                have to wait but must not, or if its request is larger than the limit.
            CerebrasConnectionError: If the store does not work, and the call has to use it.
        """
        if not (self._queues or ticket.has_unlimited_wait):
            permit = self._try_acquire_ample(ticket.tokens)
            if permit is not None:
                return permit
        self._read_newest_response()
        if not ticket.can_wait:
            return await self._acquire_without_waiting(ticket)
        if ticket.min_tokens > self._shown.token_limit or ticket.token_rejections:
            self._check_size(ticket)
        return await self._try_skip_queue(ticket) or await self._wait_in_queue(ticket)

    async def _try_skip_queue(self, ticket: Ticket) -> Permit | None:
        """Return a permit if the request may be sent and no call waits, else `None`."""
        if self._queues or self._store.is_shared or self._compute_window_wait(ticket) > 0:
            return None
        return self._turn_into_permit(ticket) if await self._reserve(ticket) <= 0 else None

    async def _wait_in_queue(self, ticket: Ticket) -> Permit:
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queues[loop] = _CallQueue(loop)
        start = self._clock()
        if not ticket.has_unlimited_wait:
            ticket.deadline = start + max(ticket.max_wait - ticket.waited, 0.0)
        ticket.is_logged = False
        queue.add(ticket)
        try:
            return await self._wait_for_turn(queue, ticket)
        finally:
            queue.remove(ticket)
            if not queue.tickets:
                self._queues.pop(loop, None)
            if ticket.decision is not None:
                self._release_reservation(ticket)
            waited = self._clock() - start
            ticket.waited += waited
            self._log_wait(queue, ticket, waited)

    async def _acquire_without_waiting(self, ticket: Ticket) -> Permit:
        """Return a permit without a wait; a call with `pace=True` fails if it would wait."""
        wait = await self._reserve(ticket, force=not ticket.has_unlimited_wait)
        if wait <= 0 and not (ticket.has_unlimited_wait and self._queues):
            return self._turn_into_permit(ticket)
        self._release_reservation(ticket)
        raise NotSentError(
            "The quota is exhausted, and with max_retries=0 the call does not wait. Try again"
            " later, or raise max_retries.",
            retry_after=wait or None,
        )

    async def _wait_for_turn(self, queue: _CallQueue, ticket: Ticket) -> Permit:
        while True:
            ticket.is_woken = False
            wait = math.inf
            if queue.tickets[0] is ticket:
                if not ticket.has_unlimited_wait:
                    permit = self._try_acquire_ample(ticket.tokens)
                    if permit is not None:
                        return permit
                wait = self._compute_window_wait(ticket)
                if wait <= 0:
                    wait = await self._reserve(ticket)
                    if wait <= 0:
                        return self._turn_into_permit(ticket)
                    queue.record_head(ticket, self._clock())
                    self._recheck_last(queue)
            else:
                self._release_reservation(ticket)  # it may have been the head before
            self._check_wait(queue, ticket)
            # It may not be the head any more, if a rejected call came back during `_reserve`.
            # Then it sleeps until it becomes the head again.
            is_head = queue.tickets[0] is ticket
            longest_sleep = _MAX_SLEEP if is_head else math.inf
            seconds = min(wait, ticket.deadline - self._clock(), longest_sleep)
            await ticket.sleep(max(seconds, 0.0))

    async def _reserve(self, ticket: Ticket, *, force: bool = False) -> float:
        """Ask the store for the decision about a ticket; return the seconds to wait."""
        if not self._is_counting:  # no limit is known, so nothing has to be reserved
            ticket.needs = Amounts(1.0, ticket.tokens)
            ticket.store = None  # it may be the store of the quota of another key
            return 0.0
        self._create_buckets()
        store = self._choose_store(ticket)
        if ticket.store is not store and ticket.decision is not None:
            self._release_reservation(ticket)
        decision = ticket.decision
        position = decision.position if decision is not None else None
        if position is None:
            ticket.needs = Amounts(1.0, min(ticket.tokens, self._shown.token_limit))
        try:
            decision = await store.reserve(
                self._name, ticket.needs, position=position, force=force
            )
        except QuotaStoreError as error:
            if ticket.has_unlimited_wait:
                raise CerebrasConnectionError(
                    f"The quota store does not work ({error}). Check the setting quota_store.",
                    is_retryable=False,
                ) from None
            self._store_retry_time = self._clock() + _STORE_PAUSE
            logger.warning(
                "The quota store does not work (%s). This process uses its own estimate of the"
                " quota for %d s.",
                error,
                _STORE_PAUSE,
            )
            return await self._reserve(ticket, force=force)
        ticket.decision, ticket.store = decision, store
        self._shown.is_known = self._shown.is_known or decision.knows_limits
        return decision.wait

    def _choose_store(self, ticket: Ticket) -> Store:
        if not self._store.is_shared or ticket.has_unlimited_wait:
            return self._store
        return self._memory if self._clock() < self._store_retry_time else self._store

    def _turn_into_permit(self, ticket: Ticket) -> Permit:
        """Turn the decision that `_reserve` has set into a permit."""
        decision, ticket.decision = ticket.decision, None
        return self._create_permit(ticket, decision, ticket.store)

    def _read_newest_response(self) -> None:
        with self._lock:
            self._ample.read_newest_response()

    def _create_buckets(self) -> None:
        """End the ample phase if it has shown limits, and create the buckets from them."""
        with self._lock:
            self._count_uncounted()
            response = self._ample.take_newest_response()
            if response is None:
                return
            self._ample.end()
            limits = rate_limits.parse_limits(response.headers)
            largest = {
                name: (limit, self._shown.max_observed[name])
                for name, (limit, _) in limits.items()
            }
            # The first outcome creates each bucket with the largest amount that it has
            # contained, which becomes its capacity. The second one reduces the content to what
            # the last response showed: because its needs are 0, `count_unreserved_request` only
            # subtracts the difference.
            outcomes = [
                Outcome(
                    "handled",
                    _NO_AMOUNTS,
                    _WITHOUT_RESERVATION,
                    limits=shown_limits,
                    overlapping=_sum_overlapping(response.permit, response.sent),
                )
                for shown_limits in (largest, limits)
            ]
            sent_since = Amounts(
                self._sent[REQUESTS] - response.sent[REQUESTS],
                self._sent[TOKENS] - response.sent[TOKENS],
            )
            self._memory.start(self._name, outcomes, response.time, sent_since)

    def _create_permit(
        self, ticket: Ticket, decision: Decision | None, store: Store | None
    ) -> Permit:
        permit = Permit()
        permit.quota = self
        permit.arrival = ticket.arrival
        permit.ticket = ticket
        permit.decision = decision
        permit.store = store
        permit.sent_at = self._clock()
        with self._lock:
            permit.handled_before = self._handled
            self._uncounted[permit] = ticket
            self._count_uncounted()  # at once, if requests are counted
        return permit

    def _release_reservation(self, ticket: Ticket) -> None:
        decision, ticket.decision = ticket.decision, None
        if decision is not None and ticket.store is not None and decision.position is not None:
            outcome = Outcome("unsent", ticket.needs, decision)
            ticket.store.record_outcome(self._name, outcome, self._wake_heads)

    def _compute_window_wait(self, ticket: Ticket) -> float:
        """Return the seconds until the window allows one more request in flight."""
        if self._shown.is_known and not ticket.has_unlimited_wait:
            return 0.0
        return self._window.compute_wait(
            self._in_flight,
            self._accepted,
            self._clock(),
            has_unlimited_wait=ticket.has_unlimited_wait,
        )

    # --- limits of waiting ------------------------------------------------------------------

    def _check_size(self, ticket: Ticket) -> None:
        token_limit = self._shown.token_limit
        max_observed = self._shown.find_max_observed_tokens()
        is_rejected_again = ticket.token_rejections >= _MAX_REJECTIONS
        is_limit_recent = self._clock() - self._shown.read_at < _LIMIT_LIFETIME
        if ticket.min_tokens > token_limit and is_limit_recent:
            problem = (
                f"The request needs about {ticket.tokens:.0f} tokens (prompt and max_tokens),"
                f" and the limit of the quota is {token_limit:.0f}."
            )
        elif is_rejected_again and ticket.tokens > max_observed:
            problem = (
                f"The request needs too many tokens (prompt and max_tokens): the quota never"
                f" had more than {max_observed:.0f}."
            )
        else:
            return
        advice = "Shorten the prompt or reduce max_tokens."
        raise NotSentError(f"{problem} {advice}", is_retryable=False)

    def _check_wait(self, queue: _CallQueue, ticket: Ticket) -> None:
        """Log the wait of a call if it is long; raise an error if it is too long."""
        # Only the first and the last call have an estimate, because a queue has only the sum of
        # the tokens of all its tickets. Any other call was checked when it was the last one.
        is_head, is_last = queue.tickets[0] is ticket, queue.tickets[-1] is ticket
        wait = queue.estimate_wait(ticket, self._clock()) if is_head or is_last else 0.0
        time_left = ticket.deadline - self._clock()
        bottleneck = queue.find_bottleneck() if wait > 0 else None
        is_too_long = wait > time_left or time_left <= 0
        # Because of a long limit, only the head fails at this point. The others fail one after
        # the other, as each of them becomes the head.
        if time_left < math.inf and (is_too_long or (is_head and _is_long_limit(bottleneck))):
            raise self._create_wait_error(queue, ticket, wait)
        if is_head or is_last:
            self._log_wait(queue, ticket)

    def _log_wait(self, queue: _CallQueue, ticket: Ticket, waited: float = 0.0) -> None:
        """Log how long the calls of a queue wait, or else how long this one has waited.

        This happens at most once for each time that a ticket is in the queue.
        """
        if ticket.is_logged or not self._should_log("wait"):
            return
        wait, count = queue.estimate_longest_wait(self._clock()), len(queue.tickets)
        if wait >= _MIN_LOGGED_WAIT:
            limit = _describe_limit(queue.find_bottleneck())
            text = f"Waiting up to {_describe_wait(wait)} for {limit}"
        elif waited >= _MIN_LOGGED_WAIT:
            text = f"Waited {waited:.1f} s for the quota"
        else:
            return
        ticket.is_logged = True
        self._log("wait", "%s; calls in the queue: %d", text, count)

    def log_rejection(self, error: CerebrasError) -> None:
        """Log the error of a call that waits again, unless another one was just logged."""
        if self._should_log("rejection"):
            self._log("rejection", "Waiting for the quota again after: %s", error)

    def _should_log(self, kind: Literal["wait", "rejection"]) -> bool:
        is_due = self._clock() - self._log_times.get(kind, -math.inf) >= _LOG_INTERVAL
        return is_due and logger.isEnabledFor(logging.INFO)

    def _log(self, kind: Literal["wait", "rejection"], message: str, *values: object) -> None:
        self._log_times[kind] = self._clock()
        logger.info(message, *values)

    def _recheck_last(self, queue: _CallQueue) -> None:
        """Wake the last call if it would wait for too long; it then checks that itself."""
        last = queue.tickets[-1]
        if last.deadline == math.inf:
            return
        now = self._clock()
        if queue.estimate_wait(last, now) > last.deadline - now:
            last.wake()

    def _create_wait_error(
        self, queue: _CallQueue, ticket: Ticket, wait: float
    ) -> NotSentError:
        bottleneck = queue.find_bottleneck()
        limit = _describe_limit(bottleneck)
        count = len(queue.tickets)
        details = f"Calls in the queue: {count}"
        waited = ticket.max_wait - (ticket.deadline - self._clock())
        if waited >= _MIN_LOGGED_WAIT:
            details += f"; waited: {waited:.0f} s"
        if wait > 0:
            details += f"; this call could be sent in {math.ceil(wait)} s"
        is_long = _is_long_limit(bottleneck)
        if is_long:
            message = (
                f"The call does not wait, because {limit} is reached. {details}. Set"
                " pace=True to wait as long as it takes."
            )
        else:
            message = (
                f"The call would wait for {limit} for more than {ticket.max_wait:g} s"
                f" (max_retry_wait). {details}. Set pace=True to wait as long as it takes, or"
                " raise max_retry_wait."
            )
        return NotSentError(message, retry_after=wait or None, is_retryable=not is_long)

    # --- after a request --------------------------------------------------------------------

    def report_handled(self, permit: Permit, headers: Mapping[str, str]) -> None:
        """Report that the request was handled, as defined at the top of this module.

        Args:
            permit: The permission with which the request was sent.
            headers: The response headers with lower-case names; empty without a response.
        """
        shows_limits = rate_limits.has_limits(headers) and (
            self._is_counting or bool(rate_limits.parse_limits(headers))
        )
        if not shows_limits and self._uncounted.pop(permit, None) is not None:
            permit.is_reported = True
            self._uncounted_handled += 1
            if self._queues:
                self._wake_heads()
            return
        if permit.is_reported:
            return
        with self._lock:
            self._is_counting = True
            self._count_uncounted()
            is_ample = permit.decision is None and not self._ample.is_over
            if is_ample and shows_limits:
                is_ample = self._ample.keep_response(headers, permit, self._sent)
            if is_ample:
                permit.is_reported = True
                self._handled = (self._handled[0] + 1.0, self._handled[1] + permit.tokens)
        if not is_ample:
            self._report("handled", permit, headers)
        elif self._queues:
            self._wake_heads()

    def report_unsent(self, permit: Permit) -> None:
        """Report that the request took nothing from the quota.

        It was not sent, did not reach the server, or the server had no capacity for it.
        """
        if not permit.is_reported:
            self._report("unsent", permit, {})

    def report_rejected(
        self,
        permit: Permit,
        headers: Mapping[str, str],
        code: str | None,
        pause: float | None = None,
    ) -> None:
        """Report that the server has rejected the request because of this quota.

        This may be reported after `report_handled`, if the rejection came in a stream.

        Args:
            permit: The permission with which the request was sent.
            headers: The response headers with lower-case names.
            code: The error code, which says whether there were too many requests or tokens.
            pause: Seconds during which no request of this quota may be sent.
        """
        kind = _get_kind(code)
        if kind != REQUESTS and permit.ticket is not None:
            permit.ticket.token_rejections += 1
        self._report("rejected", permit, headers, kind=kind, pause=pause or 0.0)

    def _report(
        self,
        result: Literal["handled", "rejected", "unsent"],
        permit: Permit,
        headers: Mapping[str, str],
        *,
        kind: int | None = None,
        pause: float = 0.0,
    ) -> None:
        is_repeated = permit.is_reported
        limits = rate_limits.parse_limits(headers) if headers and not is_repeated else {}
        decision = permit.decision or _WITHOUT_RESERVATION
        with self._lock:
            if result == "rejected":
                self._rejections += 1
                self._is_counting = True
            self._count_uncounted()
            permit.is_reported = True
            needs = Amounts(1.0, permit.tokens)
            if limits or result == "rejected":
                self._create_buckets()
                self._ample.end()
            overlapping = _sum_overlapping(permit, self._sent) if limits else _NO_AMOUNTS
            if not is_repeated:
                self._count_response(permit, is_handled=result == "handled")
            if limits:
                is_handled = result == "handled"
                self._shown.record(limits, needs, self._clock(), is_handled=is_handled)
            elif result == "rejected" and not self._shown.is_known:
                self._window.shrink(self._in_flight, self._accepted, self._clock())
        if not (decision.knows_limits or limits or result == "rejected"):
            self._wake_heads()  # the store has nothing to learn from this outcome
            return
        age = self._clock() - permit.sent_at
        outcome = Outcome(
            result,
            needs,
            decision,
            age,
            limits,
            kind,
            pause,
            is_repeated,
            overlapping,
            is_only_process=not self._store.is_shared,
        )
        if result == "rejected" and kind != REQUESTS and permit.ticket is not None:
            self._increase_estimate(permit.ticket, outcome)
        store = permit.store or self._memory
        store.record_outcome(self._name, outcome, self._wake_heads)

    def _count_response(self, permit: Permit, *, is_handled: bool) -> None:
        if permit in self._uncounted:
            del self._uncounted[permit]
        elif is_handled:
            self._handled = (self._handled[0] + 1.0, self._handled[1] + permit.tokens)
        else:
            self._sent = (self._sent[0] - 1.0, self._sent[1] - permit.tokens)

    def _increase_estimate(self, ticket: Ticket, outcome: Outcome) -> None:
        """Increase the token estimate of a request if that was probably too low."""
        for name in outcome.limits.keys() & TOKEN_BUCKETS:
            if state.is_estimate_too_low(outcome, name):
                remaining = outcome.limits[name][1] or 0.0
                tokens = max(remaining + 1, ticket.tokens * _ESTIMATE_GROWTH)
                max_observed = self._shown.max_observed[name]
                # First try the largest amount that was ever in the bucket, and only then more.
                would_skip_max_observed = ticket.tokens < max_observed < tokens
                ticket.tokens = max_observed if would_skip_max_observed else tokens

    def _wake_heads(self) -> None:
        if self._queues:
            for loop, queue in list(self._queues.items()):
                if loop.is_closed():  # and its calls were never cancelled
                    self._remove_queue(loop, queue)
                else:
                    queue.wake_head()

    def _remove_queue(self, loop: asyncio.AbstractEventLoop, queue: _CallQueue) -> None:
        self._queues.pop(loop, None)
        for ticket in queue.tickets:
            self._release_reservation(ticket)


def _sum_overlapping(permit: Permit, sent: Totals) -> Amounts:
    """Return the needs of the other requests that were in flight together with this one."""
    before = permit.handled_before
    return Amounts(
        sent[REQUESTS] - before[REQUESTS] - 1.0,
        sent[TOKENS] - before[TOKENS] - permit.tokens,
    )


def _get_kind(code: str | None) -> int | None:
    if code and "token" in code:
        return TOKENS
    return REQUESTS if code and "request" in code else None


def _is_long_limit(bucket: str | None) -> bool:
    return bucket is not None and not bucket.endswith("-minute")


def _describe_limit(bucket: str | None) -> str:
    if bucket is None:
        return "the quota"
    kind, _, period = bucket.partition("-")
    return f"the limit of {kind} per {period}"


def _describe_wait(seconds: float) -> str:
    if seconds < _MIN_DATED_WAIT:
        return f"{seconds:.1f} s"
    until = datetime.datetime.now().astimezone() + datetime.timedelta(seconds=seconds)
    return f"{seconds:.0f} s, until {until:%Y-%m-%d %H:%M %Z},"
