"""The queue of the calls that wait for one quota.

There is one queue for each quota and event loop, ordered by arrival. Only its head has a
place in the line that the store keeps, so event loops and processes take turns, and a killed
process costs the others one place. The waiting calls themselves do the work: there is no
background task, and no timer but those of the waiting calls.
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
from typing import TYPE_CHECKING, Literal, cast

from langchain_cerebras_inference._http import rate_limits
from langchain_cerebras_inference._quota import state
from langchain_cerebras_inference._quota.state import (
    REQUESTS,
    TOKENS,
    Amounts,
    Grant,
    Limits,
    Outcome,
)
from langchain_cerebras_inference._quota.stores import (
    MemoryStore,
    QuotaStoreError,
    Store,
)
from langchain_cerebras_inference.errors import (
    CerebrasConnectionError,
    CerebrasRateLimitError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger("langchain_cerebras_inference")

_WINDOW_AUTO = 64
_WINDOW_PACED = 8
_WINDOW_SHARED = 2
"""How many requests may have no response yet before the limits are known."""

_MAX_SLEEP = 60.0
"""Seconds after which the head of a queue looks whether others have given back places."""

_STORE_PAUSE = 30.0
"""Seconds in which a store that did not work is not tried again."""

_LOGGED_WAIT = 1.0
_DATED_WAIT = 600.0
_MAX_REJECTIONS = 3
_ESTIMATE_GROWTH = 1.5
_NO_AMOUNTS = Amounts(0.0, 0.0)
_BLIND_GRANT = Grant(0.0, 0.0)
_TOKEN_BUCKETS = frozenset(f"tokens-{period}" for period in state.PERIODS)

_arrivals = itertools.count()
_get_arrival = attrgetter("arrival")


class QueueLimitError(CerebrasRateLimitError):
    """A call was not sent, because it would wait for its quota for too long."""


@dataclass(eq=False)
class Ticket:
    """One call in the queue, through all its attempts.

    Attributes:
        tokens: The estimated tokens of the request: its prompt and longest completion.
        min_tokens: The tokens that it has at least.
        is_paced: Whether the call waits as long as it takes.
        can_wait: Whether the call may wait at all.
        max_wait: The longest time in the queue, in seconds; ignored if `is_paced`.
        arrival: The position in the order of arrival.
        token_rejections: How often the server rejected the request because of its tokens.
        waited: Seconds that the call has spent in the queue.
        deadline: When the call has to leave the queue, by the clock of the quota.
        needs: What was reserved, if the call has a place in the line.
        grant: The last grant, if the call has a place in the line.
        store: The store that keeps the place.
        is_woken: Whether the call has to look again whether it may be sent.
        is_logged: Whether the wait was logged.
        future: What the call waits for.
    """

    tokens: float
    min_tokens: float = 0.0
    is_paced: bool = False
    can_wait: bool = True
    max_wait: float = math.inf
    arrival: int = field(default_factory=lambda: next(_arrivals))
    token_rejections: int = field(default=0, init=False)
    waited: float = field(default=0.0, init=False)
    deadline: float = field(default=math.inf, init=False)
    needs: Amounts = field(default=_NO_AMOUNTS, init=False)
    grant: Grant | None = field(default=None, init=False)
    store: Store | None = field(default=None, init=False)
    is_woken: bool = field(default=False, init=False)
    is_logged: bool = field(default=False, init=False)
    future: asyncio.Future[None] | None = field(default=None, init=False)

    def wake(self) -> None:
        """Let the call look again whether it may be sent."""
        self.is_woken = True
        if self.future is not None and not self.future.done():
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self.future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Wait until `wake` is called, but not longer than this."""
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


@dataclass(slots=True)
class Reservation:
    """The permission to send one request.

    Attributes:
        ticket: The call.
        needs: What was reserved for the request.
        grant: What the store has granted.
        store: The store that has granted it.
        sent_at: When the request was sent, by the clock of the quota.
        answered: The sum of what all requests needed that had been answered by then.
        is_settled: Whether the outcome was reported.
    """

    ticket: Ticket
    needs: Amounts
    grant: Grant
    store: Store
    sent_at: float
    answered: tuple[float, ...]
    is_settled: bool = False


class _Line:
    """The waiting calls of one event loop, in order of arrival."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.tickets: list[Ticket] = []
        self._loop = loop
        self._tokens = 0.0
        self._head_grant: Grant | None = None
        self._head_tokens = 0.0

    def add(self, ticket: Ticket) -> None:
        """Insert a call at its place by arrival."""
        insort(self.tickets, ticket, key=_get_arrival)
        self._tokens += ticket.tokens

    def remove(self, ticket: Ticket) -> None:
        """Remove a call, and wake the next one if it was the first or the last."""
        index = bisect_left(self.tickets, ticket.arrival, key=_get_arrival)
        del self.tickets[index]
        self._tokens -= ticket.tokens
        if not self.tickets:
            return
        if index == 0:
            self.tickets[0].wake()
        if index == len(self.tickets):
            self.tickets[-1].wake()  # it may have to wait for too long as well

    def note_wait_of_head(self, head: Ticket) -> None:
        """Remember how long the head waits, from which the waits of others follow."""
        self._head_grant = head.grant
        self._head_tokens = head.tokens

    def estimate_wait(self, ticket: Ticket) -> float:
        """Return the seconds until the first or last call may be sent, if that is known."""
        grant = self._head_grant
        if grant is None:
            return 0.0
        if ticket is self.tickets[0]:
            return grant.wait
        behind = Amounts(len(self.tickets) - 1, self._tokens - self._head_tokens)
        return grant.estimate_wait(behind)

    def find_bottleneck(self) -> str | None:
        """Return the name of the bucket that the head waits for."""
        return self._head_grant.find_bottleneck() if self._head_grant is not None else None

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
    """One quota: its queues, and what is known of its limits.

    Args:
        name: The digest that names the quota.
        store: The store that keeps its state; without one it is in the memory.
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
        self._lines: dict[asyncio.AbstractEventLoop, _Line] = {}
        # Reentrant, because the garbage collector may end a call at any moment.
        self._lock = threading.RLock()
        self._knows_limits = False
        self._token_limit = math.inf
        self._largest_tokens: dict[str, float] = {}
        self._has_rejections = False
        # What the requests need that have no response yet, and that the server accepted.
        self._in_flight = [0.0, 0.0]
        self._answered = [0.0, 0.0]
        self._window_growth = 0
        self._window: float | None = None
        self._window_start = clock()

    @property
    def is_idle(self) -> bool:
        """Whether no call waits, and no request is without a response."""
        return not self._lines and self._in_flight[REQUESTS] <= 0

    # --- before a request -------------------------------------------------------------------

    async def enter(self, ticket: Ticket) -> Reservation:
        """Wait until the request may be sent.

        Raises:
            QueueLimitError: If the call would wait for too long, or may not wait; it is also
                raised for a request that is larger than its limit.
            CerebrasConnectionError: If the call is paced, and the store does not work.
        """
        if not ticket.can_wait:
            return await self._enter_without_waiting(ticket)
        if ticket.min_tokens > self._token_limit or ticket.token_rejections:
            self._check_size(ticket)
        is_empty = not (self._lines or self._store.is_shared)
        if is_empty and self._compute_window_wait(ticket) <= 0:
            if not (self._knows_limits or self._has_rejections):
                ticket.needs = Amounts(1.0, ticket.tokens)
                return self._create_reservation(ticket, _BLIND_GRANT, self._memory)
            if await self._reserve(ticket) <= 0:
                return self._take_reservation(ticket)
        return await self._enter_line(ticket)

    async def _enter_line(self, ticket: Ticket) -> Reservation:
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(loop)
        start = self._clock()
        if not ticket.is_paced:
            ticket.deadline = start + max(ticket.max_wait - ticket.waited, 0.0)
        ticket.is_logged = False
        line.add(ticket)
        try:
            return await self._wait_for_turn(line, ticket)
        finally:
            line.remove(ticket)
            if not line.tickets:
                self._lines.pop(loop, None)
            if ticket.grant is not None:
                self._give_up_place(ticket)
            self._note_waited(ticket, self._clock() - start)

    async def _enter_without_waiting(self, ticket: Ticket) -> Reservation:
        """Reserve for a call that is sent at once, or, if it is paced, perhaps not at all."""
        wait = await self._reserve(ticket, force=not ticket.is_paced)
        if wait <= 0 and not (ticket.is_paced and self._lines):
            return self._take_reservation(ticket)
        self._give_up_place(ticket)
        raise QueueLimitError(
            "The quota has no room for this request now, and with max_retries=0 it does not"
            " wait; try again later, or raise max_retries.",
            retry_after=wait or None,
        )

    async def _wait_for_turn(self, line: _Line, ticket: Ticket) -> Reservation:
        while True:
            ticket.is_woken = False
            wait = math.inf
            if line.tickets[0] is ticket:
                wait = self._compute_window_wait(ticket)
                if wait <= 0:
                    wait = await self._reserve(ticket)
                    if wait <= 0:
                        return self._take_reservation(ticket)
                    line.note_wait_of_head(ticket)
                    self._check_last(line)
            else:  # a rejected call may have come back before the one that was the head
                self._give_up_place(ticket)
            self._check_wait(line, ticket)
            seconds = min(wait, ticket.deadline - self._clock(), _MAX_SLEEP)
            await ticket.sleep(max(seconds, 0.0))

    async def _reserve(self, ticket: Ticket, *, force: bool = False) -> float:
        """Ask the store whether the request may be sent; return the seconds to wait."""
        store = self._choose_store(ticket)
        if ticket.store is not store and ticket.grant is not None:
            self._give_up_place(ticket)
        grant = ticket.grant
        place = grant.place if grant is not None else None
        if place is None:
            ticket.needs = Amounts(1.0, min(ticket.tokens, self._token_limit))
        try:
            grant = await store.reserve(self._name, ticket.needs, place=place, force=force)
        except QuotaStoreError as error:
            if ticket.is_paced:
                raise CerebrasConnectionError(
                    f"The quota store does not work ({error}); check quota_store.",
                    is_retryable=False,
                ) from None
            self._store_retry_time = self._clock() + _STORE_PAUSE
            logger.warning(
                "The quota store does not work (%s); this process keeps to its own count of"
                " the quota for %d s",
                error,
                _STORE_PAUSE,
            )
            return await self._reserve(ticket, force=force)
        ticket.grant, ticket.store = grant, store
        self._knows_limits = self._knows_limits or grant.knows_limits
        return grant.wait

    def _choose_store(self, ticket: Ticket) -> Store:
        if not self._store.is_shared or ticket.is_paced:
            return self._store
        return self._memory if self._clock() < self._store_retry_time else self._store

    def _take_reservation(self, ticket: Ticket) -> Reservation:
        """Turn the place of a call, which `_reserve` has set, into a reservation."""
        grant, ticket.grant = ticket.grant, None
        return self._create_reservation(
            ticket, cast("Grant", grant), cast("Store", ticket.store)
        )

    def _create_reservation(self, ticket: Ticket, grant: Grant, store: Store) -> Reservation:
        with self._lock:
            self._in_flight[REQUESTS] += 1
            self._in_flight[TOKENS] += ticket.needs[TOKENS]
            answered = tuple(self._answered)
        return Reservation(ticket, ticket.needs, grant, store, self._clock(), answered)

    def _give_up_place(self, ticket: Ticket) -> None:
        grant, ticket.grant = ticket.grant, None
        if grant is not None and ticket.store is not None and grant.place is not None:
            outcome = Outcome("unsent", ticket.needs, grant)
            ticket.store.settle(self._name, outcome, self._wake_heads)

    def _compute_window_wait(self, ticket: Ticket) -> float:
        """Return the seconds until one more request may be without a response.

        The number of such requests grows with each response and doubles each second. For a
        paced call it only doubles, and applies also when the limits are known, because
        there may be one, such as for a second, that no header shows.
        """
        if self._knows_limits and not ticket.is_paced:
            return 0.0
        size = self._get_first_window(ticket) + (0 if ticket.is_paced else self._window_growth)
        if self._in_flight[REQUESTS] < size:
            return 0.0
        doublings = math.log2((self._in_flight[REQUESTS] + 1) / size)
        return self._window_start + doublings - self._clock()

    def _get_first_window(self, ticket: Ticket) -> float:
        if self._window is not None:
            return self._window
        if self._store.is_shared:
            return _WINDOW_SHARED
        return _WINDOW_PACED if ticket.is_paced else _WINDOW_AUTO

    # --- limits of waiting ------------------------------------------------------------------

    def _check_size(self, ticket: Ticket) -> None:
        limit = self._token_limit
        largest = min(self._largest_tokens.values(), default=math.inf)
        is_hopeless = ticket.token_rejections >= _MAX_REJECTIONS and ticket.tokens > largest
        if ticket.min_tokens > limit or is_hopeless:
            raise QueueLimitError(
                f"The request needs about {ticket.tokens:.0f} tokens (prompt and max_tokens),"
                f" but the quota never has more than {min(limit, largest):.0f}; shorten the"
                " prompt or lower max_tokens.",
                is_retryable=False,
            )

    def _check_wait(self, line: _Line, ticket: Ticket) -> None:
        """Log a long wait; raise an error if it is longer than the call may wait."""
        is_head, is_last = line.tickets[0] is ticket, line.tickets[-1] is ticket
        wait = line.estimate_wait(ticket) if is_head or is_last else 0.0
        left = ticket.deadline - self._clock()
        bottleneck = line.find_bottleneck() if wait > 0 else None
        is_long_quota = bottleneck is not None and not bottleneck.endswith("-minute")
        if left < math.inf and (wait > left or left <= 0 or (is_long_quota and is_head)):
            raise self._create_limit_error(line, ticket, wait)
        if wait >= _LOGGED_WAIT and not ticket.is_logged:
            ticket.is_logged = True
            logger.info("Waiting %s for %s", _describe_wait(wait), _describe(bottleneck))

    def _check_last(self, line: _Line) -> None:
        """Wake the last call if it would wait for too long; it then checks that itself."""
        last = line.tickets[-1]
        if line.estimate_wait(last) > last.deadline - self._clock():
            last.wake()

    def _create_limit_error(self, line: _Line, ticket: Ticket, wait: float) -> QueueLimitError:
        left = ticket.deadline - self._clock()
        seconds = ticket.max_wait - left
        waited = f" after {seconds:.0f} s in the queue" if seconds >= _LOGGED_WAIT else ""
        room = f"room in {math.ceil(wait)} s" if wait > 0 else "no room in time"
        return QueueLimitError(
            f"The call would wait too long: {len(line.tickets)} calls are in the queue for"
            f" {_describe(line.find_bottleneck())}, which has {room} for this one{waited}, and"
            f" max_retry_wait is {ticket.max_wait:g} s. Set pace=True to wait as long as it"
            " takes, or raise max_retry_wait.",
            retry_after=wait or None,
        )

    def _note_waited(self, ticket: Ticket, seconds: float) -> None:
        ticket.waited += seconds
        if seconds >= _LOGGED_WAIT and not ticket.is_logged:
            logger.info("Waited %.1f s for the quota", seconds)

    # --- after a request --------------------------------------------------------------------

    def settle(self, reservation: Reservation, headers: Mapping[str, str]) -> None:
        """Report that the server has handled the request, or that nobody knows.

        Args:
            reservation: The permission with which the request was sent.
            headers: The response headers with lower-case names; without a response empty.
        """
        if not reservation.is_settled:
            self._report("answered", reservation, headers)

    def cancel(self, reservation: Reservation) -> None:
        """Report that the server did not get the request."""
        if not reservation.is_settled:
            self._report("unsent", reservation, {})

    def reject(
        self,
        reservation: Reservation,
        headers: Mapping[str, str],
        code: str | None,
        pause: float | None = None,
    ) -> None:
        """Report that the server has rejected the request because of this quota.

        This may be reported after `settle`, if the rejection came in a stream.

        Args:
            reservation: The permission with which the request was sent.
            headers: The response headers with lower-case names.
            code: The error code, which says whether there were too many requests or tokens.
            pause: Seconds in which the server wants no request of this quota.
        """
        kind = _find_kind(code)
        if kind != REQUESTS:
            reservation.ticket.token_rejections += 1
        self._report("rejected", reservation, headers, kind=kind, pause=pause or 0.0)

    def _report(
        self,
        result: Literal["answered", "rejected", "unsent"],
        reservation: Reservation,
        headers: Mapping[str, str],
        *,
        kind: int | None = None,
        pause: float = 0.0,
    ) -> None:
        is_late, reservation.is_settled = reservation.is_settled, True
        limits = rate_limits.parse_limits(headers) if headers and not is_late else {}
        grant, needs = reservation.grant, reservation.needs
        with self._lock:
            in_flight = self._sum_in_flight(reservation) if limits else _NO_AMOUNTS
            if not is_late:
                self._count_response(reservation, is_accepted=result == "answered")
            if limits:
                self._note_limits(limits, needs, is_accepted=result == "answered")
            elif result == "rejected" and not self._knows_limits:
                self._shrink_window()
        if not (grant.knows_limits or limits or result == "rejected"):
            self._wake_heads()
            return
        age = self._clock() - reservation.sent_at
        outcome = Outcome(
            result,
            needs,
            grant,
            age,
            limits,
            kind,
            pause,
            is_late,
            in_flight,
            is_alone=not self._store.is_shared,
        )
        if result == "rejected" and kind != REQUESTS:
            self._raise_estimate(reservation.ticket, outcome)
        reservation.store.settle(self._name, outcome, self._wake_heads)

    def _count_response(self, reservation: Reservation, *, is_accepted: bool) -> None:
        tokens = reservation.needs[TOKENS]
        self._in_flight[REQUESTS] -= 1
        self._in_flight[TOKENS] -= tokens
        if is_accepted:
            self._window_growth += 1
            self._answered[REQUESTS] += 1
            self._answered[TOKENS] += tokens

    def _sum_in_flight(self, reservation: Reservation) -> Amounts:
        """Sum the needs of the other requests that were in flight together with this one."""
        requests, tokens = (
            self._in_flight[kind]
            + self._answered[kind]
            - reservation.answered[kind]
            - reservation.needs[kind]
            for kind in (REQUESTS, TOKENS)
        )
        return Amounts(requests, tokens)

    def _shrink_window(self) -> None:
        """Send fewer requests at a time after a rejection that names no limit."""
        self._has_rejections = True
        self._window = max(1.0, self._in_flight[REQUESTS] / 2)
        self._window_growth = 0
        self._window_start = self._clock()

    def _note_limits(self, limits: Limits, needs: Amounts, *, is_accepted: bool) -> None:
        self._knows_limits = True
        needed = needs[TOKENS] if is_accepted else 0.0
        self._token_limit = math.inf
        for name in limits.keys() & _TOKEN_BUCKETS:
            limit, remaining = limits[name]
            self._token_limit = min(self._token_limit, limit)
            largest = max(self._largest_tokens.get(name, 0.0), (remaining or 0.0) + needed)
            self._largest_tokens[name] = largest

    def _raise_estimate(self, ticket: Ticket, outcome: Outcome) -> None:
        """Raise the estimate for a request that was rejected although it seemed to fit."""
        for name in outcome.limits.keys() & _TOKEN_BUCKETS:
            if state.is_estimate_too_low(outcome, name):
                remaining = outcome.limits[name][1] or 0.0
                tokens = max(remaining + 1, ticket.tokens * _ESTIMATE_GROWTH)
                largest = self._largest_tokens[name]
                ticket.tokens = largest if ticket.tokens < largest < tokens else tokens

    def _wake_heads(self) -> None:
        if self._lines:
            for line in list(self._lines.values()):
                line.wake_head()


def _find_kind(code: str | None) -> int | None:
    if code and "token" in code:
        return TOKENS
    return REQUESTS if code and "request" in code else None


def _describe(bucket: str | None) -> str:
    if bucket is None:
        return "the quota"
    kind, _, period = bucket.partition("-")
    return f"the quota of {kind} per {period}"


def _describe_wait(seconds: float) -> str:
    if seconds < _DATED_WAIT:
        return f"{seconds:.1f} s"
    until = datetime.datetime.now().astimezone() + datetime.timedelta(seconds=seconds)
    return f"{seconds:.0f} s, until {until:%Y-%m-%d %H:%M %Z},"
