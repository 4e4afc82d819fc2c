"""Caps, usage and the windows they are counted in."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freellmapi.core.errors import DAY
from freellmapi.core.limits import NO_LIMITS, Limits, Usage, next_midnight, next_month

ZONES = st.sampled_from(
    ["UTC", "America/Los_Angeles", "Asia/Shanghai", "Asia/Kolkata", "America/Santiago"]
)


def at(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_tightened_is_the_stricter_of_both() -> None:
    ours, theirs = Limits(rpm=10, tpm=500), Limits(rpm=5, tpm=900, rpd=1)
    assert ours.tightened(theirs) == Limits(rpm=5, tpm=500, rpd=1)
    assert ours.tightened(NO_LIMITS) == ours


def test_replaced_takes_what_is_stated() -> None:
    assert Limits(rpm=10, tpm=500).replaced(Limits(rpm=50, rpd=0)) == Limits(50, 0, 500)


def test_usage_sums_both_sides() -> None:
    assert Usage(3, 4).total == 7


@pytest.mark.parametrize(
    ("now", "zone", "midnight"),
    [
        ("2026-11-22T23:59:59", "UTC", "2026-11-23T00:00"),
        ("2026-11-22T00:00:00", "UTC", "2026-11-23T00:00"),
        ("2026-11-22T18:00:00", "America/Los_Angeles", "2026-11-23T00:00"),
        ("2026-03-08T01:30:00", "America/Los_Angeles", "2026-03-09T00:00"),
        ("2026-11-01T01:30:00", "America/Los_Angeles", "2026-11-02T00:00"),
        ("2026-12-31T12:00:00", "Asia/Shanghai", "2027-01-01T00:00"),
    ],
)
def test_the_next_midnight(now: str, zone: str, midnight: str) -> None:
    assert next_midnight(at(now, zone), zone) == at(midnight, zone)


def test_a_day_that_changes_its_clock_has_another_length() -> None:
    zone = "America/Los_Angeles"
    spring, autumn = at("2026-03-08T00:00", zone), at("2026-11-01T00:00", zone)
    assert next_midnight(spring, zone) - spring == 23 * 3600
    assert next_midnight(autumn, zone) - autumn == 25 * 3600


@given(now=st.integers(0, 4_000_000_000), zone=ZONES)
def test_a_window_ends_later_than_now_and_not_too_late(now: int, zone: str) -> None:
    assert now < next_midnight(now, zone) <= now + DAY + 3600
    assert next_midnight(now, zone) <= next_month(now, zone) <= now + 31 * DAY + 7200


@pytest.mark.parametrize(
    ("now", "first"),
    [("2026-11-22T12:00", "2026-12-01T00:00"), ("2026-12-01T00:00", "2027-01-01T00:00")],
)
def test_the_next_month(now: str, first: str) -> None:
    assert next_month(at(now, "Asia/Kolkata"), "Asia/Kolkata") == at(first, "Asia/Kolkata")
