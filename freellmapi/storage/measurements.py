"""What models were like, kept so that a restart does not have to learn it again."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, delete, select, text
from sqlalchemy.exc import DBAPIError

from freellmapi.core.measurement import Average, Measurement
from freellmapi.storage.db import Database, DatabaseUnavailable, said
from freellmapi.storage.tables import measurements

log = logging.getLogger(__name__)

_COLUMNS = tuple(column.name for column in measurements.columns)
# Both databases know this form of it; SQLAlchemy has one for each.
_PUT = text(
    f"INSERT INTO {measurements.name} ({', '.join(_COLUMNS)}) "
    f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) "
    f"ON CONFLICT (ref) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "ref")
)


class MeasurementStore:
    """One row a model. Of several processes, the one that wrote last is believed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> tuple[Measurement, ...]:
        """All that were saved; a damaged row is named in the log and passed over."""
        with self._database.connect() as connection:
            rows = connection.execute(select(measurements)).all()
        found = [(row.ref, _read(row)) for row in rows]
        for ref, measurement in found:
            if measurement is None:
                log.warning("damaged measurement passed over model=%s", ref)
        return tuple(m for _, m in found if m is not None)

    def save(self, changed: Iterable[Measurement]) -> None:
        """Writes these in one transaction; ``DatabaseUnavailable`` if it cannot be done."""
        rows = [_values(measurement) for measurement in changed]
        if not rows:
            return
        try:
            with self._database.begin() as connection:
                connection.execute(_PUT, rows)
        except DBAPIError as exc:
            raise DatabaseUnavailable(said(exc)) from exc

    def prune(self, before: float) -> int:
        """Forgets models whose newest call was before then (epoch seconds); how many."""
        with self._database.begin() as connection:
            result = connection.execute(delete(measurements).where(measurements.c.at < before))
            return int(result.rowcount)


def _values(measurement: Measurement) -> dict[str, object]:
    m = measurement
    return {
        "ref": m.ref,
        "at": m.at,
        "success": m.success.value,
        "success_weight": m.success.weight,
        "first_token": m.first_token.value,
        "first_token_weight": m.first_token.weight,
        "speed": m.speed.value,
        "speed_weight": m.speed.weight,
    }


def _read(row: Row[Any]) -> Measurement | None:
    """The row's measurement, or None if a number in it cannot be one."""
    try:
        numbers = [float(value) for value in tuple(row)[1:]]
    except (TypeError, ValueError):
        return None
    at, *averages = numbers
    if not all(math.isfinite(n) and n >= 0 for n in numbers) or numbers[1] > 1:
        return None
    success, first_token, speed = (Average(*averages[n : n + 2]) for n in (0, 2, 4))
    return Measurement(row.ref, at, success, first_token, speed)
