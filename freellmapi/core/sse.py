"""Server-sent events: a reader for every legal form, fed by bytes split anywhere."""

from __future__ import annotations

MAX_EVENT_BYTES = 8 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """One event grew past ``MAX_EVENT_BYTES`` without an end."""


class SseDecoder:
    """Turns bytes as they arrive into the ``data`` of each complete event.

    LF, CRLF and CR line ends, comments, ``data:`` with and without a space, several data
    lines an event, a byte order mark; other fields (``event``, ``id``, ``retry``) are
    passed over. Source: html.spec.whatwg.org, section 9.2.6, read 2026-11-22.
    """

    __slots__ = ("_buffer", "_data", "_line_size", "_more", "_size", "_skip_lf", "_started")

    def __init__(self) -> None:
        self._buffer = b""
        self._more: list[bytes] = []
        """What follows ``_buffer`` within one line, put together only at its end."""
        self._line_size = 0
        self._data: list[bytes] = []
        self._size = 0
        self._skip_lf = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the events that ``data`` completes, in order."""
        if self._skip_lf and data:
            data = data.removeprefix(b"\n")
            self._skip_lf = False
        if self._buffer:
            if b"\n" not in data and b"\r" not in data:
                return self._within_a_line(data)
            data = b"".join((self._buffer, *self._more, data))
            self._more.clear()
        buffer = data
        if len(buffer) + self._size > MAX_EVENT_BYTES:
            self._check_size(buffer)
        # ``in`` would cost 2,000 instructions: it raises and catches a TypeError inside.
        if buffer.find(b"\r") >= 0:
            # A CR at the very end may be half of a CRLF: its LF is dropped when it comes.
            self._skip_lf = buffer.endswith(b"\r")
            buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not self._started and b"\n" in buffer:
            self._started = True
            buffer = buffer.removeprefix(BYTE_ORDER_MARK)
        events: list[bytes] = []
        *blocks, rest = buffer.split(b"\n\n")
        for block in blocks:
            # Nearly all events are one line of data, and come whole.
            if block.startswith(b"data: ") and block.find(b"\n") < 0 and not self._data:
                events.append(block[6:])
            else:
                self._lines(block.split(b"\n"), events)
                self._line(b"", events)
        if rest:
            *lines, rest = rest.split(b"\n")
            self._lines(lines, events)
        self._buffer = rest
        return events

    def _within_a_line(self, data: bytes) -> list[bytes]:
        """Nothing of a long line is looked at twice: that would take seconds for the longest."""
        if not self._more:
            self._line_size = len(self._buffer)
        self._more.append(data)
        self._line_size += len(data)
        if self._line_size + self._size > MAX_EVENT_BYTES:
            raise EventTooLarge(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return []

    def close(self) -> list[bytes]:
        """The last event, when the stream ended without the blank line after it."""
        events: list[bytes] = []
        if self._buffer:
            last = b"".join((self._buffer, *self._more))
            self._line(last if self._started else last.removeprefix(BYTE_ORDER_MARK), events)
            self._buffer = b""
        self._line(b"", events)
        return events

    def _lines(self, lines: list[bytes], events: list[bytes]) -> None:
        for line in lines:
            self._line(line, events)

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            if self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data.clear()
                self._size = 0
        elif line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._size += len(value)
        elif line == b"data":
            self._data.append(b"")

    def _check_size(self, buffer: bytes) -> None:
        longest = max(len(line) for line in buffer.splitlines()) if buffer else 0
        if longest + self._size > MAX_EVENT_BYTES:
            raise EventTooLarge(f"an event of more than {MAX_EVENT_BYTES} bytes")
