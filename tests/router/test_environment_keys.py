"""Keys in the environment are used like stored ones, one variable or several a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from freellmapi.router.configuration import Configuration, Given
from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault
from tests.fakes import postgres
from tests.fakes.clock import FrozenClock


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(postgres.url_in(tmp_path))
    database.migrate()
    yield database
    database.close()


def configured(
    database: Database,
    environ: Mapping[str, str],
    *,
    file_keys: tuple[tuple[str, str, str], ...] = (),
    providers: tuple[Mapping[str, Any], ...] = (),
) -> Configuration:
    vault, clock = Vault(bytes(32)), FrozenClock()
    return Configuration(
        KeyStore(database, vault, clock),
        TokenStore(database, vault, clock),
        ConfigStore(database),
        Given(env_key=environ.get, env_keys=file_keys, providers=providers),
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


def test_a_variable_that_the_file_names_and_nobody_set_is_no_key(database: Database) -> None:
    configuration = configured(database, {}, file_keys=(("groq", "MY_KEY", ""),))
    (key,) = configuration.snapshot.keys["groq"]
    assert (key.usable, key.reason) == (False, "MY_KEY is not set")


LAB = {"id": "lab", "base_url": "http://127.0.0.1:9/v1", "models": [{"id": "m"}]}


def test_an_endpoint_of_ones_own_is_asked_without_a_key_only_while_it_has_none(
    database: Database,
) -> None:
    without = configured(database, {}, providers=(LAB,))
    assert [key.id for key in without.snapshot.keys["lab"]] == ["anonymous"]
    keys = (("lab", "LAB_KEY", ""),)
    with_one = configured(database, {"LAB_KEY": "k"}, file_keys=keys, providers=(LAB,))
    assert [key.id for key in with_one.snapshot.keys["lab"]] == ["env:LAB_KEY"]
