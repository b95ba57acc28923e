"""The rate-limit headers: limits, and what remains of them."""

from langchain_cerebras_inference.emulator.errors import Refuse

_LIMITS = {
    "requests": {"minute": 1_000, "hour": 60_000, "day": 1_440_000},
    "tokens": {"minute": 1_000_000, "hour": 60_000_000, "day": 2_000_000_000},
}


def build_rate_limit_headers(served: int, response: Refuse | None = None) -> dict[str, str]:
    """Build the headers of a response.

    As in recorded responses of 2026, there is neither a reset header nor `Retry-After`.

    Args:
        served: How many completions were served so far.
        response: An error response of status 429: nothing remains of the limit that its
            message names.
    """
    message = response.error()["message"].lower() if response else ""
    headers = {}
    for unit, limits in _LIMITS.items():
        for period, limit in limits.items():
            is_exceeded = f"{unit} per {period} " in message
            remaining = 0 if is_exceeded else max(0, limit - served)
            headers[f"x-ratelimit-limit-{unit}-{period}"] = str(limit)
            headers[f"x-ratelimit-remaining-{unit}-{period}"] = str(remaining)
    return headers
