"""Bringing the ledger back after a restart, from what the request log knows.

Days and months come from the hourly sums and only the last minute from the log itself, so
that a start takes as long with a million rows as with none. An hour in which a day begins
somewhere counts whole: rather a little too much than too little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import field

from freellmapi.core.limits import Bucket, day_start, month_start
from freellmapi.core.values import dataclass
from freellmapi.router.counter import MINUTE_SLOTS
from freellmapi.router.ledger import Earlier, Ledger
from freellmapi.router.snapshot import Snapshot
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.rollups import HOUR, Counted, Rollups

_Who = tuple[str, str, str]
"""Provider, model and key id."""


@dataclass(slots=True)
class _Found:
    """What is known of one bucket: [requests, tokens]."""

    bucket: Bucket
    minute: dict[int, list[int]] = field(default_factory=dict)
    day: list[int] = field(default_factory=lambda: [0, 0])
    month: list[int] = field(default_factory=lambda: [0, 0])


def restore(
    ledger: Ledger, snapshot: Snapshot, log: RequestLog, rollups: Rollups, now: float
) -> None:
    """Count every logged call that is still in some window of its buckets."""
    found: dict[str, _Found] = {}
    by_zone: dict[str, dict[_Who, list[_Found]]] = defaultdict(dict)
    for candidates in snapshot.candidates.values():
        for candidate in candidates:
            who = (candidate.provider.id, candidate.model.id, candidate.key_id)
            by_zone[candidate.provider.reset_zone][who] = [
                found.setdefault(bucket.name, _Found(bucket)) for bucket in candidate.buckets
            ]
    for zone, buckets in by_zone.items():
        _add_periods(buckets, rollups, day_start(now, zone), month_start(now, zone), now)
    everyone = {who: of for buckets in by_zone.values() for who, of in buckets.items()}
    for row in log.usage_since(now - MINUTE_SLOTS):
        for one in everyone.get((row.provider, row.model, row.key_id), ()):
            _add(one.minute.setdefault(row.at, [0, 0]), row.requests, row.tokens)
    for one in found.values():
        if one.minute or one.month[0]:
            ledger.restore(one.bucket, _earlier(one), now)


def _add_periods(
    buckets: Mapping[_Who, list[_Found]],
    rollups: Rollups,
    day: float,
    month: float,
    now: float,
) -> None:
    """What was used today, and where a cap counts the month, in the rest of it."""
    today = rollups.counted(day, now, {provider for provider, _, _ in buckets})
    for one, row in _rows(buckets, today):
        _add(one.day, row.requests, row.tokens)
        _add(one.month, row.requests, row.tokens)
    by_month = {who[0] for who, found in buckets.items() if any(map(_counts_month, found))}
    if by_month:
        for one, row in _rows(buckets, rollups.counted(month, day // HOUR * HOUR, by_month)):
            _add(one.month, row.requests, row.tokens)


def _counts_month(found: _Found) -> bool:
    limits = found.bucket.limits
    return limits.requests_per_month is not None or limits.tokens_per_month is not None


def _rows(
    buckets: Mapping[_Who, list[_Found]], rows: Iterable[Counted]
) -> Iterable[tuple[_Found, Counted]]:
    for row in rows:
        for one in buckets.get((row.provider, row.model, row.key_id), ()):
            yield one, row


def _add(sums: list[int], requests: int, tokens: int) -> None:
    sums[0] += requests
    sums[1] += tokens


def _earlier(found: _Found) -> Earlier:
    return Earlier(
        tuple((at, requests, tokens) for at, (requests, tokens) in found.minute.items()),
        (found.day[0], found.day[1]),
        (found.month[0], found.month[1]),
    )
