"""`run_batch` and `arun_batch` against the emulator, and `model.quota`."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from langchain_cerebras_inference import (
    CerebrasAuthenticationError,
    CerebrasContextOverflowError,
    CerebrasRateLimitError,
    CerebrasServerError,
    ChatCerebrasInference,
    QuotaInfo,
)
from langchain_cerebras_inference.batch import (
    BatchProgress,
    BatchResult,
    arun_batch,
    run_batch,
)
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply
from tests.integration.helpers import (
    create_cookie_model,
    create_model,
    get_chat_requests,
    get_key_exchanges,
    wait_until,
)
from tests.integration.limiter import Limiter
from tests.integration.raw_server import Connection, completion_response, run_raw_server

BatchFunction = Callable[..., list[BatchResult]]


def run_sync(
    model: ChatCerebrasInference, inputs: Iterable[Any], **options: Any
) -> list[BatchResult]:
    return list(run_batch(model, inputs, **options))


def run_async(
    model: ChatCerebrasInference, inputs: Iterable[Any], **options: Any
) -> list[BatchResult]:
    async def run() -> list[BatchResult]:
        return [result async for result in arun_batch(model, inputs, **options)]

    return asyncio.run(run())


both_styles = pytest.mark.parametrize("run", [run_sync, run_async])


class Ticket(BaseModel):
    """A bug report."""

    title: str


# --- results ----------------------------------------------------------------------------


@both_styles
@pytest.mark.parametrize(
    "value",
    [
        "Hello!",
        [HumanMessage("Hello!")],
        [("human", "Hello!")],
        [{"role": "user", "content": "Hello!"}],
        {"id": "a", "prompt": "Hello!"},
        {"id": "a", "messages": [("human", "Hello!")]},
    ],
)
def test_every_kind_of_input_is_sent(
    value: Any, run: BatchFunction, server: Emulator, model: ChatCerebrasInference
) -> None:
    [result] = run(model, [value])

    [request] = get_chat_requests(server)
    assert request.body["messages"] == [{"role": "user", "content": "Hello!"}]
    assert "Hello!" in result.text
    assert result.error is None
    assert result.usage is not None
    assert result.id == ("a" if isinstance(value, dict) else 0)


@both_styles
def test_every_input_has_one_result(run: BatchFunction, model: ChatCerebrasInference) -> None:
    inputs = ({"id": f"id {number}", "prompt": f"<{number}>"} for number in range(150))

    results = run(model, inputs)

    texts = {result.id: result.text for result in results}
    assert len(results) == 150
    assert texts.keys() == {f"id {number}" for number in range(150)}
    assert all(f"<{id_.split()[1]}>" in text for id_, text in texts.items())


@both_styles
def test_failed_call_is_a_result_with_its_error(run: BatchFunction, server: Emulator) -> None:
    model = create_model(server, max_retries=0)
    server.script(Refuse(500))
    inputs = ["Hello!", "word " * 200_000, {"id": "c", "prompt": "Bye!"}]

    results = {result.id: result for result in run(model, inputs, concurrency=1)}

    assert isinstance(results[0].error, CerebrasServerError)
    assert isinstance(results[1].error, CerebrasContextOverflowError)
    assert results["c"].error is None
    assert "Bye!" in results["c"].text


@both_styles
@pytest.mark.parametrize("schema", [Ticket, Ticket.model_json_schema()])
def test_result_has_the_object_of_the_schema(
    schema: Any, run: BatchFunction, server: Emulator, model: ChatCerebrasInference
) -> None:
    server.script(Reply(content='{"title": "Blank page"}'), Reply(content='{"title": '))

    results = run(model, ["first", "second"], schema=schema, concurrency=1)

    title = getattr(results[0].parsed, "title", None) or results[0].parsed["title"]
    assert title == "Blank page"
    assert results[0].error is None
    assert results[1].parsed is None
    assert "not a complete JSON object" in str(results[1].error)
    assert all(result.usage for result in results)


@both_styles
def test_callbacks_of_the_config_receive_each_call(
    run: BatchFunction, model: ChatCerebrasInference
) -> None:
    handler = UsageMetadataCallbackHandler()

    results = run(model, ["a", "b", "c"], config={"callbacks": [handler]})

    usage = handler.usage_metadata["gpt-oss-120b"]
    totals = [result.usage["total_tokens"] for result in results if result.usage]
    assert usage["total_tokens"] == sum(totals)


@both_styles
def test_progress_counts_results_tokens_and_cost(run: BatchFunction, server: Emulator) -> None:
    usage = {
        "prompt_tokens": 1_000_000,
        "completion_tokens": 1_000_000,
        "total_tokens": 2_000_000,
    }
    server.script(Reply(usage=usage), Refuse(400), Reply(usage=usage))
    seen: list[tuple[int, int, float | None]] = []
    threads = set()

    def record(progress: BatchProgress) -> None:
        threads.add(threading.current_thread())
        seen.append((progress.completed, progress.failed, progress.cost))
        assert progress.tokens_per_second > 0
        assert progress.quota is not None

    run(create_model(server), ["a", "b", "c"], concurrency=1, on_progress=record)

    assert [counts[:2] for counts in seen] == [(1, 0), (1, 1), (2, 1)]
    assert [counts[2] for counts in seen] == pytest.approx([1.1, 1.1, 2.2])
    assert threads == {threading.current_thread()}


@both_styles
def test_progress_is_reported_each_second_while_there_is_no_result(
    run: BatchFunction, server: Emulator
) -> None:
    server.script(Reply(delay=2.5))
    seen: list[int] = []

    run(create_model(server), ["a"], on_progress=lambda state: seen.append(state.completed))

    assert seen[-1] == 1
    assert 2 <= seen.count(0) <= 4


@both_styles
def test_slow_inputs_do_not_delay_the_calls_before_them(
    run: BatchFunction, server: Emulator, model: ChatCerebrasInference
) -> None:
    sent: list[int] = []

    def generate() -> Iterator[str]:
        for number in range(3):
            time.sleep(0.3)
            sent.append(len(get_chat_requests(server)))
            yield f"prompt {number}"

    results = run(model, generate())

    assert [result.error for result in results] == [None] * 3
    if run is run_sync:  # in the other style, the inputs block the event loop of the calls
        assert sent == [0, 1, 2]


def test_generator_of_inputs_may_call_a_model(model: ChatCerebrasInference) -> None:
    inputs = (model.invoke(f"<{number}>").text for number in range(3))

    texts = [result.text for result in run_batch(model, inputs)]

    assert len(texts) == 3
    assert all(f"<{number}>" in " ".join(texts) for number in range(3))


@both_styles
def test_function_for_the_key_may_fail_or_be_slow(run: BatchFunction, server: Emulator) -> None:
    calls = iter(range(1_000))

    def get_key() -> str:
        number = next(calls)
        if number % 2:
            raise LookupError("no key")
        time.sleep(0.1)
        return server.api_key

    results = run(create_model(server, api_key=get_key), ["prompt"] * 10)

    errors = {str(result.error) for result in results}
    assert len(results) == 10
    assert errors == {"None", "no key"}


# --- the number of open calls -----------------------------------------------------------


class CountedInputs:
    """Prompts that count how many of them were read."""

    def __init__(self, count: int) -> None:
        self._numbers = iter(range(count))
        self.read = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number = next(self._numbers)
        self.read += 1
        return f"prompt {number}"


def measure_most_open(
    model: ChatCerebrasInference, count: int, **options: Any
) -> tuple[int, list[BatchResult]]:
    """Run a batch; return how many calls were open at most, and the results."""
    inputs = CountedInputs(count)
    most = 0
    results: list[BatchResult] = []
    for result in run_batch(model, inputs, **options):
        most = max(most, inputs.read - len(results))
        results.append(result)
    return most, results


@pytest.fixture
def unlimited_url() -> Iterator[str]:
    """The URL of a server that shows no quota."""

    def serve(connection: Connection) -> None:
        while connection.read_request():
            time.sleep(0.02)
            connection.send(completion_response("Hi!"))

    with run_raw_server(serve) as url:
        yield url


@pytest.mark.parametrize(("concurrency", "limit"), [(None, 32), (3, 3), (50, 50)])
def test_without_a_quota_the_number_of_open_calls_is_limited(
    concurrency: int | None, limit: int, unlimited_url: str
) -> None:
    model = ChatCerebrasInference(api_key="key", base_url=unlimited_url)

    most, results = measure_most_open(model, 120, concurrency=concurrency)

    assert [result.error for result in results] == [None] * 120
    assert most == limit


def test_with_a_quota_as_many_calls_are_open_as_it_allows() -> None:
    with Limiter(requests_per_second=1_000, latency=(0.2, 0.2)).serve() as limiter:
        model = ChatCerebrasInference(base_url=limiter.url, api_key="key", max_tokens=10)

        most, results = measure_most_open(model, 400)

    assert [result.error for result in results] == [None] * 400
    assert 100 < most <= 256
    assert limiter.rejected == []


def test_batch_larger_than_the_quota_waits_for_it() -> None:
    with Limiter(requests_per_second=25).serve() as limiter:
        model = ChatCerebrasInference(
            base_url=limiter.url, api_key="key", max_tokens=10, max_retry_wait=0
        )
        model.invoke("Import everything")
        quotas: list[QuotaInfo] = []

        results = run_sync(
            model,
            [f"prompt {number}" for number in range(100)],
            on_progress=lambda _: quotas.append(model.quota()),
        )

    assert [result.error for result in results] == [None] * 100
    assert len(limiter.rejected) <= 2
    assert limiter.compute_usage() > 0.85
    assert max(quota.queue_length for quota in quotas) > 10
    assert max(quota.wait for quota in quotas) > 0.5
    assert quotas[-1].queue_length == 0
    assert model.pace == "auto"


# --- leaving early ----------------------------------------------------------------------


def is_only_the_idle_connection_open(server: Emulator) -> bool:
    return server.open_connections <= 1


def test_leaving_the_iterator_cancels_the_open_calls(
    server: Emulator, model: ChatCerebrasInference
) -> None:
    server.script(Reply(delay=0.2), *[Reply(delay=60)] * 5)

    with contextlib.closing(run_batch(model, ["prompt"] * 6)) as results:
        assert next(results).error is None
        wait_until(lambda: len(get_chat_requests(server)) == 6)

    wait_until(lambda: is_only_the_idle_connection_open(server))


async def test_leaving_the_async_iterator_cancels_the_open_calls(
    server: Emulator, model: ChatCerebrasInference
) -> None:
    server.script(Reply(delay=0.2), *[Reply(delay=60)] * 5)

    async with contextlib.aclosing(arun_batch(model, ["prompt"] * 6)) as results:
        assert (await anext(results)).error is None
        await asyncio.to_thread(wait_until, lambda: len(get_chat_requests(server)) == 6)

    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.to_thread(wait_until, lambda: is_only_the_idle_connection_open(server))


async def test_cancelled_batch_leaves_no_task(
    server: Emulator, model: ChatCerebrasInference
) -> None:
    server.script(*[Reply(delay=60)] * 6)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            _ = [result async for result in arun_batch(model, ["prompt"] * 6)]

    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- model.quota ------------------------------------------------------------------------


def test_quota_before_the_first_call_has_no_limits(model: ChatCerebrasInference) -> None:
    quota = model.quota()

    assert quota == QuotaInfo(0, 0.0, 0, 0, 0, {})
    assert quota.used_share is None


@pytest.mark.parametrize("pace", ["auto", True])
def test_quota_shows_the_limits_of_the_last_response(pace: Any) -> None:
    with Emulator(requests_per_minute=100, tokens_per_minute=1_000_000) as server:
        model = create_model(server, pace=pace, max_tokens=1_000)
        other = create_model(server, model="qwen-3.8-27b")
        for _ in range(3):
            model.invoke("Hello!")
        quota = asyncio.run(model.aquota())

        assert quota == model.quota()
        assert other.quota().limits == {}
    assert (quota.queue_length, quota.in_flight, quota.wait) == (0, 0, 0)
    assert (quota.accepted, quota.rejected) == (3, 0)
    assert quota.limits["requests-minute"].limit == 100
    assert quota.limits["requests-minute"].remaining == pytest.approx(97, abs=1)
    assert quota.limits["tokens-minute"].limit == 1_000_000
    assert quota.used_share == pytest.approx(0.03, abs=0.01)


@pytest.mark.parametrize("pace", ["auto", True])
def test_quota_counts_rejected_requests(pace: Any, server: Emulator) -> None:
    server.script(*[Refuse(429, headers={"Retry-After": "0.01"})] * 2, Reply())
    model = create_model(server, pace=pace)

    model.invoke("Hello!")
    server.script(Refuse(429, headers={"Retry-After": "0.01"}))
    with pytest.raises(CerebrasRateLimitError):
        model.invoke("Hello!", max_retries=0)

    assert model.quota().rejected == 3


def test_quota_of_a_browser_session_is_that_of_its_demo_key(server: Emulator) -> None:
    model = create_cookie_model(server)

    assert model.quota().accepted == 0
    model.invoke("Hello!")

    assert model.quota().accepted == 1
    assert len(get_key_exchanges(server)) == 1


def test_quota_without_a_credential_is_an_error() -> None:
    with pytest.raises(CerebrasAuthenticationError, match="No credential"):
        ChatCerebrasInference().quota()
