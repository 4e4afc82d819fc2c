"""Conversations keep their model while it is viable: a preference, never a bar to failover."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from freellmapi.core.chat import ChatRequest

MAX_SESSIONS = 50_000


class Sticky:
    """Which model each conversation was last served by; bounded, oldest out first."""

    def __init__(self) -> None:
        self._served: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def model(self, session: bytes | None, now: float) -> str | None:
        """The ref of the conversation's model, if it has one that has not lapsed."""
        if session is None:
            return None
        until, ref = self._served.get(session, (0.0, ""))
        return ref if until > now else None

    def remember(self, session: bytes | None, ref: str, until: float) -> None:
        """The conversation was served by this model; kept until then (epoch seconds)."""
        if session is None:
            return
        self._served[session] = (until, ref)
        self._served.move_to_end(session)
        while len(self._served) > MAX_SESSIONS:
            self._served.popitem(last=False)


def session_of(chat: ChatRequest, token_id: int | None) -> bytes | None:
    """What a request's conversation is known by: never the same for two client tokens.

    The id that the client gave; else its first system and user messages, once history
    holds an assistant turn. None: a fresh conversation.
    """
    if chat.session is not None:
        return _digest(token_id, "id", chat.session)
    messages = chat.body["messages"]
    if not any(m["role"] == "assistant" for m in messages):
        return None
    first = {"system": "", "user": ""}
    for message in messages:
        role = message["role"]
        if first.get(role) == "":
            first[role] = str(message.get("content"))
        if all(first.values()):
            break
    return _digest(token_id, "text", first["system"], first["user"])


def first_turn(chat: ChatRequest, token_id: int | None) -> bytes | None:
    """What a fresh conversation will be known by when it comes back with its second turn."""
    if chat.session is not None:
        return None
    assistant = {"role": "assistant", "content": ""}
    body = {**chat.body, "messages": [*chat.body["messages"], assistant]}
    return session_of(ChatRequest(chat.model, body), token_id)


def _digest(token_id: int | None, *parts: str) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in (str(token_id), *parts):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.digest()
