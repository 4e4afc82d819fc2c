"""When each key was last asked: from the end of the log, before that found by the sums."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, and_, func, or_, select

from freellmapi.storage.db import Database
from freellmapi.storage.tables import attempts, requests, rollups

HOUR, DAY = 3_600, 86_400
NEWEST = 1_000
"""Rows of the log that are looked at for all keys together."""
MOST_KEPT = 2_000

Key = tuple[str, str]
"""(provider, key id)."""


class LastUsed:
    """What was found in hours that are over is not looked for again."""

    def __init__(self) -> None:
        self._found: dict[tuple[Key, int], float] = {}

    def read(self, database: Database, now: float) -> Mapping[Key, float]:
        """Key -> epoch seconds of its last call.

        Of a call that the log no longer holds, the beginning of its hour, or of its day.
        """
        with database.connect() as connection:
            logged = _at_the_end(connection)
            found = {
                key: logged[key] if key in logged else self._exact(connection, key, *sums, now)
                for key, sums in _summed(connection, now).items()
            }
        return found | logged

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


def _summed(connection: Connection, now: float) -> dict[Key, tuple[int, int]]:
    """Key -> where the last sum that counts a call of it begins, and its seconds."""
    c = rollups.c
    recent = and_(c.span == HOUR, c.start >= int(now) - 2 * DAY)
    query = (
        select(c.provider, c.key_id, func.max(c.start), c.span)
        .where(or_(recent, c.span == DAY), c.attempts > 0)
        .group_by(c.provider, c.key_id, c.span)
    )
    found: dict[Key, tuple[int, int]] = {}
    for provider, key, start, span in connection.execute(query):
        # An hour of these two days is later than any day without one, and says more.
        if span == HOUR or (provider, key) not in found:
            found[provider, key] = (int(start), int(span))
    return found


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
