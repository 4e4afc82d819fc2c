"""Request bodies into ``ChatRequest``: tolerant where clients differ, strict where it matters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from freellmapi.api.depth import (
    FEW,
    MAX_DEPTH,
    MAX_VALUES,
    has_too_many_values,
    is_suspect,
    is_too_deep,
)
from freellmapi.api.messages import Json, bad, messages_of
from freellmapi.api.tools import tool_choice_of, tools_of
from freellmapi.core.chat import ChatRequest, Need
from freellmapi.core.errors import GatewayError
from freellmapi.core.estimate import prompt_tokens

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

MAX_STOPS = 4
MAX_WAIT = 600
"""Seconds that a client may ask to wait for a slot."""
MAX_NAMES = 50
MAX_NAME_LENGTH = 256
MAX_OUTPUT = 2**31 - 1

NUMBERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
INTEGERS: Mapping[str, tuple[int, int]] = {
    "seed": (-(2**63), 2**63 - 1),
    "top_logprobs": (0, 20),
}
KINDS: Mapping[str, type] = {
    "logprobs": bool,
    "parallel_tool_calls": bool,
    "logit_bias": dict,
    "reasoning_effort": str,
    "user": str,
}
# Fields that are ours, or belong to the call rather than to the body.
_TAKEN = frozenset(
    (
        "model",
        "models",
        "fallbacks",
        "messages",
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "session_id",
    )
)


def parse_json(data: bytes) -> Json:
    """The JSON object of a request body, or a 400 that says where it ends to be JSON."""
    if len(data) > FEW and has_too_many_values(data):
        raise GatewayError(
            413,
            f"The request body is made of over {MAX_VALUES:,} values, which is more than is read.",
            code="too_many_values",
        )
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise GatewayError(
            400, f"The request body is not valid JSON: {exc}", code="invalid_json"
        ) from exc
    if not isinstance(body, dict):
        raise GatewayError(400, "The request body must be a JSON object.", code="invalid_json")
    if is_suspect(data) and is_too_deep(body):
        raise GatewayError(
            400, f"The request body is nested over {MAX_DEPTH} levels deep.", code="invalid_json"
        )
    return body


def chat_request(raw: Json, headers: Mapping[str, str] | Headers | None = None) -> ChatRequest:
    """One validated chat request; a 400 names the JSON path or the header that is wrong."""
    headers = headers or {}
    given = {name: value for name, value in raw.items() if value is not None}
    messages = messages_of(given)
    tools = tools_of(given)
    body = _checked_knobs({k: v for k, v in given.items() if k not in _TAKEN})
    body["messages"] = messages
    max_tokens = _max_tokens(given)
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    if tools:
        body["tools"] = tools
        choice = tool_choice_of(given, tools)
        if choice is not None:
            body["tool_choice"] = choice
    else:
        body.pop("parallel_tool_calls", None)
    _put(body, "stop", _stop(given))
    _put(body, "response_format", _response_format(given))
    _check_n(given)
    options = _object(given, "stream_options") or {}
    model, *fallbacks = _wanted(given)
    return ChatRequest(
        model=model,
        body=body,
        stream=_flag(given, "stream"),
        include_usage=options.get("include_usage") is True,
        fallbacks=tuple(fallbacks),
        needs=_needs(body),
        tools=frozenset(tool["function"]["name"] for tool in tools),
        prompt_tokens=prompt_tokens(messages, tools),
        max_tokens=max_tokens,
        session=_session(given, headers.get("X-Session-Id")),
        max_wait=_max_wait(headers.get("X-Max-Wait")),
        recovery=_recovery(headers.get("X-Stream-Recovery")),
    )


def _put(body: Json, name: str, value: object) -> None:
    if value is not None:
        body[name] = value


def _wanted(given: Json) -> tuple[str, ...]:
    """``model``, then the request's own chain; ``auto`` when neither names any."""
    model = given.get("model", "")
    if not isinstance(model, str):
        raise bad("model", "must be a string")
    _check_length(model, "model")
    own = _names(given, "models") + _names(given, "fallbacks")
    return (model.strip(), *own) if model.strip() else own or ("auto",)


def _names(given: Json, field: str) -> tuple[str, ...]:
    names = given.get(field)
    if names is None:
        return ()
    if not isinstance(names, list) or len(names) > MAX_NAMES:
        raise bad(field, f"must be a list of at most {MAX_NAMES} model names")
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise bad(f"{field}[{place}]", "must be a model name")
        _check_length(name, f"{field}[{place}]")
    return tuple(name.strip() for name in names)


def _check_length(name: str, path: str) -> None:
    if len(name) > MAX_NAME_LENGTH:
        raise bad(path, f"has {len(name)} characters, but no model's name over {MAX_NAME_LENGTH}")


def _flag(given: Json, field: str) -> bool:
    value = given.get(field, False)
    if not isinstance(value, bool):
        raise bad(field, "must be true or false")
    return value


def _object(given: Json, field: str) -> Json | None:
    value = given.get(field)
    if value is not None and not isinstance(value, dict):
        raise bad(field, "must be an object")
    return value


def _check_n(given: Json) -> None:
    n = given.get("n", 1)
    if n != 1 or isinstance(n, bool):
        raise bad("n", "only 1 choice a request is served here")


def _max_tokens(given: Json) -> int | None:
    """The cap on output; 0 or less counts as none."""
    for field in ("max_completion_tokens", "max_tokens"):
        value = given.get(field)
        if value is None:
            continue
        value = _whole(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise bad(field, "must be a whole number")
        return min(value, MAX_OUTPUT) if value > 0 else None
    return None


def _whole(value: Any, limit: float = math.inf) -> Any:
    """JSON has one kind of number: 5.0 is a whole one."""
    is_whole = isinstance(value, float) and abs(value) < limit and value.is_integer()
    return int(value) if is_whole else value


def _stop(given: Json) -> list[str] | None:
    stop = given.get("stop")
    if stop is None:
        return None
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(s, str) for s in stops):
        raise bad("stop", "must be a string or a list of strings")
    return [s for s in stops if s][:MAX_STOPS] or None


def _response_format(given: Json) -> Json | None:
    found = _object(given, "response_format")
    if found is None or found.get("type") == "text":
        return None
    kind = found.get("type")
    if kind == "json_object":
        return found
    if kind != "json_schema":
        raise bad("response_format.type", "must be 'text', 'json_object' or 'json_schema'")
    schema = found.get("json_schema")
    if not isinstance(schema, dict) or not isinstance(schema.get("schema"), dict):
        raise bad("response_format.json_schema", "must be an object with a 'schema' object")
    if not isinstance(schema.get("name"), str) or not schema["name"]:
        found = {**found, "json_schema": {**schema, "name": "answer"}}
    return found


def _checked_knobs(body: Json) -> Json:
    """The optional fields that are forwarded, those we know by type and range."""
    for field, (low, high) in NUMBERS.items():
        if field in body:
            _check_range(body, field, (int, float), low, high)
    for field, (least, most) in INTEGERS.items():
        if field in body:
            # Beyond that, what was written as an integer has come as a float near to it.
            body[field] = _whole(body[field], limit=2**63)
            _check_range(body, field, (int,), least, most)
    for field, kind in KINDS.items():
        if field in body and not isinstance(body[field], kind):
            raise bad(field, f"must be {_ARTICLES[kind]}")
    return body


_ARTICLES: Mapping[type, str] = {bool: "true or false", dict: "an object", str: "a string"}


def _check_range(body: Json, field: str, kinds: tuple[type, ...], low: float, high: float) -> None:
    value: Any = body[field]
    if type(value) not in kinds:
        raise bad(field, "must be a number" if float in kinds else "must be a whole number")
    if not low <= value <= high:  # NaN fails too
        raise bad(field, f"is {value}, but must be from {low} to {high}")


def _needs(body: Json) -> frozenset[Need]:
    needs: set[Need] = set()
    if body.get("tools"):
        needs.add(Need.TOOLS)
        if body.get("tool_choice") not in (None, "auto", "none"):
            needs.add(Need.TOOL_CHOICE)
    if body.get("response_format", {}).get("type") == "json_schema":
        needs.add(Need.JSON_SCHEMA)
    contents = [message["content"] for message in body["messages"]]
    if any([_has_image(parts) for parts in contents if isinstance(parts, list)]):
        needs.add(Need.VISION)
    return frozenset(needs)


def _has_image(parts: list[Json]) -> bool:
    return any(part.get("type") == "image_url" for part in parts)


def _session(given: Json, header: str | None) -> str | None:
    for value in (header, given.get("session_id"), given.get("user")):
        if isinstance(value, str) and value.strip():
            return value.strip()[:200]
    return None


def _max_wait(header: str | None) -> float | None:
    """Seconds from ``X-Max-Wait``."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_WAIT:
        raise bad("X-Max-Wait", f"must be a number of seconds from 0 to {MAX_WAIT}")
    return seconds


def _recovery(header: str | None) -> str | None:
    if header is None or header in ("continue", "error"):
        return header
    raise bad("X-Stream-Recovery", "must be 'continue' or 'error'")
