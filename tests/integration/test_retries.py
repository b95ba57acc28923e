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
from tests.integration.raw import Line, reply, serving
from tests.integration.styles import STREAMED, STYLES, WHOLE

AT_ONCE = {"Retry-After": "0.01"}

styles = pytest.mark.parametrize("style", STYLES)
one_of_each = pytest.mark.parametrize("style", ["invoke", "astream"])


def model_of(server: Emulator, **fields: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(
        base_url=server.base_url, **{"api_key": server.api_key, "timeout": 0.3, **fields}
    )


def waits(server: Emulator) -> list[float]:
    times = [request.time for request in server.requests]
    return [after - before for before, after in itertools.pairwise(times)]


# --- what is sent again -------------------------------------------------------------


@styles
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_sent_again(status: int, style: str, server: Emulator) -> None:
    server.script(*[Refuse(status, headers=AT_ONCE)] * 2)

    answer = STYLES[style](model_of(server), "Hello!")

    assert answer.text
    assert len(server.requests) == 3
    assert len({request.content for request in server.requests}) == 1


@styles
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 415, 422])
def test_what_will_not_pass_is_not_sent_again(
    status: int, style: str, server: Emulator
) -> None:
    server.script(Refuse(status))

    with pytest.raises(CerebrasError):
        STYLES[style](model_of(server), "Hello!")

    assert len(server.requests) == 1


FAULTS: dict[str, Act] = {
    "a reset before the answer": Cut(after=None, how="reset"),
    "no answer in time": Stall(after=None),
    "a page of HTML": Garble("html"),
    "a whole answer cut short": Cut(how="drop"),
}


@one_of_each
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_before_the_first_word_is_outlasted(
    fault: str, style: str, server: Emulator
) -> None:
    server.script(FAULTS[fault])

    answer = STYLES[style](model_of(server), "Hello!")

    assert answer.text
    assert len(server.requests) == 2


ROLE_ONLY: dict[str, Act] = {
    "the end": Cut(after=1),
    "a reset": Cut(after=1, how="reset"),
    "an error": ErrorEvent(after=1, status=503),
    "a flat error": ErrorEvent(after=1, status=429, code="queue_exceeded", shape="flat"),
    "nonsense": Garble("json", after=1),
    "silence": Stall(after=1),
}


@pytest.mark.parametrize("style", ["stream", "astream"])
@pytest.mark.parametrize("what", ROLE_ONLY)
def test_what_follows_the_role_alone_is_sent_again(
    what: str, style: str, server: Emulator
) -> None:
    server.script(ROLE_ONLY[what], Reply(content="Whole."))

    answer = STREAMED[style](model_of(server), "Hello!")

    assert answer.text == "Whole."
    assert len(server.requests) == 2


AFTER_A_CHUNK: dict[str, Act] = {
    "text": Cut(after=2, reply=Reply(content="one two three")),
    "reasoning": Cut(after=2, reply=Reply(reasoning="one two three")),
    "a tool call": Cut(after=2, reply=Reply(tool_calls=[ToolCall("magic")])),
    "an error": ErrorEvent(after=2, status=503),
    "silence": Stall(after=2),
}


@pytest.mark.parametrize("style", STREAMED)
@pytest.mark.parametrize("what", AFTER_A_CHUNK)
def test_nothing_is_sent_again_once_a_chunk_was_yielded(
    what: str, style: str, server: Emulator
) -> None:
    server.script(AFTER_A_CHUNK[what])

    with pytest.raises(CerebrasError):
        STREAMED[style](model_of(server), "Hello!")

    assert len(server.requests) == 1


# --- how often ----------------------------------------------------------------------


@styles
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_call_is_sent_again_as_often_as_was_said(
    retries: int, style: str, server: Emulator
) -> None:
    server.script(*[Refuse(503, headers=AT_ONCE)] * 9)

    with pytest.raises(CerebrasServerError):
        STYLES[style](model_of(server, max_retries=retries), "Hello!")

    assert len(server.requests) == 1 + retries


@styles
def test_the_retries_of_a_call_win(style: str, server: Emulator) -> None:
    server.script(*[Refuse(503, headers=AT_ONCE)] * 9)

    with pytest.raises(CerebrasServerError):
        STYLES[style](model_of(server).bind(max_retries=0), "Hello!")

    assert len(server.requests) == 1


@one_of_each
def test_each_failure_is_judged_by_itself(style: str, server: Emulator) -> None:
    server.script(Refuse(503, headers=AT_ONCE), Refuse(422))

    with pytest.raises(CerebrasInvalidRequestError):
        STYLES[style](model_of(server), "Hello!")

    assert len(server.requests) == 2


def test_a_batch_loses_nothing_to_errors_of_others(server: Emulator) -> None:
    server.script(Refuse(503, headers=AT_ONCE), Refuse(400), Refuse(503, headers=AT_ONCE))

    answers = model_of(server).batch(["Hello!"] * 5, return_exceptions=True)

    names = sorted(type(answer).__name__ for answer in answers)
    assert names == ["AIMessage"] * 4 + ["CerebrasInvalidRequestError"]
    assert len(server.requests) == 7


# --- when ---------------------------------------------------------------------------


def in_two_seconds() -> str:
    return formatdate(time.time() + 2, usegmt=True)


WAITS: dict[str, tuple[dict[str, str], float]] = {
    "seconds": ({"Retry-After": "0.2"}, 0.2),
    "milliseconds": ({"retry-after-ms": "200"}, 0.2),
    "a reset": ({"x-ratelimit-reset-requests-minute": "0.2"}, 0.2),
    "a reset of 2025": ({"x-ratelimit-reset-tokens-minute": "0.200000000001"}, 0.2),
    "seconds before a reset": (
        {"Retry-After": "0.2", "x-ratelimit-reset-tokens-minute": "50"},
        0.2,
    ),
    "an implied wait": ({"x-ratelimit-limit-requests-minute": "300"}, 0.2),
}


@one_of_each
@pytest.mark.parametrize("how", WAITS)
def test_a_call_waits_as_long_as_the_server_asks(
    how: str, style: str, server: Emulator
) -> None:
    headers, expected = WAITS[how]
    server.script(Refuse(429, headers=headers))

    STYLES[style](model_of(server), "Hello!")

    [waited] = waits(server)
    assert expected <= waited < expected + 0.5


def test_a_date_is_waited_for(server: Emulator) -> None:
    server.script(Refuse(503, headers={"Retry-After": in_two_seconds()}))

    STYLES["invoke"](model_of(server), "Hello!")

    [waited] = waits(server)
    assert 0.9 < waited < 2.5


@one_of_each
@pytest.mark.parametrize("code", ["request_quota_exceeded", "token_quota_exceeded"])
def test_a_quota_of_a_minute_is_outlasted_without_a_word_of_when(
    code: str, style: str, server: Emulator
) -> None:
    server.script(Refuse(429, code), Refuse(429, code))

    answer = STYLES[style](model_of(server, max_tokens=1000), "Hello!")

    assert answer.text
    assert len(server.requests) == 3
    assert all(0.06 <= waited < 0.5 for waited in waits(server))


def test_a_full_queue_is_tried_again_soon_whenever_quotas_are_reset(server: Emulator) -> None:
    headers = {
        "x-ratelimit-reset-tokens-minute": "41",
        "x-ratelimit-reset-requests-day": "33011",
        "x-ratelimit-remaining-requests-day": "14399",
    }
    server.script(Refuse(429, "queue_exceeded", headers=headers))

    STYLES["invoke"](model_of(server), "Hello!")

    [waited] = waits(server)
    assert waited < 5


def test_a_quota_is_outlasted_where_null_was_sent_for_its_limit(server: Emulator) -> None:
    limits = {"x-ratelimit-limit-tokens-minute": "100000000"}
    server.script(Refuse(429, "token_quota_exceeded", headers=limits))
    model = model_of(server, extra_body={"max_completion_tokens": None})

    answer = STYLES["invoke"](model, "Hello!")

    assert answer.text


def test_tokens_are_waited_for_longer_where_more_are_reserved(server: Emulator) -> None:
    server.script(Refuse(429, "token_quota_exceeded"))

    STYLES["invoke"](model_of(server, max_tokens=10_000), "Hello!")

    [waited] = waits(server)
    assert 0.6 <= waited < 1.1


@one_of_each
@pytest.mark.parametrize("period", ["hour", "day"])
@pytest.mark.parametrize("kind", ["Requests", "Tokens"])
def test_a_quota_of_an_hour_or_a_day_fails_at_once(
    kind: str, period: str, style: str, server: Emulator
) -> None:
    message = f"{kind} per {period} limit exceeded - come back later."
    server.script(Refuse(429, "token_quota_exceeded", message))
    started = time.monotonic()

    with pytest.raises(CerebrasRateLimitError) as caught:
        STYLES[style](model_of(server), "Hello!")

    assert caught.value.is_retryable is False
    assert message in str(caught.value)
    assert len(server.requests) == 1
    assert time.monotonic() - started < 1


@one_of_each
def test_a_wait_longer_than_allowed_fails_at_once_and_says_when(
    style: str, server: Emulator
) -> None:
    server.script(Refuse(429, headers={"Retry-After": "61"}))

    with pytest.raises(CerebrasRateLimitError, match="in 61 s") as caught:
        STYLES[style](model_of(server), "Hello!")

    assert caught.value.retry_after == 61
    assert caught.value.is_retryable is True
    assert len(server.requests) == 1


@pytest.mark.parametrize(("wait", "requests"), [("0.2", 1), ("0.05", 2)])
def test_the_longest_wait_can_be_set(wait: str, requests: int, server: Emulator) -> None:
    server.script(*[Refuse(503, headers={"Retry-After": wait})] * 2)
    model = model_of(server, max_retry_wait=0.1, max_retries=1)

    with pytest.raises(CerebrasServerError):
        model.invoke("Hello!")

    assert len(server.requests) == requests


@pytest.mark.parametrize(("status", "order", "requests"), [(500, "false", 1), (400, "true", 2)])
@one_of_each
def test_the_server_may_order_whether_to_try_again(
    status: int, order: str, requests: int, style: str, server: Emulator
) -> None:
    server.script(*[Refuse(status, headers={"x-should-retry": order, **AT_ONCE})] * 2)

    with pytest.raises(CerebrasError):
        STYLES[style](model_of(server, max_retries=1), "Hello!")

    assert len(server.requests) == requests


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_wait_can_be_cancelled(streaming: bool, server: Emulator) -> None:
    server.script(Refuse(503, headers={"Retry-After": "30"}))
    model = model_of(server, streaming=streaming)
    task = asyncio.create_task(model.ainvoke("Hello!"))
    await asyncio.sleep(0.2)

    task.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert time.monotonic() - started < 1
    assert len(server.requests) == 1


# --- repairs ------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["invoke", "stream", "batch", "streamed_invoke"])
@pytest.mark.parametrize("how", ["drop", "reset"])
def test_a_dead_keep_alive_connection_is_replaced_at_once(
    how: Any, style: str, server: Emulator
) -> None:
    model = model_of(server, max_retries=0)
    STYLES[style](model, "Hello!")
    server.script(Cut(after=None, how=how))

    answer = STYLES[style](model, "Hello!")

    first, dead, fresh = server.requests
    assert answer.text
    assert first.peer == dead.peer != fresh.peer


async def test_a_dead_keep_alive_connection_of_a_loop_is_replaced_at_once(
    server: Emulator,
) -> None:
    model = model_of(server, max_retries=0)
    await model.ainvoke("Hello!")
    server.script(Cut(after=None, how="drop"))

    answer = await model.ainvoke("Hello!")

    assert answer.text
    assert len(server.requests) == 3


@styles
def test_a_new_connection_that_breaks_is_no_dead_one(style: str, server: Emulator) -> None:
    server.script(Cut(after=None, how="reset"))

    with pytest.raises(CerebrasConnectionError):
        STYLES[style](model_of(server, max_retries=0), "Hello!")

    assert len(server.requests) == 1


def test_a_connection_that_breaks_within_an_answer_is_no_dead_one() -> None:
    def talk(line: Line) -> None:
        line.asked()
        line.say(reply("Hello."))
        line.asked()
        line.say(b"HTTP/1.1 200 OK\r\nContent-Ty")

    with serving(talk) as base_url:
        model = ChatCerebrasInference(base_url=base_url, api_key="k", max_retries=0)
        model.invoke("Hello!")

        with pytest.raises(CerebrasConnectionError):
            model.invoke("Hello!")


def test_a_dead_connection_is_replaced_once(
    server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "langchain_cerebras_inference")
    model = model_of(server, max_retries=0)
    model.invoke("Hello!")
    server.script(*[Cut(after=None, how="drop")] * 3)

    with pytest.raises(CerebrasConnectionError):
        model.invoke("Hello!")

    assert len(server.requests) == 3
    assert caplog.text.count("a dead connection was mended") == 1


async def test_a_reply_that_comes_unasked_answers_no_call() -> None:
    unasked = threading.Semaphore(0)

    def talk(line: Line) -> None:
        while line.asked():
            line.say(reply("asked"))
            time.sleep(0.05)
            line.say(reply("unasked"))
            unasked.release()

    texts = []
    with serving(talk) as base_url:
        model = ChatCerebrasInference(base_url=base_url, api_key="k", max_retries=0)
        for _ in range(3):
            texts.append((await model.ainvoke("Hello!")).text)
            await asyncio.to_thread(unasked.acquire, timeout=2)
            await asyncio.sleep(0.01)

    assert texts == ["asked"] * 3


@pytest.mark.parametrize("style", WHOLE)
def test_a_server_that_was_restarted_is_found_again(style: str, server: Emulator) -> None:
    model = model_of(server, max_retries=0)
    STYLES[style](model, "Hello!")
    server.stop()
    server.start()

    answer = STYLES[style](model, "Hello!")

    assert answer.text


@styles
@pytest.mark.parametrize("status", [400, 415])
def test_a_refused_encoding_is_left_out_from_then_on(
    status: int, style: str, server: Emulator
) -> None:
    server.script(Refuse(status, message="Unsupported content encoding."))
    model = model_of(server, max_retries=0, compression=True)

    STYLES[style](model, "Hello!")
    STYLES[style](model, "Hello!")

    encodings = [request.headers.get("Content-Encoding") for request in server.requests]
    assert encodings == ["gzip", None, None]


def test_an_encoding_that_was_not_what_was_wrong_is_used_again(server: Emulator) -> None:
    server.script(*[Refuse(400, message="There is no tool named gzip.")] * 2)
    model = model_of(server, max_retries=0, compression=True)

    with pytest.raises(CerebrasInvalidRequestError):
        model.invoke("Hello!")
    model.invoke("Hello!")

    encodings = [request.headers.get("Content-Encoding") for request in server.requests]
    assert encodings == ["gzip", None, "gzip"]


@styles
def test_an_encoding_that_was_not_used_cannot_be_left_out(style: str, server: Emulator) -> None:
    server.script(Refuse(415))

    with pytest.raises(CerebrasInvalidRequestError):
        STYLES[style](model_of(server), "Hello!")

    assert len(server.requests) == 1


@styles
@pytest.mark.parametrize(
    "message",
    ["property 'prediction' is unsupported", '"prediction" is not currently supported'],
)
def test_a_refused_prediction_is_left_out(message: str, style: str, server: Emulator) -> None:
    server.script(Refuse(400, message=message))
    prediction = {"type": "content", "content": "Hello."}
    model = model_of(server, max_retries=0, prediction=prediction)

    STYLES[style](model, "Hello!")

    first, second = server.requests
    assert first.body.pop("prediction") == prediction
    assert second.body == first.body


def test_a_prediction_is_left_out_once(server: Emulator) -> None:
    server.script(*[Refuse(400, message="property 'prediction' is unsupported")] * 3)
    model = model_of(server, prediction={"type": "content", "content": "Hello."})

    with pytest.raises(CerebrasInvalidRequestError):
        model.invoke("Hello!")

    assert len(server.requests) == 2


# --- how long it waits --------------------------------------------------------------


def test_a_limit_on_waiting_shortens_waits_but_never_hurries_them(server: Emulator) -> None:
    server.script(*[Refuse(503)] * 4)

    model_of(server, max_retries=4, max_retry_wait=0.3).invoke("Hello!")

    assert all(0.25 < wait < 0.6 for wait in waits(server))


def test_a_quotas_reset_does_not_delay_another_failure(server: Emulator) -> None:
    server.script(Refuse(503, headers={"x-ratelimit-reset-requests-day": "33011"}))

    answer = model_of(server).invoke("Hello!")

    assert answer.text
    assert len(server.requests) == 2


@one_of_each
def test_the_headers_of_an_earlier_attempt_are_not_kept(style: str, server: Emulator) -> None:
    first = {**AT_ONCE, "cf-ray": "first"}
    server.script(Refuse(429, headers=first), Reply(headers={"inference-id": "second"}))

    answer = STYLES[style](model_of(server, include_response_headers=True), "Hello!")

    headers = answer.response_metadata["headers"]
    assert headers.get("cf-ray") != "first"
    assert headers["inference-id"] == "second"


def test_models_are_listed_again_after_a_failure(server: Emulator) -> None:
    server.script_models(Refuse(503, headers=AT_ONCE))

    assert model_of(server).list_models()


def test_models_are_listed_with_a_new_key_where_the_old_one_is_refused(
    server: Emulator,
) -> None:
    signed_in = model_of(
        server, api_key=None, cookies=server.cookies, session_url=server.session_url
    )
    signed_in.invoke("Hello!")
    server.rotate_demo_key()

    assert signed_in.list_models()


async def test_a_credential_is_asked_for_again_after_a_failure(server: Emulator) -> None:
    server.script_session(Refuse(503, headers=AT_ONCE))
    signed_in = model_of(
        server, api_key=None, cookies=server.cookies, session_url=server.session_url
    )

    credential = await signed_in.acredential()

    assert credential.kind == "demo key"


@styles
def test_null_arguments_are_none_in_every_style(style: str, server: Emulator) -> None:
    server.script(Reply(tool_calls=[ToolCall("f", "null", id="a")]))

    answer = STYLES[style](model_of(server), "Hello!")

    assert [call["args"] for call in answer.tool_calls] == [{}]
    assert answer.invalid_tool_calls == []
