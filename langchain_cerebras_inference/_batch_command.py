"""The command `batch`: run the prompts of a file, and show the progress."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from langchain_cerebras_inference import _batch_files as files
from langchain_cerebras_inference import errors
from langchain_cerebras_inference._command_model import (
    add_model_options,
    create_model,
    read_schema,
)
from langchain_cerebras_inference.batch import PRICES_DATE, BatchProgress, run_batch
from langchain_cerebras_inference.chat_models import ChatCerebrasInference

_FATAL_ERRORS = (
    errors.CerebrasAuthenticationError,
    errors.CerebrasBillingError,
    errors.CerebrasCookieError,
    errors.CerebrasModelNotFoundError,
    errors.CerebrasPermissionDeniedError,
)
"""The errors that every other row would have, too."""

_MAX_PRINTED_ERRORS = 5
_BAR_INTERVAL, _TERMINAL_INTERVAL, _LOG_INTERVAL = 0.1, 5.0, 60.0
"""Seconds between two updates of the progress bar, and between two lines of progress in a
terminal and elsewhere."""

_INTERRUPTED = 130
"""The exit status after Ctrl-C, by the convention of shells."""


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status: 0 if all rows are completed."""
    parser = _create_parser()
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        # SIGTERM stops it as Ctrl-C does.
        handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, handler)
        try:
            rows = stack.enter_context(_open_input(options))
            schema = read_schema(options.schema)
            model = create_model(options, stack)
            output = stack.enter_context(contextlib.closing(files.OutputFile(options.output)))
        except (OSError, ValueError, files.FileError) as error:
            parser.error(" ".join(str(error).split()))
        return _BatchRun(options, rows, output, model).run(schema)


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="langchain-cerebras-inference batch",
        description="Run the prompts of a file, and append the results to another file. To"
        " continue a batch that was stopped, run the same command again. Exit status 0 means"
        " that all rows are completed.",
    )
    add = parser.add_argument
    add("input", help="the file of the prompts, with one JSON value per line; - is stdin")
    add("output", help="the file of the results; - is stdout")
    add("--quota-store", metavar="URL", help="a store that several processes share")
    add("--concurrency", type=int, metavar="N", help="the largest number of open calls")
    add_model_options(parser)
    return parser


def _open_input(options: argparse.Namespace) -> IO[bytes]:
    if options.input == "-":
        return sys.stdin.buffer
    input_path, output_path = Path(options.input), Path(options.output)
    if output_path.is_file() and output_path.samefile(input_path):
        raise ValueError("the input and the output are the same file")
    return input_path.open("rb")


class _BatchRun:
    """One run of the command: reads rows, writes results and counts both."""

    def __init__(
        self,
        options: argparse.Namespace,
        rows: IO[bytes],
        output: files.OutputFile,
        model: ChatCerebrasInference,
    ) -> None:
        self._options = options
        self._rows = rows
        self._output = output
        self._model = model
        self._ids: set[files.RowId] = set()
        self._total: int | None = None
        self._completed_earlier = self._completed = self._failed = 0
        self._progress = BatchProgress(model.model_name)
        self._display = _Display()

    def run(self, schema: Any) -> int:
        """Run all rows that are not completed, and return the exit status."""
        reason = ""
        status = 1
        try:
            if self._options.input != "-":
                self._total = sum(1 for line in self._rows if line.strip())
                self._rows.seek(0)
            self._display.start(self._total)
            results = run_batch(
                self._model,
                self._read_rows(self._rows),
                schema=schema,
                concurrency=self._options.concurrency,
                on_progress=self._show_progress,
            )
            with contextlib.closing(results):
                for result in results:
                    error = result.error
                    if isinstance(error, _FATAL_ERRORS) and not error.is_retryable:
                        raise error
                    self._write(files.create_output_row(result, has_schema=schema is not None))
            status = 1 if self._failed else 0
        except KeyboardInterrupt:
            reason, status = "Interrupted.", _INTERRUPTED
        except (errors.CerebrasError, files.FileError, OSError, ValueError) as error:
            reason = f"Stopped: {error}"
        self._display.stop(self._count_done(), self._describe())
        self._print_summary(reason)
        return status

    def _read_rows(self, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        """Yield the rows to run. Invalid rows are reported at once."""
        completed = self._output.completed_ids
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = files.parse_row(line, number, self._options.system)
            except files.RowError as error:
                self._write({"id": error.id, "line": number, "error": str(error)})
                continue
            id_ = row["id"]
            if id_ in self._ids:
                self._report_failure(f"Line {number}: another row has the id {id_!r}; skipped")
            elif id_ in completed:
                self._completed_earlier += 1
            else:
                yield row
            # An id is in only one of the two sets, because they may be large.
            self._ids.add(id_)
            completed.discard(id_)

    def _write(self, row: dict[str, Any]) -> None:
        self._output.write(row)
        if "error" in row:
            place = f"Line {row['line']}" if "line" in row else f"Row {row['id']!r}"
            self._report_failure(f"{place}: {row['error']}")
        else:
            self._completed += 1

    def _report_failure(self, line: str) -> None:
        self._failed += 1
        if self._failed <= _MAX_PRINTED_ERRORS:
            self._display.print(line)
        elif self._failed == _MAX_PRINTED_ERRORS + 1:
            self._display.print("Further errors are only counted.")

    def _show_progress(self, progress: BatchProgress) -> None:
        self._progress = progress
        if self._display.is_due():
            self._display.show(self._count_done(), self._describe(), self._estimate_time_left())

    def _count_done(self) -> int:
        return self._completed_earlier + self._completed + self._failed

    def _describe(self) -> str:
        progress = self._progress
        parts = [f"{self._failed} failed", f"{progress.tokens_per_second:,.0f} tokens/s"]
        share = progress.quota.used_share if progress.quota else None
        if share is not None:
            parts.append(f"{share:.0%} of the quota used")
        if progress.quota and progress.quota.queue_length:
            parts.append(f"{progress.quota.queue_length} calls wait for it")
        return " · ".join([*parts, *self._describe_cost()])

    def _estimate_time_left(self) -> str:
        done = self._completed + self._failed
        if self._total is None or not done:
            return ""
        seconds = max(self._total - self._count_done(), 0) * self._progress.seconds / done
        return f"{datetime.timedelta(seconds=round(seconds))} left"

    def _describe_cost(self) -> list[str]:
        return [] if self._progress.cost is None else [f"${self._progress.cost:.4f}"]

    def _print_summary(self, reason: str) -> None:
        earlier = f" ({self._completed_earlier} earlier)" if self._completed_earlier else ""
        cost = "".join(
            f", cost: {cost} (prices of {PRICES_DATE})" for cost in self._describe_cost()
        )
        summary = (
            f"Rows completed: {self._completed_earlier + self._completed}{earlier}, failed:"
            f" {self._failed}; prompt tokens: {self._progress.input_tokens:,}, completion"
            f" tokens: {self._progress.output_tokens:,}{cost}"
        )
        advice = ""
        if (reason or self._failed) and self._options.output != "-":
            advice = "To run the rows that are not completed, run the same command again."
        for line in filter(None, (reason, summary, advice)):
            self._display.print(line)


class _Display:
    """Shows the progress on standard error: a bar in a terminal with rich, else lines."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._total: int | None = None
        self._interval = _TERMINAL_INTERVAL if sys.stderr.isatty() else _LOG_INTERVAL
        self._next_update = time.monotonic() + self._interval
        if sys.stderr.isatty():
            with contextlib.suppress(ImportError):
                self._create_bar()

    def _create_bar(self) -> None:
        from rich import console, progress

        self._bar = progress.Progress(
            progress.MofNCompleteColumn(),
            progress.BarColumn(),
            progress.TextColumn("{task.description}", markup=False),
            console=console.Console(stderr=True, highlight=False, markup=False),
        )
        self._interval = _BAR_INTERVAL

    def start(self, total: int | None) -> None:
        """Start the bar, if there is one."""
        self._total = total
        if self._bar is not None:
            self._bar.add_task("", total=total)
            self._bar.start()

    def is_due(self) -> bool:
        """Return whether it is time to show the progress."""
        now = time.monotonic()
        if now < self._next_update:
            return False
        self._next_update = now + self._interval
        return True

    def show(self, done: int, *parts: str) -> None:
        """Show the number of rows that are done, and other parts of the progress."""
        text = " · ".join(filter(None, parts))
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, description=text)
        else:
            total = "" if self._total is None else f" of {self._total}"
            self.print(f"{done}{total} rows · {text}")

    def stop(self, done: int, *parts: str) -> None:
        """Stop the bar, if there is one; lines can still be printed."""
        if self._bar is not None:
            if self._bar.task_ids:
                self.show(done, *parts)
            self._bar.stop()

    def print(self, line: str) -> None:
        """Print a line."""
        if self._bar is not None:
            self._bar.console.print(line, soft_wrap=True)
        else:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
