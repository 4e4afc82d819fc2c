"""The copy of a database that is in use."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from freellmapi.storage import backup
from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.vault import Vault
from tests.fakes.clock import FrozenClock

PATIENCE = 60.0


def test_the_copy_holds_what_is_committed_and_no_secret(
    sqlite: Database, vault: Vault, clock: FrozenClock, tmp_path: Path
) -> None:
    keys, config = KeyStore(sqlite, vault, clock), ConfigStore(sqlite)
    secret = "gsk_" + "a1b2" * 13
    keys.add("groq", secret, "main")
    config.put_settings({"max_wait": 3})
    assert backup.can_be_copied(sqlite)
    with sqlite.begin():  # Another write is under way.
        copying = backup.Copying(sqlite)
        assert copying.wait(PATIENCE)
    with copying.take() as copied:
        contents = copied.read()
    assert secret.encode() not in contents
    path = tmp_path / "copy.db"
    path.write_bytes(contents)
    with sqlite3.connect(path) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT value FROM settings").fetchall() == [("3",)]
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    copy.close()


def test_nothing_stays_beside_the_database(sqlite: Database, tmp_path: Path) -> None:
    copying = backup.Copying(sqlite)
    assert copying.wait(PATIENCE)
    copying.discard()
    assert not list((tmp_path / "data").glob("backup-*"))


def test_a_copy_that_fails_says_so(sqlite: Database, tmp_path: Path) -> None:
    (file,) = (tmp_path / "data").glob("*.db")
    sqlite.close()
    file.write_bytes(b"no database at all" * 400)
    copying = backup.Copying(sqlite)
    assert copying.wait(PATIENCE)
    with pytest.raises(sqlite3.DatabaseError):
        copying.take()
    assert not list((tmp_path / "data").glob("backup-*"))
