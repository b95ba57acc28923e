"""Who is measured: each knows how to be made, and how to drain one answer.

The imports are inside, so that a subject that is not installed breaks alone, and none
pays for another's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

MODEL = "gpt-oss-120b"
PROMPT = "Why is the sky blue?"
REQUEST: Any = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
_KEY = "csk-0123456789abcdef"


class Tally:
    """What has come so far, over all streams of one measurement."""

    def __init__(self) -> None:
        self.chunks = 0
        self.characters = 0


class Chat:
    """A LangChain chat model.

    Args:
        path: The module and the class.
        suffix: What its base URL has after the workload's.
        settings: Fields of the model.
    """

    def __init__(self, path: str, suffix: str = "/v1", **settings: Any) -> None:
        self.path = path
        self._suffix = suffix
        self._settings = settings

    def load(self) -> Any:
        """Import the class; its package is counted with it."""
        module, _, name = self.path.partition(":")
        return getattr(importlib.import_module(module), name)

    def make(self, url: str) -> Any:
        """Construct a model for one workload."""
        base = url + self._suffix
        return self.load()(model=MODEL, api_key=_KEY, base_url=base, **self._settings)

    async def astream(self, model: Any, tally: Tally) -> None:
        """Drain a stream."""
        async for chunk in model.astream(PROMPT):
            tally.chunks += 1
            tally.characters += len(chunk.content)

    def stream(self, model: Any, tally: Tally) -> None:
        """Drain a stream, synchronously."""
        for chunk in model.stream(PROMPT):
            tally.chunks += 1
            tally.characters += len(chunk.content)

    async def aevents(self, model: Any, tally: Tally) -> None:
        """Drain a stream's v3 events."""
        async for event in await model.astream_events(PROMPT, version="v3"):
            tally.chunks += event["event"] == "content-block-delta"

    def events(self, model: Any, tally: Tally) -> None:
        """Drain a stream's v3 events, synchronously."""
        for event in model.stream_events(PROMPT, version="v3"):
            tally.chunks += event["event"] == "content-block-delta"

    async def ainvoke(self, model: Any) -> None:
        """Get one whole answer."""
        await model.ainvoke(PROMPT)

    def invoke(self, model: Any) -> None:
        """Get one whole answer, synchronously."""
        model.invoke(PROMPT)

    async def abatch(self, model: Any, size: int) -> None:
        """Get many whole answers at once."""
        await model.abatch([PROMPT] * size)


class Ours(Chat):
    """The class all this is about; it alone can be warmed up, and compresses."""

    async def warm_up(self, model: Any) -> None:
        """Open the connection before the first call."""
        await model.awarm_up()

    async def upload(self, url: str, messages: list[Any], *, compression: bool) -> None:
        """Send a long history."""
        model = self.load()(api_key=_KEY, base_url=url, compression=compression)
        await model.ainvoke(messages)


class Memory(Chat):
    """A chat model without a network, whose URL says what kind of chunk it makes."""

    def make(self, url: str) -> Any:
        """Construct the model."""
        return self.load()(kind=url.rpartition("/")[2])


class Official:
    """The official SDK."""

    def load(self) -> Any:
        """Import it."""
        return importlib.import_module("cerebras.cloud.sdk")

    def make(self, url: str) -> Any:
        """Construct both of its clients, without the requests they warm up with."""
        sdk = self.load()
        how = {"api_key": _KEY, "base_url": url, "warm_tcp_connection": False}
        return sdk.Cerebras(**how), sdk.AsyncCerebras(**how)

    async def astream(self, model: Any, tally: Tally) -> None:
        """Drain a stream."""
        async for event in await model[1].chat.completions.create(**REQUEST, stream=True):
            tally.chunks += 1
            tally.characters += len(event.choices[0].delta.content or "")

    def stream(self, model: Any, tally: Tally) -> None:
        """Drain a stream, synchronously."""
        for event in model[0].chat.completions.create(**REQUEST, stream=True):
            tally.chunks += 1
            tally.characters += len(event.choices[0].delta.content or "")

    async def ainvoke(self, model: Any) -> None:
        """Get one whole answer."""
        await model[1].chat.completions.create(**REQUEST)

    def invoke(self, model: Any) -> None:
        """Get one whole answer, synchronously."""
        model[0].chat.completions.create(**REQUEST)


def _bare(name: str) -> Any:
    return getattr(importlib.import_module("benchmarks.bare"), name)()


_OURS = "langchain_cerebras_inference:ChatCerebrasInference"

OURS, COALESCED = "ours", "ours, coalesced"
CORE, WIRE, BYTES = "core from memory", "aiohttp + JSON", "aiohttp alone"
OLD = "langchain-cerebras"

SUBJECTS: dict[str, Callable[[], Any]] = {
    OURS: lambda: Ours(_OURS),
    COALESCED: lambda: Ours(_OURS, coalesce=True),
    OLD: lambda: Chat("langchain_cerebras:ChatCerebras"),
    "langchain-openai": lambda: Chat("langchain_openai:ChatOpenAI"),
    "langchain-groq": lambda: Chat("langchain_groq:ChatGroq", suffix=""),
    "official SDK": Official,
    CORE: lambda: Memory("benchmarks.from_memory:FromMemory"),
    WIRE: lambda: _bare("Parsed"),
    BYTES: lambda: _bare("Bytes"),
}
