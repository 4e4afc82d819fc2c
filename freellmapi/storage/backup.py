"""A consistent copy of the database while it is written to."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import IO, cast

from freellmapi.storage.db import Database


def can_be_copied(database: Database) -> bool:
    """Only SQLite is one file; a PostgreSQL has tools of its own (``pg_dump``)."""
    return database.engine.dialect.name == "sqlite"


def copy(database: Database) -> IO[bytes]:
    """Blocks. The copy, open for reading; its name is gone already, so nothing stays behind.

    Secrets in it are as sealed as in the database itself.
    """
    # Beside the database: a temporary folder may be memory, and may be open to others.
    folder = Path(database.engine.url.database or "").resolve().parent
    handle, name = tempfile.mkstemp(prefix="backup-", dir=folder)
    os.close(handle)
    try:
        _copy_to(database, name)
        return open(name, "rb")
    finally:
        os.unlink(name)


def _copy_to(database: Database, name: str) -> None:
    target = sqlite3.connect(name)
    try:
        with database.connect() as connection:
            source = cast(sqlite3.Connection, connection.connection.driver_connection)
            source.backup(target)
        # As one plain file: in WAL mode whoever opens it would make two more beside it.
        target.execute("PRAGMA journal_mode = DELETE")
    finally:
        target.close()
