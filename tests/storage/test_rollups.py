"""Hourly sums: they agree with the rows, and percentiles with what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from sqlalchemy import select

from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Usage
from freellmapi.storage import summing, tables
from freellmapi.storage.db import Database, DatabaseUnavailable
from freellmapi.storage.folding import fold
from freellmapi.storage.histogram import bucket, unpacked
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.rollups import (
    DAY,
    HOUR,
    Failed,
    Latencies,
    Rollups,
    Sums,
    Tally,
    Totals,
)
from tests.fakes.clock import FrozenClock
from tests.storage.rows import ANSWERED, FAILED, NOW, REFUSED, ROW, row

START = int(NOW // HOUR * HOUR)
LATER = START + 10.0 * DAY

Look = Callable[..., Sums]


@pytest.fixture
def requests(database: Database, clock: FrozenClock) -> Iterator[RequestLog]:
    requests = RequestLog(database, clock)
    yield requests
    requests.close()


@pytest.fixture
def rollups(database: Database) -> Rollups:
    return Rollups(database)


@pytest.fixture
def look(rollups: Rollups) -> Iterator[Look]:
    """The sums as they are when it is called, by default long after."""
    with ExitStack() as stack:
        yield lambda now=LATER: stack.enter_context(rollups.reading(now))


def test_an_answer_counts_for_who_served_and_attempts_for_who_was_asked(
    requests: RequestLog, look: Look
) -> None:
    requests.append(ROW)
    requests.append(ROW)
    requests.append(FAILED)
    assert look().totals((START, START + HOUR)) == (
        Totals("", "", "", 1, 1, 0, 0, 0, 0, 0, 2.0),
        Totals("gemini", "flash", "env:GEMINI_API_KEY", 0, 0, 0, 3, 3, 0, 0, 0.0),
        Totals("groq", "llama", "1", 2, 0, 2, 2, 0, 200, 100, 4.0),
    )


def test_who_was_overtaken_in_a_race_did_not_fail_and_nobody_fell_back(
    requests: RequestLog, look: Look
) -> None:
    overtaken = replace(REFUSED, error=ErrorKind.HEDGED_OUT, status=None, spent=True)
    requests.append(replace(ROW, attempts=(overtaken, ANSWERED)))
    requests.append(row("after a refusal", attempts=(REFUSED, overtaken, ANSWERED)))
    totals = look().totals((START, START + HOUR))
    assert sum(total.fallbacks for total in totals) == 1
    assert sum(total.attempts for total in totals) == 5
    assert sum(total.failed_attempts for total in totals) == 1
    assert [client.fallbacks for client in look().clients((START, START + HOUR))] == [1]


def test_a_stream_that_broke_counts_as_a_failure(requests: RequestLog, look: Look) -> None:
    requests.append(replace(ROW, error="stream_broken", attempts=()))
    (total,) = look().totals((START, START + HOUR))
    assert (total.requests, total.failures) == (1, 1)
    assert look().latencies((START, START + HOUR)) == {}


def test_hours_are_kept_apart_and_added_up(requests: RequestLog, look: Look) -> None:
    for hour in range(3):
        requests.append(replace(ROW, at=START + hour * HOUR, attempts=()))

    def counted(since: int, until: int) -> int:
        return sum(total.requests for total in look().totals((since, until)))

    assert counted(START, START + HOUR) == 1
    assert counted(START + HOUR, START + 3 * HOUR) == 2
    assert counted(START, START + 3 * HOUR) == 3
    assert counted(START + 3 * HOUR, START + 9 * HOUR) == 0


@pytest.mark.parametrize("since", [-30, -24, -23, 0, 5, 24, 25])
@pytest.mark.parametrize("length", [1, 7, 24, 48, 61])
@pytest.mark.parametrize("now", [70, 60, 24, 23])
def test_days_and_hours_cover_a_period_exactly(
    requests: RequestLog, look: Look, since: int, length: int, now: int
) -> None:
    midnight = START // DAY * DAY
    logged = [row(n, at=midnight + n * HOUR + 1.0) for n in range(-40, 60, 3)]
    for one in logged:
        requests.append(one)
    first, last = midnight + since * HOUR, midnight + (since + length) * HOUR
    sums = look(midnight + now * HOUR)
    expected = sum(first <= one.at < last for one in logged)
    assert sum(total.requests for total in sums.totals((first, last))) == expected
    (pace,) = sums.paces([(first, last)])
    assert sum(unpacked(pace.durations).values()) == expected
    by_model = sums.latencies((first, last)).get(("groq", "llama"), Latencies())
    assert by_model == pace
    for tallies in (sums.providers([(first, last)]), sums.clients((first, last))):
        assert sum(tally.requests for tally in tallies) == expected


def test_latencies_are_counted_by_model_and_metric(requests: RequestLog, look: Look) -> None:
    for one in (ROW, ROW, replace(ROW, first_token=None), FAILED):
        requests.append(one)
    found = look().latencies((START, START + HOUR))
    assert found.keys() == {("groq", "llama")}
    assert unpacked(found["groq", "llama"].durations) == {bucket(2.0): 3}
    assert unpacked(found["groq", "llama"].first_tokens) == {bucket(0.75): 2}


def test_tallies_are_kept_by_step_and_name(requests: RequestLog, look: Look) -> None:
    for at in (START, START + HOUR, START + 4 * HOUR):
        requests.append(replace(ROW, at=at))
        requests.append(replace(FAILED, at=at, error=None, status=503))
    steps = [(START, START + HOUR), (START + HOUR, START + 2 * HOUR)]
    steps.append((START + 2 * HOUR, START + 6 * HOUR))
    assert look().providers(steps) == tuple(
        tally
        for step in range(3)
        for tally in (Tally(step, "", 1, 1, 0, 0, 0), Tally(step, "groq", 1, 0, 1, 100, 50))
    )
    assert look().failed(steps) == tuple(
        failed
        for step in range(3)
        for failed in (Failed(step, True, "http_503", 1), Failed(step, False, "rate_limited", 2))
    )
    assert look().clients((START, START + 6 * HOUR)) == (
        Tally(0, "", 3, 3, 0, 0, 0),
        Tally(0, "1", 3, 0, 3, 300, 150),
    )


def test_a_call_that_was_overtaken_is_no_fault(requests: RequestLog, look: Look) -> None:
    overtaken = replace(REFUSED, error=ErrorKind.HEDGED_OUT)
    requests.append(replace(ROW, attempts=(overtaken, ANSWERED)))
    assert look().failed([(START, START + HOUR)]) == ()


def test_rows_of_two_days_that_are_summed_at_once_are_kept_apart(
    requests: RequestLog, look: Look
) -> None:
    midnight = START // DAY * DAY
    for n in (-2, -1, 0, 1, 2):
        requests.append(row(n, at=midnight + n * HOUR))
    assert [total.requests for total in look().totals((midnight - DAY, midnight))] == [0, 2]
    assert [total.requests for total in look().totals((midnight, midnight + DAY))] == [0, 3]


def test_a_row_that_comes_late_is_folded_as_well(requests: RequestLog, look: Look) -> None:
    midnight = START // DAY * DAY
    for n, at in enumerate((midnight, midnight - DAY, midnight + 30 * HOUR, midnight)):
        requests.append(row(n, at=at + 1.0))
        period = (midnight - DAY, midnight + 3 * DAY)
        sums = look(midnight + 2 * DAY + 1)
        assert sum(total.requests for total in sums.totals(period)) == n + 1
        assert sum(tally.requests for tally in sums.providers([period])) == n + 1
        (pace,) = sums.paces([period])
        assert sum(unpacked(pace.durations).values()) == n + 1
        assert sums.latencies(period)["groq", "llama"] == pace


def test_a_clock_that_was_set_back_does_no_harm(requests: RequestLog, look: Look) -> None:
    requests.append(ROW)
    period = (START - 3 * DAY, START + 3 * DAY)
    for days in (9, 1, -2, 0, 9):
        sums = look(START + days * DAY)
        assert sum(total.requests for total in sums.totals(period)) == 1
        assert sum(tally.requests for tally in sums.providers([period])) == 1


@pytest.mark.parametrize("summed", [False, True])
def test_what_was_counted_is_known_before_it_is_summed(
    requests: RequestLog, rollups: Rollups, database: Database, summed: bool
) -> None:
    spent = replace(ANSWERED, usage=Usage(7, 3))
    unspent = replace(REFUSED, spent=False)
    requests.append(replace(ROW, attempts=(unspent, spent)))
    fold(database, NOW)
    requests.append(replace(ROW, attempts=(spent,)))
    requests.append(replace(ROW, at=START - 1.0, attempts=(spent,)))
    if summed:
        fold(database, NOW)
    assert rollups.counted(START, NOW + 1, ["other"]) == ()
    found = rollups.counted(START, NOW + 1, [spent.provider])
    assert {(one.provider, one.model, one.key_id) for one in found} == {
        (spent.provider, spent.model, spent.key_id)
    }
    assert (sum(one.requests for one in found), sum(one.tokens for one in found)) == (2, 20)


def test_rows_are_summed_once_and_in_pieces_too(
    requests: RequestLog, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summing, "_PIECE", 2)
    for n in range(1, 8):
        requests.append(row(n))
        if n % 3 == 0:
            look()
    assert sum(total.requests for total in look().totals((START, START + HOUR))) == 7
    (pace,) = look().latencies((START, START + HOUR)).values()
    assert sum(unpacked(pace.durations).values()) == 7


def test_a_row_is_not_pruned_before_it_is_summed_nor_its_id_given_again(
    requests: RequestLog, look: Look
) -> None:
    requests.append(row(1))
    assert requests.prune(LATER) == 0
    look()
    assert requests.prune(LATER) == 1
    requests.append(row(2))
    assert [one.id for one in requests.recent(9)] == [2]
    assert sum(total.requests for total in look().totals((START, START + HOUR))) == 2


def test_folding_again_changes_nothing(requests: RequestLog, database: Database) -> None:
    for n in range(-30, 30):
        requests.append(row(n, at=NOW + n * HOUR))

    def everything() -> list[object]:
        with database.connect() as connection:
            return [
                tuple(found)
                for table in (tables.rollups, tables.tallies, tables.latencies, tables.counters)
                for found in connection.execute(select(table))
            ]

    fold(database, LATER)
    once = everything()
    fold(database, LATER)
    assert everything() == once


def test_a_database_that_cannot_be_written_is_said_to_be_away(database: Database) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE tallies RENAME TO away")
    with pytest.raises(DatabaseUnavailable, match="tallies"):
        fold(database, LATER)
