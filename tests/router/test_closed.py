"""What is remembered of closed models ends early, never late."""

from __future__ import annotations

import pytest

from freellmapi.core.catalog import Model
from freellmapi.core.limits import Bucket, Limits, Usage
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.closed import Closed, Shut
from freellmapi.router.ledger import MemoryLedger
from tests.router.conftest import model

NOON = 1_790_000_000.0
MODELS = M, N, P = tuple(model("alpha", id) for id in ("m", "n", "p"))


def shut(here: Closed, which: Model, tokens: int = 50, lasts: float = 10, *names: str) -> None:
    here.close(which, Shut(NOON, NOON + lasts, tokens, ()), names)


def closed(*names: str) -> Closed:
    here = Closed()
    here.renew(1, ())
    shut(here, M, 50, 10, *names)
    return here


def is_closed(here: Closed, which: Model, tokens: int = 50, later: float = 0) -> bool:
    return here.shut(which, lambda _: tokens, NOON + later) is not None


def leading(
    here: Closed,
    tokens: int | None = 50,
    later: float = 0,
    models: tuple[Model, ...] = MODELS,
    calibrated: int = 0,
) -> int:
    """How many models lead that are closed for an answer of so many tokens."""
    found = here.leading(models, (0, tokens), lambda _: tokens or 0, calibrated, NOON + later)
    return 0 if found is None else found.count


@pytest.mark.parametrize(
    ("tokens", "later", "expected"),
    [(50, 0, True), (90, 9.9, True), (49, 0, False), (50, 10, False), (50, -1, False)],
    ids=["the same", "larger", "smaller", "later", "a clock set back"],
)
def test_a_model_is_closed_until_then_for_calls_of_that_size(
    tokens: int, later: float, expected: bool
) -> None:
    here = closed()
    assert leading(here) == 1
    assert is_closed(here, M, tokens, later) == expected
    assert leading(here, tokens, later) == int(expected)


def test_what_is_closed_for_any_size_is_so_for_all() -> None:
    here = closed()
    shut(here, M, tokens=0)
    assert leading(here, 70) == leading(here, 1) == leading(here, None) == 1


def test_smaller_calls_speak_for_larger_ones() -> None:
    here = closed()
    shut(here, M, tokens=80)
    assert is_closed(here, M, 50)
    shut(here, M, tokens=20)
    assert is_closed(here, M, 20)


def test_other_counting_of_tokens_is_looked_at_anew() -> None:
    here = closed()
    cheaper = 30
    assert leading(here) == 1
    assert here.leading(MODELS, (0, 50), lambda _: cheaper, 0, NOON) is not None, "not looked at"
    assert here.leading(MODELS, (0, 50), lambda _: cheaper, 1, NOON) is None


def test_another_configuration_opens_all() -> None:
    here = closed()
    assert leading(here) == 1
    here.renew(2, ())
    assert leading(here) == 0
    assert not is_closed(here, M)


def test_another_bench_opens_the_models_that_it_concerns() -> None:
    here = closed("key a/1", "model a/m")
    shut(here, N, 50, 10, "key a/2")
    here.renew(1, {"key a/1"})
    assert not is_closed(here, M)
    assert is_closed(here, N)


def test_the_leading_models_end_with_the_first_open_one() -> None:
    here = closed()
    shut(here, P)
    assert leading(here) == 1
    shut(here, N, tokens=80, lasts=5)
    assert leading(here, 80) == 3
    assert leading(here, 50) == 1
    assert leading(here, 80, models=MODELS[1:]) == 2
    assert leading(here, 80, later=5) == 1


def test_room_that_is_given_back_opens_the_models_of_its_bucket() -> None:
    here = closed("a", "b")
    shut(here, N, 50, 10, "b")
    assert leading(here) == 2
    here.eased("a")
    assert leading(here) == 0
    assert is_closed(here, N)
    here.eased("b")
    assert not is_closed(here, N)


@pytest.mark.parametrize("spent", [True, False])
def test_the_ledger_tells_of_settled_calls(spent: bool) -> None:
    ledger = MemoryLedger()
    bucket = Bucket("a", Limits(tpm=100))
    held = ledger.reserve((bucket,), 100, NOON)
    assert held is not None
    ledger.closed.renew(1, ())
    shut(ledger.closed, M, 1, 10, "a")

    ledger.settle(held, Usage(10, 10), spent=spent)

    assert not is_closed(ledger.closed, M)


def test_the_ledger_tells_of_other_caps() -> None:
    ledger = MemoryLedger()
    bucket = Bucket("a", Limits(tpm=100))
    ledger.closed.renew(1, ())
    for limit, opens in ((50, True), (50, False), (80, True)):
        shut(ledger.closed, M, 1, 10, "a")
        ledger.observe(bucket, [Observation("tpm", limit)], NOON)
        assert is_closed(ledger.closed, M) != opens


def test_a_stated_limit_that_will_be_forgotten_is_not_waited_for_longer() -> None:
    ledger = MemoryLedger()
    buckets = (Bucket("a", Limits(requests_per_month=100)),)
    ledger.observe(buckets[0], [Observation("month_requests", 1)], NOON)
    assert ledger.reserve(buckets, 1, NOON)
    forgotten = ledger.opens_at(buckets, 1, NOON + 5)
    assert forgotten == NOON + 86_400
    assert ledger.opens_at(buckets, 1, forgotten) <= forgotten
