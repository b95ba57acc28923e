"""Run many prompts: `run_batch` and `arun_batch` yield the results as they arrive.

Both are a thin layer over `pace=True`: the queue of the quota decides when a request is sent.
This module only limits how many calls are open, so that the inputs may be a generator of any
length.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.prompt_values import PromptValue

from langchain_cerebras_inference import _model_catalog

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_cerebras_inference._quota.info import QuotaInfo
    from langchain_cerebras_inference.chat_models import ChatCerebrasInference

__all__ = ["BatchProgress", "BatchResult", "arun_batch", "estimate_cost", "run_batch"]

BatchInput: TypeAlias = str | list[Any] | tuple[Any, ...] | PromptValue | Mapping[str, Any]
"""A prompt, a list of messages, or a dict with `"prompt"` or `"messages"`, and an `"id"`."""

_MAX_OPEN_WITHOUT_QUOTA = 32
"""How many calls are open until the server has shown a quota."""

_MAX_OPEN = 256
"""How many calls are open after that: in flight, or waiting in the queue of the quota. Each of
them needs memory and, in flight, a connection."""

_MAX_READ_SECONDS = 0.01
"""After this many seconds of reading, the calls of the inputs that have been read are started.
So if the source is slow, an input waits at most until the next one has been read."""

_MAX_RESULT_WAIT = 1.0
"""The longest wait for a result, in seconds. Then the progress is reported without one."""

_QUOTA_INTERVAL = 1.0
"""Seconds between two readings of the quota."""

_UNKNOWN_QUOTA_INTERVAL = 0.1
"""The same, as long as the quota shows no limits."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of one input.

    Attributes:
        id: The `"id"` of the input, or else its index, from 0.
        input: The input.
        message: The message of the model. `None` if the call failed. After a parsing error,
            it is set.
        parsed: The object, if the batch has a schema.
        error: The error, or `None`.
    """

    id: Any
    input: Any = field(repr=False)
    message: AIMessage | None = None
    parsed: Any = None
    error: Exception | None = None

    @property
    def text(self) -> str:
        """The text of the message, or an empty string if there is none."""
        return "" if self.message is None else str(self.message.text)

    @property
    def usage(self) -> UsageMetadata | None:
        """The token usage, if it is known."""
        return None if self.message is None else self.message.usage_metadata


@dataclass(slots=True)
class BatchProgress:
    """The progress of a batch up to now.

    Attributes:
        model: The id of the model.
        completed: How many inputs have a result without an error.
        failed: How many inputs have a result with an error.
        input_tokens: The tokens of the prompts.
        output_tokens: The tokens of the completions, reasoning included.
        quota: The quota when it was last read, usually one or two seconds ago; `None` if it is
            unknown.
    """

    model: str
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    quota: QuotaInfo | None = None
    _start: float = field(default_factory=time.monotonic, repr=False)

    @property
    def seconds(self) -> float:
        """The seconds since the start of the batch."""
        return time.monotonic() - self._start

    @property
    def tokens_per_second(self) -> float:
        """The tokens of prompts and completions per second, since the start."""
        return (self.input_tokens + self.output_tokens) / max(self.seconds, 1e-3)

    @property
    def cost(self) -> float | None:
        """The cost in US dollars up to now; see `estimate_cost`."""
        tokens = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        return estimate_cost(self.model, tokens)


def run_batch(
    model: ChatCerebrasInference,
    inputs: Iterable[BatchInput],
    *,
    schema: Any = None,
    concurrency: int | None = None,
    on_progress: Callable[[BatchProgress], object] | None = None,
    config: RunnableConfig | None = None,
) -> Generator[BatchResult, None, None]:
    """Run the inputs, and yield their results as they arrive.

    A copy of the model with `pace=True` makes the calls, on an event loop in a background
    thread. So a batch that is larger than the quota waits for it as long as it takes. Inputs
    are read only when a call can start. Leaving the iterator early cancels the open calls.

    Args:
        model: The model. Its settings, such as `max_tokens`, apply to each call.
        inputs: The inputs. If the iterable raises an exception, it is raised again after the
            results of the earlier inputs.
        schema: A schema for structured output, as in `with_structured_output`. The results
            then have `parsed`.
        concurrency: The largest number of open calls, which are in flight or wait in the queue
            of the quota. By default 32 until the server shows a quota, and then 256.
        on_progress: A function that is called after each result, and each second while there
            is none, in the thread of the caller. It always gets the same object.
        config: A config of LangChain for each call, for example with callbacks.

    Yields:
        A result for each input. A failed call is a result with an `error`.

    Raises:
        TypeError: If `inputs` is a single string or a dict.
        ValueError: If `concurrency` is less than 1, or the schema is invalid.
    """
    # imported here, because it imports aiohttp
    from langchain_cerebras_inference._client import run_sync

    batch = _Batch(model, inputs, schema, concurrency, on_progress, config)
    try:
        while not batch.has_ended():
            results = run_sync(batch.advance(batch.read_inputs()))
            for result in results:
                yield batch.record(result)
            if not results:
                batch.report_wait()
        batch.raise_input_error()
    finally:
        run_sync(batch.cancel())


async def arun_batch(
    model: ChatCerebrasInference,
    inputs: Iterable[BatchInput],
    *,
    schema: Any = None,
    concurrency: int | None = None,
    on_progress: Callable[[BatchProgress], object] | None = None,
    config: RunnableConfig | None = None,
) -> AsyncGenerator[BatchResult, None]:
    """Run the inputs, and yield their results as they arrive.

    It is like `run_batch`, but the calls run on the event loop of the caller.
    """
    batch = _Batch(model, inputs, schema, concurrency, on_progress, config)
    try:
        while not batch.has_ended():
            results = await batch.advance(batch.read_inputs())
            for result in results:
                yield batch.record(result)
            if not results:
                batch.report_wait()
        batch.raise_input_error()
    finally:
        await batch.cancel()


def estimate_cost(model: str, usage: Mapping[str, Any]) -> float | None:
    """Return what tokens cost in US dollars, by the prices of the model catalog.

    Args:
        model: The id of the model.
        usage: The token usage, with `input_tokens` and `output_tokens`.

    Returns:
        The cost, or `None` if the catalog has no prices for the model.
    """
    info = _model_catalog.MODELS.get(model)
    if info is None or info.input_price is None or info.output_price is None:
        return None
    input_cost = int(usage["input_tokens"]) * info.input_price
    return (input_cost + int(usage["output_tokens"]) * info.output_price) / 1_000_000


class _Batch:
    """The state of one batch. `advance` and `cancel` need an event loop, always the same."""

    def __init__(
        self,
        model: ChatCerebrasInference,
        inputs: Iterable[BatchInput],
        schema: Any,
        concurrency: int | None,
        on_progress: Callable[[BatchProgress], object] | None,
        config: RunnableConfig | None,
    ) -> None:
        if isinstance(inputs, str | Mapping):
            kind = type(inputs).__name__
            raise TypeError(f"inputs is a single {kind}. Pass a list or another iterable.")
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}. Set it to 1 or more.")
        self._model = model.model_copy(update={"pace": True})
        self._runnable: Runnable[Any, Any] = self._model
        self._has_schema = schema is not None
        if self._has_schema:
            self._runnable = self._model.with_structured_output(schema, include_raw=True)
        self._config = config
        self._inputs = enumerate(inputs)
        self._has_inputs = True
        self._input_error: Exception | None = None
        self._concurrency = concurrency
        self._on_progress = on_progress
        self._progress = BatchProgress(model.model_name)
        self._next_quota_time = -math.inf
        self._open = 0  # the calls that were started and whose results were not returned
        self._tasks: set[asyncio.Task[None]] = set()
        self._results: list[BatchResult] = []
        self._has_results = asyncio.Event()

    def has_ended(self) -> bool:
        """Return whether all inputs were read, and all results were returned."""
        return not self._has_inputs and not self._open

    def raise_input_error(self) -> None:
        """Raise the exception that the iterable of the inputs has raised, if any."""
        if self._input_error is not None:
            raise self._input_error

    def read_inputs(self) -> list[tuple[int, Any]]:
        """Return the next inputs whose calls can start now, with their indexes."""
        indexed_inputs: list[tuple[int, Any]] = []
        deadline = time.monotonic() + _MAX_READ_SECONDS
        try:
            while self._can_start() and time.monotonic() < deadline:
                indexed_inputs.append(next(self._inputs))
                self._open += 1
        except StopIteration:
            self._has_inputs = False
        except Exception as error:  # noqa: BLE001 # raised after the open calls have ended
            self._has_inputs, self._input_error = False, error
        return indexed_inputs

    async def advance(self, indexed_inputs: list[tuple[int, Any]]) -> list[BatchResult]:
        """Start the calls of inputs, and return the results that have arrived.

        If no further call can start, first wait for a result, at most a second.
        """
        for index, value in indexed_inputs:
            self._start_task(self._call(index, value))
        if time.monotonic() >= self._next_quota_time:
            self._next_quota_time = math.inf  # until `_read_quota` has ended
            self._start_task(self._read_quota())
        if self._open and not self._can_start():
            await self._wait_for_result()
        return self._take_results()

    async def cancel(self) -> None:
        """Cancel all calls, and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def record(self, result: BatchResult) -> BatchResult:
        """Add a result to the progress, report that, and return the result."""
        progress = self._progress
        progress.completed += result.error is None
        progress.failed += result.error is not None
        if (usage := result.usage) is not None:
            progress.input_tokens += usage["input_tokens"]
            progress.output_tokens += usage["output_tokens"]
        self._report_progress()
        return result

    def report_wait(self) -> None:
        """Report the progress while there is no result, if calls are open."""
        if self._open:
            self._report_progress()

    def _report_progress(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._progress)

    def _can_start(self) -> bool:
        limit = self._concurrency
        if limit is None:
            quota = self._progress.quota
            limit = _MAX_OPEN if quota and quota.limits else _MAX_OPEN_WITHOUT_QUOTA
        return self._has_inputs and self._open < limit

    async def _wait_for_result(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MAX_RESULT_WAIT):
                await self._has_results.wait()

    def _take_results(self) -> list[BatchResult]:
        self._has_results.clear()
        results, self._results = self._results, []
        self._open -= len(results)
        return results

    def _start_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_quota(self) -> None:
        with contextlib.suppress(Exception):  # such as a missing key; the calls report it
            self._progress.quota = await self._model.aquota()
        quota = self._progress.quota
        interval = _QUOTA_INTERVAL if quota and quota.limits else _UNKNOWN_QUOTA_INTERVAL
        self._next_quota_time = time.monotonic() + interval

    async def _call(self, index: int, value: Any) -> None:
        id_ = _get_id(index, value)
        # Do not keep the `BatchResult` in a local variable: its error has a traceback, which
        # refers to this frame. That would be a reference cycle.
        try:
            output = await self._runnable.ainvoke(_get_prompt(value), self._config)
        except Exception as error:  # noqa: BLE001 # the error of one input
            self._results.append(BatchResult(id_, value, error=error))
        else:
            if not self._has_schema:
                output = {"raw": output, "parsed": None, "parsing_error": None}
            message, parsed, error_ = output["raw"], output["parsed"], output["parsing_error"]
            self._results.append(BatchResult(id_, value, message, parsed, error_))
        self._has_results.set()


def _get_id(index: int, value: Any) -> Any:
    id_ = value.get("id") if isinstance(value, Mapping) else None
    return index if id_ is None else id_


def _get_prompt(value: Any) -> Any:
    if isinstance(value, str | list | tuple | PromptValue):
        return value
    if not isinstance(value, Mapping):
        kind = type(value).__name__
        raise TypeError(
            f"The input has the type {kind}. Pass a string, a list of messages or a dict."
        )
    prompts = [value[key] for key in ("prompt", "messages") if value.get(key) is not None]
    if len(prompts) != 1:
        raise ValueError('The input needs either "prompt" or "messages".')
    return prompts[0]
