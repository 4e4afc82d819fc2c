"""Reads the hourly and daily sums of the request log, which ``recording.py`` and
``folding.py`` make.

A period is read from the days that lie whole in it and the hours at its edges, so a month
costs little more than a day.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select, union_all

from freellmapi.storage import counters, folding, histogram, tables
from freellmapi.storage.db import Database
from freellmapi.storage.recording import COUNTED, COUNTERS, DAY, HOUR, TALLIED, hour_of
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
        what is read does not grow with what the other providers did.
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
            return tuple(
                Counted(provider, model, key_id, int(requests), int(tokens))
                for provider, model, key_id, requests, tokens in connection.execute(query)
            )


class Sums:
    """The sums as one connection sees them; days are whole that end by ``folded``."""

    def __init__(self, connection: Connection, folded: int) -> None:
        self.connection = connection
        self.today = folded - folded % DAY
        """When the day began (UTC) that is not over; epoch seconds."""

    def totals(self, hours: Hours) -> tuple[Totals, ...]:
        """One value for each provider, model and key that occurs."""
        columns = tables.rollups.c
        group = ("provider", "model", "key_id")
        parts = union_all(
            *(
                select(*(columns[name] for name in (*group, *COUNTERS))).where(part)
                for part in self._parts(columns.span, columns.start, hours)
            )
        ).subquery()
        query = (
            select(*(parts.c[name] for name in group), *(func.sum(parts.c[n]) for n in COUNTERS))
            .group_by(*(parts.c[name] for name in group))
            .order_by(*(parts.c[name] for name in group))
        )
        return tuple(
            # PostgreSQL sums whole numbers as decimals.
            Totals(provider, model, key_id, *(*map(int, sums[:-1]), sums[-1]))
            for provider, model, key_id, *sums in self.connection.execute(query).all()
        )

    def latencies(self, hours: Hours) -> dict[tuple[str, str], Latencies]:
        """For each (provider, model) that answered."""
        c = tables.latencies.c
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for part in self._parts(c.span, c.start, hours):
            query = select(c.provider, c.model, c.durations, c.first_tokens).where(
                c.scope == "model", part
            )
            for provider, model, *both in self.connection.execute(query).all():
                durations, first_tokens = map(histogram.from_bytes, both)
                a, b = found.get((provider, model), (0, 0))
                found[provider, model] = (a + durations, b + first_tokens)
        return {who: Latencies(*both) for who, both in found.items()}

    def paces(self, steps: Sequence[Hours]) -> tuple[Latencies, ...]:
        """Of all models together, for each of the steps; they follow one another."""
        c = tables.latencies.c
        query = (
            select(c.start, c.durations, c.first_tokens)
            .where(c.scope == "all", c.span == HOUR)
            .where(c.start >= steps[0][0], c.start < steps[-1][1])
            .order_by(c.start)
        )
        found = [(0, 0)] * len(steps)
        step = 0
        for start, *both in self.connection.execute(query).all():
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
            for step, _, name, *sums in self._stepped(steps, ("provider",), TALLIED)
        )

    def failed(self, steps: Sequence[Hours]) -> tuple[Failed, ...]:
        """By step and kind, of requests and of single calls."""
        return tuple(
            Failed(step, dimension == "error", name, int(n))
            for step, dimension, name, n in self._stepped(steps, ("error", "fault"), ("requests",))
        )

    def clients(self, hours: Hours) -> tuple[Tally, ...]:
        """By client token; the name is its id, empty for requests without one."""
        c = tables.tallies.c
        query = (
            select(c.name, *(func.sum(c[n]) for n in TALLIED))
            .where(c.dimension == "client", c.hour >= hours[0], c.hour < hours[1])
            .group_by(c.name)
            .order_by(c.name)
        )
        return tuple(
            Tally(0, name, *map(int, sums)) for name, *sums in self.connection.execute(query).all()
        )

    def _stepped(
        self, steps: Sequence[Hours], dimensions: Sequence[str], counters: Sequence[str]
    ) -> Iterator[tuple[Any, ...]]:
        """Step, dimension, name and sums.

        Neighbours of one length share a query, as dividing is faster than looking each step
        up. An hour more or less, where the clocks change, makes a day a run of its own.
        """
        c = tables.tallies.c
        for first, length, (since, until) in _runs(steps):
            step = (c.hour - since) // length
            query = (
                select(step, c.dimension, c.name, *(func.sum(c[n]) for n in counters))
                .where(c.dimension.in_(dimensions))
                .where(c.hour >= since, c.hour < until)
                .group_by(step, c.dimension, c.name)
            )
            for n, *rest in self.connection.execute(query).all():
                yield (first + n, *rest)

    def _parts(
        self, span: ColumnElement[int], start: ColumnElement[int], hours: Hours
    ) -> list[ColumnElement[bool]]:
        """The whole days of a period and the hours at its edges, each as a condition."""
        since, until = hours
        first, last = -(-since // DAY) * DAY, min(until // DAY * DAY, self.today)
        if first >= last:
            return [and_(span == HOUR, start >= since, start < until)]
        pieces = [(HOUR, since, first), (DAY, first, last), (HOUR, last, until)]
        return [and_(span == s, start >= a, start < b) for s, a, b in pieces if a < b]


def _runs(steps: Sequence[Hours]) -> Iterator[tuple[int, int, Hours]]:
    """Neighbours of one length together: (number of the first, length, hours of all)."""
    numbered = enumerate(steps)
    for length, run in groupby(numbered, key=lambda one: one[1][1] - one[1][0]):
        whole = list(run)
        yield whole[0][0], length, (whole[0][1][0], whole[-1][1][1])
