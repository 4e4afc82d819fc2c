"""What is remembered of closed models ends early, never late."""

from __future__ import annotations

import pytest

from freellmapi.core.limits import Bucket, Limits, Usage
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.closed import LONGEST, Closed
from freellmapi.router.ledger import MemoryLedger
from tests.router.conftest import model

NOON = 1_790_000_000.0
STAMP = (1, 0)
MODELS = tuple(model("alpha", id) for id in ("m", "n", "o"))


def closed(until: float = NOON + 10, *buckets: str) -> Closed:
    closed = Closed()
    closed.renew(STAMP)
    closed.close("alpha/m", 50, until, buckets, NOON)
    return closed


@pytest.mark.parametrize(
    ("tokens", "later", "expected"),
    [(50, 0, True), (90, 9.9, True), (49, 0, False), (50, 10, False)],
    ids=["the same", "larger", "smaller", "later"],
)
def test_a_model_is_closed_until_then_for_calls_of_that_size(
    tokens: int, later: float, expected: bool
) -> None:
    here = closed()
    assert here.leading(MODELS, 50, NOON) == 1
    assert here.is_closed("alpha/m", tokens, NOON + later) == expected
    assert here.leading(MODELS, tokens, NOON + later) == int(expected)


def test_nothing_is_believed_for_long() -> None:
    here = closed(NOON + 9_999)
    assert here.is_closed("alpha/m", 50, NOON + LONGEST - 1)
    assert not here.is_closed("alpha/m", 50, NOON + LONGEST)


def test_another_configuration_or_a_lifted_bench_opens_all() -> None:
    here = closed()
    assert here.leading(MODELS, 50, NOON) == 1
    here.renew((1, 1))
    assert here.leading(MODELS, 50, NOON) == 0
    assert not here.is_closed("alpha/m", 50, NOON)


def test_the_leading_models_end_with_the_first_open_one() -> None:
    here = closed()
    here.close("alpha/o", 50, NOON + 10, (), NOON)
    assert here.leading(MODELS, 50, NOON) == 1
    here.close("alpha/n", 80, NOON + 5, (), NOON)
    assert here.leading(MODELS, 80, NOON) == 3
    assert here.leading(MODELS, 50, NOON) == 1
    assert here.leading(MODELS[1:], 80, NOON) == 2
    assert here.leading(MODELS, 80, NOON + 5) == 1


def test_room_that_is_given_back_opens_the_models_of_its_bucket() -> None:
    here = closed(NOON + 10, "a", "b")
    here.close("alpha/n", 50, NOON + 10, ["b"], NOON)
    assert here.leading(MODELS, 50, NOON) == 2
    here.eased("a")
    assert here.leading(MODELS, 50, NOON) == 0
    assert here.is_closed("alpha/n", 50, NOON)
    here.eased("b")
    assert not here.is_closed("alpha/n", 50, NOON)


@pytest.mark.parametrize("spent", [True, False])
def test_the_ledger_tells_of_settled_calls(spent: bool) -> None:
    ledger = MemoryLedger()
    bucket = Bucket("a", Limits(tpm=100))
    held = ledger.reserve((bucket,), 100, NOON)
    assert held is not None
    ledger.closed.renew(STAMP)
    ledger.closed.close("alpha/m", 1, NOON + 10, ["a"], NOON)

    ledger.settle(held, Usage(10, 10), spent=spent)

    assert not ledger.closed.is_closed("alpha/m", 1, NOON)


def test_the_ledger_tells_of_other_caps() -> None:
    ledger = MemoryLedger()
    bucket = Bucket("a", Limits(tpm=100))
    ledger.closed.renew(STAMP)
    for limit, opens in ((50, True), (50, False), (80, True)):
        ledger.closed.close("alpha/m", 1, NOON + 10, ["a"], NOON)
        ledger.observe(bucket, [Observation("tpm", limit)], NOON)
        assert ledger.closed.is_closed("alpha/m", 1, NOON) != opens
