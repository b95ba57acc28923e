"""aiohttp without LangChain: what any client must cost."""

from typing import Any

import aiohttp
from pydantic_core import from_json

from benchmarks import wire
from benchmarks.subjects import REQUEST, Tally


class Bytes:
    """aiohttp alone, which only counts events: it shows what the server can do."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def make(self, url: str) -> str:
        """Nothing to construct, only where to ask."""
        return f"{url}/v1/chat/completions"

    async def astream(self, url: str, tally: Tally) -> None:
        """Read a stream."""
        async with self._post(url, stream=True) as answer:
            async for data in answer.content.iter_any():
                events = data.count(b'"delta"') - data.count(b'"finish_reason"')
                tally.chunks += events
                tally.characters += events * len(wire.PIECE)

    def _post(self, url: str, **more: Any) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**18
            )
        return self._session.post(url, json={**REQUEST, **more})


class Parsed(Bytes):
    """aiohttp and one JSON decode an event."""

    async def astream(self, url: str, tally: Tally) -> None:
        """Drain a stream."""
        rest = b""
        async with self._post(url, stream=True) as answer:
            async for data in answer.content.iter_any():
                *frames, rest = (rest + data).split(b"\n\n")
                for frame in frames:
                    if frame != b"data: [DONE]":
                        delta = from_json(frame[6:])["choices"][0]["delta"]
                        tally.chunks += 1
                        tally.characters += len(delta.get("content") or "")

    async def ainvoke(self, url: str) -> None:
        """Get one whole answer."""
        async with self._post(url) as answer:
            from_json(await answer.read())
