"""Rows written on the hub: only where nobody has to wait, and nothing is lost where they do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from freellmapi.storage import row_writer
from freellmapi.storage.at_once import REST, SLOW
from freellmapi.storage.checkpoint import checkpoint
from freellmapi.storage.db import Database
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.row_writer import MOST_AT_ONCE
from tests.fakes.clock import FrozenClock
from tests.storage.rows import row

HERE = threading.get_ident()


@pytest.fixture
def requests(sqlite: Database, clock: FrozenClock) -> Iterator[RequestLog]:
    requests = RequestLog(sqlite, clock)
    yield requests
    requests.close()


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that have written rows, one for each transaction."""
    seen: list[int] = []
    add = row_writer._add

    def noted(*args: object) -> None:
        seen.append(threading.get_ident())
        add(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(row_writer, "_add", noted)
    return seen


def many(requests: RequestLog, first: int, n: int) -> None:
    callers = [gevent.spawn(requests.append, row(first + i)) for i in range(n)]
    gevent.joinall(callers, timeout=60, raise_error=True)


def ids(requests: RequestLog) -> list[str]:
    return sorted(one.request_id for one in requests.recent(1_000))


def test_a_few_rows_are_written_here_and_many_by_the_thread(
    requests: RequestLog, writers: list[int]
) -> None:
    many(requests, 100, MOST_AT_ONCE)
    assert writers == [HERE]
    many(requests, 200, MOST_AT_ONCE + 1)
    assert len(writers) == 2
    assert writers[1] != HERE
    assert len(ids(requests)) == 2 * MOST_AT_ONCE + 1


def test_nobody_waits_here_for_another_writer(
    requests: RequestLog, sqlite: Database, writers: list[int]
) -> None:
    with sqlite.begin():
        waiting = gevent.spawn(requests.append, row(1))
        turns = 0
        while turns < 20:
            gevent.sleep(0.005)
            turns += 1
        assert not waiting.ready()
    waiting.get(timeout=20)
    assert HERE not in writers
    requests.append(row(2))
    assert writers[-1] == HERE
    assert ids(requests) == ["req_1", "req_2"]


def test_a_disk_that_does_not_keep_up_is_left_to_the_thread_for_a_while(
    requests: RequestLog, clock: FrozenClock, writers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = row_writer._add

    def slow(*args: object) -> None:
        clock.sleep(2 * SLOW)
        noted(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(row_writer, "_add", slow)
        requests.append(row(1))
    requests.append(row(2))
    clock.sleep(2 * SLOW * REST)
    requests.append(row(3))
    assert [writer == HERE for writer in writers] == [True, False, True]
    assert ids(requests) == ["req_1", "req_2", "req_3"]


def test_what_fails_here_is_written_once_by_the_thread(
    requests: RequestLog, writers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = row_writer._add

    def failing(*args: object) -> None:
        noted(*args)  # type: ignore[arg-type]
        if threading.get_ident() == HERE:
            raise OverflowError("a value that cannot be stored, as far as is known here")

    with monkeypatch.context() as patch:
        patch.setattr(row_writer, "_add", failing)
        requests.append(row(1))
    assert [writer == HERE for writer in writers] == [True, False]
    assert ids(requests) == ["req_1"]
    assert (requests.is_away, requests.failures) == (False, 0)


def test_rows_queue_while_somebody_else_takes_a_while(
    requests: RequestLog, writers: list[int]
) -> None:
    with requests.paused():
        requests.append(row(1))
    requests.append(row(2))
    assert [writer == HERE for writer in writers] == [False, True]


def test_a_disk_that_each_commit_waits_for_is_never_waited_for_here(
    sqlite_url: str, clock: FrozenClock, writers: list[int]
) -> None:
    database = Database.open(sqlite_url, sync="full")
    database.migrate()
    requests = RequestLog(database, clock)
    for n in range(3):
        requests.append(row(n))
    assert writers
    assert HERE not in writers
    requests.close()
    database.close()


def test_the_log_of_writes_is_copied_as_a_whole_and_begins_anew(
    requests: RequestLog, sqlite: Database, sqlite_url: str
) -> None:
    file = Path(sqlite_url.removeprefix("sqlite:///") + "-wal")
    for n in range(300):
        requests.append(row(n))
    grown = file.stat().st_size
    checkpoint(sqlite)
    for n in range(300, 400):
        requests.append(row(n))
    # What came after has overwritten what was copied.
    assert file.stat().st_size == grown
    assert len(ids(requests)) == 400
