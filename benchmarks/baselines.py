"""Lower bounds: langchain-core without a network, and aiohttp without LangChain."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr
from pydantic_core import from_json

from benchmarks import workloads
from benchmarks.clients import REQUEST, Totals

# --- langchain-core ----------------------------------------------------------------------

_CHUNKS_PER_TURN = 15
"""As many as the server sends in its write interval of 5 ms, at 3,000 events per second."""


class InMemoryChatModel(BaseChatModel):
    """A chat model that only constructs chunks. Every chat model costs at least this."""

    workload: str

    @property
    def _llm_type(self) -> str:
        return "memory"

    def _generate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        message = AIMessage(content="The sky scatters blue light.")
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        return self._generate()

    def _stream(self, *_args: Any, **_kwargs: Any) -> Iterator[ChatGenerationChunk]:
        workload = workloads.get_workloads()[self.workload]
        chunks_per_turn = _count_chunks_per_turn(workload)
        start = time.perf_counter()
        for index in range(workload.events):
            if chunks_per_turn and index % chunks_per_turn == 0:
                due = start + index / workload.steps_per_second
                time.sleep(max(0.0, due - time.perf_counter()))
            yield ChatGenerationChunk(message=self._make_message(index))

    async def _astream(self, *_args: Any, **_kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        workload = workloads.get_workloads()[self.workload]
        chunks_per_turn = _count_chunks_per_turn(workload)
        start = time.perf_counter()
        for index in range(workload.events):
            if chunks_per_turn and index % chunks_per_turn == 0:
                due = start + index / workload.steps_per_second
                await asyncio.sleep(due - time.perf_counter())
            yield ChatGenerationChunk(message=self._make_message(index))
        await asyncio.sleep(workload.last_step_at)

    def _make_message(self, index: int) -> AIMessageChunk:
        metadata = {"model_provider": "cerebras"}
        if self.workload == "reasoning":
            return AIMessageChunk(
                content="",
                additional_kwargs={"reasoning_content": workloads.EVENT_TEXT},
                response_metadata=metadata,
            )
        if self.workload == "tool_call":
            return AIMessageChunk(
                content="",
                response_metadata=metadata,
                tool_call_chunks=[_make_tool_call_chunk(index)],
            )
        return AIMessageChunk(content=workloads.EVENT_TEXT, response_metadata=metadata)


def _count_chunks_per_turn(workload: workloads.Workload) -> int:
    """Return how many chunks one stream yields before another stream continues.

    At a limited speed, these are the events that the server sends together. The workload
    `unfinished` has no speed limit, but all its streams stay open together, so they also take
    turns. 0 means that the streams do not take turns.
    """
    if workload.steps_per_second < math.inf:
        return max(1, round(workload.steps_per_second * workload.write_interval))
    return _CHUNKS_PER_TURN if workload.last_step_at else 0


def _make_tool_call_chunk(index: int) -> Any:
    is_first, is_last = index == 0, index == workloads.EVENTS - 1
    return {
        "name": "save" if is_first else None,
        "args": workloads.TOOL_ARGUMENTS[0 if is_first else 2 if is_last else 1],
        "id": "call_0" if is_first else None,
        "index": 0,
        "type": "tool_call_chunk",
    }


# --- aiohttp -----------------------------------------------------------------------------


class AiohttpClient:
    """Counts events without decoding them. It shows how fast the server is."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def prepare(self, url: str) -> str:
        """Return the URL of the requests."""
        return f"{url}/v1/chat/completions"

    async def astream(self, url: str, totals: Totals) -> None:
        """Read one stream to its end."""
        async with self._post(url, stream=True) as response:
            async for data in response.content.iter_any():
                # The last event has a delta without text. The role event is counted, too, which
                # is one event too many, and harmless here.
                events = data.count(b'"delta"') - data.count(b'"finish_reason"')
                totals.chunks += events
                totals.characters += events * len(workloads.EVENT_TEXT)

    def _post(self, url: str, **fields: Any) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**18
            )
        return self._session.post(url, json={**REQUEST, **fields})


class AiohttpJSONClient(AiohttpClient):
    """Decodes the JSON of each event, and does nothing else."""

    async def astream(self, url: str, totals: Totals) -> None:
        """Read one stream to its end."""
        incomplete = b""
        async with self._post(url, stream=True) as response:
            async for data in response.content.iter_any():
                *events, incomplete = (incomplete + data).split(b"\n\n")
                for event in events:
                    if event != b"data: [DONE]":
                        delta = from_json(event[6:])["choices"][0]["delta"]
                        totals.chunks += 1
                        totals.characters += len(delta.get("content") or "")

    async def ainvoke(self, url: str) -> Any:
        """Request one completion, and return its decoded JSON."""
        async with self._post(url) as response:
            return from_json(await response.read())


class AiohttpChatModel(InMemoryChatModel):
    """A chat model that requests completions with aiohttp, and converts only their text.

    Its figure is higher than the sum of langchain-core alone and of aiohttp + JSON: in one
    call, the code of each removes that of the other from the caches of the CPU.
    """

    url: str
    _client: AiohttpJSONClient = PrivateAttr(default_factory=AiohttpJSONClient)

    async def _agenerate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        completion = await self._client.ainvoke(self.url)
        message = AIMessage(content=completion["choices"][0]["message"]["content"])
        return ChatResult(generations=[ChatGeneration(message=message)])
