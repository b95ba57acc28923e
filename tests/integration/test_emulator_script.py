"""The scripted behaviors of the emulator."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.client import IncompleteRead
from typing import Any

import aiohttp
import pytest

from langchain_cerebras_inference.emulator import (
    Act,
    Cut,
    Emulator,
    ErrorEvent,
    Garble,
    Redirect,
    Refuse,
    Reply,
    Request,
    Session,
    Stall,
    ToolCall,
)
from langchain_cerebras_inference.emulator.endpoints import Endpoint
from tests.integration.emulator_client import (
    QWEN,
    auth_header,
    chat,
    request_body,
    send,
    user_message,
)
from tests.integration.helpers import wait_until


@asynccontextmanager
async def open_stream(server: Emulator) -> AsyncIterator[aiohttp.ClientResponse]:
    url = f"{server.base_url}/chat/completions"
    async with (
        aiohttp.ClientSession(headers=auth_header(server.api_key)) as session,
        session.post(url, json=request_body(stream=True)) as response,
    ):
        yield response


# The script


def test_script_is_used_once_and_in_order(server: Emulator) -> None:
    server.script(Refuse(429), Refuse(500))

    assert [chat(server).status for _ in range(3)] == [429, 500, 200]


def test_rejected_request_uses_no_scripted_behavior(server: Emulator) -> None:
    server.script(Reply("Scripted"))

    assert chat(server, thinking=1).status == 400
    assert chat(server).message["content"] == "Scripted"


def test_function_chooses_a_behavior_for_the_request(server: Emulator) -> None:
    def reverse_prompt(request: Request) -> Reply:
        return Reply(request.body["messages"][0]["content"][::-1])

    server.script(reverse_prompt)

    assert chat(server, messages=[user_message("abc")]).message["content"] == "cba"


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda request: request.body["nope"], "KeyError('nope')"),
        (lambda _request: None, "TypeError('None is not a scripted behavior')"),
        (lambda _request: Reply, "is not a scripted behavior"),
    ],
)
def test_failing_function_returns_a_500_response_that_must_not_be_retried(
    server: Emulator, choose: Any, message: str
) -> None:
    server.script(choose)

    response = chat(server)

    assert response.status == 500
    assert response.headers["x-should-retry"] == "false"
    assert message in response.json["message"]


def test_routes_have_scripts_of_their_own(server: Emulator) -> None:
    server.script_models(Refuse(503))

    assert chat(server).status == 200
    assert send(f"{server.base_url}/models", headers=auth_header(server.api_key)).status == 503


@pytest.mark.parametrize("item", ["x", None, 5, [Reply("a")], Reply, {"content": "a"}])
def test_scripting_a_value_that_is_not_a_behavior_is_a_type_error(
    server: Emulator, item: Any
) -> None:
    with pytest.raises(TypeError, match="Expected a scripted behavior, such as Reply"):
        server.script(Reply("First"), item)

    assert "Hello!" in chat(server).message["content"]


def test_scripting_an_unknown_route_is_a_value_error(server: Emulator) -> None:
    with pytest.raises(ValueError, match=r"route must be one of chat, models, session, not"):
        server.script(Reply(), route="nope")  # type: ignore[arg-type]  # the wrong name


# The default behavior


def test_default_behavior_is_used_by_every_request(server: Emulator) -> None:
    server.always(Refuse(500))

    assert [chat(server).status for _ in range(3)] == [500] * 3


def test_scripted_behaviors_come_before_the_default_one(server: Emulator) -> None:
    server.always(Refuse(500))
    server.script(Refuse(429), Reply("Hi"))

    assert [chat(server).status for _ in range(4)] == [429, 200, 500, 500]


def test_default_behavior_is_replaced_by_the_next_one(server: Emulator) -> None:
    server.always(Refuse(500))
    assert chat(server).status == 500

    server.always(Reply("Hi"))
    assert chat(server).message["content"] == "Hi"

    server.always(Reply())
    assert "Hello!" in chat(server).message["content"]


def test_default_function_is_called_for_every_request(server: Emulator) -> None:
    server.always(lambda request: Reply(request.body["messages"][0]["content"].upper()))

    replies = [chat(server, messages=[user_message(text)]) for text in ("one", "two")]

    assert [reply.message["content"] for reply in replies] == ["ONE", "TWO"]


@pytest.mark.parametrize("route", ["chat", "models", "session"])
def test_every_route_has_a_default_behavior_of_its_own(
    server: Emulator, route: Endpoint
) -> None:
    server.always(Refuse(503), route=route)

    statuses = {
        "chat": [chat(server).status for _ in range(2)],
        "models": [send(f"{server.origin}/public/v1/models").status for _ in range(2)],
        "session": [send(server.session_url).status for _ in range(2)],
    }

    assert statuses == {
        name: [503 if name == route else 200] * 2 for name in ("chat", "models", "session")
    }


def test_rejected_request_does_not_use_the_default_behavior(server: Emulator) -> None:
    server.always(Reply("Hi"))

    assert chat(server, messages=[]).status == 400


@pytest.mark.parametrize("item", ["x", None, 5, [Reply("a")], Reply, {"content": "a"}])
def test_default_value_that_is_not_a_behavior_is_a_type_error(
    server: Emulator, item: Any
) -> None:
    server.always(Reply("First"))
    with pytest.raises(TypeError, match="Expected a scripted behavior, such as Reply"):
        server.always(item)

    assert chat(server).message["content"] == "First"


def test_default_behavior_of_an_unknown_route_is_a_value_error(server: Emulator) -> None:
    with pytest.raises(ValueError, match=r"route must be one of chat, models, session, not"):
        server.always(Reply(), route="nope")  # type: ignore[arg-type]  # the wrong name


# Options


CREATE_WITH_OPTION: dict[str, Callable[[Any], Act]] = {
    "Session": Session,
    "Garble": Garble,
    "Cut": lambda option: Cut(how=option),
    "ErrorEvent": lambda option: ErrorEvent(shape=option),
}


@pytest.mark.parametrize("name", CREATE_WITH_OPTION)
def test_unknown_option_of_a_behavior_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match=r"must be one of .*, not 'bogus'\."):
        CREATE_WITH_OPTION[name]("bogus")


@pytest.mark.parametrize("status", [99, 200, 307, 600])
def test_status_that_is_not_an_error_is_a_value_error(status: int) -> None:
    for create in (Refuse, lambda status: ErrorEvent(status=status)):
        with pytest.raises(ValueError, match="status must be 400 to 599, not"):
            create(status)


# Reply


@pytest.mark.parametrize("stream", [False, True])
def test_reply_replaces_the_generated_completion(server: Emulator, *, stream: bool) -> None:
    calls = [ToolCall("rm", {"path": "é"}, id="x"), ToolCall("ls", '{"a": fal')]
    server.script(
        Reply("Hi", reasoning="Hm", tool_calls=calls, finish_reason="length", usage={})
    )

    response = chat(server, model=QWEN, stream=stream)

    assert "é" in response.content.decode()
    assert "usage" not in (response.events[-1] if stream else response.json)
    assert b'"finish_reason":"length"' in response.content


def test_finish_reason_alone_keeps_the_generated_content(server: Emulator) -> None:
    server.script(Reply(finish_reason="content_filter"))

    response = chat(server)

    assert response.json["choices"][0]["finish_reason"] == "content_filter"
    assert response.message["content"]


def test_every_choice_has_the_scripted_content(server: Emulator) -> None:
    server.script(Reply("Hi"))

    choices = chat(server, n=2).json["choices"]

    assert [choice["message"]["content"] for choice in choices] == ["Hi", "Hi"]


@pytest.mark.parametrize(
    ("reply", "content"),
    [
        (
            Reply(events=[{"id": "x", "choices": []}]),
            b'data: {"id":"x","choices":[]}\n\ndata: [DONE]\n\n',
        ),
        (Reply(data=[b"da", b"ta"]), b"data"),
        (Reply(body="{}"), b"{}"),
    ],
    ids=["events", "data", "body"],
)
def test_reply_can_define_its_events_or_bytes(
    server: Emulator, reply: Reply, content: bytes
) -> None:
    server.script(reply)

    assert chat(server, stream=reply.body is None).content == content


def test_reply_has_a_delay_and_a_pace(server: Emulator) -> None:
    server.script(Reply("Hi", delay=0.1, pace=0.02))

    start = time.monotonic()
    events = chat(server, stream=True).events

    assert time.monotonic() - start >= 0.1 + 0.02 * len(events)


# Error responses and redirects


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 429, 529])
def test_error_response_has_the_flat_body(server: Emulator, status: int) -> None:
    server.script(Refuse(status, headers={"X-Extra": "1"}))

    response = chat(server)

    assert response.status == status
    assert response.headers["X-Extra"] == "1"
    assert list(response.json) == ["message", "type", "param", "code"]


def test_headers_of_an_exceeded_limit_have_zero_remaining(server: Emulator) -> None:
    server.script(Refuse(429), Refuse(429, message="Tokens per day limit exceeded"))

    minute, day = chat(server).headers, chat(server).headers

    assert minute["x-ratelimit-remaining-requests-minute"] == "0"
    assert minute["x-ratelimit-remaining-tokens-day"] != "0"
    assert day["x-ratelimit-remaining-tokens-day"] == "0"
    assert "Retry-After" not in minute


@pytest.mark.parametrize(
    ("shape", "last_event"),
    [
        ("enveloped", rb'data: \{"status_code":429,"error":\{"message":.*\}\}\n\n'),
        ("flat", rb'data: \{"message":.*\}\n\n'),
        ("event-enveloped", rb'event: error\ndata: \{"status_code":.*\}\}\n\n'),
        ("event-flat", rb'event: error\ndata: \{"message":.*\}\n\n'),
    ],
)
def test_error_event_is_the_last_of_its_stream(
    server: Emulator, shape: Any, last_event: bytes
) -> None:
    server.script(ErrorEvent(after=2, shape=shape))

    response = chat(server, stream=True)

    two_events = rb"(data: \{\"id.*\n\n){2}"
    assert response.status == 200
    assert re.fullmatch(two_events + last_event, response.content)


def test_error_event_without_a_stream_is_an_error_response(server: Emulator) -> None:
    server.script(ErrorEvent())

    assert chat(server).status == 429


def test_redirect_names_its_location(server: Emulator) -> None:
    server.script(Redirect("https://example.com/", 308))

    response = chat(server)

    assert (response.status, response.headers["Location"]) == (308, "https://example.com/")


# Broken responses


@pytest.mark.parametrize("after", [0, 2, -1])
def test_truncated_stream_lacks_the_remaining_events(server: Emulator, after: int) -> None:
    whole = chat(server, stream=True).content.split(b"\n\n")[:-1]
    server.script(Cut(after))

    response = chat(server, stream=True)

    assert response.content.count(b"data: ") == len(whole[:after])
    assert b"[DONE]" not in response.content


def test_stream_can_be_truncated_in_the_middle_of_an_event(server: Emulator) -> None:
    server.script(Cut(1, "half"))

    content = chat(server, stream=True).content

    assert content.count(b"data: ") == 2
    assert not content.endswith(b"\n\n")


@pytest.mark.parametrize("how", ["close", "half"])
def test_cut_sends_the_first_half_of_a_whole_body(server: Emulator, how: Any) -> None:
    server.script(Cut(how=how, reply=Reply(body="first second")))

    assert chat(server).content == b"first "


def test_dropped_connection_ends_after_the_events(server: Emulator) -> None:
    server.script(Cut(2, "drop"))

    with pytest.raises(IncompleteRead) as caught:
        chat(server, stream=True)

    assert caught.value.partial.count(b"data: ") == 2
    assert not server.requests[0].disconnected.is_set()


@pytest.mark.parametrize("after", [2, None])
def test_scripted_reset_resets_the_connection(server: Emulator, after: int | None) -> None:
    server.script(Cut(after, "reset"))

    with pytest.raises(ConnectionResetError):
        chat(server, stream=True)

    assert not server.requests[0].disconnected.is_set()


def test_connection_can_be_dropped_before_the_first_byte(server: Emulator) -> None:
    server.script(Cut(None, "drop"))

    with pytest.raises(ConnectionResetError):
        chat(server)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("json", b'"half'),
        ("deep", b"[[[["),
        ("null", b"null"),
        ("list", b"[]"),
        ("types", b'"created":"now"'),
        ("utf8", b"\xff\xfe"),
        ("html", b"<!DOCTYPE html>"),
        ("flat_error", b'{"message":'),
        ("empty", b""),
    ],
)
def test_garbled_response_has_status_200(
    server: Emulator, how: Any, expected: bytes, *, stream: bool
) -> None:
    server.script(Garble(how))

    response = chat(server, stream=stream)

    assert response.status == 200
    assert expected in response.content


async def test_endless_event_goes_on_until_the_client_disconnects(server: Emulator) -> None:
    server.script(Garble("endless"))

    async with open_stream(server) as response:
        size = 0
        async for data in response.content.iter_any():
            size += len(data)
            if size > 5_000_000:
                break

    await asyncio.to_thread(wait_until, server.requests[0].disconnected.is_set)


def test_stall_sends_the_remaining_events_after_the_pause(server: Emulator) -> None:
    events = chat(server, stream=True).events
    server.script(Stall(2, seconds=0.15, comments=True))

    start = time.monotonic()
    stalled = chat(server, stream=True).content

    assert time.monotonic() - start >= 0.15
    assert stalled.count(b": keep-alive\n\n") >= 2
    assert stalled.count(b"data: ") == len(events) + 1


def test_stall_before_the_first_byte_delays_the_response(server: Emulator) -> None:
    server.script(Stall(None, seconds=0.1))

    start = time.monotonic()

    assert chat(server).status == 200
    assert time.monotonic() - start >= 0.1


@pytest.mark.parametrize(
    "behavior",
    [Stall(2), Stall(None), Reply(delay=60), Reply(pace=1)],
    ids=["stall", "stall before the first byte", "delay", "pace"],
)
async def test_disconnect_is_noticed_at_once(server: Emulator, behavior: Act) -> None:
    server.script(behavior)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), open_stream(server) as response:
            await response.read()
    closed_at = time.monotonic()
    (request,) = server.requests
    await asyncio.to_thread(wait_until, request.disconnected.is_set)

    assert request.disconnected.time is not None
    assert request.disconnected.time - closed_at < 0.2
    assert not request.answered.is_set()


async def test_stop_is_quick_while_responses_are_unfinished() -> None:
    async def read_slowly() -> None:
        async with open_stream(server) as response:
            await asyncio.sleep(0.2)
            await response.read()

    with Emulator() as server:
        server.script(Stall(1), Stall(None), Garble("endless"))
        tasks = [asyncio.create_task(read_slowly()) for _ in range(3)]
        await asyncio.to_thread(wait_until, lambda: len(server.requests) == 3)
        await asyncio.sleep(0.05)
        start = time.monotonic()

    assert time.monotonic() - start < 0.5
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, aiohttp.ClientError) for result in results)
    assert not any(request.disconnected.is_set() for request in server.requests)
