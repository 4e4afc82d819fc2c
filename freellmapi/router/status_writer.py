"""Statuses of keys on their way to the database: noted at once, written by a job."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from freellmapi.router.asking import OffHub

Name = tuple[str, str]
"""(provider, key id)"""


class StatusStore(Protocol):
    """Where the status of a stored key is kept; blocks."""

    def set_status(self, id: int, status: str, reason: str = "") -> bool: ...


class StatusWriter:
    """Holds the names of keys whose status is to be written; the last status wins."""

    def __init__(self, store: StatusStore, off_hub: OffHub) -> None:
        self._store = store
        self._off_hub = off_hub
        self._waiting: set[Name] = set()

    def note(self, name: Name) -> None:
        """Have a key written. Keys of the environment have no row, and are passed over."""
        if name[1].isdigit():
            self._waiting.add(name)

    def flush(self, current: Callable[[Name], tuple[str, str] | None]) -> list[tuple[Name, str]]:
        """Write what is noted, as ``current`` (status, reason) has it; what was written.

        A key that is gone (None) is forgotten. What cannot be written, because the database
        is locked say, stays noted.
        """
        written: list[tuple[Name, str]] = []
        for name in tuple(self._waiting):
            now = current(name)
            self._waiting.discard(name)
            if now is None:
                continue
            try:
                self._off_hub(partial(self._store.set_status, int(name[1]), *now))
            except BaseException:
                self._waiting.add(name)
                raise
            written.append((name, now[0]))
        return written
