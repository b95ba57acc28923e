"""The files of the command `batch`: the rows of its input, and its output.

The output is a file of results, one JSON object in each line. Each result is appended as soon
as it arrives, so a batch can be killed at any time. The ids and digests in the output say which
rows are completed when the batch is started again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from langchain_cerebras_inference.batch import BatchResult

RowId: TypeAlias = str | int

UNKNOWN_DIGEST = -1
"""Stands for the digest of a result whose line in the output has no digest."""

_LINE_START = b'{"id": '
"""How every line that `write` appends begins."""


class OutputError(Exception):
    """The output cannot be read or written."""


class RowError(ValueError):
    """A row of the input is invalid.

    Attributes:
        id: The id of the row, which is the number of its line if the row sets none. `None` if
            the line could not be parsed, or the id is invalid.
    """

    def __init__(self, problem: str, id_: RowId | None = None) -> None:
        super().__init__(problem)
        self.id = id_


def compute_digest(*values: Any) -> int:
    """Compute a digest of JSON values, to find out whether a row has changed."""
    text = json.dumps(values, sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def parse_row(
    line: bytes, number: int, system: str | None = None, options_digest: int | None = None
) -> dict[str, Any]:
    """Parse a row of the input.

    Args:
        line: The line, a JSON string or object.
        number: The number of the line, which is the id of a row without an id.
        system: A system message to put before the messages.
        options_digest: The digest of what a result depends on, besides the messages.

    Returns:
        An input for `run_batch`, with the digest of its messages and the options.

    Raises:
        RowError: If the line is not such a row.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        advice = 'Write a prompt as "…" or as {"prompt": "…"}.'
        raise RowError(f"The line is not valid JSON: {error}. {advice}") from None
    if isinstance(row, str):
        row = {"prompt": row}
    if not isinstance(row, dict):
        raise RowError("The row is neither a JSON string nor a JSON object.")
    id_ = number if row.get("id") is None else row["id"]
    if not _is_row_id(id_):
        raise RowError("The id is neither a string nor an integer.")
    prompt, messages = row.get("prompt"), row.get("messages")
    if isinstance(prompt, str) and messages is None:
        messages = [("human", prompt)]
    elif not isinstance(messages, list) or not messages or prompt is not None:
        problem = 'The row needs either "prompt", a string, or "messages", a list of messages.'
        raise RowError(problem, id_)
    if system is not None:
        messages = [("system", system), *messages]
    return {"id": id_, "messages": messages, "digest": compute_digest(messages, options_digest)}


def create_output_row(result: BatchResult, *, has_schema: bool) -> dict[str, Any]:
    """Create the row of a result."""
    row: dict[str, Any] = {"id": result.id}
    if result.error is not None:
        row["error"] = str(result.error) or type(result.error).__name__
        row["error_type"] = type(result.error).__name__
    elif has_schema:
        row["parsed"] = result.parsed
    if result.message is not None:
        if result.error is not None or not has_schema:
            row["text"] = result.text
        row["finish_reason"] = result.message.response_metadata.get("finish_reason")
        row["usage"] = result.usage
    if result.error is None:
        row["digest"] = f"{result.input['digest']:08x}"
    return row


class OutputFile:
    """The file of results.

    Results are not buffered, so a killed process loses no result that was written.

    Args:
        path: The path of the file, or `-` for standard output.

    Attributes:
        earlier_digests: The digest of each id whose last result has no error, as read when
            the file was opened.

    Raises:
        OutputError: If the file cannot be opened, is in use, or contains something else.
    """

    def __init__(self, path: str) -> None:
        self.earlier_digests: dict[RowId, int] = {}
        self._path = path
        self._name = "standard output" if path == "-" else path
        try:
            if path == "-":
                self._file = io.FileIO(sys.stdout.fileno(), "w", closefd=False)
            else:
                self._file = io.FileIO(path, "a+")
        except OSError as error:
            raise OutputError(f"Cannot open {self._name}: {error.strerror}.") from None
        self._is_regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        if path != "-" and self._is_regular:
            try:
                self._lock()
                self._read_results()
            except BaseException:
                self._file.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def write(self, row: dict[str, Any]) -> None:
        """Append a row.

        Raises:
            OutputError: If the row cannot be written. The file then does not contain a part of
                it.
        """
        line = _encode(row)
        written = 0
        try:
            while written < len(line):  # a disk that becomes full accepts a part of the line
                written += self._file.write(line[written:])
        except OSError as error:
            if self._is_regular and written:
                with contextlib.suppress(OSError):
                    self._file.truncate(os.fstat(self._file.fileno()).st_size - written)
            raise OutputError(f"Cannot write to {self._name}: {error.strerror}.") from None

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem = f"Another process writes to {self._path}. Wait for its end, or stop it."
            raise OutputError(problem) from None
        except OSError:  # a file system without locks
            pass

    def _read_results(self) -> None:
        """Read the results of an earlier run, and remove an incomplete last line."""
        end_of_results = 0
        has_line_break = True
        with Path(self._path).open("rb") as file:
            for number, line in enumerate(file, 1):
                has_line_break = line.endswith(b"\n")
                if self._read_result(line):
                    end_of_results += len(line)
                elif not has_line_break and _is_start_of_result(line):
                    self._file.truncate(end_of_results)
                    return
                else:
                    problem = f"Line {number} of {self._path} is not a result of a batch."
                    raise OutputError(f"{problem} Choose another file for the output.")
        if not has_line_break:
            self._file.write(b"\n")

    def _read_result(self, line: bytes) -> bool:
        """Read the id and the digest of a line, and return whether the line is a result."""
        try:
            row = json.loads(line)
            if "id" not in row or not row.keys() & {"text", "parsed", "error"}:
                return False
            digest = int(row["digest"], 16) if "digest" in row else UNKNOWN_DIGEST
        except (AttributeError, TypeError, ValueError, RecursionError):
            return False
        if _is_row_id(row["id"]):
            if "error" in row:
                self.earlier_digests.pop(row["id"], None)
            else:
                self.earlier_digests[row["id"]] = digest
        return True


def _is_start_of_result(line: bytes) -> bool:
    """Return whether a line can be a result that was cut off, perhaps inside `_LINE_START`."""
    return line.startswith(_LINE_START) or _LINE_START.startswith(line)


def _is_row_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _encode(row: dict[str, Any]) -> bytes:
    try:
        return f"{json.dumps(row, ensure_ascii=False)}\n".encode()
    except UnicodeEncodeError:  # half of a surrogate pair, in an id
        return f"{json.dumps(row)}\n".encode()
