"""Conversations keep their model while it is viable: a preference, never a bar to failover."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from freellmapi.core.chat import ChatRequest
from freellmapi.core.values import dataclass

SETS, WAYS = 1_024, 16
"""A conversation has one of so many places, by its id: with five new ones a second, 98 of 100 are
known for half an hour."""
ID_BYTES = 16
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
    """Which model each conversation was last served by; of those that meet, the oldest goes.

    A table of 28 bytes each, not 230 in four objects, which would also lie among those of the
    streams of their time: Python gives a MiB back only when nothing at all is left in it.
    """

    def __init__(self, sets: int = SETS) -> None:
        self._sets = sets
        self._ids = bytearray(sets * WAYS * ID_BYTES)
        self._until = array("d", bytes(sets * WAYS * 8))
        self._served = array("I", bytes(sets * WAYS * 4))
        self._refs: list[str] = []
        self._numbers: dict[str, int] = {}

    def model(self, session: Session | None, now: float) -> str | None:
        """The ref of the model that the conversation should keep, if it has one."""
        if session is None or not session.continued:
            return None
        place = self._place(session.id)
        if place is None or self._until[place] <= now:
            return None
        return self._refs[self._served[place]]

    def remember(self, session: Session | None, ref: str, now: float, ttl: float) -> None:
        """The conversation was served by this model, and keeps it for ``ttl`` seconds."""
        if session is None or ttl <= 0:
            return
        place = self._place(session.id)
        if place is None:
            first = self._first(session.id)
            row = self._until[first : first + WAYS]
            place = first + row.index(min(row))
            self._ids[place * ID_BYTES : (place + 1) * ID_BYTES] = session.id
        self._until[place] = now + ttl
        self._served[place] = self._number(ref)

    def _first(self, id: bytes) -> int:
        """The first of the places where a conversation may stand."""
        return int.from_bytes(id[:4], "big") % self._sets * WAYS

    def _place(self, id: bytes) -> int | None:
        first = self._first(id) * ID_BYTES
        found = self._ids.find(id, first, first + WAYS * ID_BYTES)
        return None if found < 0 else found // ID_BYTES

    def _number(self, ref: str) -> int:
        number = self._numbers.get(ref)
        if number is None:
            number = self._numbers[ref] = len(self._refs)
            self._refs.append(ref)
        return number


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
    encoded = [piece.encode("utf-8", "surrogatepass") for piece in pieces]
    # Each with its length, so that no text can pass for the next piece.
    told = b"".join([b"%d:%b" % (len(data), data) for data in encoded])
    return hashlib.blake2b(told, digest_size=ID_BYTES).digest()
