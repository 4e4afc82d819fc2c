"""A streamed body cut into JSON payloads: SSE, or what comes from those who ignore ``stream``."""

from __future__ import annotations

import orjson

from freellmapi.core.sse import MAX_EVENT_BYTES, EventTooLarge, SseDecoder
from freellmapi.providers.answers import bad_answer

_BLANK = b" \t\r\n\xef\xbb\xbf"


class Frames:
    """Tells by the first character what a body is: ``{`` or ``[`` is JSON, all else is SSE.

    JSON is one document, or one a line (Ollama's own API): the first line decides.
    Raises ``UpstreamError`` (``BAD_ANSWER``) for an HTML page and for a payload over
    ``MAX_EVENT_BYTES``.
    """

    __slots__ = ("_buffer", "_sse", "_started", "_whole")

    def __init__(self) -> None:
        self._buffer = b""
        self._sse: SseDecoder | None = None
        self._started = False
        self._whole: bool | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that ``data`` completes, in order."""
        try:
            if self._sse is not None:
                return self._sse.feed(data)
            return self._first(data) if not self._started else self._json(data)
        except EventTooLarge as exc:
            raise bad_answer(f"The stream sent {exc}.") from exc

    def close(self) -> list[bytes]:
        """The payload that had no end mark when the body ended."""
        if self._sse is not None:
            return self._sse.close()
        rest, self._buffer = self._buffer.strip(_BLANK), b""
        return [rest] if rest else []

    def _first(self, data: bytes) -> list[bytes]:
        data, self._buffer = self._buffer + data, b""
        start = data.lstrip(_BLANK)
        if not start:
            self._buffer = data
            return []
        self._started = True
        if start[:1] == b"<":
            raise bad_answer("An HTML page came instead of a stream.")
        if start[:1] in (b"{", b"["):
            return self._json(start)
        self._sse = SseDecoder()
        return self._sse.feed(data)

    def _json(self, data: bytes) -> list[bytes]:
        self._buffer += data
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"a document of more than {MAX_EVENT_BYTES} bytes")
        if self._whole or b"\n" not in data:
            return []
        *lines, self._buffer = self._buffer.split(b"\n")
        payloads = [line.strip() for line in lines if line.strip()]
        if self._whole is None and payloads:
            self._whole = not _is_json(payloads[0])
        if self._whole:
            self._buffer = b"\n".join([*lines, self._buffer])
            return []
        return payloads


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
