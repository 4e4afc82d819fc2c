"""The schema's steps: taken once, by whoever comes first, and leading to ``tables.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from freellmapi.core.errors import SettingsError
from freellmapi.storage import migrations
from freellmapi.storage.db import Database
from freellmapi.storage.rollups import DAY, HOUR, Failed, Rollups, Tally, Totals
from freellmapi.storage.tables import metadata

ROOT = Path(__file__).parents[2]

MIGRATE = """
import sys
from freellmapi.storage.db import Database
sys.stdin.read(1)
database = Database.open(sys.argv[1])
database.migrate()
database.close()
"""


def test_running_twice_changes_nothing(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("INSERT INTO settings VALUES ('a', '1')"))
    database.migrate()
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM settings")).scalar() == 1
        assert migrations.applied(connection) == {m.name for m in migrations.MIGRATIONS}


def test_several_processes_may_migrate_at_once(empty_url: str) -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, empty_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for run in runs:
        assert run.stdin
        run.stdin.write(b"go")
        run.stdin.flush()
    results = [(run.communicate()[1].decode(), run.returncode) for run in runs]
    assert results == [("", 0)] * 4
    database = Database.open(empty_url)
    with database.connect() as connection:
        counters = connection.scalars(text("SELECT name FROM counters ORDER BY name")).all()
        assert counters == ["config", "folded", "summed"]
    database.close()


def test_the_steps_lead_to_the_tables(database: Database) -> None:
    found = inspect(database.engine)
    assert set(found.get_table_names()) == {*metadata.tables, migrations.NAMES_TABLE}
    for name, table in metadata.tables.items():
        made = {
            (c["name"], c["nullable"] and c["name"] not in table.primary_key.columns)
            for c in found.get_columns(name)
        }
        assert made == {(c.name, c.nullable) for c in table.columns}, name
        key = found.get_pk_constraint(name)["constrained_columns"]
        assert key == [c.name for c in table.primary_key.columns], name


def test_names_are_unique_and_in_order() -> None:
    names = [m.name for m in migrations.MIGRATIONS]
    assert names == sorted(set(names))


def test_a_step_that_fails_leaves_nothing_behind(database: Database) -> None:
    broken = migrations.Migration("999-x", ("CREATE TABLE half (id {id})", "CREATE nonsense"))
    with pytest.raises(Exception, match="syntax error"), database.begin() as connection:
        migrations.apply(connection, broken)
    assert not inspect(database.engine).has_table("half")


def test_a_database_of_a_newer_version_is_refused(database: Database, url: str) -> None:
    with database.begin() as connection:
        connection.execute(text("INSERT INTO migrations VALUES ('998-from-tomorrow')"))
    with pytest.raises(SettingsError, match=r"998-from-tomorrow.*restore a backup"):
        Database.open(url)


def test_sums_by_token_become_sums_by_key_and_by_client(empty_url: str) -> None:
    database = Database.open(empty_url)
    steps = iter(migrations.MIGRATIONS)
    for step in steps:
        if step.name.startswith("008"):
            break
        with database.begin() as connection:
            migrations.apply(connection, step)
    hour = 1_790_000_000 // HOUR * HOUR
    with database.begin() as connection:
        for token_id, failures in ((0, 0), (7, 1)):
            connection.exec_driver_sql(
                f"INSERT INTO rollups VALUES ({hour}, 'groq', 'llama', '1', {token_id}, "
                f"3, {failures}, 1, 4, 1, 100, 50, 2.5, 3, 150)"
            )
    database.migrate()
    with Rollups(database).reading(hour + 2 * DAY) as sums:
        period = (hour - DAY, hour + DAY)
        assert sums.totals(period) == (Totals("groq", "llama", "1", 6, 1, 2, 8, 2, 200, 100, 5.0),)
        assert sums.clients(period) == (
            Tally(0, "", 3, 0, 1, 100, 50),
            Tally(0, "7", 3, 1, 1, 100, 50),
        )
        assert sums.providers([period]) == (Tally(0, "groq", 6, 1, 2, 200, 100),)
        assert sums.failed([period]) == (
            Failed(0, True, "unknown", 1),
            Failed(0, False, "unknown", 2),
        )
    database.close()
