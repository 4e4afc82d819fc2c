"""Which proxies are in force: the saved ones, else the environment's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from freellmapi.providers.origins import Proxies
from freellmapi.providers.outbound import UNREADABLE, WRONG_FILE, OutboundProxies, of_file
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


def unset(_variable: str) -> None:
    """No variable is set."""


FILE = {"https_proxy": "me:s3cret@file.lan:4", "no_proxy": "a.example b.example"}
OF_FILE = Proxies(None, "http://me:s3cret@file.lan:4", "a.example,b.example")


def test_those_of_the_file_stand_between_the_saved_and_the_environments(
    store: ProxyStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    proxies = OutboundProxies(ENVIRONMENT, store)
    assert of_file(FILE, unset) == (OF_FILE, ())
    proxies.take(None, OF_FILE)
    assert proxies.in_force == OF_FILE
    store.put({"http": None, "https": SAVED, "no_proxy": ""})
    proxies.take(proxies.read(), OF_FILE)
    assert ways(proxies) == (None, SAVED)
    proxies.take(None, Proxies())
    assert ways(proxies) == (None, None), "an empty [network] is no proxy"
    proxies.take(None, None)
    assert proxies.in_force is ENVIRONMENT
    assert "from=configuration file" in caplog.text and "from=environment" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_field_of_the_file_may_name_a_variable() -> None:
    environ = {"WAY_OUT": "http://me:s3cret@env.lan:5", "INSIDE": "a.example"}
    table = {"http_proxy": "env:WAY_OUT", "no_proxy": " env: INSIDE "}
    found = Proxies("http://me:s3cret@env.lan:5", None, "a.example")
    assert of_file(table, environ.get) == (found, ())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"https_proxy": "env:NOWHERE"}, "network.https_proxy: NOWHERE is not set."),
        ({"https_proxy": "socks5://me:hush@a"}, "network.https_proxy: This must begin with http"),
        ({"http_proxy": "http://me:hush@a:port"}, "network.http_proxy: Write host and port"),
        ({"http_proxy": "http://me:••••@a:1"}, "network.http_proxy: Type the password again"),
        ({"https_proxy": 3}, "network.https_proxy: This is no text."),
        ({"no_proxy": "10.0.0.0/8"}, "network.no_proxy: 10.0.0.0/8 is no host"),
        ({"htps_proxy": "http://me:hush@a:1"}, "network.htps_proxy: There is no such field"),
    ],
)
def test_what_is_wrong_in_the_file_lets_no_call_out(table: dict[str, object], said: str) -> None:
    proxies, problems = of_file(table, unset)
    assert proxies is WRONG_FILE
    assert proxies.for_origin("https", "api.example") == proxies.for_origin("http", "b.example")
    assert ".invalid:" in str(proxies.https)
    assert len(problems) == 1 and problems[0].startswith(said)
    assert "hush" not in problems[0] and "no call goes out" in problems[0]
