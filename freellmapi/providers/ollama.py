"""Ollama's own API, which answers when a base URL lacks the ``/v1``: one JSON object a line.

Source: docs.ollama.com/api, general knowledge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_native(payload: Mapping[str, Any]) -> bool:
    """Whether this is an answer, or a line of one, in Ollama's own form."""
    return (
        "choices" not in payload and "done" in payload and isinstance(payload.get("message"), dict)
    )


def as_openai(payload: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The same in OpenAI's form; ``part`` is ``delta`` or ``message``."""
    message = dict(payload["message"])
    if message.get("thinking"):
        message["reasoning_content"] = message.pop("thinking")
    finish = (payload.get("done_reason") or "stop") if payload["done"] else None
    answer: dict[str, Any] = {
        "model": payload.get("model"),
        "choices": [{"index": 0, part: message, "finish_reason": finish}],
    }
    if payload["done"]:
        answer["usage"] = {
            "prompt_tokens": payload.get("prompt_eval_count") or 0,
            "completion_tokens": payload.get("eval_count") or 0,
        }
    return answer
