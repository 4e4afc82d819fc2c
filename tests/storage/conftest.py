"""A migrated database in a real file, and what works on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault
from tests.fakes import postgres
from tests.fakes.clock import FrozenClock


@pytest.fixture
def url(tmp_path: Path) -> str:
    return postgres.url_in(tmp_path / "data")


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """A database that has no schema yet."""
    return postgres.url_in(tmp_path / "empty", template="template0")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """For what only a file can show, whichever database the tests run on."""
    return f"sqlite:///{tmp_path / 'data' / 't.db'}"


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    database = Database.open(sqlite_url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database.open(url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def vault() -> Vault:
    return Vault(bytes(range(32)))


@pytest.fixture
def keys(database: Database, vault: Vault, clock: FrozenClock) -> KeyStore:
    return KeyStore(database, vault, clock)


@pytest.fixture
def tokens(database: Database, vault: Vault, clock: FrozenClock) -> TokenStore:
    return TokenStore(database, vault, clock)


@pytest.fixture
def config(database: Database) -> ConfigStore:
    return ConfigStore(database)
