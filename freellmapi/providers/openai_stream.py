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
from freellmapi.providers import answers, ollama
from freellmapi.providers.chunks import (
    CHUNK_OBJECT,
    as_chunks,
    usage_chunk,
    usage_in,
)
from freellmapi.providers.frames import Frames
from freellmapi.providers.plain_text import Said, TextReader
from freellmapi.providers.tool_deltas import ToolDeltas

_LOADED = frozenset({"error", "base_resp", "x_groq", "success"})
"""Fields beside the choices that may say more than a chunk of text does."""


class OpenAIReader:
    """One streamed answer.

    When ``ended`` turns true nothing more need be read: ``close()`` gives what is left, or
    raises the fault that was found behind the chunks which ``feed`` returned last.
    """

    __slots__ = (
        "_begun",
        "_calls",
        "_created",
        "_envelope",
        "_fault",
        "_finish",
        "_frames",
        "_id",
        "_model",
        "_provider",
        "_said",
        "_texts",
        "_usage",
        "_whole",
        "ended",
    )

    def __init__(
        self,
        provider: Provider,
        tools: frozenset[str],
        envelope: Callable[[dict[str, Any]], tuple[str, int, str]],
        whole: Callable[[dict[str, Any]], Completion],
        new_call_id: Callable[[], str],
    ) -> None:
        self.ended = False
        self._provider = provider
        self._envelope = envelope
        self._whole = whole
        self._frames = Frames()
        self._texts = TextReader(tools)
        self._calls = ToolDeltas(new_call_id)
        self._id, self._created, self._model = "", 0, ""
        self._begun = False
        self._said = False
        self._finish: str | None = None
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
        if not self.ended:
            self.ended = self._finish is not None
            chunks += self._end()
        return chunks

    def _read(self, frames: Callable[..., list[bytes]], *data: bytes) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for payload in frames(*data):
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
                self.ended = True
                chunks += self._end()
            elif mark:
                chunks += self._event(answers.parsed_odd(mark), None)
            return
        text = self._ordinary_text(event)
        if text and b"\n" not in payload:
            chunks.append(Chunk(payload, text))
        else:
            chunks += self._event(event, None if b"\n" in payload else payload)

    def _ordinary_text(self, event: Any) -> str | None:
        """The text of a chunk that is good as it came; None when it must be looked into."""
        if (
            not self._begun
            or type(event) is not dict
            or event.get("id") != self._id
            or event.get("created") != self._created
            or event.get("model") != self._model
            or event.get("object") != CHUNK_OBJECT
            or event.get("usage") is not None
            or event.get("service_tier") not in answers.SERVICE_TIERS
            or event.keys() & _LOADED
        ):
            return None
        choices = event.get("choices")
        if type(choices) is not list or len(choices) != 1:
            return None
        return self._choice_text(choices[0])

    def _choice_text(self, choice: Any) -> str | None:
        if (
            type(choice) is not dict
            or choice.get("index") != 0
            or choice.get("finish_reason") is not None
            or choice.get("logprobs") is not None
            or "usage" in choice
            or self._finish is not None
        ):
            return None
        delta = choice.get("delta")
        if type(delta) is not dict:
            return None
        text = delta.get("content")
        if type(text) is not str or not self._texts.passes(text):
            return None
        return text if len(delta) == 1 or _is_only_text(delta) else None

    def _event(self, event: Any, payload: bytes | None) -> list[Chunk]:
        """The chunks of one event; ``payload`` is its JSON if that may be passed on."""
        answers.raise_in_band(event, self._provider)
        if not isinstance(event, dict):
            raise answers.bad_answer("The stream sent JSON that is not an object.")
        if ollama.is_native(event):
            event, payload = ollama.as_openai(event, "delta"), None
        self._usage = usage_in(event) or self._usage
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return []
        if event.get("object") == "chat.completion":
            return self._whole_answer(event)
        if not self._begun:
            self._id, self._created, self._model = self._envelope(event)
        return self._chunk(event, choices[0], payload)

    def _chunk(
        self, event: dict[str, Any], choice: dict[str, Any], payload: bytes | None
    ) -> list[Chunk]:
        changed = self._settle_event(event, choice)
        changed = self._settle_choice(choice) or changed
        delta = choice["delta"]
        finish = choice.get("finish_reason")
        speaks = any(delta.get(name) for name in delta if name not in ("role", "content"))
        if self._begun and not finish and not speaks and not delta.get("content"):
            return []
        if not self._begun and "role" not in delta:
            choice["delta"] = delta = {"role": "assistant", **delta}
            changed = True
        self._begun = True
        self._finish = finish or self._finish
        data = orjson.dumps(event) if changed or payload is None else payload
        return [_chunk(data, delta, finish)]

    def _settle_event(self, event: dict[str, Any], choice: dict[str, Any]) -> bool:
        changed = answers.settle_tier(event)
        for name, value in (
            ("id", self._id),
            ("object", CHUNK_OBJECT),
            ("created", self._created),
            ("model", self._model),
        ):
            if event.get(name) != value:
                event[name] = value
                changed = True
        if event.get("usage") is not None:
            del event["usage"]
            changed = True
        if len(event["choices"]) != 1:
            event["choices"] = [choice]
            changed = True
        return changed

    def _settle_choice(self, choice: dict[str, Any]) -> bool:
        changed = answers.settle_logprobs(choice)
        if choice.get("index") != 0:
            choice["index"] = 0
            changed = True
        if choice.pop("usage", None) is not None:
            changed = True
        if not isinstance(choice.get("delta"), dict):
            message = choice.pop("message", None)
            choice["delta"] = message if isinstance(message, dict) else {}
            changed = True
        raw = choice.get("finish_reason")
        finish = None if self._finish else answers.finish_reason(raw)
        changed = self._settle_delta(choice["delta"], last=finish is not None) or changed
        if finish is not None:
            finish = self._checked(finish)
        if finish != raw:
            choice["finish_reason"] = finish
            changed = True
        return changed

    def _settle_delta(self, delta: dict[str, Any], last: bool) -> bool:
        changed = answers.settle_content(delta)
        if delta.get("role") not in (None, "assistant"):
            delta["role"] = "assistant"
            changed = True
        changed = self._settle_text(delta, last or bool(delta.get("tool_calls"))) or changed
        if delta.get("tool_calls"):
            changed = self._calls.settle(delta) or changed
        self._said = self._said or any(delta.get(name) for name in delta if name != "role")
        return changed

    def _settle_text(self, delta: dict[str, Any], last: bool) -> bool:
        content = delta.get("content") or ""
        said = self._texts.read(content) if content else Said()
        if last:
            said = said + self._texts.flush()
        if said.text == content and not said.reasoning and not said.calls:
            return False
        delta["content"] = said.text
        if said.reasoning:
            delta["reasoning_content"] = (delta.get("reasoning_content") or "") + said.reasoning
        if said.calls:
            delta["tool_calls"] = [*said.calls, *(delta.get("tool_calls") or ())]
        return True

    def _checked(self, finish: str) -> str:
        """The last word on why the answer ended; raises if there was no answer at all."""
        if not self._said and finish not in ("length", "content_filter"):
            raise answers.bad_answer("The answer is empty.")
        if len(self._calls):
            return "tool_calls" if finish == "stop" else finish
        return "stop" if finish == "tool_calls" else finish

    def _whole_answer(self, event: dict[str, Any]) -> list[Chunk]:
        """A whole answer in the stream: instead of chunks, or once more after them."""
        if self._begun:
            return []
        completion = self._whole(event)
        body = completion.body
        self._id, self._created, self._model = body["id"], body["created"], body["model"]
        self._begun = self._said = True
        self._finish = body["choices"][0]["finish_reason"]
        return [chunk for chunk in as_chunks(completion) if not chunk.usage_only]

    def _end(self) -> list[Chunk]:
        """What is still owed: held text and ``finish_reason`` if all was said, and usage.

        Text that was held back when the stream broke off is left out: whoever continues the
        answer does so from what was passed on.
        """
        if not self._id:
            self._id, self._created, self._model = self._envelope({})
        chunks: list[Chunk] = []
        if self.ended and self._finish is None:
            choice: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "stop"}
            event = {"choices": [choice]}
            chunks += self._chunk(event, choice, None)
        if self._usage is not None:
            data = usage_chunk(self._id, self._created, self._model, self._usage)
            chunks.append(Chunk(data, usage=self._usage, usage_only=True))
        return chunks


def _is_only_text(delta: dict[str, Any]) -> bool:
    return delta.get("role") in (None, "assistant") and not any(
        value for name, value in delta.items() if name not in ("role", "content")
    )


def _chunk(data: bytes, delta: dict[str, Any], finish: str | None) -> Chunk:
    return Chunk(
        data,
        text=delta.get("content") or "",
        reasoning=bool(delta.get("reasoning_content")),
        tools=bool(delta.get("tool_calls")),
        finish=finish,
    )
