"""Recent requests: filtered, paged by id, bounded, and safe in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from freellmapi.core.errors import ErrorKind
from freellmapi.dashboard import queries
from freellmapi.dashboard.queries import Filters, all_recent, recent
from freellmapi.dashboard.recent import COLUMNS, csv_rows, page
from freellmapi.storage.db import Database
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault
from tests.dashboard.traffic import answered, opened, refused, write
from tests.fakes.clock import FrozenClock
from tests.storage.rows import ANSWERED, NOW, REFUSED


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


OVERTAKEN = replace(REFUSED, error=ErrorKind.HEDGED_OUT, status=None, message="")
ROWS = (
    replace(answered(NOW - 7_200), request_id="old"),
    replace(refused(NOW), request_id="nobody", token_id=None),
    replace(answered(NOW), request_id="plain"),
    replace(answered(NOW, attempts=(REFUSED, ANSWERED)), request_id="second"),
    replace(answered(NOW, error="stream_broken", model="fast"), request_id="broken", token_id=2),
    replace(answered(NOW, provider="lab", served_model="own"), request_id="50%_own"),
)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (Filters(), ["50%_own", "broken", "second", "plain", "nobody", "old"]),
        (Filters(failed=True), ["broken", "nobody"]),
        (Filters(failed=False), ["50%_own", "second", "plain", "old"]),
        (Filters(provider="google"), ["nobody"]),
        (Filters(provider="gemini"), ["second"]),
        (Filters(provider="lab"), ["50%_own"]),
        (Filters(model="fast"), ["broken"]),
        (Filters(model="own"), ["50%_own"]),
        (Filters(client=2), ["broken"]),
        (Filters(client=0), ["nobody"]),
        (Filters(fallback_only=True), ["second", "nobody"]),
        (Filters(text="old"), ["old"]),
        (Filters(text="o"), ["50%_own", "broken", "second", "nobody", "old"]),
        (Filters(text="%_"), ["50%_own"]),
        (Filters(since=NOW - 60), ["50%_own", "broken", "second", "plain", "nobody"]),
        (Filters(provider="groq", failed=False, fallback_only=True), ["second"]),
        (Filters(text="' OR 1=1 --"), []),
    ],
    ids=str,
)
def test_filters(database: Database, filters: Filters, ids: list[str]) -> None:
    write(database, ROWS)
    found = recent(database, filters)
    assert ([row.request_id for row in found.rows], found.next_before) == (ids, None)


def test_a_race_is_no_fallback_and_each_call_has_its_own_tokens(database: Database) -> None:
    race = replace(answered(NOW, attempts=(OVERTAKEN, ANSWERED)), request_id="race")
    write(database, [race, *ROWS])
    found = recent(database, Filters(fallback_only=True))
    assert [row.request_id for row in found.rows] == ["second", "nobody"]
    (entry,) = page(recent(database, Filters(text="race"))).rows
    assert [(t.tokens_in, t.tokens_out, t.exact) for t in entry.attempts] == [
        (None, None, False),
        (100, 50, True),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_pages_go_on_where_the_last_one_ended(database: Database, limit: int) -> None:
    write(database, ROWS)
    before, ids = None, []
    for _ in range(10):
        found = recent(database, Filters(), before, limit)
        ids += [row.request_id for row in found.rows]
        before = found.next_before
        if before is None:
            break
    assert ids == [row.request_id for row in reversed(ROWS)]


def test_a_page_searches_only_so_far_and_says_where_to_go_on(database: Database) -> None:
    last = queries.SEARCHED + 150
    for row, id in ((ROWS[0], 100), (ROWS[2], last)):
        write(database, [replace(row, attempts=())])
        with database.begin() as connection:
            newest = "(SELECT max(id) FROM requests)"
            connection.exec_driver_sql(f"UPDATE requests SET id = {id} WHERE id = {newest}")
    none = recent(database, Filters(text="ol"))
    assert (none.rows, none.next_before) == ((), last + 1 - queries.SEARCHED)
    (row,) = recent(database, Filters(text="ol"), none.next_before).rows
    assert row.request_id == "old"
    # A whole id is found by its index, however far back.
    (row,) = recent(database, Filters(text="old")).rows
    assert row.request_id == "old"
    whole = [row for found in all_recent(database, Filters(), 10) for row in found.rows]
    assert [row.request_id for row in whole] == ["plain", "old"]


def test_what_came_before_the_period_is_not_searched(database: Database) -> None:
    write(database, [answered(NOW - 86_400), *ROWS[2:]])
    found = recent(database, Filters(since=NOW - 60), None, 2)
    found = recent(database, Filters(since=NOW - 60), found.next_before, 2)
    assert [row.request_id for row in found.rows] == ["second", "plain"]
    assert found.next_before is None


def test_no_log_is_an_empty_page(database: Database) -> None:
    assert page(recent(database, Filters())).rows == ()
    assert "".join(csv_rows(database, Filters())).splitlines() == [",".join(COLUMNS)]


def test_a_row_opens_into_its_attempts(database: Database) -> None:
    TokenStore(database, Vault(bytes(32)), FrozenClock(NOW)).create("laptop")
    write(database, [ROWS[3]])
    (entry,) = orjson.loads(orjson.dumps(page(recent(database, Filters()))))["rows"]
    assert (entry["client"], entry["key"], entry["failed"]) == ("laptop", "removed key 1", False)
    first, second = entry["attempts"]
    assert (first["error"], first["status"], first["after"]) == ("rate_limited", 429, 0.0)
    assert first["key"] == "GEMINI_API_KEY"
    assert (second["error"], second["after"], second["duration"]) == (None, 0.5, 1.5)


@pytest.mark.parametrize("sign", list("=+-@\t\r\n"))
def test_a_cell_that_a_spreadsheet_would_run_is_quoted(database: Database, sign: str) -> None:
    write(database, [answered(NOW, model=f"{sign}HYPERLINK(1)", request_id=f"{sign}2")])
    (row,) = csv.DictReader(io.StringIO("".join(csv_rows(database, Filters())), newline=""))
    assert (row["asked_for"], row["request_id"]) == (f"'{sign}HYPERLINK(1)", f"'{sign}2")
    assert row["tokens_in"] == "100"


def test_the_export_is_bounded_and_filtered(database: Database) -> None:
    write(database, ROWS)
    lines = "".join(csv_rows(database, Filters(failed=False), most=3)).splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["50%_own", "second", "plain"]
    assert lines[2].endswith("gemini/flash rate_limited; groq/llama ok")
