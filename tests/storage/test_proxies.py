"""The saved proxies: sealed as a whole, and followed by their version."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import insert, select, update

from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.proxies import ProxyStore, UnreadableProxies
from freellmapi.storage.rotation import finish, rotate
from freellmapi.storage.tables import documents
from freellmapi.storage.vault import Vault, VaultError, verify

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


def test_what_was_replaced_is_given_sealed_and_put_back(database: Database) -> None:
    store = store_in(database)
    assert store.put(SAVED) is None
    before = store.put(None)
    assert before is not None and b"s3cret" not in bytes.fromhex(before)
    versions = [ConfigStore(database).version()]
    store.put_back(before)
    assert store.get() == SAVED
    versions.append(ConfigStore(database).version())
    store.put_back(None)
    assert store.get() is None
    assert ConfigStore(database).version() > versions[1] > versions[0]


@pytest.mark.parametrize("before", ["", "no hex", "00ff"])
def test_what_does_not_open_is_not_put_back(database: Database, before: str) -> None:
    store = store_in(database)
    store.put(SAVED)
    with pytest.raises(UnreadableProxies):
        store.put_back(before)
    assert store.get() == SAVED


def test_what_was_replaced_before_another_key_comes_back_under_it(database: Database) -> None:
    running = store_in(database)
    running.put(SAVED)
    before = running.put(None)
    vault = Vault(OLD)
    verify(database, vault)
    rotate(database, vault, NEW)
    running.put_back(before)
    finish(database)
    assert store_in(database, NEW).get() == SAVED


def test_what_an_import_has_replaced_is_sealed_anew_too(database: Database) -> None:
    store, config = store_in(database), ConfigStore(database)
    store.put(SAVED)
    before = store.put(None)
    records = [{"setting": "max_wait", "before": 3}, {"proxy": before}, {"proxy": None}]
    config.put_last_import({"at": 1.0, "what": ["x"], "records": records})
    vault = Vault(OLD)
    verify(database, vault)
    rotate(database, vault, NEW)
    finish(database)
    kept = config.last_import()
    assert kept is not None and (kept["at"], kept["what"]) == (1.0, ["x"])
    first, second, third = kept["records"]
    assert (first, third) == (records[0], records[2])
    started = store_in(database, NEW)
    started.put_back(second["proxy"])
    assert started.get() == SAVED
    with pytest.raises(VaultError):
        Vault(OLD).open(bytes.fromhex(second["proxy"]), "document:proxies")


@pytest.mark.parametrize("document", ["{", "null", "{}", '{"records": [{"proxy": "00ff"}]}'])
def test_a_damaged_import_keeps_no_secret_from_a_new_key(database: Database, document: str) -> None:
    store_in(database).put(SAVED)
    with database.begin() as connection:
        connection.execute(insert(documents).values(name="last_import", document=document))
    vault = Vault(OLD)
    verify(database, vault)
    rotate(database, vault, NEW)
    assert store_in(database, NEW).get() == SAVED
    with database.connect() as connection:
        kept = select(documents.c.document).where(documents.c.name == "last_import")
        assert connection.scalar(kept) == document
