"""PostgreSQL: how its connections are made and kept, and what it says when it is not there."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry, Pool

DRIVER = "postgresql+psycopg"

#: How others write the same thing.
NAMES = ("postgres", "postgresql", DRIVER)

MOST_IDLE = 4
"""Connections of one process that are kept open while nobody uses them."""

#: Seconds; they bound what a lost server or a stopped worker can hold up.
_CONNECT, _LOCK, _STATEMENT, _STALLED = 5, 10, 60, 30

#: Any constant will do; it must differ from that of the log's writer.
_ADVISORY_LOCK = 0x66_6C_6C_6D


# It would show the stack of every connection that a server's restart has cut, and whoever
# had that connection is told anyway.
logging.getLogger(f"{__name__}.IdlePool").setLevel(logging.CRITICAL)


class IdlePool(Pool):
    """A stack of idle connections; whoever finds it empty gets a new one.

    SQLAlchemy's own pools wait on locks, which are gevent's in a patched process, and this
    one is used by native threads too. Each step on a deque is whole by itself.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._args, self._options = args, options
        self._idle: deque[ConnectionPoolEntry] = deque()

    def recreate(self) -> IdlePool:
        return type(self)(*self._args, **self._options | {"_dispatch": self.dispatch})

    def dispose(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def status(self) -> str:
        return f"{len(self._idle)} idle"

    def _do_get(self) -> ConnectionPoolEntry:
        try:
            return self._idle.pop()
        except IndexError:
            return self._create_connection()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if len(self._idle) < MOST_IDLE:
            self._idle.append(record)
        else:
            record.close()


def is_postgres(url: URL) -> bool:
    return url.drivername in NAMES


def engine(url: URL) -> Engine:
    """An engine whose connections are looked at before each use and replaced when lost."""
    ours = {
        "connect_timeout": _CONNECT,
        "application_name": "freellmapi",
        "client_encoding": "utf8",
        "keepalives_idle": _STALLED,
        "tcp_user_timeout": 1_000 * _STALLED,
        "options": f"-c lock_timeout={_LOCK}s -c statement_timeout={_STATEMENT}s "
        f"-c idle_in_transaction_session_timeout={_STALLED}s",
    }
    made = create_engine(
        url.set(drivername=DRIVER),
        poolclass=IdlePool,
        hide_parameters=True,
        pool_pre_ping=True,
        # What the URL itself says comes first.
        connect_args={name: value for name, value in ours.items() if name not in url.query},
    )
    event.listen(made, "connect", _store_all_text())
    return made


def _store_all_text() -> Callable[[Any, object], None]:
    """For each connection: the one character that PostgreSQL cannot keep becomes another."""
    from psycopg.types.string import StrDumperUnknown

    class AnyText(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    return lambda connection, _record: connection.adapters.register_dumper(str, AnyText)


def begin_alone(connection: Connection, *, patient: bool) -> None:
    """Makes the transaction the only one that writes, which on SQLite every one is.

    ``patient``: wait, and work, for as long as it takes.
    """
    if patient:
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


def reason(shown: str, said: str) -> str:
    """One sentence about why the database cannot be opened, and what to do."""
    first = said.strip().splitlines()[0].strip() if said.strip() else "no reason given"
    if "does not exist" in first and "database" in first:
        return f"There is no database at {shown} ({first}); make it with: createdb."
    if "password" in first or "role" in first:
        return f"The database {shown} does not let us in ({first}); check the user and password."
    return f"The database {shown} does not answer ({first}); start it, or check DATABASE_URL."
