"""Count the function calls of this package: `python -m benchmarks.call_count [--verbose]`.

The counts do not depend on the speed of the machine, so they show whether the path of a
streamed event has become longer. Only Python functions in files of the package are counted,
without its emulator. Each resumption of a generator or coroutine is a function call. For the
sync call styles, two threads are counted: the thread of the caller, and the thread of the
package's event loop.

A local server sends events one by one, or many together. It sends the next events when the
client has yielded the chunks of the last ones.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import queue
import re
import socketserver
import statistics
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Self

import langchain_cerebras_inference
from benchmarks import workloads
from benchmarks.clients import PROMPT
from langchain_cerebras_inference import ChatCerebrasInference

_PACKAGE = f"{Path(langchain_cerebras_inference.__file__).parent}/"
_EMULATOR = f"{_PACKAGE}emulator/"

_BATCHES = 200
_EVENTS_PER_BATCH = 20
_REQUESTS = 20

_SETTLING_TIME = 0.005
"""The time after which the client has nothing to do until the next event, in seconds."""

_OPENING = workloads.STREAM_HEAD + workloads.render_http_chunk(
    workloads.render_event({"role": "assistant"})
)
_TEXT = workloads.render_event({"content": workloads.EVENT_TEXT})
_REASONING = workloads.render_event({"reasoning": workloads.EVENT_TEXT})
_TOOL_CALL = workloads.render_event(
    {
        "tool_calls": [
            {"index": 0, "id": "call_0", "function": {"name": "save", "arguments": '{"text":"'}}
        ]
    }
)
_TOOL_ARGUMENTS = workloads.render_event(
    {"tool_calls": [{"index": 0, "function": {"arguments": workloads.EVENT_TEXT}}]}
)


class CallRecorder:
    """A profile function that records the function calls of the package, in all threads."""

    def __init__(self) -> None:
        self._codes: list[CodeType] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Record a function call (see `sys.setprofile`)."""
        if event == "call" and frame.f_code.co_filename.startswith(_PACKAGE):
            self._codes.append(frame.f_code)

    def __enter__(self) -> Self:
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def take(self) -> list[CodeType]:
        """Return the functions that were called since the last `take`, in order."""
        codes, self._codes = self._codes, []
        return [code for code in codes if not code.co_filename.startswith(_EMULATOR)]


@dataclass
class CountedRow:
    """One row of the table: the function calls of one scenario.

    Attributes:
        title: The title of the row.
        call_style: The method of the model.
        samples: For each sample, the functions that were called, in order.
        events_per_sample: The number of events in a sample. The calls are divided by it.
        goal: The count that the package should reach.
    """

    title: str
    call_style: str
    samples: list[list[CodeType]]
    events_per_sample: int = 1
    goal: str = ""

    def get_typical_sample(self) -> list[CodeType]:
        """Return a sample with the median number of function calls."""
        median = statistics.median_low(map(len, self.samples))
        return next(sample for sample in self.samples if len(sample) == median)

    def render(self) -> str:
        """Render the row as Markdown."""
        sample = self.get_typical_sample()
        files = {code.co_filename for code in sample}
        calls = f"{len(sample) / self.events_per_sample:.3g}"
        cells = (self.title, f"`{self.call_style}`", calls, str(len(files)), self.goal)
        return f"| {' | '.join(cells)} |"

    def render_breakdown(self) -> str:
        """Render how often each function was called, in the order of the first calls."""
        counts = Counter(self.get_typical_sample())
        lines = [f"{self.title}, {self.call_style}"]
        for code, count in counts.items():
            file = code.co_filename.removeprefix(_PACKAGE)
            lines.append(f"  {count:4}  {file}:{code.co_firstlineno} {code.co_qualname}")
        return "\n".join(lines)


# --- the server --------------------------------------------------------------------------


class ScriptedServer:
    """A server in its own threads. It responds to each request with the bytes in a queue."""

    def __init__(self) -> None:
        queued_bytes: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                while _read_request(self.rfile):
                    while (data := queued_bytes.get()) is not None:
                        self.wfile.write(data)
                        if data == _OPENING:  # like Cerebras, pause before the first token
                            time.sleep(_SETTLING_TIME)

        self._queued_bytes = queued_bytes
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def send_completion(self) -> None:
        """Send a whole response."""
        self._queued_bytes.put(workloads.render_completion())
        self._queued_bytes.put(None)

    def start_stream(self, first_event: bytes) -> None:
        """Send the head of a response with the role event, and then the first event."""
        self._queued_bytes.put(_OPENING)
        self.send_events(first_event)

    def send_events(self, events: bytes) -> None:
        """Continue the stream with one HTTP chunk."""
        self._queued_bytes.put(workloads.render_http_chunk(events))

    def end_stream(self) -> None:
        """End the stream, so that the connection can be used again."""
        ending = workloads.render_finish_event("stop") + workloads.DONE
        self._queued_bytes.put(workloads.render_http_chunk(ending) + workloads.STREAM_END)
        self._queued_bytes.put(None)


def _read_request(lines: Any) -> bool:
    """Read one request. Return `False` if the client has closed the connection."""
    length = 0
    for line in lines:
        if found := re.match(rb"content-length: *(\d+)", line, re.IGNORECASE):
            length = int(found[1])
        if line == b"\r\n":
            lines.read(length)
            return True
    return False


# --- what is counted ---------------------------------------------------------------------


class Scenarios:
    """Makes requests to a scripted server and records the function calls of the package.

    Each `count_` method returns rows, and each `_record_` method the samples of one row. A
    sample lists the functions that were called.

    Args:
        server: The server.
        recorder: The recorder of function calls.
        settling_time: Seconds until the thread of the package's event loop is idle. Only the
            sync call styles use that thread.
    """

    def __init__(
        self, server: ScriptedServer, recorder: CallRecorder, settling_time: float = 0
    ) -> None:
        self._server = server
        self._recorder = recorder
        self._settling_time = settling_time

    async def count_async_styles(self) -> list[CountedRow]:
        """Count the function calls of the async call styles."""
        model = self._construct_model()
        coalescing_model = self._construct_model(coalesce=True)
        model_without_queue = self._construct_model(pace=False)
        await self._record_completions(lambda: model.ainvoke(PROMPT))  # imports and connects
        size = _EVENTS_PER_BATCH
        texts, reasoning = _TEXT * size, _REASONING * size
        tool_arguments = _TOOL_ARGUMENTS * size
        return [
            CountedRow(
                "text event that arrives alone",
                "astream",
                await self._record_events(model.astream(PROMPT), _TEXT, _TEXT, 1),
                goal="≤ 14 calls, ≤ 6 files",
            ),
            CountedRow(
                f"text event, {size} together",
                "astream",
                await self._record_events(model.astream(PROMPT), _TEXT, texts, size),
                size,
            ),
            CountedRow(
                f"text event, {size} together, `coalesce=True`",
                "astream",
                await self._record_events(coalescing_model.astream(PROMPT), _TEXT, texts, 1),
                size,
            ),
            CountedRow(
                f"text event, {size} together, as v3 stream event",
                "astream_events",
                await self._record_events(_stream_v3_deltas(model), _TEXT, texts, size),
                size,
            ),
            CountedRow(
                f"reasoning event, {size} together",
                "astream",
                await self._record_events(model.astream(PROMPT), _REASONING, reasoning, size),
                size,
            ),
            CountedRow(
                f"tool arguments event, {size} together, which become one chunk",
                "astream",
                await self._record_events(model.astream(PROMPT), _TOOL_CALL, tool_arguments, 1),
                size,
            ),
            CountedRow(
                "request until the first chunk, `pace=False`",
                "astream",
                await self._record_first_chunks(lambda: model_without_queue.astream(PROMPT)),
                goal="≤ 100 calls, ≤ 14 files",
            ),
            CountedRow(
                "request until the first chunk, with the queue of the quota",
                "astream",
                await self._record_first_chunks(lambda: model.astream(PROMPT)),
            ),
            CountedRow(
                "whole request",
                "ainvoke",
                await self._record_completions(lambda: model.ainvoke(PROMPT)),
            ),
        ]

    async def count_sync_styles(self) -> list[CountedRow]:
        """Count the function calls of the sync call styles, in both threads."""
        model = self._construct_model()

        # `_record_events` takes an async iterator, and `_record_completions` a coroutine.
        async def stream() -> AsyncIterator[Any]:
            for chunk in model.stream(PROMPT):
                yield chunk

        async def invoke() -> None:
            model.invoke(PROMPT)

        await self._record_completions(invoke)  # imports and connects
        return [
            CountedRow(
                "text event that arrives alone",
                "stream",
                await self._record_events(stream(), _TEXT, _TEXT, 1),
            ),
            CountedRow(
                "request until the first chunk",
                "stream",
                await self._record_first_chunks(stream),
            ),
            CountedRow("whole request", "invoke", await self._record_completions(invoke)),
        ]

    def _construct_model(self, **settings: Any) -> ChatCerebrasInference:
        return ChatCerebrasInference(
            base_url=self._server.url, api_key="key", timeout=10, max_retries=0, **settings
        )

    async def _record_events(
        self, chunks: AsyncIterator[Any], first_event: bytes, events: bytes, chunk_count: int
    ) -> list[list[CodeType]]:
        """Record the function calls for `events`.

        They are sent together, and become `chunk_count` chunks.
        """
        samples = []
        self._server.start_stream(first_event)
        await anext(chunks)
        for _ in range(_BATCHES):
            self._take_calls()
            self._server.send_events(events)
            for _ in range(chunk_count):
                await anext(chunks)
            samples.append(self._take_calls())
        await self._end_stream(chunks)
        return samples

    async def _record_first_chunks(
        self, start_stream: Callable[[], AsyncIterator[Any]]
    ) -> list[list[CodeType]]:
        """Record the function calls of a warm request until its first chunk."""
        samples = []
        for _ in range(_REQUESTS):
            self._take_calls()
            self._server.start_stream(_TEXT)
            chunks = start_stream()
            await anext(chunks)
            samples.append(self._take_calls())
            await self._end_stream(chunks)
        return samples

    async def _record_completions(
        self, complete: Callable[[], Awaitable[object]]
    ) -> list[list[CodeType]]:
        """Record the function calls of a warm request that is not streamed."""
        samples = []
        for _ in range(_REQUESTS):
            self._take_calls()
            self._server.send_completion()
            await complete()
            samples.append(self._take_calls())
        return samples

    async def _end_stream(self, chunks: AsyncIterator[Any]) -> None:
        self._server.end_stream()
        async for _ in chunks:
            pass

    def _take_calls(self) -> list[CodeType]:
        """Wait until the package is idle, and return the calls since the last time."""
        time.sleep(self._settling_time)
        return self._recorder.take()


async def _stream_v3_deltas(model: ChatCerebrasInference) -> AsyncIterator[Any]:
    """Yield the content deltas of v3 stream events."""
    async for event in await model.astream_events(PROMPT, version="v3"):
        if event["event"] == "content-block-delta":
            yield event


def main() -> None:
    """Print a Markdown table, and with `--verbose` the functions that were called."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.call_count",
        description="Count this package's function calls for an event and for a request.",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="list the functions behind each count"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # v3 stream events are in beta
    os.environ["NO_PROXY"] = "127.0.0.1"
    with ScriptedServer() as server, CallRecorder() as recorder:
        async_scenarios = Scenarios(server, recorder)
        sync_scenarios = Scenarios(server, recorder, _SETTLING_TIME)
        rows = asyncio.run(async_scenarios.count_async_styles())
        rows += asyncio.run(sync_scenarios.count_sync_styles())
    lines = ["| | call style | calls | files | goal |", "|---|---|--:|--:|---|"]
    print("\n".join([*lines, *(row.render() for row in rows)]))
    if options.verbose:
        for row in rows:
            print(f"\n{row.render_breakdown()}")


if __name__ == "__main__":
    main()
