from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from freellmapi.storage.db import Database
from tests.cli.conftest import Run

SECRET = "gsk_" + "a1b2" * 13


@pytest.fixture
def live(environ: dict[str, str], run: Run) -> Path:
    """The database, with one key in it."""
    assert run("keys", "add", "groq", stdin=SECRET).exit_code == 0
    return Path(environ["FREELLMAPI_DATA_DIR"]) / "freellmapi.db"


@pytest.fixture(autouse=True)
def sqlite(environ: dict[str, str]) -> None:
    """Whatever database the suite runs on, this is about SQLite's file."""
    environ.pop("DATABASE_URL", None)


def labels(run: Run) -> list[str]:
    found = run("keys", "list", "--json")
    assert found.exit_code == 0, found.output
    return [key["provider"] for key in json.loads(found.output)]


def test_a_backup_holds_everything_sealed(run: Run, live: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.db"
    said = json.loads(run("backup", str(target), "--json").output)
    assert said == {"file": str(target), "bytes": target.stat().st_size, "removed": []}
    assert target.stat().st_mode & 0o777 == 0o600
    assert SECRET.encode() not in target.read_bytes()
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def test_it_is_taken_while_somebody_writes(run: Run, live: Path, tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{live}")
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM provider_keys")
        assert run("backup", str(tmp_path / "b.db")).exit_code == 0
    database.close()
    copy = sqlite3.connect(tmp_path / "b.db")
    assert copy.execute("SELECT count(*) FROM provider_keys").fetchone() == (1,)
    copy.close()


def test_nothing_is_written_over_unless_asked(run: Run, live: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.db"
    target.write_text("precious")
    refused = run("backup", str(target))
    assert refused.exit_code == 2 and "--force" in refused.output
    assert target.read_text() == "precious"
    assert run("backup", str(target), "--force").exit_code == 0


def test_a_folder_keeps_the_newest(run: Run, live: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    older = [folder / f"freellmapi-2020010{n}T000000Z.db" for n in range(1, 4)]
    for path in (*older, folder / "mine.db"):
        path.touch()
    said = json.loads(run("backup", str(folder), "--keep", "2", "--json").output)
    assert said["removed"] == [str(path) for path in older[:2]]
    left = {path.name for path in folder.iterdir()}
    assert left == {older[2].name, "mine.db", Path(said["file"]).name}
    refused = run("backup", str(tmp_path / "x.db"), "--keep", "2")
    assert refused.exit_code == 2


def test_without_a_database_there_is_nothing_to_copy(
    run: Run, environ: dict[str, str], tmp_path: Path
) -> None:
    failed = run("backup", str(tmp_path / "b.db"), "--json")
    assert failed.exit_code == 1 and "no database" in json.loads(failed.output)["error"]
    assert not Path(environ["FREELLMAPI_DATA_DIR"]).exists(), "and none is made"


def test_a_target_that_cannot_be_written_is_named(run: Run, live: Path, tmp_path: Path) -> None:
    failed = run("backup", str(tmp_path / "no" / "b.db"))
    assert failed.exit_code == 1 and "no/b.db cannot be written" in failed.output


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_postgresql_has_its_own_tools(
    run: Run, environ: dict[str, str], tmp_path: Path, command: str
) -> None:
    environ["DATABASE_URL"] = "postgresql+psycopg://me:secret@nowhere.invalid/x"
    (tmp_path / "b.db").touch()
    refused = run(command, str(tmp_path / "b.db"))
    assert refused.exit_code == 2 and "PostgreSQL" in refused.output
    assert "secret" not in refused.output


def test_a_restore_brings_back_and_keeps_what_was_there(
    run: Run, live: Path, tmp_path: Path
) -> None:
    assert run("backup", str(tmp_path / "b.db")).exit_code == 0
    assert run("keys", "remove", "1").exit_code == 0
    assert labels(run) == []
    said = json.loads(run("restore", str(tmp_path / "b.db"), "--json").output)
    assert said["database"] == str(live)
    assert labels(run) == ["groq"]
    connection = sqlite3.connect(said["kept"])
    assert connection.execute("SELECT count(*) FROM provider_keys").fetchone() == (0,)
    connection.close()
    assert (tmp_path / "b.db").is_file(), "the backup itself stays"
    assert not [path for path in live.parent.iterdir() if "restoring" in path.name]


def test_a_restore_onto_nothing(run: Run, live: Path, tmp_path: Path) -> None:
    assert run("backup", str(tmp_path / "b.db")).exit_code == 0
    os.unlink(live)
    assert json.loads(run("restore", str(tmp_path / "b.db"), "--json").output)["kept"] is None
    assert labels(run) == ["groq"]


def test_nothing_is_put_back_under_a_server(run: Run, live: Path, tmp_path: Path) -> None:
    assert run("backup", str(tmp_path / "b.db")).exit_code == 0
    database = Database.open(f"sqlite:///{live}")  # As a running server holds it, idle.
    before = live.read_bytes()
    failed = run("restore", str(tmp_path / "b.db"))
    assert failed.exit_code == 1 and "stop the server first" in failed.output
    assert live.read_bytes() == before
    database.close()
    assert run("restore", str(tmp_path / "b.db")).exit_code == 0


@pytest.mark.parametrize("kind", ["text", "empty", "another program's", "cut", "newer"])
def test_what_is_no_good_backup_changes_nothing(
    run: Run, live: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "b.db"
    assert run("backup", str(path)).exit_code == 0
    spoil(path, kind)
    before = live.read_bytes()
    failed = run("restore", str(path))
    assert failed.exit_code == (2 if kind == "newer" else 1), failed.output
    assert failed.output.startswith("freellmapi: ")
    assert live.read_bytes() == before
    assert labels(run) == ["groq"]


def spoil(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    if kind == "text":
        path.write_text("hello" * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        if kind == "another program's":
            path.unlink()
        connection = sqlite3.connect(path)
        connection.execute(
            "INSERT INTO migrations VALUES ('998-from-tomorrow')"
            if kind == "newer"
            else "CREATE TABLE t (x)"
        )
        connection.commit()
        connection.close()


def test_a_backup_of_another_key_is_refused(
    run: Run, live: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    assert run("backup", str(tmp_path / "b.db")).exit_code == 0
    environ["ENCRYPTION_KEY"] = "cd" * 32
    refused = run("restore", str(tmp_path / "b.db"))
    assert refused.exit_code == 2 and "another ENCRYPTION_KEY" in refused.output
