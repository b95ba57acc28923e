"""The clients that are measured. They all have the same methods.

`prepare` returns an object that the other methods take as their first argument: the model, or
whatever the client needs for its requests.

A client imports its package only when it is first used. So a package that is not installed
breaks only its own measurements, and its import costs no other client anything.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

MODEL = "gpt-oss-120b"
PROMPT = "Why is the sky blue?"
REQUEST: Any = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
API_KEY = "csk-0123456789abcdef"


class Totals:
    """How much has arrived so far, in all streams of one measurement."""

    def __init__(self) -> None:
        self.chunks = 0
        self.characters = 0


class LangChainModel:
    """A LangChain chat model.

    Args:
        path: The class of the model, as `module:class`.
        url_suffix: The end of the base URL of this class.
        settings: Settings of the model.
    """

    def __init__(self, path: str, url_suffix: str = "/v1", **settings: Any) -> None:
        self._path = path
        self._url_suffix = url_suffix
        self._settings = settings

    def load(self) -> Any:
        """Import the class of the model."""
        module, _, name = self._path.partition(":")
        return getattr(importlib.import_module(module), name)

    def list_cold_start_arguments(self, url: str) -> list[str]:
        """List the arguments of `cold_start.py` for the workload at `url`."""
        return [url + self._url_suffix, self._path]

    def prepare(self, url: str) -> Any:
        """Construct the model for the workload at `url`."""
        base_url = url + self._url_suffix
        return self.load()(model=MODEL, api_key=API_KEY, base_url=base_url, **self._settings)

    async def astream(self, model: Any, totals: Totals) -> None:
        """Read one stream to its end."""
        async for chunk in model.astream(PROMPT):
            totals.chunks += 1
            totals.characters += len(chunk.content)

    async def astream_observed(self, model: Any, totals: Totals) -> None:
        """Read one stream to its end, with a callback handler that is called at its end."""
        config = {"callbacks": [_create_callback_handler()]}
        async for chunk in model.astream(PROMPT, config):
            totals.chunks += 1
            totals.characters += len(chunk.content)

    def stream(self, model: Any, totals: Totals) -> None:
        """Read one stream to its end, synchronously."""
        for chunk in model.stream(PROMPT):
            totals.chunks += 1
            totals.characters += len(chunk.content)

    async def astream_events(self, model: Any, totals: Totals) -> None:
        """Read one stream as v3 stream events."""
        async for event in await model.astream_events(PROMPT, version="v3"):
            totals.chunks += event["event"] == "content-block-delta"

    def stream_events(self, model: Any, totals: Totals) -> None:
        """Read one stream as v3 stream events, synchronously."""
        for event in model.stream_events(PROMPT, version="v3"):
            totals.chunks += event["event"] == "content-block-delta"

    async def ainvoke(self, model: Any) -> None:
        """Request one completion."""
        await model.ainvoke(PROMPT)

    def invoke(self, model: Any) -> None:
        """Request one completion, synchronously."""
        model.invoke(PROMPT)

    async def abatch(self, model: Any, size: int) -> None:
        """Request many completions concurrently."""
        await model.abatch([PROMPT] * size)


class OurModel(LangChainModel):
    """`ChatCerebrasInference`, the only client with a warm-up and with compression."""

    def __init__(self, **settings: Any) -> None:
        super().__init__("langchain_cerebras_inference:ChatCerebrasInference", **settings)

    async def warm_up(self, model: Any) -> None:
        """Open the connection before the first request."""
        await model.awarm_up()

    async def upload(self, url: str, messages: list[Any], *, compression: bool) -> None:
        """Send a long message history."""
        model = self.load()(api_key=API_KEY, base_url=url, compression=compression)
        await model.ainvoke(messages)


class InMemoryModel(LangChainModel):
    """A chat model without a network. It constructs the chunks of the workload in the URL."""

    def __init__(self) -> None:
        super().__init__("benchmarks.baselines:InMemoryChatModel")

    def prepare(self, url: str) -> Any:
        """Construct the model for the workload at `url`."""
        return self.load()(workload=url.rpartition("/")[2])


class CoreAndAiohttp(LangChainModel):
    """A chat model that only requests completions, and the baseline of `cold_start.py`."""

    def __init__(self) -> None:
        super().__init__("benchmarks.baselines:AiohttpChatModel")

    def prepare(self, url: str) -> Any:
        """Construct the model for the workload at `url`."""
        return self.load()(workload="burst", url=f"{url}/v1/chat/completions")

    def list_cold_start_arguments(self, url: str) -> list[str]:
        """List the arguments of `cold_start.py` for the workload at `url`."""
        return [f"{url}/v1/chat/completions"]


class OfficialSDK:
    """The official SDK of Cerebras."""

    def load(self) -> Any:
        """Import the SDK."""
        return importlib.import_module("cerebras.cloud.sdk")

    def prepare(self, url: str) -> Any:
        """Construct the sync and the async client, without their warm-up requests."""
        sdk = self.load()
        settings = {"api_key": API_KEY, "base_url": url, "warm_tcp_connection": False}
        return sdk.Cerebras(**settings), sdk.AsyncCerebras(**settings)

    async def astream(self, clients: Any, totals: Totals) -> None:
        """Read one stream to its end."""
        async for event in await clients[1].chat.completions.create(**REQUEST, stream=True):
            totals.chunks += 1
            totals.characters += len(event.choices[0].delta.content or "")

    def stream(self, clients: Any, totals: Totals) -> None:
        """Read one stream to its end, synchronously."""
        for event in clients[0].chat.completions.create(**REQUEST, stream=True):
            totals.chunks += 1
            totals.characters += len(event.choices[0].delta.content or "")

    async def ainvoke(self, clients: Any) -> None:
        """Request one completion."""
        await clients[1].chat.completions.create(**REQUEST)

    def invoke(self, clients: Any) -> None:
        """Request one completion, synchronously."""
        clients[0].chat.completions.create(**REQUEST)


@functools.cache
def _create_callback_handler() -> Any:
    from langchain_core.callbacks import AsyncCallbackHandler

    class Handler(AsyncCallbackHandler):
        async def on_llm_end(self, *_args: Any, **_kwargs: Any) -> None:
            pass

    return Handler()


def _load_baseline(name: str) -> Any:
    return getattr(importlib.import_module("benchmarks.baselines"), name)()


OURS, COALESCED = "ours", "ours, coalesced"
LANGCHAIN_CEREBRAS = "langchain-cerebras"
LANGCHAIN_OPENAI = "langchain-openai"
LANGCHAIN_GROQ = "langchain-groq"
OFFICIAL_SDK = "official SDK"
CORE = "langchain-core alone"
CORE_AND_AIOHTTP = "langchain-core + aiohttp"
AIOHTTP_JSON, AIOHTTP = "aiohttp + JSON", "aiohttp alone"

CLIENTS: dict[str, Callable[[], Any]] = {
    OURS: OurModel,
    COALESCED: lambda: OurModel(coalesce=True),
    LANGCHAIN_CEREBRAS: lambda: LangChainModel("langchain_cerebras:ChatCerebras"),
    LANGCHAIN_OPENAI: lambda: LangChainModel("langchain_openai:ChatOpenAI"),
    LANGCHAIN_GROQ: lambda: LangChainModel("langchain_groq:ChatGroq", url_suffix=""),
    OFFICIAL_SDK: OfficialSDK,
    CORE: InMemoryModel,
    CORE_AND_AIOHTTP: CoreAndAiohttp,
    AIOHTTP_JSON: lambda: _load_baseline("AiohttpJSONClient"),
    AIOHTTP: lambda: _load_baseline("AiohttpClient"),
}
