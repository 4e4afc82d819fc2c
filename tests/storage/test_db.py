"""Opening a database, and saying what is wrong when it cannot be."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from freellmapi.core.errors import SettingsError
from freellmapi.storage.db import Database, DatabaseUnavailable

ROOT = Path(__file__).parents[2]


def test_makes_the_folder_and_the_file(sqlite_url: str, tmp_path: Path) -> None:
    Database.open(sqlite_url).close()
    assert (tmp_path / "data" / "t.db").exists()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 1), ("foreign_keys", 1), ("busy_timeout", 5000)],
)
def test_every_connection_has_the_pragmas(sqlite: Database, pragma: str, value: object) -> None:
    with sqlite.connect() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_begin_commits_at_the_end_and_rolls_back_on_an_error(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("INSERT INTO settings VALUES ('a', '1')"))
    with pytest.raises(IntegrityError), database.begin() as connection:
        connection.execute(text("INSERT INTO settings VALUES ('b', '2')"))
        connection.execute(text("INSERT INTO settings VALUES ('a', '3')"))
    with database.connect() as connection:
        assert connection.execute(text("SELECT * FROM settings")).all() == [("a", "1")]


def test_what_was_written_is_not_in_the_error(database: Database) -> None:
    insert = text("INSERT INTO settings VALUES (:name, :value)")
    with pytest.raises(IntegrityError) as caught, database.begin() as connection:
        for value in ("first", "hunter2"):
            connection.execute(insert, {"name": "a", "value": value})
    assert "INSERT INTO settings" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_begin_holds_the_write_lock_from_the_start(sqlite: Database, sqlite_url: str) -> None:
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), timeout=0)
    with sqlite.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()


def _garbage(folder: Path) -> str:
    (folder / "x.db").write_bytes(b"this is a letter, not a database" * 40)
    return f"sqlite:///{folder / 'x.db'}"


def _below_a_file(folder: Path) -> str:
    (folder / "file").write_text("")
    return f"sqlite:///{folder / 'file' / 'data' / 'x.db'}"


def _is_a_folder(folder: Path) -> str:
    return f"sqlite:///{folder}"


@pytest.mark.parametrize(
    ("make_url", "remedy"),
    [
        pytest.param(_garbage, "move it away", id="not a database"),
        pytest.param(_below_a_file, "FREELLMAPI_DATA_DIR", id="folder cannot be made"),
        pytest.param(_is_a_folder, "set DATABASE_URL", id="a folder"),
        pytest.param(lambda _: "no url at all", "write it like", id="no URL"),
        pytest.param(lambda _: "sqlite://", "name a file", id="in memory"),
        pytest.param(lambda _: "nosuch://host/x", "postgresql+psycopg", id="unknown database"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence_with_a_remedy(
    make_url: Callable[[Path], str], remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        Database.open(make_url(tmp_path))
    message = str(caught.value)
    assert remedy in message
    assert "\n" not in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SettingsError, match="not writable"):
            Database.open(f"sqlite:///{tmp_path / 't.db'}")
    finally:
        tmp_path.chmod(0o700)


def test_a_password_in_a_bad_url_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        Database.open("nosuch://me:hunter2@host/x")
    assert "hunter2" not in str(caught.value)


def test_check_passes_on_a_good_database_and_names_the_fault_of_a_lost_one(
    sqlite: Database, sqlite_url: str
) -> None:
    sqlite.check()
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    sqlite.close()
    for left in file.parent.iterdir():
        left.unlink()
    file.parent.rmdir()
    with pytest.raises(DatabaseUnavailable, match="unable to open"):
        sqlite.check()


@pytest.mark.parametrize(("sync", "expected"), [("normal", 1), ("full", 2)])
def test_a_commit_waits_for_the_disk_when_it_is_to(
    tmp_path: Path, sync: str, expected: int
) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'x.db'}", sync)
    with database.connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == expected
    database.close()


# On its own, as a process that has threads must not fork. Each round is two processes.
STARTS = """
import multiprocessing
import sys
from freellmapi.storage.db import Database

def opened(url, gate):
    gate.wait(20)
    Database.open(url).close()

fork = multiprocessing.get_context("fork")
for n in range(20):
    url, gate = f"sqlite:///{sys.argv[1]}/{n}.db", fork.Barrier(2)
    opening = [fork.Process(target=opened, args=(url, gate)) for _ in range(2)]
    for process in opening:
        process.start()
    for process in opening:
        process.join(20)
        assert process.exitcode == 0
"""


def test_two_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", STARTS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
