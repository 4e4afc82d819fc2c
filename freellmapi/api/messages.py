"""The messages of a request, brought into the one form that every wire takes."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

import orjson

from freellmapi.api.depth import MAX_DEPTH, is_suspect, is_too_deep
from freellmapi.core.errors import GatewayError

Json = dict[str, Any]

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
IMAGE_SCHEMES = ("data:image/", "http://", "https://")
PART_ALIASES = {"input_text": "text", "output_text": "text", "input_image": "image_url"}


def bad(path: str, reason: str) -> GatewayError:
    """A 400 that names the place in the body."""
    return GatewayError(400, f"{path}: {reason}.", code="invalid_value", param=path)


def messages_of(given: Json) -> list[Json]:
    """All messages, checked; tool calls and their results paired."""
    raw = given.get("messages")
    if not isinstance(raw, list) or not raw:
        raise bad("messages", "must be a list of at least one message")
    pairing = _Pairing()
    return [_message(message, f"messages[{i}]", pairing) for i, message in enumerate(raw)]


class _Pairing:
    """Gives tool calls ids where they lack them, and results the call they answer.

    Every step takes the same time however long the history is.
    """

    def __init__(self) -> None:
        self._made = 0
        self._open: set[str] = set()
        """Ids of calls without a result so far."""
        self._in_order: deque[str] = deque()
        self._by_name: defaultdict[str, deque[str]] = defaultdict(deque)

    def called(self, given_id: object, name: str) -> str:
        """The id of a call, from now on open."""
        id = given_id if isinstance(given_id, str) and given_id else self._new_id()
        self._open.add(id)
        self._in_order.append(id)
        self._by_name[name].append(id)
        return id

    def answered(self, given_id: object, name: object) -> str:
        """The id a result belongs to: its own, else its function's, else the next in order."""
        if isinstance(given_id, str) and given_id:
            self._open.discard(given_id)
            return given_id
        found = None
        if isinstance(name, str) and name in self._by_name:
            found = self._first_open(self._by_name[name])
        return found or self._first_open(self._in_order) or self._new_id()

    def _first_open(self, ids: deque[str]) -> str | None:
        while ids:
            id = ids.popleft()
            if id in self._open:
                self._open.discard(id)
                return id
        return None

    def _new_id(self) -> str:
        self._made += 1
        return f"call_{self._made:08d}"


def _message(raw: object, path: str, pairing: _Pairing) -> Json:
    if not isinstance(raw, dict):
        raise bad(path, "must be an object")
    role = raw.get("role")
    if role not in ROLES:
        raise bad(f"{path}.role", f"must be one of {', '.join(ROLES)}")
    message = {name: value for name, value in raw.items() if value is not None}
    message["content"] = _content(raw.get("content"), f"{path}.content")
    if role == "developer":
        message["role"] = "system"
    elif role == "assistant":
        _assistant(message, path, pairing)
    elif role in ("tool", "function"):
        message["role"] = "tool"
        name = message.pop("name", None) if role == "function" else message.get("name")
        message["tool_call_id"] = pairing.answered(message.get("tool_call_id"), name)
    return message


def _content(content: object, path: str) -> str | list[Json]:
    """A string, or a list of parts; null and an empty list are an empty string."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise bad(path, "must be a string or a list of parts")
    return [_part(part, f"{path}[{i}]") for i, part in enumerate(content)] or ""


def _part(part: object, path: str) -> Json:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise bad(path, "must be a part with a 'type', or a string")
    kind = part.get("type")
    if kind is None and isinstance(part.get("text"), str):
        return {**part, "type": "text"}
    if not isinstance(kind, str):
        raise bad(f"{path}.type", "must say what the part is")
    kind = PART_ALIASES.get(kind, kind)
    if kind == "text":
        if not isinstance(part.get("text"), str):
            raise bad(f"{path}.text", "must be a string")
        return {**part, "type": "text"}
    if kind == "image_url":
        return _image(part, path)
    return part


def _image(part: Json, path: str) -> Json:
    image = part.get("image_url")
    if isinstance(image, str):
        image = {"url": image}
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str) or not url.startswith(IMAGE_SCHEMES):
        raise bad(f"{path}.image_url.url", "must be a data:image/ or http(s) URL")
    return {**part, "type": "image_url", "image_url": image}


def _assistant(message: Json, path: str, pairing: _Pairing) -> None:
    calls = message.pop("tool_calls", [])
    legacy = message.pop("function_call", None)
    if not isinstance(calls, list):
        raise bad(f"{path}.tool_calls", "must be a list")
    if legacy is not None and not calls:
        calls = [{"function": legacy}]
    if calls:
        message["tool_calls"] = [
            _call(call, f"{path}.tool_calls[{i}]", pairing) for i, call in enumerate(calls)
        ]
        message["content"] = message["content"] or None


def _call(call: object, path: str, pairing: _Pairing) -> Json:
    if not isinstance(call, dict):
        raise bad(path, "must be an object")
    function = call.get("function")
    if not isinstance(function, dict):
        raise bad(f"{path}.function", "must be an object")
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise bad(f"{path}.function.name", "must be a string")
    arguments = _arguments(function.get("arguments"), f"{path}.function.arguments")
    return {
        **call,
        "id": pairing.called(call.get("id"), name),
        "type": "function",
        "function": {**function, "name": name, "arguments": arguments},
    }


def _arguments(arguments: object, path: str) -> str:
    """As text. What cannot be read as JSON is left to the provider to judge."""
    if arguments is None:
        return "{}"
    if not isinstance(arguments, str):
        return orjson.dumps(arguments).decode()
    # Some wires send an object in its place.
    if is_suspect(arguments):
        try:
            too_deep = is_too_deep(orjson.loads(arguments))
        except orjson.JSONDecodeError:
            return arguments
        if too_deep:
            raise bad(path, f"is nested over {MAX_DEPTH} levels deep")
    return arguments
