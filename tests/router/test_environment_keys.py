"""Keys in the environment are used like stored ones, one variable or several a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from freellmapi.router.configuration import Configuration, Given
from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault
from tests.fakes.clock import FrozenClock


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path}/t.db")
    database.migrate()
    yield database
    database.close()


def configured(database: Database, environ: Mapping[str, str]) -> Configuration:
    vault, clock = Vault(bytes(32)), FrozenClock()
    return Configuration(
        KeyStore(database, vault, clock),
        TokenStore(database, vault, clock),
        ConfigStore(database),
        Given(env_key=environ.get),
    )


@pytest.mark.parametrize(
    ("provider", "environ", "key_id", "secret"),
    [
        ("groq", {"GROQ_API_KEY": "g"}, "env:GROQ_API_KEY", "g"),
        ("google", {"GOOGLE_API_KEY": "b"}, "env:GOOGLE_API_KEY", "b"),
        (
            "google",
            {"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": "a"},
            "env:GEMINI_API_KEY",
            "a",
        ),
        (
            "cloudflare",
            {"CLOUDFLARE_ACCOUNT_ID": "acc", "CLOUDFLARE_API_TOKEN": "tok"},
            "env:CLOUDFLARE_ACCOUNT_ID,CLOUDFLARE_API_TOKEN",
            "acc:tok",
        ),
    ],
)
def test_the_environment_gives_keys(
    database: Database, provider: str, environ: Mapping[str, str], key_id: str, secret: str
) -> None:
    configuration = configured(database, environ)
    found = {key.id for key in configuration.snapshot.keys[provider]}
    assert found == {key_id}
    assert configuration.secret(provider, key_id) == secret


def test_half_a_key_is_none(database: Database) -> None:
    configuration = configured(database, {"CLOUDFLARE_API_TOKEN": "tok"})
    assert "cloudflare" not in configuration.snapshot.keys
