"""Analytics in a real browser: charts, rows that open, filters, and what comes while it is open."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Route, StorageState, expect

from bench.seed import fill, requests
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt
from freellmapi.storage.db import Database
from tests.dashboard.traffic import answered, write
from tests.e2e import browser as harness
from tests.e2e.browser import DESKTOP, PASSWORD, PATIENCE_MS, PHONE, Person, axe, shot, too_wide
from tests.e2e.server import CLOCK, Server, config
from tests.fakes import postgres

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CAPS = {"rpm": 30, "rpd": 1000, "tpd": 3_000_000}
DAY = 86_400
SHIFTS = """new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) sum += entry.value;
  }).observe({type: "layout-shift", buffered: true});
  setTimeout(() => done(sum), 300);
})"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has been used for a month."""
    folder = tmp_path_factory.mktemp("analytics")
    with Server(folder, config({"lab": "http://127.0.0.1:9/v1"}, limits=CAPS)) as server:
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        server.kill()
        database = _database(server)
        now = CLOCK.now()
        fill(database, 3_000, now - 30 * DAY, now)
        call = Attempt("lab", "m", "anonymous", now - 30, 1.0, status=200, usage=Usage(9_000, 900))
        served = {"provider": "lab", "served_model": "m", "key_id": "anonymous"}
        write(database, [answered(now - 30, attempts=(call,), **served) for _ in range(120)])
        database.close()
        server.start()
        yield server


@pytest.fixture
def person(browser: Browser, server: Server, login: StorageState) -> Iterator[Person]:
    person = Person(browser, server, timezone_id="Asia/Kolkata", storage_state=login)
    yield person
    person.close()
    assert person.complaints == []


def drawn(page: Page, canvas: str = "canvas") -> None:
    """Returns when there is a chart.

    ``wait_for_function`` looks again by ``eval``, which the policy of the pages refuses.
    """
    for _ in range(200):
        if page.evaluate("(canvas) => !!Chart.getChart(document.querySelector(canvas))", canvas):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"no chart at {canvas}")


def test_it_is_drawn_in_the_viewers_zone_without_a_shift(person: Person) -> None:
    page = person.page
    page.goto("/analytics?range=30d")
    expect(page.locator("canvas")).to_have_count(7)
    drawn(page)
    page.wait_for_load_state("networkidle")
    page.get_by_role("link", name="24 hours").click()
    page.wait_for_url("**/analytics")
    expect(page.locator("#ranges [aria-current]")).to_contain_text("24 h")
    assert page.evaluate(SHIFTS) < 0.02
    # Half an hour off: no time of the table at the axis of 24 hours is at a full hour.
    page.locator("summary", has_text="Table").first.click()
    expect(page.locator("#requests-table th[scope=row]").first).to_contain_text(":30")


def test_it_is_accessible_and_fits(person: Person) -> None:
    page = person.page
    page.goto("/analytics?range=30d")
    drawn(page)
    page.locator(".opener").first.click()
    for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            shot(page, f"analytics-{scheme}{suffix}")
            shot(page, f"analytics-{scheme}{suffix}-full", full=True)
            assert axe(page) == []
            assert too_wide(page) <= 0


def test_on_a_phone_the_breakdown_keeps_its_figures(person: Person) -> None:
    page = person.page
    page.set_viewport_size(PHONE)
    page.goto("/analytics")
    line = page.locator("#breakdown tbody tr").first
    width = page.evaluate("innerWidth")
    for word in ("failed", "in", "out", "p50"):
        box = line.locator(f'[data-word="{word}"]').bounding_box()
        assert box and box["x"] + box["width"] <= width
    frame = page.locator("#breakdown .table-frame")
    assert frame.evaluate("(e) => e.scrollWidth <= e.clientWidth")


def test_a_time_of_the_log_is_told_in_full_where_it_is_pointed_at(person: Person) -> None:
    page = person.page
    page.goto("/analytics")
    time = page.locator("#recent time").first
    time.hover()
    expect(time).to_have_attribute("title", re.compile(r"ago, .*\d{4}"))


def test_a_row_opens_by_key_and_stays_in_the_address(person: Person) -> None:
    page = person.page
    page.goto("/analytics?range=7d")
    opener = page.locator(".opener").nth(1)
    opener.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(opener).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".timeline:visible")).to_have_count(1)
    assert "open=" in page.url
    page.reload()
    expect(page.locator(".timeline:visible")).to_have_count(1)


def test_a_row_opened_before_the_answer_in_the_viewers_zone_stays_open(person: Person) -> None:
    page = person.page
    asked: list[Route] = []
    page.route("**/api/analytics?*", lambda route: asked.append(route), times=1)
    with page.expect_request("**/api/analytics?*"):
        page.goto("/analytics?range=7d")
    opener = page.locator(".opener").first
    said = opener.inner_text()
    opener.click()
    asked[0].continue_()
    expect(opener).not_to_have_text(said)
    expect(page.locator(".timeline:visible")).to_have_count(1)


def test_filters_pages_and_breakdown_need_no_new_page(person: Person) -> None:
    page = person.page
    page.goto("/analytics?range=7d")
    page.evaluate("window.same = true")
    page.get_by_label("Outcome").select_option("fallback")
    page.wait_for_url("**outcome=fallback**")
    expect(page.locator(".row .state", has_text="answered")).to_have_count(0)
    page.get_by_role("link", name="Clear").first.click()
    expect(page.locator(".row .state", has_text="answered").first).to_be_visible()
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**before=**")
    page.get_by_role("link", name="Model", exact=True).click()
    expect(page.get_by_role("region", name="Requests by model", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("region", name="Requests by provider", exact=True)).to_be_visible()
    assert page.evaluate("window.same")


def test_what_was_asked_for_before_does_not_come_in_place_of_what_is(person: Person) -> None:
    page = person.page
    asked: list[Route] = []
    page.route("**/api/analytics?*", lambda route: asked.append(route), times=1)
    with page.expect_request("**/api/analytics?*"):
        page.goto("/analytics?range=7d")
    with page.expect_event("requestfailed") as given_up:
        page.get_by_label("Outcome").select_option("fallback")
    assert given_up.value == asked[0].request
    page.wait_for_url("**outcome=fallback**")
    expect(page.locator(".row .state", has_text="answered")).to_have_count(0)
    expect(page.locator("#analytics")).not_to_have_attribute("aria-busy", "true")


def test_a_chart_has_a_table_that_says_the_same(person: Person) -> None:
    page = person.page
    page.goto("/analytics?range=7d&tz=Asia/Kolkata")
    drawn(page)
    total = page.evaluate(
        "Chart.getChart(document.querySelector('canvas')).data.datasets"
        ".flatMap((set) => set.data).reduce((a, b) => a + b, 0)"
    )
    page.locator("summary", has_text="Table").first.click()
    cells = page.locator("#requests-table td:visible").all_inner_texts()
    assert sum(int(cell.replace(",", "")) for cell in cells) == total > 0
    figure = page.locator(".tile-figure").first.get_attribute("title") or ""
    assert int(figure.replace(",", "")) == total


def test_quota_is_drawn_against_its_cap_with_what_to_expect(person: Person) -> None:
    page = person.page
    page.goto("/analytics?range=7d")
    page.locator("[data-chart=quota]").scroll_into_view_if_needed()
    drawn(page, "[data-chart=quota] canvas")
    labels, sets = page.evaluate(
        "(({data}) => [data.labels, data.datasets.map((set) => set.label)])"
        "(Chart.getChart(document.querySelector('[data-chart=quota] canvas')))"
    )
    assert sets == ["used", "expected by the reset"]
    assert sorted(labels) == ["lab, requests today", "lab, tokens today"]
    expect(page.locator("#forecast")).to_contain_text("At the pace of the last minutes")
    card = page.locator("[data-chart=quota]")
    card.get_by_text("Table", exact=True).click()
    expect(card.get_by_role("row", name="lab, requests today")).to_contain_text("of 1 K")
    card.scroll_into_view_if_needed()
    shot(page, "analytics-quota")


def test_a_past_request_leads_to_its_route(person: Person) -> None:
    page = person.page
    page.goto("/analytics?range=7d&outcome=fallback")
    page.locator(".opener").first.click()
    id = page.locator(".detail:visible code").inner_text()
    page.get_by_role("link", name="Why this route?").click()
    page.wait_for_url(f"**/chain?request={id}")
    expect(page.locator("#why [name=request_id]")).to_have_value(id)
    expect(page.locator("#why [data-why-answer] li").nth(1)).to_be_visible()
    shot(page, "analytics-why")


def test_what_comes_while_it_is_open_appears(person: Person, server: Server) -> None:
    page = person.page
    page.goto("/analytics")
    page.mouse.move(0, 0)
    before = page.locator(".row").first.get_attribute("data-row")
    database = _database(server)
    write(database, requests(1, CLOCK.now() - 1, CLOCK.now(), random.Random(1)))
    database.close()
    expect(page.locator(".row").first).not_to_have_attribute(
        "data-row", before or "", timeout=PATIENCE_MS
    )


def test_an_open_row_is_left_alone(person: Person, server: Server) -> None:
    page = person.page
    page.goto("/analytics")
    page.locator(".opener").first.click()
    mark = page.locator("#analytics").get_attribute("data-mark") or ""
    database = _database(server)
    write(database, requests(1, CLOCK.now() - 1, CLOCK.now(), random.Random(2)))
    database.close()
    fresh = page.get_by_role("button", name="New requests have come")
    expect(fresh).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#analytics")).not_to_have_attribute("data-mark", mark)
    expect(page.locator(".timeline:visible")).to_have_count(1)
    fresh.click()
    expect(fresh).to_be_hidden()


def test_it_works_without_scripts(browser: Browser, server: Server) -> None:
    person = Person(browser, server, java_script_enabled=False)
    person.log_in()
    page = person.page
    page.goto("/analytics?range=7d")
    page.get_by_label("Outcome").select_option("fallback")
    page.get_by_role("button", name="Filter").click()
    page.locator(".opener").first.click()
    assert "outcome=fallback" in page.url
    expect(page.locator(".timeline:visible")).to_have_count(1)
    shot(page, "analytics-plain")
    page.locator("summary", has_text="Table").first.click()
    page.get_by_role("link", name="Show the tables").first.click()
    expect(page.locator("#requests-table td:visible").first).to_be_visible()
    assert "outcome=fallback" in page.url
    person.close()
    assert person.complaints == []


def test_the_first_request_ticks_itself_off(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path, config({"lab": "http://127.0.0.1:9/v1"})) as server:
        person = Person(browser, server)
        person.set_up()
        page = person.page
        page.goto("/analytics")
        expect(page.get_by_text("No requests yet")).to_be_visible()
        shot(page, "analytics-empty")
        assert axe(page) == []
        database = _database(server)
        write(database, requests(1, CLOCK.now() - 1, CLOCK.now(), random.Random(1)))
        database.close()
        expect(page.locator(".tile-figure").first).to_have_text("1", timeout=PATIENCE_MS)
        person.close()
    assert person.complaints == []


def _database(server: Server) -> Database:
    return Database.open(postgres.url_in(server.data, "freellmapi.db"))
