"""One of several processes leads, and another takes over when it is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from freellmapi.core.clock import SystemClock
from freellmapi.storage.db import Database, DatabaseUnavailable
from freellmapi.storage.lease import Alone, Lease
from tests.fakes.clock import FrozenClock

ROOT = Path(__file__).parents[2]

Make = Callable[..., Lease]


@pytest.fixture
def make(database: Database, clock: FrozenClock) -> Make:
    def make(holder: str, clock: FrozenClock = clock) -> Lease:
        return Lease(database, clock, "jobs", holder, seconds=10)

    return make


def test_the_first_has_it_and_keeps_it_by_renewing(make: Make, clock: FrozenClock) -> None:
    first, second = make("a"), make("b")
    assert not first.held
    for _ in range(5):
        assert (first.renew(), second.renew()) == (True, False)
        assert (first.held, second.held) == (True, False)
        clock.advance(8)


def test_it_ends_by_itself_for_who_does_not_renew(make: Make, clock: FrozenClock) -> None:
    first = make("a")
    first.renew()
    clock.advance(10)
    assert not first.held


def test_another_takes_over_only_when_it_has_stood_still_for_the_whole_time(
    make: Make, clock: FrozenClock
) -> None:
    first, second = make("a"), make("b")
    first.renew()
    clock.advance(9)
    assert not second.renew()  # Seen here for the first time.
    clock.advance(10)
    assert not second.renew()
    clock.advance(0.5)
    assert not first.held
    assert second.renew()
    assert not first.renew()


def test_clocks_of_two_machines_may_differ(make: Make, clock: FrozenClock) -> None:
    ahead = FrozenClock()
    ahead.advance(86_400)
    first, second = make("a"), make("b", ahead)
    assert (first.renew(), second.renew()) == (True, False)
    assert (first.renew(), first.held) == (True, True)


def test_who_stops_leaves_it_to_the_next_at_once(make: Make) -> None:
    first, second = make("a"), make("b")
    first.renew()
    second.release()
    assert not second.renew()
    first.release()
    assert not first.held
    assert second.renew()


def test_without_a_database_it_runs_on_to_its_end(
    make: Make, database: Database, clock: FrozenClock
) -> None:
    first = make("a")
    first.renew()
    with database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE leases")
    with pytest.raises(DatabaseUnavailable, match="leases"):
        first.renew()
    assert first.held
    clock.advance(10)
    assert not first.held


def test_who_is_alone_leads() -> None:
    assert Alone().renew()
    assert Alone().held


HOLD = """
import sys
from freellmapi.core.clock import SystemClock
from freellmapi.storage.db import Database
from freellmapi.storage.lease import Lease
lease = Lease(Database.open(sys.argv[1]), SystemClock(), "jobs", "first", seconds=1)
while True:
    print(lease.renew(), flush=True)
    SystemClock().sleep(0.1)
"""


def test_kill_9_of_the_leader_leaves_it_to_another_process(url: str, database: Database) -> None:
    leader = subprocess.Popen(
        [sys.executable, "-c", HOLD, url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert leader.stdout
    assert leader.stdout.readline() == "True\n"
    clock = SystemClock()
    other = Lease(database, clock, "jobs", "second", seconds=10)
    assert not other.renew()
    leader.send_signal(signal.SIGKILL)
    leader.communicate()
    impatient = Lease(database, clock, "jobs", "third", seconds=1)
    give_up = clock.monotonic() + 60
    while not impatient.renew():
        assert clock.monotonic() < give_up
        clock.sleep(0.05)
    assert not other.renew()
