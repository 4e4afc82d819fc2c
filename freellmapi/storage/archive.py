"""Backups in files: written while the database is in use, and put back when it is not."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy.engine import make_url

from freellmapi.core.errors import SettingsError
from freellmapi.storage.backup import copy_file
from freellmapi.storage.db import Database
from freellmapi.storage.vault import Vault, verify


class ArchiveError(Exception):
    """A backup cannot be written, or not be put back; the message says why."""


def sqlite_file(url: str) -> Path | None:
    """The one file of this database; None for PostgreSQL, which has tools of its own."""
    parsed = make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    return Path(parsed.database or "").absolute() if is_sqlite else None


def write(live: Path, target: Path) -> int:
    """A whole and checked copy at ``target``, for its owner alone; its size in bytes.

    Never half there: it gets its name when it is complete.
    """
    if not live.is_file():
        raise ArchiveError(f"There is no database at {live} yet.")
    part = target.with_name(f".{target.name}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        copy_file(str(live), str(part))
        _check(part)
        _sync(part)
        os.replace(part, target)
        return target.stat().st_size
    except (sqlite3.Error, OSError) as exc:
        raise ArchiveError(f"{target} cannot be written: {exc}") from exc
    finally:
        part.unlink(missing_ok=True)


def put_back(backup: Path, live: Path, vault: Vault, aside: Path) -> bool:
    """Makes ``backup`` the database; what was there is at ``aside`` then, if there was any.

    Everything is checked first: that the backup is whole, no newer than this program, and
    of this encryption key (``SettingsError``), and that nobody uses the database.
    """
    part = live.with_name(f".{live.name}.restoring")
    try:
        live.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _take_in(backup, part)
        _check_fits(part, vault)
        if not live.exists():
            os.replace(part, live)
            return False
        _let_go_of(live)
        os.replace(live, aside)
        os.replace(part, live)
        _sync(live.parent)
        return True
    except (sqlite3.Error, OSError) as exc:
        raise ArchiveError(f"{backup} cannot be put back: {exc}") from exc
    finally:
        for suffix in ("", "-wal", "-shm"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)


def _take_in(backup: Path, part: Path) -> None:
    """As a file of our own, so that what is checked is what will be used."""
    with backup.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise ArchiveError(f"{backup} is no backup of FreeLLMAPI: not a SQLite database.")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    copy_file(str(backup), str(part))
    _check(part)


def _check_fits(part: Path, vault: Vault) -> None:
    with closing(sqlite3.connect(part)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not {"migrations", "vault_canary", "provider_keys"} <= tables:
        raise ArchiveError("The file is a SQLite database, but not one of FreeLLMAPI.")
    database = Database.open(f"sqlite:///{part}")
    try:
        verify(database, vault)
    except SettingsError as exc:
        raise SettingsError(
            "The backup was made under another ENCRYPTION_KEY; set the key of that time."
        ) from exc
    finally:
        database.close()


def _let_go_of(live: Path) -> None:
    """Folds the log of changes in and makes sure that no process has the database open."""
    with closing(sqlite3.connect(live, timeout=1.0)) as connection:
        mode = "wal"
        with suppress(sqlite3.OperationalError):
            # Refused as long as anybody else is connected, if only to read.
            (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    if mode != "delete":
        raise ArchiveError(
            f"{live} is in use; stop the server first (and other freellmapi commands)."
        )


def _check(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise ArchiveError(f"{file} is damaged: {said}")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
