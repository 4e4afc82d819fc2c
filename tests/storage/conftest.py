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
from tests.fakes.clock import FrozenClock


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'data' / 't.db'}"


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
