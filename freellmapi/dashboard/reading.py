"""Reads the sums of a period, those of days and hours that are over only once.

A quarter is some hundred thousand rows, of which all but this hour's are the same at the next
look.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from freellmapi.core.values import dataclass
from freellmapi.storage.rollups import Failed, Hours, Latencies, Sums, Tally, Totals

T = TypeVar("T")
Of = TypeVar("Of", bound=Hashable)
Sum = TypeVar("Sum", Totals, Tally, Failed, Latencies)

MOST_KEPT = 12
"""Periods: of each range the one shown, to this hour and to today, and the one before it. Each
takes up to 1 MB."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A period as one."""

    totals: tuple[Totals, ...]
    pace: Latencies


@dataclass(frozen=True, slots=True)
class Stepped:
    """A period by its steps; ``paces`` has one for each. Sums are by what they are of."""

    totals: Mapping[tuple[str, str, str], Totals]
    paces: tuple[Latencies, ...]
    by_model: Mapping[tuple[str, str], Latencies]
    tallies: Mapping[tuple[int, str], Tally]
    failed: Mapping[tuple[int, bool, str], Failed]
    clients: Mapping[str, Tally]


NOTHING = Stepped({}, (), {}, {}, {}, {})


class Finished:
    """What was read of days and hours that are over, by the hours it is of.

    A request may be logged for an hour that is over, by another process too. It is counted
    with the hour's others then, of which the number is read each time.
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

    if hours[1] > sums.hour:
        return read()
    return finished.read(("whole", hours), sums.logged(hours), read)


def stepped(sums: Sums, steps: Sequence[Hours], finished: Finished) -> Stepped:
    """``steps`` follow one another.

    Days stay as they were read while the hours after them become more, and both of them
    together while this hour goes on.
    """
    end = steps[-1][1]
    days = _part(steps, 0, sums.today)
    hours = _part(steps, sums.today, sums.hour)
    over, now = _part(steps, 0, sums.hour), _part(steps, sums.hour, end)

    def read_over() -> Stepped:
        read = _kept(sums, days, finished, lambda: _read(sums, days))
        return _joined(read, _read(sums, hours), len(over) - len(hours))

    read = _kept(sums, over, finished, read_over)
    return _joined(read, _read(sums, now), len(steps) - len(now))


def _part(steps: Iterable[Hours], first: int, last: int) -> tuple[Hours, ...]:
    """What of the steps lies between."""
    return tuple(
        (max(since, first), min(until, last))
        for since, until in steps
        if since < last and until > first
    )


def _kept(
    sums: Sums, steps: Sequence[Hours], finished: Finished, make: Callable[[], Stepped]
) -> Stepped:
    return finished.read(steps, sums.logged(_all(steps)), make) if steps else NOTHING


def _read(sums: Sums, steps: Sequence[Hours]) -> Stepped:
    if not steps:
        return NOTHING
    hours = _all(steps)
    return Stepped(
        totals={(t.provider, t.model, t.key_id): t for t in sums.totals(hours)},
        paces=sums.paces(steps),
        by_model=sums.latencies(hours),
        tallies={(t.step, t.name): t for t in sums.providers(steps)},
        failed={(f.step, f.whole, f.kind): f for f in sums.failed(steps)},
        clients={t.name: t for t in sums.clients(hours)},
    )


def _all(steps: Sequence[Hours]) -> Hours:
    return steps[0][0], steps[-1][1]


def _joined(before: Stepped, now: Stepped, at: int) -> Stepped:
    """Step 0 of ``now`` is step ``at``, which may have begun in ``before``."""
    tallies = (replace(tally, step=tally.step + at) for tally in now.tallies.values())
    failed = (replace(one, step=one.step + at) for one in now.failed.values())
    return Stepped(
        totals=_added(before.totals, now.totals),
        paces=_paces(before.paces, now.paces, at),
        by_model=_added(before.by_model, now.by_model),
        tallies=_added(before.tallies, {(t.step, t.name): t for t in tallies}),
        failed=_added(before.failed, {(f.step, f.whole, f.kind): f for f in failed}),
        clients=_added(before.clients, now.clients),
    )


def _paces(before: Sequence[Latencies], now: Sequence[Latencies], at: int) -> tuple[Latencies, ...]:
    if len(before) == at:
        return (*before, *now)
    return (*before[:at], before[at] + now[0], *now[1:])


def _added(before: Mapping[Of, Sum], now: Mapping[Of, Sum]) -> Mapping[Of, Sum]:
    found = dict(before)
    for of, one in now.items():
        so_far = found.get(of)
        found[of] = one if so_far is None else so_far + one
    return found
