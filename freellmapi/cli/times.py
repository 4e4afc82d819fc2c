"""Times for people: how long until then, and what the clock will show."""

from __future__ import annotations

from datetime import datetime, tzinfo

DAY = 86_400.0


def in_time(at: float, now: float, zone: tzinfo | None = None) -> str:
    """``in 14 s (14:03:20)``; ``zone`` is this machine's own unless given."""
    if at <= now:
        return "now"
    return f"in {span(at - now)} ({clock_time(at, now, zone)})"


def span(seconds: float) -> str:
    """A length of time in its two largest steps at most: ``0.8 s``, ``14 s``, ``3 h 05 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 36 else f"{round(hours / 24)} days"


def clock_time(at: float, now: float, zone: tzinfo | None = None) -> str:
    """The time of day, with the date unless it is within a day."""
    there = datetime.fromtimestamp(at, zone) if zone else datetime.fromtimestamp(at).astimezone()
    return f"{there:%H:%M:%S}" if abs(at - now) < DAY else f"{there:%Y-%m-%d %H:%M}"
