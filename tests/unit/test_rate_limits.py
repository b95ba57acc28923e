"""Quota headers → how long to wait before the next request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from langchain_cerebras_inference._http.rate_limits import (
    asked_wait,
    backoff,
    is_long_quota_spent,
    quota_wait,
    should_retry,
)

NOW = 1_785_585_600.0  # Sat, 01 Aug 2026 12:00:00 GMT

LIMITS = {
    "x-ratelimit-limit-requests-minute": "5",
    "x-ratelimit-limit-tokens-minute": "30000",
    "x-ratelimit-remaining-requests-minute": "0",
    "x-ratelimit-remaining-tokens-minute": "0",
}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sat, 01 Aug 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 01 Aug 2026 12:00:30"}, 30.0),
        ({"retry-after": "Sat, 01 Aug 2026 13:00:30 +0100"}, 30.0),
        ({"retry-after": "Sat, 01 Aug 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}, None),
        ({"x-ratelimit-reset-tokens-minute": "3.25"}, None),
        ({"x-ratelimit-reset-tokens-minute": "3.25", "retry-after": "9"}, 9.0),
        (LIMITS, None),
    ],
)
def test_the_server_is_asked_how_long_to_wait(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert asked_wait(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After-Ms": "70"}, 0.07),
    ],
)
def test_headers_are_found_whatever_their_case(headers: dict[str, str], seconds: float) -> None:
    assert asked_wait(CIMultiDict(headers), NOW) == seconds


USUAL = {
    "x-ratelimit-reset-tokens-minute": "41",
    "x-ratelimit-reset-requests-day": "33011.5",
    "x-ratelimit-remaining-tokens-minute": "100",
    "x-ratelimit-remaining-requests-day": "14399",
}
"""What an answer may carry where nothing is used up."""


@pytest.mark.parametrize(
    ("headers", "quota", "queue"),
    [
        ({}, None, None),
        ({"x-ratelimit-reset-tokens-minute": "3.25"}, 3.25, None),
        ({"X-RateLimit-Reset-Tokens-Minute": "2"}, 2.0, None),
        ({"x-ratelimit-reset-tokens-minute": "soon"}, None, None),
        (USUAL, 41.0, None),
        ({**USUAL, "x-ratelimit-remaining-requests-day": "0"}, 33011.5, 33011.5),
        ({**USUAL, "x-ratelimit-remaining-tokens-minute": "0"}, 41.0, 41.0),
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
def test_a_quota_waits_for_its_reset_and_a_queue_for_what_is_used_up(
    headers: dict[str, str], quota: float | None, queue: float | None
) -> None:
    waits = [
        quota_wait(CIMultiDict(headers), code, int)
        for code in ("request_quota_exceeded", "token_quota_exceeded", "queue_exceeded", None)
    ]

    assert waits == [quota, quota, queue, queue]


@pytest.mark.parametrize(
    ("code", "reserved", "seconds"),
    [
        ("request_quota_exceeded", 1000, 12.0),
        ("token_quota_exceeded", 1000, 2.0),
        ("token_quota_exceeded", 45_000, 90.0),
        ("queue_exceeded", 1000, None),
        (None, 1000, None),
    ],
)
def test_the_limits_imply_when_there_is_room_again(
    code: str | None, reserved: int, seconds: float | None
) -> None:
    assert quota_wait(LIMITS, code, lambda: reserved) == seconds


@pytest.mark.parametrize("code", ["request_quota_exceeded", "token_quota_exceeded"])
@pytest.mark.parametrize("limit", [None, "0", "many", "-5"])
def test_limits_that_are_not_said_imply_nothing(code: str, limit: str | None) -> None:
    headers = {}
    if limit is not None:
        headers = {
            "x-ratelimit-limit-requests-minute": limit,
            "x-ratelimit-limit-tokens-minute": limit,
        }

    assert quota_wait(headers, code, lambda: 1000) is None


@pytest.mark.parametrize("code", ["request_quota_exceeded", "token_quota_exceeded"])
@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5.0), (2, 15.0), (3, 30.0), (9, 30.0)])
def test_a_quota_without_headers_is_given_time(code: str, attempt: int, seconds: float) -> None:
    assert backoff(attempt, code) == seconds


@pytest.mark.parametrize("code", [None, "queue_exceeded", "server_error"])
@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (5000, 8.0)]
)
def test_other_waits_double_up_to_eight_seconds_and_scatter(
    code: str | None, attempt: int, longest: float
) -> None:
    waits = {backoff(attempt, code) for _ in range(50)}

    assert len(waits) > 1
    assert all(longest * 0.75 <= wait <= longest for wait in waits)


@pytest.mark.parametrize(
    ("headers", "period"),
    [
        ({}, None),
        (LIMITS, None),
        ({"x-ratelimit-remaining-requests-hour": "0"}, "hour"),
        ({"x-ratelimit-remaining-tokens-hour": "0"}, "hour"),
        ({"x-ratelimit-remaining-requests-day": "0"}, "day"),
        ({"x-ratelimit-remaining-tokens-day": "0.0"}, "day"),
        ({"x-ratelimit-remaining-tokens-day": "1"}, None),
        (
            {
                "x-ratelimit-remaining-tokens-hour": "0",
                "x-ratelimit-remaining-tokens-day": "0",
            },
            "day",
        ),
    ],
)
def test_an_hourly_or_daily_quota_is_known_to_be_spent(
    headers: dict[str, str], period: str | None
) -> None:
    assert is_long_quota_spent(headers) is (period is not None)


@pytest.mark.parametrize(
    ("headers", "order"),
    [
        ({"x-should-retry": "true"}, True),
        ({"x-should-retry": "False"}, False),
        ({"x-should-retry": "maybe"}, None),
        ({}, None),
    ],
)
def test_the_server_may_order_or_forbid_a_retry(headers: dict[str, str], order: Any) -> None:
    assert should_retry(headers) is order


HEADERS = st.dictionaries(
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


@given(HEADERS)
def test_a_wait_is_never_negative_and_no_header_raises(headers: dict[str, str]) -> None:
    waits = [asked_wait(headers, NOW), quota_wait(headers, "token_quota_exceeded", lambda: 10)]

    assert all(wait is None or wait >= 0 for wait in waits)
