"""Measure large requests and responses at growing sizes: `python -m benchmarks.large`.

`_ABOUT` describes the figures. The results are printed, and written to `benchmarks/large.md`
and `large.svg`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import math
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from benchmarks import charts, report, server, workloads

FOLDER = Path(__file__).parent
MAX_LINEAR_RATIO = 1.3

_ABOUT = f"""\
For each case and size, a new process measures three figures. The server has its own process.

- CPU time: of the process with all its threads, the best of several rounds.
- Blocked: the longest time in which no other task of the event loop could run. A task wakes up
  each millisecond, and compares the clock of the event loop with the time at which it should
  have woken up. The figure is the best of several rounds, without the delay that the task also
  has while nothing else runs.
- Memory: how much more memory the process had at its peak than before (only on Linux). What the
  benchmark itself keeps, such as the messages of the request, was there before.

The cost is linear if one unit of the largest size takes at most {MAX_LINEAR_RATIO} times as
long as one of the smallest size."""

_BEAT = 0.001
_ROUNDS, _QUICK_ROUNDS = 6, 1
_MESSAGE = "The quick brown fox jumps over the lazy dog. " * 46  # 2 KB
_ARGUMENTS_FRAGMENT = "as much as one event"
_LOGPROB_TOKENS = 1_000
_COMPLETION_TEXT = " word"

Run = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """One thing that grows.

    Attributes:
        title: The title in the table.
        unit: What the size counts, in the plural.
        sizes: The sizes, in ascending order.
        prepare: Builds everything for one size; returns what makes the request.
        response: The kind of the server's response.
    """

    title: str
    unit: str
    sizes: tuple[int, ...]
    prepare: Callable[[str, int], Run]
    response: str = "short"


class Figures(NamedTuple):
    """The figures of one size: milliseconds, milliseconds and MB."""

    cpu: float
    blocked: float
    memory: float


# --- requests ----------------------------------------------------------------------------


def _create_model(url: str, **settings: Any) -> Any:
    from langchain_cerebras_inference import ChatCerebrasInference

    return ChatCerebrasInference(
        api_key="key", base_url=f"{url}/v1", max_tokens=10, timeout=60, **settings
    )


def _prepare_history(url: str, size: int, *, compression: bool = False) -> Run:
    """Prepare the history of an agent: questions, answers, tool calls and tool messages."""
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    messages: list[Any] = []
    while len(messages) < size:
        call_id = f"call_{len(messages)}"
        call = {"name": "search", "args": {"text": _MESSAGE}, "id": call_id}
        messages += [
            HumanMessage(_MESSAGE),
            AIMessage("", tool_calls=[call]),
            ToolMessage(_MESSAGE, tool_call_id=call_id),
            AIMessage(_MESSAGE),
        ]
    model = _create_model(url, compression=compression)
    # Exactly `size` messages, the last of which is a prompt.
    messages[size - 1 :] = [HumanMessage(_MESSAGE)]
    return lambda: model.ainvoke(messages)


def _prepare_compressed_history(url: str, size: int) -> Run:
    return _prepare_history(url, size, compression=True)


def _prepare_unanswered_calls(url: str, size: int) -> Run:
    """Prepare tool calls that the user interrupted."""
    from langchain_core.messages import AIMessage, HumanMessage

    messages: list[Any] = []
    for number in range(size):
        call = {"name": "search", "args": {"text": "a"}, "id": f"call_{number}"}
        messages += [AIMessage("", tool_calls=[call])]
    messages.append(HumanMessage("Go on."))
    model = _create_model(url)
    return lambda: model.ainvoke(messages)


def _prepare_tool_results(url: str, size: int) -> Run:
    """Prepare tool results in user messages, as Anthropic has them."""
    from langchain_core.messages import AIMessage, HumanMessage

    messages: list[Any] = []
    for number in range(size // 2):
        call_id = f"call_{number}"
        call = {"name": "search", "args": {"text": "a"}, "id": call_id}
        result = {"type": "tool_result", "tool_use_id": call_id, "content": _MESSAGE}
        messages += [AIMessage("", tool_calls=[call]), HumanMessage([result])]
    model = _create_model(url)
    return lambda: model.ainvoke(messages)


def _build_tools(size: int) -> list[Any]:
    from langchain_core.tools import StructuredTool
    from pydantic import Field, create_model

    schema = create_model(
        "Arguments",
        path=(str, Field(description="The path of a file")),
        lines=(list[int], Field(description="The numbers of the lines")),
        mode=(str, Field("read", description="What to do")),
    )
    return [
        StructuredTool.from_function(
            func=lambda **_: None,
            name=f"tool_{number}",
            description=f"Do thing {number}.",
            args_schema=schema,
        )
        for number in range(size)
    ]


def _prepare_bound_tools(url: str, size: int) -> Run:
    model = _create_model(url).bind_tools(_build_tools(size))
    return lambda: cast("Awaitable[object]", model.ainvoke("Go on."))


def _prepare_binding(url: str, size: int) -> Run:
    model, tools = _create_model(url), _build_tools(size)
    return lambda: cast("Awaitable[object]", model.bind_tools(tools).ainvoke("Go on."))


def _prepare_call(url: str, _size: int) -> Run:
    model = _create_model(url)
    return lambda: cast("Awaitable[object]", model.ainvoke("Go on."))


def _prepare_stream(url: str, _size: int, *, callbacks: Any = None) -> Run:
    model = _create_model(url)

    async def read() -> None:
        async for _ in model.astream("Go on.", {"callbacks": callbacks}):
            pass

    return read


def _prepare_observed_stream(url: str, size: int) -> Run:
    from langchain_core.callbacks import AsyncCallbackHandler

    return _prepare_stream(url, size, callbacks=[AsyncCallbackHandler()])


def _prepare_stream_events(url: str, _size: int) -> Run:
    model = _create_model(url)

    async def read() -> None:
        with warnings.catch_warnings(action="ignore"):  # langchain-core calls them a beta
            events = await model.astream_events("Go on.", version="v3")
        async for _ in events:
            pass

    return read


_MESSAGES = (250, 500, 1_000, 2_000)
_TOOLS = (25, 50, 100, 200, 400)
_KILOBYTES = (64, 128, 256, 512)
_LOGPROBS = (5, 10, 20, 40)
_TOKENS = (5_000, 10_000, 20_000, 40_000, 80_000)

CASES: dict[str, Case] = {
    "history": Case("history of 2 KB messages", "messages", _MESSAGES, _prepare_history),
    "compressed_history": Case(
        "the same, compressed", "messages", _MESSAGES, _prepare_compressed_history
    ),
    "unanswered_calls": Case(
        "history of interrupted tool calls", "calls", _MESSAGES, _prepare_unanswered_calls
    ),
    "tool_results": Case(
        "history with Anthropic's tool results", "messages", _MESSAGES, _prepare_tool_results
    ),
    "tools": Case("call with bound tools", "tools", _TOOLS, _prepare_bound_tools),
    "bind_tools": Case("`bind_tools`, and a call", "tools", _TOOLS, _prepare_binding),
    "arguments_stream": Case(
        "tool arguments, streamed", "KB", _KILOBYTES, _prepare_stream, "arguments_stream"
    ),
    "arguments": Case("tool arguments, whole", "KB", _KILOBYTES, _prepare_call, "arguments"),
    "logprobs_stream": Case(
        "log probabilities of 1,000 tokens, streamed",
        "alternatives per token",
        _LOGPROBS,
        _prepare_stream,
        "logprobs_stream",
    ),
    "logprobs": Case(
        "log probabilities of 1,000 tokens, whole",
        "alternatives per token",
        _LOGPROBS,
        _prepare_call,
        "logprobs",
    ),
    "stream": Case("stream", "tokens", _TOKENS, _prepare_stream, "stream"),
    "observed_stream": Case(
        "stream with a callback handler", "tokens", _TOKENS, _prepare_observed_stream, "stream"
    ),
    "stream_events": Case(
        "stream of v3 events", "tokens", _TOKENS, _prepare_stream_events, "stream"
    ),
    "completion": Case("whole completion", "tokens", _TOKENS, _prepare_call, "completion"),
}


# --- the server --------------------------------------------------------------------------


class LargeConnection(server.Connection):
    """A connection to the server. The path of the URL has the kind and size of the response."""

    def _respond(self, path: str, body: bytes) -> None:
        _, kind, size, *_ = path.split("/")
        self._transport.write(_render_response(kind, int(size)))


@cache
def _render_response(kind: str, size: int) -> bytes:
    if kind == "arguments_stream":
        return _render_stream(_render_argument_fragments(size), "tool_calls")
    if kind == "logprobs_stream":
        token = workloads.render_event(
            {"content": _COMPLETION_TEXT}, logprobs=_build_logprobs(1, size)
        )
        return _render_stream([token] * _LOGPROB_TOKENS, "stop")
    if kind == "stream":
        token = workloads.render_event({"content": _COMPLETION_TEXT})
        return _render_stream([token] * size, "stop")
    if kind == "arguments":
        arguments = json.dumps({"text": _build_argument_text(size)})
        function = {"name": "save", "arguments": arguments}
        call = {"id": "call_0", "type": "function", "function": function}
        return _render_completion({"content": None, "tool_calls": [call]}, "tool_calls")
    if kind == "logprobs":
        logprobs = _build_logprobs(_LOGPROB_TOKENS, size)
        text = _COMPLETION_TEXT * _LOGPROB_TOKENS
        return _render_completion({"content": text}, "stop", logprobs=logprobs)
    tokens = size if kind == "completion" else 1
    return _render_completion({"content": _COMPLETION_TEXT * tokens}, "stop")


def _render_stream(events: list[bytes], finish_reason: str) -> bytes:
    workload = workloads.build_burst(events, finish_reason)
    return workloads.STREAM_HEAD + workload.body


def _build_argument_text(kilobytes: int) -> str:
    return _ARGUMENTS_FRAGMENT * (kilobytes * 1_024 // len(_ARGUMENTS_FRAGMENT))


def _render_argument_fragments(kilobytes: int) -> list[bytes]:
    count = kilobytes * 1_024 // len(_ARGUMENTS_FRAGMENT)
    parts = ['{"text":"', *[_ARGUMENTS_FRAGMENT] * count, '"}']
    first = {"index": 0, "id": "call_0", "function": {"name": "save", "arguments": ""}}
    deltas = [{"index": 0, "function": {"arguments": part}} for part in parts]
    return [workloads.render_event({"tool_calls": [delta]}) for delta in (first, *deltas)]


def _build_logprobs(tokens: int, alternatives: int) -> dict[str, Any]:
    token = {
        "token": _COMPLETION_TEXT,
        "logprob": -0.25,
        "bytes": list(_COMPLETION_TEXT.encode()),
    }
    others = [{**token, "logprob": -float(rank)} for rank in range(alternatives)]
    return {"content": [{**token, "top_logprobs": others}] * tokens, "refusal": None}


def _render_completion(message: dict[str, Any], reason: str, **fields: Any) -> bytes:
    message = {"role": "assistant", **message}
    choice = {"finish_reason": reason, "index": 0, "message": message, **fields}
    return workloads.render_json_response(
        {
            "id": "chatcmpl-0",
            "object": "chat.completion",
            "created": 1_763_800_000,
            "model": "gpt-oss-120b",
            "choices": [choice],
        }
    )


# --- the process that measures -----------------------------------------------------------


def _measure_in_this_process(name: str, size: int, url: str, rounds: int) -> Figures:
    warnings.simplefilter("ignore")  # v3 stream events are in beta
    logging.disable(logging.WARNING)  # warnings about interrupted tool calls
    case = CASES[name]
    with asyncio.Runner() as runner:
        return runner.run(_measure_size(case, size, url, rounds))


async def _measure_size(case: Case, size: int, url: str, rounds: int) -> Figures:
    smallest = case.sizes[0]
    await case.prepare(f"{url}/{case.response}/{smallest}", smallest)()  # imports and connects
    run = case.prepare(f"{url}/{case.response}/{size}", size)
    memory = await _measure_memory(run)
    cpu = min([await _measure_cpu(run) for _ in range(rounds)])
    noise = min([await _measure_blocked(lambda: asyncio.sleep(0.2)) for _ in range(rounds)])
    blocked = min([await _measure_blocked(run) for _ in range(rounds)])
    return Figures(cpu * 1e3, max(blocked - noise, 0.0) * 1e3, memory / 1e6)


async def _measure_cpu(run: Run) -> float:
    gc.collect()
    start = time.process_time()
    await run()
    return time.process_time() - start


async def _measure_blocked(run: Run) -> float:
    """Return the longest delay of a task that wakes up each millisecond, in seconds."""
    loop = asyncio.get_running_loop()
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        due = loop.time() + _BEAT
        while True:
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            longest = max(longest, now - due)
            due = now + _BEAT

    gc.collect()
    task = asyncio.ensure_future(beat())
    await asyncio.sleep(10 * _BEAT)
    await run()
    await asyncio.sleep(2 * _BEAT)
    task.cancel()
    return longest


async def _measure_memory(run: Run) -> float:
    """Return by how many bytes the memory of the process grew at its peak; NaN if unknown."""
    gc.collect()
    before = _reset_peak()
    await run()
    return _read_status("VmHWM") - before


def _reset_peak() -> float:
    """Make the current memory of the process its peak, and return it; NaN if unknown."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    return _read_status("VmRSS")


def _read_status(name: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return math.nan
    return next(float(line.split()[1]) * 1_024 for line in lines if line.startswith(name))


# --- the results -------------------------------------------------------------------------


def main() -> None:
    """Measure the cases, and print the table; or run the server or one measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--quick", action="store_true", help="two sizes, and one round of each")
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: benchmarks/")
    parser.add_argument("--serve", action="store_true", help="used internally: run the server")
    parser.add_argument("--size", type=int, help="used internally: measure one size of a case")
    parser.add_argument("--url", help="used internally: the URL of the server")
    options = parser.parse_args()
    rounds = _QUICK_ROUNDS if options.quick else _ROUNDS
    if options.serve:
        asyncio.run(server.serve(LargeConnection))
    elif options.url:
        figures = _measure_in_this_process(options.cases[0], options.size, options.url, rounds)
        print(json.dumps(figures))
    else:
        _measure_all(options.cases, options.out, is_quick=options.quick)


def _measure_all(names: list[str], folder: Path, *, is_quick: bool) -> None:
    results: dict[str, dict[int, Figures]] = {}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.large", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        url = f"http://127.0.0.1:{int(cast('IO[str]', process.stdout).readline())}"
        for name in names:
            sizes = CASES[name].sizes[:2] if is_quick else CASES[name].sizes
            results[name] = {
                size: _measure_in_new_process(name, size, url, is_quick=is_quick)
                for size in sizes
            }
            print(_render_case(name, results[name]), flush=True)
        process.communicate()  # closes stdin, which ends the server
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "large.md").write_text(_render_page(results), "utf-8")
    charts.write_charts(folder)


def _measure_in_new_process(name: str, size: int, url: str, *, is_quick: bool) -> Figures:
    options = ["--cases", name, "--size", str(size), "--url", url, *["--quick"] * is_quick]
    process = subprocess.run(  # noqa: S603 # this program
        [sys.executable, "-m", "benchmarks.large", *options],
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    return Figures(*json.loads(process.stdout))


def _render_page(results: dict[str, dict[int, Figures]]) -> str:
    heads = ["", "unit", "sizes", "CPU time, ms", "last ÷ first", "blocked, ms", "memory, MB"]
    lines = [
        "# Large requests and responses",
        "",
        "`python -m benchmarks.large` writes this page.",
        _ABOUT,
        "",
        f"{report.describe_machine(report.OUR_PACKAGES)}.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(_render_case(name, figures) for name, figures in results.items()),
        "",
    ]
    return "\n".join(lines)


def _render_case(name: str, figures: dict[int, Figures]) -> str:
    case, sizes = CASES[name], list(figures)
    first, last = sizes[0], sizes[-1]
    ratio = figures[last].cpu / last / (figures[first].cpu / first)
    columns = zip(*figures.values(), strict=True)
    cpu, blocked, memory = (
        " · ".join(f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in column)
        for column in columns
    )
    is_linear = ratio <= MAX_LINEAR_RATIO
    cells = (
        case.title,
        case.unit,
        " · ".join(f"{size:,}" for size in sizes),
        cpu,
        f"{ratio:.2f}{' **not linear**' * (not is_linear)}",
    )
    return f"| {' | '.join([*cells, blocked, memory])} |"


if __name__ == "__main__":
    main()
