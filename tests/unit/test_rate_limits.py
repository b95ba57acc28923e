"""Waits before a retry, from the headers of a response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from langchain_cerebras_inference._http.rate_limits import (
    compute_backoff,
    estimate_quota_wait,
    get_retry_after,
    get_should_retry,
    has_limits,
    is_long_limit_reached,
    parse_limits,
)

NOW = 1_785_585_600.0  # Sat, 01 Aug 2026 12:00:00 GMT
QUOTA_CODES = ["request_quota_exceeded", "token_quota_exceeded"]

LIMITS = {
    "x-ratelimit-limit-requests-minute": "5",
    "x-ratelimit-limit-tokens-minute": "30000",
    "x-ratelimit-remaining-requests-minute": "0",
    "x-ratelimit-remaining-tokens-minute": "0",
}
"""The headers of a response since 2026."""

RESETS_OF_AVAILABLE_QUOTAS = {
    "x-ratelimit-reset-tokens-minute": "41",
    "x-ratelimit-reset-requests-day": "33011.5",
    "x-ratelimit-remaining-tokens-minute": "100",
    "x-ratelimit-remaining-requests-day": "14399",
}


# --- the wait that the server asks for -----------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        # seconds
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        # milliseconds
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After-Ms": "70"}, 0.07),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        # a date
        ({"retry-after": "Sat, 01 Aug 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 01 Aug 2026 12:00:30"}, 30.0),
        ({"retry-after": "Sat, 01 Aug 2026 13:00:30 +0100"}, 30.0),
        ({"retry-after": "Sat, 01 Aug 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "1e300"}, 1e9),
        ({"retry-after": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}, None),
        # other headers
        ({"x-ratelimit-reset-tokens-minute": "3.25"}, None),
        ({"x-ratelimit-reset-tokens-minute": "3.25", "retry-after": "9"}, 9.0),
        (LIMITS, None),
    ],
)
def test_retry_after_is_read_as_seconds_milliseconds_or_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert get_retry_after(CIMultiDict(headers), NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "should_retry"),
    [
        ({"x-should-retry": "true"}, True),
        ({"x-should-retry": "False"}, False),
        ({"x-should-retry": "maybe"}, None),
        ({}, None),
    ],
)
def test_x_should_retry_requires_or_forbids_a_retry(
    headers: dict[str, str], should_retry: bool | None
) -> None:
    assert get_should_retry(headers) is should_retry


# --- the wait until a quota is refilled -------------------------------------------------


waits_by_headers = pytest.mark.parametrize(
    ("headers", "quota_wait", "queue_wait"),
    [
        ({}, None, None),
        ({"x-ratelimit-reset-tokens-minute": "3.25"}, 3.25, None),
        ({"X-RateLimit-Reset-Tokens-Minute": "2"}, 2.0, None),
        ({"x-ratelimit-reset-tokens-minute": "soon"}, None, None),
        (RESETS_OF_AVAILABLE_QUOTAS, 41.0, None),
        (
            {**RESETS_OF_AVAILABLE_QUOTAS, "x-ratelimit-remaining-requests-day": "0"},
            33011.5,
            33011.5,
        ),
        (
            {**RESETS_OF_AVAILABLE_QUOTAS, "x-ratelimit-remaining-tokens-minute": "0"},
            41.0,
            41.0,
        ),
        (
            {
                "x-ratelimit-reset-tokens-minute": "3",
                "x-ratelimit-reset-requests-minute": "8",
                "x-ratelimit-remaining-tokens-minute": "0",
                "x-ratelimit-remaining-requests-minute": "0",
            },
            8.0,
            8.0,
        ),
    ],
)


@waits_by_headers
@pytest.mark.parametrize("code", QUOTA_CODES)
def test_retry_after_an_exceeded_quota_waits_for_a_reset(
    code: str, headers: dict[str, str], quota_wait: float | None, queue_wait: float | None
) -> None:
    assert estimate_quota_wait(CIMultiDict(headers), code, int) == quota_wait


@waits_by_headers
@pytest.mark.parametrize("code", ["queue_exceeded", None])
def test_retry_after_a_full_queue_waits_only_for_an_exhausted_quota(
    code: str | None,
    headers: dict[str, str],
    quota_wait: float | None,
    queue_wait: float | None,
) -> None:
    assert estimate_quota_wait(CIMultiDict(headers), code, int) == queue_wait


@pytest.mark.parametrize(
    ("code", "reserved_tokens", "seconds"),
    [
        ("request_quota_exceeded", 1000, 12.0),
        ("token_quota_exceeded", 1000, 2.0),
        ("token_quota_exceeded", 45_000, 90.0),
        ("queue_exceeded", 1000, None),
        (None, 1000, None),
    ],
)
def test_wait_without_a_reset_follows_from_the_limit(
    code: str | None, reserved_tokens: int, seconds: float | None
) -> None:
    assert estimate_quota_wait(LIMITS, code, lambda: reserved_tokens) == seconds


@pytest.mark.parametrize(("period", "seconds"), [("hour", 900.0), ("day", 21_600.0)])
def test_wait_for_an_exhausted_long_limit_follows_from_its_limit(
    period: str, seconds: float
) -> None:
    long_limit = {
        f"x-ratelimit-limit-requests-{period}": "4",
        f"x-ratelimit-remaining-requests-{period}": "0",
    }

    assert estimate_quota_wait({**LIMITS, **long_limit}, QUOTA_CODES[0], int) == seconds


@pytest.mark.parametrize("code", QUOTA_CODES)
@pytest.mark.parametrize("limit", [None, "0", "many", "-5"])
def test_invalid_limit_gives_no_wait(code: str, limit: str | None) -> None:
    headers = {}
    if limit is not None:
        headers = {
            "x-ratelimit-limit-requests-minute": limit,
            "x-ratelimit-limit-tokens-minute": limit,
        }

    assert estimate_quota_wait(headers, code, lambda: 1000) is None


@pytest.mark.parametrize(
    ("headers", "is_exhausted"),
    [
        ({}, False),
        (LIMITS, False),
        ({"x-ratelimit-remaining-requests-hour": "0"}, True),
        ({"x-ratelimit-remaining-tokens-hour": "0"}, True),
        ({"x-ratelimit-remaining-requests-day": "0"}, True),
        ({"x-ratelimit-remaining-tokens-day": "0.0"}, True),
        ({"x-ratelimit-remaining-tokens-day": "1"}, False),
    ],
)
def test_hourly_or_daily_quota_is_exhausted_if_nothing_remains(
    headers: dict[str, str], is_exhausted: bool
) -> None:
    assert is_long_limit_reached(headers) is is_exhausted


# --- the wait without any header -----------------------------------------------------


@pytest.mark.parametrize("code", QUOTA_CODES)
@pytest.mark.parametrize(("retry", "seconds"), [(1, 5.0), (2, 15.0), (3, 30.0), (9, 30.0)])
def test_backoff_for_a_quota_is_long(code: str, retry: int, seconds: float) -> None:
    assert compute_backoff(retry, code) == seconds


@pytest.mark.parametrize("code", [None, "queue_exceeded", "server_error"])
@pytest.mark.parametrize(
    ("retry", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (5000, 8.0)]
)
def test_other_backoff_doubles_up_to_eight_seconds_with_jitter(
    code: str | None, retry: int, longest: float
) -> None:
    waits = {compute_backoff(retry, code) for _ in range(50)}

    assert len(waits) > 1
    assert all(longest * 0.75 <= wait <= longest for wait in waits)


# --- arbitrary headers ---------------------------------------------------------------

arbitrary_headers = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-reset-tokens-minute",
            "x-ratelimit-remaining-tokens-minute",
            "x-ratelimit-limit-tokens-minute",
        ]
    ),
    st.text(max_size=20) | st.from_regex(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d"),
)


@given(arbitrary_headers)
def test_wait_is_never_negative(headers: dict[str, str]) -> None:
    waits = [
        get_retry_after(headers, NOW),
        estimate_quota_wait(headers, "token_quota_exceeded", lambda: 10),
    ]

    assert all(wait is None or wait >= 0 for wait in waits)


@pytest.mark.parametrize("unit", ["requests", "tokens"])
@pytest.mark.parametrize("period", ["minute", "hour", "day"])
def test_each_limit_is_noticed(unit: str, period: str) -> None:
    headers = {f"x-ratelimit-limit-{unit}-{period}": "100"}

    assert has_limits(headers)
    assert parse_limits(headers) == {f"{unit}-{period}": (100.0, None)}


def test_headers_without_limits_show_none() -> None:
    assert not has_limits({"date": "today", "x-ratelimit-reset-requests-day": "1"})
