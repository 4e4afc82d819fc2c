"""What providers answer, brought to the values the official OpenAI client knows.

Used for whole answers and for chunks alike. Functions that take a dictionary change it in
place and return whether they did; unknown fields are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from freellmapi.core.catalog import Provider
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.classify import classify_payload

FINISH = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
SERVICE_TIERS = frozenset({None, "auto", "default", "flex", "scale", "priority"})

_FINISH_AS = {
    "max_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
}
"""Finish reasons outside OpenAI's set; one that is not here either means ``stop``."""

_FAILED = frozenset({"error", "network_error", "abort", "insufficient_system_resource", "timeout"})


def finish_reason(raw: object) -> str | None:
    """The reason in OpenAI's words; None when there is none yet.

    Raises ``UpstreamError`` for the reasons that tell of a failure.
    """
    if raw is None or raw == "":
        return None
    word = str(raw).lower()
    if word in _FAILED:
        raise UpstreamError(ErrorKind.SERVER_ERROR, f"The answer ended with {word!r}.")
    return word if word in FINISH else _FINISH_AS.get(word, "stop")


def settled_finish(finish: str, calls: bool) -> str:
    """``tool_calls`` exactly when there are calls, unless the answer was cut short."""
    if calls:
        return "tool_calls" if finish == "stop" else finish
    return "stop" if finish == "tool_calls" else finish


def bad_answer(message: str) -> UpstreamError:
    """A body that cannot be read, as an error."""
    return UpstreamError(ErrorKind.BAD_ANSWER, message, status=200)


def parsed(body: bytes) -> Any:
    """The JSON in ``body``; ``UpstreamError`` when there is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return parsed_odd(body)


def parsed_odd(body: bytes) -> Any:
    """JSON that is not quite: ``NaN``, halves of surrogate pairs, stray bytes.

    Raises ``UpstreamError`` when it is no JSON by any reading.
    """
    try:
        lenient = json.loads(body.decode("utf-8", "replace"), parse_constant=lambda name: None)
        return orjson.loads(json.dumps(lenient, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as exc:
        if body.lstrip()[:1] == b"<":
            raise bad_answer("An HTML page came instead of an answer.") from exc
        what = "not whole JSON" if body.strip() else "empty"
        raise bad_answer(f"The answer is {what}.") from exc


def raise_in_band(payload: object, provider: Provider) -> None:
    """Raise what a 200 answer, or a chunk, says went wrong; return if it says nothing."""
    inner = payload[0] if isinstance(payload, list) and payload else payload
    if isinstance(inner, dict) and _tells_failure(inner):
        raise classify_payload(payload, provider)
    if isinstance(inner, dict):
        failure = _inner_error(inner)
        if failure:
            raise classify_payload({"error": failure}, provider)


def _tells_failure(payload: Mapping[str, Any]) -> bool:
    if payload.get("error") or payload.get("success") is False:
        return True
    if payload.get("object") == "error":
        return True
    base = payload.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return True
    if payload.get("choices"):
        return False
    return any(isinstance(payload.get(name), str) for name in ("message", "detail", "msg"))


def _inner_error(payload: Mapping[str, Any]) -> object:
    """An error that sits in the first choice, or in Groq's own field."""
    groq = payload.get("x_groq")
    if isinstance(groq, dict) and groq.get("error"):
        return groq["error"]
    choices = payload.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0].get("error")
    return None


def parts_text(content: object) -> tuple[str, str]:
    """The reasoning and the text of a content that came as a list of parts."""
    if isinstance(content, str):
        return "", content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return "", "" if content is None else str(content)
    reasoning: list[str] = []
    text: list[str] = []
    for part in content:
        if isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
            inner = part.get("thinking") or part.get("reasoning") or part.get("text")
            reasoning.append("".join(parts_text(inner)))
        elif isinstance(part, dict):
            text.append(part["text"] if isinstance(part.get("text"), str) else "")
        elif isinstance(part, str):
            text.append(part)
    return "".join(reasoning), "".join(text)


def settle_content(message: dict[str, Any]) -> bool:
    """Make ``content`` a string or null, and all reasoning ``reasoning_content``."""
    changed = False
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        reasoning, message["content"] = parts_text(content)
        if reasoning:
            message["reasoning_content"] = reasoning
        changed = True
    if message.get("reasoning"):
        reasoning = "".join(parts_text(message.pop("reasoning")))
        if reasoning and not message.get("reasoning_content"):
            message["reasoning_content"] = reasoning
        changed = True
    reasoned = message.get("reasoning_content")
    if reasoned is not None and not isinstance(reasoned, str):
        message["reasoning_content"] = "".join(parts_text(reasoned))
        changed = True
    return changed


def arguments_text(arguments: object) -> str:
    """A call's arguments as the JSON text that OpenAI has there."""
    if isinstance(arguments, str):
        return arguments
    return "{}" if arguments is None else orjson.dumps(arguments).decode()


def tool_calls(raw: object, new_id: Callable[[], str]) -> list[dict[str, Any]]:
    """Whole tool calls with id, type, name and arguments as OpenAI has them."""
    if not isinstance(raw, list):
        return []
    calls: list[dict[str, Any]] = []
    for call in raw:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            continue
        function = {**function, "arguments": arguments_text(function.get("arguments")) or "{}"}
        id = call.get("id")
        id = id if isinstance(id, str) and id else new_id()
        kept = {name: value for name, value in call.items() if name != "index"}
        calls.append({**kept, "id": id, "type": "function", "function": function})
    return calls


def settle_tier(payload: dict[str, Any]) -> bool:
    """Leave out a ``service_tier`` that OpenAI has not, e.g. Groq's ``on_demand``."""
    if payload.get("service_tier") in SERVICE_TIERS:
        return False
    del payload["service_tier"]
    return True


def settle_logprobs(choice: dict[str, Any]) -> bool:
    """Keep log probabilities only in OpenAI's form; null otherwise."""
    logprobs = choice.get("logprobs")
    if logprobs is None:
        return False
    if isinstance(logprobs, dict) and _are_logprobs(logprobs.get("content")):
        return _fill_logprobs(logprobs)
    choice["logprobs"] = None
    return True


def _are_logprobs(content: object) -> bool:
    return content is None or (
        isinstance(content, list)
        and all(isinstance(t, dict) and "token" in t and "logprob" in t for t in content)
    )


def _fill_logprobs(logprobs: dict[str, Any]) -> bool:
    changed = False
    for token in logprobs.get("content") or ():
        if not isinstance(token.get("top_logprobs"), list):
            token["top_logprobs"] = []
            changed = True
    return changed


def merged_usage(raw: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's own usage object with the counts that OpenAI's client expects."""
    merged = {**raw, **ours}
    for name in ("completion_tokens_details", "prompt_tokens_details"):
        details = raw.get(name)
        if isinstance(details, dict):
            counts = {key: value for key, value in details.items() if isinstance(value, int)}
            merged[name] = {**counts, **ours[name]}
    return merged
