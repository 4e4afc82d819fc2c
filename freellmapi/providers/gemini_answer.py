"""Gemini's answers, whole or in pieces, read as OpenAI's message and deltas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from freellmapi.core.catalog import Provider
from freellmapi.core.limits import Usage
from freellmapi.providers.answers import bad_answer, raise_in_band, tool_calls
from freellmapi.providers.gemini_messages import function_name
from freellmapi.providers.plain_text import Said, TextReader
from freellmapi.providers.signatures import Signature, SignatureMemory

Delta = dict[str, Any]

LENGTH = frozenset({"MAX_TOKENS", "CONTINUATION"})
FILTERED = frozenset(
    "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII LANGUAGE IMAGE_SAFETY "
    "IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION MODEL_ARMOR".split()
)
FAULTS = frozenset(
    "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS "
    "MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE".split()
)
"""Ends that are the model's own failure: another try, or another model, does better."""


class GeminiAnswer:
    """One answer as its payloads come: a stream has many, a whole answer is one.

    Raises ``UpstreamError`` for an error in a payload, and for an end among ``FAULTS``.
    """

    def __init__(
        self,
        provider: Provider,
        family: str,
        memory: SignatureMemory,
        tools: frozenset[str],
        new_id: Callable[[], str],
    ) -> None:
        self.id = ""
        self.finish: str | None = None
        """In OpenAI's words, once the provider has ended the answer."""
        self._provider = provider
        self._family = family
        self._memory = memory
        self._names = {function_name(name): name for name in tools}
        self._texts = TextReader(tools)
        self._new_id = new_id
        self._calls = 0
        self._text: list[str] = []
        self._said = False
        self._counts: Mapping[str, Any] = {}

    def take(self, payload: object) -> Delta:
        """What a payload adds, as an OpenAI delta; empty when it adds nothing to see."""
        raise_in_band(payload, self._provider)
        if not isinstance(payload, dict):
            raise bad_answer("The answer is not an object.")
        if not self.id and isinstance(payload.get("responseId"), str):
            self.id = payload["responseId"]
        self._counts = {**self._counts, **_object(payload.get("usageMetadata"))}
        candidates = _objects(payload.get("candidates"))
        if not candidates:
            if _object(payload.get("promptFeedback")).get("blockReason"):
                self.finish = "content_filter"
            return {}
        if self.finish is not None:
            return {}
        delta = self._parts(_objects(_object(candidates[0].get("content")).get("parts")))
        if candidates[0].get("finishReason"):
            delta = self._told(delta, self._texts.flush())
            self.finish = self._finished(str(candidates[0]["finishReason"]))
        return delta

    @property
    def usage(self) -> Usage | None:
        """What the provider counted so far; thinking is part of the completion."""
        prompt = _count(self._counts, "promptTokenCount", "toolUsePromptTokenCount")
        thoughts = _count(self._counts, "thoughtsTokenCount")
        completion = _count(self._counts, "candidatesTokenCount") + thoughts
        if not prompt and not completion:
            return None
        cached = _count(self._counts, "cachedContentTokenCount")
        return Usage(prompt, completion, reasoning_tokens=thoughts, cached_tokens=cached)

    def _parts(self, parts: list[dict[str, Any]]) -> Delta:
        delta: Delta = {}
        for part in parts:
            text = part["text"] if isinstance(part.get("text"), str) else ""
            signature = self._signature(part)
            if isinstance(part.get("functionCall"), dict):
                call = self._call(part["functionCall"], signature)
                delta = self._told(delta, self._texts.flush(), [call])
            elif part.get("thought") is True:
                delta = self._told(delta, Said(reasoning=text))
            else:
                delta = self._told(delta, self._texts.read(text) if text else Said())
                self._remember_text(signature)
        return delta

    def _told(self, delta: Delta, said: Said, calls: Sequence[dict[str, Any]] = ()) -> Delta:
        """The delta with what was said put behind what it holds."""
        made = [*tool_calls(list(said.calls), self._new_id), *calls]
        for index, call in enumerate(made, self._calls):
            call["index"] = index
        self._calls += len(made)
        self._text.append(said.text)
        more = (("reasoning_content", said.reasoning), ("content", said.text), ("tool_calls", made))
        told = {**delta, **{name: delta[name] + v if name in delta else v for name, v in more if v}}
        self._said = self._said or bool(told)
        return told

    def _call(self, call: Mapping[str, Any], signature: Signature | None) -> dict[str, Any]:
        name = call.get("name")
        if not isinstance(name, str) or not name:
            raise bad_answer("The answer calls a function without a name.")
        name = self._names.get(name, name)
        args = _object(call.get("args"))
        id = call.get("id")
        id = id if isinstance(id, str) and id else self._new_id()
        made: dict[str, Any] = {
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": orjson.dumps(args).decode()},
        }
        if signature is not None:
            self._memory.remember_call(id, name, args, signature)
            made["extra_content"] = {"google": {"thought_signature": signature.value}}
        return made

    def _signature(self, part: Mapping[str, Any]) -> Signature | None:
        value = part.get("thoughtSignature")
        return Signature(value, self._family) if isinstance(value, str) and value else None

    def _remember_text(self, signature: Signature | None) -> None:
        """Keeps a signature for the turn's whole text; it may come last and alone."""
        text = "".join(self._text) if signature else ""
        if signature is not None and text:
            self._memory.remember_text(text, signature)

    def _finished(self, reason: str) -> str:
        if reason in FAULTS:
            raise bad_answer(f"The answer ended with {reason}.")
        if reason in LENGTH:
            return "length"
        if reason in FILTERED:
            return "content_filter"
        if not self._said:
            raise bad_answer(f"The answer is empty ({reason[:40]}).")
        return "tool_calls" if self._calls else "stop"


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _count(counts: Mapping[str, Any], *names: str) -> int:
    found = [counts.get(name) for name in names]
    return sum(n for n in found if isinstance(n, int) and n > 0)
