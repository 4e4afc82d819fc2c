"""Which installation a database belongs to: a number made once, and copied with it."""

from __future__ import annotations

import secrets

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from freellmapi.storage.db import Database
from freellmapi.storage.tables import counters

_NAME = "installation"


def installation(database: Database) -> str:
    """What keeps two installations apart that share one Redis."""
    while True:
        with database.connect() as connection:
            value = connection.scalar(select(counters.c.value).where(counters.c.name == _NAME))
        if value is not None:
            return f"{value:x}"
        try:
            with database.begin() as connection:
                made = {"name": _NAME, "value": secrets.randbits(62)}
                connection.execute(insert(counters).values(made))
        except IntegrityError:
            # Another worker was first.
            continue
