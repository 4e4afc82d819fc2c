"""All that one database holds, into another one: from SQLite to PostgreSQL or back.

Rows keep their ids, as secrets are sealed to them and the log names keys by them. The new
database gives no id that the old one has ever given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, text

from freellmapi.storage import tables
from freellmapi.storage.counters import CONFIG, advance
from freellmapi.storage.db import Database

BATCH = 1_000

#: What belongs to the processes that run, and not to the owner.
_LEFT_OUT = (tables.leases,)

#: Tables whose ids the database gives.
_NUMBERED = (tables.provider_keys, tables.client_tokens, tables.accounts)

_COPIED = tuple(table for table in tables.metadata.tables.values() if table not in _LEFT_OUT)


class CopyRefused(Exception):
    """Nothing was copied; the message says why."""


def copy_all(
    source: Database,
    target: Database,
    *,
    replace: bool = False,
) -> Mapping[str, int]:
    """Rows copied, by table; both databases must have the newest schema.

    All or nothing, and as the source was at one moment: it may be in use. ``CopyRefused``
    when the target holds anything, unless it is to be replaced, and when the counts differ.
    """
    with source.connect() as old, target.begin(patient=True) as new:
        _of_one_moment(source, old)
        if not replace:
            _refuse_what_is_there(new)
        before = _count(new, tables.counters) and _version(new)
        for table in reversed(_COPIED):
            new.execute(delete(table))
        copied = {table.name: _copy(old, new, table) for table in _COPIED}
        for table in _NUMBERED:
            _go_on_from(new, table, _last_given(old, table))
        # A server that runs on the target already must see that all has changed.
        advance(new, CONFIG, by=max(1, before - _version(new) + 1))
        return copied


def _of_one_moment(database: Database, connection: Connection) -> None:
    if not database.is_sqlite:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _refuse_what_is_there(new: Connection) -> None:
    for table in _COPIED:
        # The counters are part of an empty schema.
        if table is not tables.counters and (rows := _count(new, table)):
            raise CopyRefused(
                f"The database to copy into is not empty ({rows} rows in {table.name}); name an "
                "empty one, or throw away what it holds with --replace."
            )


def _copy(old: Connection, new: Connection, table: Table) -> int:
    expected = _count(old, table)
    for batch in _batches(old, table):
        new.execute(insert(table), batch)
    found = _count(new, table)
    if found != expected:
        raise CopyRefused(f"{table.name} has {expected} rows, but {found} were copied.")
    return found


def _batches(old: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    rows = old.execution_options(stream_results=True, yield_per=BATCH).execute(select(table))
    for batch in rows.mappings().partitions():
        yield [dict(row) for row in batch]


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _version(connection: Connection) -> int:
    query = select(tables.counters.c.value).where(tables.counters.c.name == CONFIG)
    return connection.scalar(query) or 0


def _last_given(connection: Connection, table: Table) -> int:
    """The highest id that was ever given, to rows that are gone by now too."""
    if connection.dialect.name == "sqlite":
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return connection.scalar(query, {"name": table.name}) or 0
    sequence = connection.scalar(text(f"SELECT pg_get_serial_sequence('{table.name}', 'id')"))
    found = connection.scalar(text(f"SELECT last_value FROM {sequence} WHERE is_called"))
    return max(found or 0, connection.scalar(select(func.max(table.c.id))) or 0)


def _go_on_from(connection: Connection, table: Table, last: int) -> None:
    """Makes the next id the one after ``last``."""
    if connection.dialect.name == "sqlite":
        query = text("DELETE FROM sqlite_sequence WHERE name = :name")
        connection.execute(query, {"name": table.name})
        query = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)")
        connection.execute(query, {"name": table.name, "last": last})
    else:
        sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
        query = text(f"SELECT setval({sequence}, :value, :called)")
        connection.execute(query, {"value": max(last, 1), "called": last > 0})
