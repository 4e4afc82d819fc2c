"""Cohere's own wire: ``POST /v2/chat``, whole and streamed.

Answers are put into OpenAI's form event by event, and read on by OpenAI's wire.
Source: the types of Cohere's SDK 7.3.1 and docs.cohere.com (repository of 2026-08-20).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import ChatRequest, Chunk, Completion
from freellmapi.providers import answers
from freellmapi.providers.classify import classify_payload
from freellmapi.providers.cohere_answer import as_chunk, as_completion, ends, failure
from freellmapi.providers.cohere_messages import Names
from freellmapi.providers.cohere_request import request
from freellmapi.providers.openai import OpenAIWire
from freellmapi.providers.openai_chunks import ChunkSettler
from freellmapi.providers.openai_stream import OpenAIReader
from freellmapi.providers.wire import Call

NO_TOOLS: frozenset[str] = frozenset()


class CohereWire(OpenAIWire):
    """Cohere's format on both sides of OpenAI's."""

    def call(self, chat: ChatRequest, provider: Provider, model: Model) -> Call:
        """The request; ``UpstreamError`` (``REQUEST_REFUSED``) for content it cannot hold."""
        body = self._rules.of(provider, model).applied({"model": model.id, **chat.body})
        body["stream"] = chat.stream
        return Call(provider.chat_path, orjson.dumps(request(body, model)))

    def completion(
        self,
        body: bytes,
        headers: Mapping[str, str],
        provider: Provider,
        model: Model,
        tools: frozenset[str] = NO_TOOLS,
    ) -> Completion:
        payload = answers.parsed(body)
        answers.raise_in_band(payload, provider)
        if not isinstance(payload, dict):
            raise answers.bad_answer("The answer is JSON, but not an object.")
        return self._whole(as_completion(payload, Names(tools)), model, tools)

    def reader(
        self, provider: Provider, model: Model, tools: frozenset[str] = NO_TOOLS
    ) -> CohereReader:
        settler = ChunkSettler(tools, lambda event: self._envelope(event, model), self._new_call_id)
        return CohereReader(
            provider, settler, lambda event: self._whole(event, model, tools), Names(tools)
        )


class CohereReader(OpenAIReader):
    """One streamed answer: typed events, ended by ``message-end``."""

    __slots__ = ("_names",)

    def __init__(
        self,
        provider: Provider,
        settler: ChunkSettler,
        whole: Callable[[dict[str, Any]], Completion],
        names: Names,
    ) -> None:
        super().__init__(provider, settler, whole)
        self._names = names

    def _event(self, event: Any, payload: bytes | None) -> list[Chunk]:
        answers.raise_in_band(event, self._provider)
        if not isinstance(event, dict):
            raise answers.bad_answer("The stream sent JSON that is not an object.")
        told = failure(event)
        if told:
            raise classify_payload({"message": told}, self._provider)
        if isinstance(event.get("message"), dict):
            # A whole answer, from one who does not stream.
            whole = {**as_completion(event, self._names), "object": "chat.completion"}
            chunks = super()._event(whole, None)
            self._done(chunks)
            return chunks
        made = as_chunk(event, self._names)
        chunks = super()._event(made, None) if made else []
        if ends(event):
            self._done(chunks)
        return chunks
