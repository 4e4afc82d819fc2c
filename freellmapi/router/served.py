"""What the client reads of a streamed answer, whichever providers it comes from in the end."""

from __future__ import annotations

import logging
from collections.abc import Callable

import orjson

from freellmapi.core.chat import Chunk
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.route import TokenStream
from freellmapi.router.continuation import Joint

log = logging.getLogger(__name__)

ANY_TEXT = ("utf-8", "surrogatepass")
"""How text is kept as bytes: some models end a piece in the middle of a character."""

Resume = Callable[[str], tuple[TokenStream, str]]
"""Given what was said so far: a stream that goes on with it and who gives it
(``provider/model``). Raises ``UpstreamError`` when nobody can."""


class ServedStream:
    """One uninterrupted stream of chunks.

    When the provider dies or stalls after the first token and only text was sent, another
    goes on; a comment tells who. ``on_end`` is called exactly once, with the error that
    ended it or None.
    """

    def __init__(
        self,
        first: TokenStream,
        prompt_tokens: int,
        resume: Resume | None,
        on_end: Callable[[UpstreamError | None], None],
    ) -> None:
        self._stream = first
        self._prompt_tokens = prompt_tokens
        self._resume = resume
        self._on_end: Callable[[UpstreamError | None], None] | None = on_end
        self._joint: Joint | None = None
        # A text for each token would take ten times as much.
        self._said = bytearray()
        self._head = b""
        self._text_only = True
        self._finished = False

    def __iter__(self) -> ServedStream:
        return self

    def __next__(self) -> list[Chunk]:
        """The next chunks, none after a ping's interval; ``UpstreamError`` when it is lost."""
        try:
            batch = next(self._stream)
        except StopIteration:
            self._end(None)
            raise
        except UpstreamError as error:
            return self._go_on(error)
        if self._joint is not None:
            return self._noted(self._joint.chunks(batch)) if batch else batch
        return self._noted(batch)

    def close(self) -> None:
        """End it here; harmless when it has ended."""
        self._stream.close()
        if self._on_end is not None:
            self._end(None if self._finished else _gone())

    def _noted(self, batch: list[Chunk]) -> list[Chunk]:
        if self._resume is not None:
            for chunk in batch:
                if chunk.text:
                    self._said += chunk.text.encode(*ANY_TEXT)
                if chunk.tools:
                    self._text_only = False
                if chunk.finish is not None:
                    self._finished = True
                self._head = self._head or chunk.data
        elif batch and batch[-1].finish is not None:
            self._finished = True
        return batch

    def _go_on(self, error: UpstreamError) -> list[Chunk]:
        """A comment, once another candidate has begun to continue; else the error stands."""
        if self._resume is None or not self._text_only or error.kind is ErrorKind.CLIENT_GONE:
            self._end(error)
            raise error
        said = self._said.decode(*ANY_TEXT)
        try:
            self._stream, by = self._resume(said)
        except UpstreamError as gone:
            self._end(gone)
            raise
        log.info("stream resumed by=%s after=%s chars=%d", by, error.message, len(said))
        self._joint = Joint(self._identity(), said, self._prompt_tokens)
        return [Chunk(b"", comment=f"resumed on {by}")]

    def _identity(self) -> tuple[str, int, str]:
        """(id, created, model) of the chunks that the client has seen."""
        head = orjson.loads(self._head) if self._head else {}
        return head.get("id", ""), head.get("created", 0), head.get("model", "")

    def _end(self, error: UpstreamError | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(error)


def _gone() -> UpstreamError:
    return UpstreamError(ErrorKind.CLIENT_GONE, "the client left")
