"""How deep JSON may be nested, and of how many values it may be made.

Writers and recursive readers end not far beyond that depth; and nobody else goes on while
the parser makes values, some millions of which fit into the largest body.
"""

from __future__ import annotations

import orjson

MAX_DEPTH = 100
_WRITABLE = 254  # orjson's own limit
MAX_VALUES = 100_000
"""Commas and opening brackets: parsed in about 20 ms. A conversation of 10,000 messages has
half of it."""
FEW = 1024 * 1024
"""Bytes in which there is no room for so many values that they matter."""
_MARKS = (b",", b"[", b"{")
_SOME = 1_000
_PIECE = 64 * 1024
"""Bytes that are counted before others have their turn."""


def is_suspect(data: bytes | str) -> bool:
    """Whether there are enough opening brackets to be too deep; quickly told."""
    if isinstance(data, str):
        return data.count("[") + data.count("{") > MAX_DEPTH
    return _first(data, b"[", MAX_DEPTH + 1) + _first(data, b"{", MAX_DEPTH + 1) > MAX_DEPTH


def is_too_deep(value: object) -> bool:
    """Whether lists and objects stand in each other over ``MAX_DEPTH`` levels."""
    for _ in range(_WRITABLE - MAX_DEPTH):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def has_too_many_values(data: bytes, most: int = MAX_VALUES, step: int = _PIECE) -> bool:
    """Whether over ``most`` commas and opening brackets stand outside of strings.

    To be asked before the parser is. What is wrong with the text ends the parser, so that
    it is of no matter what is counted behind that.
    """
    # What makes bodies large is mostly an image in base64, which has none of these.
    few = min(_SOME, most // len(_MARKS))
    if all(_first(data, mark, few) < few for mark in _MARKS):
        return False
    # To tell what stands in strings takes ten times as long, and is hardly ever needed.
    if not _has_more_marks(data, most, step):
        return False
    count, inside, rest = 0, 0, b""
    for start in range(0, len(data), step):
        piece = rest + data[start : start + step]
        # A backslash at the end belongs to what comes next.
        rest = piece[-1:] if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""
        piece = piece[: len(piece) - len(rest)]
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[inside::2])
        count += sum(map(outside.count, _MARKS))
        if count > most:
            return True
        inside = (inside + len(parts) - 1) % 2
    return False


def _has_more_marks(data: bytes, most: int, step: int) -> bool:
    """Whether over ``most`` commas and opening brackets stand anywhere."""
    count = 0
    for start in range(0, len(data), step):
        piece = data[start : start + step]
        # A quarter of what three calls of count take.
        count += len(piece) - len(piece.translate(None, b"".join(_MARKS)))
        if count > most:
            return True
    return False


def _first(data: bytes, mark: bytes, most: int) -> int:
    """How many of them there are, up to so many; a thirtieth of counting where there are few."""
    at = -1
    for found in range(most):
        at = data.find(mark, at + 1)
        if at < 0:
            return found
    return most
