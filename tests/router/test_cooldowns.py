"""Benches: how long, for what, and how they end."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from freellmapi.core.errors import DAY, POLICY, Bench, ErrorKind, Until
from freellmapi.router.cooldowns import LADDER, Cooldowns
from freellmapi.router.counter import NEVER
from tests.fakes.clock import FrozenClock
from tests.router.conftest import candidate, failed, model, provider

ALPHA = candidate()
OTHER_KEY = candidate(key="2")
OTHER_MODEL = candidate(serves=model("alpha", "n"))
OTHER_PROVIDER = candidate(provider("beta"))
ON_THE_LADDER = [kind for kind, policy in POLICY.items() if policy.until is Until.LADDER]


@pytest.fixture
def benches(clock: FrozenClock) -> Cooldowns:
    return Cooldowns(clock)


def wait(benches: Cooldowns, clock: FrozenClock) -> float:
    """Seconds for which alpha is benched from now on."""
    entry = benches.blocking(ALPHA, clock.now())
    return 0.0 if entry is None else entry.until - clock.now()


def test_server_errors_climb_the_ladder(benches: Cooldowns, clock: FrozenClock) -> None:
    waits = []
    for _ in range(6):
        benches.begin(ALPHA)
        benches.failed(ALPHA, failed(ErrorKind.SERVER_ERROR))
        waits.append(wait(benches, clock))
        clock.advance(waits[-1])
    assert waits == [0, 5, 10, 20, 30, 30]


def test_a_broken_stream_has_no_free_first(benches: Cooldowns, clock: FrozenClock) -> None:
    waits = []
    for _ in range(5):
        benches.begin(ALPHA)
        benches.answers(ALPHA)
        benches.failed(ALPHA, failed(ErrorKind.STREAM_BROKEN))
        waits.append(wait(benches, clock))
        clock.advance(waits[-1])
    assert waits == [5, 10, 20, 30, 30]


def test_calls_that_fail_together_are_one_strike(benches: Cooldowns, clock: FrozenClock) -> None:
    for _ in range(10):
        benches.begin(ALPHA)
    for _ in range(10):
        benches.failed(ALPHA, failed(ErrorKind.SERVER_ERROR))
        clock.advance(0.01)
    assert 0 < wait(benches, clock) <= LADDER[1]


@pytest.mark.parametrize("kind", ON_THE_LADDER)
def test_success_clears_the_ladder(benches: Cooldowns, clock: FrozenClock, kind: ErrorKind) -> None:
    for _ in range(3):
        benches.begin(ALPHA)
        benches.failed(ALPHA, failed(kind))
    benches.succeeded(ALPHA)

    assert benches.blocking(ALPHA, clock.now()) is None
    assert not benches.entries()


@pytest.mark.parametrize("kind", [ErrorKind.SERVER_ERROR, ErrorKind.STREAM_BROKEN])
def test_one_live_request_tries_it_again_while_others_pass_by(
    benches: Cooldowns, clock: FrozenClock, kind: ErrorKind
) -> None:
    while not wait(benches, clock):
        benches.failed(ALPHA, failed(kind))
    clock.advance(LADDER[1])
    assert benches.blocking(ALPHA, clock.now()) is None

    benches.begin(ALPHA)
    assert benches.blocking(ALPHA, clock.now()) is not None, "on trial"

    benches.ended(ALPHA)
    assert benches.blocking(ALPHA, clock.now()) is None, "the trial told nothing"


def test_a_stream_that_answers_is_asked_again_at_once(
    benches: Cooldowns, clock: FrozenClock
) -> None:
    for _ in range(2):
        benches.failed(ALPHA, failed(ErrorKind.SERVER_ERROR))
    benches.begin(ALPHA)
    benches.answers(ALPHA)
    assert benches.blocking(ALPHA, clock.now()) is None


@pytest.mark.parametrize(
    "kind",
    [
        ErrorKind.REQUEST_REFUSED,
        ErrorKind.CONTEXT_TOO_LONG,
        ErrorKind.CONTENT_POLICY,
        ErrorKind.CLIENT_GONE,
    ],
)
def test_what_the_request_is_to_blame_for_benches_nothing(
    benches: Cooldowns, kind: ErrorKind
) -> None:
    for _ in range(5):
        assert benches.failed(ALPHA, failed(kind, retry_after=60)) is None
    assert not benches.entries()


@pytest.mark.parametrize(
    ("kind", "stated", "expected"),
    [
        (ErrorKind.RATE_LIMITED, None, 60),
        (ErrorKind.RATE_LIMITED, 7.5, 7.5),
        (ErrorKind.RATE_LIMITED, 0.0, 0),
        (ErrorKind.RATE_LIMITED, 9 * DAY, DAY),
        (ErrorKind.OUT_OF_CREDIT, None, DAY),
        (ErrorKind.MODEL_GONE, None, DAY),
        (ErrorKind.MODEL_FORBIDDEN, None, DAY),
        (ErrorKind.KEY_REJECTED, None, NEVER),
        (ErrorKind.KEY_REJECTED, 5.0, NEVER),
        (ErrorKind.SERVER_ERROR, 40.0, 40),
    ],
)
def test_a_stated_wait_wins_within_a_day(
    benches: Cooldowns, clock: FrozenClock, kind: ErrorKind, stated: float | None, expected: float
) -> None:
    benches.failed(ALPHA, failed(kind, retry_after=stated))
    assert wait(benches, clock) == expected


def test_a_daily_quota_lasts_to_the_providers_own_midnight(clock: FrozenClock) -> None:
    zone = "America/Los_Angeles"
    google = candidate(provider("google", reset_zone=zone))
    benches = Cooldowns(clock)

    entry = benches.failed(google, failed(ErrorKind.DAILY_QUOTA, retry_after=30))

    assert entry is not None
    reset = datetime.fromtimestamp(entry.until, ZoneInfo(zone))
    assert (reset.hour, reset.minute, reset.second) == (0, 0, 0)
    assert 0 < entry.until - clock.now() <= DAY


@pytest.mark.parametrize(
    ("kind", "bench", "out"),
    [
        (ErrorKind.RATE_LIMITED, None, {"alpha"}),
        (ErrorKind.RATE_LIMITED, Bench.KEY, {"alpha", "other model"}),
        (ErrorKind.KEY_REJECTED, None, {"alpha", "other model"}),
        (ErrorKind.MODEL_GONE, None, {"alpha", "other key"}),
        (ErrorKind.MODEL_FORBIDDEN, None, {"alpha"}),
        (ErrorKind.DAILY_QUOTA, None, {"alpha", "other model"}),
        (ErrorKind.TIMEOUT, None, {"alpha", "other model", "other key"}),
        (ErrorKind.RATE_LIMITED, Bench.NOTHING, set()),
    ],
)
def test_a_bench_covers_what_the_failure_speaks_for(
    benches: Cooldowns, clock: FrozenClock, kind: ErrorKind, bench: Bench | None, out: set[str]
) -> None:
    for _ in range(2):
        benches.failed(ALPHA, failed(kind, bench=bench))
    named = {
        "alpha": ALPHA,
        "other key": OTHER_KEY,
        "other model": OTHER_MODEL,
        "other provider": OTHER_PROVIDER,
    }
    assert {n for n, c in named.items() if benches.blocking(c, clock.now())} == out


def test_a_pool_by_address_is_shared_by_all_keys(clock: FrozenClock) -> None:
    shared = provider("keyless", pool="ip")
    benches = Cooldowns(clock)
    benches.failed(candidate(shared, key="1"), failed(ErrorKind.DAILY_QUOTA))
    assert benches.blocking(candidate(shared, key="2"), clock.now()) is not None


def test_endpoints_of_our_own_are_benched_at_most_five_seconds_by_us(clock: FrozenClock) -> None:
    lab, benches = candidate(provider("lab", local=True)), Cooldowns(clock)
    for _ in range(6):
        benches.begin(lab)
        entry = benches.failed(lab, failed(ErrorKind.SERVER_ERROR))
    assert entry is not None
    assert entry.until - clock.now() == 5

    stated = benches.failed(lab, failed(ErrorKind.RATE_LIMITED, retry_after=90))
    assert stated is not None
    assert stated.until - clock.now() == 90


def test_a_rejection_is_not_undone_by_calls_that_were_under_way(
    benches: Cooldowns, clock: FrozenClock
) -> None:
    benches.failed(ALPHA, failed(ErrorKind.KEY_REJECTED))
    benches.failed(ALPHA, failed(ErrorKind.RATE_LIMITED, bench=Bench.KEY, retry_after=1))
    benches.succeeded(ALPHA)
    assert wait(benches, clock) == NEVER


def test_a_stated_wait_outlasts_the_success_of_another_call(
    benches: Cooldowns, clock: FrozenClock
) -> None:
    benches.failed(ALPHA, failed(ErrorKind.RATE_LIMITED, retry_after=30))
    benches.failed(ALPHA, failed(ErrorKind.SERVER_ERROR))
    benches.succeeded(ALPHA)
    assert wait(benches, clock) == 30


def test_a_stated_wait_is_no_strike(benches: Cooldowns, clock: FrozenClock) -> None:
    benches.failed(ALPHA, failed(ErrorKind.RATE_LIMITED, retry_after=10))
    clock.advance(11)
    benches.failed(ALPHA, failed(ErrorKind.SERVER_ERROR))
    assert wait(benches, clock) == 0


def test_a_key_that_is_good_again_is_cleared_of_its_rejection_only(
    benches: Cooldowns, clock: FrozenClock
) -> None:
    benches.failed(ALPHA, failed(ErrorKind.OUT_OF_CREDIT))
    benches.clear(ALPHA.scopes[Bench.KEY], ErrorKind.KEY_REJECTED)
    assert wait(benches, clock) == DAY
    benches.clear(ALPHA.scopes[Bench.KEY], ErrorKind.OUT_OF_CREDIT)
    assert wait(benches, clock) == 0


def test_benches_that_ended_long_ago_are_forgotten(benches: Cooldowns, clock: FrozenClock) -> None:
    benches.failed(ALPHA, failed(ErrorKind.RATE_LIMITED))
    benches.failed(OTHER_PROVIDER, failed(ErrorKind.KEY_REJECTED))
    clock.advance(2 * DAY)
    benches.prune()
    assert list(benches.entries()) == [OTHER_PROVIDER.scopes[Bench.KEY]]
