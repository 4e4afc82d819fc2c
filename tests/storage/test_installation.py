"""A database knows which installation it belongs to."""

from __future__ import annotations

from freellmapi.storage.db import Database
from freellmapi.storage.installation import installation


def test_a_database_keeps_its_number(database: Database) -> None:
    found = installation(database)

    assert installation(database) == found
    assert len(found) > 8
