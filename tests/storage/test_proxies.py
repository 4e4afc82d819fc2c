"""The saved proxies: sealed as a whole, and followed by their version."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select, update

from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.proxies import ProxyStore, UnreadableProxies
from freellmapi.storage.rotation import finish, rotate
from freellmapi.storage.tables import documents
from freellmapi.storage.vault import Vault, verify

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
SAVED = {"http": None, "https": "http://me:s3cret@proxy.lan:3128", "no_proxy": "a.example"}


def store_in(database: Database, key: bytes = OLD) -> ProxyStore:
    vault = Vault(key)
    verify(database, vault)
    return ProxyStore(database, vault)


def test_what_is_saved_is_read_until_it_is_removed(database: Database) -> None:
    store, config = store_in(database), ConfigStore(database)
    versions = [config.version()]
    assert store.get() is None
    for values in (SAVED, SAVED | {"no_proxy": ""}, None):
        store.put(values)
        assert store.get() == values
        versions.append(config.version())
    assert len(set(versions)) == 4


def test_nothing_of_it_is_written_in_the_clear(database: Database) -> None:
    store_in(database).put(SAVED)
    with database.connect() as connection:
        (row,) = connection.execute(select(documents))
    assert "proxy.lan" not in row.document and "s3cret" not in row.document
    sealed = bytes.fromhex(json.loads(row.document))
    assert b"proxy.lan" not in sealed and b"s3cret" not in sealed


@pytest.mark.parametrize("document", ['"00ff"', '"no hex"', "{", '{"http": null}'])
def test_what_was_damaged_is_not_taken_for_nothing(database: Database, document: str) -> None:
    store = store_in(database)
    store.put(SAVED)
    with database.begin() as connection:
        connection.execute(update(documents).values(document=document))
    with pytest.raises(UnreadableProxies):
        store.get()
    store.put(SAVED)
    assert store.get() == SAVED


def test_it_outlives_another_encryption_key(database: Database) -> None:
    running = store_in(database)
    running.put(SAVED)
    vault = Vault(OLD)
    verify(database, vault)
    rotate(database, vault, NEW)
    assert running.get() == SAVED, "a server that runs takes the new key over"
    finish(database)
    assert running.get() == SAVED
    assert store_in(database, NEW).get() == SAVED
    running.put(SAVED | {"no_proxy": "later"})
    assert store_in(database, NEW).get() == SAVED | {"no_proxy": "later"}


def test_a_damaged_one_keeps_no_other_secret_from_a_new_key(database: Database) -> None:
    store_in(database).put(SAVED)
    with database.begin() as connection:
        connection.execute(update(documents).values(document='"00ff"'))
    vault = Vault(OLD)
    verify(database, vault)
    rotate(database, vault, NEW)
    with pytest.raises(UnreadableProxies):
        store_in(database, NEW).get()
