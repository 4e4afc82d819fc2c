"""A consistent copy of the database while it is written to."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import IO

from gevent.monkey import get_original

from freellmapi.storage.db import Database

_new_lock = get_original("_thread", "allocate_lock")
_start_thread = get_original("_thread", "start_new_thread")


class Copying:
    """A copy under way, on a native thread of its own: it may take longer than any job may.

    Secrets in it are as sealed as in the database itself.
    """

    def __init__(self, database: Database) -> None:
        """Begins at once; ``OSError`` where there is no room for another file."""
        self._source = Path(database.engine.url.database or "").resolve()
        # Beside the database: a temporary folder may be memory, and may be open to others.
        handle, self._name = tempfile.mkstemp(prefix="backup-", dir=self._source.parent)
        self._target = os.fdopen(handle, "rb")
        self._error: Exception | None = None
        self._lock = _new_lock()
        self._lock.acquire()
        _start_thread(self._run, ())

    def wait(self, seconds: float) -> bool:
        """Blocks, at most so long; whether the copy is whole, or has failed."""
        if not self._lock.acquire(timeout=seconds):
            return False
        self._lock.release()
        return True

    def take(self) -> IO[bytes]:
        """The copy, open for reading; its name is gone already, so nothing stays behind.

        After ``wait``. Raises what went wrong: ``sqlite3.Error``, ``OSError``.
        """
        if self._error is not None:
            self.discard()
            raise self._error
        return self._target

    def discard(self) -> None:
        """Lets go of it, taken or not."""
        self._target.close()

    def _run(self) -> None:
        try:
            copy_file(str(self._source), self._name)
        except (sqlite3.Error, OSError) as exc:
            self._error = exc  # Raised where it is waited for.
        finally:
            os.unlink(self._name)
            self._lock.release()


def can_be_copied(database: Database) -> bool:
    """Only SQLite is one file; a PostgreSQL has tools of its own (``pg_dump``)."""
    return database.engine.dialect.name == "sqlite"


def copy_file(source_name: str, target_name: str) -> None:
    """Blocks. What is committed in one file, into another that is empty or not there."""
    source, target = sqlite3.connect(source_name), sqlite3.connect(target_name)
    try:
        source.backup(target)
        # As one plain file: in WAL mode whoever opens it would make two more beside it.
        target.execute("PRAGMA journal_mode = DELETE")
    finally:
        target.close()
        source.close()
