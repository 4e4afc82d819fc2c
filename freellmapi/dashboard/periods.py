"""The stretches of time that Analytics shows, in the viewer's own zone.

Sums are kept by whole hours (UTC). Where a day begins in the middle of one (India, Nepal),
that hour belongs to the day in which it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from freellmapi.core.values import dataclass
from freellmapi.storage.rollups import DAY, HOUR, Hours

_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?([0-5]\d)?")
_NAME = re.compile(r"[A-Za-z][\w+-]*(/[\w+-]+)*")


class Range(str, Enum):
    """How far back, and in steps of how many hours of the viewer's clock."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"

    @property
    def days(self) -> int:
        return {"24h": 1, "7d": 7, "30d": 30, "90d": 90}[self.value]

    @property
    def step_hours(self) -> int:
        return {"24h": 1, "7d": 6, "30d": 24, "90d": 24}[self.value]


class UnknownZone(ValueError):
    """Neither an IANA name nor an offset like ``+05:30``."""


@dataclass(frozen=True, slots=True)
class Step:
    """One point of a series: where it begins on the viewer's clock, and its hours."""

    at: float
    hours: Hours


@lru_cache(maxsize=64)
def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name or of an offset from UTC; ``UnknownZone`` otherwise."""
    if offset := _OFFSET.fullmatch(name):
        sign, hours, minutes = offset.groups()
        span = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if span < timedelta(days=1):
            return timezone(-span if sign == "-" else span)
    try:
        if _NAME.fullmatch(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass  # No such zone, a folder of zones, or a name too long for a file.
    raise UnknownZone(f"'{name[:40]}' is no time zone; write it like Asia/Kolkata or +05:30.")


def steps(over: Range, zone: tzinfo, now: float) -> tuple[Step, ...]:
    """Up to and with the one in which now is, oldest first; they follow one another.

    24 hours; 28 quarters of a day; 30 or 90 days. The last one ends with the hour of now, or
    with its own first one where that is still to begin.
    """
    starts = list(_starts(over, zone, now))
    whole = [_hour_from(at) for at in starts]
    end = max(int(now // HOUR) * HOUR, whole[-1]) + HOUR
    return tuple(Step(at, hours) for at, hours in zip(starts, pairwise((*whole, end)), strict=True))


def before(over: Range, zone: tzinfo, now: float) -> Hours:
    """The period to compare with: as long on the clock, and just one range earlier.

    It ends as far into its last day as now is into this one, to the nearest whole hour, so
    that a morning is not compared with whole days.
    """
    if over is Range.DAY:
        since, until = next(_starts(over, zone, now)) - DAY, now - DAY
    else:
        local = datetime.fromtimestamp(now, zone) - timedelta(days=over.days)
        since, until = next(_starts(over, zone, local.timestamp())), local.timestamp()
    start = _hour_from(since)
    return start, max(start, int((until + HOUR / 2) // HOUR) * HOUR)


def _starts(over: Range, zone: tzinfo, now: float) -> Iterator[float]:
    if over is Range.DAY:
        hour = now // HOUR * HOUR
        yield from (hour - n * HOUR for n in reversed(range(24)))
        return
    today = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for ago in reversed(range(over.days)):
        day = today - timedelta(days=ago)
        for hour in range(0, 24, over.step_hours):
            # Made anew from the wall clock: the zone's offset may change on the way.
            at = datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp()
            if at <= now:
                yield at


def _hour_from(at: float) -> int:
    """The first whole hour that begins at this time or later."""
    return int(-(-at // HOUR)) * HOUR
