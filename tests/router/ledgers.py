"""Every kind of ledger, each new and empty, for tests that hold for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

from freellmapi.router.account import Account
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.rejoin import Membership, new_name
from freellmapi.router.shared_ledger import SharedLedger
from freellmapi.storage.shared import Shared
from tests.fakes.clock import FrozenClock
from tests.fakes.redis_server import running

AnyLedger = MemoryLedger | SharedLedger
NewLedger = Callable[[], AnyLedger]
_numbers = itertools.count()


def memory() -> MemoryLedger:
    return MemoryLedger()


def shared() -> SharedLedger:
    """In a Redis that is empty for it, and that counts by the time it is told."""
    return shared_with(f"test{next(_numbers)}")


def shared_with(installation: str) -> SharedLedger:
    """One more worker of an installation."""
    clock = FrozenClock(0)
    ledger = SharedLedger(
        Shared(running().url, installation, clock), clock, new_name(), callers_clock=True
    )
    Membership(ledger, clock, lambda: None).start()
    return ledger


LEDGERS = (memory, shared)


def open_ids(ledger: AnyLedger) -> set[int]:
    """The reservations that are not settled."""
    return ledger._open if isinstance(ledger, MemoryLedger) else set(ledger.open)


def accounts(ledger: AnyLedger) -> Mapping[str, Account]:
    """The counters, by name of their bucket."""
    return (ledger if isinstance(ledger, MemoryLedger) else ledger.picture)._counters
