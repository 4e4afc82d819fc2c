"""Conversations keep their model whichever worker serves them next."""

from __future__ import annotations

from freellmapi.router.sticky import Session, Sticky
from freellmapi.storage.shared import Shared, SharedUnavailable


class SharedSticky(Sticky):
    """Asks Redis first; without it, what this worker remembers itself has to do."""

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self._shared = shared

    def model(self, session: Session | None, now: float) -> str | None:
        """The ref of the model that the conversation should keep, if it has one."""
        if session is None or not session.continued:
            return None
        try:
            found = self._shared.call("GET", self._key(session))
        except SharedUnavailable:
            return super().model(session, now)
        return None if found is None else str(found, "utf-8")

    def remember(self, session: Session | None, ref: str, now: float, ttl: float) -> None:
        """The conversation was served by this model, and keeps it for ``ttl`` seconds."""
        super().remember(session, ref, now, ttl)
        if session is None or ttl <= 0:
            return
        try:
            self._shared.call("SET", self._key(session), ref, "PX", int(ttl * 1000))
        except SharedUnavailable:
            return

    def _key(self, session: Session) -> str:
        return self._shared.key(f"sticky:{session.id.hex()}")
