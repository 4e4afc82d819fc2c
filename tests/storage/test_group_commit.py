"""Writing together: who waits for what, and that nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import gevent
import pytest

from freellmapi.storage.group_commit import Closed, GroupCommit

TIMEOUT = 20.0


class Journal:
    """Writes to memory; a batch with ``gate`` in it waits until the gate is opened."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = -1
        self.entered = threading.Event()
        self.opened = threading.Event()

    def write(self, items: Sequence[int]) -> Mapping[int, Exception]:
        if self.gate in items:
            self.entered.set()
            assert self.opened.wait(TIMEOUT)
        if 666 in items:
            raise RuntimeError("the one that is refused")
        self.batches.append(list(items))
        return {n: ValueError(str(item)) for n, item in enumerate(items) if item < 0}


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def group(journal: Journal) -> GroupCommit[int]:
    return GroupCommit(journal.write)


def test_an_item_is_written_when_add_returns(group: GroupCommit[int], journal: Journal) -> None:
    assert group.add(1) is None
    assert group.add(2) is None
    assert journal.batches == [[1], [2]]


def test_what_gathers_during_a_write_goes_into_one(
    group: GroupCommit[int], journal: Journal
) -> None:
    journal.gate = 0
    first = gevent.spawn(group.add, 0)
    with gevent.Timeout(TIMEOUT):
        while not journal.entered.is_set():
            gevent.sleep(0.001)
    others = [gevent.spawn(group.add, n) for n in range(1, 51)]
    gevent.sleep(0)
    assert not any(other.ready() for other in others)
    journal.opened.set()
    gevent.joinall([first, *others], timeout=TIMEOUT, raise_error=True)
    assert journal.batches == [[0], list(range(1, 51))]


def test_all_who_can_run_now_share_the_first_write(
    group: GroupCommit[int], journal: Journal
) -> None:
    callers = [gevent.spawn(group.add, n) for n in range(20)]
    gevent.joinall(callers, timeout=TIMEOUT, raise_error=True)
    assert journal.batches == [list(range(20))]


def test_each_caller_gets_its_own_error(group: GroupCommit[int]) -> None:
    callers = [gevent.spawn(group.add, n) for n in (1, -2, 3)]
    gevent.joinall(callers, timeout=TIMEOUT, raise_error=True)
    assert [caller.value and str(caller.value) for caller in callers] == [None, "-2", None]


def test_a_write_that_raises_fails_its_batch_and_not_the_next(group: GroupCommit[int]) -> None:
    assert isinstance(group.add(666), RuntimeError)
    assert group.add(667) is None


def from_threads(group: GroupCommit[int]) -> list[int]:
    """Adds from eight threads at once; what they have added, in order."""
    threads = [
        threading.Thread(target=lambda start: [group.add(start + n) for n in range(50)], args=(s,))
        for s in range(100, 900, 100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    return [s + n for s in range(100, 900, 100) for n in range(50)]


def test_plain_threads_share_it_too(group: GroupCommit[int], journal: Journal) -> None:
    added = from_threads(group)
    written = sorted(item for batch in journal.batches for item in batch)
    assert written == added


def test_a_caller_that_is_killed_leaves_the_others_be(
    group: GroupCommit[int], journal: Journal
) -> None:
    journal.gate = 0
    first, killed, last = (gevent.spawn(group.add, n) for n in range(3))
    gevent.sleep(0)
    killed.kill()
    journal.opened.set()
    gevent.joinall([first, last], timeout=TIMEOUT, raise_error=True)
    assert sorted(item for batch in journal.batches for item in batch) == [0, 1, 2]


def test_close_waits_for_what_was_added_and_then_refuses(
    group: GroupCommit[int], journal: Journal
) -> None:
    callers = [gevent.spawn(group.add, n) for n in range(20)]
    gevent.sleep(0)
    group.close()
    assert sum(len(batch) for batch in journal.batches) == 20
    gevent.joinall(callers, timeout=TIMEOUT, raise_error=True)
    with pytest.raises(Closed):
        group.add(1)
    group.close()


def test_close_of_one_never_used_returns(group: GroupCommit[int]) -> None:
    group.close()


def test_who_writes_at_once_needs_no_thread(journal: Journal) -> None:
    here: list[list[int]] = []

    def at_once(items: Sequence[int]) -> bool:
        if 13 in items:
            raise RuntimeError("neither written nor refused")
        if min(items) >= 0:
            here.append(list(items))
        return min(items) >= 0

    group = GroupCommit(journal.write, at_once)
    assert group.add(1) is None
    callers = [gevent.spawn(group.add, n) for n in (2, 3)]
    gevent.joinall(callers, timeout=TIMEOUT, raise_error=True)
    assert (here, journal.batches) == ([[1], [2, 3]], [])
    # What is refused goes to the thread, and what is raised to the callers.
    assert str(group.add(-4)) == "-4"
    assert journal.batches == [[-4]]
    assert isinstance(group.add(13), RuntimeError)
    assert group.add(5) is None
    assert here[-1] == [5]
    group.close()
    with pytest.raises(Closed):
        group.add(6)


def test_many_threads_may_write_at_once(journal: Journal) -> None:
    here: list[int] = []

    def at_once(items: Sequence[int]) -> bool:
        assert inside.acquire(blocking=False)
        here.extend(items)
        inside.release()
        return True

    inside = threading.Lock()
    group = GroupCommit(journal.write, at_once)
    added = from_threads(group)
    written = sorted([*here, *(item for batch in journal.batches for item in batch)])
    assert written == added
    group.close()
