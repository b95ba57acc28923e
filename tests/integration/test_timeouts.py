"""When a silent server raises `CerebrasTimeoutError`, and what does not count as silence."""

import asyncio
import json
import math
import selectors
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import pytest

from langchain_cerebras_inference import CerebrasTimeoutError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Act, Emulator, Reply, Stall
from tests.integration.call_styles import (
    CallStyle,
    StreamReader,
    both_stream_readers,
    collect,
    every_call_style,
)
from tests.integration.helpers import create_model

T = TypeVar("T")

TWELVE_WORDS = Reply(content="one two three four five six seven eight nine ten eleven twelve")
"""An event with the role, then six tokens in each event."""

FIRST_WORDS = "one two three four five six"
"""The text of the first two events."""

SIXTY_WORDS = " ".join(f"word{number}" for number in range(60))
"""Twenty events, then the finish and the usage."""


@pytest.fixture
def model(server: Emulator) -> ChatCerebrasInference:
    """A model whose timeout is 0.3 s: short for a test, long for events on loopback."""
    return create_model(server, timeout=0.3, max_retries=0)


# --- silence ------------------------------------------------------------------------

SILENCES: Mapping[str, tuple[Act, str]] = {
    "before the headers": (Stall(after=None), ""),
    "before the first event": (Stall(after=0, reply=TWELVE_WORDS), ""),
    "after the role": (Stall(after=1, reply=TWELVE_WORDS), ""),
    "between events": (Stall(after=2, reply=TWELVE_WORDS), FIRST_WORDS),
    "before the first event, with comments": (
        Stall(after=0, comments=True, reply=TWELVE_WORDS),
        "",
    ),
    "between events, with comments": (
        Stall(after=2, comments=True, reply=TWELVE_WORDS),
        FIRST_WORDS,
    ),
}


@both_stream_readers
@pytest.mark.parametrize("silence", SILENCES)
def test_silent_stream_raises_timeout_error_after_its_text(
    silence: str, read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    behavior, expected = SILENCES[silence]
    server.script(behavior)
    started = time.monotonic()

    text, error = read(model)

    assert text == expected
    assert type(error) is CerebrasTimeoutError
    assert server.origin.removeprefix("http://") in str(error)
    assert "0.3 s" in str(error)
    assert "increase the setting timeout" in str(error)
    assert 0.25 < time.monotonic() - started < 3


NO_PROGRESS = {
    "comments": b": keep-alive\n\n",
    "an endless comment": b":",
    "retry fields": b"retry: 1000\n",
    "id fields": b"id: 7\n\n",
    "empty events": b"data:\n\n",
    "spaces": b" ",
    "line endings": b"\n",
}


@both_stream_readers
@pytest.mark.parametrize("kind", NO_PROGRESS)
def test_bytes_without_an_event_count_as_silence(
    kind: str, read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(data=[NO_PROGRESS[kind]] * 100, pace=0.1))

    text, error = read(model)

    assert text == ""
    assert type(error) is CerebrasTimeoutError


# --- what is not silence ------------------------------------------------------------


@both_stream_readers
def test_event_that_arrives_in_small_parts_is_not_silence(
    read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    choice = {"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}
    event = f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
    parts = [event[start : start + 10] for start in range(0, len(event), 10)]
    server.script(Reply(data=parts, pace=0.1))

    text, error = read(model)

    assert error is None
    assert text == "Hello."


@both_stream_readers
def test_slow_stream_is_not_silence(
    read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content=TWELVE_WORDS.content, pace=0.15))

    text, error = read(model)

    assert error is None
    assert text == TWELVE_WORDS.content


def test_slow_reader_does_not_time_out(model: ChatCerebrasInference, server: Emulator) -> None:
    server.script(Reply(content=SIXTY_WORDS, pace=0.05))
    stream = model.stream("Hello!")

    text = str(next(stream).text)
    time.sleep(0.5)
    text += "".join(chunk.text for chunk in stream)

    assert text == SIXTY_WORDS


async def test_slow_async_reader_does_not_time_out(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content=SIXTY_WORDS, pace=0.05))
    stream = model.astream("Hello!")

    text = str((await anext(stream)).text)
    await asyncio.sleep(0.5)
    text += "".join([chunk.text async for chunk in stream])

    assert text == SIXTY_WORDS


def block_event_loop() -> None:
    time.sleep(1)


async def test_blocked_event_loop_does_not_time_out(server: Emulator) -> None:
    """The deadline passes while the loop is blocked; the data is in the socket by then."""
    server.script(Reply(content=SIXTY_WORDS, pace=0.05), Reply(content=SIXTY_WORDS, delay=0.3))
    model = create_model(server, timeout=0.6, max_retries=0)
    stream = model.astream("Hello!")
    text = str((await anext(stream)).text)

    reading = asyncio.create_task(collect(stream))
    await asyncio.sleep(0.1)
    block_event_loop()
    text += "".join(chunk.text for chunk in await reading)
    calling = asyncio.create_task(model.ainvoke("Hello!"))
    await asyncio.sleep(0.1)
    block_event_loop()
    message = await calling

    assert text == message.text == SIXTY_WORDS


# --- settings -----------------------------------------------------------------------


@both_stream_readers
def test_timeout_of_a_call_overrides_the_setting(
    read: StreamReader, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Stall(after=2, seconds=0.5, reply=TWELVE_WORDS))

    text, error = read(model.bind(timeout=math.inf))

    assert error is None
    assert text == TWELVE_WORDS.content


@every_call_style
def test_timeouts_can_be_infinite(call: CallStyle, server: Emulator) -> None:
    server.script(Reply(content="Done.", delay=0.3))
    model = create_model(server, timeout=math.inf, connect_timeout=math.inf)

    message = call(model, "Hello!")

    assert message.text == "Done."


# --- minutes, on an accelerated clock -----------------------------------------------
#
# Only the client's event loop is accelerated, so `pace` and `delay` of the server are
# real seconds. At 1000 times the speed 0.4 real seconds are 400 s on the loop's clock.
# The real time until a timeout must stay far above the delays of a busy machine.


class AcceleratedSelector(selectors.DefaultSelector):
    """Waits a fraction of the time it is asked to."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout and timeout / self._speed)


class AcceleratedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock runs `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        super().__init__(AcceleratedSelector(speed))

    def time(self) -> float:
        return time.monotonic() * self._speed


def run_accelerated(work: Coroutine[Any, Any, T], speed: float) -> tuple[T, float]:
    """Run `work`; return its result and its seconds on the loop's clock."""

    async def measure() -> tuple[T, float]:
        clock = asyncio.get_running_loop().time
        started = clock()
        result = await work
        return result, clock() - started

    with asyncio.Runner(loop_factory=lambda: AcceleratedLoop(speed)) as runner:
        return runner.run(measure())


def test_stream_may_take_longer_than_its_timeout_and_the_300_seconds_of_aiohttp(
    server: Emulator,
) -> None:
    server.script(Reply(content=SIXTY_WORDS, pace=0.02))  # 22 events, 20 s each
    model = create_model(server, timeout=400, connect_timeout=math.inf)

    chunks, seconds = run_accelerated(collect(model.astream("Hello!")), speed=1000)

    assert "".join(chunk.text for chunk in chunks) == SIXTY_WORDS
    assert seconds > 400


def test_completion_may_take_longer_than_the_300_seconds_of_aiohttp(server: Emulator) -> None:
    server.script(Reply(content=SIXTY_WORDS, delay=0.4))
    model = create_model(server, timeout=2000, connect_timeout=math.inf)

    message, seconds = run_accelerated(model.ainvoke("Hello!"), speed=1000)

    assert message.text == SIXTY_WORDS
    assert seconds > 400


@pytest.mark.parametrize(
    "behavior",
    [
        pytest.param(Stall(after=None), id="before the headers"),
        pytest.param(Stall(after=0), id="before the first event"),
        pytest.param(Stall(after=2), id="between events"),
        pytest.param(
            Stall(after=2, comments=True, every=0.05), id="between events, with comments"
        ),
    ],
)
def test_timeout_is_60_seconds_by_default(behavior: Stall, server: Emulator) -> None:
    server.script(behavior)
    model = create_model(server, max_retries=0)

    async def read() -> None:
        with pytest.raises(CerebrasTimeoutError, match="60 s"):
            await collect(model.astream("Hello!"))

    _, seconds = run_accelerated(read(), speed=200)

    assert 60 <= seconds < 120
