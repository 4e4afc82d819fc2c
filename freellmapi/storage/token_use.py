"""When each client token was last used: noted in memory, written down now and then."""

from __future__ import annotations

from freellmapi.storage.tokens import TokenStore


class TokenUse:
    """The uses that this process has seen. A note costs no more than a dictionary's entry."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._unsaved: set[int] = set()

    def note(self, id: int, at: float) -> None:
        self._seen[id] = at
        self._unsaved.add(id)

    def at(self, id: int, stored: float | None) -> float | None:
        """Epoch seconds of the last use, with what was ``stored`` before; None: never."""
        seen = self._seen.get(id)
        return stored if seen is None else max(seen, stored or 0.0)

    def save(self, tokens: TokenStore) -> None:
        """Blocks. What cannot be written now is written the next time."""
        taken, self._unsaved = self._unsaved, set()
        try:
            for id in taken:
                tokens.touch([id], self._seen[id])
        except BaseException:
            self._unsaved |= taken
            raise
