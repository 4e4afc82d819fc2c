"""Transactions on the hub itself, which they hold up: for a few rows in SQLite, where the system
has taken them into its memory before another thread would have woken.

Such a transaction waits for nobody. Whatever could take longer is left to a thread: another
writer's lock, a full disk, the copying of the write-ahead log into the database, and all of it
for a while once a disk has shown that it does not keep up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from freellmapi.core.clock import Clock
from freellmapi.storage.db import LOCKED, Database, said
from freellmapi.storage.writer import Writer

SLOW = 0.005
"""Seconds for which a transaction may hold the hub up before there is no other for a while."""
REST = 1_000
"""How many times as long that while is: a slow disk takes a thousandth of the hub's time."""
_NORMAL = 1
"""SQLite's word for waiting for the disk only now and then, not with each commit."""


class AtOnce:
    """The one connection for it; never on PostgreSQL, nor where each commit waits for the disk."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._writer: Writer | None = None
        self._from = 0.0 if database.is_sqlite else inf
        """When there may be a transaction again (monotonic)."""
        self._is_paused = False

    def write(
        self, transact: Callable[[Writer], None], refused: tuple[type[Exception], ...]
    ) -> bool:
        """Whether it was done; if not, or if it raised one of ``refused``, nothing was written."""
        began = self._clock.monotonic()
        if self._is_paused or began < self._from:
            return False
        try:
            writer = self._writer = self._writer or self._opened()
            if writer is not None:
                transact(writer)
            return writer is not None
        except refused as exc:
            # Whoever tries again knows what to make of it, and says so.
            if said(exc) != LOCKED:
                self.close()
            return False
        finally:
            took = self._clock.monotonic() - began
            if took > SLOW:
                self._from = max(self._from, began + took * REST)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is written within, from whichever thread: somebody else will take a while."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _opened(self) -> Writer | None:
        writer = Writer(self._database.engine)
        if writer.scalar("PRAGMA synchronous") > _NORMAL:
            writer.close()
            self._from = inf
            return None
        writer.execute("PRAGMA busy_timeout = 0")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        return writer
