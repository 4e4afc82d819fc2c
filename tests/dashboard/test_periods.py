"""Steps follow the viewer's clock, whatever his zone does to it."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from freellmapi.dashboard.periods import Range, UnknownZone, before, steps, zone_of
from freellmapi.storage.rollups import DAY, HOUR

ZONES = (
    *("UTC", "America/Los_Angeles", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Chatham"),
    *("Pacific/Kiritimati", "America/St_Johns", "+05:30", "UTC-8"),
)
NOW = datetime.fromisoformat("2026-09-21T14:13:20+00:00").timestamp()


def at(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone_of(zone)).timestamp()


def clock(moment: float, zone: str) -> str:
    return datetime.fromtimestamp(moment, zone_of(zone)).isoformat(timespec="minutes")[:16]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("over", Range)
def test_steps_follow_one_another_and_hold_now(over: Range, zone: str) -> None:
    for n in range(0, 400, 7):
        now = NOW + n * 25.3 * HOUR
        found = steps(over, zone_of(zone), now)
        assert all(a.hours[1] == b.hours[0] for a, b in pairwise(found))
        assert all(step.hours[0] < step.hours[1] for step in found)
        assert all(0 <= step.hours[0] - step.at < HOUR for step in found)
        assert all(bound % HOUR == 0 for step in found for bound in step.hours)
        assert found[-1].at <= now < found[-1].hours[1]
        assert found[-1].hours[1] - now < 2 * HOUR


@pytest.mark.parametrize(
    ("over", "zone", "first", "last", "n"),
    [
        (Range.DAY, "UTC", "2026-09-20T15:00", "2026-09-21T14:00", 24),
        (Range.DAY, "Asia/Kolkata", "2026-09-20T20:30", "2026-09-21T19:30", 24),
        (Range.WEEK, "UTC", "2026-09-15T00:00", "2026-09-21T12:00", 27),
        (Range.WEEK, "America/Los_Angeles", "2026-09-15T00:00", "2026-09-21T06:00", 26),
        (Range.MONTH, "Asia/Kolkata", "2026-08-23T00:00", "2026-09-21T00:00", 30),
        (Range.MONTH, "Pacific/Kiritimati", "2026-08-24T00:00", "2026-09-22T00:00", 30),
        (Range.QUARTER, "America/Los_Angeles", "2026-06-24T00:00", "2026-09-21T00:00", 90),
    ],
)
def test_the_first_and_last_step(over: Range, zone: str, first: str, last: str, n: int) -> None:
    found = steps(over, zone_of(zone), NOW)
    assert (clock(found[0].at, zone), clock(found[-1].at, zone), len(found)) == (first, last, n)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-06-01", 24)]
)
def test_a_day_on_which_the_clocks_change_is_longer_or_shorter(day: str, hours: int) -> None:
    zone = "America/Los_Angeles"
    now = at(f"{day}T12:00", zone) + 3 * DAY
    (found,) = [s for s in steps(Range.MONTH, zone_of(zone), now) if s.at == at(day, zone)]
    assert found.hours[1] - found.hours[0] == hours * HOUR
    quarters = [
        s.hours[1] - s.hours[0]
        for s in steps(Range.WEEK, zone_of(zone), now)
        if clock(s.at, zone).startswith(day)
    ]
    assert quarters == [(hours - 18) * HOUR, 6 * HOUR, 6 * HOUR, 6 * HOUR]


def test_a_day_that_begins_within_an_hour_begins_with_the_next_one() -> None:
    found = steps(Range.MONTH, zone_of("Asia/Kolkata"), NOW)[3]
    assert clock(found.hours[0], "Asia/Kolkata") == "2026-08-26T00:30"
    assert clock(found.at, "Asia/Kolkata") == "2026-08-26T00:00"


@pytest.mark.parametrize(
    ("over", "zone", "since", "until"),
    [
        (Range.DAY, "UTC", "2026-09-19T15:00", "2026-09-20T14:00"),
        (Range.WEEK, "UTC", "2026-09-08T00:00", "2026-09-14T14:00"),
        (Range.WEEK, "America/Los_Angeles", "2026-09-08T00:00", "2026-09-14T07:00"),
        (Range.MONTH, "Asia/Kolkata", "2026-07-24T00:30", "2026-08-22T19:30"),
    ],
)
def test_the_period_before_ends_as_far_into_its_last_day(
    over: Range, zone: str, since: str, until: str
) -> None:
    assert before(over, zone_of(zone), NOW) == (at(since, zone), at(until, zone))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("over", Range)
def test_the_period_before_ends_where_this_one_begins_or_sooner(over: Range, zone: str) -> None:
    for n in range(0, 400, 7):
        now = NOW + n * 25.3 * HOUR
        since, until = before(over, zone_of(zone), now)
        assert since <= until <= steps(over, zone_of(zone), now)[0].hours[0] + HOUR


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "+99:00", "Asia", "A" * 5_000, "a\0"],
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone):
        zone_of(name)


def test_offsets_are_zones() -> None:
    moment = datetime.fromtimestamp(NOW, zone_of("-03:30"))
    assert moment.utcoffset() == -timedelta(hours=3, minutes=30)
