import pytest

from langchain_cerebras_inference._http.rate_limits import add_jitter, parse_limits

HEADERS_OF_2025 = {
    "x-ratelimit-limit-requests-day": "14400",
    "x-ratelimit-remaining-requests-day": "14379",
    "x-ratelimit-reset-requests-day": "13717.118077278137",
    "x-ratelimit-limit-tokens-minute": "60000",
    "x-ratelimit-remaining-tokens-minute": "57634",
    "x-ratelimit-reset-tokens-minute": "57.118077278137",
}
HEADERS_OF_2026 = {
    f"x-ratelimit-{what}-{unit}-{period}": str(amount)
    for unit in ("requests", "tokens")
    for period in ("minute", "hour", "day")
    for what, amount in (("limit", 1000), ("remaining", 999))
}


def test_limits_of_2025_are_parsed() -> None:
    assert parse_limits(HEADERS_OF_2025) == {
        "requests-day": (14400.0, 14379.0),
        "tokens-minute": (60000.0, 57634.0),
    }


def test_limits_of_2026_are_parsed() -> None:
    limits = parse_limits(HEADERS_OF_2026)

    assert len(limits) == 6
    assert set(limits.values()) == {(1000.0, 999.0)}
    assert next(iter(limits)) == "requests-minute"


@pytest.mark.parametrize("limit", ["", "many", "0", "-1", "inf", "nan"])
def test_limit_that_is_not_a_number_is_ignored(limit: str) -> None:
    assert parse_limits({"x-ratelimit-limit-tokens-minute": limit}) == {}


@pytest.mark.parametrize("remaining", ["", "many", "-1", "inf"])
def test_remaining_amount_that_is_not_a_number_is_unknown(remaining: str) -> None:
    headers = {
        "x-ratelimit-limit-tokens-minute": "5",
        "x-ratelimit-remaining-tokens-minute": remaining,
    }

    assert parse_limits(headers) == {"tokens-minute": (5.0, None)}


def test_jitter_spreads_waits_over_a_quarter_of_them() -> None:
    waits = [add_jitter(8) for _ in range(200)]

    assert 8 <= min(waits) < 8.5
    assert 9.5 < max(waits) <= 10
