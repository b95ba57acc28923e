"""The command `batch`: run the prompts of a file, and show the progress."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from langchain_cerebras_inference import _batch_files as files
from langchain_cerebras_inference import errors
from langchain_cerebras_inference._command_model import (
    add_model_options,
    create_model,
    describe_error,
    parse_count,
    read_schema,
)
from langchain_cerebras_inference._model_catalog import PRICES_DATE
from langchain_cerebras_inference.batch import BatchProgress, BatchResult, run_batch
from langchain_cerebras_inference.chat_models import ChatCerebrasInference

_FATAL_ERRORS = (
    errors.CerebrasAuthenticationError,
    errors.CerebrasBillingError,
    errors.CerebrasCookieError,
    errors.CerebrasModelNotFoundError,
    errors.CerebrasPermissionDeniedError,
)
"""The errors that every other row would have, too."""

_MAX_EQUAL_ERRORS = 32
"""After this many calls with the same error and no other result, the batch stops. Rows that are
too long do not count."""

_MAX_PRINTED_ERRORS = 5

_BAR_INTERVAL = 0.1
"""Seconds between two updates of the progress bar."""

_FIRST_LINE_DELAY = 5.0
"""Seconds until the first line of progress, if there is no bar."""

_LINE_INTERVAL = 60.0
"""Seconds between two lines of progress, if there is no bar."""

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
            input_file = stack.enter_context(_open_input(options))
            schema = read_schema(options.schema)
            model = create_model(options, stack)
            if schema is not None:
                model.with_structured_output(schema)  # checks the schema
            output = stack.enter_context(contextlib.closing(files.OutputFile(options.output)))
        except (OSError, ValueError, files.OutputError) as error:
            parser.error(describe_error(error))
        return _BatchRun(options, input_file, output, model).run(schema)


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="langchain-cerebras-inference batch",
        usage="%(prog)s [OPTION …] INPUT OUTPUT",
        description="Run the prompts of a file, and append the results to another file. To"
        " continue a batch that was stopped, run the same command again. Exit status 0 means"
        " that all rows are completed.",
    )
    add = parser.add_argument
    add("input", help="the file of the prompts, with one JSON value per line; - is stdin")
    add("output", help="the file of the results; - is stdout")
    add(
        "--quota-store",
        metavar="URL",
        help="the URL of a store through which several processes share a quota",
    )
    add(
        "--concurrency",
        type=parse_count,
        metavar="N",
        help="the largest number of calls that are in flight or wait for the quota",
    )
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
        input_file: IO[bytes],
        output: files.OutputFile,
        model: ChatCerebrasInference,
    ) -> None:
        self._options = options
        self._input_file = input_file
        self._output = output
        self._model = model
        self._earlier_digests = output.earlier_digests
        self._error_kinds: Counter[tuple[Any, ...]] = Counter()
        self._total: int | None = None
        self._completed_earlier = self._changed = self._completed = self._failed = 0
        self._progress = BatchProgress(model.model_name)
        self._display = _Display()

    def run(self, schema: dict[str, Any] | None) -> int:
        """Run all rows that are not completed, and return the exit status."""
        try:
            self._run_rows(schema)
        except KeyboardInterrupt:
            reason, status = "Interrupted.", _INTERRUPTED
            advice = "To continue, run the same command again."
        except (errors.CerebrasError, files.OutputError, OSError, ValueError) as error:
            reason, status = f"Stopped: {describe_error(error)}", 1
            advice = "Correct the cause, and run the command again."
        else:
            reason = ""
            status = 1 if self._failed else 0
            advice = ""
            # `self._failed` also counts invalid rows, `self._progress.failed` only calls.
            has_invalid_rows = self._failed > self._progress.failed
            if has_invalid_rows:
                advice = "Correct the invalid rows, and run the command again."
            elif self._failed:
                advice = "To send the failed rows again, run the same command again."
        if self._options.output == "-":
            advice = ""  # a second run could not read the results of the first
        self._display.stop(self._count_done(), self._describe())
        for line in filter(None, (reason, self._summarize(), advice)):
            self._display.print(line)
        return status

    def _run_rows(self, schema: dict[str, Any] | None) -> None:
        if self._options.input != "-":
            self._total = sum(1 for line in self._input_file if line.strip())
            self._input_file.seek(0)
        self._display.start(self._total, len(self._earlier_digests))
        results = run_batch(
            self._model,
            self._read_rows(schema),
            schema=schema,
            concurrency=self._options.concurrency,
            on_progress=self._show_progress,
        )
        with contextlib.closing(results):
            for result in results:
                self._handle(result, has_schema=schema is not None)

    def _read_rows(self, schema: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
        """Yield the rows to run. Invalid rows are reported immediately."""
        emulator = self._options.emulator
        options_digest = files.compute_digest(self._model.model_name, schema, emulator)
        seen_ids: set[files.RowId] = set()
        for number, line in enumerate(self._input_file, 1):
            if not line.strip():
                continue
            try:
                row = files.parse_row(line, number, self._options.system, options_digest)
            except files.RowError as error:
                self._write({"id": error.id, "line": number, "error": str(error)})
                continue
            id_ = row["id"]
            if id_ in seen_ids:
                self._report_failure(f"Line {number}: another row has the id {id_!r}; skipped")
                continue
            seen_ids.add(id_)
            earlier_digest = self._earlier_digests.pop(id_, None)
            if earlier_digest in (row["digest"], files.UNKNOWN_DIGEST):
                self._completed_earlier += 1
                continue
            if earlier_digest is not None:
                self._report_change(id_)
            yield row

    def _report_change(self, id_: files.RowId) -> None:
        if not self._changed:
            self._display.print(
                f"Row {id_!r} has a result of another prompt or of other options. Such rows"
                " are sent again."
            )
        self._changed += 1

    def _handle(self, result: BatchResult, *, has_schema: bool) -> None:
        """Write a result; raise its error if the other rows would have the same one."""
        error = result.error
        # Only rows with an image get this error.
        is_about_this_row = getattr(error, "code", None) == "multimodal_not_enabled"
        if isinstance(error, _FATAL_ERRORS) and not (error.is_retryable or is_about_this_row):
            raise error
        self._write(files.create_output_row(result, has_schema=has_schema))
        is_too_long = isinstance(error, errors.CerebrasContextOverflowError)
        # A row that is too long says nothing about the other rows.
        if error is None or is_too_long:
            return
        status, code = getattr(error, "status", None), getattr(error, "code", None)
        self._error_kinds[type(error), status, code] += 1
        has_completed_rows = self._completed or self._completed_earlier
        all_calls_failed_alike = len(self._error_kinds) == 1 and not has_completed_rows
        if all_calls_failed_alike and self._error_kinds.total() >= _MAX_EQUAL_ERRORS:
            raise ValueError(
                f"The first {_MAX_EQUAL_ERRORS} calls had the same kind of error: {error}"
            )

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
            self._display.print(
                "Further errors are not shown here. The output has the error of each failed"
                " row, but not of skipped rows."
            )

    def _show_progress(self, progress: BatchProgress) -> None:
        self._progress = progress
        if self._display.is_due():
            self._display.show(self._count_done(), self._describe(), self._estimate_time_left())

    def _count_done(self) -> int:
        return self._completed_earlier + self._completed + self._failed

    def _describe(self) -> str:
        progress = self._progress
        quota = progress.quota
        parts = [
            f"{self._failed} failed",
            f"{progress.tokens_per_second:,.0f} tokens/s in and out",
        ]
        if quota and quota.used_share is not None:
            parts.append(f"{quota.used_share:.0%} of the quota used")
        if quota and quota.queue_length:
            parts.append(f"{quota.queue_length} calls wait for it")
        return " · ".join(filter(None, [*parts, self._format_cost()]))

    def _format_cost(self) -> str:
        """Format the cost; return an empty text if it is unknown."""
        return "" if self._progress.cost is None else f"${self._progress.cost:.4f}"

    def _estimate_time_left(self) -> str:
        done = self._completed + self._failed
        if self._total is None or not done:
            return ""
        seconds = max(self._total - self._count_done(), 0) * self._progress.seconds / done
        return f"{datetime.timedelta(seconds=round(seconds))} left"

    def _summarize(self) -> str:
        earlier = f" ({self._completed_earlier} earlier)" if self._completed_earlier else ""
        changed = f", changed: {self._changed}" if self._changed else ""
        cost = self._format_cost()
        return (
            f"Rows completed: {self._completed_earlier + self._completed}{earlier}, failed:"
            f" {self._failed}{changed}; prompt tokens: {self._progress.input_tokens:,},"
            f" completion tokens: {self._progress.output_tokens:,}"
            + (f", cost: {cost} (prices of {PRICES_DATE})" if cost else "")
        )


class _Display:
    """Shows the progress on standard error: a bar in a terminal with rich, else lines."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._of_total = ""
        self._interval = _LINE_INTERVAL
        self._next_update = time.monotonic() + _FIRST_LINE_DELAY
        if sys.stderr.isatty():
            with contextlib.suppress(ImportError):
                self._create_bar()

    def _create_bar(self) -> None:
        from rich import console, progress, table

        # In a narrow terminal, only the description is broken into lines.
        self._bar = progress.Progress(
            progress.MofNCompleteColumn(table_column=table.Column(no_wrap=True, min_width=13)),
            progress.BarColumn(bar_width=10),
            progress.TextColumn(
                "{task.description}", markup=False, table_column=table.Column(overflow="fold")
            ),
            console=console.Console(stderr=True, highlight=False, markup=False),
        )
        self._interval = _BAR_INTERVAL
        self._next_update = 0.0

    def start(self, total: int | None, earlier: int) -> None:
        """Start the bar; without one, print the number of rows and of earlier results."""
        if self._bar is not None:
            self._bar.add_task("", total=total)
            self._bar.start()
            return
        self._of_total = "" if total is None else f" of {total}"
        rows = "Rows from standard input" if total is None else f"{total} rows"
        self.print(f"{rows}, earlier results: {earlier}" if earlier else rows)

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
            self.print(f"{done}{self._of_total} rows · {text}")

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
