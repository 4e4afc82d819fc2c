"""Hourly sums of the request log, kept in the log's own transactions.

Latencies are counted in log-spaced buckets in a table of their own, one row for each bucket
that was hit: a write touches one or two small rows, where a row with a column for every
bucket (some 150 from a millisecond to an hour, two metrics) would be rewritten whole each
time; and buckets of any hours and models are merged by adding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from freellmapi.core.route import Attempt
from freellmapi.storage import bulk, tables
from freellmapi.storage.db import Database
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.writer import Writer

HOUR = 3_600

#: How far a percentile read from buckets may be from the true one, as a share of it.
RELATIVE_ERROR = 0.05

#: The smallest latency told apart from zero, in seconds.
SHORTEST = 0.001

DURATION = "duration"
FIRST_TOKEN = "first_token"

_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH = math.log(_GROWTH)
_COUNTERS = (
    "requests",
    "failures",
    "fallbacks",
    "attempts",
    "failed_attempts",
    "prompt_tokens",
    "completion_tokens",
    "duration",
)
_COUNTED = ("counted", "counted_tokens")

_Group = tuple[int, str, str, str, int]
_Sums = tuple[int, int, int, int, int, int, int, float, int, int]
_LatencyKey = tuple[int, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a period for one provider, model, key and client token.

    ``requests``, tokens and ``duration`` (seconds, summed) belong to whoever served, to
    empty names when nobody did; ``fallbacks`` are requests that needed more than one
    attempt. ``attempts`` belong to whoever was asked.
    """

    provider: str
    model: str
    key_id: str
    token_id: int | None
    requests: int
    failures: int
    fallbacks: int
    attempts: int
    failed_attempts: int
    prompt_tokens: int
    completion_tokens: int
    duration: float


@dataclass(frozen=True, slots=True)
class Counted:
    """Calls of one model through one key that the provider counts, and their tokens."""

    provider: str
    model: str
    key_id: str
    requests: int
    tokens: int


class Rollups:
    """Reads the sums. Periods are whole hours: those that begin in ``since <= h < until``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def totals(self, since: float, until: float) -> tuple[Totals, ...]:
        """One value for each provider, model, key and token that occurs."""
        columns = tables.rollups.c
        group = (columns.provider, columns.model, columns.key_id, columns.token_id)
        query = (
            select(*group, *(func.sum(columns[name]) for name in _COUNTERS))
            .where(columns.hour >= since, columns.hour < until)
            .group_by(*group)
            .order_by(*group)
        )
        with self._database.connect() as connection:
            return tuple(
                Totals(provider, model, key_id, token_id or None, *sums)
                for provider, model, key_id, token_id, *sums in connection.execute(query)
            )

    def counted(self, since: float, until: float, providers: Iterable[str]) -> tuple[Counted, ...]:
        """What these providers counted; failed calls that they count are in it.

        The hours are named one by one, as ``hour`` and ``provider`` begin the table's key:
        what is read does not grow with what the other providers did.
        """
        columns = tables.rollups.c
        group = (columns.provider, columns.model, columns.key_id)
        query = (
            select(*group, *(func.sum(columns[name]) for name in _COUNTED))
            .where(columns.hour.in_(range(_hour(since), math.ceil(until), HOUR)))
            .where(columns.provider.in_(tuple(providers)), columns.counted > 0)
            .group_by(*group)
        )
        with self._database.connect() as connection:
            return tuple(
                Counted(provider, model, key_id, int(requests), int(tokens))
                for provider, model, key_id, requests, tokens in connection.execute(query)
            )

    def latencies(
        self, metric: str, since: float, until: float
    ) -> dict[tuple[str, str], dict[int, int]]:
        """Buckets of ``DURATION`` or ``FIRST_TOKEN`` for each (provider, model)."""
        columns = tables.latencies.c
        group = (columns.provider, columns.model, columns.bucket)
        query = (
            select(*group, func.sum(columns.n))
            .where(columns.hour >= since, columns.hour < until, columns.metric == metric)
            .group_by(*group)
        )
        found: dict[tuple[str, str], dict[int, int]] = {}
        with self._database.connect() as connection:
            for provider, model, number, n in connection.execute(query):
                found.setdefault((provider, model), {})[number] = int(n)
        return found


def bucket(seconds: float) -> int:
    """The number of the bucket for a latency; 0 up to ``SHORTEST``."""
    if seconds <= SHORTEST:
        return 0
    return math.ceil(math.log(seconds / SHORTEST) / _LOG_GROWTH)


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
            return SHORTEST * _GROWTH**number * 2 / (1 + _GROWTH) if number else SHORTEST
    return None


def record(writer: Writer, rows: Sequence[LoggedRequest]) -> None:
    """Adds rows of the log to the sums, inside the transaction that logs them."""
    sums: dict[_Group, _Sums] = {}
    buckets: dict[_LatencyKey, int] = {}
    for row in rows:
        _add_request(sums, row)
        for attempt in row.attempts:
            _add_attempt(sums, row, attempt)
        _add_latencies(buckets, row)
    bulk.count(writer, tables.rollups, [(*k, *v) for k, v in sums.items()], (*_COUNTERS, *_COUNTED))
    bulk.count(writer, tables.latencies, [(*k, n) for k, n in buckets.items()], ("n",))


def _add_request(sums: dict[_Group, _Sums], row: LoggedRequest) -> None:
    group = (
        _hour(row.at),
        row.provider or "",
        row.served_model or "",
        row.key_id or "",
        row.token_id or 0,
    )
    _add(
        sums,
        group,
        (
            1,
            int(row.failed),
            int(len(row.attempts) > 1),
            0,
            0,
            row.prompt_tokens,
            row.completion_tokens,
            row.duration,
            0,
            0,
        ),
    )


def _add_attempt(sums: dict[_Group, _Sums], row: LoggedRequest, attempt: Attempt) -> None:
    # Under the hour of its request, so that an hour's attempts are those of its requests.
    group = (
        _hour(row.at),
        attempt.provider,
        attempt.model,
        attempt.key_id,
        row.token_id or 0,
    )
    tokens = attempt.usage.total if attempt.spent and attempt.usage else 0
    failed = int(attempt.error is not None)
    _add(sums, group, (0, 0, 0, 1, failed, 0, 0, 0.0, int(attempt.spent), tokens))


def _add(sums: dict[_Group, _Sums], group: _Group, more: _Sums) -> None:
    so_far = sums.get(group)
    if so_far is None:
        sums[group] = more
        return
    a, b, c, d, e, f, g, h, counted, tokens = so_far
    i, j, k, m, n, o, p, q, more_counted, more_tokens = more
    sums[group] = (
        *(a + i, b + j, c + k, d + m, e + n, f + o, g + p, h + q),
        *(counted + more_counted, tokens + more_tokens),
    )


def _add_latencies(buckets: dict[_LatencyKey, int], row: LoggedRequest) -> None:
    """Of answers only: how long a refusal took says nothing about the model."""
    if row.failed or row.provider is None:
        return
    for metric, seconds in ((DURATION, row.duration), (FIRST_TOKEN, row.first_token)):
        if seconds is not None:
            key = (_hour(row.at), row.provider, row.served_model or "", metric, bucket(seconds))
            buckets[key] = buckets.get(key, 0) + 1


def _hour(at: float) -> int:
    return int(at // HOUR) * HOUR
