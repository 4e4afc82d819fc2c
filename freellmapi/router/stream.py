"""A streamed answer on its way: read as it comes, ended properly, settled once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from freellmapi.core.chat import Chunk
from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.estimate import text_tokens
from freellmapi.core.limits import Usage
from freellmapi.core.route import Candidate
from freellmapi.core.values import dataclass
from freellmapi.providers.chunks import chunk_bytes, usage_chunk
from freellmapi.providers.transport import Response
from freellmapi.providers.wire import StreamReader

AFTER_FINISH = 1.0
"""Seconds in which a stream that has given its finish_reason is over, ``[DONE]`` or not."""
FINISHED_WITHOUT_TOKEN = frozenset({"length", "content_filter", "tool_calls"})


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """How a stream ended: usage so far, and the error if it broke."""

    usage: Usage
    error: UpstreamError | None


class AnswerStream:
    """Chunks of one upstream answer, the first token already among them.

    ``on_end`` is called exactly once, whether the stream was read to its end, broke, or
    was closed before: a generator's ``finally`` would not run when the client leaves
    before the first ``next``.
    """

    def __init__(
        self,
        candidate: Candidate,
        response: Response,
        reader: StreamReader,
        clock: Clock,
        idle_timeout: float,
        ping_interval: float,
        prompt_tokens: int,
        on_end: Callable[[StreamEnd], None],
    ) -> None:
        self.candidate = candidate
        self._response = response
        self._reader = reader
        self._clock = clock
        self._idle_timeout = idle_timeout
        self._ping_interval = ping_interval
        self._silence = 0.0
        self._prompt_tokens = prompt_tokens
        self._on_end: Callable[[StreamEnd], None] | None = on_end
        self._pending: list[Chunk] = []
        self._usage: Usage | None = None
        self._usage_sent = False
        self._output = 0.0
        self._last = b""
        self._finish: str | None = None
        self._tail_until = 0.0
        self._fault: UpstreamError | None = None
        self._done = False

    def begin(self, timeout: float) -> None:
        """Read up to the first token, within ``timeout`` seconds."""
        deadline = self._clock.monotonic() + timeout
        while not any(chunk.is_token for chunk in self._pending):
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise UpstreamError(ErrorKind.TIMEOUT, "no first token in time")
            batch, over = self._read(left) if self._finish is None else self._read_tail()
            self._pending += batch
            if over:
                self._check_begun()
                return

    def __iter__(self) -> AnswerStream:
        return self

    def __next__(self) -> list[Chunk]:
        """The chunks that have come since, none after a ping's interval of silence.

        Raises ``UpstreamError`` when the stream breaks.
        """
        if self._pending:
            batch, self._pending = self._pending, []
            return batch
        if self._done:
            self._end(None)
            raise StopIteration
        try:
            batch, over = self._read_within_silence() if self._finish is None else self._read_tail()
            return batch + self._closing_chunks() if over else batch
        except UpstreamError as exc:
            error = self._broken(exc)
            self._end(error)
            raise error from exc

    def close(self) -> None:
        """End it here, whoever asks; harmless when it has ended."""
        if self._on_end is not None:
            gone = None if self._done else UpstreamError(ErrorKind.CLIENT_GONE, "the client left")
            self._end(gone)

    def _read_within_silence(self) -> tuple[list[Chunk], bool]:
        # Only waiting here counts as the provider's silence: a client that reads slowly may
        # be away for longer than the provider may be silent.
        began = self._clock.monotonic()
        left = self._idle_timeout - self._silence
        try:
            batch, over = self._read(min(self._ping_interval, left))
        except UpstreamError as exc:
            self._silence += self._clock.monotonic() - began
            if exc.kind is not ErrorKind.TIMEOUT or self._ping_interval >= left:
                raise
            return [], False
        self._silence = 0.0 if batch else self._silence + self._clock.monotonic() - began
        if not batch and not over and self._silence >= self._idle_timeout:
            raise UpstreamError(ErrorKind.TIMEOUT, "nothing but comments came")
        return batch, over

    def _read(self, timeout: float) -> tuple[list[Chunk], bool]:
        """(chunks, whether the body is over)."""
        if self._fault is not None:
            raise self._fault
        data = self._response.next_bytes(timeout)
        batch = self._reader.feed(data) if data else self._reader.close()
        if data and self._reader.ended:
            batch += self._rest()
        self._note(batch)
        over = self._fault is None and (not data or self._reader.ended)
        if over:
            self._done = True
        return batch, over

    def _rest(self) -> list[Chunk]:
        """What the reader still has after its end; a fault behind good chunks waits for them."""
        try:
            return self._reader.close()
        except UpstreamError as fault:
            self._fault = fault
            return []

    def _read_tail(self) -> tuple[list[Chunk], bool]:
        """What still comes after the finish_reason: usage, ``[DONE]``, or nothing at all."""
        try:
            return self._read(self._tail_until - self._clock.monotonic())
        except UpstreamError as exc:
            if exc.kind is ErrorKind.CLIENT_GONE:
                raise
            # The answer is whole: what goes wrong behind it harms nobody.
            self._done = True
            batch = self._rest()
            self._note(batch)
            return batch, True

    def _note(self, batch: list[Chunk]) -> None:
        if batch:
            self._last = batch[-1].data
        for chunk in batch:
            if chunk.text:
                self._output += text_tokens(chunk.text)
            if chunk.finish is not None:
                self._finish = chunk.finish
                self._tail_until = self._clock.monotonic() + AFTER_FINISH
            if chunk.usage is not None:
                self._usage = chunk.usage
                self._usage_sent = self._usage_sent or chunk.usage_only

    def _check_begun(self) -> None:
        """A body that ended before any token: a failure, unless it says why."""
        spoke = any(chunk.is_token for chunk in self._pending)
        if not spoke and self._finish not in FINISHED_WITHOUT_TOKEN:
            raise UpstreamError(ErrorKind.BAD_ANSWER, "an empty answer")
        if self._finish is None and not self._reader.ended:
            raise UpstreamError(ErrorKind.BAD_ANSWER, "the stream ended early")
        self._pending += self._closing_chunks()

    def _closing_chunks(self) -> list[Chunk]:
        """What a proper end needs and the provider left out."""
        closing: list[Chunk] = []
        if self._finish is None:
            if not self._reader.ended:
                raise UpstreamError(ErrorKind.STREAM_BROKEN, "the stream ended early")
            self._finish = "stop"
            closing.append(Chunk(chunk_bytes(*self._identity(), {}, "stop"), finish="stop"))
        if not self._usage_sent:
            self._usage_sent = True
            data = usage_chunk(*self._identity(), self.usage)
            closing.append(Chunk(data, usage=self.usage, usage_only=True))
        return closing

    def _identity(self) -> tuple[str, int, str]:
        """(id, created, model), the same in every chunk of the stream."""
        last = json.loads(self._last) if self._last else {}
        return (
            last.get("id", f"chatcmpl-{id(self):x}"),
            last.get("created", int(self._clock.now())),
            last.get("model", self.candidate.model.id),
        )

    @property
    def usage(self) -> Usage:
        """As the provider counted, else estimated from what has come so far."""
        if self._usage is not None:
            return self._usage
        return Usage(self._prompt_tokens, int(self._output) + 1, exact=False)

    def _broken(self, exc: UpstreamError) -> UpstreamError:
        if exc.kind is ErrorKind.CLIENT_GONE:
            return exc
        message = "it stalled" if exc.kind is ErrorKind.TIMEOUT else exc.message
        return UpstreamError(ErrorKind.STREAM_BROKEN, message, status=exc.status)

    def _end(self, error: UpstreamError | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            self._response.close()
            on_end(StreamEnd(self.usage, error))


class Rechunked:
    """A whole answer given as a stream: what is left of it is not worth closing."""

    def __init__(self, batches: Iterator[list[Chunk]]) -> None:
        self._batches = batches

    def __iter__(self) -> Rechunked:
        return self

    def __next__(self) -> list[Chunk]:
        return next(self._batches)

    def close(self) -> None:
        self._batches = iter(())
