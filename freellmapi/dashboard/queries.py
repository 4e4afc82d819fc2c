"""What the dashboard asks the database beyond the sums: names, and pages of recent requests.

Every look at the log is bounded: a page searches so many rows back and says where it
stopped, as a filter that nothing fits would otherwise read a million rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, exists, func, or_, select

from freellmapi.core.errors import ErrorKind
from freellmapi.core.values import dataclass
from freellmapi.dashboard.names import Names
from freellmapi.storage.db import Database
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.request_log import read_rows
from freellmapi.storage.tables import attempts, client_tokens, provider_keys, requests

PAGE = 50
LARGEST_PAGE = 200
SEARCHED = 20_000
"""Rows of the log that one page looks at."""
LONGEST_REQUEST = 3_600.0
_OVERTAKEN = ErrorKind.HEDGED_OUT.value


@dataclass(frozen=True, slots=True)
class Filters:
    """Which requests are wanted; None and empty is any.

    ``failed``: whether the client got an error. ``provider``: who served it or was asked.
    ``model``: what was asked for or who served it, in full. ``client``: the token's id, 0 for
    none. ``text``: a piece of the request id. ``since``: not before, in epoch seconds.
    """

    failed: bool | None = None
    provider: str = ""
    model: str = ""
    client: int | None = None
    fallback_only: bool = False
    text: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Rows, newest first. ``next_before`` is where to go on, None at the log's end; there
    may be more when there are no ``rows``, as only part of the log was searched."""

    rows: tuple[LoggedRequest, ...]
    next_before: int | None
    names: Names


def names(connection: Connection) -> Names:
    """Of all keys and client tokens that are stored."""
    k, t = provider_keys.c, client_tokens.c
    keys = {
        str(id): (label or mask, mask if label else "")
        for id, label, mask in connection.execute(select(k.id, k.label, k.mask))
    }
    clients = {
        str(id): (name, "" if revoked_at is None else "revoked")
        for id, name, revoked_at in connection.execute(select(t.id, t.name, t.revoked_at))
    }
    return Names(keys, clients)


def recent(
    database: Database, filters: Filters, before: int | None = None, limit: int = PAGE
) -> Found:
    """The newest requests that fit, older than row ``before`` if given."""
    with database.connect() as connection:
        return recent_in(connection, filters, before, limit)


def recent_in(
    connection: Connection, filters: Filters, before: int | None = None, limit: int = PAGE
) -> Found:
    """The same, as one connection sees them."""
    limit = max(1, min(limit, LARGEST_PAGE))
    named = names(connection)
    if filters.text and before is None:
        # A whole id is found wherever it is, by its index.
        whole = select(requests).where(requests.c.request_id == filters.text).limit(limit)
        if rows := read_rows(connection, whole.order_by(requests.c.id.desc())):
            return Found(rows, None, named)
    top = before if before is not None else _newest(connection) + 1
    bottom = max(0, top - SEARCHED)
    query = (
        _filtered(filters)
        .where(requests.c.id < top, requests.c.id >= bottom)
        .order_by(requests.c.id.desc())
        .limit(limit)
    )
    rows = read_rows(connection, query)
    if len(rows) == limit and rows[-1].id is not None:
        bottom = rows[-1].id
    return Found(rows, _next(connection, filters, bottom), named)


def newest(database: Database) -> int:
    """The id of the last request in the log, 0 without any."""
    with database.connect() as connection:
        return _newest(connection)


def all_recent(database: Database, filters: Filters, most: int) -> Iterator[Found]:
    """Page after page, each read on its own, until so many rows were found."""
    before: int | None = None
    while most > 0:
        found = recent(database, filters, before, min(most, LARGEST_PAGE))
        most -= len(found.rows)
        yield found
        before = found.next_before
        if before is None:
            return


def _newest(connection: Connection) -> int:
    return connection.scalar(select(func.max(requests.c.id))) or 0


def _next(connection: Connection, filters: Filters, bottom: int) -> int | None:
    """``bottom`` when there is anything before it to search."""
    r = requests.c
    query = select(r.at).where(r.id < bottom).order_by(r.id.desc()).limit(1)
    older = connection.scalar(query)
    if older is None:
        return None
    # Rows are in the order in which requests ended, which began somewhat before.
    is_over = filters.since is not None and older < filters.since - LONGEST_REQUEST
    return None if is_over else bottom


def _filtered(filters: Filters) -> Select[Any]:
    r, a = requests.c, attempts.c
    query = select(requests)
    if filters.failed is not None:
        failed = or_(r.error.is_not(None), r.status >= 400)
        query = query.where(failed if filters.failed else ~failed)
    if filters.provider:
        asked = exists().where(a.log_id == r.id, a.provider == filters.provider)
        query = query.where(or_(r.provider == filters.provider, asked))
    if filters.model:
        query = query.where(or_(r.model == filters.model, r.served_model == filters.model))
    if filters.client is not None:
        none = filters.client == 0
        query = query.where(r.token_id.is_(None) if none else r.token_id == filters.client)
    if filters.fallback_only:
        calls = select(func.count()).where(a.log_id == r.id, a.error.is_distinct_from(_OVERTAKEN))
        query = query.where(calls.correlate(requests).scalar_subquery() > 1)
    if filters.text:
        query = query.where(r.request_id.contains(filters.text, autoescape=True))
    if filters.since is not None:
        query = query.where(r.at >= filters.since)
    return query
