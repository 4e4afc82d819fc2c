"""Measurements are kept across restarts."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from sqlalchemy import text

from freellmapi.core.measurement import Average, Measurement
from freellmapi.storage.db import Database, DatabaseUnavailable
from freellmapi.storage.measurements import MeasurementStore

NOW = 1_790_000_000.0
ALPHA = Measurement("alpha/x/m", NOW, Average(0.75, 4.0), Average(0.31, 2.5), Average(812.5, 2.5))
BETA = Measurement("beta/m", NOW - 100, Average(0.0, 1.0))


@pytest.fixture
def store(database: Database) -> MeasurementStore:
    return MeasurementStore(database)


def test_nothing_is_there_at_first(store: MeasurementStore) -> None:
    assert store.load() == ()


def test_what_was_saved_is_loaded_after_a_restart(store: MeasurementStore, url: str) -> None:
    store.save([ALPHA, BETA])
    again = Database.open(url)
    assert set(MeasurementStore(again).load()) == {ALPHA, BETA}
    again.close()


def test_saving_again_replaces_those_and_leaves_the_others(store: MeasurementStore) -> None:
    store.save([ALPHA, BETA])
    newer = replace(ALPHA, at=NOW + 60, success=Average(0.8, 5.0))
    store.save([newer])
    store.save([])
    assert set(store.load()) == {newer, BETA}


def test_models_not_called_for_long_are_forgotten(store: MeasurementStore) -> None:
    store.save([ALPHA, BETA])
    assert store.prune(NOW - 50) == 1
    assert store.load() == (ALPHA,)


@pytest.mark.parametrize(
    "damage",
    ["success = 'x'", "success = 1.5", "speed = -1", "at = 1e999"],
    ids=["no number", "no share", "negative", "infinite"],
)
def test_a_damaged_row_is_passed_over(
    sqlite: Database, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    store = MeasurementStore(sqlite)
    store.save([ALPHA, BETA])
    with sqlite.begin() as connection:
        connection.execute(text(f"UPDATE measurements SET {damage} WHERE ref = 'beta/m'"))
    with caplog.at_level(logging.WARNING):
        assert store.load() == (ALPHA,)
    assert "beta/m" in caplog.text


def test_a_database_that_cannot_be_written_is_said_so(
    store: MeasurementStore, database: Database
) -> None:
    with database.begin() as connection:
        connection.execute(text("DROP TABLE measurements"))
    with pytest.raises(DatabaseUnavailable, match="measurements"):
        store.save([ALPHA])
