"""Pieces of an answer in OpenAI's form: chunk JSON, usage read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from freellmapi.core.chat import Chunk, Completion
from freellmapi.core.limits import Usage

CHUNK_OBJECT = "chat.completion.chunk"


def chunk_bytes(
    id: str, created: int, model: str, delta: Mapping[str, Any], finish: str | None = None
) -> bytes:
    """The JSON of one chunk with one choice."""
    return chunk_json(
        id,
        created,
        model,
        [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    )


def chunk_json(id: str, created: int, model: str, choices: list[dict[str, Any]]) -> bytes:
    """The JSON of one chunk with these choices."""
    return orjson.dumps(
        {
            "id": id,
            "object": CHUNK_OBJECT,
            "created": created,
            "model": model,
            "choices": choices,
        }
    )


def usage_chunk(id: str, created: int, model: str, usage: Usage) -> bytes:
    """The JSON of the last chunk of a stream with ``include_usage``: no choices."""
    return orjson.dumps(
        {
            "id": id,
            "object": CHUNK_OBJECT,
            "created": created,
            "model": model,
            "choices": [],
            "usage": usage_dict(usage),
        }
    )


def usage_dict(usage: Usage) -> dict[str, Any]:
    """OpenAI's ``usage`` object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def read_usage(raw: object) -> Usage | None:
    """What a provider's ``usage`` object says; None when it counts no tokens.

    All zeros is what some providers send in every chunk before they know: not a count.
    """
    if not isinstance(raw, dict):
        return None
    prompt = _count(raw, "prompt_tokens", "input_tokens")
    completion = _count(raw, "completion_tokens", "output_tokens")
    if completion is None:
        completion = max((_count(raw, "total_tokens") or 0) - (prompt or 0), 0)
    if prompt is None:
        prompt = max((_count(raw, "total_tokens") or 0) - completion, 0)
    if not prompt and not completion:
        return None
    return Usage(
        prompt,
        completion,
        reasoning_tokens=_detail(raw, "completion_tokens_details", "reasoning_tokens"),
        cached_tokens=_detail(raw, "prompt_tokens_details", "cached_tokens"),
    )


def _count(raw: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = raw.get(name)
        if isinstance(value, (int, float)) and value >= 0:
            return int(value)
    return None


def _detail(raw: Mapping[str, Any], details: str, name: str) -> int:
    inner = raw.get(details)
    if isinstance(inner, dict):
        return _count(inner, name) or 0
    return _count(raw, name) or 0


def usage_in(payload: Mapping[str, Any]) -> Usage | None:
    """Usage from wherever providers put it: beside the choices, in ``x_groq``, in a choice."""
    found = read_usage(payload.get("usage"))
    if found is not None:
        return found
    groq = payload.get("x_groq")
    if isinstance(groq, dict) and "usage" in groq:
        return read_usage(groq["usage"])
    choices = payload.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return read_usage(choices[0].get("usage"))
    return None


def as_chunks(completion: Completion) -> list[Chunk]:
    """A whole answer as the chunks of a stream, for providers that do not stream.

    A chunk each for the reasoning, the text and the tool calls, then ``finish_reason``, then
    usage if it is known.
    """
    body = completion.body
    id, created, model = body["id"], body["created"], body["model"]
    choice = body["choices"][0]
    message = choice["message"]
    chunks = [
        _chunk_of(id, created, model, delta, choice.get("logprobs")) for delta in _deltas(message)
    ]
    finish = choice["finish_reason"]
    chunks.append(Chunk(chunk_bytes(id, created, model, {}, finish), finish=finish))
    if completion.usage is not None:
        data = usage_chunk(id, created, model, completion.usage)
        chunks.append(Chunk(data, usage=completion.usage, usage_only=True))
    return chunks


def _deltas(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    if message.get("reasoning_content"):
        deltas.append({"reasoning_content": message["reasoning_content"]})
    rest = {
        name: value
        for name, value in message.items()
        if value and name not in ("role", "reasoning_content", "tool_calls")
    }
    if rest:
        deltas.append(rest)
    if message.get("tool_calls"):
        calls = [{"index": i, **call} for i, call in enumerate(message["tool_calls"])]
        deltas.append({"tool_calls": calls})
    first = deltas[0] if deltas else {"content": ""}
    return [{"role": "assistant", **first}, *deltas[1:]]


def _chunk_of(id: str, created: int, model: str, delta: dict[str, Any], logprobs: object) -> Chunk:
    text = delta.get("content") or ""
    choice = {
        "index": 0,
        "delta": delta,
        "logprobs": logprobs if text else None,
        "finish_reason": None,
    }
    return Chunk(
        chunk_json(id, created, model, [choice]),
        text=text,
        reasoning="reasoning_content" in delta,
        tools="tool_calls" in delta,
    )
