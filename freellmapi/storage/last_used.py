"""When each key was last asked: from the end of the log, before that found by the sums."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from freellmapi.storage.db import Database
from freellmapi.storage.tables import attempts, requests, rollups

HOUR, DAY = 3_600, 86_400
NEWEST = 1_000
"""Rows of the log that are looked at for all keys together."""
MOST_KEPT = 2_000
DAYS_KEPT = 600.0
"""Seconds after which the sums of days that are over are looked through again."""

Key = tuple[str, str]
"""(provider, key id)."""


class LastUsed:
    """What was found in hours that are over is not looked for again."""

    def __init__(self) -> None:
        self._found: dict[tuple[Key, int], float] = {}
        self._days: tuple[float, Mapping[Key, int]] | None = None

    def read(self, database: Database, now: float) -> Mapping[Key, float]:
        """Key -> epoch seconds of its last call.

        Of a call that the log no longer holds, the beginning of its hour, or of its day.
        """
        with database.connect() as connection:
            logged = _at_the_end(connection)
            found = {
                key: logged[key] if key in logged else self._exact(connection, key, *sums, now)
                for key, sums in self._summed(connection, now).items()
            }
        return found | logged

    def _summed(self, connection: Connection, now: float) -> dict[Key, tuple[int, int]]:
        """Key -> where the last sum that counts a call of it begins, and its seconds."""
        if self._days is None or not 0 <= now - self._days[0] < DAYS_KEPT:
            self._days = now, _last(connection, DAY, 0)
        hours = _last(connection, HOUR, int(now) - 2 * DAY)
        # An hour of these two days is later than any day without one, and says more.
        days = {key: (start, DAY) for key, start in self._days[1].items()}
        return days | {key: (start, HOUR) for key, start in hours.items()}

    def _exact(self, connection: Connection, key: Key, start: int, span: int, now: float) -> float:
        known = self._found.get((key, start))
        if known is not None:
            return known
        hour = start if span == HOUR else _hour(connection, key, start)
        at = _in_log(connection, key, hour) or float(hour)
        if start + span <= now:
            if len(self._found) >= MOST_KEPT:
                self._found.clear()
            self._found[key, start] = at
        return at


def was_ever_served(database: Database) -> bool:
    """Whether any request was answered, as far as the sums and the end of the log tell."""
    c, r = rollups.c, requests.c
    newest = select(func.max(r.id)).scalar_subquery()
    logged = select(r.id).where(r.id > newest - NEWEST, r.status < 400).limit(1)
    summed = select(c.start).where(c.span == DAY, c.requests > c.failures).limit(1)
    with database.connect() as connection:
        return any(connection.execute(query).first() is not None for query in (logged, summed))


def _at_the_end(connection: Connection) -> dict[Key, float]:
    a = attempts.c
    newest = select(func.max(requests.c.id)).scalar_subquery()
    query = (
        select(a.provider, a.key_id, func.max(a.started_at))
        .where(a.log_id > newest - NEWEST)
        .group_by(a.provider, a.key_id)
    )
    return {(provider, key): float(at) for provider, key, at in connection.execute(query)}


def _last(connection: Connection, span: int, since: int) -> dict[Key, int]:
    """Key -> the start of the last sum of so many seconds that counts a call of it."""
    c = rollups.c
    query = (
        select(c.provider, c.key_id, func.max(c.start))
        .where(c.span == span, c.start >= since, c.attempts > 0)
        .group_by(c.provider, c.key_id)
    )
    return {(provider, key): int(at) for provider, key, at in connection.execute(query)}


def _hour(connection: Connection, key: Key, day: int) -> int:
    """The last hour of the day in which the key was asked; the day where none is known."""
    c = rollups.c
    query = select(func.max(c.start)).where(
        *(c.span == HOUR, c.start >= day, c.start < day + DAY, c.attempts > 0),
        *(c.provider == key[0], c.key_id == key[1]),
    )
    return connection.scalar(query) or day


def _in_log(connection: Connection, key: Key, hour: int) -> float | None:
    """Its last call of that hour, looked for from the hour's end."""
    a, r = attempts.c, requests.c
    query = (
        select(a.started_at)
        .select_from(requests.join(attempts, a.log_id == r.id))
        .where(r.at >= hour, r.at < hour + HOUR, a.provider == key[0], a.key_id == key[1])
        .order_by(r.at.desc(), a.n.desc())
        .limit(1)
    )
    return connection.scalar(query)
