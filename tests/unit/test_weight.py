"""What a chunk costs on our side of core: calls and instructions, counted, not timed.

The counts are the same on every machine, and a second reading of an event's JSON is
over the limits. They differ a little from one Python to the next, so elsewhere than on
the one they were counted on there is more room. Who makes the path lighter lowers them.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self, cast

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

import langchain_cerebras_inference
from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._http import request
from langchain_cerebras_inference._http.response import Answer

ROOM = 1.03 if sys.version_info[:2] == (3, 11) else 1.15
HOME = str(Path(langchain_cerebras_inference.__file__).parent)
TEXT = {"content": " as much as one event"}
REASONING = {"reasoning": " as much as one event"}
FRAGMENT = {"tool_calls": [{"function": {"arguments": "xyz"}, "index": 0}]}


class Prepared:
    """An answer whose body is here already, in parts of so many events."""

    status = 200
    headers: dict[str, str] = {"content-type": "text/event-stream"}  # noqa: RUF012

    def __init__(self, delta: dict[str, Any], events: int, together: int) -> None:
        event = self._event({"delta": delta, "index": 0})
        finish = self._event({"delta": {}, "finish_reason": "stop", "index": 0})
        parts = [event * together] * (events // together)
        self._parts = iter([*parts, finish, b"data: [DONE]\n\n", b""])

    @staticmethod
    def _event(choice: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"

    async def read_some(self) -> bytes:
        return next(self._parts)

    def hold(self) -> None: ...
    def progressed(self) -> None: ...
    def allow(self, seconds: float) -> None: ...
    def close(self) -> None: ...


async def drain(
    answer: Prepared, monkeypatch: pytest.MonkeyPatch, *, coalesce: bool, events: bool = False
) -> None:
    async def send(*_: object, **__: object) -> Answer:
        return cast("Answer", answer)

    monkeypatch.setattr(request, "send", send)
    model = ChatCerebrasInference(api_key="k", coalesce=coalesce)
    stream: Any = model.astream("Hello.")
    if events:
        stream = await model.astream_events("Hello.", version="v3")
    async for _ in stream:
        pass


def is_ours(frame: FrameType | None) -> bool:
    """Whether a frame is one of our functions, or was called by one."""
    while frame is not None and not frame.f_code.co_filename.startswith(HOME):
        frame = frame.f_back
    return frame is not None


class Calls:
    """Counts calls of ours and from there, be it Python or C, and resumptions."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event in {"call", "c_call"} and is_ours(frame):
            self.count += 1

    def __enter__(self) -> Self:
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


class Instructions:
    """Counts the instructions that are executed there."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> "Instructions | None":
        if event == "call":
            if not is_ours(frame):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.count += event == "opcode"
        return self

    def __enter__(self) -> Self:
        self._before = sys.gettrace()  # coverage's, perhaps
        sys.settrace(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)


class FromMemory(BaseChatModel):
    """The least a chat model can do: chunks made by the plain constructors."""

    @property
    def _llm_type(self) -> str:
        return "memory"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for _ in range(1_000):
            message = AIMessageChunk(content="x", response_metadata={"from": "memory"})
            yield ChatGenerationChunk(message=message)


async def ratio_to_core(monkeypatch: pytest.MonkeyPatch) -> float:
    """CPU time of a stream of ours, in that of as long a stream from memory."""
    ours, memory = [], []
    for _ in range(10):
        begun = time.process_time()
        await drain(Prepared(TEXT, 1_000, together=20), monkeypatch, coalesce=False)
        between = time.process_time()
        async for _ in FromMemory().astream("Hello."):
            pass
        ours.append(between - begun)
        memory.append(time.process_time() - between)
    return min(ours) / min(memory)


def weigh(
    scale: Callable[[], Calls | Instructions],
    monkeypatch: pytest.MonkeyPatch,
    delta: dict[str, Any],
    together: int,
    **how: bool,
) -> float:
    """What one event adds to a stream."""
    counts = []
    for events in (100, 100, 300):  # the first imports
        answer = Prepared(delta, events, together)
        with scale() as scales:
            asyncio.run(drain(answer, monkeypatch, **how))
        counts.append(scales.count)
    return (counts[2] - counts[1]) / 200


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize(
    ("delta", "together", "how", "calls", "instructions"),
    [
        pytest.param(TEXT, 20, {}, 22.4, 323, id="text in a burst"),
        pytest.param(TEXT, 1, {}, 48, 603, id="text that comes alone"),
        pytest.param(TEXT, 20, {"coalesce": True}, 17.9, 190, id="text, coalesced"),
        pytest.param(TEXT, 20, {"events": True}, 23.3, 261, id="text, as v3 events"),
        pytest.param(REASONING, 20, {}, 22.5, 330, id="reasoning in a burst"),
        pytest.param(FRAGMENT, 20, {}, 40.3, 502, id="fragments of a call in a burst"),
    ],
)
def test_a_chunk_is_no_heavier_than_it_was(
    monkeypatch: pytest.MonkeyPatch,
    delta: dict[str, Any],
    together: int,
    how: dict[str, bool],
    calls: float,
    instructions: float,
) -> None:
    how = {"coalesce": False, **how}
    called = weigh(Calls, monkeypatch, delta, together, **how)
    executed = weigh(Instructions, monkeypatch, delta, together, **how)

    assert called <= calls * ROOM, called
    assert executed <= instructions * ROOM, executed


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer slows our side alone")
def test_a_chunk_costs_less_than_core_takes_to_make_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the time that counting does not see; noise is waited out."""
    ratios = (asyncio.run(ratio_to_core(monkeypatch)) for _ in range(5))

    assert any(ratio <= 0.95 for ratio in ratios)
