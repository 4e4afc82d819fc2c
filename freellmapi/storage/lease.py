"""Who of several processes does what is to be done once: a row that its holder keeps renewing.

Nobody's wall clock counts, as those of two machines differ. Whoever wants the lease watches
the row; when its number has stood still for the whole time by his own clock, it is his.
"""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from freellmapi.core.clock import Clock
from freellmapi.storage.db import Database, DatabaseUnavailable, said
from freellmapi.storage.tables import leases

SECONDS = 15.0


class Leadership(Protocol):
    """Whether this process does what is done once."""

    @property
    def held(self) -> bool: ...

    def renew(self) -> bool: ...

    def release(self) -> None: ...


class Alone:
    """Of a process that has the database for itself: nothing has to be written."""

    held = True

    def renew(self) -> bool:
        return True

    def release(self) -> None:
        return


class Lease:
    """One name, which one ``holder`` has at a time; ``seconds`` without a renewal end it."""

    def __init__(
        self, database: Database, clock: Clock, name: str, holder: str, seconds: float = SECONDS
    ) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._holder = holder
        self._seconds = seconds
        self._until = float("-inf")
        self._seen: tuple[str, int] | None = None
        self._seen_at = 0.0

    @property
    def held(self) -> bool:
        """Whether nobody else can have it yet, by this process's own clock."""
        return self._clock.monotonic() < self._until

    def renew(self) -> bool:
        """Blocks. Takes the lease if it is free, keeps it if it is ours; whether it is now.

        ``DatabaseUnavailable`` when that cannot be told; what was held runs on to its end.
        """
        now = self._clock.monotonic()
        try:
            with self._database.connect() as connection:
                waits = self._is_anothers(self._row(connection), now)
            # Only who may have it writes, as writers wait for one another.
            taken = not waits and self._take(now)
        except DBAPIError as exc:
            raise DatabaseUnavailable(said(exc)) from exc
        self._until = now + self._seconds if taken else float("-inf")
        return taken

    def release(self) -> None:
        """Blocks. Lets the next one have it at once."""
        if not self.held:
            return
        self._until = float("-inf")
        try:
            with self._database.begin() as connection:
                ours = (leases.c.name == self._name, leases.c.holder == self._holder)
                connection.execute(delete(leases).where(*ours))
        except DBAPIError as exc:
            raise DatabaseUnavailable(said(exc)) from exc

    def _take(self, now: float) -> bool:
        with self._database.begin() as connection:
            row = self._row(connection)
            if self._is_anothers(row, now):
                return False
            values = {"holder": self._holder, "beat": row[1] + 1 if row else 1}
            if row is None:
                connection.execute(insert(leases).values(name=self._name, **values))
            else:
                connection.execute(
                    update(leases).where(leases.c.name == self._name).values(**values)
                )
            return True

    def _is_anothers(self, row: tuple[str, int] | None, now: float) -> bool:
        """Whether somebody else has it, or had it so lately that they may think so."""
        if row is None or row[0] == self._holder:
            return False
        if row != self._seen:
            self._seen, self._seen_at = row, now
        return now - self._seen_at <= self._seconds

    def _row(self, connection: Connection) -> tuple[str, int] | None:
        query = select(leases.c.holder, leases.c.beat).where(leases.c.name == self._name)
        row = connection.execute(query).first()
        return (row.holder, row.beat) if row else None
