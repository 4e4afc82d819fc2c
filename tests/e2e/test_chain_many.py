"""The page Chain with hundreds of models, one of which is refused for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, StorageState, expect

from tests.e2e import browser as harness
from tests.e2e.browser import DESKTOP, PASSWORD, PHONE, Person
from tests.e2e.chain import SHIFT, order, served
from tests.e2e.server import Server
from tests.fakes.provider import FakeProvider, says, status

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

MANY = 240
CONFIG = """
chain = %s
[[providers]]
id = "refused"
base_url = "%s"
key = "none"
models = [{ id = "m", context = 100000 }]
[[providers]]
id = "lab"
base_url = "%s"
key = "none"
models = [%s]
"""
ON_SCREEN = """rows => rows.filter((row) => {
  const box = row.getBoundingClientRect();
  return box.height && box.top >= 0 && box.bottom <= innerHeight;
}).length"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The first model of the chain has just been asked, and said to wait ten minutes."""
    names = [f"model-{n:03}" for n in range(MANY)]
    chain = json.dumps(["refused/m", *(f"lab/{name}" for name in names)])
    models = ", ".join(f'{{ id = "{name}", context = 100000 }}' for name in names)
    with FakeProvider() as refused, FakeProvider() as lab:
        refused.default = status(429, Retry_After="600")
        lab.default = says("from lab", usage=(9, 40))
        text = CONFIG % (chain, refused.base_url, lab.base_url, models)
        with Server(tmp_path_factory.mktemp("many"), text) as server:
            server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
            assert served(server) == "from lab"
            yield server


@pytest.fixture
def person(browser: Browser, server: Server, login: StorageState) -> Iterator[Person]:
    person = Person(browser, server, storage_state=login)
    person.page.goto("/chain")
    expect(person.page.locator("[data-live]")).to_be_visible()
    yield person
    person.close()
    assert person.complaints == []


def test_a_dozen_rows_are_on_the_first_screen(person: Person) -> None:
    page = person.page
    assert page.viewport_size == DESKTOP
    assert page.eval_on_selector_all("[data-rows] .row", ON_SCREEN) >= 12
    bars = page.locator(".chain-bar")
    expect(bars).to_have_count(1)
    assert bars.evaluate("bar => bar.offsetHeight") == 40


def test_who_is_next_is_marked_and_who_is_skipped_says_why_and_how_long(person: Person) -> None:
    page = person.page
    expect(page.locator("[data-next]")).to_have_id("lab/model-000")
    expect(page.locator("[data-next] .now")).to_have_text("next up")
    now = page.locator('[id="refused/m"] .now')
    expect(now).to_contain_text("skipped: rate limited")
    expect(now).to_have_attribute("title", "Rate limited by refused, stated wait.")
    # The countdown goes on by itself.
    before = now.locator("time").inner_text()
    assert before.startswith("in 9")
    expect(now.locator("time")).not_to_have_text(before)


def test_one_of_hundreds_is_found_and_moved_to_the_top(person: Person, server: Server) -> None:
    page = person.page
    page.get_by_label("Search the models").fill("lab 173")
    expect(page.locator("[data-rows] .row:visible")).to_have_count(1)
    expect(page.locator("[data-rows] .row:visible")).to_have_id("lab/model-173")
    page.get_by_label("More for lab/model-173").click()
    page.get_by_role("button", name="Move to top").click()
    expect(page.locator("[data-announcer]")).to_have_text("lab/model-173 is at place 1 of 241.")
    expect(page.locator("[data-next]")).to_have_id("lab/model-173")
    page.get_by_label("Search the models").fill("")
    assert order(page)[:3] == ["lab/model-173", "refused/m", "lab/model-000"]
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-next]")).to_have_id("lab/model-000")


def test_undo_is_offered_for_ten_seconds(person: Person) -> None:
    page = person.page
    page.clock.install()
    page.reload()
    fold = page.locator("[data-folded-said]")
    before = fold.inner_text()
    page.clock.pause_at(page.evaluate("Date.now()") + 60_000)
    page.get_by_role("switch", name="lab/model-001").click()
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_visible()
    page.clock.run_for(9_500)
    expect(undo).to_be_visible()
    page.clock.run_for(1_000)
    expect(undo).to_be_hidden()
    # Those that are off are one line, which counts it now.
    off = int(before.split()[0])
    expect(fold).to_have_text(f"{off + 1} more are not asked: {off + 1} off")
    fold.click()
    page.get_by_role("switch", name="lab/model-001").click()
    expect(page.locator("[data-rows] .row")).to_have_count(MANY + 1)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_first_look_does_not_shift(
    browser: Browser, server: Server, login: StorageState, size: dict[str, int]
) -> None:
    person = Person(browser, server, storage_state=login, viewport=size)
    person.page.goto("/chain")
    expect(person.page.locator("[data-live]")).to_be_visible()
    assert person.page.evaluate(SHIFT) <= 0.02
    person.close()
    assert person.complaints == []
