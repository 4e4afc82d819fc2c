"""The figures of Analytics: counted by hand where small, against the raw log where not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from freellmapi.core.errors import ErrorKind
from freellmapi.dashboard.analytics import overview
from freellmapi.dashboard.periods import Range, UnknownZone, before, steps, zone_of
from freellmapi.dashboard.report import Figure, Line, Overview
from freellmapi.providers.catalog import load_catalog
from freellmapi.storage.db import Database
from freellmapi.storage.histogram import RELATIVE_ERROR
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.rollups import DAY, HOUR, Rollups
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault
from tests.dashboard.traffic import answered, anything, opened, refused, write
from tests.fakes.clock import FrozenClock

NOW = datetime.fromisoformat("2026-09-21T14:13:20+00:00").timestamp()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


def seen(database: Database, over: Range, zone: str = "UTC", now: float = NOW) -> Overview:
    with Rollups(database).reading(now) as sums:
        return overview(sums, load_catalog(), over, zone, now)


def test_a_small_day_counted_by_hand(database: Database) -> None:
    hour = HOUR
    write(database, [answered(NOW - n * hour) for n in (0, 0, 1, 5)])
    write(database, [answered(NOW - 30 * hour), refused(NOW), answered(NOW - 60 * hour)])
    found = seen(database, Range.DAY)
    head = found.headline
    assert head.requests == Figure(5, 1, 4.0)
    assert (head.success.value, head.success.before) == (0.8, 1.0)
    assert head.success.change == pytest.approx(-0.2)
    assert (head.tokens_in, head.tokens_out) == (Figure(400, 100, 3.0), Figure(200, 50, 3.0))
    assert head.latency_p50.value == pytest.approx(2.0, rel=RELATIVE_ERROR)
    assert head.latency_p50.change == 0.0
    assert head.first_token_p50.value == pytest.approx(0.75, rel=RELATIVE_ERROR)
    assert head.fallback == Figure(0.2, 0.0, 0.2)
    # 400 tokens in at 0.15 $ and 200 out at 0.60 $ a million.
    assert head.saved.value == pytest.approx(0.00018)
    assert found.saved.priced == 1.0
    groq = (*(0,) * 18, 1, 0, 0, 0, 1, 2)
    assert found.series.requests == {"groq": groq, "": (*(0,) * 23, 1)}
    assert found.series.tokens_in == tuple(100 * n for n in groq)
    assert found.series.errors == {"rate_limited": (*(0,) * 23, 1)}
    assert found.series.faults == {"rate_limited": (*(0,) * 23, 2)}
    assert [p is not None for p in found.series.latency_p95] == [n > 0 for n in groq]


def test_percentiles_are_those_of_the_answers(database: Database) -> None:
    durations = [n / 10 for n in range(1, 101)]
    write(database, [answered(NOW - 2 * HOUR, duration=d, first_token=d / 2) for d in durations])
    head = seen(database, Range.DAY).headline
    assert head.latency_p50.value == pytest.approx(5.0, rel=RELATIVE_ERROR)
    assert head.latency_p95.value == pytest.approx(9.5, rel=RELATIVE_ERROR)
    assert head.first_token_p50.value == pytest.approx(2.5, rel=RELATIVE_ERROR)


@pytest.mark.parametrize(
    ("zone", "counts"),
    [
        ("UTC", {"2026-09-18": 1, "2026-09-19": 3}),
        ("America/Los_Angeles", {"2026-09-18": 3, "2026-09-19": 1}),
        # 18:30 UTC is midnight there; the hour from 18:00 is the day's before.
        ("Asia/Kolkata", {"2026-09-19": 3, "2026-09-20": 1}),
    ],
)
def test_days_are_the_viewers(database: Database, zone: str, counts: dict[str, int]) -> None:
    times = ("2026-09-18T20:10", "2026-09-19T00:10", "2026-09-19T06:50", "2026-09-19T20:10")
    write(database, [answered(datetime.fromisoformat(t + "+00:00").timestamp()) for t in times])
    series = seen(database, Range.MONTH, zone).series
    days = [datetime.fromtimestamp(at, zone_of(zone)).date().isoformat() for at in series.at]
    assert {d: n for d, n in zip(days, series.requests["groq"], strict=True) if n} == counts


def test_the_hour_that_comes_twice_is_in_one_day(database: Database) -> None:
    day = datetime.fromisoformat("2026-11-01T07:00:00+00:00").timestamp()  # 00:00 in California
    write(database, [answered(day + n * HOUR) for n in range(-1, 26)])
    series = seen(database, Range.MONTH, "America/Los_Angeles", day + 2 * DAY).series
    assert series.requests["groq"][-4:] == (0, 1, 25, 1)


def test_lines_bear_the_names_that_people_gave(database: Database) -> None:
    clock, vault = FrozenClock(NOW), Vault(bytes(32))
    KeyStore(database, vault, clock).add("groq", "gsk_made_up_of_letters", "Work")
    TokenStore(database, vault, clock).create("laptop")
    write(database, [answered(NOW), answered(NOW, key_id="7"), refused(NOW)])
    found = seen(database, Range.WEEK)

    def shown(lines: tuple[Line, ...]) -> list[tuple[str, str, int]]:
        return [(line.id, line.name, line.requests) for line in lines]

    # The calls of the second are still those of the first key.
    assert shown(found.keys) == [
        ("", "", 1),
        ("1", "Work", 1),
        ("7", "removed key 7", 1),
        ("env:GEMINI_API_KEY", "GEMINI_API_KEY", 0),
    ]
    assert shown(found.clients) == [("1", "laptop", 3)]
    assert shown(found.providers) == [
        ("groq", "Groq", 2),
        ("", "", 1),
        ("google", "Google AI Studio (Gemini)", 0),
    ]
    assert found.models[0].id == "groq/openai/gpt-oss-120b"
    google = found.providers[-1]
    assert (google.attempts, google.failed_attempts, google.latency_p50) == (2, 2, None)


def test_a_model_without_a_price_saves_nothing_and_is_told(database: Database) -> None:
    write(database, [answered(NOW), answered(NOW, provider="lab", served_model="own-model")])
    found = seen(database, Range.DAY)
    assert found.saved.priced == 0.5
    assert found.headline.saved.value == pytest.approx(0.000045)


@pytest.mark.parametrize("over", Range)
def test_nothing_logged_is_a_page_without_figures(database: Database, over: Range) -> None:
    found = seen(database, over, "Asia/Kolkata")
    assert found.headline.requests == Figure(0, 0, None)
    assert found.headline.success == Figure(None, None, None)
    assert found.headline.latency_p50 == Figure(None, None, None)
    assert found.series.requests == {}
    assert set(found.series.tokens_in) == {0}
    assert set(found.series.latency_p50) == {None}
    assert (found.providers, found.models, found.keys, found.clients) == ((), (), (), ())
    assert found.saved.priced is None
    assert orjson.loads(orjson.dumps(found))["range"] == over.value


def test_an_unknown_zone_is_refused(database: Database) -> None:
    with pytest.raises(UnknownZone):
        seen(database, Range.DAY, "Mars/Olympus")


@pytest.mark.parametrize("seed", range(6))
def test_figures_agree_with_each_other_and_with_the_log(database: Database, seed: int) -> None:
    rng = random.Random(seed)
    now = NOW + rng.uniform(0, 300 * DAY)
    rows = [anything(rng, now - rng.uniform(0, rng.choice([1, 10, 70])) * DAY) for _ in range(250)]
    write(database, rows)
    for over in Range:
        for zone in ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Chatham"):
            _agree(seen(database, over, zone, now), rows, over, zone, now)


def _agree(found: Overview, rows: list[LoggedRequest], over: Range, zone: str, now: float) -> None:
    hours = [step.hours for step in steps(over, zone_of(zone), now)]
    mine = [row for row in rows if hours[0][0] <= row.at < hours[-1][1]]
    first, last = before(over, zone_of(zone), now)
    head, series = found.headline, found.series
    assert (head.requests.value, head.requests.before) == (
        len(mine),
        sum(first <= row.at < last for row in rows),
    )
    assert head.tokens_in.value == sum(series.tokens_in) == sum(row.prompt_tokens for row in mine)
    assert head.tokens_out.value == sum(row.completion_tokens for row in mine)
    for n, (since, until) in enumerate(hours):
        in_step = [row for row in mine if since <= row.at < until]
        assert sum(counts[n] for counts in series.requests.values()) == len(in_step)
        assert sum(counts[n] for counts in series.errors.values()) == sum(r.failed for r in in_step)
        faults = [a for row in in_step for a in row.attempts if a.failed]
        assert sum(counts[n] for counts in series.faults.values()) == len(faults)
    for table in (found.providers, found.models, found.keys, found.clients):
        assert sum(line.requests for line in table) == len(mine)
        assert sum(line.failures for line in table) == sum(row.failed for row in mine)
        assert sum(line.fallbacks for line in table) == sum(r.fell_back for r in mine)
        assert sum(line.tokens_out for line in table) == head.tokens_out.value
        if table is not found.clients:
            calls = [attempt for row in mine for attempt in row.attempts]
            assert sum(line.attempts or 0 for line in table) == len(calls)
            assert sum(line.saved or 0 for line in table) == pytest.approx(head.saved.value)
    assert ErrorKind.HEDGED_OUT.value not in series.faults
