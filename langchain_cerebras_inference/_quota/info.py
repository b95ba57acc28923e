"""What a process knows about a quota: the result of `Quota.describe`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class QuotaInfo:
    """What this process knows about the quota of one server, key and model.

    Attributes:
        queue_length: How many calls wait in the queue.
        wait: Seconds until the last call in the queue can be sent, as estimated; 0 if no call
            waits or the server has not shown its limits.
        in_flight: How many requests were sent and have no response yet.
        accepted: How many requests took something from the quota: those with a completion,
            those that failed for a reason other than the quota, and those whose outcome is
            unknown, such as cancelled ones.
        rejected: How many requests the server has rejected because of the quota.
        limits: The limits and the remaining amounts that the last response showed, by name,
            such as `"requests-minute"` or `"tokens-day"`. Empty if the server has shown none.
    """

    queue_length: int
    wait: float
    in_flight: int
    accepted: int
    rejected: int
    limits: Mapping[str, LimitInfo]

    @property
    def used_share(self) -> float | None:
        """The used share of the limit that is closest to being exhausted, from 0 to 1."""
        shares = [info.used_share for info in self.limits.values()]
        return max((share for share in shares if share is not None), default=None)


@dataclass(frozen=True, slots=True)
class LimitInfo:
    """One limit of a quota, as the last response showed it.

    Attributes:
        limit: The number of requests or tokens for the period.
        remaining: How many of them remain, or `None` if the response did not say.
    """

    limit: float
    remaining: float | None

    @property
    def used_share(self) -> float | None:
        """The share of the limit that is used, from 0 to 1."""
        if self.remaining is None or self.limit <= 0:
            return None
        return min(max(1 - self.remaining / self.limit, 0.0), 1.0)
