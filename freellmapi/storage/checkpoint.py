"""Copies SQLite's write-ahead log into the database, while requests go on."""

from __future__ import annotations

from freellmapi.storage.db import Database
from freellmapi.storage.writer import Writer

_PATIENCE_MS = 100
"""How long those who write may have to wait for one who still reads what was before."""


def checkpoint(database: Database, *, shrink: bool = False) -> None:
    """All of it, so that the file begins anew with the next write; SQLite's only.

    Most is copied while others write, the rest while they wait. What cannot be copied now, as
    somebody reads what was before, is left for the next time. The file keeps its size, which
    costs less than to grow again, unless it is to ``shrink`` to nothing.
    """
    if not database.is_sqlite:
        return
    writer = Writer(database.engine)
    try:
        writer.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        for how_far in ("PASSIVE", "TRUNCATE" if shrink else "FULL"):
            writer.rows(f"PRAGMA wal_checkpoint({how_far})")
    finally:
        writer.close()
