"""Fetched images, kept for the attempts and turns that follow."""

from __future__ import annotations

from collections import OrderedDict

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass

KEPT_FOR = 300.0
"""Seconds: a conversation sends its images again with every turn."""
FAILURE_KEPT_FOR = 20.0
MOST_CHARACTERS = 64 * 1024 * 1024
MOST_ENTRIES = 256


@dataclass(frozen=True, slots=True)
class _Entry:
    data: str
    failure: str
    until: float


class ImageMemory:
    """What came of the URLs asked for lately; the one not used for longest goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: OrderedDict[str, _Entry] = OrderedDict()
        self._size = 0

    def of(self, url: str) -> tuple[str, str] | None:
        """The data URL and the failure, one of them empty; None if nothing is known."""
        entry = self._held.get(url)
        if entry is None or entry.until <= self._clock.monotonic():
            return None
        self._held.move_to_end(url)
        return entry.data, entry.failure

    def keep(self, url: str, data: str, failure: str) -> None:
        lasts = FAILURE_KEPT_FOR if failure else KEPT_FOR
        self._drop(url)
        self._held[url] = _Entry(data, failure, self._clock.monotonic() + lasts)
        self._size += len(url) + len(data)
        while self._size > MOST_CHARACTERS or len(self._held) > MOST_ENTRIES:
            self._drop(next(iter(self._held)))

    def _drop(self, url: str) -> None:
        entry = self._held.pop(url, None)
        if entry is not None:
            self._size -= len(url) + len(entry.data)
