"""When each key was last asked: exactly from the end of the log, before that from the sums."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, func, or_, select

from freellmapi.storage.db import Database
from freellmapi.storage.tables import attempts, requests, rollups

HOUR, DAY = 3_600, 86_400
NEWEST = 1_000
"""Rows of the log that are looked at."""


def last_used(database: Database, now: float) -> Mapping[tuple[str, str], float]:
    """(provider, key id) -> epoch seconds of its last call.

    Of older calls, the beginning of their hour, and after two days of their day.
    """
    c, a = rollups.c, attempts.c
    recent = and_(c.span == HOUR, c.start >= int(now) - 2 * DAY)
    summed = (
        select(c.provider, c.key_id, func.max(c.start))
        .where(or_(recent, c.span == DAY), c.attempts > 0)
        .group_by(c.provider, c.key_id)
    )
    newest = select(func.max(requests.c.id)).scalar_subquery()
    logged = (
        select(a.provider, a.key_id, func.max(a.started_at))
        .where(a.log_id > newest - NEWEST)
        .group_by(a.provider, a.key_id)
    )
    with database.connect() as connection:
        found = {(p, key): float(at) for p, key, at in connection.execute(summed)}
        return found | {(p, key): float(at) for p, key, at in connection.execute(logged)}


def was_ever_served(database: Database) -> bool:
    """Whether any request was answered, as far as the sums and the end of the log tell."""
    c, r = rollups.c, requests.c
    newest = select(func.max(r.id)).scalar_subquery()
    logged = select(r.id).where(r.id > newest - NEWEST, r.status < 400).limit(1)
    summed = select(c.start).where(c.span == DAY, c.requests > c.failures).limit(1)
    with database.connect() as connection:
        return any(connection.execute(query).first() is not None for query in (logged, summed))
