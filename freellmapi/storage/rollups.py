"""Reads the hourly and daily sums of the request log, which ``summing.py`` and
``folding.py`` make.

A period is read from the days that lie whole in it and the hours at its edges, so a month
costs little more than a day.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    bindparam,
    func,
    select,
)

from freellmapi.storage import counters, folding, histogram, tables
from freellmapi.storage.db import Database
from freellmapi.storage.summing import COUNTED, COUNTERS, DAY, HISTOGRAMS, HOUR, TALLIED, hour_of
from freellmapi.storage.sums import Counted, Failed, Latencies, Tally, Totals

__all__ = [
    "DAY",
    "HOUR",
    "Counted",
    "Failed",
    "Hours",
    "Latencies",
    "Rollups",
    "Sums",
    "Tally",
    "Totals",
]

Hours = tuple[int, int]
"""The hours that begin from the first epoch second on and before the second one; whole."""


_SINCE, _UNTIL = (bindparam(name, type_=BigInteger) for name in ("since", "until"))


def _of_span(table: Table) -> tuple[ColumnElement[bool], ...]:
    c = table.c
    span = bindparam("span", type_=Integer)
    return c.span == span, c.start >= _SINCE, c.start < _UNTIL


def _of_clients(*what: ColumnElement[Any]) -> Select[Any]:
    c = tables.tallies.c
    return select(*what).where(c.dimension == "client", c.hour >= _SINCE, c.hour < _UNTIL)


def _by_step(dimensions: Iterable[str], counters: Iterable[str]) -> Select[Any]:
    c = tables.tallies.c
    step = (c.hour - _SINCE) // bindparam("length", type_=BigInteger)
    return (
        select(step, c.dimension, c.name, *_summed(tables.tallies, counters))
        .where(c.dimension.in_(tuple(dimensions)), c.hour >= _SINCE, c.hour < _UNTIL)
        .group_by(step, c.dimension, c.name)
    )


def _summed(table: Table, names: Iterable[str]) -> list[ColumnElement[Any]]:
    return [func.sum(table.c[name]) for name in names]


# Made once: to put a statement together takes as long as to read a hundred rows with it.
_WHO = [tables.rollups.c[name] for name in ("provider", "model", "key_id")]
_TOTALS = (
    select(*_WHO, *_summed(tables.rollups, COUNTERS))
    .where(*_of_span(tables.rollups))
    .group_by(*_WHO)
)
_OF_MODELS = select(
    *(tables.latencies.c[name] for name in ("provider", "model", *HISTOGRAMS))
).where(tables.latencies.c.scope == "model", *_of_span(tables.latencies))
_OF_ALL = (
    select(*(tables.latencies.c[name] for name in ("start", *HISTOGRAMS)))
    .where(tables.latencies.c.scope == "all", *_of_span(tables.latencies))
    .order_by(tables.latencies.c.start)
)
_LOGGED = _of_clients(func.sum(tables.tallies.c.requests))
_CLIENTS = _of_clients(tables.tallies.c.name, *_summed(tables.tallies, TALLIED)).group_by(
    tables.tallies.c.name
)
_PROVIDERS = _by_step(("provider",), TALLIED)
_FAILED = _by_step(("error", "fault"), ("requests",))


class Rollups:
    """The sums of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def reading(self, now: float) -> Iterator[Sums]:
        """The sums up to now. What is read in the block is of one moment (SQLite)."""
        folding.fold(self._database, now)
        with self._database.connect() as connection:
            yield Sums(connection, counters.current(connection, counters.FOLDED))

    def counted(self, since: float, until: float, providers: Iterable[str]) -> tuple[Counted, ...]:
        """What these providers counted; failed calls that they count are in it.

        The hours are named one by one, as span, start and provider begin the table's key:
        what is read does not grow with what the other providers did. Rows of the log that
        are not summed yet are counted one by one.
        """
        columns = tables.rollups.c
        group = (columns.provider, columns.model, columns.key_id)
        query = (
            select(*group, *(func.sum(columns[name]) for name in COUNTED))
            .where(columns.span == HOUR)
            .where(columns.start.in_(range(hour_of(since), math.ceil(until), HOUR)))
            .where(columns.provider.in_(tuple(providers)), columns.counted > 0)
            .group_by(*group)
        )
        with self._database.connect() as connection:
            # In this order, as what is summed in between must not be missed.
            new = connection.execute(_unsummed(since, until, providers)).all()
            found = [*new, *connection.execute(query)]
        return tuple(
            Counted(provider, model, key_id, int(requests), int(tokens))
            for provider, model, key_id, requests, tokens in found
        )


def _unsummed(since: float, until: float, providers: Iterable[str]) -> Select[Any]:
    """What these providers counted that is not in the sums yet, for the hours of a period."""
    r, a = tables.requests.c, tables.attempts.c
    mark = (
        select(tables.counters.c.value)
        .where(tables.counters.c.name == counters.SUMMED)
        .scalar_subquery()
    )
    tokens = func.coalesce(a.prompt_tokens, 0) + func.coalesce(a.completion_tokens, 0)
    return (
        select(a.provider, a.model, a.key_id, func.count(), func.sum(tokens))
        .select_from(tables.requests.join(tables.attempts, a.log_id == r.id))
        .where(r.id > mark, r.at >= hour_of(since), r.at < math.ceil(until / HOUR) * HOUR)
        .where(a.provider.in_(tuple(providers)), a.spent)
        .group_by(a.provider, a.model, a.key_id)
    )


class Sums:
    """The sums as one connection sees them; hours and days are whole that end by ``folded``."""

    def __init__(self, connection: Connection, folded: int) -> None:
        self.connection = connection
        self.hour = folded
        """When the hour began that is not over; epoch seconds."""
        self.today = folded - folded % DAY
        """When the day began (UTC) that is not over; epoch seconds."""

    def logged(self, hours: Hours) -> int:
        """How many requests: at a fraction of what else is read of as many hours."""
        return int(self.connection.scalar(_LOGGED, _within(hours)) or 0)

    def totals(self, hours: Hours) -> tuple[Totals, ...]:
        """One value for each provider, model and key that occurs."""
        found: dict[tuple[str, str, str], Totals] = {}
        for part in self._parts(hours):
            for provider, model, key_id, *sums in self.connection.execute(_TOTALS, part).all():
                # PostgreSQL sums whole numbers as decimals.
                total = Totals(provider, model, key_id, *(*map(int, sums[:-1]), sums[-1]))
                so_far = found.get((provider, model, key_id))
                found[provider, model, key_id] = so_far + total if so_far else total
        return tuple(found[who] for who in sorted(found))

    def latencies(self, hours: Hours) -> dict[tuple[str, str], Latencies]:
        """For each (provider, model) that answered."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for part in self._parts(hours):
            for provider, model, *both in self.connection.execute(_OF_MODELS, part).all():
                durations, first_tokens = map(histogram.from_bytes, both)
                a, b = found.get((provider, model), (0, 0))
                found[provider, model] = (a + durations, b + first_tokens)
        return {who: Latencies(*both) for who, both in found.items()}

    def paces(self, steps: Sequence[Hours]) -> tuple[Latencies, ...]:
        """Of all models together, for each of the steps; they follow one another."""
        found = [(0, 0)] * len(steps)
        step = 0
        whole = {"span": HOUR, **_within((steps[0][0], steps[-1][1]))}
        for start, *both in self.connection.execute(_OF_ALL, whole).all():
            while start >= steps[step][1]:
                step += 1
            durations, first_tokens = map(histogram.from_bytes, both)
            a, b = found[step]
            found[step] = (a + durations, b + first_tokens)
        return tuple(Latencies(*both) for both in found)

    def providers(self, steps: Sequence[Hours]) -> tuple[Tally, ...]:
        """By step and who served; the steps follow one another."""
        return tuple(
            Tally(step, name, *map(int, sums))
            for step, _, name, *sums in self._stepped(_PROVIDERS, steps)
        )

    def failed(self, steps: Sequence[Hours]) -> tuple[Failed, ...]:
        """By step and kind, of requests and of single calls."""
        return tuple(
            Failed(step, dimension == "error", name, int(n))
            for step, dimension, name, n in self._stepped(_FAILED, steps)
        )

    def clients(self, hours: Hours) -> tuple[Tally, ...]:
        """By client token; the name is its id, empty for requests without one."""
        return tuple(
            Tally(0, name, *map(int, sums))
            for name, *sums in self.connection.execute(_CLIENTS, _within(hours)).all()
        )

    def _stepped(self, query: Select[Any], steps: Sequence[Hours]) -> Iterator[tuple[Any, ...]]:
        """Step, dimension, name and sums.

        Neighbours of one length share a query, as dividing is faster than looking each step
        up. An hour more or less, where the clocks change, makes a day a run of its own.
        """
        for first, length, hours in _runs(steps):
            run = {**_within(hours), "length": length}
            for n, *rest in self.connection.execute(query, run).all():
                yield (first + n, *rest)

    def _parts(self, hours: Hours) -> list[Mapping[str, int]]:
        """The whole days of a period and the hours at its edges, each as parameters."""
        since, until = hours
        first, last = -(-since // DAY) * DAY, min(until // DAY * DAY, self.today)
        pieces = [(HOUR, since, first), (DAY, first, last), (HOUR, last, until)]
        if first >= last:
            pieces = [(HOUR, since, until)]
        return [{"span": s, **_within((a, b))} for s, a, b in pieces if a < b]


def _within(hours: Hours) -> dict[str, int]:
    return {"since": hours[0], "until": hours[1]}


def _runs(steps: Sequence[Hours]) -> Iterator[tuple[int, int, Hours]]:
    """Neighbours of one length together: (number of the first, length, hours of all)."""
    numbered = enumerate(steps)
    for length, run in groupby(numbered, key=lambda one: one[1][1] - one[1][0]):
        whole = list(run)
        yield whole[0][0], length, (whole[0][1][0], whole[-1][1][1])
