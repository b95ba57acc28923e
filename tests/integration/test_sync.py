"""The sync API works in any thread and inside a running event loop, like ordinary code.

Chunks arrive while the server sends, an interrupt stops a call at once, and callbacks,
context variables and exceptions belong to the caller's thread.
"""

import asyncio
import contextvars
import signal
import threading
import time
import uuid
from typing import Any

import pytest
from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManagerForLLMRun,
)
from langchain_core.messages import HumanMessage

from langchain_cerebras_inference import (
    CerebrasError,
    CerebrasRateLimitError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import Emulator, ErrorEvent, Refuse, Reply, Stall
from tests.integration.call_styles import (
    CALL_STYLES,
    CallStyle,
    collect,
    every_call_style,
    every_sync_style,
)
from tests.integration.helpers import create_model, wait_until
from tests.integration.programs import EXIT_TIMEOUT, start_program

SLOW_WORDS = Reply(
    content="one two three four five six seven eight nine ten eleven twelve", pace=0.1
)


@every_sync_style
async def test_sync_call_works_inside_a_running_event_loop(
    call: CallStyle, model: ChatCerebrasInference
) -> None:
    message = call(model, "Hello!")

    assert "Hello!" in message.text


async def test_sync_call_on_the_event_loop_of_sync_calls_raises_instead_of_deadlocking(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    async def fetch_key() -> str:  # runs on the event loop that serves sync calls
        return str(model.invoke("Which key?").text)

    with pytest.raises(RuntimeError, match="synchronous call"):
        await asyncio.to_thread(create_model(server, api_key=fetch_key).invoke, "Hello!")


# --- chunks as they arrive ----------------------------------------------------------


def test_first_chunk_arrives_while_the_server_is_still_sending(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(SLOW_WORDS)
    stream = model.stream("Hello!")

    first = next(stream)
    is_sent = server.requests[0].answered.is_set()
    text = first.text + "".join(chunk.text for chunk in stream)

    assert not is_sent
    assert text == SLOW_WORDS.content


def test_chunks_arrive_one_by_one(model: ChatCerebrasInference, server: Emulator) -> None:
    sixty_words = " ".join(f"word{number}" for number in range(60))
    server.script(Reply(content=sixty_words, pace=0.03))

    times = [time.monotonic() for chunk in model.stream("Hello!") if chunk.text]

    # The server sends for 0.6 s. A busy machine may read the first events late.
    assert len(times) > 10
    assert times[-1] - times[0] > 0.3


# --- interrupts ---------------------------------------------------------------------

INTERRUPTED_PROGRAM = """
from langchain_cerebras_inference import ChatCerebrasInference

model = ChatCerebrasInference()
try:
    {call}
except KeyboardInterrupt:
    print("interrupted")
assert model.invoke("Hello!").text
print("done")
"""


@pytest.mark.parametrize("call", ['model.invoke("Hello!")', 'list(model.stream("Hello!"))'])
def test_interrupt_stops_a_sync_call_at_once(call: str, server: Emulator) -> None:
    server.script(Stall(after=2))

    with start_program(INTERRUPTED_PROGRAM.format(call=call), server) as process:
        wait_until(lambda: bool(server.requests), EXIT_TIMEOUT)
        time.sleep(0.2)  # until the program waits for the response
        process.send_signal(signal.SIGINT)
        is_disconnected = server.requests[0].disconnected.wait(1)
        output, errors = process.communicate(timeout=EXIT_TIMEOUT)

    assert is_disconnected
    assert (output, errors) == ("interrupted\ndone\n", "")


# --- the caller's thread and context ------------------------------------------------

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("CALLER", default="nobody")


class CallbackRecorder(BaseCallbackHandler):
    """Records each callback with its thread and the caller's context variable."""

    raise_error = True

    def __init__(self) -> None:
        self.calls: set[tuple[str, int, str]] = set()

    @property
    def names(self) -> set[str]:
        return {name for name, _, _ in self.calls}

    def _record(self, name: str) -> None:
        self.calls.add((name, threading.get_ident(), CALLER.get()))

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self._record("start")

    def on_llm_new_token(self, *_: Any, **__: Any) -> None:
        self._record("token")

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        self._record("end")

    def on_llm_error(self, *_: Any, **__: Any) -> None:
        self._record("error")


@pytest.mark.parametrize("style", ["invoke", "stream", "streaming_invoke"])
def test_callbacks_run_in_the_callers_thread_and_context(
    style: str, model: ChatCerebrasInference
) -> None:
    recorder = CallbackRecorder()
    CALLER.set("me")

    CALL_STYLES[style](model.with_config(callbacks=[recorder]), "Hello!")

    names = ["start", "end"] + (["token"] if "stream" in style else [])
    assert recorder.calls == {(name, threading.get_ident(), "me") for name in names}


@pytest.mark.parametrize("style", ["invoke", "stream"])
def test_error_callback_runs_in_the_callers_thread(
    style: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(ErrorEvent(after=2) if style == "stream" else Refuse(400))
    recorder = CallbackRecorder()

    with pytest.raises(CerebrasError):
        CALL_STYLES[style](model.with_config(callbacks=[recorder]), "Hello!")

    assert {"start", "error"} <= recorder.names
    assert {thread for _, thread, _ in recorder.calls} == {threading.get_ident()}


@pytest.mark.parametrize("hook", ["_stream", "_stream_chat_model_events"])
def test_stream_hooks_call_the_callbacks_of_the_run_manager(
    hook: str, model: ChatCerebrasInference
) -> None:
    recorder = CallbackRecorder()
    manager = CallbackManagerForLLMRun(
        run_id=uuid.uuid4(), handlers=[recorder], inheritable_handlers=[]
    )

    list(getattr(model, hook)([HumanMessage("Hello!")], run_manager=manager))

    assert recorder.names == {"token"}


@pytest.mark.parametrize("hook", ["_astream", "_astream_chat_model_events"])
async def test_async_stream_hooks_call_the_callbacks_of_the_run_manager(
    hook: str, model: ChatCerebrasInference
) -> None:
    recorder = CallbackRecorder()
    manager = AsyncCallbackManagerForLLMRun(
        run_id=uuid.uuid4(), handlers=[recorder], inheritable_handlers=[]
    )

    await collect(getattr(model, hook)([HumanMessage("Hello!")], run_manager=manager))

    assert recorder.names == {"token"}


@every_call_style
def test_api_key_function_sees_the_callers_context(call: CallStyle, server: Emulator) -> None:
    key = contextvars.ContextVar("key", default="another key")
    model = create_model(server, api_key=key.get)
    key.set(server.api_key)

    call(model, "Hello!")

    assert server.requests[0].bearer == server.api_key


def test_traceback_of_an_error_begins_in_the_callers_code(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(429, message="Requests per day limit exceeded."))

    with pytest.raises(CerebrasRateLimitError) as caught:
        model.invoke("Hello!")

    assert caught.traceback[0].name == "test_traceback_of_an_error_begins_in_the_callers_code"


def test_lone_surrogate_in_a_prompt_is_replaced(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="Hello."))

    message = model.invoke("scraped \ud83d text")

    assert message.text == "Hello."
    assert server.requests[0].body["messages"][0]["content"] == "scraped \ufffd text"
