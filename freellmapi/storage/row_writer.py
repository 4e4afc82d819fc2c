"""Writes rows of the request log: again after a while, each once, and none lost that can wait.

What the database refuses for now (full, locked, away) is kept in memory, and written as soon as
it takes it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy.exc import DBAPIError

from freellmapi.core.clock import Clock
from freellmapi.storage import bulk
from freellmapi.storage.at_once import AtOnce
from freellmapi.storage.counters import SUMMED
from freellmapi.storage.db import Database
from freellmapi.storage.logged import LoggedRequest, attempt_values, request_values
from freellmapi.storage.tables import attempts, requests
from freellmapi.storage.writer import Writer, is_passing

#: Seconds before the second and each further try of a transaction that failed; a server may
#: be on its way back from a restart.
_BACKOFF = (0.05, 0.2, 0.8)
_SERVER_BACKOFF = (*_BACKOFF, 1.0, 2.0)
PATIENCE = 5.0
"""Seconds after which no further try is begun: an answer's last byte waits for them. SQLite
waits as long again for its lock, see ``db.BUSY_TIMEOUT_MS``, if the first tries failed at once."""
MAX_KEPT = 10_000
"""Rows that are kept in memory, some 20 MB; what comes then is lost."""
MOST_AT_ONCE = 50
"""Rows that are written without a thread of their own, in some 20 us each."""
_BATCH = 500

#: The newest row, or the newest that there was if it is deleted by now: no id is given twice.
_NEWEST = (
    "SELECT max(value) FROM (SELECT max(id) AS value FROM requests UNION ALL "
    f"SELECT value FROM counters WHERE name = '{SUMMED}') AS newest"
)


class RowWriter:
    """Writes batches, one at a time: ``write`` on a thread, ``write_at_once`` on the hub."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.at_once = AtOnce(database, clock)
        self._writer: Writer | None = None
        self._refused = _refusals(database)
        self._backoff = _BACKOFF if database.is_sqlite else _SERVER_BACKOFF
        self._refusal = Exception("nothing was refused yet")
        self._before: int | None = None
        """The newest row before the first try to write these."""
        self._kept: deque[LoggedRequest] = deque()
        self.is_away = False
        """Whether the database refused the last rows; nobody waits for it then."""
        self.failures = 0
        """Rows that were lost since the start."""
        self.transactions = 0
        """Transactions that were committed since the start."""

    def write_at_once(self, rows: Sequence[LoggedRequest]) -> bool:
        """Whether they were written, without waiting for anything; if not, none was."""
        if self.is_away or len(rows) > MOST_AT_ONCE:
            return False
        if not self.at_once.write(partial(self._transact, rows), self._refused):
            return False
        self._before = None
        return True

    def write(self, rows: Sequence[LoggedRequest]) -> Mapping[int, Exception]:
        """The errors of those that were not written, by their place; with none, what is kept."""
        if not rows:
            self._write_kept()
            return {}
        errors = None if self.is_away else self._write_batch(rows, self._backoff)
        if errors is None:
            self.is_away = True
            self.keep(rows)
            return dict.fromkeys(range(len(rows)), self._refusal)
        self._before = None
        self.failures += len(errors)
        return errors

    def keep(self, rows: Sequence[LoggedRequest]) -> None:
        """For later; from any thread."""
        room = max(0, MAX_KEPT - len(self._kept))
        self._kept.extend(rows[:room])
        self.failures += len(rows[room:])

    @property
    def kept(self) -> int:
        """Rows in memory that the database has refused so far."""
        return len(self._kept)

    def close(self) -> None:
        self._drop_writer()
        self.at_once.close()

    def _write_kept(self) -> None:
        while self._kept:
            rows = [self._kept.popleft() for _ in range(min(_BATCH, len(self._kept)))]
            errors = self._write_batch(rows, ())
            if errors is None:
                self._kept.extendleft(reversed(rows))
                return
            self.failures += len(errors)
        self._before = None
        self.is_away = False

    def _write_batch(
        self, rows: Sequence[LoggedRequest], backoff: Sequence[float]
    ) -> Mapping[int, Exception] | None:
        """The errors of rows that can never be written; None when none can for now."""
        error = self._try(rows, backoff)
        if error is None:
            return {}
        if self._is_passing(error):
            self._refusal = error
            return None
        if len(rows) == 1:
            return {0: error}
        # One row that cannot be stored must not take the others with it.
        return {n: error for n, row in enumerate(rows) if (error := self._try([row], backoff))}

    def _try(self, rows: Sequence[LoggedRequest], backoff: Sequence[float]) -> Exception | None:
        """Writes the rows in one transaction, again after a while if the fault may pass."""
        give_up = self._clock.monotonic() + PATIENCE
        for wait in (*backoff, None):
            try:
                self._writer = self._writer or Writer(self._database.engine)
                self._transact(rows, self._writer)
                return None
            except self._refused as exc:
                self._drop_writer()
                late = wait is None or self._clock.monotonic() + wait >= give_up
                if late or not self._is_passing(exc):
                    return exc
                self._clock.sleep(wait or 0)
        return None

    def _transact(self, rows: Sequence[LoggedRequest], writer: Writer) -> None:
        with writer.transaction():
            newest = writer.scalar(_NEWEST)
            missing = self._missing(writer, rows, newest)
            if missing:
                _add(writer, missing, newest)
        self.transactions += 1

    def _missing(
        self, writer: Writer, rows: Sequence[LoggedRequest], newest: int
    ) -> Sequence[LoggedRequest]:
        """All at first; then those that are not there, as a server that commits may be gone
        before it has said so."""
        if self._before is None:
            self._before = newest
            return rows
        since = f"SELECT request_id FROM requests WHERE id > {writer.mark}"
        there = {id for (id,) in writer.rows(since, (self._before,))}
        return [row for row in rows if row.request_id not in there]

    def _is_passing(self, error: Exception) -> bool:
        # Opening a connection is still SQLAlchemy's, and so are the errors of that.
        return isinstance(error, DBAPIError) or is_passing(self._database.engine, error)

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _add(writer: Writer, rows: Sequence[LoggedRequest], newest: int) -> None:
    numbered = list(enumerate(rows, 1 + newest))
    bulk.add(writer, requests, [request_values(id, row) for id, row in numbered])
    tried = [
        attempt_values(id, n, attempt)
        for id, row in numbered
        for n, attempt in enumerate(row.attempts)
    ]
    bulk.add(writer, attempts, tried)


def _refusals(database: Database) -> tuple[type[Exception], ...]:
    """What writing may raise: the driver's errors, or Python's for a value it cannot bind
    (lone surrogates, integers over 64 bits)."""
    driver_error = database.engine.dialect.loaded_dbapi.Error
    return (DBAPIError, driver_error, ValueError, OverflowError, TypeError)
