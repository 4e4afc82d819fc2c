"""When each key was last asked, from the sums: to the hour, and after two days to the day."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, func, or_, select

from freellmapi.storage.db import Database
from freellmapi.storage.tables import rollups

HOUR, DAY = 3_600, 86_400


def last_used(database: Database, now: float) -> Mapping[tuple[str, str], float]:
    """(provider, key id) -> epoch seconds at which the hour or day of its last call began."""
    c = rollups.c
    recent = and_(c.span == HOUR, c.start >= int(now) - 2 * DAY)
    query = (
        select(c.provider, c.key_id, func.max(c.start))
        .where(or_(recent, c.span == DAY), c.attempts > 0)
        .group_by(c.provider, c.key_id)
    )
    with database.connect() as connection:
        return {(provider, key): float(at) for provider, key, at in connection.execute(query)}


def was_ever_served(database: Database) -> bool:
    """Whether any request was answered, as far as the sums reach back."""
    c = rollups.c
    query = select(c.start).where(c.span == DAY, c.requests > c.failures).limit(1)
    with database.connect() as connection:
        return connection.execute(query).first() is not None
