"""Calls that exceed their quota, in all call styles, against a limiter on loopback."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference import CerebrasRateLimitError, ChatCerebrasInference
from langchain_cerebras_inference._quota import registry
from langchain_cerebras_inference.emulator import Emulator, ErrorEvent, Refuse, Reply
from tests.integration.call_styles import CALL_STYLES, STREAMING_STYLES, collect
from tests.integration.limiter import Limiter
from tests.python_command import PYTHON
from tests.quota_stores import REDIS_PASSWORD, both_stores, require_redis, run_redis

ROOT = Path(__file__).parents[2]

styles = pytest.mark.parametrize("style", CALL_STYLES)
invoke_and_astream = pytest.mark.parametrize("style", ["invoke", "astream"])


@pytest.fixture
def limiter() -> Iterator[Limiter]:
    """A server that allows 20 requests a second, and a burst of 20."""
    with Limiter(requests_per_second=20).serve() as running:
        yield running


def create_model(limiter: Limiter, **settings: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(
        base_url=limiter.url, **{"api_key": "key", "max_tokens": 100, **settings}
    )


async def run_batch(model: ChatCerebrasInference, prompts: list[Any], at_once: int = 0) -> None:
    await model.abatch(prompts, {"max_concurrency": at_once or None})


def number_prompts(count: int) -> list[Any]:
    return [f"Prompt {number}" for number in range(count)]


# --- every call style ----------------------------------------------------------------


@styles
@pytest.mark.parametrize("pace", ["auto", True])
def test_calls_wait_while_the_quota_is_exhausted(
    pace: Any, style: str, limiter: Limiter
) -> None:
    create_model(limiter, api_key="other").invoke("Import everything")
    limiter.accepted.clear()
    model = create_model(limiter, pace=pace)
    limiter.request_level = 2.0

    for _ in range(5):
        CALL_STYLES[style](model, "Hello!")

    times = [time for time, _, _ in limiter.accepted]
    assert limiter.rejected == []
    assert times[4] - times[1] > 2.9 / 20


@styles
def test_rejected_call_is_sent_again(style: str, limiter: Limiter) -> None:
    limiter.empty()

    message = CALL_STYLES[style](create_model(limiter), "Hello!")

    assert message.text
    assert len(limiter.rejected) == 1
    assert message.response_metadata["retries"] == 1


@styles
def test_queueing_does_not_use_up_retries(style: str, server: Emulator) -> None:
    server.script(*[Refuse(429, headers={"Retry-After": "0.01"})] * 4)
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, max_retries=1
    )

    message = CALL_STYLES[style](model, "Hello!")

    assert message.response_metadata["retries"] == 4
    assert len(server.requests) == 5


@styles
def test_without_retries_a_rejection_is_raised_at_once(style: str, limiter: Limiter) -> None:
    limiter.empty()

    with pytest.raises(CerebrasRateLimitError):
        CALL_STYLES[style](create_model(limiter, max_retries=0), "Hello!")

    assert len(limiter.rejected) == 1


@invoke_and_astream
def test_fallback_is_used_at_once(style: str, limiter: Limiter, server: Emulator) -> None:
    server.script(Reply(content="From the fallback."))
    fallback = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)
    limiter.empty()
    model = create_model(limiter, max_retries=0).with_fallbacks([fallback])

    assert CALL_STYLES[style](model, "Hello!").text == "From the fallback."
    assert len(limiter.rejected) == 1


@invoke_and_astream
def test_without_pace_a_call_is_retried_as_often_as_allowed(
    style: str, server: Emulator
) -> None:
    server.script(*[Refuse(429, headers={"Retry-After": "0.01"})] * 9)
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, pace=False, max_retries=2
    )

    with pytest.raises(CerebrasRateLimitError):
        CALL_STYLES[style](model, "Hello!")

    assert len(server.requests) == 3


@styles
def test_error_for_a_wait_that_is_too_long_recommends_pace(
    style: str, limiter: Limiter
) -> None:
    limiter.requests_per_second = 0.01
    limiter.empty()

    with pytest.raises(CerebrasRateLimitError, match="pace=True") as caught:
        CALL_STYLES[style](create_model(limiter, max_retry_wait=5), "Hello!")

    assert caught.value.status == 429
    assert "The limit is exceeded." in str(caught.value.body)
    assert caught.value.retry_after == pytest.approx(100, rel=0.1)
    with pytest.raises(CerebrasRateLimitError, match="max_retry_wait") as caught:
        CALL_STYLES[style](create_model(limiter, max_retry_wait=5), "Hello!")
    assert caught.value.status is None
    assert len(limiter.rejected) == 1


@pytest.mark.parametrize("style", STREAMING_STYLES)
def test_rejection_in_a_stream_is_raised_and_delays_the_next_call(
    style: str, server: Emulator
) -> None:
    event = ErrorEvent(after=2, status=429, code="request_quota_exceeded")
    server.script(event)
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, max_retry_wait=0.01
    )

    with pytest.raises(CerebrasRateLimitError):
        STREAMING_STYLES[style](model, "Hello!")
    assert len(server.requests) == 1
    with pytest.raises(CerebrasRateLimitError, match="pace=True"):
        STREAMING_STYLES[style](model, "Hello!")

    assert len(server.requests) == 1


@styles
def test_request_larger_than_the_limit_fails_before_it_is_sent(
    style: str, limiter: Limiter
) -> None:
    limiter.tokens_per_second, limiter.burst_seconds = 100.0, 60.0
    limiter.fill()
    model = create_model(limiter, pace=True)
    CALL_STYLES[style](model, "Hello!")

    with pytest.raises(CerebrasRateLimitError, match="reduce max_tokens"):
        CALL_STYLES[style](model.bind(max_tokens=10_000), "Hello!")

    assert len(limiter.accepted) == 1
    assert limiter.rejected == []


# --- the key ---------------------------------------------------------------------------


@styles
def test_key_function_is_called_again_before_a_rejected_call_queues(
    style: str, limiter: Limiter
) -> None:
    keys = iter(["first", "second"])
    limiter.requests_per_second, limiter.request_level = 0.001, 0.0

    def get_key() -> str:
        key = next(keys)
        if key == "second":  # which has a quota of its own
            limiter.request_level = 1.0
        return key

    CALL_STYLES[style](create_model(limiter, api_key=get_key), "Hello!")

    assert [authorization for _, authorization, _ in limiter.accepted] == ["bearer second"]


@styles
def test_rejection_from_the_key_function_is_retried_only_as_often_as_allowed(
    style: str, limiter: Limiter
) -> None:
    limiter.empty()
    calls: list[int] = []

    def get_key() -> str:
        calls.append(len(calls))
        if len(calls) > 1:
            raise CerebrasRateLimitError("Busy.", status=429, retry_after=0.01)
        return "key"

    with pytest.raises(CerebrasRateLimitError, match=r"^Busy\.$"):
        CALL_STYLES[style](create_model(limiter, api_key=get_key), "Hello!")

    assert len(calls) == 4
    assert len(limiter.rejected) == 1


@pytest.mark.parametrize("limit", [-1, "50", 50.0, None])
def test_unusual_token_limit_in_extra_body_is_sent(limit: Any, limiter: Limiter) -> None:
    limiter.tokens_per_second, limiter.burst_seconds = 200.0, 12_000.0
    limiter.fill()
    create_model(limiter).invoke("Hello!")

    create_model(limiter, extra_body={"max_completion_tokens": limit}).invoke("Hello!")

    assert len(limiter.accepted) == 2


def test_models_share_a_quota_unless_they_have_another_key(limiter: Limiter) -> None:
    limiter.requests_per_second, limiter.request_level = 0.001, 1.0
    create_model(limiter).invoke("Hello!")

    with pytest.raises(CerebrasRateLimitError):
        create_model(limiter).invoke("Hello!")
    assert limiter.rejected == []
    with pytest.raises(CerebrasRateLimitError):
        create_model(limiter, default_headers={"authorization": "Bearer other"}).invoke("Hi!")
    assert len(limiter.rejected) == 1


# --- batches ---------------------------------------------------------------------------


def test_default_settings_finish_a_batch_larger_than_the_quota(limiter: Limiter) -> None:
    asyncio.run(run_batch(create_model(limiter), number_prompts(80), at_once=16))

    assert len(limiter.accepted) == 80
    assert len(limiter.rejected) <= 2


def test_paced_batch_uses_most_of_the_quota(limiter: Limiter) -> None:
    asyncio.run(run_batch(create_model(limiter, pace=True), number_prompts(80)))

    assert len(limiter.accepted) == 80
    assert len(limiter.rejected) <= 1
    assert limiter.compute_usage() > 0.8


def test_threads_share_the_queue(limiter: Limiter) -> None:
    model = create_model(limiter, pace=True)
    with ThreadPoolExecutor(16) as threads:
        messages = list(threads.map(model.invoke, number_prompts(60)))

    assert len(messages) == len(limiter.accepted) == 60
    assert len(limiter.rejected) <= 1


def test_event_loops_in_threads_share_the_quota(limiter: Limiter) -> None:
    def run(_: int) -> None:
        asyncio.run(run_batch(create_model(limiter, pace=True), number_prompts(15)))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(4)))

    assert len(limiter.accepted) == 60
    assert len(limiter.rejected) <= 6  # with a quota for each event loop, 37


def test_quota_is_kept_after_its_event_loop_is_closed(limiter: Limiter) -> None:
    model = create_model(limiter, pace=True)
    for _ in range(3):
        asyncio.run(run_batch(model, number_prompts(20)))

    assert len(limiter.accepted) == 60
    assert len(limiter.rejected) <= 1


async def test_streams_are_paced(limiter: Limiter) -> None:
    model = create_model(limiter, pace=True)

    streams = await asyncio.gather(*(collect(model.astream("Hello!")) for _ in range(60)))

    assert all("".join(chunk.text for chunk in chunks) == "Hello you" for chunks in streams)
    assert len(limiter.rejected) <= 1


async def test_cancelled_call_leaves_the_queue(limiter: Limiter) -> None:
    model = create_model(limiter)
    limiter.requests_per_second, limiter.request_level = 2.0, 1.0
    await model.ainvoke("First")
    tasks = [asyncio.create_task(model.ainvoke(f"Task {number}")) for number in range(6)]
    await asyncio.sleep(0.1)

    for task in tasks[:5]:
        task.cancel()
    start = time.monotonic()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert [prompt for _, _, prompt in limiter.accepted] == ["First", "Task 5"]
    assert time.monotonic() - start < 1.5  # the sixth turn would be in 3 s
    assert all(quota.is_idle for quota in registry._quotas.values())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_has_a_queue_of_its_own(limiter: Limiter) -> None:
    model = create_model(limiter)
    limiter.requests_per_second, limiter.request_level = 5.0, 1.0
    model.invoke("In the parent")
    waiting = threading.Thread(target=model.invoke, args=("In the parent",))
    waiting.start()
    time.sleep(0.02)

    child = os.fork()
    if child == 0:
        try:
            asyncio.run(model.ainvoke("In the child"))
            os._exit(0)
        except BaseException:  # noqa: BLE001 # the child must not go on with the tests
            os._exit(1)
    waiting.join()
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert Counter(prompt for _, _, prompt in limiter.accepted) == {
        "In the parent": 2,
        "In the child": 1,
    }


# --- what is logged --------------------------------------------------------------------


@invoke_and_astream
def test_retries_and_waits_are_logged(
    style: str, limiter: Limiter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "langchain_cerebras_inference")
    limiter.requests_per_second = 0.5
    limiter.empty()

    CALL_STYLES[style](create_model(limiter), "Hello!")

    retry, wait = caplog.messages
    assert retry.startswith(
        "Waiting for the quota again after: The server responded with status 429"
    )
    assert wait.startswith("Waiting up to 2.")
    assert wait.endswith("s for the limit of requests per minute; calls in the queue: 1")


@invoke_and_astream
def test_retries_after_other_errors_are_logged_and_counted(
    style: str, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "langchain_cerebras_inference")
    server.script(Refuse(503, headers={"Retry-After": "0.01"}))
    model = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)

    message = CALL_STYLES[style](model, "Hello!")

    [line] = caplog.messages
    assert line.startswith("Retry 1 of 2 in 0.0 s after: The server responded with status 503")
    assert message.response_metadata["retries"] == 1


# --- processes -------------------------------------------------------------------------

PROCESS = """
import asyncio, json, sys
from langchain_cerebras_inference import ChatCerebrasInference

async def main(url, store, name, count):
    model = ChatCerebrasInference(
        base_url=url, api_key="key", max_tokens=100, pace=True, quota_store=store
    )
    print("ready", flush=True)
    sys.stdin.readline()
    prompts = [f"{name} {number}" for number in range(count)]
    results = await model.abatch(prompts, return_exceptions=True)
    errors = [repr(result) for result in results if isinstance(result, Exception)]
    print(json.dumps(errors))

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
"""


def run_processes(
    limiter: Limiter, store: str, count: int, *, processes: int = 4, kill_after: float = 0
) -> list[str]:
    """Run processes that share a store, and return the errors of their calls."""
    command = [*PYTHON, "-c", PROCESS, limiter.url, store]
    running = [
        subprocess.Popen(
            [*command, f"process-{number}", str(count)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    if kill_after:
        time.sleep(kill_after)
        running[0].send_signal(signal.SIGKILL)
        running[0].communicate()
        del running[0]
    errors: list[str] = []
    for process in running:
        output, error_output = process.communicate()
        assert (process.returncode, error_output) == (0, "")
        errors += json.loads(output)
    return errors


def count_by_process(limiter: Limiter, until: float) -> Counter[str]:
    """Count the accepted requests of each process up to a part of the whole time."""
    start = limiter.accepted[0][0]
    end = start + limiter.duration * until
    return Counter(prompt.split()[0] for time, _, prompt in limiter.accepted if time <= end)


def test_processes_share_a_quota_in_sqlite(limiter: Limiter, tmp_path: Path) -> None:
    errors = run_processes(limiter, f"sqlite:///{tmp_path}/quotas.db", 30, processes=2)

    assert errors == []
    assert len(limiter.accepted) == 60
    assert len(limiter.rejected) <= 3


@pytest.mark.scale
@pytest.mark.timeout(300)
@both_stores
def test_four_processes_use_the_whole_quota(store_url: str) -> None:
    with Limiter(requests_per_second=40, latency=(0.01, 0.05)).serve() as limiter:
        errors = run_processes(limiter, store_url, 250)

    report(limiter)
    assert errors == []
    assert len(limiter.accepted) == 1_000
    assert len(limiter.rejected) <= 20
    assert limiter.compute_usage() >= 0.95
    halfway = count_by_process(limiter, 0.5)
    assert len(halfway) == 4
    assert min(halfway.values()) > 60


@pytest.mark.scale
@pytest.mark.timeout(300)
@both_stores
def test_killed_process_does_not_stop_the_others(store_url: str) -> None:
    with Limiter(requests_per_second=40, latency=(0.01, 0.05)).serve() as limiter:
        errors = run_processes(limiter, store_url, 200, kill_after=3)

    report(limiter)
    assert errors == []
    counts = count_by_process(limiter, 1)
    assert [counts[f"process-{number}"] for number in (1, 2, 3)] == [200] * 3
    assert len(limiter.rejected) <= 20


@pytest.mark.scale
def test_stopped_redis_raises_an_error_or_is_not_used(
    tmp_path: Path, limiter: Limiter, caplog: pytest.LogCaptureFixture
) -> None:
    require_redis()
    with run_redis(tmp_path) as url:
        create_model(limiter, quota_store=url).invoke("Hello!")
    create_model(limiter, quota_store=url).invoke("Hello!")

    assert "quota store does not work (Redis at 127.0.0.1" in caplog.text
    assert REDIS_PASSWORD not in caplog.text
    with pytest.raises(Exception, match="Check the setting quota_store") as caught:
        create_model(limiter, quota_store=url, pace=True).invoke("Hello!")
    assert REDIS_PASSWORD not in f"{caught.value!r}"


# --- the figures -----------------------------------------------------------------------


def report(limiter: Limiter) -> None:
    total = len(limiter.accepted)
    print(  # noqa: T201 # figures for the reader
        f"\n{total} accepted, {len(limiter.rejected)} rejected"
        f" ({len(limiter.rejected) / total:.1%}), {limiter.duration:.2f} s,"
        f" {limiter.compute_usage():.1%} of the quota used"
    )


load = pytest.mark.load
long = pytest.mark.timeout(300)


@load
@long
def test_default_settings_lose_no_prompt_and_use_the_whole_quota() -> None:
    with Limiter(requests_per_second=10, burst_seconds=2).serve() as limiter:
        asyncio.run(run_batch(create_model(limiter), number_prompts(200), at_once=16))

    report(limiter)
    assert len(limiter.accepted) == 200
    assert len(limiter.rejected) <= 5
    assert limiter.duration <= (200 - 20) / 10 * 1.05


@load
@long
def test_thousand_paced_requests_use_the_whole_quota() -> None:
    with Limiter(requests_per_second=40).serve() as limiter:
        asyncio.run(run_batch(create_model(limiter, pace=True), number_prompts(1_000)))

    report(limiter)
    assert len(limiter.accepted) == 1_000
    assert len(limiter.rejected) <= 10
    assert limiter.compute_usage() >= 0.97


@load
@long
@pytest.mark.parametrize("refunded_share", [0.0, 0.8])
def test_thousand_requests_with_many_tokens_use_the_whole_quota(refunded_share: float) -> None:
    with Limiter(
        tokens_per_second=100_000, refunded_share=refunded_share, latency=(0.02, 0.1)
    ).serve() as limiter:
        model = create_model(limiter, pace=True, default_headers=None)

        async def run() -> None:
            calls = []
            for number in range(1_000):
                prompt = f"Prompt {number} " + "word " * (number * 37 % 1_500)
                max_tokens = 50 + number * 61 % 4_950
                calls.append(model.ainvoke(prompt, max_tokens=max_tokens))
            await asyncio.gather(*calls)

        asyncio.run(run())

    report(limiter)
    assert len(limiter.accepted) == 1_000
    assert len(limiter.rejected) <= 20
    assert limiter.compute_usage() >= 0.95


@load
@long
def test_few_requests_are_rejected_with_another_client_and_changing_latencies() -> None:
    with Limiter(
        requests_per_second=30, used_by_others=0.2, latency=(0.02, 0.5)
    ).serve() as limiter:
        asyncio.run(run_batch(create_model(limiter, pace=True), number_prompts(1_000)))

    report(limiter)
    assert len(limiter.accepted) == 1_000
    assert len(limiter.rejected) <= 30


@load
@long
@pytest.mark.parametrize("burst", [1, 10])
def test_few_requests_are_rejected_with_a_hidden_limit(burst: float) -> None:
    with Limiter(
        requests_per_second=20,
        burst_seconds=burst,
        hidden_requests_per_second=20,
        latency=(0.05, 0.1),
    ).serve() as limiter:
        asyncio.run(run_batch(create_model(limiter, pace=True), number_prompts(1_000)))

    report(limiter)
    assert len(limiter.accepted) == 1_000
    assert len(limiter.rejected) <= 50
