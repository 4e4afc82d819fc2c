"""Percentiles agree with what was measured, and packed histograms add up."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from freellmapi.storage.histogram import (
    LONGEST,
    RELATIVE_ERROR,
    SHORTEST,
    bucket,
    from_bytes,
    of,
    percentile,
    percentiles,
    to_bytes,
    unpacked,
)


@pytest.mark.parametrize("p", [0, 1, 50, 90, 95, 99, 99.9, 100])
@pytest.mark.parametrize("mu", [-5.0, -1.0, 2.0])
def test_percentiles_are_within_the_stated_error(p: float, mu: float) -> None:
    rng = random.Random(7)
    values = sorted(rng.lognormvariate(mu, 1.2) for _ in range(3_000))
    true = values[max(1, math.ceil(len(values) * p / 100)) - 1]
    read = percentile(Counter(map(bucket, values)), p)
    assert read is not None
    assert abs(read - true) <= max(RELATIVE_ERROR * true, SHORTEST)


@pytest.mark.parametrize("seconds", [0.0011, 0.01, 0.1, 1.0, 59.9, 3_600.0])
def test_a_single_value_reads_back_within_the_error(seconds: float) -> None:
    assert percentile({bucket(seconds): 1}, 50) == pytest.approx(seconds, rel=RELATIVE_ERROR)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, SHORTEST])
def test_what_is_shorter_than_a_millisecond_is_a_millisecond(seconds: float) -> None:
    assert percentile({bucket(seconds): 1}, 50) == SHORTEST


def test_nothing_measured_has_no_percentile() -> None:
    assert percentile({}, 50) is None
    assert percentiles(0, 50, 95) == (None, None)


@pytest.mark.parametrize("seed", range(5))
def test_packed_percentiles_are_those_of_the_buckets(seed: int) -> None:
    rng = random.Random(seed)
    whole = of(rng.lognormvariate(0, 2) for _ in range(rng.randint(1, 300)))
    asked = (0, 1, 50, 95, 100)
    assert percentiles(whole, *asked) == tuple(percentile(unpacked(whole), p) for p in asked)


@pytest.mark.parametrize("seconds", [LONGEST, LONGEST * 10, math.inf])
def test_what_is_longer_than_a_day_is_a_day(seconds: float) -> None:
    assert percentile({bucket(seconds): 1}, 50) == pytest.approx(LONGEST, rel=RELATIVE_ERROR)


def test_packed_histograms_add_up_like_counters() -> None:
    rng = random.Random(3)
    values = [rng.lognormvariate(0, 2) for _ in range(2_000)] + [0.0, LONGEST]
    whole = of(values[:9]) + of(values[9:])
    assert unpacked(whole) == Counter(map(bucket, values))
    assert from_bytes(to_bytes(whole)) == whole


def test_a_bucket_does_not_spill_into_the_next() -> None:
    assert unpacked(of([1.0]) * (2**32 - 1)) == {bucket(1.0): 2**32 - 1}


def test_nothing_packed_is_no_bytes() -> None:
    assert (to_bytes(0), from_bytes(b""), unpacked(0)) == (b"", 0, {})
