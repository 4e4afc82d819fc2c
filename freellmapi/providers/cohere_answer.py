"""Cohere's answers and events in OpenAI's form: pure translation, judged elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freellmapi.providers.answers import parts_text
from freellmapi.providers.cohere_messages import Names

Json = dict[str, Any]

_FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "ERROR_TOXIC": "content_filter"}
"""Reasons that OpenAI's wire would not understand; ``ERROR...`` is a failure."""


def as_completion(payload: Mapping[str, Any], names: Names) -> Json:
    """A whole answer; one that is in OpenAI's form already stays as it is."""
    if "choices" in payload:
        return dict(payload)
    said = _object(payload.get("message"))
    message = _message(said)
    calls = [_renamed(call, names) for call in _objects(said.get("tool_calls"))]
    if calls:
        message["tool_calls"] = calls
    if said.get("citations"):
        message["citations"] = said["citations"]
    choice: Json = {"message": message, "finish_reason": _finish(payload.get("finish_reason"))}
    choice["logprobs"] = _logprobs(payload.get("logprobs"))
    return {
        "id": payload.get("id"),
        "choices": [choice],
        "usage": _usage(_object(payload.get("usage"))),
    }


def as_chunk(event: Mapping[str, Any], names: Names) -> Json | None:
    """The chunk of one event; None for those that say nothing to an OpenAI client."""
    if "choices" in event:
        return dict(event)
    kind, delta = event.get("type"), _object(event.get("delta"))
    if kind == "message-end":
        choice = {"delta": {}, "finish_reason": _finish(delta.get("finish_reason") or "COMPLETE")}
        usage = _usage(_object(delta.get("usage")))
        return {"id": event.get("id"), "choices": [choice], "usage": usage}
    said = _object(delta.get("message"))
    if kind == "message-start":
        # It carries the id of all; empty lists stand for what is to come.
        return {"id": event.get("id"), "choices": [{"delta": {"role": "assistant"}}]}
    if kind in ("tool-call-start", "tool-call-delta"):
        calls = [_renamed(call, names) for call in _objects(said.get("tool_calls"))]
        for call in calls:
            call.setdefault("index", event.get("index"))
        return {"choices": [{"delta": {"tool_calls": calls}}]} if calls else None
    message = _message(said)
    if not any(message.values()):
        return None
    return {"choices": [{"delta": message, "logprobs": _logprobs(event.get("logprobs"))}]}


def ends(event: Mapping[str, Any]) -> bool:
    """Whether this is the last event of a stream."""
    return event.get("type") == "message-end"


def failure(event: Mapping[str, Any]) -> object:
    """What the last event says went wrong, if anything did."""
    return _object(event.get("delta")).get("error") if ends(event) else None


def _message(said: Mapping[str, Any]) -> Json:
    """Text and reasoning; the plan before tool calls is reasoning too."""
    content = said.get("content")
    if isinstance(content, dict) and isinstance(content.get("thinking"), str):
        # A delta's part does not repeat its type.
        content = {"type": "thinking", **content}
    reasoning, text = parts_text(content)
    plan = said.get("tool_plan")
    reasoning += plan if isinstance(plan, str) else ""
    message: Json = {"content": text}
    if reasoning:
        message["reasoning_content"] = reasoning
    return message


def _renamed(call: Mapping[str, Any], names: Names) -> Json:
    function = dict(_object(call.get("function")))
    if isinstance(function.get("name"), str):
        function["name"] = names.back(function["name"])
    return {**call, "function": function}


def _finish(reason: object) -> object:
    if not isinstance(reason, str):
        return reason
    if reason in _FINISH:
        return _FINISH[reason]
    return "error" if reason.startswith("ERROR") else reason


def _usage(usage: Mapping[str, Any]) -> Json:
    """The tokens that the model saw and said; billed ones where those are not counted."""
    counted = _object(usage.get("tokens")) or _object(usage.get("billed_units"))
    found = {
        "prompt_tokens": counted.get("input_tokens"),
        "completion_tokens": counted.get("output_tokens"),
        "cached_tokens": usage.get("cached_tokens"),
    }
    return {name: int(n) for name, n in found.items() if isinstance(n, (int, float))}


def _logprobs(raw: object) -> Json | None:
    """Pieces of text with the logarithm of their probability: a piece may be several tokens."""
    content = [
        {
            "token": item["text"],
            "logprob": float(sum(item["logprobs"])),
            "bytes": list(item["text"].encode("utf-8", "replace")),
            "top_logprobs": [],
        }
        for item in _objects(raw)
        if isinstance(item.get("text"), str) and _are_numbers(item.get("logprobs"))
    ]
    return {"content": content, "refusal": None} if content else None


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(v, (int, float)) for v in values)


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Json]:
    """The objects in a list, or the one that stands in a list's place."""
    listed = value if isinstance(value, list) else [value]
    return [item for item in listed if isinstance(item, dict)]
