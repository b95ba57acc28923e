"""The emulator's rate limits, its latency, its counts, and its log lines.

Where a test must not depend on its speed, the limit is one per hour or day: what is added to
its bucket during a test is negligible.
"""

import asyncio
import io
import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cerebras_inference.emulator import Emulator, ErrorEvent, Refuse, Reply
from langchain_cerebras_inference.emulator.rate_limits import (
    Bucket,
    LimitName,
    LimitSettings,
)
from tests.integration.emulator_client import (
    GPT_OSS,
    JSON,
    QWEN,
    Response,
    auth_header,
    chat,
    chat_with_command_line,
    post,
    request_body,
    run_command_line,
    send,
    user_message,
)
from tests.integration.helpers import wait_until

REMAINING = "x-ratelimit-remaining-"
TOKENS_PER_DAY = 100_000
MAX_REFILL = 100
"""More than is added to a bucket of `TOKENS_PER_DAY` during a test: it takes 86 seconds."""


def get_remaining(response: Response, limit: str = "tokens-day") -> int:
    return int(response.headers[REMAINING + limit])


def get_prompt_tokens(response: Response) -> int:
    tokens: int = response.json["usage"]["prompt_tokens"]
    return tokens


def get_total_tokens(response: Response) -> int:
    tokens: int = response.json["usage"]["total_tokens"]
    return tokens


def wait_until_answered(server: Emulator) -> None:
    """Wait until the emulator has finished all requests; its clients finish a bit earlier."""
    for request in server.requests:
        assert request.answered.wait(10)


# Buckets


def test_bucket_is_refilled_continuously_up_to_its_capacity() -> None:
    bucket = Bucket(limit=120, capacity=10, refill_rate=2, now=100)
    bucket.level -= 10

    levels = []
    for now in (100.25, 103, 1000):
        bucket.refill(now)
        levels.append(bucket.level)

    assert levels == [0.5, 6, 10]


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=50))
def test_bucket_never_grants_more_than_its_capacity_and_refill(pauses: list[float]) -> None:
    bucket = Bucket(limit=60, capacity=3, refill_rate=1, now=0)
    now, granted = 0.0, 0
    for pause in pauses:
        now += pause
        bucket.refill(now)
        if bucket.level >= 1:
            bucket.level -= 1
            granted += 1

    assert granted <= 3 + now + 1e-9


@pytest.mark.parametrize(
    ("settings", "limit", "capacity"),
    [
        ({"requests_per_minute": 600}, LimitName("requests", "minute"), 600),
        ({"requests_per_minute": 600, "burst": 20}, LimitName("requests", "minute"), 20),
        ({"tokens_per_minute": 30_000}, LimitName("tokens", "minute"), 30_000),
        (
            {"tokens_per_minute": 30_000, "token_burst": 500},
            LimitName("tokens", "minute"),
            500,
        ),
        ({"requests_per_second": 10}, LimitName("requests", "second"), 10),
        ({"requests_per_second": 0.5}, LimitName("requests", "second"), 1),
        ({"tokens_per_hour": 100}, LimitName("tokens", "hour"), 100),
    ],
    ids=str,
)
def test_capacity_is_the_limit_or_the_burst(
    settings: Any, limit: LimitName, capacity: float
) -> None:
    (bucket,) = LimitSettings(**settings).create_buckets(now=0).values()

    assert bucket.level == capacity
    assert list(LimitSettings(**settings).create_buckets(now=0)) == [limit]


@pytest.mark.parametrize(("used_by_others", "refilled"), [(0, 10), (0.2, 8)])
def test_use_by_others_slows_the_refill(used_by_others: float, refilled: float) -> None:
    settings = LimitSettings(requests_per_minute=600, used_by_others=used_by_others)
    (bucket,) = settings.create_buckets(now=0).values()
    bucket.level -= 600

    bucket.refill(1)

    assert bucket.level == pytest.approx(refilled)
    assert bucket.limit == 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"requests_per_minute": 0}, "requests_per_minute must be a finite number"),
        ({"tokens_per_day": -1}, "tokens_per_day must be a finite number"),
        ({"tokens_per_hour": float("inf")}, "tokens_per_hour must be a finite number"),
        ({"requests_per_second": 0}, "requests_per_second must be positive"),
        ({"requests_per_second": float("nan")}, "requests_per_second must be positive"),
        ({"requests_per_minute": 5, "burst": 0}, "burst must be a finite number"),
        ({"burst": 5}, "burst needs requests_per_minute"),
        ({"requests_per_minute": 5, "token_burst": 5}, "token_burst needs tokens_per_minute"),
        ({"used_by_others": 1}, "used_by_others must be at least 0 and less than 1"),
        ({"used_by_others": -0.1}, "used_by_others must be at least 0 and less than 1"),
        ({"latency": (-1, 1)}, "latency must be two finite numbers"),
        ({"latency": (2, 1)}, "latency must be two finite numbers"),
        ({"latency": (0, float("inf"))}, "latency must be two finite numbers"),
    ],
    ids=str,
)
def test_invalid_limit_is_a_value_error(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Emulator(**arguments)


# Limits of requests


def test_requests_beyond_the_burst_are_rejected() -> None:
    with Emulator(requests_per_minute=1, burst=3) as server:
        assert [chat(server).status for _ in range(5)] == [200, 200, 200, 429, 429]


def test_requests_are_accepted_again_once_the_bucket_is_refilled() -> None:
    with Emulator(requests_per_minute=60, burst=1) as server:
        start = time.monotonic()
        statuses = [chat(server).status, chat(server).status]
        while statuses[-1] == 429:
            assert time.monotonic() < start + 30
            time.sleep(0.02)
            statuses.append(chat(server).status)
        elapsed = time.monotonic() - start

    accepted = statuses.count(200)
    assert 2 <= accepted <= 1 + elapsed


def test_parallel_requests_get_no_more_than_burst_and_refill() -> None:
    with Emulator(requests_per_minute=600, burst=20) as server:
        start = time.monotonic()
        with ThreadPoolExecutor(25) as pool:
            responses = list(pool.map(lambda _: chat(server), range(100)))
        elapsed = time.monotonic() - start
        counts = (server.accepted, server.rejected)

    statuses = Counter(response.status for response in responses)
    assert statuses.keys() <= {200, 429}
    assert counts == (statuses[200], statuses[429])
    assert 20 <= statuses[200] <= 20 + 10 * elapsed


def test_each_model_has_limits_of_its_own() -> None:
    with Emulator(requests_per_day=1) as server:
        statuses = [chat(server).status for _ in range(2)]
        qwen_statuses = [chat(server, model=QWEN).status for _ in range(2)]

    assert statuses == qwen_statuses == [200, 429]


def test_each_key_has_limits_of_its_own() -> None:
    content = json.dumps(request_body()).encode()
    with Emulator(requests_per_day=1) as server:
        statuses = [post(server, content).status for _ in range(2)]
        demo_key = auth_header(server.demo_key)
        demo_statuses = [post(server, content, **demo_key).status for _ in range(2)]

    assert statuses == demo_statuses == [200, 429]


def test_only_valid_chat_requests_count_towards_the_limits() -> None:
    with Emulator(requests_per_day=1) as server:
        assert chat(server, unknown=True).status == 400
        assert (
            send(f"{server.base_url}/models", headers=auth_header(server.api_key)).status == 200
        )
        assert chat(server).status == 200


def test_request_beyond_a_limit_uses_no_scripted_behavior() -> None:
    with Emulator(requests_per_day=1) as server:
        server.script(Reply("First"), Reply("Second"))

        first, rejected, second = chat(server), chat(server), chat(server, model=QWEN)

    assert rejected.status == 429
    assert [first.message["content"], second.message["content"]] == ["First", "Second"]


# Limits of tokens


@pytest.mark.parametrize(
    ("fields", "completion_tokens"),
    [
        ({}, 16_384),
        ({"max_completion_tokens": -1}, 16_384),
        ({"max_completion_tokens": 100}, 100),
        ({"max_completion_tokens": 40_000}, 16_384),
        ({"max_tokens": 50}, 50),
    ],
    ids=str,
)
def test_tokens_of_the_prompt_and_the_longest_completion_are_reserved(
    fields: JSON, completion_tokens: int
) -> None:
    with Emulator(tokens_per_day=TOKENS_PER_DAY) as server:
        response = chat(server, **fields)

    reserved = get_prompt_tokens(response) + completion_tokens
    assert 0 <= get_remaining(response) - (TOKENS_PER_DAY - reserved) < MAX_REFILL


def test_rejected_request_reserves_nothing() -> None:
    with Emulator(tokens_per_day=5_000, requests_per_day=10) as server:
        accepted = chat(server, max_completion_tokens=4_000)
        rejected = chat(server, max_completion_tokens=4_000)
        small = chat(server, max_completion_tokens=100)

    assert [accepted.status, rejected.status, small.status] == [200, 429, 200]
    assert 0 <= get_remaining(rejected) - get_remaining(accepted) < MAX_REFILL
    assert (
        get_remaining(rejected, "requests-day") == get_remaining(accepted, "requests-day") == 9
    )
    assert get_remaining(small, "requests-day") == 8


def test_request_for_more_tokens_than_the_bucket_holds_is_never_accepted() -> None:
    with Emulator(tokens_per_minute=30_000, token_burst=1_000) as server:
        assert chat(server, max_completion_tokens=1_000).status == 429
        assert chat(server, max_completion_tokens=900).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_not_refunded_by_default(*, stream: bool) -> None:
    with Emulator(tokens_per_day=TOKENS_PER_DAY) as server:
        first = chat(server, stream=stream)
        wait_until_answered(server)
        second = chat(server)

    reserved = TOKENS_PER_DAY - get_remaining(first)
    assert 0 <= get_remaining(second) - (TOKENS_PER_DAY - 2 * reserved) < MAX_REFILL


@pytest.mark.parametrize("stream", [False, True])
def test_unused_tokens_are_refunded_after_the_completion(*, stream: bool) -> None:
    with Emulator(tokens_per_day=TOKENS_PER_DAY, refund_unused_tokens=True) as server:
        first = chat(server, stream=stream)
        wait_until_answered(server)
        used = server.requests[0].tokens
        second = chat(server, stream=stream)

    reserved = TOKENS_PER_DAY - get_remaining(first)
    assert used is not None
    assert 0 <= get_remaining(second) - (TOKENS_PER_DAY - used - reserved) < MAX_REFILL


def test_scripted_usage_decides_the_refund() -> None:
    with Emulator(tokens_per_day=TOKENS_PER_DAY, refund_unused_tokens=True) as server:
        server.script(Reply(usage={"total_tokens": 5_000}), Refuse(500))
        first = chat(server)
        wait_until_answered(server)
        chat(server)
        wait_until_answered(server)
        last = chat(server)

    reserved = TOKENS_PER_DAY - get_remaining(first)
    assert 0 <= get_remaining(last) - (TOKENS_PER_DAY - 5_000 - reserved) < MAX_REFILL


# Error responses and headers


@pytest.mark.parametrize(
    ("settings", "code", "error_type", "message"),
    [
        (
            {"requests_per_minute": 1},
            "request_quota_exceeded",
            "too_many_requests_error",
            "Requests per minute limit exceeded - too many requests sent.",
        ),
        (
            {"requests_per_second": 0.01},
            "request_quota_exceeded",
            "too_many_requests_error",
            "Requests per second limit exceeded - too many requests sent.",
        ),
        (
            {"requests_per_day": 1},
            "request_quota_exceeded",
            "too_many_requests_error",
            "Requests per day limit exceeded - too many requests sent.",
        ),
        (
            {"tokens_per_minute": 20_000},
            "token_quota_exceeded",
            "too_many_tokens_error",
            "Tokens per minute limit exceeded - too many tokens processed.",
        ),
        (
            {"tokens_per_hour": 20_000},
            "token_quota_exceeded",
            "too_many_tokens_error",
            "Tokens per hour limit exceeded - too many tokens processed.",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_exceeded_limit_returns_the_recorded_error(
    settings: Any, code: str, error_type: str, message: str
) -> None:
    with Emulator(**settings) as server:
        accepted, rejected = chat(server), chat(server)

    assert (accepted.status, rejected.status) == (200, 429)
    assert rejected.json == {
        "message": message,
        "type": error_type,
        "param": "quota",
        "code": code,
    }
    assert "Retry-After" not in rejected.headers


def test_headers_have_the_configured_limits_and_recorded_ones_for_the_others() -> None:
    with Emulator(requests_per_minute=5, tokens_per_hour=50_000) as server:
        response = chat(server, max_completion_tokens=93)

    shown = {
        name.removeprefix("x-ratelimit-"): int(value)
        for name, value in response.headers.items()
        if name.startswith("x-ratelimit-")
    }
    hour_tokens = shown.pop("remaining-tokens-hour")
    assert 0 <= hour_tokens - (50_000 - 93 - get_prompt_tokens(response)) < MAX_REFILL
    assert shown == {
        "limit-requests-minute": 5,
        "remaining-requests-minute": 4,
        "limit-requests-hour": 60_000,
        "remaining-requests-hour": 60_000,
        "limit-requests-day": 1_440_000,
        "remaining-requests-day": 1_440_000,
        "limit-tokens-minute": 1_000_000,
        "remaining-tokens-minute": 1_000_000,
        "limit-tokens-hour": 50_000,
        "limit-tokens-day": 2_000_000_000,
        "remaining-tokens-day": 2_000_000_000,
    }


def test_remaining_amount_in_the_headers_is_refilled() -> None:
    tokens_per_second = 10
    with Emulator(tokens_per_hour=3_600 * tokens_per_second) as server:
        start = time.monotonic()
        chat(server)
        first = chat(server)
        last = chat(server)
        while get_remaining(last, "tokens-hour") == get_remaining(first, "tokens-hour"):
            time.sleep(0.02)
            last = chat(server)
        elapsed = time.monotonic() - start

    assert (first.status, last.status) == (200, 429)
    refilled = get_remaining(last, "tokens-hour") - get_remaining(first, "tokens-hour")
    assert 1 <= refilled <= tokens_per_second * elapsed + 1


def test_no_header_shows_the_limit_per_second() -> None:
    with Emulator(requests_per_second=0.01, requests_per_day=10) as server:
        accepted, rejected = chat(server), chat(server)

    assert (accepted.status, rejected.status) == (200, 429)
    assert (
        get_remaining(accepted, "requests-day") == get_remaining(rejected, "requests-day") == 9
    )
    assert get_remaining(rejected, "requests-minute") == 1_000
    assert not [name for name in rejected.headers if name.endswith("-second")]


def test_full_queue_can_be_scripted_and_counts_towards_the_limits_as_usual() -> None:
    with Emulator(requests_per_day=10) as server:
        server.script(Refuse(429, "queue_exceeded"))
        response = chat(server)

    assert response.status == 429
    assert (response.json["code"], response.json["param"]) == ("queue_exceeded", "queue")
    assert "high traffic" in response.json["message"]
    assert get_remaining(response, "requests-day") == 9


# Counts, reset and latency


def test_requests_are_counted_and_have_a_status(server: Emulator) -> None:
    server.script(Refuse(500), Refuse(429), ErrorEvent(), Reply("Hello"))
    for _ in range(4):
        chat(server)
    chat(server, unknown=True)
    send(f"{server.base_url}/models", headers=auth_header(server.api_key))

    assert (server.accepted, server.rejected) == (1, 2)
    statuses = [request.status for request in server.requests]
    assert statuses == [500, 429, 429, 200, 400, 200]
    models = [request.model for request in server.requests]
    assert models == [GPT_OSS] * 5 + [None]


@pytest.mark.parametrize("stream", [False, True])
def test_request_has_the_tokens_of_its_completion(server: Emulator, *, stream: bool) -> None:
    response = chat(server, stream=stream)

    body = response.events[-1] if stream else response.json
    assert server.requests[0].tokens == body["usage"]["total_tokens"]


def test_reset_fills_the_buckets_and_clears_the_counts() -> None:
    with Emulator(requests_per_day=1) as server:
        assert [chat(server).status for _ in range(2)] == [200, 429]
        assert (server.accepted, server.rejected) == (1, 1)

        server.reset()

        assert (server.accepted, server.rejected) == (0, 0)
        assert [chat(server).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("stream", [False, True])
def test_completion_comes_after_the_latency(*, stream: bool) -> None:
    with Emulator(latency=(0.2, 0.3)) as server:
        start = time.monotonic()
        assert chat(server, stream=stream).status == 200

    assert time.monotonic() - start >= 0.2


async def test_error_response_does_not_wait_for_the_latency() -> None:
    async with Emulator(latency=(30, 30), requests_per_day=1) as server:
        slow = asyncio.create_task(start_chat(server))
        await asyncio.to_thread(wait_until, lambda: server.accepted == 1)

        rejected = await asyncio.to_thread(chat, server)

        assert rejected.status == 429
        assert not server.requests[0].answered.is_set()
        slow.cancel()


async def start_chat(server: Emulator) -> None:
    async with (
        aiohttp.ClientSession(headers=auth_header(server.api_key)) as session,
        session.post(f"{server.base_url}/chat/completions", json=request_body()),
    ):
        pass


# Log lines

LOG_LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 "
    r"(?P<method>\S+) (?P<path>\S+) model=(?P<model>\S+) status=(?P<status>\S+) "
    r"tokens=(?P<tokens>\S+) ms=\d+"
)


def parse_log(log: str) -> list[tuple[str, ...]]:
    """The method, path, model, status and tokens of each line."""
    matches = [LOG_LINE.fullmatch(line) for line in log.splitlines()]
    assert None not in matches, log
    return [match.groups() for match in matches if match]


def test_log_has_one_line_for_each_request() -> None:
    log = io.StringIO()
    with Emulator(log=log, requests_per_day=1) as server:
        tokens = get_total_tokens(chat(server))
        chat(server)
        send(f"{server.origin}/public/v1/models")
        post(server, b"no JSON")
        wait_until_answered(server)

    assert parse_log(log.getvalue()) == [
        ("POST", "/v1/chat/completions", GPT_OSS, "200", str(tokens)),
        ("POST", "/v1/chat/completions", GPT_OSS, "429", "-"),
        ("GET", "/public/v1/models", "-", "200", "-"),
        ("POST", "/v1/chat/completions", "-", "400", "-"),
    ]


async def test_log_has_a_line_for_a_request_whose_client_disconnected() -> None:
    log = io.StringIO()
    async with Emulator(log=log, latency=(30, 30)) as server:
        slow = asyncio.create_task(start_chat(server))
        await asyncio.to_thread(wait_until, lambda: server.accepted == 1)
        slow.cancel()
        await asyncio.to_thread(wait_until, lambda: log.getvalue().endswith("\n"))

    ((method, path, model, status, _tokens),) = parse_log(log.getvalue())
    assert (method, path, model, status) == ("POST", "/v1/chat/completions", GPT_OSS, "-")


def test_log_has_neither_secrets_nor_line_breaks_from_requests() -> None:
    log = io.StringIO()
    with Emulator(log=log) as server:
        chat(server, messages=[user_message("a private prompt")], model="two words\nand a line")
        send(
            f"{server.origin}/two%20words?key=secret",
            headers=auth_header("csk-secret"),
        )
        cookies = "; ".join(f"{name}={value}" for name, value in server.cookies.items())
        send(server.session_url, headers={"Cookie": cookies})
        wait_until_answered(server)

    assert [groups[1:3] for groups in parse_log(log.getvalue())] == [
        ("/v1/chat/completions", "two%20words%0Aand%20a%20line"),
        ("/two%20words", "-"),
        ("/api/auth/session", "-"),
    ]
    secrets = [server.api_key, server.demo_key, *server.cookies.values(), "secret", "private"]
    assert not [secret for secret in secrets if secret in log.getvalue()]


class ClosedPipe(io.StringIO):
    """A standard output whose reader has exited."""

    def flush(self) -> None:
        raise BrokenPipeError


def test_closed_log_does_not_stop_the_emulator() -> None:
    with Emulator(log=ClosedPipe()) as server:
        assert [chat(server).status for _ in range(2)] == [200, 200]


def test_command_line_enforces_limits_and_prints_the_log() -> None:
    options = ["--requests-per-minute", "60", "--burst", "1", "--requests-per-day", "1"]
    with run_command_line(*options, "--latency", "0", "0.01") as (process, settings):
        statuses = [chat_with_command_line(settings).status for _ in range(2)]
        process.terminate()
        output, errors = process.communicate(timeout=10)

    assert statuses == [200, 429]
    assert [groups[3] for groups in parse_log(output)] == ["200", "429"]
    assert settings["CEREBRAS_API_KEY"] not in output
    assert (process.returncode, errors) == (0, "")


def test_quiet_command_line_prints_no_log() -> None:
    with run_command_line("--quiet") as (process, settings):
        status = chat_with_command_line(settings).status
        process.terminate()
        output, _ = process.communicate(timeout=10)

    assert (status, output) == (200, "")
