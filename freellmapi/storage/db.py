"""The database: opened with a clear word about what is wrong, migrated, handed out in
connections. SQLite by default, else PostgreSQL.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

from freellmapi.core.clock import SystemClock
from freellmapi.core.errors import SettingsError
from freellmapi.storage import before, migrations, postgres

BUSY_TIMEOUT_MS = 5_000

LOCKED = "database is locked"
"""What SQLite says of another writer."""
_MOST_PAGES = 16_000
"""Pages of the write-ahead log (64 MB) at which any connection copies them into the database.
A server does so long before, see ``checkpoint.py``."""

_WRITES = "freellmapi_writes"

_whole: ContextVar[tuple[object, Connection | None]] = ContextVar("whole", default=(None, None))
"""The database and the transaction that its writes are part of, see ``Database.as_one``."""


class DatabaseUnavailable(Exception):
    """The database does not answer at the moment; the message is the driver's reason."""


class Database:
    """One database and the ways into it: ``begin`` to write, ``connect`` to read."""

    def __init__(self, engine: Engine, anchor: Connection | None = None) -> None:
        self.engine = engine
        self._anchor = anchor

    @classmethod
    def open(cls, url: str, sync: str = "normal") -> Database:
        """Connects once and looks around; ``SettingsError`` names what to do if it cannot.

        With ``sync`` "full" SQLite waits for the disk with each commit. With "normal" it leaves
        that to the system: a power cut may cost the last seconds, but never the whole.
        """
        parsed = _parsed(url)
        shown = parsed.render_as_string(hide_password=True)
        is_sqlite = parsed.get_backend_name() == "sqlite"
        if is_sqlite:
            _prepare_folder(parsed.database)
        engine = _engine(parsed, is_sqlite, sync)
        try:
            anchor = _anchor(engine) if is_sqlite else None
            with engine.connect() as connection:
                migrations.refuse_newer(connection)
        except SettingsError:
            engine.dispose()
            raise
        except DBAPIError as exc:
            engine.dispose()
            reason = _reason if is_sqlite else postgres.reason
            raise SettingsError(reason(shown, str(exc.orig))) from exc
        return cls(engine, anchor)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def begin(self, *, patient: bool = False) -> Iterator[Connection]:
        """A write transaction: committed at the end of the block, rolled back on an error.

        It is the only one of this kind at a time, among all processes. A ``patient`` one may
        take as long as it needs.
        """
        whose, joined = _whole.get()
        if joined is not None and whose is self:
            with joined.begin_nested():
                yield joined
            return
        connection = self.engine.connect().execution_options(**{_WRITES: True})
        with connection, connection.begin():
            if not self.is_sqlite:
                postgres.begin_alone(connection, patient=patient)
            yield connection

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """What this thread reads and writes within is one transaction: all of it or nothing."""
        with self.begin() as connection:
            token = _whole.set((self, connection))
            try:
                yield
            finally:
                _whole.reset(token)

    def connect(self) -> AbstractContextManager[Connection]:
        """A connection to read from; a write on it may find the database locked."""
        whose, joined = _whole.get()
        if joined is not None and whose is self:
            return nullcontext(joined)
        return self.engine.connect()

    def migrate(self) -> None:
        """Brings the schema up to date; safe when several processes do so at once.

        A SQLite file that is to be changed is copied beside itself first, see docs/upgrade.md.
        """
        with self.connect() as connection:
            pending = migrations.pending(connection)
        if pending and self.is_sqlite and len(pending) < len(migrations.MIGRATIONS):
            before.keep(self.engine, pending[0].name)
        for migration in pending:
            with self.begin(patient=True) as connection:
                migrations.apply(connection, migration)

    @property
    def schema(self) -> str:
        """The newest of the steps that this program has brought the database to."""
        return migrations.MIGRATIONS[-1].name

    def check(self) -> None:
        """Returns when the database answers, else raises ``DatabaseUnavailable``."""
        try:
            with self.connect() as connection:
                # Of a table of ours: SQLite would answer without a look at its file.
                connection.execute(text("SELECT value FROM counters LIMIT 1"))
        except SQLAlchemyError as exc:
            raise DatabaseUnavailable(said(exc)) from exc

    def close(self) -> None:
        """Lets go of every connection; the object is not used afterwards."""
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None
        self.engine.dispose()


def missing_file(url: str) -> bool:
    """Whether this is SQLite's, and would be made by opening it."""
    parsed = _parsed(url)
    return parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file()


def said(error: BaseException) -> str:
    """The driver's own words, on one line; SQLAlchemy's and the rest would show the statement."""
    return str(getattr(error, "orig", error)).partition("\n")[0]


def why_away(error: BaseException) -> str | None:
    """The reason, where an error says that the database does not answer at the moment."""
    if isinstance(error, DatabaseUnavailable):
        return str(error)
    return said(error) if isinstance(error, (OperationalError, InterfaceError)) else None


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        # The text itself is not repeated: it may hold a password.
        raise SettingsError(
            "DATABASE_URL cannot be read as a database address; write it like "
            "sqlite:////var/lib/freellmapi/freellmapi.db or "
            "postgresql+psycopg://user:password@host/name."
        ) from exc
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise SettingsError(
            "DATABASE_URL names an in-memory SQLite database, which every connection would see "
            "differently; name a file, e.g. sqlite:////var/lib/freellmapi/freellmapi.db."
        )
    return parsed


def _prepare_folder(file: str | None) -> None:
    folder = Path(file or "").resolve().parent
    try:
        # The database holds sealed keys and who asked what: for its owner alone.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsError(
            f"The folder {folder} for the database cannot be made ({exc.strerror}); create it and "
            "make it writable, or set DATABASE_URL or FREELLMAPI_DATA_DIR to another place."
        ) from exc
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"The folder {folder} for the database is not writable; give this user the right to "
            "write there, or set DATABASE_URL or FREELLMAPI_DATA_DIR to another place."
        )


def _engine(url: URL, is_sqlite: bool, sync: str) -> Engine:
    try:
        if postgres.is_postgres(url):
            return postgres.engine(url)
        if not is_sqlite:
            raise NoSuchModuleError(url.drivername)
        # A connection for each use. A pool's locks would be gevent's when the process is
        # patched, and they would be taken from native threads too (the log's writer).
        engine = create_engine(
            url,
            poolclass=NullPool,
            # What is written is no matter of the log: digests of passwords are among it.
            hide_parameters=True,
            connect_args={"check_same_thread": False, "isolation_level": None},
        )
    except NoSuchModuleError as exc:
        raise SettingsError(
            f"DATABASE_URL asks for '{url.drivername}', which is not a database known here; use "
            "sqlite:/// or postgresql+psycopg://."
        ) from exc
    except ModuleNotFoundError as exc:
        raise SettingsError(
            f"DATABASE_URL asks for '{url.drivername}', but the package '{exc.name}' is not "
            "installed; run: pip install 'freellmapi[postgres]'."
        ) from exc
    # The driver looks for how to adapt these with each value, and puts it into words that there
    # is no way: 2,000 instructions each, nine times for a row of the log.
    sqlite3.register_adapter(bool, int)
    sqlite3.register_adapter(NoneType, lambda none: none)
    event.listen(engine, "connect", partial(_configure, sync))
    event.listen(engine, "begin", _begin)
    return engine


def _configure(sync: str, connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _log_writes_ahead(cursor)
    cursor.execute(f"PRAGMA synchronous = {sync}")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {_MOST_PAGES}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _log_writes_ahead(cursor: Any) -> None:
    """Of two processes that change a new file to it at once, one is refused without waiting."""
    clock = SystemClock()
    give_up = clock.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as exc:
            if str(exc) != LOCKED or clock.monotonic() >= give_up:
                raise
            clock.sleep(0.02)


def _begin(connection: Connection) -> None:
    """Takes the write lock at once: a lock asked for in the middle of a transaction that has
    read already is refused without waiting."""
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _anchor(engine: Engine) -> Connection:
    """A connection that stays open, so that closing the others never folds the WAL away."""
    anchor = engine.connect()
    try:
        anchor.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    except DBAPIError:
        anchor.close()
        raise
    anchor.rollback()
    return anchor


def _reason(shown: str, said: str) -> str:
    if "not a database" in said:
        return (
            f"The file of {shown} is not a SQLite database; move it away, or set DATABASE_URL to "
            "another file."
        )
    if "readonly" in said or "unable to open" in said:
        return (
            f"The database {shown} cannot be opened for writing ({said}); give this user the right "
            "to write the file and its folder, or set DATABASE_URL to another place."
        )
    if "locked" in said:
        return (
            f"The database {shown} is locked by another program; stop that program, then start "
            "again."
        )
    return f"The database {shown} cannot be opened ({said}); check DATABASE_URL."
