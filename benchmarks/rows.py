"""The table's rows: what is measured, how often, on whom, and what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.subjects import BYTES, COALESCED, CORE, OLD, OURS, WIRE

_LIBRARIES = (OURS, OLD, "langchain-openai", "langchain-groq", "official SDK")
_STREAMING = (*_LIBRARIES[:1], COALESCED, *_LIBRARIES[1:], CORE, WIRE)


@dataclass(frozen=True)
class Goal:
    """A figure to reach, on the machine where it was set.

    Attributes:
        figure: It.
        then: What the floor was there; goals move with it. `None` if they do not.
        floor: Whose figures, added up, are the floor.
        row: In which row; by default the goal's own.
    """

    figure: float
    then: float | None = None
    floor: tuple[str, ...] = (CORE,)
    row: str = ""


@dataclass(frozen=True)
class Row:
    """One thing that is measured.

    Attributes:
        title: What it is, for the table.
        unit: What the figures are.
        task: The function that measures it.
        workload: What the server is asked for.
        size: How many streams, calls or whatever the task counts.
        quick_size: The same, for a quick run.
        warm_up: How many rounds do not count.
        rounds: How many figures each subject gives.
        subjects: Who is measured.
        goals: What a subject should reach.
        fresh: Whether each figure needs a new process.
        more_is_better: Whether the best figure is the largest.
    """

    title: str
    unit: str
    task: str
    workload: str = "burst"
    size: int = 1
    quick_size: int = 1
    warm_up: int = 1
    rounds: int = 12
    subjects: tuple[str, ...] = _STREAMING
    goals: Mapping[str, Goal] = field(default_factory=dict)
    fresh: bool = False
    more_is_better: bool = False

    def best(self, figures: list[float]) -> float:
        """The figure that was disturbed least."""
        return max(figures) if self.more_is_better else min(figures)


def _burst(title: str, task: str, workload: str = "burst", **goals: Goal) -> Row:
    return Row(title, "µs", f"streaming.{task}", workload, goals=_named(goals))


def _streams(size: int, **goals: Goal) -> Row:
    return Row(
        f"tokens a second in all, {size} stream{'s' * (size > 1)} of 3,000 a second",
        "/s",
        "streaming.streams",
        "fast",
        size,
        min(size, 10),
        warm_up=0,
        rounds=3,
        subjects=(*_STREAMING, BYTES),
        goals=_named(goals),
        fresh=True,
        more_is_better=True,
    )


def _named(goals: Mapping[str, Goal]) -> dict[str, Goal]:
    names = {"ours": OURS, "coalesced": COALESCED}
    return {names[name]: goal for name, goal in goals.items()}


_BOTH = (CORE, WIRE)

ROWS: dict[str, Row] = {
    "text": _burst(
        "a chunk of text in a burst, async",
        "astream",
        ours=Goal(8.7, 8.7),
        coalesced=Goal(2.8, 2.0, (WIRE,)),
    ),
    "text_sync": _burst("a chunk of text in a burst, sync", "stream", ours=Goal(8.7, 8.0)),
    "framed": _burst("a chunk of text that is a chunk of HTTP, async", "astream", "framed"),
    "reasoning": _burst(
        "a chunk of reasoning, async", "astream", "reasoning", ours=Goal(10.0, 10.0)
    ),
    "tools": _burst("a fragment of a tool's arguments, async", "astream", "tools"),
    "logprobs": _burst("a chunk with log probabilities, async", "astream", "logprobs"),
    "events": _burst("a chunk as v3 events, async", "aevents", ours=Goal(6.0, 8.7, row="text")),
    "events_sync": _burst(
        "a chunk as v3 events, sync", "events", ours=Goal(5.0, 8.0, row="text_sync")
    ),
    "paced": Row(
        "a chunk, 25 streams at 200 a second each, async",
        "µs",
        "streaming.paced",
        "slow",
        25,
        5,
        warm_up=0,
        rounds=5,
        goals={OURS: Goal(58.0, 39.0, (WIRE,))},
    ),
    "paced_sync": Row(
        "a chunk, 25 streams at 200 a second each, sync",
        "µs",
        "streaming.paced_sync",
        "slow",
        25,
        5,
        warm_up=0,
        rounds=5,
        goals={OURS: Goal(60.0, 39.0, (WIRE,), "paced")},
    ),
    "streams_1": _streams(1),
    "streams_10": _streams(10),
    "streams_50": _streams(
        50, ours=Goal(42_000, 37_000), coalesced=Goal(115_000, 146_000, (WIRE,))
    ),
    "streams_200": _streams(200),
    "memory": Row(
        "memory that a stream of 2,000 chunks adds, 50 at once",
        "MB",
        "streaming.memory",
        "held",
        50,
        4,
        warm_up=0,
        rounds=2,
        goals={OURS: Goal(2.8), COALESCED: Goal(1.4)},
        fresh=True,
    ),
    "ainvoke": Row(
        "`ainvoke`",
        "µs",
        "calls.ainvoke",
        size=100,
        quick_size=5,
        goals={OURS: Goal(350.0, 240.0, _BOTH)},
    ),
    "invoke": Row(
        "`invoke`",
        "µs",
        "calls.invoke",
        size=100,
        quick_size=5,
        goals={OURS: Goal(420.0, 240.0, _BOTH, "ainvoke")},
    ),
    "abatch": Row("`abatch` of 100, each", "µs", "calls.abatch", size=100, quick_size=10),
    "construct": Row(
        "construction",
        "µs",
        "calls.construct",
        size=20,
        quick_size=2,
        subjects=_LIBRARIES,
        goals={OURS: Goal(60.0, 35_000, (OLD,))},
    ),
    "import": Row(
        "import, beyond core's chat models",
        "ms",
        "calls.cold_import",
        warm_up=0,
        rounds=7,
        subjects=_LIBRARIES,
        goals={OURS: Goal(12.0, 430.0, (OLD,))},
        fresh=True,
    ),
    "first_cold": Row(
        "first token of a process's first call, wall time",
        "ms",
        "calls.first_cold",
        "short",
        warm_up=0,
        rounds=7,
        subjects=(*_LIBRARIES, WIRE),
        fresh=True,
    ),
    "first_warm": Row(
        "first token once warmed up, or after a first call, wall time",
        "ms",
        "calls.first_warm",
        "short",
        warm_up=0,
        rounds=7,
        subjects=(*_LIBRARIES, WIRE),
        fresh=True,
    ),
    "upload": Row(
        "upload of an agent's history of 200 KB",
        "%",
        "calls.upload",
        warm_up=0,
        rounds=1,
        subjects=(OURS,),
        goals={OURS: Goal(25.0)},
    ),
}
