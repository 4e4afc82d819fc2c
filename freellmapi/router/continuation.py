"""Going on with an answer whose provider died: the request for the rest, and its joining."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson

from freellmapi.core.chat import ChatRequest, Chunk
from freellmapi.core.estimate import text_tokens
from freellmapi.core.limits import Usage
from freellmapi.providers.chunks import chunk_bytes, usage_chunk
from freellmapi.router.seam import Seam

GO_ON = (
    "Your answer was cut off after the text above. Continue it exactly where it stops: begin "
    "with the very next characters, repeat nothing, and say nothing about this interruption."
)


def is_resumable(chat: ChatRequest) -> bool:
    """Whether an answer to this request could be continued by another model.

    JSON mode and ``logprobs`` cannot be joined; tool calls are judged as they come.
    """
    body = chat.body
    return not body.get("response_format") and not body.get("logprobs")


def requests_for_the_rest(chat: ChatRequest, said: str) -> Iterator[ChatRequest]:
    """The request for what is still to be said: first by a prefill, then in words.

    A model that takes a prefill goes on from it; one that refuses a last message of the
    assistant is asked again with an instruction behind it.
    """
    if not said:
        yield chat
        return
    prefill = [*chat.body["messages"], {"role": "assistant", "content": said}]
    yield _asking(chat, prefill, said)
    yield _asking(chat, [*prefill, {"role": "user", "content": GO_ON}], said)


def _asking(chat: ChatRequest, messages: list[dict[str, Any]], said: str) -> ChatRequest:
    tokens = int(text_tokens(said))
    body = {**chat.body, "messages": messages}
    max_tokens = chat.max_tokens
    if max_tokens is not None:
        max_tokens = body["max_tokens"] = max(max_tokens - tokens, 16)
    return replace(
        chat, body=body, prompt_tokens=chat.prompt_tokens + tokens, max_tokens=max_tokens
    )


class Joint:
    """Makes the chunks of a continuation chunks of the answer that was begun."""

    def __init__(self, identity: tuple[str, int, str], said: str, prompt_tokens: int) -> None:
        self._identity = identity
        self._seam = Seam(said)
        self._said_tokens = int(text_tokens(said))
        self._prompt_tokens = prompt_tokens

    def chunks(self, batch: list[Chunk]) -> list[Chunk]:
        """What the client gets of these chunks."""
        return [joined for chunk in batch for joined in self._chunk(chunk)]

    def _chunk(self, chunk: Chunk) -> Iterator[Chunk]:
        if chunk.usage_only and chunk.usage is not None:
            usage = self.whole(chunk.usage)
            yield Chunk(usage_chunk(*self._identity, usage), usage=usage, usage_only=True)
            return
        text = self._seam.feed(chunk.text) if chunk.text else ""
        if chunk.finish is not None or chunk.tools:
            text += self._seam.close()
        if text:
            yield Chunk(chunk_bytes(*self._identity, {"content": text}), text=text)
        if chunk.finish is not None or chunk.tools:
            yield self._without_text(chunk)

    def _without_text(self, chunk: Chunk) -> Chunk:
        """A tool call or a finish reason, under the identity of the answer begun."""
        found = orjson.loads(chunk.data)
        choice = found["choices"][0] if found.get("choices") else {}
        delta = choice.get("delta") or {}
        calls = {"tool_calls": delta["tool_calls"]} if chunk.tools else {}
        data = chunk_bytes(*self._identity, calls, chunk.finish)
        return replace(chunk, data=data, text="", usage=None)

    def whole(self, rest: Usage) -> Usage:
        """Usage of the whole answer: the request's prompt once, all that was said."""
        return Usage(
            max(rest.prompt_tokens - self._said_tokens, self._prompt_tokens),
            self._said_tokens + rest.completion_tokens,
            exact=False,
            reasoning_tokens=rest.reasoning_tokens,
        )
