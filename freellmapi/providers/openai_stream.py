"""The reader of a streamed answer in OpenAI's form, as providers really send it.

An ordinary chunk is parsed once, looked at, and passed on as the bytes that came; only what
OpenAI's own client would stumble over is written anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from freellmapi.core.catalog import Provider
from freellmapi.core.chat import Chunk, Completion
from freellmapi.core.errors import UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.providers import answers, cloudflare, ollama
from freellmapi.providers.chunks import usage_chunk, usage_in
from freellmapi.providers.frames import Frames
from freellmapi.providers.openai_chunks import ChunkSettler


class OpenAIReader:
    """One streamed answer.

    When ``ended`` turns true nothing more need be read: ``close()`` gives what is left, or
    raises the fault that was found behind the chunks which ``feed`` returned last.
    """

    __slots__ = (
        "_fault",
        "_frames",
        "_provider",
        "_settler",
        "_usage",
        "_whole",
        "ended",
    )

    def __init__(
        self,
        provider: Provider,
        settler: ChunkSettler,
        whole: Callable[[dict[str, Any]], Completion],
    ) -> None:
        self.ended = False
        self._provider = provider
        self._settler = settler
        self._whole = whole
        self._frames = Frames()
        self._usage: Usage | None = None
        self._fault: UpstreamError | None = None

    def feed(self, data: bytes) -> list[Chunk]:
        return [] if self.ended else self._read(self._frames.feed, data)

    def close(self) -> list[Chunk]:
        if self._fault is not None:
            raise self._fault
        if self.ended:
            return []
        chunks = self._read(self._frames.close)
        return chunks + self._owed_usage()

    def _read(self, frames: Callable[..., list[bytes]], *data: bytes) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for payload in frames(*data):
                chunk = self._settler.alike(payload)
                if chunk is not None:
                    chunks.append(chunk)
                    continue
                self._take(payload, chunks)
                if self.ended:
                    break
        except UpstreamError as fault:
            # What came before the fault is good and is passed on first, so that it makes
            # no difference how the bytes were split.
            self.ended = True
            self._fault = fault
            if not chunks:
                raise
        return chunks

    def _take(self, payload: bytes, chunks: list[Chunk]) -> None:
        try:
            event = orjson.loads(payload)
        except orjson.JSONDecodeError:
            mark = payload.strip()
            if mark == b"[DONE]":
                self._done(chunks)
            elif mark:
                chunks += self._event(answers.parsed_odd(mark), None)
            return
        if b"\n" in payload:
            # An event of several data lines: it must go out as one.
            chunks += self._event(event, None)
            return
        chunk = self._settler.ordinary(event, payload)
        if chunk is not None:
            chunks.append(chunk)
        else:
            chunks += self._event(event, payload)

    def _done(self, chunks: list[Chunk]) -> None:
        """The provider's own end: what was held back, ``finish_reason`` and usage are due.

        After a body that just stops, held text is left out: whoever continues the answer
        does so from what was passed on.
        """
        chunks += self._settler.last()
        chunks += self._owed_usage()
        self.ended = True

    def _owed_usage(self) -> list[Chunk]:
        usage, self._usage = self._usage, None
        if usage is None:
            return []
        id, created, model = self._settler.identity({})
        return [Chunk(usage_chunk(id, created, model, usage), usage=usage, usage_only=True)]

    def _event(self, event: Any, payload: bytes | None) -> list[Chunk]:
        """The chunks of one event; ``payload`` is its JSON if that may be passed on."""
        answers.raise_in_band(event, self._provider)
        if not isinstance(event, dict):
            raise answers.bad_answer("The stream sent JSON that is not an object.")
        if ollama.is_native(event):
            event, payload = ollama.as_openai(event, "delta"), None
        elif cloudflare.is_native(event):
            event, payload = cloudflare.as_openai(event, "delta"), None
        self._usage = usage_in(event) or self._usage
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return []
        choice = choices[0]
        if event.get("object") == "chat.completion" and not choice.get("delta"):
            # A whole answer instead of chunks, or (MiniMax) once more after them.
            return [] if self._settler.begun else self._settler.whole(self._whole(event))
        return self._settler.chunk(event, choice, payload)
