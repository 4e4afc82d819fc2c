"""The copy that is kept before the schema is changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from freellmapi.core.errors import SettingsError
from freellmapi.storage import before, migrations
from freellmapi.storage.db import Database


@pytest.fixture
def old(sqlite_url: str) -> str:
    """A database that was last opened by an older version."""
    database = Database.open(sqlite_url)
    for step in migrations.MIGRATIONS[:-2]:
        with database.begin() as connection:
            migrations.apply(connection, step)
    with database.begin() as connection:
        connection.execute(text("INSERT INTO settings VALUES ('kept', '1')"))
    database.close()
    return sqlite_url


def _copies(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*before*"))


def test_the_file_is_kept_as_it_was(old: str, tmp_path: Path) -> None:
    stale = tmp_path / "data" / "t.db.before-001-x"
    stale.write_text("of an upgrade long ago")
    database = Database.open(old)
    database.migrate()
    database.migrate()
    database.close()
    name = f"t.db.before-{migrations.MIGRATIONS[-2].name}"
    assert _copies(tmp_path / "data") == [name]
    with sqlite3.connect(tmp_path / "data" / name) as kept:
        steps = {row[0] for row in kept.execute("SELECT name FROM migrations")}
        assert steps == {step.name for step in migrations.MIGRATIONS[:-2]}
        assert kept.execute("SELECT name FROM settings").fetchall() == [("kept",)]
    kept.close()


def test_of_a_new_database_nothing_is_kept(sqlite: Database, tmp_path: Path) -> None:
    assert sqlite.schema
    assert _copies(tmp_path / "data") == []


def test_without_a_copy_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_bytes(b"not a database" * 400)
    with pytest.raises(SettingsError, match="make room"):
        before.keep(create_engine(f"sqlite:///{tmp_path / 't.db'}"), "x")
    assert _copies(tmp_path) == []
