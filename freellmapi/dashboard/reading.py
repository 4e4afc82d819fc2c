"""Reads the sums of a period, those of days that are over only once.

A quarter is some hundred thousand rows, of which all but today's are the same at the next
look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from operator import add, attrgetter
from typing import TypeVar, cast

from freellmapi.storage.rollups import Failed, Hours, Latencies, Sums, Tally, Totals

T = TypeVar("T")
Sum = TypeVar("Sum", Totals, Tally, Failed)
AtStep = TypeVar("AtStep", Tally, Failed)

MOST_KEPT = 12
"""Periods: of each range the one shown and the one before it. Each takes up to 1 MB."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A period as one."""

    totals: tuple[Totals, ...]
    pace: Latencies


@dataclass(frozen=True, slots=True)
class Stepped:
    """A period by its steps; ``paces`` has one for each."""

    totals: tuple[Totals, ...]
    paces: tuple[Latencies, ...]
    by_model: Mapping[tuple[str, str], Latencies]
    tallies: tuple[Tally, ...]
    failed: tuple[Failed, ...]
    clients: tuple[Tally, ...]


class Finished:
    """What was read of days that are over, by the hours it is of.

    A request may be logged for a day that is over, by another process too. It is counted for
    its client then, which is read each time: few rows, and each request is in one of them.
    """

    def __init__(self) -> None:
        self._kept: dict[object, tuple[object, object]] = {}

    def read(self, of: object, counted: object, make: Callable[[], T]) -> T:
        """What ``make`` returned when as much was counted as now."""
        known = self._kept.pop(of, None)
        if known is None or known[0] != counted:
            known = (counted, make())
        self._kept[of] = known
        for oldest in list(self._kept)[:-MOST_KEPT]:
            self._kept.pop(oldest, None)
        return cast(T, known[1])


def whole(sums: Sums, hours: Hours, finished: Finished) -> Whole:
    """A period that is over, or not."""

    def read() -> Whole:
        return Whole(sums.totals(hours), *sums.paces([hours]))

    if hours[1] > sums.today:
        return read()
    return finished.read(("whole", hours), sums.clients(hours), read)


def stepped(sums: Sums, steps: Sequence[Hours], finished: Finished) -> Stepped:
    """``steps`` follow one another."""
    today = sums.today
    over = tuple((since, min(until, today)) for since, until in steps if since < today)
    rest = tuple((max(since, today), until) for since, until in steps if until > today)
    if not over:
        return _read(sums, rest, sums.clients(_all(rest)))
    clients = sums.clients(_all(over))
    before = finished.read(over, clients, lambda: _read(sums, over, clients))
    if not rest:
        return before
    now = _read(sums, rest, sums.clients(_all(rest)))
    return _joined(before, now, len(steps) - len(rest))


def _read(sums: Sums, steps: Sequence[Hours], clients: tuple[Tally, ...]) -> Stepped:
    hours = _all(steps)
    return Stepped(
        totals=sums.totals(hours),
        paces=sums.paces(steps),
        by_model=sums.latencies(hours),
        tallies=sums.providers(steps),
        failed=sums.failed(steps),
        clients=clients,
    )


def _all(steps: Sequence[Hours]) -> Hours:
    return steps[0][0], steps[-1][1]


def _joined(before: Stepped, now: Stepped, at: int) -> Stepped:
    """Step 0 of ``now`` is step ``at``, which may have begun in ``before``."""
    tallies, failed = _later(now.tallies, at), _later(now.failed, at)
    return Stepped(
        totals=_added(before.totals, now.totals, 3),
        paces=_paces(before.paces, now.paces, at),
        by_model=_models(before.by_model, now.by_model),
        tallies=_added(before.tallies, tallies, 2),
        failed=_added(before.failed, failed, 3),
        clients=_added(before.clients, now.clients, 2),
    )


def _paces(before: Sequence[Latencies], now: Sequence[Latencies], at: int) -> tuple[Latencies, ...]:
    if len(before) == at:
        return (*before, *now)
    return (*before[:at], before[at] + now[0], *now[1:])


def _models(
    before: Mapping[tuple[str, str], Latencies], now: Mapping[tuple[str, str], Latencies]
) -> Mapping[tuple[str, str], Latencies]:
    found = dict(before)
    for who, pace in now.items():
        found[who] = found.get(who, Latencies()) + pace
    return found


def _later(sums: Iterable[AtStep], by: int) -> tuple[AtStep, ...]:
    return tuple(replace(one, step=one.step + by) for one in sums)


def _added(before: Sequence[Sum], now: Sequence[Sum], named_by: int) -> tuple[Sum, ...]:
    """Those alike in so many of their first fields as one; in each alone, none are."""
    if not before or not now:
        return tuple(before or now)
    kind = type(before[0])
    values = attrgetter(*(field.name for field in fields(kind)))
    found = {values(one)[:named_by]: one for one in before}
    for one in now:
        of = values(one)
        so_far = found.get(of[:named_by])
        if so_far is not None:
            sums = map(add, values(so_far)[named_by:], of[named_by:])
            one = kind(*of[:named_by], *sums)
        found[of[:named_by]] = one
    return tuple(found.values())
