"""Server-sent events: splitting a byte stream into the payloads of its events.

A payload is the content of an event's `data:` lines. Bytes are split instead of decoded text,
because a line of an event stream ends only at CR, LF or CRLF, while `str.splitlines` also
splits at U+2028, which JSON may contain.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Far more than the largest event needs, which is one with a whole tool call."""

_LINE_START_BYTES = 64
"""The length of `_line_start`, a copy of the beginning of the incomplete line, which shows what
field it is."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """An event is larger than the limit."""


class ErrorPayload(bytes):
    """The payload of an event whose `event:` field is `error`."""


class SSEDecoder:
    """Splits bytes that arrive in parts of any size into event payloads.

    Args:
        limit: The maximum size of one event in bytes.
    """

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._incomplete_event: list[bytes] = []
        self._size = 0
        self._line_start = b""
        self._ends_with_cr = False
        self._is_at_start = True

    @property
    def is_inside_data(self) -> bool:
        """Whether the incomplete line at the end is a `data:` line with content."""
        field, _, value = self._line_start.partition(b":")
        return field == b"data" and bool(value.strip())

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes, and return the payloads of the events that they complete.

        Raises:
            EventTooLargeError: If an event is larger than the limit.
        """
        if self._ends_with_cr or b"\r" in data:
            data = self._normalize_line_endings(data)
        if self._is_at_start:
            data = self._remove_byte_order_mark(data)
        elif self._incomplete_event:
            data = self._complete_event(data)
        events, _, incomplete = data.rpartition(b"\n\n")
        if incomplete:
            self._keep(incomplete)
        # Fast path: each event is a single `data:` line.
        if events.startswith(b"data: "):
            payloads = events[6:].split(b"\n\ndata: ")
            # Each separator has two line feeds. Any additional one means another line.
            has_only_data_lines = events.count(b"\n") == 2 * (len(payloads) - 1)
            if has_only_data_lines:
                return payloads
        return _parse_events(events) if events else []

    def close(self) -> list[bytes]:
        """End the stream; return the payload of a last event that no blank line follows."""
        event = b"".join(self._incomplete_event)
        self._incomplete_event = []
        return _parse_events(event)

    def _remove_byte_order_mark(self, data: bytes) -> bytes:
        """Return the first bytes of the stream without a byte order mark.

        Return `b""` while too few bytes have arrived to recognize the mark.
        """
        data = b"".join([*self._incomplete_event, data])
        if _BYTE_ORDER_MARK.startswith(data):  # the remaining bytes of the mark may follow
            self._incomplete_event = [data]
            return b""
        self._incomplete_event = []
        self._is_at_start = False
        return data.removeprefix(_BYTE_ORDER_MARK)

    def _complete_event(self, data: bytes) -> bytes:
        """Return the incomplete event with new data; `b""` if that does not complete it."""
        if not data:
            return b""
        last_byte = self._incomplete_event[-1][-1:]
        if last_byte + data[:1] != b"\n\n" and b"\n\n" not in data:
            self._keep(data)
            return b""
        data = b"".join([*self._incomplete_event, data])
        self._incomplete_event, self._size, self._line_start = [], 0, b""
        return data

    def _keep(self, data: bytes) -> None:
        """Keep a part of an event until the event is complete."""
        self._incomplete_event.append(data)
        self._size += len(data)
        *complete_lines, line = data.rsplit(b"\n", 1)
        line_start = line if complete_lines else self._line_start + line
        self._line_start = line_start[:_LINE_START_BYTES]
        if self._size > self._limit:
            self._incomplete_event = []
            raise EventTooLargeError(
                f"An event of the stream is larger than {self._limit} bytes."
            )

    def _normalize_line_endings(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._ends_with_cr and data.startswith(b"\n"):
            data = data[1:]
            self._ends_with_cr = False
        if data:
            self._ends_with_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _parse_events(events: bytes) -> list[bytes]:
    """Return the payloads of events that may have other fields besides `data:`."""
    payloads = map(_parse_event, events.split(b"\n\n"))
    return [payload for payload in payloads if payload is not None]


def _parse_event(event: bytes) -> bytes | None:
    """Return the payload of an event, or `None` if it has no `data:` line."""
    data_lines: list[bytes] = []
    event_type = b""
    for line in event.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data_lines.append(value)
        elif field == b"event":
            event_type = value
    if not data_lines:
        return None
    payload = b"\n".join(data_lines)
    return ErrorPayload(payload) if event_type == b"error" else payload
