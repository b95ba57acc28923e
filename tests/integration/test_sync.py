import asyncio
import contextvars
import gc
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManagerForLLMRun,
)
from langchain_core.messages import HumanMessage

from langchain_cerebras_inference import CerebrasRateLimitError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import (
    Emulator,
    ErrorEvent,
    Refuse,
    Reply,
    Request,
    Stall,
)
from tests.integration.scripts import PATIENCE, started
from tests.integration.styles import STYLES, collected

SYNCHRONOUS = ["invoke", "stream", "batch", "streamed_invoke"]
WORDS = "one two three four five six seven eight nine ten eleven twelve"

# The rule is 0.2 s; a busy machine is given more.
SOON = 1.0


def went_away(request: Request) -> bool:
    return request.disconnected.wait(SOON)


# --- anywhere -----------------------------------------------------------------------


@pytest.mark.parametrize("style", SYNCHRONOUS)
def test_fifty_threads_may_call_at_once(
    style: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    together = threading.Barrier(50)

    def work(number: int) -> str:
        together.wait()
        text: str = STYLES[style](model, f"Number {number}.").text
        return text

    with ThreadPoolExecutor(50) as threads:
        texts = list(threads.map(work, range(50)))

    assert all(f'"Number {number}."' in text for number, text in enumerate(texts))
    assert len(server.requests) == 50


@pytest.mark.parametrize("style", SYNCHRONOUS)
async def test_a_synchronous_call_works_inside_a_running_loop(
    style: str, model: ChatCerebrasInference
) -> None:
    answer = STYLES[style](model, "Hello!")

    assert "Hello!" in answer.text


def test_a_batch_goes_out_together(model: ChatCerebrasInference, server: Emulator) -> None:
    server.script(*[Reply(delay=0.3)] * 8)
    started_at = time.monotonic()

    model.batch(["Hello!"] * 8)

    assert time.monotonic() - started_at < 8 * 0.3 / 2


async def test_a_call_on_the_portals_own_thread_is_refused_in_words(
    server: Emulator,
) -> None:
    plain = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)

    async def fetch() -> str:
        return str(plain.invoke("Which key?").text)

    model = ChatCerebrasInference(base_url=server.base_url, api_key=fetch)

    with pytest.raises(RuntimeError, match="would wait for itself"):
        await asyncio.to_thread(model.invoke, "Hello!")


# --- as it comes --------------------------------------------------------------------


def test_the_first_chunk_is_here_while_the_server_is_still_sending(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content=WORDS, pace=0.1))
    stream = model.stream("Hello!")

    first = next(stream)
    is_whole = server.requests[0].answered.is_set()
    rest = "".join(chunk.text for chunk in stream)

    assert not is_whole
    assert first.text + rest == WORDS


def test_chunks_come_one_by_one(model: ChatCerebrasInference, server: Emulator) -> None:
    server.script(Reply(content=WORDS, pace=0.1))

    times = [time.monotonic() for chunk in model.stream("Hello!") if chunk.text]

    assert len(times) == 3
    assert times[-1] - times[0] > 0.15


def test_a_hundred_streams_use_one_connection(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    for _ in range(100):
        list(model.stream("Hello!"))

    assert server.connections == 1


# --- stopped ------------------------------------------------------------------------


def close(stream: Iterator[Any]) -> None:
    next(stream)
    stream.close()  # type: ignore[attr-defined]


def drop(stream: Iterator[Any]) -> None:
    next(stream)
    del stream
    gc.collect()


def leave_the_loop(stream: Iterator[Any]) -> None:
    for _ in stream:
        break
    del stream
    gc.collect()


def fail_in_the_loop(stream: Iterator[Any]) -> None:
    def work() -> None:
        for _ in stream:
            raise LookupError

    with pytest.raises(LookupError):
        work()
    stream.close()  # type: ignore[attr-defined]


STOPS = [close, drop, leave_the_loop, fail_in_the_loop]


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("stop", STOPS)
def test_a_stream_that_is_left_disconnects_at_once(
    stop: Callable[[Iterator[Any]], None],
    silent: bool,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    answer = Reply(content=WORDS * 100, pace=0.01)
    server.script(Stall(after=2, reply=answer) if silent else answer)

    stop(model.stream("Hello!"))

    assert went_away(server.requests[0])


async def aclose(model: ChatCerebrasInference) -> None:
    stream = model.astream("Hello!")
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]


async def adrop(model: ChatCerebrasInference) -> None:
    async for _ in model.astream("Hello!"):
        break
    gc.collect()


async def cancel(model: ChatCerebrasInference) -> None:
    task = asyncio.create_task(model.ainvoke("Hello!", stream=True))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def run_out_of_time(model: ChatCerebrasInference) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(collected(model.astream("Hello!")), 0.2)


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("stop", [aclose, adrop, cancel, run_out_of_time])
async def test_an_asynchronous_stream_that_is_left_disconnects_at_once(
    stop: Callable[..., Any],
    silent: bool,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    answer = Reply(content=WORDS * 100, pace=0.01)
    server.script(Stall(after=2, reply=answer) if silent else answer)

    await stop(model)

    assert await asyncio.to_thread(went_away, server.requests[0])


TRIES = 5
"""A busy machine spoils some of them; the best one tells what the code does."""


def test_the_server_sees_within_a_fifth_of_a_second_that_it_may_stop(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[Reply(content=WORDS * 100, pace=0.01)] * TRIES)
    took = []
    for number in range(TRIES):
        stream: Any = model.stream("Hello!")
        next(stream)
        left = time.monotonic()
        stream.close()
        assert went_away(server.requests[number])
        took.append(time.monotonic() - left)

    assert min(took) < 0.2


async def test_the_server_sees_as_soon_that_a_task_was_cancelled(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[Reply(content=WORDS * 100, pace=0.01)] * TRIES)
    took = []
    for number in range(TRIES):
        task = asyncio.create_task(collected(model.astream("Hello!")))
        await asyncio.sleep(0.2)
        left = time.monotonic()
        task.cancel()
        assert await asyncio.to_thread(went_away, server.requests[number])
        took.append(time.monotonic() - left)

    assert min(took) < 0.2


async def test_a_call_that_is_cancelled_disconnects_at_once(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Stall(after=None))
    task = asyncio.create_task(model.ainvoke("Hello!"))
    await asyncio.sleep(0.2)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(went_away, server.requests[0])


def test_a_stream_that_was_left_spoils_nothing(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[Reply(content=WORDS * 100, pace=0.01)] * 5)
    for _ in range(5):
        close(model.stream("Hello!"))

    answer = model.invoke("Hello!")

    assert "Hello!" in answer.text
    assert all(map(went_away, server.requests[:5]))


INTERRUPTED = """
from langchain_cerebras_inference import ChatCerebrasInference

model = ChatCerebrasInference()
try:
    {call}
except KeyboardInterrupt:
    print("interrupted")
print(model.invoke("Hello!").text[:8])
"""


@pytest.mark.parametrize("call", ['model.invoke("Hello!")', 'list(model.stream("Hello!"))'])
def test_an_interrupt_stops_a_synchronous_call_at_once(call: str, server: Emulator) -> None:
    server.script(Stall(after=2))

    with started(INTERRUPTED.format(call=call), server) as process:
        wait_for(lambda: bool(server.requests))
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        is_gone = went_away(server.requests[0])
        output, errors = process.communicate(timeout=PATIENCE)

    assert is_gone
    assert (output, errors) == ("interrupted\nYou said\n", "")


def wait_for(condition: Callable[[], bool]) -> None:
    patience = threading.Event()
    assert any(condition() or patience.wait(0.02) for _ in range(50 * PATIENCE))


# --- whose thread, whose context ----------------------------------------------------

CALLER = contextvars.ContextVar("CALLER", default="nobody")


class Witness(BaseCallbackHandler):
    """Remembers where callbacks ran, and in which context."""

    raise_error = True

    def __init__(self) -> None:
        self.seen: set[tuple[str, int, str]] = set()

    def _see(self, what: str) -> None:
        self.seen.add((what, threading.get_ident(), CALLER.get()))

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self._see("start")

    def on_llm_new_token(self, *_: Any, **__: Any) -> None:
        self._see("token")

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        self._see("end")

    def on_llm_error(self, *_: Any, **__: Any) -> None:
        self._see("error")


@pytest.mark.parametrize("style", ["invoke", "stream", "streamed_invoke"])
def test_callbacks_run_in_the_callers_thread_and_context(
    style: str, model: ChatCerebrasInference
) -> None:
    witness = Witness()
    CALLER.set("me")

    STYLES[style](model.with_config(callbacks=[witness]), "Hello!")

    whats = ["start", "end"] + (["token"] if "stream" in style else [])
    assert witness.seen == {(what, threading.get_ident(), "me") for what in whats}


@pytest.mark.parametrize("hook", ["_stream", "_stream_chat_model_events"])
def test_who_calls_a_hook_with_callbacks_has_them_called(
    hook: str, model: ChatCerebrasInference
) -> None:
    witness = Witness()
    manager = CallbackManagerForLLMRun(
        run_id=uuid.uuid4(), handlers=[witness], inheritable_handlers=[]
    )

    list(getattr(model, hook)([HumanMessage("Hello!")], run_manager=manager))

    assert {what for what, *_ in witness.seen} == {"token"}


@pytest.mark.parametrize("hook", ["_astream", "_astream_chat_model_events"])
async def test_who_awaits_a_hook_with_callbacks_has_them_called(
    hook: str, model: ChatCerebrasInference
) -> None:
    witness = Witness()
    manager = AsyncCallbackManagerForLLMRun(
        run_id=uuid.uuid4(), handlers=[witness], inheritable_handlers=[]
    )

    await collected(getattr(model, hook)([HumanMessage("Hello!")], run_manager=manager))

    assert {what for what, *_ in witness.seen} == {"token"}


def test_half_a_character_can_be_asked_with(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="Hello."))

    answer = model.invoke("scraped \ud83d text")

    assert answer.text == "Hello."
    assert server.requests[0].body["messages"][0]["content"] == "scraped \ud83d text"


@pytest.mark.parametrize("style", ["invoke", "stream"])
def test_an_error_reaches_the_callbacks_in_the_callers_thread(
    style: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(ErrorEvent(after=2) if style == "stream" else Refuse(400))
    witness = Witness()

    with pytest.raises(Exception, match="Cerebras answered"):
        STYLES[style](model.with_config(callbacks=[witness]), "Hello!")

    whats = {what for what, *_ in witness.seen}
    assert {"start", "error"} <= whats
    assert {thread for _, thread, _ in witness.seen} == {threading.get_ident()}


@pytest.mark.parametrize("style", STYLES)
def test_a_function_for_the_key_sees_the_callers_context(style: str, server: Emulator) -> None:
    key = contextvars.ContextVar("key", default="nobody's")
    model = ChatCerebrasInference(base_url=server.base_url, api_key=key.get)
    key.set(server.api_key)

    STYLES[style](model, "Hello!")

    assert server.requests[0].bearer == server.api_key


def test_an_error_keeps_the_callers_frames(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(429, message="Requests per day limit exceeded."))

    with pytest.raises(CerebrasRateLimitError) as caught:
        model.invoke("Hello!")

    assert caught.traceback[0].name == "test_an_error_keeps_the_callers_frames"
