"""Hourly sums: they agree with the rows, and percentiles with what was measured."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from freellmapi.storage.db import Database
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.rollups import (
    DURATION,
    FIRST_TOKEN,
    HOUR,
    RELATIVE_ERROR,
    SHORTEST,
    Rollups,
    Totals,
    bucket,
    percentile,
)
from tests.fakes.clock import FrozenClock
from tests.storage.rows import FAILED, NOW, ROW

START = NOW // HOUR * HOUR


@pytest.fixture
def requests(database: Database, clock: FrozenClock) -> Iterator[RequestLog]:
    requests = RequestLog(database, clock)
    yield requests
    requests.close()


@pytest.fixture
def rollups(database: Database) -> Rollups:
    return Rollups(database)


def test_an_answer_counts_for_who_served_and_attempts_for_who_was_asked(
    requests: RequestLog, rollups: Rollups
) -> None:
    requests.append(ROW)
    requests.append(ROW)
    requests.append(FAILED)
    assert rollups.totals(START, START + HOUR) == (
        Totals("", "", "", None, 1, 1, 0, 0, 0, 0, 0, 2.0),
        Totals("gemini", "flash", "env:GEMINI_API_KEY", None, 0, 0, 0, 1, 1, 0, 0, 0.0),
        Totals("gemini", "flash", "env:GEMINI_API_KEY", 1, 0, 0, 0, 2, 2, 0, 0, 0.0),
        Totals("groq", "llama", "1", 1, 2, 0, 2, 2, 0, 200, 100, 4.0),
    )


def test_a_stream_that_broke_counts_as_a_failure(requests: RequestLog, rollups: Rollups) -> None:
    requests.append(replace(ROW, error="stream_broken", attempts=()))
    (total,) = rollups.totals(START, START + HOUR)
    assert (total.requests, total.failures) == (1, 1)
    assert rollups.latencies(DURATION, START, START + HOUR) == {}


def test_hours_are_kept_apart_and_added_up(requests: RequestLog, rollups: Rollups) -> None:
    for hour in range(3):
        requests.append(replace(ROW, at=START + hour * HOUR, attempts=()))

    def counted(since: float, until: float) -> int:
        return sum(total.requests for total in rollups.totals(since, until))

    assert counted(START, START + HOUR) == 1
    assert counted(START + HOUR, START + 3 * HOUR) == 2
    assert counted(START, START + 3 * HOUR) == 3
    assert counted(START + 3 * HOUR, START + 9 * HOUR) == 0


def test_latencies_are_counted_by_model_and_metric(requests: RequestLog, rollups: Rollups) -> None:
    for row in (ROW, ROW, replace(ROW, first_token=None), FAILED):
        requests.append(row)
    served = ("groq", "llama")
    assert rollups.latencies(DURATION, START, START + HOUR) == {served: {bucket(2.0): 3}}
    assert rollups.latencies(FIRST_TOKEN, START, START + HOUR) == {served: {bucket(0.75): 2}}


@pytest.mark.parametrize("p", [0, 1, 50, 90, 95, 99, 99.9, 100])
@pytest.mark.parametrize("mu", [-5.0, -1.0, 2.0])
def test_percentiles_are_within_the_stated_error(p: float, mu: float) -> None:
    rng = random.Random(7)
    values = sorted(rng.lognormvariate(mu, 1.2) for _ in range(3_000))
    true = values[max(1, math.ceil(len(values) * p / 100)) - 1]
    read = percentile(Counter(map(bucket, values)), p)
    assert read is not None
    assert abs(read - true) <= max(RELATIVE_ERROR * true, SHORTEST)


@pytest.mark.parametrize("seconds", [0.0011, 0.01, 0.1, 1.0, 59.9, 3_600.0])
def test_a_single_value_reads_back_within_the_error(seconds: float) -> None:
    assert percentile({bucket(seconds): 1}, 50) == pytest.approx(seconds, rel=RELATIVE_ERROR)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, SHORTEST])
def test_what_is_shorter_than_a_millisecond_is_a_millisecond(seconds: float) -> None:
    assert percentile({bucket(seconds): 1}, 50) == SHORTEST


def test_nothing_measured_has_no_percentile() -> None:
    assert percentile({}, 50) is None
