"""When keys were last asked, and whether anything was ever answered."""

from __future__ import annotations

from sqlalchemy import insert

from freellmapi.storage.db import Database
from freellmapi.storage.last_used import DAY, HOUR, last_used, was_ever_served
from freellmapi.storage.tables import rollups

NOW = 1_790_000_000.0
_NUMBERS = tuple(c.name for c in rollups.columns if c.name not in ("provider", "model", "key_id"))


def sums(database: Database, span: int, start: float, key: str, **values: int) -> None:
    row = dict.fromkeys(_NUMBERS, 0) | {"provider": "groq", "model": "m", "key_id": key}
    row |= {"span": span, "start": int(start), "requests": 1, "attempts": 1, **values}
    with database.begin() as connection:
        connection.execute(insert(rollups).values(**row))


def test_nothing_was_used_at_first(database: Database) -> None:
    assert last_used(database, NOW) == {}
    assert not was_ever_served(database)


def test_the_newest_sum_of_each_key_counts(database: Database) -> None:
    sums(database, DAY, NOW - 9 * DAY, "1")
    sums(database, DAY, NOW - DAY, "2")
    sums(database, HOUR, NOW - 3 * HOUR, "2")
    assert last_used(database, NOW) == {
        ("groq", "1"): float(int(NOW - 9 * DAY)),
        ("groq", "2"): float(int(NOW - 3 * HOUR)),
    }
    assert was_ever_served(database)


def test_failures_alone_are_no_answer(database: Database) -> None:
    sums(database, DAY, NOW, "1", failures=1)
    assert not was_ever_served(database)
