"""The rate-limit headers, in the form of 2026: limits and what remains of them."""

from langchain_cerebras_inference.emulator.refusals import Refuse

_LIMITS = {
    "requests": {"minute": 1_000, "hour": 60_000, "day": 1_440_000},
    "tokens": {"minute": 1_000_000, "hour": 60_000_000, "day": 2_000_000_000},
}


def quota(served: int, refusal: Refuse | None = None) -> dict[str, str]:
    """The headers after `served` requests; a refused quota has nothing left.

    There is no reset among them, and no `Retry-After`.
    """
    headers = {}
    for kind, limits in _LIMITS.items():
        for period, limit in limits.items():
            is_spent = refusal is not None and _refuses(refusal, kind, period)
            left = 0 if is_spent else max(0, limit - served)
            headers[f"x-ratelimit-limit-{kind}-{period}"] = str(limit)
            headers[f"x-ratelimit-remaining-{kind}-{period}"] = str(left)
    return headers


def _refuses(refusal: Refuse, kind: str, period: str) -> bool:
    said = refusal.error()["message"].lower()
    return f"{kind} per {period} " in said
