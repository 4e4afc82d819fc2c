"""Conversations keep their model while it is viable: a preference, never a bar to failover."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from freellmapi.core.chat import ChatRequest

MAX_SESSIONS = 10_000
"""Some 230 bytes each: with five new conversations a second, each is known for half an hour."""
PREFIX = 2_048
"""Characters of a text that are hashed, with its length: openings that differ only behind
them, at the same length, are taken for one conversation."""
TAIL = 256
"""Characters at the end of an image's URL that are hashed: data URLs begin alike."""
MAX_PARTS = 8


@dataclass(frozen=True, slots=True)
class Session:
    """What a conversation is known by: never the same for two client tokens."""

    id: bytes
    continued: bool
    """Whether it may have been served before; a fresh one is only remembered."""


class Sticky:
    """Which model each conversation was last served by; bounded, oldest out first."""

    def __init__(self, most: int = MAX_SESSIONS) -> None:
        self._most = most
        self._served: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def model(self, session: Session | None, now: float) -> str | None:
        """The ref of the model that the conversation should keep, if it has one."""
        if session is None or not session.continued:
            return None
        until, ref = self._served.get(session.id, (0.0, ""))
        return ref if until > now else None

    def remember(self, session: Session | None, ref: str, now: float, ttl: float) -> None:
        """The conversation was served by this model, and keeps it for ``ttl`` seconds."""
        if session is None or ttl <= 0:
            return
        # Else each would keep a text of its own.
        self._served[session.id] = (now + ttl, sys.intern(ref))
        self._served.move_to_end(session.id)
        oldest, (until, _) = next(iter(self._served.items()))
        if until <= now or len(self._served) > self._most:
            del self._served[oldest]

    def __len__(self) -> int:
        return len(self._served)


def session_of(chat: ChatRequest, token_id: int | None) -> Session | None:
    """The conversation that a request belongs to, or None when nothing tells.

    The id that the client gave; else its first system and user messages, which count as
    continued once history holds an assistant turn. A conversation that asks for another
    model name (``auto:smart`` after ``auto:fast``) is another one: its wish has changed.
    """
    whose = (str(token_id), chat.model)
    if chat.session is not None:
        return Session(_digest((*whose, "id", chat.session)), continued=True)
    system = user = None
    continued = False
    for message in chat.body["messages"]:
        role = message["role"]
        if role == "assistant":
            continued = True
        elif role == "system" and system is None:
            system = message.get("content")
        elif role == "user" and user is None:
            user = message.get("content")
        if continued and user is not None:
            break
    if user is None:
        return None
    opening = ("text", *_gist(system), "user", *_gist(user))
    return Session(_digest((*whose, *opening)), continued)


def _gist(content: object) -> tuple[str, ...]:
    """Enough of a message's content to know it again; bounded, however large it is."""
    if isinstance(content, str):
        return (str(len(content)), content[:PREFIX])
    if not isinstance(content, list):
        return ()
    pieces = [str(len(content))]
    for part in content[:MAX_PARTS]:
        pieces += _part_gist(part)
    return tuple(pieces)


def _part_gist(part: Mapping[str, Any]) -> tuple[str, ...]:
    text = part.get("text")
    if isinstance(text, str):
        return _gist(text)
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else None
    return (str(len(url)), url[-TAIL:]) if isinstance(url, str) else (str(part.get("type")),)


def _digest(pieces: Iterable[str]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        data = piece.encode("utf-8", "surrogatepass")
        # With its length, so that no text can pass for the next piece.
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.digest()
