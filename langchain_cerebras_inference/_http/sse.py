"""Bytes of a server-sent event stream → the data of its events; bounded and pure.

The bytes are split, never decoded text: a line of an event stream ends at CR, LF or
CRLF only, while `str.splitlines` also splits at U+2028, which JSON may hold.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Above what any event needs (a long tool call in one event is 1 MB), below what hurts."""

_LINE_KEPT = 64
"""Bytes of a line's beginning that tell what it is."""

_BOM = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """An event outgrew the decoder's limit."""


class ErrorData(bytes):
    """The data of an event that the stream itself names `error`."""


class SSEDecoder:
    """Turns bytes, cut anywhere, into the data of whole events.

    Args:
        limit: The most bytes one event may have.
    """

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._line = b""
        self._after_cr = False
        self._at_start = True

    @property
    def is_inside_data(self) -> bool:
        """Whether data is what is coming: a part of it has come and its line's end has not."""
        field, _, value = self._line.partition(b":")
        return field == b"data" and bool(value.strip())

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes; return the data of the events they complete.

        Raises:
            EventTooLargeError: If an event has outgrown the limit.
        """
        if self._after_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        if not data:
            return []
        joint = self._parts[-1][-1:] + data[:1] if self._parts else b"\n\n"
        if self._at_start or joint == b"\n\n" or b"\n\n" in data:
            return self._split(b"".join([*self._parts, data]))
        self._keep(data)
        return []

    def close(self) -> list[bytes]:
        """End the stream; return the data of a last event that no blank line ended."""
        rest = b"".join(self._parts)
        self._parts = []
        return _data_of(rest)

    def _split(self, data: bytes) -> list[bytes]:
        if self._at_start:
            if _BOM.startswith(data):
                self._parts = [data]
                return []
            data = data.removeprefix(_BOM)
            self._at_start = False
        frames, _, rest = data.rpartition(b"\n\n")
        self._parts, self._size, self._line = [], 0, b""
        if rest:
            self._keep(rest)
        return _data_of(frames)

    def _keep(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        *ended, begun = data.rsplit(b"\n", 1)
        self._line = (begun if ended else self._line + begun)[:_LINE_KEPT]
        if self._size > self._limit:
            self._parts = []
            msg = f"an event has more than {self._limit} bytes"
            raise EventTooLargeError(msg)

    def _with_line_feeds(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data_of(frames: bytes) -> list[bytes]:
    """The data of frames that are whole."""
    if frames.startswith(b"data: "):
        found = frames[6:].split(b"\n\ndata: ")
        has_one_line_each = frames.count(b"\n") == 2 * (len(found) - 1)
        if has_one_line_each:
            return found
    each = map(_slow_data_of, frames.split(b"\n\n"))
    return [data for data in each if data is not None]


def _slow_data_of(frame: bytes) -> bytes | None:
    data: list[bytes] = []
    name = b""
    for line in frame.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    if not data:
        return None
    joined = b"\n".join(data)
    return ErrorData(joined) if name == b"error" else joined
