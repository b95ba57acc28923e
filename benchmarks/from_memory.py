"""langchain-core alone, over chunks that come from memory: what any chat model must cost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from benchmarks import wire

_TOGETHER = 15
"""Chunks of one stream before another has its turn, as they arrive at 3,000 a second."""

_PROVIDER = {"model_provider": "cerebras"}


def _text(_at: int) -> AIMessageChunk:
    return AIMessageChunk(content=wire.PIECE, response_metadata=dict(_PROVIDER))


def _reasoning(_at: int) -> AIMessageChunk:
    kept = {"reasoning_content": wire.PIECE}
    return AIMessageChunk(content="", additional_kwargs=kept, response_metadata=dict(_PROVIDER))


def _fragment(at: int) -> AIMessageChunk:
    first = at == 0
    return AIMessageChunk(
        content="",
        response_metadata=dict(_PROVIDER),
        tool_call_chunks=[
            {
                "name": "save" if first else None,
                "args": wire.ARGUMENTS[(at > 0) + (at == wire.EVENTS - 1)],
                "id": "call_0" if first else None,
                "index": 0,
                "type": "tool_call_chunk",
            }
        ],
    )


_KINDS: dict[str, Callable[[int], AIMessageChunk]] = {
    "reasoning": _reasoning,
    "tools": _fragment,
}


class FromMemory(BaseChatModel):
    """The least a chat model can do: chunks made by the plain constructors, nothing else."""

    kind: str

    @property
    def _llm_type(self) -> str:
        return "memory"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        message = AIMessage(content="The sky scatters what is blue.")
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
        return self._generate()

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        make = _KINDS.get(self.kind, _text)
        for at in range(wire.EVENTS):
            yield ChatGenerationChunk(message=make(at))

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        make = _KINDS.get(self.kind, _text)
        script = wire.scripts()[self.kind]
        takes_turns, begun = script.tick or script.pause, time.perf_counter()
        for at in range(wire.EVENTS):
            if takes_turns and at % _TOGETHER == 0:
                await asyncio.sleep(begun + at / script.per_second - time.perf_counter())
            yield ChatGenerationChunk(message=make(at))
        await asyncio.sleep(script.pause)
