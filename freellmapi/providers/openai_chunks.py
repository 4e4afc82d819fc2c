"""One stream's chunks brought to the form that OpenAI's own client takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from freellmapi.core.chat import Chunk, Completion
from freellmapi.providers import answers
from freellmapi.providers.chunks import CHUNK_OBJECT, as_chunks
from freellmapi.providers.plain_text import NOTHING, TextReader
from freellmapi.providers.tool_deltas import ToolDeltas

Envelope = tuple[str, int, str]
"""Id, time of creation (epoch seconds) and model: the same in all chunks of a stream."""

_LOADED = frozenset({"error", "base_resp", "x_groq", "success"})
"""Fields beside the choices that may say more than a chunk of text does."""

_REASONING = b'"reasoning":'


class _Mould:
    """What stands around the text in the JSON of chunks of text, the same in most of a stream.

    A chunk that differs from one that was looked into by its text alone is as good as that
    one. To see so takes a fifth of parsing it and looking into it.
    """

    __slots__ = ("_after", "_around", "_before")

    def __init__(self) -> None:
        self._before, self._after, self._around = b"?", b"?", 0

    def fit(self, payload: bytes, text: str) -> None:
        """Take the mould of a chunk with this text, if it stands there once, as it is."""
        raw = b'"%b"' % text.encode("utf-8", "surrogatepass")
        before, found, after = payload.partition(raw)
        is_content = before.rstrip().endswith(b'"content":')
        if found and is_content and raw not in after and _is_plain(text):
            self._before, self._after = before + b'"', b'"' + after
            self._around = len(self._before) + len(self._after)

    def text(self, payload: bytes) -> str | None:
        """The text of a chunk of this mould; None for any other."""
        if not payload.startswith(self._before) or not payload.endswith(self._after):
            return None
        if len(payload) <= self._around:
            return None
        try:
            text = payload[len(self._before) : -len(self._after)].decode()
        except UnicodeDecodeError:
            return None
        return text if _is_plain(text) else None


def _is_plain(text: str) -> bool:
    """Whether a text is written in JSON as it is: nothing in it is or need be escaped."""
    return '"' not in text and "\\" not in text and text.isprintable()


class ChunkSettler:
    """What is known of one stream so far, and each event's chunk made to fit it."""

    __slots__ = (
        "_calls",
        "_created",
        "_envelope",
        "_id",
        "_model",
        "_mould",
        "_said",
        "_texts",
        "begun",
        "finish",
    )

    def __init__(
        self,
        tools: frozenset[str],
        envelope: Callable[[dict[str, Any]], Envelope],
        new_call_id: Callable[[], str],
    ) -> None:
        self._envelope = envelope
        self._id, self._created, self._model = "", 0, ""
        self._texts = TextReader(tools)
        self._calls = ToolDeltas(new_call_id)
        self._mould = _Mould()
        self._said = False
        self.begun = False
        """Whether a chunk has been passed on."""
        self.finish: str | None = None

    def identity(self, event: dict[str, Any]) -> Envelope:
        """The stream's envelope, taken from ``event`` if none was known."""
        if not self._id:
            self._id, self._created, self._model = self._envelope(event)
        return self._id, self._created, self._model

    def alike(self, payload: bytes) -> Chunk | None:
        """The chunk of an event that is like an ordinary one before it but for its text."""
        text = self._mould.text(payload)
        return Chunk(payload, text) if text and self._texts.passes(text) else None

    def ordinary(self, event: Any, payload: bytes) -> Chunk | None:
        """The chunk of an event that is good as it came; None when it must be looked into."""
        if (
            not self.begun
            or type(event) is not dict
            or event.get("id") != self._id
            or event.get("created") != self._created
            or event.get("model") != self._model
            or event.get("object") != CHUNK_OBJECT
            or event.get("usage") is not None
            or event.get("service_tier") not in answers.SERVICE_TIERS
            or not _LOADED.isdisjoint(event)
        ):
            return None
        choices = event.get("choices")
        if type(choices) is not list or len(choices) != 1:
            return None
        delta = self._ordinary_delta(choices[0])
        return None if delta is None else self._ordinary_chunk(delta, payload)

    def _ordinary_delta(self, choice: Any) -> dict[str, Any] | None:
        if (
            type(choice) is not dict
            or choice.get("index") != 0
            or choice.get("finish_reason") is not None
            or choice.get("logprobs") is not None
            or "usage" in choice
            or "error" in choice
        ):
            return None
        delta = choice.get("delta")
        return delta if type(delta) is dict else None

    def _ordinary_chunk(self, delta: dict[str, Any], payload: bytes) -> Chunk | None:
        text = delta.get("content")
        if text:
            if type(text) is str and self._texts.passes(text) and _is_only("content", delta):
                self._mould.fit(payload, text)
                return Chunk(payload, text)
        elif self._said:
            calls = delta.get("tool_calls")
            if not calls:
                return _ordinary_thought(delta, payload)
            if self._calls.go_on(calls) and _is_only("tool_calls", delta):
                return Chunk(payload, tools=True)
        return None

    def chunk(
        self, event: dict[str, Any], choice: dict[str, Any], payload: bytes | None
    ) -> list[Chunk]:
        """The chunk of an event, none if nothing is left to say.

        ``payload`` is the event's JSON where that may be passed on as it is.
        """
        changed = self._settle_event(event, choice)
        changed = self._settle_choice(choice) or changed
        delta = choice["delta"]
        finish = choice.get("finish_reason")
        if self.begun and not finish and not _speaks(delta):
            return []
        if not self.begun and "role" not in delta:
            choice["delta"] = delta = {"role": "assistant", **delta}
            changed = True
        self.begun = True
        self.finish = finish or self.finish
        data = orjson.dumps(event) if changed or payload is None else payload
        return [_chunk(data, delta, finish)]

    def whole(self, completion: Completion) -> list[Chunk]:
        """The chunks of an answer that came whole, without its usage."""
        body = completion.body
        self._id, self._created, self._model = body["id"], body["created"], body["model"]
        self.begun = self._said = True
        self.finish = body["choices"][0]["finish_reason"]
        return [chunk for chunk in as_chunks(completion) if not chunk.usage_only]

    def last(self) -> list[Chunk]:
        """Held text and the ``finish_reason`` that a proper end without one lacks."""
        if self.finish is not None:
            return []
        choice: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "stop"}
        return self.chunk({"choices": [choice]}, choice, None)

    def _settle_event(self, event: dict[str, Any], choice: dict[str, Any]) -> bool:
        id, created, model = self.identity(event)
        changed = answers.settle_tier(event)
        for name, value in (
            ("id", id),
            ("object", CHUNK_OBJECT),
            ("created", created),
            ("model", model),
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
        finish = None if self.finish else answers.finish_reason(raw)
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
        self._said = self._said or _speaks(delta)
        return changed

    def _settle_text(self, delta: dict[str, Any], last: bool) -> bool:
        content = delta.get("content") or ""
        said = self._texts.read(content) if content else NOTHING
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
        return answers.settled_finish(finish, calls=bool(len(self._calls)))


def _speaks(delta: dict[str, Any]) -> bool:
    return any(value for name, value in delta.items() if name != "role")


def _ordinary_thought(delta: dict[str, Any], payload: bytes) -> Chunk | None:
    thought = delta.get("reasoning_content")
    if thought:
        if type(thought) is str and _is_only("reasoning_content", delta):
            return Chunk(payload, reasoning=True)
        return None
    # Half the providers say ``reasoning``. A quote within a JSON string is escaped, so these
    # bytes can only be the key, which is renamed where it stands.
    thought = delta.get("reasoning")
    if (
        thought
        and type(thought) is str
        and "reasoning_content" not in delta
        and payload.count(_REASONING) == 1
        and _is_only("reasoning", delta)
    ):
        return Chunk(payload.replace(_REASONING, b'"reasoning_content":'), reasoning=True)
    return None


def _is_only(field: str, delta: dict[str, Any]) -> bool:
    """Whether a delta says nothing but ``field`` (``reasoning_details`` may stand beside it)."""
    if len(delta) == 1:
        return True
    return delta.get("role") in (None, "assistant") and not any(
        value
        for name, value in delta.items()
        if name != field and name not in ("role", "reasoning_details")
    )


def _chunk(data: bytes, delta: dict[str, Any], finish: str | None) -> Chunk:
    return Chunk(
        data,
        text=delta.get("content") or "",
        reasoning=bool(delta.get("reasoning_content")),
        tools=bool(delta.get("tool_calls")),
        finish=finish,
    )
