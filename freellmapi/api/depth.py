"""How deep JSON may be nested: writers and recursive readers end not far beyond."""

from __future__ import annotations

import orjson

MAX_DEPTH = 100
_WRITABLE = 254  # orjson's own limit


def is_suspect(data: bytes | str) -> bool:
    """Whether there are enough opening brackets to be too deep; quickly told."""
    if isinstance(data, str):
        return data.count("[") + data.count("{") > MAX_DEPTH
    return data.count(b"[") + data.count(b"{") > MAX_DEPTH


def is_too_deep(value: object) -> bool:
    """Whether lists and objects stand in each other over ``MAX_DEPTH`` levels."""
    for _ in range(_WRITABLE - MAX_DEPTH):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False
