"""Shares that add up to no more than the caps, for every worker that looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freellmapi.core.limits import NO_LIMITS, Bucket, Limits
from freellmapi.core.route import Reservation
from freellmapi.router.alone import Alone
from freellmapi.router.pictured import Pictured
from freellmapi.router.share import NOTHING, divided

NOON = 1_790_000_000.0
FOUR = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("limits", "part", "weight"),
    [
        (NO_LIMITS, NO_LIMITS, 1),
        (Limits(rpm=30), Limits(rpm=27), 4),
        (Limits(rpm=4, rpd=100), Limits(rpm=1, rpd=97), 4),
        (Limits(tpm=16_000), Limits(tpm=16_000), 4),
    ],
    ids=["no cap", "one cap", "the smallest that can be divided", "tokens"],
)
def test_a_call_weighs_as_many_as_there_are_workers(
    limits: Limits, part: Limits, weight: int
) -> None:
    found = divided(limits, "bucket", FOUR, "b")

    assert (found.limits, found.weight) == (part, weight)


@pytest.mark.parametrize(
    "limits", [Limits(rpm=3), Limits(rpm=100, concurrency=1), Limits(tpm=15_999)], ids=str
)
def test_what_is_too_small_to_divide_is_one_workers_alone(limits: Limits) -> None:
    parts = [divided(limits, "bucket", FOUR, worker).limits for worker in FOUR]

    assert sorted(map(str, parts)) == sorted(map(str, [limits, NOTHING, NOTHING, NOTHING]))


def test_small_buckets_are_spread_over_the_workers() -> None:
    owned = [
        worker
        for name in range(100)
        for worker in FOUR
        if divided(Limits(rpm=1), str(name), FOUR, worker).limits != NOTHING
    ]

    assert len(owned) == 100
    assert all(owned.count(worker) > 10 for worker in FOUR)


def test_who_knows_of_no_workers_has_no_share_of_a_cap() -> None:
    assert divided(Limits(rpm=1_000), "bucket", (), "a").limits == NOTHING
    assert divided(NO_LIMITS, "bucket", (), "a").limits == NO_LIMITS


@given(
    caps=st.fixed_dictionaries(
        {},
        optional={
            "rpm": st.integers(0, 40),
            "rpd": st.integers(0, 90),
            "tpm": st.integers(0, 60_000),
            "concurrency": st.integers(0, 20),
        },
    ),
    count=st.integers(1, 6),
    sizes=st.lists(st.integers(1, 9_000), min_size=1, max_size=60),
)
def test_all_shares_together_are_within_the_caps(
    caps: dict[str, int], count: int, sizes: list[int]
) -> None:
    limits = Limits(**caps)
    names = tuple(str(n) for n in range(count))
    all_alone = [Alone(Pictured(), names, name) for name in names]
    bucket = (Bucket("bucket", limits),)
    taken: list[int] = []
    for number, tokens in enumerate(sizes * count):
        alone = all_alone[number % count]
        if alone.take(bucket, tokens, NOON):
            alone.taken(Reservation(number, bucket, tokens, NOON), NOON)
            taken.append(tokens)

    for cap in (limits.rpm, limits.rpd, limits.concurrency):
        assert cap is None or len(taken) <= cap
    # One call that is larger than the cap may go when nothing else is in the window.
    assert limits.tpm is None or sum(taken) <= limits.tpm or len(taken) == 1
