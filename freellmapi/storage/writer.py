"""The driver's own connection, for the log alone: the one path that every answer waits for.

SQLAlchemy's care costs more there than the work itself (270 of 490 us for a single row, as
measured), so the statements are plain text, and everything else is still its: the pool, the
connection's settings, the names of tables and columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Engine

#: Any constant will do; it must differ from that of the migrations.
_ADVISORY_LOCK = 0x66_6C_6C_6C


class Writer:
    """One connection that is kept; used by one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._driver = engine.dialect.loaded_dbapi
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._connection = engine.raw_connection()
        self._cursor = self._connection.cursor()
        self.mark = "?" if engine.dialect.paramstyle == "qmark" else "%s"
        """What stands for a parameter in the text of a statement."""

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> None:
        self._cursor.execute(statement, parameters)

    def scalar(self, statement: str) -> Any:
        """The first column of the first row."""
        self._cursor.execute(statement)
        row = self._cursor.fetchone()
        return row[0] if row else None

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> Sequence[Sequence[Any]]:
        """All rows, in no order but the statement's."""
        self._cursor.execute(statement, parameters)
        found: Sequence[Sequence[Any]] = self._cursor.fetchall()
        return found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and no other writer of this kind meanwhile.

        Those of other processes queue here, so they cannot lock each other out further on.
        """
        if self.is_sqlite:
            self.execute("BEGIN IMMEDIATE")
        else:
            self.execute(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        try:
            yield
            self._connection.commit()
        except BaseException:
            with suppress(self._driver.Error):
                self._connection.rollback()
            raise

    def close(self) -> None:
        """Lets go of the connection; a transaction that was begun is rolled back."""
        with suppress(self._driver.Error):
            self._connection.close()


def is_passing(engine: Engine, error: Exception) -> bool:
    """Whether the database is away, locked or full, and the values are not to blame."""
    driver = engine.dialect.loaded_dbapi
    return isinstance(error, (driver.OperationalError, driver.InterfaceError))
