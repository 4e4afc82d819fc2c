"""Provider keys: kept sealed, found again, never twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from sqlalchemy import update

from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.keys import DuplicateKey, KeyStore
from freellmapi.storage.tables import provider_keys
from freellmapi.storage.vault import Vault, VaultError
from tests.fakes.clock import FrozenClock

SECRET = "gsk_0not0a0real0key0only0for0tests03fa9"


def test_a_key_comes_back_as_it_was_added(keys: KeyStore, clock: FrozenClock) -> None:
    added = keys.add("groq", SECRET, "mine", {"account": "7"})
    assert keys.get(added.id) == added
    assert keys.all() == (added,)
    assert keys.secret(added) == SECRET
    assert (added.provider, added.label, dict(added.extra)) == ("groq", "mine", {"account": "7"})
    assert (added.status, added.enabled, added.created_at) == ("unchecked", True, clock.now())
    assert added.mask == "gsk_••••3fa9"


def test_the_secret_shows_neither_in_the_row_nor_in_the_files(
    sqlite: Database, vault: Vault, clock: FrozenClock, tmp_path: Path
) -> None:
    added = KeyStore(sqlite, vault, clock).add("groq", SECRET)
    assert SECRET not in repr(added)
    files = list((tmp_path / "data").iterdir())
    assert "t.db-wal" in {file.name for file in files}
    assert any(added.mask.encode() in file.read_bytes() for file in files)
    assert not any(SECRET[4:-4].encode() in file.read_bytes() for file in files)


def test_the_same_key_twice_is_refused_naming_the_first(keys: KeyStore) -> None:
    first = keys.add("groq", SECRET)
    with pytest.raises(DuplicateKey) as caught:
        keys.add("groq", SECRET, "again")
    assert caught.value.existing == first
    assert keys.all() == (first,)


def test_another_provider_may_have_the_same_key(keys: KeyStore) -> None:
    assert keys.add("groq", SECRET).id != keys.add("other", SECRET).id


def test_a_removed_key_is_gone_and_its_id_is_not_given_again(keys: KeyStore) -> None:
    first = keys.add("groq", SECRET)
    assert keys.remove(first.id)
    assert not keys.remove(first.id)
    assert keys.get(first.id) is None
    assert keys.add("groq", SECRET).id > first.id


def test_sealed_values_swapped_between_rows_do_not_open(keys: KeyStore, database: Database) -> None:
    one, two = keys.add("groq", SECRET), keys.add("groq", SECRET + "-two")
    with database.begin() as connection:
        for row, sealed in ((one, two.sealed), (two, one.sealed)):
            connection.execute(
                update(provider_keys).where(provider_keys.c.id == row.id).values(sealed=sealed)
            )
    for key in keys.all():
        with pytest.raises(VaultError):
            keys.secret(key)


def test_a_sealed_value_does_not_open_for_another_provider(keys: KeyStore) -> None:
    moved = dataclasses.replace(keys.add("groq", SECRET), provider="evil")
    with pytest.raises(VaultError):
        keys.secret(moved)


def test_another_encryption_key_opens_nothing(
    keys: KeyStore, database: Database, clock: FrozenClock
) -> None:
    added = keys.add("groq", SECRET)
    with pytest.raises(VaultError):
        KeyStore(database, Vault(bytes(32)), clock).secret(added)


def test_a_check_is_noted_with_its_time(keys: KeyStore, clock: FrozenClock) -> None:
    id = keys.add("groq", SECRET).id
    clock.advance(60)
    assert keys.set_status(id, "invalid", "401 from the provider")
    key = keys.get(id)
    assert key
    assert (key.status, key.status_reason) == ("invalid", "401 from the provider")
    assert key.checked_at == clock.now()


def test_an_unknown_status_is_a_mistake(keys: KeyStore) -> None:
    with pytest.raises(ValueError, match="splendid"):
        keys.set_status(keys.add("groq", SECRET).id, "splendid")


def test_keys_that_are_not_there_are_told_apart(keys: KeyStore) -> None:
    assert not keys.set_enabled(7, False)
    assert not keys.set_status(7, "healthy")


def test_touch_notes_the_use_of_these_keys_only(keys: KeyStore) -> None:
    used, idle = keys.add("groq", SECRET), keys.add("groq", SECRET + "-two")
    keys.touch([used.id], 5.0)
    assert [key.last_used_at for key in keys.all()] == [5.0, idle.last_used_at]


def test_only_writes_that_matter_to_a_server_change_the_version(
    keys: KeyStore, config: ConfigStore, clock: FrozenClock
) -> None:
    seen = [config.version()]

    def changed() -> bool:
        seen.append(config.version())
        return seen[-1] != seen[-2]

    key = keys.add("groq", SECRET)
    assert changed()
    keys.touch([key.id], clock.now())
    assert not changed()
    keys.set_status(key.id, "healthy")
    assert changed()
    keys.set_status(key.id, "healthy", "again")
    assert not changed()
    keys.set_enabled(key.id, False)
    assert changed()
    with pytest.raises(DuplicateKey):
        keys.add("groq", SECRET)
    assert not changed()
    keys.remove(key.id)
    assert changed()
    keys.remove(key.id)
    assert not changed()


def test_a_key_is_found_by_its_secret_and_provider(keys: KeyStore) -> None:
    added = keys.add("groq", "gsk_one")
    assert keys.find("groq", "gsk_one") == added
    assert keys.find("groq", "gsk_two") is None
    assert keys.find("mistral", "gsk_one") is None


def test_any_text_may_be_a_label(keys: KeyStore) -> None:
    added = keys.add("groq", SECRET, "a\0b\x1f\ufffeÄ😀")
    stored = keys.get(added.id)
    assert stored is not None
    # PostgreSQL keeps all but the first of these.
    assert (
        stored.label.replace("\0", "\N{REPLACEMENT CHARACTER}")
        == "a\N{REPLACEMENT CHARACTER}b\x1f\ufffeÄ😀"
    )
