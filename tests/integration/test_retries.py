"""Which errors are retried, how often, and after which wait; and recoveries.

`retry-after: 0.01` in a scripted response makes the retry follow at once.
"""

import asyncio
import itertools
import threading
import time
from email.utils import formatdate
from typing import Any

import pytest

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasInvalidRequestError,
    CerebrasRateLimitError,
    CerebrasServerError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import (
    Act,
    Cut,
    Emulator,
    ErrorEvent,
    Garble,
    Refuse,
    Reply,
    Stall,
    ToolCall,
)
from tests.integration.call_styles import (
    CallStyle,
    every_call_style,
    every_non_streaming_style,
    every_streaming_style,
    every_sync_style,
    invoke_and_astream,
    stream_and_astream,
)
from tests.integration.helpers import create_cookie_model, create_model
from tests.integration.raw_server import Connection, completion_response, run_raw_server

RETRY_NOW = {"Retry-After": "0.01"}


@pytest.fixture
def model(server: Emulator) -> ChatCerebrasInference:
    return create_model(server, timeout=0.3)


@pytest.fixture
def quick_model(server: Emulator) -> ChatCerebrasInference:
    """A model that does not wait long before a retry, for tests that are not about waits."""
    return create_model(server, timeout=0.3, max_retry_wait=0.05)


@pytest.fixture
def no_retry_model(server: Emulator) -> ChatCerebrasInference:
    return create_model(server, timeout=0.3, max_retries=0)


def get_waits_between_requests(server: Emulator) -> list[float]:
    times = [request.time for request in server.requests]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


# --- which failures are retried -----------------------------------------------------


@every_call_style
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_temporary_error_is_retried(
    status: int, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[Refuse(status, headers=RETRY_NOW)] * 2)

    message = call(model, "Hello!")

    assert message.text
    assert len(server.requests) == 3
    assert len({request.content for request in server.requests}) == 1


@every_call_style
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 415, 422])
def test_permanent_error_is_not_retried(
    status: int, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(status))

    with pytest.raises(CerebrasError):
        call(model, "Hello!")

    assert len(server.requests) == 1


FAILURES: dict[str, Act] = {
    "reset before the response": Cut(after=None, how="reset"),
    "no response in time": Stall(after=None),
    "HTML": Garble("html"),
    "disconnect within the response": Cut(how="drop"),
}


@invoke_and_astream
@pytest.mark.parametrize("failure", FAILURES)
def test_failure_before_the_first_chunk_is_retried(
    failure: str, call: CallStyle, quick_model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(FAILURES[failure])

    message = call(quick_model, "Hello!")

    assert message.text
    assert len(server.requests) == 2


FAILURES_AFTER_THE_ROLE: dict[str, Act] = {
    "truncated": Cut(after=1),
    "reset": Cut(after=1, how="reset"),
    "error event": ErrorEvent(after=1, status=503),
    "flat error event": ErrorEvent(after=1, status=429, code="queue_exceeded", shape="flat"),
    "invalid event": Garble("json", after=1),
    "silence": Stall(after=1),
}


@stream_and_astream
@pytest.mark.parametrize("failure", FAILURES_AFTER_THE_ROLE)
def test_failure_after_an_event_with_only_the_role_is_retried(
    failure: str, call: CallStyle, quick_model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(FAILURES_AFTER_THE_ROLE[failure], Reply(content="Complete."))

    message = call(quick_model, "Hello!")

    assert message.text == "Complete."
    assert len(server.requests) == 2


FAILURES_AFTER_A_CHUNK: dict[str, Act] = {
    "truncated after text": Cut(after=2, reply=Reply(content="one two three")),
    "truncated after reasoning": Cut(after=2, reply=Reply(reasoning="one two three")),
    "truncated after a tool call": Cut(after=2, reply=Reply(tool_calls=[ToolCall("magic")])),
    "error event": ErrorEvent(after=2, status=503),
    "silence": Stall(after=2),
}


@every_streaming_style
@pytest.mark.parametrize("failure", FAILURES_AFTER_A_CHUNK)
def test_failure_after_a_chunk_is_not_retried(
    failure: str, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(FAILURES_AFTER_A_CHUNK[failure])

    with pytest.raises(CerebrasError):
        call(model, "Hello!")

    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "value", "requests"), [(500, "false", 1), (400, "true", 2)])
@invoke_and_astream
def test_should_retry_header_overrides_the_status(
    status: int, value: str, requests: int, call: CallStyle, server: Emulator
) -> None:
    headers = {"x-should-retry": value, **RETRY_NOW}
    server.script(*[Refuse(status, headers=headers)] * 2)

    with pytest.raises(CerebrasError):
        call(create_model(server, max_retries=1), "Hello!")

    assert len(server.requests) == requests


@invoke_and_astream
def test_permanent_error_after_a_temporary_one_ends_the_retries(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(503, headers=RETRY_NOW), Refuse(422))

    with pytest.raises(CerebrasInvalidRequestError):
        call(model, "Hello!")

    assert len(server.requests) == 2


# --- how often ----------------------------------------------------------------------


@every_call_style
@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_call_is_retried_max_retries_times(
    max_retries: int, call: CallStyle, server: Emulator
) -> None:
    server.script(*[Refuse(503, headers=RETRY_NOW)] * 9)

    with pytest.raises(CerebrasServerError):
        call(create_model(server, max_retries=max_retries), "Hello!")

    assert len(server.requests) == 1 + max_retries


@every_call_style
def test_max_retries_of_a_call_overrides_the_setting(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[Refuse(503, headers=RETRY_NOW)] * 9)

    with pytest.raises(CerebrasServerError):
        call(model.bind(max_retries=0), "Hello!")

    assert len(server.requests) == 1


def test_batch_retries_each_prompt_separately(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(503, headers=RETRY_NOW), Refuse(400), Refuse(503, headers=RETRY_NOW))

    results = model.batch(["Hello!"] * 5, return_exceptions=True)

    names = sorted(type(result).__name__ for result in results)
    assert names == ["AIMessage"] * 4 + ["CerebrasInvalidRequestError"]
    assert len(server.requests) == 7


# --- how long the waits are ---------------------------------------------------------

WAIT_HEADERS: dict[str, dict[str, str]] = {
    "seconds": {"Retry-After": "0.2"},
    "milliseconds": {"retry-after-ms": "200"},
    "reset": {"x-ratelimit-reset-requests-minute": "0.2"},
    "reset in the form of 2025": {"x-ratelimit-reset-tokens-minute": "0.200000000001"},
    "seconds and a later reset": {
        "Retry-After": "0.2",
        "x-ratelimit-reset-tokens-minute": "50",
    },
    "limit of 300 per minute": {"x-ratelimit-limit-requests-minute": "300"},
}
"""Each asks for a wait of 0.2 s."""


@invoke_and_astream
@pytest.mark.parametrize("form", WAIT_HEADERS)
def test_retry_waits_as_long_as_the_server_asks(
    form: str, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(429, headers=WAIT_HEADERS[form]))

    call(model, "Hello!")

    [wait] = get_waits_between_requests(server)
    assert 0.2 <= wait < 0.7


def test_retry_waits_until_the_date_in_retry_after(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    # An HTTP date has whole seconds, so that this one may be only 1 s away.
    in_two_seconds = formatdate(time.time() + 2, usegmt=True)
    server.script(Refuse(503, headers={"Retry-After": in_two_seconds}))

    model.invoke("Hello!")

    [wait] = get_waits_between_requests(server)
    assert 0.9 < wait < 2.5


@invoke_and_astream
@pytest.mark.parametrize("code", ["request_quota_exceeded", "token_quota_exceeded"])
def test_minute_quota_without_wait_headers_is_retried_after_a_short_wait(
    code: str, call: CallStyle, server: Emulator
) -> None:
    server.script(Refuse(429, code), Refuse(429, code))

    message = call(create_model(server, max_tokens=1000), "Hello!")

    assert message.text
    assert len(server.requests) == 3
    assert all(0.06 <= wait < 0.5 for wait in get_waits_between_requests(server))


def test_wait_for_a_token_quota_grows_with_the_reserved_tokens(server: Emulator) -> None:
    server.script(Refuse(429, "token_quota_exceeded"))

    create_model(server, max_tokens=10_000).invoke("Hello!")

    [wait] = get_waits_between_requests(server)
    assert 0.6 <= wait < 1.1


def test_token_quota_is_retried_when_max_completion_tokens_is_null(server: Emulator) -> None:
    headers = {"x-ratelimit-limit-tokens-minute": "100000000"}
    server.script(Refuse(429, "token_quota_exceeded", headers=headers))
    model = create_model(server, extra_body={"max_completion_tokens": None})

    message = model.invoke("Hello!")

    assert message.text


def test_full_queue_is_retried_soon_despite_quota_reset_headers(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    headers = {
        "x-ratelimit-reset-tokens-minute": "41",
        "x-ratelimit-reset-requests-day": "33011",
        "x-ratelimit-remaining-requests-day": "14399",
    }
    server.script(Refuse(429, "queue_exceeded", headers=headers))

    model.invoke("Hello!")

    [wait] = get_waits_between_requests(server)
    assert wait < 5


def test_quota_reset_does_not_delay_the_retry_of_a_server_error(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(503, headers={"x-ratelimit-reset-requests-day": "33011"}))

    message = model.invoke("Hello!")

    assert message.text
    assert len(server.requests) == 2


@invoke_and_astream
@pytest.mark.parametrize("period", ["hour", "day"])
@pytest.mark.parametrize("kind", ["Requests", "Tokens"])
def test_hour_or_day_quota_fails_at_once(
    kind: str, period: str, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server_message = f"{kind} per {period} limit exceeded - come back later."
    server.script(Refuse(429, "token_quota_exceeded", server_message))
    started = time.monotonic()

    with pytest.raises(CerebrasRateLimitError) as caught:
        call(model, "Hello!")

    assert caught.value.is_retryable is False
    assert server_message in str(caught.value)
    assert len(server.requests) == 1
    assert time.monotonic() - started < 1


@invoke_and_astream
def test_wait_above_max_retry_wait_fails_at_once_with_the_seconds(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(429, headers={"Retry-After": "61"}))

    with pytest.raises(CerebrasRateLimitError, match="in 61 s") as caught:
        call(model, "Hello!")

    assert caught.value.retry_after == pytest.approx(61, abs=1)
    assert caught.value.is_retryable is True
    assert len(server.requests) == 1


@pytest.mark.parametrize(("wait", "requests"), [("0.2", 1), ("0.05", 2)])
def test_max_retry_wait_is_a_setting(wait: str, requests: int, server: Emulator) -> None:
    server.script(*[Refuse(503, headers={"Retry-After": wait})] * 2)
    model = create_model(server, max_retry_wait=0.1, max_retries=1)

    with pytest.raises(CerebrasServerError):
        model.invoke("Hello!")

    assert len(server.requests) == requests


def test_max_retry_wait_limits_the_exponential_backoff(server: Emulator) -> None:
    server.script(*[Refuse(503)] * 4)

    create_model(server, max_retries=4, max_retry_wait=0.3).invoke("Hello!")

    assert all(0.25 < wait < 0.6 for wait in get_waits_between_requests(server))


@invoke_and_astream
def test_response_headers_are_those_of_the_last_attempt(
    call: CallStyle, server: Emulator
) -> None:
    first_headers = {**RETRY_NOW, "cf-ray": "first"}
    server.script(Refuse(429, headers=first_headers), Reply(headers={"inference-id": "second"}))

    message = call(create_model(server, include_response_headers=True), "Hello!")

    headers = message.response_metadata["headers"]
    assert headers.get("cf-ray") != "first"
    assert headers["inference-id"] == "second"


# --- other requests -----------------------------------------------------------------


def test_list_models_is_retried(model: ChatCerebrasInference, server: Emulator) -> None:
    server.script_models(Refuse(503, headers=RETRY_NOW))

    assert model.list_models()


def test_list_models_exchanges_the_cookies_again_when_the_demo_key_is_rejected(
    server: Emulator,
) -> None:
    model = create_cookie_model(server)
    model.invoke("Hello!")
    server.rotate_demo_key()

    assert model.list_models()


async def test_key_exchange_is_retried(server: Emulator) -> None:
    server.script_session(Refuse(503, headers=RETRY_NOW))

    credential = await create_cookie_model(server).acredential()

    assert credential.kind == "demo key"


# --- recovery from a dead keep-alive connection -------------------------------------


@every_sync_style
@pytest.mark.parametrize("how", ["drop", "reset"])
def test_dead_keep_alive_connection_is_replaced_at_once(
    how: Any, call: CallStyle, no_retry_model: ChatCerebrasInference, server: Emulator
) -> None:
    call(no_retry_model, "Hello!")
    server.script(Cut(after=None, how=how))

    message = call(no_retry_model, "Hello!")

    first, on_dead_connection, on_fresh_connection = server.requests
    assert message.text
    assert first.peer == on_dead_connection.peer != on_fresh_connection.peer


async def test_dead_keep_alive_connection_of_an_event_loop_is_replaced_at_once(
    no_retry_model: ChatCerebrasInference, server: Emulator
) -> None:
    await no_retry_model.ainvoke("Hello!")
    server.script(Cut(after=None, how="drop"))

    message = await no_retry_model.ainvoke("Hello!")

    assert message.text
    assert len(server.requests) == 3


def test_dead_connection_is_replaced_once_and_that_is_logged(
    no_retry_model: ChatCerebrasInference, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "langchain_cerebras_inference")
    no_retry_model.invoke("Hello!")
    server.script(*[Cut(after=None, how="drop")] * 3)

    with pytest.raises(CerebrasConnectionError):
        no_retry_model.invoke("Hello!")

    assert len(server.requests) == 3
    [record] = caplog.records
    assert "connection" in record.getMessage()


@every_call_style
def test_new_connection_that_breaks_is_not_replaced(
    call: CallStyle, no_retry_model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=None, how="reset"))

    with pytest.raises(CerebrasConnectionError):
        call(no_retry_model, "Hello!")

    assert len(server.requests) == 1


def test_connection_that_breaks_within_a_response_is_not_replaced() -> None:
    connections = []

    def break_second_response(connection: Connection) -> None:
        connections.append(connection)
        connection.read_request()
        connection.send(completion_response("Hello."))
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Ty")

    with run_raw_server(break_second_response) as base_url:
        model = ChatCerebrasInference(base_url=base_url, api_key="k", max_retries=0)
        model.invoke("Hello!")

        with pytest.raises(CerebrasConnectionError):
            model.invoke("Hello!")

    assert len(connections) == 1


async def test_unrequested_response_on_an_idle_connection_is_not_used() -> None:
    unrequested_sent = threading.Semaphore(0)

    def send_two_responses(connection: Connection) -> None:
        while connection.read_request():
            connection.send(completion_response("requested"))
            time.sleep(0.05)
            connection.send(completion_response("unrequested"))
            unrequested_sent.release()

    texts = []
    with run_raw_server(send_two_responses) as base_url:
        model = ChatCerebrasInference(base_url=base_url, api_key="k", max_retries=0)
        for _ in range(3):
            texts.append((await model.ainvoke("Hello!")).text)
            await asyncio.to_thread(unrequested_sent.acquire, timeout=2)
            await asyncio.sleep(0.01)

    assert texts == ["requested"] * 3


@every_non_streaming_style
def test_call_after_a_server_restart_succeeds(
    call: CallStyle, no_retry_model: ChatCerebrasInference, server: Emulator
) -> None:
    call(no_retry_model, "Hello!")
    server.stop()
    server.start()

    message = call(no_retry_model, "Hello!")

    assert message.text


# --- recovery from a rejected gzip body ---------------------------------------------


@every_call_style
@pytest.mark.parametrize("status", [400, 415])
def test_after_a_rejected_gzip_body_requests_are_uncompressed(
    status: int, call: CallStyle, server: Emulator
) -> None:
    server.script(Refuse(status, message="Unsupported content encoding."))
    model = create_model(server, max_retries=0, compression=True)

    call(model, "Hello!")
    call(model, "Hello!")

    encodings = [request.headers.get("Content-Encoding") for request in server.requests]
    assert encodings == ["gzip", None, None]


def test_gzip_is_used_again_if_the_plain_body_is_rejected_as_well(server: Emulator) -> None:
    server.script(*[Refuse(400, message="There is no tool named gzip.")] * 2)
    model = create_model(server, max_retries=0, compression=True)

    with pytest.raises(CerebrasInvalidRequestError):
        model.invoke("Hello!")
    model.invoke("Hello!")

    encodings = [request.headers.get("Content-Encoding") for request in server.requests]
    assert encodings == ["gzip", None, "gzip"]


@every_call_style
def test_rejected_plain_body_is_not_sent_again(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(415))

    with pytest.raises(CerebrasInvalidRequestError):
        call(model, "Hello!")

    assert len(server.requests) == 1


# --- recovery from a rejected prediction --------------------------------------------

PREDICTION = {"type": "content", "content": "Hello."}


@every_call_style
@pytest.mark.parametrize(
    "server_message",
    ["property 'prediction' is unsupported", '"prediction" is not currently supported'],
    ids=["unsupported", "not currently supported"],
)
def test_request_is_sent_again_without_a_rejected_prediction(
    server_message: str, call: CallStyle, server: Emulator
) -> None:
    server.script(Refuse(400, message=server_message))

    call(create_model(server, max_retries=0, prediction=PREDICTION), "Hello!")

    first, second = server.requests
    assert first.body.pop("prediction") == PREDICTION
    assert second.body == first.body


def test_prediction_is_left_out_only_once(server: Emulator) -> None:
    server.script(*[Refuse(400, message="property 'prediction' is unsupported")] * 3)

    with pytest.raises(CerebrasInvalidRequestError):
        create_model(server, prediction=PREDICTION).invoke("Hello!")

    assert len(server.requests) == 2
