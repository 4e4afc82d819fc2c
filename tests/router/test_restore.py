"""The ledger after a restart: what the log knows is counted, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from freellmapi.core.errors import DAY, ErrorKind
from freellmapi.core.limits import Limits, Usage
from freellmapi.core.route import Attempt
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.restore import restore
from freellmapi.storage.db import Database
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.request_log import RequestLog
from tests.fakes.clock import FrozenClock
from tests.router.conftest import model, provider, snapshot

NOW = 1_790_000_000.0
CAPS = Limits(rpm=100, rpd=100, tpm=10_000, tpd=10_000, requests_per_month=1_000)
WORLD = snapshot(
    model("alpha", limits=CAPS),
    model("alpha", "n", limits=CAPS),
    providers=[provider("alpha", account_limits=Limits(rpd=50))],
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RequestLog]:
    database = Database.open(f"sqlite:///{tmp_path}/t.db")
    database.migrate()
    log = RequestLog(database, FrozenClock())
    yield log
    log.close()
    database.close()


def call(
    seconds_ago: float, tokens: int = 100, model: str = "m", key: str = "1", spent: bool = True
) -> Attempt:
    error = None if spent else ErrorKind.RATE_LIMITED
    usage = Usage(tokens, 0) if spent else None
    return Attempt(
        "alpha", model, key, NOW - seconds_ago, 1.0, error, 200, usage=usage, spent=spent
    )


def write(log: RequestLog, *attempts: Attempt) -> None:
    for attempt in attempts:
        at = attempt.started_at
        log.append(
            LoggedRequest(
                *("req", at, None, "auto", False, 200, None, "alpha", "m", "1", 1, 1, True, 1.0),
                None,
                (attempt,),
            )
        )


def used(log: RequestLog, model: str = "m") -> tuple[list[int], list[int]]:
    """Requests and tokens counted after a restart, window by window."""
    ledger = MemoryLedger()
    restore(ledger, WORLD, log, NOW)
    (candidate,) = WORLD.candidates[f"alpha/{model}"]
    left = ledger.headroom(candidate.buckets, NOW)
    return [w.cap - w.left for w in left.requests], [w.cap - w.left for w in left.tokens]


def test_each_window_knows_its_own(log: RequestLog) -> None:
    # NOW is 14:13 UTC on the 21st: the day began 51,200 s ago, the month 20 days before that.
    write(log, call(18 * DAY), call(2 * DAY), call(3_600), call(30), call(2))
    assert used(log) == ([2, 3, 5, 3], [200, 300])


def test_calls_that_cost_nothing_are_not_counted(log: RequestLog) -> None:
    write(log, call(20, spent=False), call(10))
    assert used(log) == ([1, 1, 1, 1], [100, 100])


def test_an_account_counts_all_of_its_models(log: RequestLog) -> None:
    write(log, call(20), call(10, model="n"))
    assert used(log)[0] == [1, 1, 1, 2]
    assert used(log, "n")[0] == [1, 1, 1, 2]


def test_keys_and_models_that_are_gone_are_passed_over(log: RequestLog) -> None:
    write(log, call(20, key="gone"), call(10, model="gone"))
    assert used(log) == ([0, 0, 0, 0], [0, 0])


def test_an_empty_log_restores_nothing(log: RequestLog) -> None:
    assert used(log) == ([0, 0, 0, 0], [0, 0])
