"""Adds rows of the request log to the hourly sums, inside the transaction that logs them.

What can be made of hours later is made by ``folding.py``: each page of the database that a
transaction touches costs some ten microseconds, on the path of every answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from freellmapi.core.route import Attempt
from freellmapi.storage import bulk, histogram, tables
from freellmapi.storage.counters import FOLDED
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.writer import Writer

HOUR = 3_600
DAY = 86_400

COUNTERS = (
    "requests",
    "failures",
    "fallbacks",
    "attempts",
    "failed_attempts",
    "prompt_tokens",
    "completion_tokens",
    "duration",
)
COUNTED = ("counted", "counted_tokens")
TALLIED = ("requests", "failures", "fallbacks", "prompt_tokens", "completion_tokens")
HISTOGRAMS = ("durations", "first_tokens")

_Group = tuple[int, str, str, str]
"""Hour, provider, model, key id."""
_Sums = tuple[int, int, int, int, int, int, int, float, int, int]
_Name = tuple[str, int, str]
"""Dimension, hour, name."""
_Tally = tuple[int, int, int, int, int]
_Latency = tuple[int, str, str]
"""Hour, provider, model."""


def record(writer: Writer, rows: Sequence[LoggedRequest], folded: int) -> None:
    """All that the rows change, in as few statements as one row would need.

    ``folded`` is the mark that ``folding.py`` has left; it goes back to an earlier hour.
    """
    sums: dict[_Group, _Sums] = {}
    tallies: dict[_Name, _Tally] = {}
    for row in rows:
        # Attempts count for the hour of their request, so that an hour's are those of its own.
        hour = hour_of(row.at)
        _add_request(sums, hour, row)
        for attempt in row.attempts:
            _add_attempt(sums, hour, attempt)
        _tally(tallies, hour, row)
    counts = [(HOUR, *group, *values) for group, values in sums.items()]
    bulk.count(writer, tables.rollups, counts, (*COUNTERS, *COUNTED))
    bulk.count(writer, tables.tallies, [(*k, *v) for k, v in tallies.items()], TALLIED)
    _add_latencies(writer, rows)
    earliest = hour_of(min(row.at for row in rows))
    if earliest < folded:
        _set_back(writer, earliest)


def hour_of(at: float) -> int:
    """The epoch second in which the hour began."""
    return int(at // HOUR) * HOUR


def _add_request(sums: dict[_Group, _Sums], hour: int, row: LoggedRequest) -> None:
    group = (hour, row.provider or "", row.served_model or "", row.key_id or "")
    request = (1, int(row.failed), int(row.fell_back))
    tokens = (row.prompt_tokens, row.completion_tokens)
    _add(sums, group, (*request, 0, 0, *tokens, row.duration, 0, 0))


def _add_attempt(sums: dict[_Group, _Sums], hour: int, attempt: Attempt) -> None:
    group = (hour, attempt.provider, attempt.model, attempt.key_id)
    tokens = attempt.usage.total if attempt.spent and attempt.usage else 0
    _add(sums, group, (0, 0, 0, 1, int(attempt.failed), 0, 0, 0.0, int(attempt.spent), tokens))


def _tally(tallies: dict[_Name, _Tally], hour: int, row: LoggedRequest) -> None:
    request = (1, int(row.failed), int(row.fell_back))
    tokens = (row.prompt_tokens, row.completion_tokens)
    _add_tally(tallies, ("client", hour, str(row.token_id or "")), (*request, *tokens))
    if row.failed:
        kind = row.error or f"http_{row.status}"
        _add_tally(tallies, ("error", hour, kind), (1, 1, 0, 0, 0))
    for attempt in row.attempts:
        if attempt.error is not None and attempt.failed:
            _add_tally(tallies, ("fault", hour, attempt.error.value), (1, 1, 0, 0, 0))


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


def _add_tally(tallies: dict[_Name, _Tally], name: _Name, more: _Tally) -> None:
    so_far = tallies.get(name)
    if so_far is None:
        tallies[name] = more
        return
    (a, b, c, d, e), (f, g, h, i, j) = so_far, more
    tallies[name] = (a + f, b + g, c + h, d + i, e + j)


def _add_latencies(writer: Writer, rows: Iterable[LoggedRequest]) -> None:
    """Read, added to and written again: safe, as transactions of the log take turns."""
    new = _latencies(rows)
    keys = [("model", HOUR, *key) for key in new]
    for _, _, hour, provider, model, durations, first_tokens in bulk.find(
        writer, tables.latencies, keys
    ):
        so_far = new[hour, provider, model]
        so_far[0] += histogram.from_bytes(durations)
        so_far[1] += histogram.from_bytes(first_tokens)
    counts = [("model", HOUR, *k, *map(histogram.to_bytes, both)) for k, both in new.items()]
    bulk.put(writer, tables.latencies, counts, HISTOGRAMS)


def _latencies(rows: Iterable[LoggedRequest]) -> dict[_Latency, list[int]]:
    """Of answers only: how long a refusal took says nothing about the model."""
    found: dict[_Latency, list[int]] = {}
    for row in rows:
        if row.failed or row.provider is None:
            continue
        key = (hour_of(row.at), row.provider, row.served_model or "")
        both = found.setdefault(key, [0, 0])
        both[0] += histogram.packed(row.duration)
        both[1] += 0 if row.first_token is None else histogram.packed(row.first_token)
    return found


def _set_back(writer: Writer, hour: int) -> None:
    writer.execute(f"UPDATE counters SET value = {writer.mark} WHERE name = '{FOLDED}'", (hour,))
