"""Days and hours that are over are read once, and again when something is logged for them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from freellmapi.dashboard.analytics import overview
from freellmapi.dashboard.periods import Range
from freellmapi.dashboard.reading import MOST_KEPT, Finished
from freellmapi.dashboard.report import Overview
from freellmapi.providers.catalog import load_catalog
from freellmapi.storage.db import Database
from freellmapi.storage.rollups import DAY, HOUR, Rollups
from freellmapi.storage.summing import hour_of
from tests.dashboard.traffic import answered, anything, opened, write

NOW = datetime.fromisoformat("2026-09-21T14:13:20+00:00").timestamp()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


def seen(
    database: Database, finished: Finished | None, over: Range = Range.WEEK, now: float = NOW
) -> Overview:
    with Rollups(database).reading(now) as sums:
        return overview(sums, load_catalog(), over, "Asia/Kolkata", now, finished)


@pytest.mark.parametrize("over", Range)
def test_a_second_look_sees_what_a_first_one_would(database: Database, over: Range) -> None:
    rng, finished = random.Random(over.value), Finished()
    span = 2 * over.days * DAY
    write(database, [anything(rng, NOW - rng.uniform(0, span)) for _ in range(150)])
    assert seen(database, finished, over) == seen(database, None, over)
    write(database, [anything(rng, NOW - rng.uniform(0, HOUR)) for _ in range(20)])
    later = NOW + 40.0
    assert seen(database, finished, over, later) == seen(database, None, over, later)


def test_a_request_logged_late_is_seen(database: Database) -> None:
    finished = Finished()
    write(database, [answered(NOW - 3 * DAY), answered(NOW - 9 * DAY)])
    assert seen(database, finished).headline.requests.value == 1
    write(database, [answered(NOW - 3 * DAY), answered(NOW - 9 * DAY)])
    found = seen(database, finished).headline.requests
    assert (found.value, found.before) == (2, 2)


def test_a_request_logged_late_for_an_hour_of_today_is_seen(database: Database) -> None:
    finished = Finished()
    write(database, [answered(NOW - 3 * HOUR), answered(NOW - 2 * DAY)])
    assert seen(database, finished).headline.requests.value == 2
    write(database, [answered(NOW - 3 * HOUR), answered(NOW - 4 * HOUR, duration=9.0)])
    found = seen(database, finished)
    assert found.headline.requests.value == 4
    assert found == seen(database, None)


def test_the_next_hours_are_read_anew(database: Database) -> None:
    finished = Finished()
    write(database, [answered(NOW + n * HOUR) for n in range(-30, 30)])
    for hour in range(28):
        now = NOW + hour * HOUR
        for over in (Range.DAY, Range.WEEK):
            assert seen(database, finished, over, now) == seen(database, None, over, now)


def test_the_next_day_is_read_anew(database: Database) -> None:
    finished = Finished()
    write(database, [answered(NOW - 8 * DAY), answered(NOW - 6.5 * DAY), answered(NOW)])
    for day in range(4):
        now = NOW + day * DAY
        assert seen(database, finished, now=now) == seen(database, None, now=now)


@pytest.mark.parametrize("over", Range)
def test_hours_that_are_over_are_not_read_again(database: Database, over: Range) -> None:
    finished = Finished()
    write(database, [answered(NOW - n * HOUR) for n in range(200)])
    asked: list[int] = []

    def note(*about: Any) -> None:
        _, query, _, given, _ = about
        if "FROM latencies" in str(query):
            asked.append(given["since"])

    event.listen(database.engine, "before_execute", note)
    seen(database, finished, over)
    assert min(asked) < hour_of(NOW)
    asked.clear()
    seen(database, finished, over)
    assert set(asked) == {hour_of(NOW)}


def test_only_so_many_periods_are_kept() -> None:
    finished, made = Finished(), list[int]()
    for n in (*range(MOST_KEPT + 1), MOST_KEPT, 0):
        finished.read(n, "as many", partial(made.append, n))
    assert made == [*range(MOST_KEPT + 1), 0]
