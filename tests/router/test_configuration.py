"""Database, files and environment, read into one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Limits
from freellmapi.providers.catalog import load_catalog
from freellmapi.router.configuration import Configuration, Given
from freellmapi.router.snapshot import ANONYMOUS
from freellmapi.storage import tables
from freellmapi.storage.config import ChainRow, ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault
from tests.fakes import postgres
from tests.fakes.clock import FrozenClock

LAB = {
    "id": "lab",
    "base_url": "http://127.0.0.1:9/v1",
    "key": "none",
    "models": [{"id": "tiny", "context": 4096, "limits": {"rpm": 30}}],
}
GROQ = "groq/openai/gpt-oss-120b"


class Desk:
    """The stores of one database, and configurations read from them."""

    def __init__(self, database: Database) -> None:
        vault, clock = Vault(bytes(32)), FrozenClock()
        self.database = database
        self.keys = KeyStore(database, vault, clock)
        self.tokens = TokenStore(database, vault, clock)
        self.config = ConfigStore(database)

    def read(self, environ: dict[str, str] | None = None, **given: Any) -> Configuration:
        env_key = (environ or {}).get
        return Configuration(self.keys, self.tokens, self.config, Given(env_key=env_key, **given))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database.open(postgres.url_in(tmp_path))
    database.migrate()
    yield Desk(database)
    database.close()


def enabled(configuration: Configuration) -> list[str]:
    return [model.ref for model in configuration.snapshot.auto]


def test_a_new_installation_has_the_catalogs_own_chain(desk: Desk) -> None:
    snapshot = desk.read().snapshot
    assert enabled(desk.read()) == [m.ref for m in load_catalog().models if m.enabled]
    assert len(snapshot.chain) == len(load_catalog().models)


def test_stored_keys_are_live_with_their_secret(desk: Desk) -> None:
    key = desk.keys.add("groq", "s3cret-of-mine", "main")
    configuration = desk.read()
    (live,) = configuration.snapshot.keys["groq"]
    assert (live.id, live.label, live.usable) == (str(key.id), "main", True)
    assert configuration.secret("groq", live.id) == "s3cret-of-mine"
    assert [c.key_id for c in configuration.snapshot.candidates[GROQ]] == [live.id]


def test_a_key_of_a_provider_nobody_knows_is_passed_over(desk: Desk) -> None:
    desk.keys.add("long-gone", "s3cret-of-mine")
    assert "long-gone" not in desk.read().snapshot.keys


def test_a_disabled_or_rejected_key_is_there_but_not_usable(desk: Desk) -> None:
    one, two = desk.keys.add("groq", "first-secret"), desk.keys.add("groq", "second-secret")
    desk.keys.set_enabled(one.id, False)
    desk.keys.set_status(two.id, "invalid", "401 from the provider")
    snapshot = desk.read().snapshot
    assert [(k.usable, k.reason) for k in snapshot.keys["groq"]] == [
        (False, "its key is disabled"),
        (False, "its key was rejected: 401 from the provider"),
    ]
    assert snapshot.candidates[GROQ] == ()


@pytest.mark.parametrize("status", ["healthy", "rate_limited", "error", "unchecked"])
def test_other_statuses_do_not_take_a_key_away(desk: Desk, status: str) -> None:
    key = desk.keys.add("groq", "s3cret-of-mine")
    desk.keys.set_status(key.id, status, "some reason")
    assert desk.read().snapshot.keys["groq"][0].usable


def test_a_removed_key_is_a_rejected_one(desk: Desk) -> None:
    with pytest.raises(UpstreamError, match="removed") as caught:
        desk.read().secret("groq", "12")
    assert caught.value.kind is ErrorKind.KEY_REJECTED


def test_a_key_sealed_by_another_hand_says_what_to_do(desk: Desk) -> None:
    key = desk.keys.add("groq", "s3cret-of-mine")
    with desk.database.begin() as connection:
        connection.execute(update(tables.provider_keys).values(sealed=b"tampered with"))
    with pytest.raises(UpstreamError, match="add it again") as caught:
        desk.read().secret("groq", str(key.id))
    assert caught.value.kind is ErrorKind.KEY_REJECTED


def test_a_provider_without_keys_is_used_anonymously(desk: Desk) -> None:
    configuration = desk.read(providers=(LAB,))
    (live,) = configuration.snapshot.keys["lab"]
    assert (live.id, live.usable) == (ANONYMOUS, True)
    assert configuration.secret("lab", ANONYMOUS) is None


def test_a_custom_provider_with_a_key_is_not_asked_without_it(desk: Desk) -> None:
    desk.keys.add("lab", "s3cret-of-mine")
    snapshot = desk.read(providers=({**LAB, "key": "s3cret-of-mine"},)).snapshot
    assert [k.id for k in snapshot.keys["lab"]] == ["1"]


def test_what_cannot_run_on_this_machine_is_there_with_its_reason(desk: Desk) -> None:
    snapshot = desk.read(without={"local": "xllamacpp is not installed"}).snapshot
    (live,) = snapshot.keys["local"]
    assert (live.usable, live.reason) == (False, "xllamacpp is not installed")


def test_the_file_names_keys_of_the_environment(desk: Desk) -> None:
    environ = {"MY_GROQ": "a", "GROQ_API_KEY": "b"}
    configuration = desk.read(environ, env_keys=(("groq", "MY_GROQ", "mine"),))
    keys = configuration.snapshot.keys["groq"]
    assert [(k.id, k.label) for k in keys] == [
        ("env:MY_GROQ", "mine"),
        ("env:GROQ_API_KEY", "GROQ_API_KEY"),
    ]
    assert [configuration.secret("groq", k.id) for k in keys] == ["a", "b"]


def test_a_variable_is_one_key_however_often_it_is_named(desk: Desk) -> None:
    named = (("groq", "GROQ_API_KEY", "main"),)
    snapshot = desk.read({"GROQ_API_KEY": "a"}, env_keys=named).snapshot
    assert [k.id for k in snapshot.keys["groq"]] == ["env:GROQ_API_KEY"]


def test_the_files_chain_leaves_all_others_off(desk: Desk) -> None:
    configuration = desk.read(providers=(LAB,), chain=("lab/tiny", GROQ, "nobody/nothing"))
    assert enabled(configuration) == ["lab/tiny", GROQ]


def test_a_stored_chain_outranks_the_files(desk: Desk) -> None:
    rest = [ChainRow(m.ref, False) for m in load_catalog().models if m.ref != GROQ]
    desk.config.put_chain([ChainRow(GROQ, True), *rest])
    assert enabled(desk.read(chain=("lab/tiny",))) == [GROQ]


def test_stored_settings_outrank_the_files(desk: Desk) -> None:
    desk.config.put_settings({"max_wait": 3})
    settings = desk.read(settings={"max_wait": 1, "patience": 1}).snapshot.settings
    assert (settings.max_wait, settings.patience) == (3, 1)


def test_caps_of_the_users_own_account(desk: Desk) -> None:
    limits = ({"provider": "lab", "model": "tiny", "rpm": 5, "tpd": 9},)
    snapshot = desk.read(providers=(LAB,), limits=limits).snapshot
    assert snapshot.catalog.by_ref["lab/tiny"].limits == Limits(rpm=5, tpd=9)


def test_another_base_url_for_a_provider(desk: Desk) -> None:
    urls = {"groq": "https://mirror.test/v1"}
    catalog = desk.read(base_url=urls.get).snapshot.catalog
    assert catalog.providers["groq"].base_url == "https://mirror.test/v1"
    assert not catalog.providers["groq"].local


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"settings": {"max_wait": "long"}}, "settings.max_wait"),
        ({"providers": ({"id": "broken", "base_url": 5},)}, "broken"),
        ({"providers": ({"id": "evil", "base_url": "ftp://x"},)}, "evil"),
        ({"limits": ({"provider": "nobody", "rpm": 1},)}, "nobody"),
        ({"base_url": {"groq": "not a url"}.get}, "groq"),
        ({"problems": ("keys[1] has no provider",)}, "keys[1]"),
    ],
    ids=["setting", "provider", "scheme", "limit", "base URL", "from the file"],
)
def test_a_bad_entry_is_named_and_the_rest_works(
    desk: Desk, given: dict[str, Any], words: str
) -> None:
    given["providers"] = (*given.get("providers", ()), LAB)
    configuration = desk.read(**given)
    (problem,) = configuration.problems
    assert words in problem
    assert "lab/tiny" in configuration.snapshot.catalog.by_ref


def test_a_write_is_seen_by_the_next_refresh_only(desk: Desk) -> None:
    configuration = desk.read()
    before = configuration.snapshot
    assert configuration.refresh() is False
    assert configuration.snapshot is before

    desk.keys.add("groq", "s3cret-of-mine")

    assert configuration.snapshot is before, "a snapshot never changes"
    assert configuration.refresh() is True
    assert "groq" in configuration.snapshot.keys
    assert "groq" not in before.keys
    assert configuration.refresh() is False


def test_client_tokens_are_known_by_digest(desk: Desk) -> None:
    desk.tokens.ensure()
    assert len(desk.read().clients) == 1


def test_a_problem_is_logged_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    configuration = desk.read(settings={"max_wait": "long"})
    desk.keys.add("groq", "s3cret-of-mine")
    configuration.refresh()
    assert sum("max_wait" in record.getMessage() for record in caplog.records) == 1
