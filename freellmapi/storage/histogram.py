"""Latencies counted in log-spaced buckets, and the buckets of one histogram in one number.

A packed histogram has 32 bits for each bucket, bucket 0 lowest. Histograms of any hours and
models are merged by adding their numbers, which costs next to nothing where a row or an
object for every bucket would make a month's figures take hundreds of milliseconds.
"""

from __future__ import annotations

import math
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate

#: How far a percentile read from buckets may be from the true one, as a share of it.
RELATIVE_ERROR = 0.05

#: The smallest latency told apart from zero, in seconds.
SHORTEST = 0.001

#: Longer than any request, in seconds: the last bucket begins below it.
LONGEST = 86_400.0

_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH = math.log(_GROWTH)
_BITS = 32
_LANE = "I"


def bucket(seconds: float) -> int:
    """The number of the bucket for a latency; 0 up to ``SHORTEST``."""
    if seconds <= SHORTEST:
        return 0
    return math.ceil(math.log(min(seconds, LONGEST) / SHORTEST) / _LOG_GROWTH)


def percentile(buckets: Mapping[int, int], p: float) -> float | None:
    """The latency in seconds that ``p`` percent did not exceed; None without any.

    Nearest rank. Within ``RELATIVE_ERROR`` of the true value, or ``SHORTEST`` if that is
    smaller. Source: Masson et al., DDSketch, PVLDB 12 (2019), section 2.
    """
    rank = max(1, math.ceil(sum(buckets.values()) * p / 100))
    seen = 0
    for number in sorted(buckets):
        seen += buckets[number]
        if seen >= rank:
            return _middle(number)
    return None


def of(latencies: Iterable[float]) -> int:
    """The packed histogram of so many seconds each."""
    counted = Counter(map(bucket, latencies))
    return sum(n << _BITS * number for number, n in counted.items())


@lru_cache(maxsize=512)
def percentiles(histogram: int, *ps: float) -> tuple[float | None, ...]:
    """The same of a packed histogram, several at once.

    A page shows some hundred of them, most of hours that are over: the same at each look.
    """
    up_to = list(accumulate(_lanes(histogram)))
    if not up_to:
        return (None,) * len(ps)
    ranks = (max(1, math.ceil(up_to[-1] * p / 100)) for p in ps)
    return tuple(_middle(bisect_left(up_to, rank)) for rank in ranks)


def _middle(number: int) -> float:
    return SHORTEST * _GROWTH**number * 2 / (1 + _GROWTH) if number else SHORTEST


def unpacked(histogram: int) -> dict[int, int]:
    """Bucket to count, without the empty ones."""
    return {number: n for number, n in enumerate(_lanes(histogram)) if n}


def _lanes(histogram: int) -> array[int]:
    lanes = array(_LANE, b"")
    size = lanes.itemsize
    lanes.frombytes(histogram.to_bytes(_length(histogram, size), sys.byteorder))
    if sys.byteorder == "big":
        lanes.reverse()
    return lanes


def to_bytes(histogram: int) -> bytes:
    return histogram.to_bytes(_length(histogram, 1), "little")


def from_bytes(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _length(histogram: int, multiple: int) -> int:
    """Bytes that hold the number, as a whole multiple."""
    length = (histogram.bit_length() + 7) // 8
    return -(-length // multiple) * multiple
