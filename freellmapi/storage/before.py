"""The copy that is kept of a SQLite file before its schema is changed: the way back."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Engine

from freellmapi.core.errors import SettingsError


def keep(engine: Engine, step: str) -> None:
    """Copies the file to ``<name>.before-<step>``, unless another process has done so.

    Older copies of the kind are removed: one is kept. ``SettingsError`` when there is no room.
    """
    file = Path(engine.url.database or "").resolve()
    kept = file.with_name(f"{file.name}.before-{step}")
    if kept.exists():
        return
    try:
        _copy(file, kept)
    except (OSError, sqlite3.Error) as exc:
        raise SettingsError(
            f"The database {file} cannot be copied to {kept.name} before its schema is changed "
            f"({exc}); make room beside it, then start again."
        ) from exc
    for older in file.parent.glob(f"{file.name}.before-*"):
        if older != kept:
            older.unlink(missing_ok=True)


def _copy(file: Path, kept: Path) -> None:
    handle, name = tempfile.mkstemp(prefix="before-", dir=file.parent)
    os.close(handle)
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(name)) as target:
            source.backup(target)
            # As one plain file: in WAL mode whoever opens it would make two more beside it.
            target.execute("PRAGMA journal_mode = DELETE")
        # The first whole copy stays: a later one might have been made after the change.
        with suppress(FileExistsError):
            os.link(name, kept)
    finally:
        os.unlink(name)
