"""When keys were last asked, and whether anything was ever answered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import delete, insert, select

from freellmapi.storage.db import Database
from freellmapi.storage.folding import fold
from freellmapi.storage.last_used import DAY, HOUR, NEWEST, LastUsed, was_ever_served
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.tables import attempts, requests, rollups
from tests.fakes.clock import FrozenClock
from tests.storage.rows import ROW, row

NOW = 1_790_000_000.0
_NUMBERS = tuple(c.name for c in rollups.columns if c.name not in ("provider", "model", "key_id"))


def sums(database: Database, span: int, start: float, key: str, **values: int) -> None:
    row = dict.fromkeys(_NUMBERS, 0) | {"provider": "groq", "model": "m", "key_id": key}
    row |= {"span": span, "start": int(start), "requests": 1, "attempts": 1, **values}
    with database.begin() as connection:
        connection.execute(insert(rollups).values(**row))


def test_nothing_was_used_at_first(database: Database) -> None:
    assert LastUsed().read(database, NOW) == {}
    assert not was_ever_served(database)


def test_the_newest_sum_of_each_key_counts(database: Database) -> None:
    sums(database, DAY, NOW - 9 * DAY, "1")
    sums(database, DAY, NOW - DAY, "2")
    sums(database, HOUR, NOW - 3 * HOUR, "2")
    assert LastUsed().read(database, NOW) == {
        ("groq", "1"): float(int(NOW - 9 * DAY)),
        ("groq", "2"): float(int(NOW - 3 * HOUR)),
    }
    assert was_ever_served(database)


def test_failures_alone_are_no_answer(database: Database) -> None:
    sums(database, DAY, NOW, "1", failures=1)
    assert not was_ever_served(database)


RARE, BUSY = "rare", "busy"


def call(database: Database, at: float, key: str) -> None:
    """A request that this key answered, and that was summed."""
    log = RequestLog(database, FrozenClock(at))
    attempt = replace(ROW.attempts[0], provider="groq", key_id=key, started_at=at + 0.25)
    log.append(replace(row(at), at=at, attempts=(attempt,)))
    log.close()
    fold(database, at)


def crowd(database: Database) -> None:
    """As if so many other requests had been logged since."""
    last = select(requests).order_by(requests.c.id.desc()).limit(1)
    with database.begin() as connection:
        row = dict(connection.execute(last).one()._mapping)
        connection.execute(insert(requests).values(row | {"id": row["id"] + NEWEST}))


@pytest.fixture
def crowded(database: Database) -> float:
    """When the rare key was used last; the busy one has had the end of the log since."""
    at = NOW - 40 * HOUR
    call(database, at - 600, RARE)
    call(database, at, RARE)
    crowd(database)
    call(database, at + 60, BUSY)
    return at + 0.25


def test_an_old_use_is_exact_while_the_log_holds_it(database: Database, crowded: float) -> None:
    found = LastUsed().read(database, NOW)
    assert found[("groq", "rare")] == crowded
    assert found[("groq", "busy")] == crowded + 60


def test_a_use_of_days_ago_is_found_by_its_day_and_hour(database: Database, crowded: float) -> None:
    day = crowded - crowded % DAY
    sums(database, DAY, day, "rare")
    assert LastUsed().read(database, NOW + 30 * DAY)[("groq", "rare")] == crowded


def test_what_the_log_has_let_go_of_is_told_by_its_hour(database: Database, crowded: float) -> None:
    with database.begin() as connection:
        connection.execute(delete(attempts))
        connection.execute(delete(requests))
    assert LastUsed().read(database, NOW)[("groq", "rare")] == crowded - crowded % HOUR


def test_an_hour_that_is_over_is_looked_at_once(database: Database, crowded: float) -> None:
    uses = LastUsed()
    assert uses.read(database, NOW)[("groq", "rare")] == crowded
    with database.begin() as connection:
        connection.execute(delete(attempts).where(attempts.c.key_id == "rare"))
    assert uses.read(database, NOW)[("groq", "rare")] == crowded
    call(database, NOW - 5, RARE)
    assert uses.read(database, NOW)[("groq", "rare")] == NOW - 4.75
