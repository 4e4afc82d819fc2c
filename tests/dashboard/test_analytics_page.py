"""The page Analytics: whole in its HTML, asked by its address, and silent when nothing changed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from freellmapi.dashboard.pages.analytics_asked import Asked, By, Outcome
from freellmapi.dashboard.pages.analytics_charts import times
from freellmapi.dashboard.pages.analytics_page import FEW_LINES
from freellmapi.dashboard.periods import Range
from freellmapi.services import Services
from tests.dashboard.conftest import Visitor
from tests.dashboard.traffic import answered, refused, write


@pytest.fixture
def busy(owner: Visitor, services: Services) -> Visitor:
    """Somebody who looks at three requests, the last of which failed."""
    now = services.clock.now()
    rows = [answered(now - 300), answered(now - 200, model="fast"), refused(now - 100)]
    write(services.database, rows)
    return owner


def test_nothing_yet_says_what_to_do(owner: Visitor) -> None:
    html = owner.get("/analytics").get_data(as_text=True)
    assert "No requests yet" in html
    assert "curl http://localhost/v1/chat/completions" in html
    assert "chart.umd" not in html


def test_a_quiet_period_leads_to_a_longer_one(owner: Visitor, services: Services) -> None:
    write(services.database, [answered(services.clock.now() - 5 * 86_400)])
    html = owner.get("/analytics").get_data(as_text=True)
    assert "No requests in the last 24 hours" in html
    assert "/analytics?range=90d" in html


def test_figures_tables_and_requests_are_in_the_html(busy: Visitor) -> None:
    html = busy.get("/analytics").get_data(as_text=True)
    assert html.count('class="tile"') == 8
    assert html.count("<canvas") == 7
    assert "66.7" in html
    assert html.count('class="row"') == 3
    assert html.count('class="call"') == 4
    assert "style=" not in html


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("outcome=failed", 1),
        ("outcome=answered", 2),
        ("outcome=fallback", 1),
        ("model=fast", 1),
        ("provider=google", 1),
        ("client=1", 3),
        ("client=0", 0),
        ("before=2", 1),
        ("text=nothing-like-it", 0),
        ("outcome=nonsense&client=x&before=-1&range=9y&tz=Mars", 3),
    ],
)
def test_filters_are_in_the_address(busy: Visitor, query: str, rows: int) -> None:
    html = busy.get(f"/analytics?{query}").get_data(as_text=True)
    assert html.count('class="row"') == rows


def test_an_open_row_is_in_the_address(busy: Visitor) -> None:
    html = busy.get("/analytics?open=2").get_data(as_text=True)
    assert html.count('aria-expanded="true"') == 1
    assert '<tr class="detail" id="d2"><td' in html


def test_charts_carry_their_values_and_tables_are_shown_when_asked_for(busy: Visitor) -> None:
    html = busy.get("/analytics?tz=UTC").get_data(as_text=True)
    columns = _json(html, "requests-data")
    assert {column["name"]: sum(column["values"]) for column in columns} == {
        "Groq": 2,
        "not served": 1,
    }
    assert len(_json(html, "axis")["whens"]) == len(columns[0]["values"]) == 24
    assert (
        '<th scope="row">' not in html.partition('id="breakdown-section"')[0].partition("quota")[0]
    )
    shown = busy.get("/analytics?tz=UTC&tables=1").get_data(as_text=True)
    table = shown.partition('id="requests-table"')[2].partition("</table>")[0]
    assert table.count('<th scope="row">') == 24
    assert sum(map(int, re.findall(r"<td[^>]*>([0-9]+)</td>", table))) == 3
    assert "tables=1" in shown.partition('id="filters"')[2]


def _json(html: str, id: str) -> Any:
    return json.loads(html.partition(f'id="{id}"')[2].partition(">")[2].partition("</script>")[0])


@pytest.mark.parametrize("by", list(By))
@pytest.mark.parametrize("over", list(Range))
def test_every_range_and_breakdown_is_shown(busy: Visitor, by: By, over: Range) -> None:
    response = busy.get(f"/analytics?range={over.value}&by={by.value}")
    assert response.status_code == 200
    assert f"Requests by {by.value}" in response.get_data(as_text=True)


def test_a_long_breakdown_shows_its_first_rows_and_leads_to_the_rest(
    owner: Visitor, services: Services
) -> None:
    many, now = FEW_LINES + 2, services.clock.now()
    write(
        services.database,
        [answered(now - 60 - n, served_model=f"model-{n}", attempts=()) for n in range(many)],
    )
    address, rows = "/analytics?by=model", re.compile(r'class="with-bar"')
    few = owner.get(address).get_data(as_text=True)
    assert len(rows.findall(few)) == FEW_LINES
    assert "and 2 more with fewer requests" in few
    assert "/analytics?by=model&amp;lines=all#breakdown-section" in few
    whole = owner.get(f"{address}&lines=all").get_data(as_text=True)
    assert len(rows.findall(whole)) == many
    assert "more with fewer requests" not in whole
    assert 'href="/analytics?by=model#breakdown-section"' in whole


def test_live_answers_nothing_while_nothing_changed(busy: Visitor, services: Services) -> None:
    first = busy.get("/api/analytics").get_json()
    assert 'class="tile"' in first["html"]
    assert busy.get(f"/api/analytics?mark={first['mark']}").status_code == 204
    write(services.database, [answered(services.clock.now())])
    assert busy.get(f"/api/analytics?mark={first['mark']}").status_code == 200


def test_the_export_follows_the_filters(busy: Visitor) -> None:
    response = busy.get("/api/analytics/requests.csv?outcome=failed")
    assert response.headers["Content-Disposition"].startswith('attachment; filename="requests-24h-')
    rows = list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))
    assert [row["error"] for row in rows] == ["rate_limited"]


def test_times_are_on_the_viewers_clock(busy: Visitor, services: Services) -> None:
    asked = Asked.of({"tz": "Asia/Kolkata"}, "")
    wanted = f"{asked.local(services.clock.now() - 300):%H:%M:%S}"
    assert wanted in busy.get("/analytics?tz=Asia/Kolkata").get_data(as_text=True)
    assert wanted not in busy.get("/analytics").get_data(as_text=True)


@pytest.mark.parametrize(
    ("args", "cookie", "zone"),
    [
        ({}, "", "UTC"),
        ({}, "Europe/Berlin", "Europe/Berlin"),
        ({"tz": "+05:30"}, "Europe/Berlin", "+05:30"),
        ({"tz": "../etc/passwd"}, "Not/AZone", "UTC"),
    ],
)
def test_the_zone_is_the_addresss_else_the_browsers(
    args: Mapping[str, str], cookie: str, zone: str
) -> None:
    assert Asked.of(args, cookie).zone == zone


def test_an_address_names_only_what_is_unusual() -> None:
    asked = Asked(range=Range.WEEK, by=By.MODEL, outcome=Outcome.FAILED, before="9", open="8")
    assert asked.query() == {"range": "7d", "by": "model", "outcome": "failed"}
    assert asked.query(range=Range.DAY, by=By.PROVIDER, outcome="", open=7) == {"open": "7"}


@pytest.mark.parametrize(("over", "steps"), [("24h", 24), ("7d", 28), ("30d", 30), ("90d", 90)])
def test_an_axis_has_few_words(over: str, steps: int) -> None:
    hours = {"24h": 1, "7d": 6}.get(over, 24)
    local = Asked().local
    ticks = [times(local(i * hours * 3600), Range(over), i)[1] for i in range(steps)]
    assert 5 <= sum(map(bool, ticks)) <= 7


def test_no_stranger_sees_it(stranger: Visitor) -> None:
    for path in ("/api/analytics", "/api/analytics/requests.csv"):
        assert stranger.get(path).status_code == 401
