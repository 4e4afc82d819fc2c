"""Single numbers, changed inside the transaction of the write they speak of."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from freellmapi.storage.tables import counters

#: Changes with every write that a running server has to take over.
CONFIG = "config"

#: The hour before which all is folded into days.
FOLDED = "folded"

#: The id of the newest row of the log that is in the hourly sums.
SUMMED = "summed"


def advance(connection: Connection, name: str, by: int = 1) -> int:
    """Adds ``by`` and returns the new value; other writers of the counter wait their turn."""
    value = connection.scalar(
        update(counters)
        .where(counters.c.name == name)
        .values(value=counters.c.value + by)
        .returning(counters.c.value)
    )
    assert value is not None, f"no counter {name}"
    return int(value)


def current(connection: Connection, name: str) -> int:
    value = connection.scalar(select(counters.c.value).where(counters.c.name == name))
    assert value is not None, f"no counter {name}"
    return int(value)
