"""The request log: a row for every answer, on disk before the answer's last byte is sent.

While the database refuses (full, locked, away) answers go out all the same. Their rows are kept
in memory and written as soon as it takes them again; a crash meanwhile loses them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, select
from sqlalchemy.exc import DBAPIError

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.storage import bulk
from freellmapi.storage.at_once import AtOnce
from freellmapi.storage.counters import SUMMED
from freellmapi.storage.db import Database, said
from freellmapi.storage.group_commit import Closed, GroupCommit
from freellmapi.storage.logged import (
    LoggedRequest,
    attempt_values,
    read_request,
    request_values,
)
from freellmapi.storage.tables import attempts, counters, requests
from freellmapi.storage.writer import Writer, is_passing

__all__ = ["LogWriteError", "LoggedRequest", "RequestLog", "UsageRow"]

log = logging.getLogger(__name__)

#: Seconds before the second and each further try of a transaction that failed; a server may
#: be on its way back from a restart.
_BACKOFF = (0.05, 0.2, 0.8)
_SERVER_BACKOFF = (*_BACKOFF, 1.0, 2.0)
PATIENCE = 5.0
"""Seconds after which no further try is begun: an answer's last byte waits for them. SQLite
waits as long again for its lock, see ``db.BUSY_TIMEOUT_MS``, if the first tries failed at once."""
MAX_KEPT = 10_000
"""Rows that are kept in memory, some 20 MB; what comes then is lost."""
_BATCH = 500
MOST_AT_ONCE = 50
"""Rows that are written without a thread of their own, in some 20 us each."""
_PRUNE_BATCH = 500
MOST_AT_ONCE = 50
"""Rows that are written on the hub, at some 20 us each."""
MOST_AT_ONCE = 50
"""Rows that are written without a thread of their own, in some 20 us each."""
SLOW = 0.005
"""Seconds for which a transaction may hold the hub up before it is let off for a while."""
_REST = 1_000
"""How many times as long it is let off: a slow disk takes a thousandth of its time."""

#: The newest row, or the newest that there was if it is deleted by now: no id is given twice.
_NEWEST = (
    "SELECT max(value) FROM (SELECT max(id) AS value FROM requests UNION ALL "
    f"SELECT value FROM counters WHERE name = '{SUMMED}') AS newest"
)

#: Seconds that an attempt may start after its request came.
_LONGEST_REQUEST = 600.0


class LogWriteError(Exception):
    """The row could not be written; the cause is the database's own error."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one model took through one key in one second: calls that counted, and tokens."""

    at: int
    provider: str
    model: str
    key_id: str
    requests: int
    tokens: int


class RequestLog:
    """Appends by group commit; reads and prunes as any other table."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._group = GroupCommit(self._write, self._write_at_once)
        self._writer: Writer | None = None
        self._at_once = AtOnce(database, clock)
        self._refused = _refusals(database)
        self._backoff = _BACKOFF if database.is_sqlite else _SERVER_BACKOFF
        self._refusal: Exception = LogWriteError()
        self._reported: BaseException | None = None
        self._before: int | None = None
        """The newest row before the first try to write these."""
        self._kept: deque[LoggedRequest] = deque()
        self.is_away = False
        """Whether the database refused the last rows; nobody waits for it then."""
        self.failures = 0
        """Rows that were lost since the start."""
        self.transactions = 0
        """Transactions that were committed since the start."""

    def append(self, row: LoggedRequest) -> None:
        """Returns when the row is committed; ``LogWriteError`` when it is not.

        Other greenlets run meanwhile. Rows of concurrent callers share transactions.
        """
        if self.is_away:
            self._keep((row,))
            raise LogWriteError("the request log cannot be written at the moment")
        try:
            error = self._group.add(row)
        except Closed as exc:
            raise LogWriteError("the request log is closed") from exc
        if error is not None:
            self._report(error)
            raise LogWriteError(f"the request log cannot be written: {said(error)}") from error

    def flush(self) -> None:
        """Tries to write what is kept; returns when that has been done, or refused again."""
        self._group.flush()

    def paused(self) -> AbstractContextManager[None]:
        """For who writes for a while, off the hub: rows that come meanwhile wait on a thread."""
        return self._at_once.paused()

    def close(self) -> None:
        """Returns when all that was appended is committed or refused."""
        self._group.close()
        self._drop_writer()
        self._at_once.close()

    @property
    def waiting(self) -> int:
        """Rows that wait for the transaction under way to end."""
        return self._group.waiting

    @property
    def kept(self) -> int:
        """Rows in memory that the database has refused so far."""
        return len(self._kept)

    def recent(self, limit: int, before_id: int | None = None) -> tuple[LoggedRequest, ...]:
        """The newest rows, newest first; those older than row ``before_id`` if given."""
        query = select(requests).order_by(requests.c.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(requests.c.id < before_id)
        with self._database.connect() as connection:
            return read_rows(connection, query)

    def find(self, request_id: str) -> LoggedRequest | None:
        """The newest row of this request id."""
        query = (
            select(requests)
            .where(requests.c.request_id == request_id)
            .order_by(requests.c.id.desc())
            .limit(1)
        )
        with self._database.connect() as connection:
            return next(iter(read_rows(connection, query)), None)

    def usage_since(self, since: float) -> Iterator[UsageRow]:
        """What the providers counted from ``since`` on, second by second, oldest first."""
        c = attempts.c
        # Not a join: SQLite would read all attempts first and look their requests up.
        recent = select(requests.c.id).where(requests.c.at >= since - _LONGEST_REQUEST)
        query = (
            select(
                c.started_at, c.provider, c.model, c.key_id, c.prompt_tokens, c.completion_tokens
            )
            .where(c.log_id.in_(recent), c.started_at >= since, c.spent)
            .order_by(c.started_at)
        )
        second = 0
        sums: dict[tuple[str, str, str], tuple[int, int]] = {}
        with self._database.connect() as connection:
            for at, provider, model, key_id, sent, received in connection.execute(query):
                if int(at) != second:
                    yield from _usage_rows(second, sums)
                    second, sums = int(at), {}
                n, tokens = sums.get((provider, model, key_id), (0, 0))
                tokens += (sent or 0) + (received or 0)
                sums[provider, model, key_id] = (n + 1, tokens)
        yield from _usage_rows(second, sums)

    def prune(self, before: float) -> int:
        """Deletes the rows that came before then, some hundreds at a time; how many.

        Not those that the sums still need.
        """
        summed = select(counters.c.value).where(counters.c.name == SUMMED).scalar_subquery()
        old = (requests.c.at < before, requests.c.id <= summed)
        gone = 0
        while True:
            with self._database.begin() as connection:
                ids = connection.scalars(
                    select(requests.c.id).where(*old).limit(_PRUNE_BATCH)
                ).all()
                connection.execute(delete(attempts).where(attempts.c.log_id.in_(ids)))
                connection.execute(delete(requests).where(requests.c.id.in_(ids)))
            gone += len(ids)
            if len(ids) < _PRUNE_BATCH:
                return gone
            self._clock.sleep(0)

    # This runs on the hub.

    def _write_at_once(self, rows: Sequence[LoggedRequest]) -> bool:
        if self.is_away or len(rows) > MOST_AT_ONCE:
            return False
        if not self._at_once.write(partial(self._transact, rows), self._refused):
            return False
        self._before = None
        return True

    # What follows runs on the writer's thread.

    def _write(self, rows: Sequence[LoggedRequest]) -> Mapping[int, Exception]:
        if not rows:
            self._write_kept()
            return {}
        errors = None if self.is_away else self._write_batch(rows, self._backoff)
        if errors is None:
            self.is_away = True
            self._keep(rows)
            return dict.fromkeys(range(len(rows)), self._refusal)
        self._before = None
        self.failures += len(errors)
        return errors

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

    def _keep(self, rows: Sequence[LoggedRequest]) -> None:
        """From any thread."""
        room = max(0, MAX_KEPT - len(self._kept))
        self._kept.extend(rows[:room])
        self.failures += len(rows[room:])

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

    # And this again on the callers' side.

    def _report(self, error: Exception) -> None:
        """One line for each transaction lost, not one for each of its rows."""
        if error is not self._reported:
            self._reported = error
            log.error(
                "request log not written kept=%d lost=%d: %s", self.kept, self.failures, said(error)
            )


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


def read_rows(connection: Connection, query: Select[Any]) -> tuple[LoggedRequest, ...]:
    """What a query of the table ``requests`` finds, with the attempts of each."""
    rows = connection.execute(query).all()
    found: dict[int, list[Row[Any]]] = {row.id: [] for row in rows}
    of_these = (
        select(attempts)
        .where(attempts.c.log_id.in_(found))
        .order_by(attempts.c.log_id, attempts.c.n)
    )
    for attempt in connection.execute(of_these):
        found[attempt.log_id].append(attempt)
    return tuple(read_request(row, found[row.id]) for row in rows)


def _usage_rows(
    second: int, sums: Mapping[tuple[str, str, str], tuple[int, int]]
) -> Iterator[UsageRow]:
    for (provider, model, key_id), (n, tokens) in sums.items():
        yield UsageRow(second, provider, model, key_id, n, tokens)
