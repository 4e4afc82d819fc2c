"""The request log: what was acknowledged is there, whatever happens next."""

from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.pool import NullPool

from freellmapi.core.route import Attempt
from freellmapi.storage import tables
from freellmapi.storage.db import Database
from freellmapi.storage.folding import fold
from freellmapi.storage.request_log import (
    LoggedRequest,
    LogWriteError,
    RequestLog,
    UsageRow,
)
from freellmapi.storage.rollups import HOUR, Rollups
from freellmapi.storage.row_writer import MAX_KEPT, PATIENCE
from tests.fakes.clock import FrozenClock
from tests.storage.rows import ANSWERED, FAILED, NOW, REFUSED, ROW, row

ROOT = Path(__file__).parents[2]


@pytest.fixture
def requests(database: Database, clock: FrozenClock) -> Iterator[RequestLog]:
    requests = RequestLog(database, clock)
    yield requests
    requests.close()


@pytest.mark.parametrize("logged", [ROW, FAILED], ids=["answered", "failed"])
def test_a_row_comes_back_as_it_was_appended(requests: RequestLog, logged: LoggedRequest) -> None:
    requests.append(logged)
    (found,) = requests.recent(10)
    assert replace(found, id=None) == logged
    assert requests.find("req_1") == found
    assert requests.find("req_2") is None


def test_any_model_that_was_asked_for_is_logged(requests: RequestLog) -> None:
    requests.append(replace(ROW, model="a\0b"))
    (found,) = requests.recent(10)
    assert found.model in ("a\0b", "a\N{REPLACEMENT CHARACTER}b")
    assert requests.failures == 0


def test_a_row_is_committed_when_append_returns(requests: RequestLog, url: str) -> None:
    requests.append(ROW)
    other = Database.open(url)
    assert [found.request_id for found in RequestLog(other, FrozenClock()).recent(10)] == ["req_1"]
    other.close()


def test_recent_is_newest_first_and_pages_by_row_id(requests: RequestLog) -> None:
    for n in range(5):
        requests.append(row(n))
    first = requests.recent(2)
    rest = requests.recent(10, before_id=first[-1].id)
    assert [found.request_id for found in (*first, *rest)] == [f"req_{n}" for n in (4, 3, 2, 1, 0)]
    assert all(found.attempts == ROW.attempts for found in (*first, *rest))


def test_200_greenlets_share_far_fewer_transactions_than_rows(requests: RequestLog) -> None:
    def append(caller: int) -> None:
        for n in range(5):
            requests.append(row(f"{caller}_{n}"))

    callers = [gevent.spawn(append, caller) for caller in range(200)]
    gevent.joinall(callers, timeout=60, raise_error=True)
    found = {logged.request_id for logged in requests.recent(2_000)}
    assert found == {f"req_{caller}_{n}" for caller in range(200) for n in range(5)}
    assert requests.transactions <= 50


def test_two_logs_on_one_file_take_turns(
    requests: RequestLog, url: str, clock: FrozenClock
) -> None:
    other = Database.open(url)
    second = RequestLog(other, clock)
    for n in range(10):
        (requests, second)[n % 2].append(row(n))
    assert [found.id for found in requests.recent(20)] == list(range(10, 0, -1))
    second.close()
    other.close()


class MendingClock(FrozenClock):
    """Repairs something the second time that somebody waits."""

    def __init__(self, mend: Callable[[], None]) -> None:
        super().__init__()
        self._mend = mend
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.waits.append(seconds)
        if len(self.waits) == 2:
            self._mend()


def _run(database: Database, statement: str) -> None:
    with database.begin() as connection:
        connection.execute(text(statement))


def test_a_fault_that_passes_is_waited_out(sqlite: Database) -> None:
    database = sqlite
    clock = MendingClock(lambda: _run(database, "ALTER TABLE away RENAME TO attempts"))
    requests = RequestLog(database, clock)
    _run(database, "ALTER TABLE attempts RENAME TO away")
    requests.append(ROW)
    assert clock.waits == [0.05, 0.2]
    assert len(requests.recent(10)) == 1
    assert requests.failures == 0
    requests.close()


class _LosesAnAnswer(sqlite3.Connection):
    """Commits, and dies before it can say so, as a server may; once."""

    lost = False

    def commit(self) -> None:
        super().commit()
        if not self.lost:
            type(self).lost = True
            raise sqlite3.OperationalError("the server is gone")


def test_a_row_whose_commit_was_never_confirmed_is_not_written_twice(
    sqlite: Database, sqlite_url: str, clock: FrozenClock
) -> None:
    options = {"factory": _LosesAnAnswer, "check_same_thread": False, "isolation_level": None}
    engine = create_engine(sqlite_url, poolclass=NullPool, connect_args=options)
    requests = RequestLog(Database(engine), clock)
    for n in range(3):
        requests.append(row(n))
    requests.close()
    assert _LosesAnAnswer.lost
    found = RequestLog(sqlite, clock).recent(10)
    assert [one.request_id for one in found] == ["req_2", "req_1", "req_0"]
    counted = Rollups(sqlite).counted(NOW - HOUR, NOW + HOUR, ["groq"])
    assert sum(one.requests for one in counted) == 3


def test_a_fault_that_stays_is_told_to_all_and_logged_once(
    sqlite: Database, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    database, requests = sqlite, RequestLog(sqlite, clock)
    _run(database, "ALTER TABLE attempts RENAME TO away")

    def refused(n: int) -> str:
        with pytest.raises(LogWriteError) as caught:
            requests.append(row(n))
        return str(caught.value)

    callers = [gevent.spawn(refused, n) for n in range(20)]
    gevent.joinall(callers, timeout=60, raise_error=True)
    (said,) = {caller.value for caller in callers}
    assert said.startswith("the request log cannot be written: ")
    assert "attempts" in said
    assert "\n" not in said
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert (requests.kept, requests.failures) == (20, 0)
    requests.close()


def test_what_was_refused_is_written_once_the_fault_is_over(
    sqlite: Database, clock: FrozenClock
) -> None:
    requests = RequestLog(sqlite, clock)
    _run(sqlite, "ALTER TABLE attempts RENAME TO away")
    for n in range(3):
        with pytest.raises(LogWriteError):
            requests.append(row(n))
    requests.flush()
    assert (requests.is_away, requests.kept) == (True, 3)
    _run(sqlite, "ALTER TABLE away RENAME TO attempts")
    requests.flush()
    assert (requests.is_away, requests.kept, requests.failures) == (False, 0, 0)
    requests.append(row(3))
    assert [one.request_id for one in requests.recent(10)] == ["req_3", "req_2", "req_1", "req_0"]
    requests.close()


def test_a_close_writes_what_was_kept(sqlite: Database, clock: FrozenClock) -> None:
    requests = RequestLog(sqlite, clock)
    _run(sqlite, "ALTER TABLE attempts RENAME TO away")
    with pytest.raises(LogWriteError):
        requests.append(ROW)
    _run(sqlite, "ALTER TABLE away RENAME TO attempts")
    requests.close()
    assert len(requests.recent(10)) == 1


def test_nobody_waits_for_a_database_that_is_known_to_refuse(
    sqlite: Database, clock: FrozenClock
) -> None:
    requests = RequestLog(sqlite, clock)
    _run(sqlite, "ALTER TABLE attempts RENAME TO away")
    for n in range(50):
        with pytest.raises(LogWriteError):
            requests.append(row(n))
    assert clock.monotonic() - FrozenClock().monotonic() <= PATIENCE
    requests.close()


def test_more_than_memory_holds_is_lost_and_counted(sqlite: Database, clock: FrozenClock) -> None:
    requests = RequestLog(sqlite, clock)
    _run(sqlite, "ALTER TABLE attempts RENAME TO away")
    for n in range(MAX_KEPT + 3):
        with pytest.raises(LogWriteError):
            requests.append(row(n))
    assert (requests.kept, requests.failures) == (MAX_KEPT, 3)
    requests.close()


def test_a_closed_log_refuses(requests: RequestLog) -> None:
    requests.append(ROW)
    requests.close()
    with pytest.raises(LogWriteError, match="closed"):
        requests.append(ROW)


@pytest.mark.parametrize(
    "bad", [row("bad", model="\ud800"), row("bad", prompt_tokens=2**70)], ids=["text", "integer"]
)
def test_a_row_that_cannot_be_stored_does_not_take_others_along(
    requests: RequestLog, bad: LoggedRequest
) -> None:
    callers = [gevent.spawn(requests.append, r) for r in (row(1), bad, row(2))]
    gevent.joinall(callers, timeout=60)
    assert [type(caller.exception) for caller in callers] == [
        type(None),
        LogWriteError,
        type(None),
    ]
    assert {found.request_id for found in requests.recent(10)} == {"req_1", "req_2"}
    assert requests.failures == 1


def test_usage_is_what_providers_counted_second_by_second(requests: RequestLog) -> None:
    def at(seconds: float, **changes: Any) -> Attempt:
        return replace(ANSWERED, started_at=NOW + seconds, **changes)

    old = row(1, attempts=(at(-10),))
    requests.append(replace(old, at=NOW - 10))
    requests.append(row(2, attempts=(REFUSED, at(0.1), at(0.9), at(0.9, key_id="2"))))
    requests.append(row(3, attempts=(at(1.0, usage=None),)))
    second = int(NOW)
    assert sorted(requests.usage_since(NOW), key=lambda u: (u.at, u.key_id)) == [
        UsageRow(second, "groq", "llama", "1", 2, 300),
        UsageRow(second, "groq", "llama", "2", 1, 150),
        UsageRow(second + 1, "groq", "llama", "1", 1, 0),
    ]
    assert len(list(requests.usage_since(NOW - 60))) == 4


def test_prune_deletes_what_is_older_with_its_attempts(
    requests: RequestLog, database: Database
) -> None:
    callers = [gevent.spawn(requests.append, row(n, at=NOW + (n % 4 == 0))) for n in range(1_500)]
    gevent.joinall(callers, timeout=60, raise_error=True)
    fold(database, NOW)
    assert requests.prune(NOW + 1) == 1_125
    assert requests.prune(NOW + 1) == 0
    assert len(requests.recent(2_000)) == 375
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.attempts)) == 750


# A process under load, patched as gunicorn's worker is, that says which rows were acknowledged.
LOAD = """
from gevent import monkey; monkey.patch_all()
import os, sys
import gevent
from freellmapi.core.clock import SystemClock
from freellmapi.storage.db import Database
from freellmapi.storage.request_log import RequestLog
from tests.storage.rows import row

database = Database.open(sys.argv[1])
database.migrate()
requests = RequestLog(database, SystemClock())

def append(caller):
    for n in range(int(sys.argv[2])):
        requests.append(row(f"{caller}_{n}"))
        os.write(1, f"req_{caller}_{n}\\n".encode())

gevent.joinall([gevent.spawn(append, caller) for caller in range(20)], raise_error=True)
requests.close()
"""


def _load(url: str, rows: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", LOAD, url, str(rows)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_patched_process_appends_and_ends_by_itself(url: str) -> None:
    process = _load(url, 20)
    acknowledged = process.communicate(timeout=60)[0].split()
    assert process.returncode == 0
    assert set(acknowledged) == {f"req_{caller}_{n}" for caller in range(20) for n in range(20)}


def test_kill_9_under_load_loses_no_acknowledged_row(url: str, clock: FrozenClock) -> None:
    process = _load(url, 1_000_000)
    assert process.stdout
    acknowledged = [process.stdout.readline() for _ in range(500)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.readlines()
    process.stdout.close()
    assert process.wait(timeout=60) == -signal.SIGKILL
    database = Database.open(url)
    found = {logged.request_id for logged in RequestLog(database, clock).recent(1_000_000)}
    whole = {line.strip() for line in acknowledged if line.endswith("\n")}
    assert len(whole) >= 500
    assert whole <= found
    with database.connect() as connection:
        if database.is_sqlite:
            assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
    fold(database, clock.now())
    with database.connect() as connection:
        served = select(func.sum(tables.tallies.c.requests)).where(
            tables.tallies.c.dimension == "client"
        )
        assert connection.scalar(served) == len(found)
    database.close()
