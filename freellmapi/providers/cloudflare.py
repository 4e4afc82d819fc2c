"""Workers AI's own answers, which some models and base URLs give instead of OpenAI's.

``{"result": {"response": "..."}, "success": true}`` whole, ``{"response": "..."}`` a piece;
newer models put OpenAI's ``choices`` inside ``result``.
Source: developers.cloudflare.com/workers-ai (read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

_SAID = ("response", "tool_calls")


def is_native(payload: Mapping[str, Any]) -> bool:
    """Whether this is an answer, or a piece of one, in Cloudflare's own form."""
    if "choices" in payload:
        return False
    inner = payload.get("result")
    return isinstance(inner, dict) or any(name in payload for name in _SAID)


def as_openai(payload: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The same in OpenAI's form; ``part`` is ``delta`` or ``message``."""
    result = payload.get("result")
    inner: Mapping[str, Any] = result if isinstance(result, dict) else payload
    if "choices" in inner:
        return dict(inner)
    message: dict[str, Any] = {"content": _text(inner.get("response"))}
    calls = inner.get("tool_calls")
    if isinstance(calls, list) and calls:
        message["tool_calls"] = [_call(call) for call in calls if isinstance(call, dict)]
    finish = inner.get("finish_reason") or ("stop" if part == "message" else None)
    answer = {"choices": [{"index": 0, part: message, "finish_reason": finish}]}
    return answer | ({"usage": inner["usage"]} if "usage" in inner else {})


def _text(response: object) -> str:
    """The text: in JSON mode an object, and a streamed number is a bare one."""
    if isinstance(response, str):
        return response
    return "" if response is None else orjson.dumps(response).decode()


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call as OpenAI nests it; ids are made where there are none."""
    if isinstance(call.get("function"), dict):
        return dict(call)
    function = {name: call[name] for name in ("name", "arguments") if name in call}
    return {"function": function} | {name: call[name] for name in ("id", "index") if name in call}
