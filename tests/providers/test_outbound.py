"""Which proxies are in force: the saved ones, else the environment's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from freellmapi.providers.origins import Proxies
from freellmapi.providers.outbound import UNREADABLE, OutboundProxies
from freellmapi.storage.db import Database
from freellmapi.storage.proxies import ProxyStore
from freellmapi.storage.tables import documents
from freellmapi.storage.vault import Vault
from tests.fakes import postgres

ENVIRONMENT = Proxies("http://env.lan:1", "http://env.lan:2")
SAVED = "http://me:s3cret@saved.lan:3"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(postgres.url_in(tmp_path))
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> ProxyStore:
    return ProxyStore(database, Vault(bytes(32)))


def ways(proxies: OutboundProxies) -> tuple[str | None, ...]:
    return tuple(proxies.for_origin(scheme, "api.example") for scheme in ("http", "https"))


def test_the_saved_ones_win_as_a_whole(store: ProxyStore) -> None:
    proxies = OutboundProxies(ENVIRONMENT, store)
    assert (ways(proxies), proxies.is_saved) == (("http://env.lan:1", "http://env.lan:2"), False)
    store.put({"http": None, "https": SAVED, "no_proxy": "a.example"})
    proxies.take(proxies.read())
    assert (ways(proxies), proxies.is_saved) == ((None, SAVED), True)
    assert proxies.for_origin("https", "x.a.example") is None
    assert proxies.for_origin("https", "127.0.0.1") is None
    assert "s3cret" not in repr(proxies.in_force)
    store.put({"http": None, "https": None, "no_proxy": ""})
    proxies.take(proxies.read())
    assert (ways(proxies), proxies.is_saved) == ((None, None), True)
    store.put(None)
    proxies.take(proxies.read())
    assert (ways(proxies), proxies.is_saved) == (("http://env.lan:1", "http://env.lan:2"), False)


def test_it_is_another_object_after_a_change_alone(store: ProxyStore) -> None:
    proxies = OutboundProxies(ENVIRONMENT, store)
    store.put({"http": None, "https": SAVED, "no_proxy": ""})
    proxies.take(proxies.read())
    before = proxies.in_force
    proxies.take(proxies.read())
    assert proxies.in_force is before
    proxies.take(None)
    assert proxies.in_force is not before


def test_what_cannot_be_read_lets_no_call_out(
    store: ProxyStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    store.put({"http": None, "https": SAVED, "no_proxy": ""})
    with database.begin() as connection:
        connection.execute(update(documents).values(document='"00"'))
    proxies = OutboundProxies(Proxies(), store)
    proxies.take(proxies.read())
    assert proxies.in_force is UNREADABLE
    assert all(way and ".invalid" in way for way in ways(proxies))
    assert "save it again" in caplog.text
