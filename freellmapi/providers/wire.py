"""What a provider's format is to the rest of the program: pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import ChatRequest, Chunk, Completion
from freellmapi.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """A request in the provider's own format; the transport adds the secret."""

    path: str
    body: bytes


class StreamReader(Protocol):
    """Turns a streamed body into chunks, as the bytes come.

    Both methods raise ``UpstreamError``: ``BAD_ANSWER`` for what cannot be read, or what
    ``classify`` makes of an error found inside the stream. Chunks before a fault in the
    same bytes are returned first.
    """

    ended: bool
    """Whether nothing more need be read: the provider said that this was all (``[DONE]`` or
    its own end mark), or a fault was found behind the chunks that ``feed`` returned last,
    which ``close`` then raises."""

    def feed(self, data: bytes) -> list[Chunk]: ...

    def close(self) -> list[Chunk]:
        """What was still held back when the body ended."""
        ...


class Wire(Protocol):
    """A provider's format."""

    def call(self, chat: ChatRequest, provider: Provider, model: Model) -> Call:
        """The request as this provider takes it (``chat.stream`` says whether streamed)."""
        ...

    def completion(
        self,
        body: bytes,
        headers: Mapping[str, str],
        provider: Provider,
        model: Model,
        tools: frozenset[str] = frozenset(),
    ) -> Completion:
        """A 200 answer read; ``UpstreamError`` when it is not one after all.

        ``tools`` are the names that the request declared: a call of one of them that the
        model wrote as text is made a tool call.
        """
        ...

    def reader(
        self, provider: Provider, model: Model, tools: frozenset[str] = frozenset()
    ) -> StreamReader:
        """A reader for one streamed answer; ``tools`` as for ``completion``."""
        ...


@runtime_checkable
class Rescues(Protocol):
    """A format in which some refusals hold the answer after all."""

    def rescued(
        self, body: bytes, provider: Provider, model: Model, tools: frozenset[str]
    ) -> Completion | None:
        """The answer inside a 400 body, or None."""
        ...
