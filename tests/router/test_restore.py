"""A ledger that comes back knows what the one before it knew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Limits, Usage
from freellmapi.core.route import Attempt, Candidate
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.restore import restore
from freellmapi.router.snapshot import LiveKey, Snapshot
from freellmapi.storage.db import Database
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.rollups import Rollups
from tests.fakes import postgres
from tests.fakes.clock import FrozenClock
from tests.router.conftest import model, provider, snapshot

PACIFIC = "America/Los_Angeles"
ALL = Limits(100, 100, 10_000, 10_000, 100, 10_000)
WORLD = snapshot(
    model("alpha", limits=ALL),
    model("alpha", "n", limits=ALL),
    model("west", limits=ALL),
    providers=[
        provider("alpha", account_limits=Limits(rpd=100)),
        provider("west", reset_zone=PACIFIC),
    ],
    keys=[LiveKey("1", "alpha"), LiveKey("2", "alpha"), LiveKey("1", "west")],
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(postgres.url_in(tmp_path))
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def log(database: Database) -> Iterator[RequestLog]:
    log = RequestLog(database, FrozenClock())
    yield log
    log.close()


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def the(ref: str, key: str = "1", of: Snapshot = WORLD) -> Candidate:
    return next(c for c in of.candidates[ref] if c.key_id == key)


def tried(
    log: RequestLog,
    when: float,
    who: Candidate,
    tokens: int = 10,
    *,
    spent: bool = True,
    error: ErrorKind | None = None,
) -> None:
    usage = Usage(tokens, 0) if spent else None
    attempt = Attempt(
        who.provider.id, who.model.id, who.key_id, when, 1.0, error, usage=usage, spent=spent
    )
    log.append(
        LoggedRequest(
            request_id="req",
            at=when,
            token_id=None,
            model="auto",
            stream=False,
            status=200 if error is None else 502,
            error=error.value if error else None,
            provider=None if error else who.provider.id,
            served_model=None if error else who.model.id,
            key_id=None if error else who.key_id,
            prompt_tokens=0 if error else tokens,
            completion_tokens=0,
            exact=True,
            duration=1.0,
            first_token=None,
            attempts=(attempt,),
        )
    )


def used(database: Database, log: RequestLog, who: Candidate, now: float) -> list[list[int]]:
    """[requests, tokens] of minute, day and month after a restart, bucket by bucket."""
    ledger = MemoryLedger()
    restore(ledger, WORLD, log, Rollups(database), now)
    room = ledger.headroom(who.buckets, now)
    return [
        [window.cap - window.left for window in windows] for windows in (room.requests, room.tokens)
    ]


def test_each_window_gets_what_was_used_in_it(database: Database, log: RequestLog) -> None:
    now, who = at("2026-11-22T15:30:20"), the("alpha/m")
    for when in (
        "2026-10-31T23:59:00",
        "2026-11-01T00:10:00",
        "2026-11-21T23:30:00",
        "2026-11-22T00:05:00",
        "2026-11-22T15:29:00",
        "2026-11-22T15:29:40",
        "2026-11-22T15:30:19",
    ):
        tried(log, at(when), who)

    requests, tokens = used(database, log, who, now)
    assert requests == [2, 4, 6, 4]
    assert tokens == [20, 40, 60]


def test_a_day_begins_where_the_provider_counts(database: Database, log: RequestLog) -> None:
    now = at("2026-11-22T15:30:00")
    for when in ("2026-11-22T07:30:00", "2026-11-22T08:30:00"):
        tried(log, at(when), the("alpha/m"))
        tried(log, at(when), the("west/m"))

    assert used(database, log, the("alpha/m"), now)[0][1] == 2
    assert used(database, log, the("west/m"), now)[0][1] == 1, "midnight was at eight"


def test_failed_calls_count_where_the_provider_counts_them(
    database: Database, log: RequestLog
) -> None:
    now, who = at("2026-11-22T15:30:00"), the("alpha/m")
    tried(log, now - 30, who, 7, error=ErrorKind.STREAM_BROKEN)
    tried(log, now - 20, who, spent=False, error=ErrorKind.RATE_LIMITED)

    requests, tokens = used(database, log, who, now)
    assert requests == [1, 1, 1, 1]
    assert tokens == [7, 7, 7]


def test_keys_are_kept_apart_and_accounts_together(database: Database, log: RequestLog) -> None:
    now = at("2026-11-22T15:30:00")
    tried(log, now - 30, the("alpha/m", "2"))

    assert used(database, log, the("alpha/m", "1"), now)[0] == [0, 0, 0, 0]
    assert used(database, log, the("alpha/m", "2"), now)[0] == [1, 1, 1, 1]


def test_the_restored_minute_slides_on(database: Database, log: RequestLog) -> None:
    now, who = at("2026-11-22T15:30:20"), the("alpha/m")
    tried(log, now - 40, who)
    ledger = MemoryLedger()
    restore(ledger, WORLD, log, Rollups(database), now)

    assert ledger.headroom(who.buckets, now + 21).requests[0].left == 99
    assert ledger.headroom(who.buckets, now + 22).requests[0].left == 100
    assert ledger.headroom(who.buckets, now + 22).requests[1].left == 99


def test_an_account_counts_all_of_its_models(database: Database, log: RequestLog) -> None:
    now = at("2026-11-22T15:30:00")
    sister = Candidate.of(provider("alpha"), model("alpha", "gone-since"), "1")
    for who in (the("alpha/m"), the("alpha/n"), sister):
        tried(log, now - 30, who)

    assert used(database, log, the("alpha/m"), now)[0] == [1, 1, 1, 2]
    assert used(database, log, the("alpha/n"), now)[0] == [1, 1, 1, 2]


def test_an_empty_log_restores_nothing(database: Database, log: RequestLog) -> None:
    assert used(database, log, the("alpha/m"), at("2026-11-22T15:30:00"))[0] == [0, 0, 0, 0]
