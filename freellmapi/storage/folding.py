"""Folds the hourly sums into what pages read: days, and all models together.

Done before a look at the figures and every few seconds, for the hours since the last time. All
of it can be made again from the hours, and is, when a row was logged late.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.exc import DBAPIError

from freellmapi.storage import bulk, histogram, tables
from freellmapi.storage.counters import FOLDED
from freellmapi.storage.db import Database, DatabaseUnavailable, said
from freellmapi.storage.summing import (
    COUNTED,
    COUNTERS,
    DAY,
    HISTOGRAMS,
    HOUR,
    TALLIED,
    hour_of,
    sum_up,
)
from freellmapi.storage.writer import Writer

_WHO = "provider, model, key_id"


def fold(database: Database, now: float) -> None:
    """Brings everything up to date: the hours' sums, days that are over, hours of all.

    ``DatabaseUnavailable`` when it cannot be written, as with a full disk.
    """
    writer = None
    try:
        writer = Writer(database.engine)
        with writer.transaction():
            _fold(writer, hour_of(now))
    except (DBAPIError, database.engine.dialect.loaded_dbapi.Error) as exc:
        raise DatabaseUnavailable(said(exc)) from exc
    finally:
        if writer is not None:
            writer.close()


def _fold(writer: Writer, hour: int) -> None:
    mark = writer.scalar(f"SELECT value FROM counters WHERE name = '{FOLDED}'")
    earliest = sum_up(writer)
    since = min(int(mark), hour) if earliest is None else min(int(mark), hour, hour_of(earliest))
    _fold_providers(writer, since)
    _fold_all(writer, since)
    first, last = since - since % DAY, hour - hour % DAY
    if first < last:
        _fold_days(writer, first, last)
        _fold_days_of_models(writer, first, last)
    writer.execute(f"UPDATE counters SET value = {writer.mark} WHERE name = '{FOLDED}'", (hour,))


def _fold_providers(writer: Writer, since: int) -> None:
    sums = ", ".join(f"sum({name})" for name in TALLIED)
    writer.execute(
        f"DELETE FROM tallies WHERE dimension = 'provider' AND hour >= {writer.mark}", (since,)
    )
    writer.execute(
        f"INSERT INTO tallies SELECT 'provider', start, provider, {sums} FROM rollups "
        f"WHERE span = {HOUR} AND start >= {writer.mark} "
        "GROUP BY start, provider HAVING sum(requests) > 0",
        (since,),
    )


def _fold_days(writer: Writer, first: int, last: int) -> None:
    day = f"start / {DAY} * {DAY}"
    sums = ", ".join(f"sum({name})" for name in (*COUNTERS, *COUNTED))
    writer.execute(f"DELETE FROM rollups WHERE span = {DAY} AND start >= {writer.mark}", (first,))
    writer.execute(
        f"INSERT INTO rollups SELECT {DAY}, {day}, {_WHO}, {sums} FROM rollups "
        f"WHERE span = {HOUR} AND start >= {writer.mark} AND start < {writer.mark} "
        f"GROUP BY {day}, {_WHO}",
        (first, last),
    )


def _fold_all(writer: Writer, since: int) -> None:
    found: dict[tuple[object, ...], list[int]] = {}
    for hour, _, _, *both in _latencies(writer, since, None):
        _add(found, ("all", HOUR, hour, "", ""), both)
    _put(writer, found, "all", HOUR, since)


def _fold_days_of_models(writer: Writer, first: int, last: int) -> None:
    found: dict[tuple[object, ...], list[int]] = {}
    for hour, provider, model, *both in _latencies(writer, first, last):
        _add(found, ("model", DAY, hour - hour % DAY, provider, model), both)
    _put(writer, found, "model", DAY, first)


def _latencies(writer: Writer, since: int, until: int | None) -> Iterable[bulk.Values]:
    condition, bounds = (f" AND start < {writer.mark}", (until,)) if until else ("", ())
    return map(
        tuple,
        writer.rows(
            "SELECT start, provider, model, durations, first_tokens FROM latencies "
            f"WHERE scope = 'model' AND span = {HOUR} AND start >= {writer.mark}{condition}",
            (since, *bounds),
        ),
    )


def _add(
    found: dict[tuple[object, ...], list[int]], key: tuple[object, ...], both: Iterable[bytes]
) -> None:
    so_far = found.setdefault(key, [0, 0])
    for n, data in enumerate(both):
        so_far[n] += histogram.from_bytes(data)


def _put(
    writer: Writer, found: dict[tuple[object, ...], list[int]], scope: str, span: int, since: int
) -> None:
    writer.execute(
        f"DELETE FROM latencies WHERE scope = '{scope}' AND span = {span} "
        f"AND start >= {writer.mark}",
        (since,),
    )
    counts = [(*key, *map(histogram.to_bytes, both)) for key, both in found.items()]
    bulk.put(writer, tables.latencies, counts, HISTOGRAMS)
