"""The rows of the result tables: measurements, clients and goals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from benchmarks import measurements
from benchmarks.clients import (
    AIOHTTP,
    AIOHTTP_JSON,
    COALESCED,
    CORE,
    CORE_AND_AIOHTTP,
    LANGCHAIN_CEREBRAS,
    LANGCHAIN_GROQ,
    LANGCHAIN_OPENAI,
    OFFICIAL_SDK,
    OURS,
)

_PEERS = (LANGCHAIN_CEREBRAS, LANGCHAIN_OPENAI, LANGCHAIN_GROQ, OFFICIAL_SDK)
_LIBRARIES = (OURS, *_PEERS)
_LANGCHAIN_MODELS = (
    OURS,
    COALESCED,
    LANGCHAIN_CEREBRAS,
    LANGCHAIN_OPENAI,
    LANGCHAIN_GROQ,
    CORE,
)
_COLD_START_CLIENTS = (
    OURS,
    LANGCHAIN_CEREBRAS,
    LANGCHAIN_OPENAI,
    LANGCHAIN_GROQ,
    CORE_AND_AIOHTTP,
)
_SYNC_CLIENTS = (*_LANGCHAIN_MODELS, OFFICIAL_SDK)
_ASYNC_CLIENTS = (*_SYNC_CLIENTS, AIOHTTP_JSON)


@dataclass(frozen=True)
class Goal:
    """The figure that a client should reach.

    Attributes:
        target: A ratio to the baseline, or, without a baseline, a figure in the unit of the
            row.
        baseline: The clients whose figures are added up to the baseline.
        baseline_row: The row of the baseline. Default: the row of the goal.
    """

    target: float
    baseline: tuple[str, ...] = ()
    baseline_row: str = ""


@dataclass(frozen=True)
class Row:
    """One thing that is measured.

    Attributes:
        title: The title in the tables.
        unit: The unit of the figures.
        measure: A function of `measurements`.
        clients: The clients that are measured.
        workload: The name of the workload that the server sends (see `workloads`).
        size: The number of streams or requests for one figure.
        quick_size: The same for `--quick`.
        warm_up_rounds: The number of rounds whose figures are not used.
        rounds: The number of rounds after that. Each round gives one figure per client.
        goals: The goals by client.
        needs_new_process: Whether each figure is measured in a new process.
        is_higher_better: Whether the best figure is the highest.
    """

    title: str
    unit: str
    measure: Callable[[Any, str, int], Awaitable[float] | float]
    clients: tuple[str, ...]
    _: KW_ONLY
    workload: str = "burst"
    size: int = 1
    quick_size: int = 1
    warm_up_rounds: int = 1
    rounds: int = 12
    goals: Mapping[str, Goal] = field(default_factory=dict)
    needs_new_process: bool = False
    is_higher_better: bool = False

    def find_best(self, figures: list[float]) -> float:
        """Return the figure that other processes disturbed least."""
        return max(figures) if self.is_higher_better else min(figures)


def _build_throughput_row(streams: int, goals: Mapping[str, Goal] | None = None) -> Row:
    return Row(
        f"events/s in total, {streams} stream{'s' * (streams > 1)} of 3,000 events/s",
        "/s",
        measurements.measure_throughput,
        (*_ASYNC_CLIENTS, AIOHTTP),
        workload="fast",
        size=streams,
        quick_size=min(streams, 10),
        warm_up_rounds=0,
        rounds=3,
        goals=goals or {},
        needs_new_process=True,
        is_higher_better=True,
    )


def _build_delay_row(streams: int) -> Row:
    return Row(
        f"delay of 99 % of the events, {streams} streams of 200 events/s, wall time",
        "ms",
        measurements.measure_delay,
        (OURS, COALESCED, *_PEERS, AIOHTTP_JSON),
        workload="slow",
        size=streams,
        quick_size=min(streams, 5),
        warm_up_rounds=0,
        rounds=3,
    )


ROWS: dict[str, Row] = {
    "text": Row(
        "text event in a burst, async",
        "µs",
        measurements.measure_astream,
        _ASYNC_CLIENTS,
        goals={OURS: Goal(0.75, (CORE,)), COALESCED: Goal(1.3, (AIOHTTP_JSON,))},
    ),
    "text_observed": Row(
        "text event in a burst, async, with a callback handler",
        "µs",
        measurements.measure_observed_astream,
        _LANGCHAIN_MODELS,
    ),
    "text_sync": Row(
        "text event in a burst, sync",
        "µs",
        measurements.measure_stream,
        _SYNC_CLIENTS,
        goals={OURS: Goal(0.75, (CORE,))},
    ),
    "http_chunks": Row(
        "text event in its own HTTP chunk, async",
        "µs",
        measurements.measure_astream,
        _ASYNC_CLIENTS,
        workload="http_chunks",
    ),
    "reasoning": Row(
        "reasoning event in a burst, async",
        "µs",
        measurements.measure_astream,
        _ASYNC_CLIENTS,
        workload="reasoning",
        goals={OURS: Goal(1.0, (CORE,))},
    ),
    "tool_call": Row(
        "tool arguments event in a burst, async",
        "µs",
        measurements.measure_astream,
        _ASYNC_CLIENTS,
        workload="tool_call",
    ),
    "logprobs": Row(
        "text event with logprobs in a burst, async",
        "µs",
        measurements.measure_astream,
        _ASYNC_CLIENTS,
        workload="logprobs",
    ),
    "stream_events": Row(
        "text event in a burst, as v3 stream event, async",
        "µs",
        measurements.measure_astream_events,
        _LANGCHAIN_MODELS,
        goals={OURS: Goal(0.69, (CORE,), "text")},
    ),
    "stream_events_sync": Row(
        "text event in a burst, as v3 stream event, sync",
        "µs",
        measurements.measure_stream_events,
        _LANGCHAIN_MODELS,
        goals={OURS: Goal(0.63, (CORE,), "text_sync")},
    ),
    "slow_streams": Row(
        "text event, 25 streams of 200 events/s, async",
        "µs",
        measurements.measure_slow_streams,
        _ASYNC_CLIENTS,
        workload="slow",
        size=25,
        quick_size=5,
        warm_up_rounds=0,
        rounds=5,
        goals={OURS: Goal(1.6, (AIOHTTP_JSON,))},
    ),
    "slow_streams_sync": Row(
        "text event, 25 streams of 200 events/s, sync",
        "µs",
        measurements.measure_slow_streams_sync,
        _SYNC_CLIENTS,
        workload="slow",
        size=25,
        quick_size=5,
        warm_up_rounds=0,
        rounds=5,
        goals={OURS: Goal(1.6, (OURS,), "slow_streams")},
    ),
    "delay_10": _build_delay_row(10),
    "delay_25": _build_delay_row(25),
    "delay_50": _build_delay_row(50),
    "streams_1": _build_throughput_row(1),
    "streams_10": _build_throughput_row(10),
    "streams_50": _build_throughput_row(
        50,
        {OURS: Goal(1.5, (CORE,)), COALESCED: Goal(0.79, (AIOHTTP_JSON,))},
    ),
    "streams_200": _build_throughput_row(200),
    "memory": Row(
        "memory per open stream after 2,000 events, 50 streams",
        "MB",
        measurements.measure_memory,
        _ASYNC_CLIENTS,
        workload="unfinished",
        size=50,
        quick_size=4,
        warm_up_rounds=0,
        rounds=2,
        goals={OURS: Goal(0.5), COALESCED: Goal(0.5)},
        needs_new_process=True,
    ),
    "ainvoke": Row(
        "`ainvoke`",
        "µs",
        measurements.measure_ainvoke,
        (*_ASYNC_CLIENTS, CORE_AND_AIOHTTP),
        size=100,
        quick_size=5,
        goals={OURS: Goal(1.25, (CORE_AND_AIOHTTP,))},
    ),
    "invoke": Row(
        "`invoke`",
        "µs",
        measurements.measure_invoke,
        _SYNC_CLIENTS,
        size=100,
        quick_size=5,
        goals={OURS: Goal(1.25, (CORE_AND_AIOHTTP,), "ainvoke")},
    ),
    "abatch": Row(
        "`abatch` of 100 prompts, per prompt",
        "µs",
        measurements.measure_abatch,
        _LANGCHAIN_MODELS,
        size=100,
        quick_size=10,
    ),
    "construction": Row(
        "construction",
        "µs",
        measurements.measure_construction,
        _LIBRARIES,
        size=20,
        quick_size=2,
        goals={OURS: Goal(0.00125, (LANGCHAIN_CEREBRAS,))},
    ),
    "import": Row(
        "import, after langchain-core's chat models",
        "ms",
        measurements.measure_import,
        _LIBRARIES,
        warm_up_rounds=0,
        rounds=7,
        goals={OURS: Goal(0.035, (LANGCHAIN_CEREBRAS,))},
        needs_new_process=True,
    ),
    "cold_first_chunk": Row(
        "first chunk of a process's first request, wall time",
        "ms",
        measurements.measure_cold_first_chunk,
        (*_LIBRARIES, AIOHTTP_JSON),
        workload="short",
        warm_up_rounds=0,
        rounds=7,
        needs_new_process=True,
    ),
    "warm_first_chunk": Row(
        "first chunk after a warm-up or a first request, wall time",
        "ms",
        measurements.measure_warm_first_chunk,
        (*_LIBRARIES, AIOHTTP_JSON),
        workload="short",
        warm_up_rounds=0,
        rounds=7,
        needs_new_process=True,
    ),
    "cold_start": Row(
        "process start to first token, whole process, wall time",
        "ms",
        measurements.measure_cold_start,
        _COLD_START_CLIENTS,
        workload="short",
        rounds=7,
        goals={OURS: Goal(1.15, (CORE_AND_AIOHTTP,))},
    ),
    "cold_start_cpu": Row(
        "process start to first token, whole process, CPU time",
        "ms",
        measurements.measure_cold_start_cpu,
        _COLD_START_CLIENTS,
        workload="short",
        rounds=7,
        goals={OURS: Goal(1.15, (CORE_AND_AIOHTTP,))},
    ),
    "upload": Row(
        "compressed size of a 200 KB message history",
        "%",
        measurements.measure_upload,
        (OURS,),
        warm_up_rounds=0,
        rounds=1,
        goals={OURS: Goal(25.0)},
    ),
}
