"""What only a server has: connections that are lost, and waiting that must not hold others up.

These run on a PostgreSQL whichever database the other tests run on.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from freellmapi.core.clock import SystemClock
from freellmapi.core.errors import SettingsError
from freellmapi.storage.db import Database, DatabaseUnavailable
from freellmapi.storage.postgres import MOST_IDLE
from freellmapi.storage.request_log import RequestLog
from tests.fakes.postgres import Cluster, is_installed, private
from tests.storage.rows import row

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs PostgreSQL's programs")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return private(tmp_path / "own")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database.open(url)
    yield database
    database.close()


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    """One that a test may stop."""
    cluster = Cluster()
    cluster.start()
    cluster.make_template()
    yield cluster
    cluster.remove()


@pytest.mark.parametrize("name", ["postgres", "postgresql", "postgresql+psycopg"])
def test_each_usual_way_to_write_the_address_is_good(url: str, name: str) -> None:
    database = Database.open(name + url.removeprefix("postgresql+psycopg"))
    database.check()
    database.close()


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("postgresql://me:hunter2@127.0.0.1:9/x", "start it"),
        ("postgresql+pg8000://me:hunter2@127.0.0.1/x", "postgresql\\+psycopg"),
        ("mysql://me:hunter2@127.0.0.1/x", "postgresql\\+psycopg"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence_without_the_password(
    address: str, remedy: str
) -> None:
    with pytest.raises(SettingsError, match=remedy) as caught:
        Database.open(address)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_is_not_there_is_named(own_cluster: Cluster) -> None:
    with pytest.raises(SettingsError, match="createdb"):
        Database.open(own_cluster.url("nowhere"))


def test_connections_are_kept_but_not_all(database: Database) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_IDLE + 3):
            connection = stack.enter_context(database.connect())
            assert connection.scalar(text("SELECT 1")) == 1
    assert database.engine.pool.status() == f"{MOST_IDLE} idle"


def test_one_writes_at_a_time(database: Database) -> None:
    def add() -> None:
        for _ in range(20):
            with database.begin() as connection:
                n = connection.scalar(text("SELECT count(*) FROM settings"))
                connection.execute(text("INSERT INTO settings VALUES (:n, '1')"), {"n": str(n)})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM settings")) == 80


# A process that is patched as gunicorn's worker is. The clock counts how often others ran.
PATCHED = """
from gevent import monkey; monkey.patch_all()
import sys
import gevent
from sqlalchemy import text
from freellmapi.background import off_hub
from freellmapi.core.clock import SystemClock
from freellmapi.storage.db import Database
from freellmapi.storage.request_log import RequestLog
from tests.storage.rows import row

database = Database.open(sys.argv[1])
log = RequestLog(database, SystemClock())
turns = 0

def others():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.01)

def slow():
    with database.connect() as connection:
        connection.execute(text("SELECT pg_sleep(1)"))

gevent.spawn(others)
for way in (slow, lambda: off_hub(slow)):
    turns = 0
    gevent.joinall([gevent.spawn(way) for _ in range(8)], raise_error=True)
    print(turns)
# The log waits for a lock on its own thread.
with database.connect() as connection:
    connection.execute(text("LOCK TABLE requests IN ACCESS EXCLUSIVE MODE"))
    appending = gevent.spawn(log.append, row(1))
    turns = 0
    gevent.sleep(1)
    print(turns)
    assert not appending.ready()
appending.get()
log.close()
database.close()
"""


def test_who_waits_for_the_server_holds_nobody_else_up(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PATCHED, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    turns = [int(line) for line in done.stdout.split()]
    # Held up, it would be one turn or two; a busy machine makes it fewer than a hundred.
    assert len(turns) == 3
    assert min(turns) >= 10


def test_a_restart_of_the_server_loses_no_row_and_no_reader(own_cluster: Cluster) -> None:
    database = Database.open(own_cluster.make("restarted"))
    log = RequestLog(database, SystemClock())
    log.append(row(1))
    database.check()
    own_cluster.stop()
    with pytest.raises(DatabaseUnavailable) as caught:
        database.check()
    assert "\n" not in str(caught.value)
    waiting = threading.Thread(target=log.append, args=(row(2),))
    waiting.start()
    own_cluster.start()
    waiting.join()
    log.append(row(3))
    assert [found.request_id for found in log.recent(10)] == ["req_3", "req_2", "req_1"]
    assert log.failures == 0
    log.close()
    database.close()
