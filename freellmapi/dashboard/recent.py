"""Recent requests as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from freellmapi.core.route import Attempt
from freellmapi.core.values import dataclass
from freellmapi.dashboard.names import Names
from freellmapi.dashboard.queries import Filters, Found, all_recent
from freellmapi.storage.db import Database
from freellmapi.storage.logged import LoggedRequest

MOST_CSV_ROWS = 50_000

COLUMNS = (
    *("time", "request_id", "client", "asked_for", "status", "error"),
    *("provider", "model", "key", "stream", "tokens_in", "tokens_out", "tokens_counted"),
    *("seconds", "first_token_seconds", "attempts"),
)

#: A spreadsheet takes what begins so for a formula (OWASP, "CSV Injection").
_FORMULA = (*"=+-@＝＋－＠", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Try:
    """One call: when it began after the request came and how long it took, in seconds.

    ``exact``: whether the provider counted its tokens.
    """

    provider: str
    model: str
    key: str
    after: float
    duration: float
    error: str | None
    status: int | None
    message: str
    tokens_in: int | None
    """None, as ``tokens_out``: nothing was counted."""
    tokens_out: int | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One request, with the names of key and client in place of ids."""

    id: int
    request_id: str
    at: float
    client: str
    asked_for: str
    stream: bool
    status: int
    failed: bool
    error: str | None
    provider: str | None
    model: str | None
    key: str | None
    tokens_in: int
    tokens_out: int
    exact: bool
    duration: float
    first_token: float | None
    attempts: tuple[Try, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """``orjson.dumps`` writes it as ``{"rows": [Entry, ...], "next_before": 1234 | null}``.

    No rows and a ``next_before``: nothing so far, and there is more to search.
    """

    rows: tuple[Entry, ...]
    next_before: int | None


def page(found: Found) -> Page:
    """What ``queries.recent`` found, for people."""
    return Page(tuple(_entry(row, found.names) for row in found.rows), found.next_before)


def csv_rows(database: Database, filters: Filters, most: int = MOST_CSV_ROWS) -> Iterator[str]:
    """The export, a line or some hundred at a time: RFC 4180, times in UTC, newest first.

    Reads page by page and blocks for each: iterate off the hub.
    """
    yield _lines([COLUMNS])
    for found in all_recent(database, filters, min(most, MOST_CSV_ROWS)):
        if found.rows:
            yield _lines([_cells(entry) for entry in page(found).rows])


def _entry(row: LoggedRequest, names: Names) -> Entry:
    return Entry(
        id=row.id or 0,
        request_id=row.request_id,
        at=row.at,
        client=names.client(str(row.token_id or ""))[0],
        asked_for=row.model,
        stream=row.stream,
        status=row.status,
        failed=row.failed,
        error=row.error,
        provider=row.provider,
        model=row.served_model,
        key=None if row.key_id is None else names.key(row.key_id)[0],
        tokens_in=row.prompt_tokens,
        tokens_out=row.completion_tokens,
        exact=row.exact,
        duration=row.duration,
        first_token=row.first_token,
        attempts=tuple(_try(attempt, row, names) for attempt in row.attempts),
    )


def _try(attempt: Attempt, row: LoggedRequest, names: Names) -> Try:
    return Try(
        *(attempt.provider, attempt.model, names.key(attempt.key_id)[0]),
        after=max(0.0, attempt.started_at - row.at),
        duration=attempt.duration,
        error=attempt.error.value if attempt.error else None,
        status=attempt.status,
        message=attempt.message,
        tokens_in=attempt.usage.prompt_tokens if attempt.usage else None,
        tokens_out=attempt.usage.completion_tokens if attempt.usage else None,
        exact=attempt.usage.exact if attempt.usage else False,
    )


def _cells(entry: Entry) -> tuple[object, ...]:
    tried = "; ".join(f"{t.provider}/{t.model} {t.error or 'ok'}" for t in entry.attempts)
    time = datetime.fromtimestamp(entry.at, timezone.utc).isoformat(timespec="milliseconds")
    return (
        *(time, entry.request_id, entry.client, entry.asked_for, entry.status, entry.error),
        *(entry.provider, entry.model, entry.key, entry.stream),
        *(entry.tokens_in, entry.tokens_out, entry.exact),
        *(round(entry.duration, 3), _rounded(entry.first_token), tried),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _lines(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([tuple(map(_harmless, row)) for row in rows])
    return text.getvalue()


def _harmless(cell: object) -> object:
    """Text that a spreadsheet would run is marked as text by an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
