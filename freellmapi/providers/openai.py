"""OpenAI's chat completions as its many imitators speak them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import ChatRequest, Completion
from freellmapi.core.clock import Clock, SystemClock
from freellmapi.core.errors import UpstreamError
from freellmapi.providers import answers, cloudflare, ollama
from freellmapi.providers.chunks import usage_dict, usage_in
from freellmapi.providers.openai_chunks import ChunkSettler
from freellmapi.providers.openai_stream import OpenAIReader
from freellmapi.providers.plain_text import read_whole
from freellmapi.providers.quirks import RulesByModel
from freellmapi.providers.wire import Call


def _random_id() -> str:
    return uuid.uuid4().hex


class OpenAIWire:
    """The wire of all providers that take OpenAI's requests, each with its quirks.

    ``new_id`` gives the random part of an id where the provider left one out.
    """

    def __init__(self, clock: Clock | None = None, new_id: Callable[[], str] = _random_id) -> None:
        self._now = (clock or SystemClock()).now
        self._new_id = new_id
        self._rules = RulesByModel()

    def call(self, chat: ChatRequest, provider: Provider, model: Model) -> Call:
        rules = self._rules.of(provider, model)
        body: dict[str, Any] = {"model": model.id, **chat.body}
        if chat.stream and rules.streams:
            body["stream"] = True
            if rules.counts_stream:
                body["stream_options"] = {"include_usage": True}
        return Call(provider.chat_path, orjson.dumps(rules.applied(body)))

    def completion(
        self,
        body: bytes,
        headers: Mapping[str, str],
        provider: Provider,
        model: Model,
        tools: frozenset[str] = frozenset(),
    ) -> Completion:
        payload = answers.parsed(body)
        answers.raise_in_band(payload, provider)
        if not isinstance(payload, dict):
            raise answers.bad_answer("The answer is JSON, but not an object.")
        if ollama.is_native(payload):
            payload = ollama.as_openai(payload, "message")
        elif cloudflare.is_native(payload):
            payload = cloudflare.as_openai(payload, "message")
        return self._whole(payload, model, tools)

    def reader(
        self, provider: Provider, model: Model, tools: frozenset[str] = frozenset()
    ) -> OpenAIReader:
        settler = ChunkSettler(tools, lambda event: self._envelope(event, model), self._new_call_id)
        return OpenAIReader(provider, settler, lambda event: self._whole(event, model, tools))

    def rescued(
        self, body: bytes, provider: Provider, model: Model, tools: frozenset[str]
    ) -> Completion | None:
        """The tool calls in a refusal that quotes what the model wrote; None if there are none.

        Groq answers 400 ``tool_use_failed`` with the text in ``error.failed_generation``.
        """
        try:
            payload = answers.parsed(body)
            text = payload["error"]["failed_generation"]
            choice = {"message": {"content": text}, "finish_reason": "stop"}
            completion = self._whole({"choices": [choice]}, model, tools)
        except (UpstreamError, KeyError, TypeError):
            return None
        called = "tool_calls" in completion.body["choices"][0]["message"]
        return completion if called else None

    def _whole(self, payload: dict[str, Any], model: Model, tools: frozenset[str]) -> Completion:
        choices = payload.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise answers.bad_answer("The answer has no choices.")
        usage = usage_in(payload)
        payload["choices"] = [self._choice(choices[0], tools)]
        answers.settle_tier(payload)
        id, created, name = self._envelope(payload, model)
        payload.update(id=id, object="chat.completion", created=created, model=name)
        raw = payload.pop("usage", None)
        if usage is not None:
            extra = raw if isinstance(raw, dict) else {}
            payload["usage"] = answers.merged_usage(extra, usage_dict(usage))
        return Completion(payload, usage)

    def _choice(self, choice: dict[str, Any], tools: frozenset[str]) -> dict[str, Any]:
        raw = choice.get("message")
        message: dict[str, Any] = {**raw, "role": "assistant"} if isinstance(raw, dict) else {}
        if not message and isinstance(choice.get("text"), str):
            message = {"role": "assistant", "content": choice["text"]}
        finish = answers.finish_reason(choice.get("finish_reason")) or "stop"
        self._settle_message(message, tools)
        speaks = any(value for name, value in message.items() if name != "role")
        if not speaks and finish not in ("length", "content_filter"):
            raise answers.bad_answer("The answer is empty.")
        finish = answers.settled_finish(finish, calls=bool(message.get("tool_calls")))
        answers.settle_logprobs(choice)
        kept = {name: value for name, value in choice.items() if name != "usage"}
        message = {"role": "assistant", "content": None, **message}
        return {**kept, "index": 0, "message": message, "finish_reason": finish}

    def _settle_message(self, message: dict[str, Any], tools: frozenset[str]) -> None:
        answers.settle_content(message)
        calls = answers.tool_calls(message.pop("tool_calls", None), self._new_call_id)
        said = read_whole(message.get("content") or "", frozenset() if calls else tools)
        calls += answers.tool_calls(list(said.calls), self._new_call_id)
        if said.reasoning:
            given = message.get("reasoning_content") or ""
            message["reasoning_content"] = given + said.reasoning
        if calls:
            message["tool_calls"] = calls
        message["content"] = said.text or (None if calls else "")

    def _envelope(self, payload: Mapping[str, Any], model: Model) -> tuple[str, int, str]:
        """Id, time of creation and model: the provider's own where they are well formed."""
        id, created, name = payload.get("id"), payload.get("created"), payload.get("model")
        return (
            id if isinstance(id, str) and id else f"chatcmpl-{self._new_id()}",
            int(created) if isinstance(created, (int, float)) and created else int(self._now()),
            name if isinstance(name, str) and name else model.id,
        )

    def _new_call_id(self) -> str:
        return f"call_{self._new_id()[-24:]}"
