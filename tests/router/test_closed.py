"""What is remembered of closed models ends early, never late."""

from __future__ import annotations

import pytest

from freellmapi.core.limits import Bucket, Limits, Usage
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.closed import LONGEST, Closed
from freellmapi.router.ledger import MemoryLedger

NOON = 1_790_000_000.0
STAMP = (1, 0)


def closed(until: float = NOON + 10, *buckets: str) -> Closed:
    closed = Closed()
    closed.current(STAMP)
    closed.close("alpha/m", 50, until, buckets, NOON)
    return closed


def test_a_model_is_closed_until_then_for_calls_of_that_size() -> None:
    assert closed().current(STAMP) == {"alpha/m": (NOON + 10, 50)}


def test_nothing_is_believed_for_long() -> None:
    assert closed(NOON + 9_999).current(STAMP) == {"alpha/m": (NOON + LONGEST, 50)}


def test_another_configuration_or_a_lifted_bench_opens_all() -> None:
    here = closed()
    assert here.current((1, 1)) == {}
    assert here.current(STAMP) == {}


def test_room_that_is_given_back_opens_the_models_of_its_bucket() -> None:
    here = closed(NOON + 10, "a", "b")
    here.close("alpha/other", 50, NOON + 10, ["b"], NOON)
    here.eased("a")
    assert list(here.current(STAMP)) == ["alpha/other"]
    here.eased("b")
    assert here.current(STAMP) == {}


@pytest.mark.parametrize("spent", [True, False])
def test_the_ledger_tells_of_settled_calls(spent: bool) -> None:
    ledger = MemoryLedger()
    bucket = Bucket("a", Limits(tpm=100))
    held = ledger.reserve((bucket,), 100, NOON)
    assert held is not None
    ledger.closed.current(STAMP)
    ledger.closed.close("alpha/m", 1, NOON + 10, ["a"], NOON)

    ledger.settle(held, Usage(10, 10), spent=spent)

    assert ledger.closed.current(STAMP) == {}


def test_the_ledger_tells_of_other_caps() -> None:
    ledger = MemoryLedger()
    bucket = Bucket("a", Limits(tpm=100))
    ledger.closed.current(STAMP)
    for limit, opens in ((50, True), (50, False), (80, True)):
        ledger.closed.close("alpha/m", 1, NOON + 10, ["a"], NOON)
        ledger.observe(bucket, [Observation("tpm", limit)], NOON)
        assert (ledger.closed.current(STAMP) == {}) == opens
