"""Google's own wire: ``generateContent``, whole and streamed.

Source: the types of google-genai 3.4.0 and ai.google.dev/gemini-api/docs, read 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import orjson

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import ChatRequest, Chunk, Completion
from freellmapi.core.clock import Clock, SystemClock
from freellmapi.core.errors import UpstreamError
from freellmapi.providers.answers import bad_answer, parsed
from freellmapi.providers.chunks import chunk_bytes, usage_chunk, usage_dict
from freellmapi.providers.frames import Frames
from freellmapi.providers.gemini_answer import Delta, GeminiAnswer
from freellmapi.providers.gemini_request import request
from freellmapi.providers.signatures import SignatureMemory
from freellmapi.providers.wire import Call

NO_TOOLS: frozenset[str] = frozenset()


def new_call_id() -> str:
    """An id for a call that came without one."""
    return f"call_{uuid4().hex[:24]}"


class GeminiWire:
    """Gemini's format. Its one piece of state is the bounded memory of signatures."""

    def __init__(
        self,
        clock: Clock | None = None,
        memory: SignatureMemory | None = None,
        new_id: Callable[[], str] = new_call_id,
    ) -> None:
        self._clock = clock or SystemClock()
        self._memory = memory or SignatureMemory()
        self._new_id = new_id

    def call(self, chat: ChatRequest, provider: Provider, model: Model) -> Call:
        """The request; ``UpstreamError`` (``REQUEST_REFUSED``) for content it cannot hold.

        Images must be data URLs by now: Gemini fetches nothing, and neither does a wire.
        """
        verb = "streamGenerateContent?alt=sse" if chat.stream else "generateContent"
        name = quote(model.id.removeprefix("models/"), safe="")
        body = request(chat.body, provider, model, self._memory)
        return Call(f"/models/{name}:{verb}", orjson.dumps(body))

    def completion(
        self,
        body: bytes,
        headers: Mapping[str, str],
        provider: Provider,
        model: Model,
        tools: frozenset[str] = NO_TOOLS,
    ) -> Completion:
        """A whole answer. A blocked prompt is one too: ``content_filter``, and no text."""
        answer = self._answer(provider, model, tools)
        message = _joined(answer.take(payload) for payload in _payloads(body))
        if answer.finish is None:
            raise bad_answer("The answer has no candidates, or no end.")
        usage = answer.usage
        made: dict[str, Any] = {
            "id": answer.id or self._chat_id(),
            "object": "chat.completion",
            "created": int(self._clock.now()),
            "model": model.id,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": answer.finish,
                }
            ],
        }
        if usage is not None:
            made["usage"] = usage_dict(usage)
        return Completion(made, usage)

    def reader(
        self, provider: Provider, model: Model, tools: frozenset[str] = NO_TOOLS
    ) -> GeminiReader:
        answer = self._answer(provider, model, tools)
        return GeminiReader(answer, self._chat_id(), int(self._clock.now()), model.id)

    def _answer(self, provider: Provider, model: Model, tools: frozenset[str]) -> GeminiAnswer:
        family = model.family or model.id
        return GeminiAnswer(provider, family, self._memory, tools, self._new_id)

    def _chat_id(self) -> str:
        return f"chatcmpl-{self._new_id().removeprefix('call_')}"


class GeminiReader:
    """One streamed answer: SSE without ``[DONE]``, or the array that comes without SSE.

    A stream that breaks off before a ``finishReason`` leaves ``ended`` False. Usage is
    given once: right after the end, or on ``close`` if it came later or never came whole.
    """

    def __init__(self, answer: GeminiAnswer, id: str, created: int, model: str) -> None:
        self.ended = False
        self._answer = answer
        self._frames = Frames()
        self._head = (id, created, model)
        self._begun = False
        self._counted = False
        self._fault: UpstreamError | None = None

    def feed(self, data: bytes) -> list[Chunk]:
        return [] if self._fault else self._read(self._frames.feed, data)

    def close(self) -> list[Chunk]:
        chunks = [] if self._fault else self._read(self._frames.close)
        if self._fault and not chunks:
            raise self._fault
        return chunks + self._usage()

    def _read(self, frames: Callable[..., list[bytes]], *data: bytes) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for frame in frames(*data):
                for payload in _payloads(frame):
                    chunks += self._payload(payload)
        except UpstreamError as fault:
            # What came before the fault is good: it goes out first, however the bytes fell.
            self.ended = True
            self._fault = fault
            if not chunks:
                raise
        return chunks

    def _payload(self, payload: object) -> list[Chunk]:
        delta = self._answer.take(payload)
        chunks = [self._chunk(delta)] if delta else []
        if self._answer.finish is not None and not self.ended:
            self.ended = True
            chunks.append(self._chunk({}, self._answer.finish))
            chunks += self._usage()
        return chunks

    def _chunk(self, delta: Delta, finish: str | None = None) -> Chunk:
        text = delta.get("content", "")
        reasoning, tools = "reasoning_content" in delta, "tool_calls" in delta
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", **(delta or {"content": ""})}
        data = chunk_bytes(*self._head, delta, finish)
        return Chunk(data, text=text, reasoning=reasoning, tools=tools, finish=finish)

    def _usage(self) -> list[Chunk]:
        usage = self._answer.usage
        if usage is None or self._counted:
            return []
        self._counted = True
        if not self.ended:
            usage = replace(usage, exact=False)
        return [Chunk(usage_chunk(*self._head, usage), usage=usage, usage_only=True)]


def _payloads(frame: bytes) -> list[Any]:
    """The answers in one frame: one, or all of an array."""
    if frame.strip() in (b"", b"[DONE]"):
        return []
    payload = parsed(frame)
    return payload if isinstance(payload, list) and payload else [payload]


def _joined(deltas: Iterable[Delta]) -> dict[str, Any]:
    """The message that a stream of deltas makes."""
    text = reasoning = ""
    calls: list[dict[str, Any]] = []
    for delta in deltas:
        text += delta.get("content", "")
        reasoning += delta.get("reasoning_content", "")
        calls += delta.get("tool_calls", ())
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = [
            {name: value for name, value in call.items() if name != "index"} for call in calls
        ]
    return message
