"""What holds for the whole suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.fakes import postgres

# A shared or slow machine must not fail a test for the time that an example took.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def no_database_is_left() -> Iterator[None]:
    """Drops the databases that a test has made on PostgreSQL; files go with their folder."""
    if not postgres.is_asked_for():
        yield
        return
    before = postgres.cluster().made()
    yield
    postgres.cluster().drop(postgres.cluster().made() - before)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Among several workers, first what waits for processes, so that no one waits for it last."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
