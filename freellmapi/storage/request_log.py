"""The request log: a row for every answer, on disk before the answer's last byte is sent.

While the database refuses (full, locked, away) answers go out all the same. Their rows are kept
in memory and written as soon as it takes them again; a crash meanwhile loses them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, select

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.storage.counters import SUMMED
from freellmapi.storage.db import Database, said
from freellmapi.storage.group_commit import Closed, GroupCommit
from freellmapi.storage.logged import LoggedRequest, read_request
from freellmapi.storage.row_writer import RowWriter
from freellmapi.storage.tables import attempts, counters, requests

__all__ = ["LogWriteError", "LoggedRequest", "RequestLog", "UsageRow"]

log = logging.getLogger(__name__)

_PRUNE_BATCH = 500
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
        self._rows = RowWriter(database, clock)
        self._group = GroupCommit(self._rows.write, self._rows.write_at_once)
        self._reported: BaseException | None = None

    def append(self, row: LoggedRequest) -> None:
        """Returns when the row is committed; ``LogWriteError`` when it is not.

        Other greenlets run meanwhile. Rows of concurrent callers share transactions.
        """
        if self._rows.is_away:
            self._rows.keep((row,))
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
        return self._rows.at_once.paused()

    def close(self) -> None:
        """Returns when all that was appended is committed or refused."""
        self._group.close()
        self._rows.close()

    @property
    def waiting(self) -> int:
        """Rows that wait for the transaction under way to end."""
        return self._group.waiting

    @property
    def kept(self) -> int:
        """Rows in memory that the database has refused so far."""
        return self._rows.kept

    @property
    def is_away(self) -> bool:
        """Whether the database refused the last rows; nobody waits for it then."""
        return self._rows.is_away

    @property
    def failures(self) -> int:
        """Rows that were lost since the start."""
        return self._rows.failures

    @property
    def transactions(self) -> int:
        """Transactions that were committed since the start."""
        return self._rows.transactions

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

    def _report(self, error: Exception) -> None:
        """One line for each transaction lost, not one for each of its rows."""
        if error is not self._reported:
            self._reported = error
            log.error(
                "request log not written kept=%d lost=%d: %s", self.kept, self.failures, said(error)
            )


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
