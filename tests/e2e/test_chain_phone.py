"""The page Chain on a phone: cards that tell all, moved and chosen by a finger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, StorageState, ViewportSize, expect

from tests.e2e import browser as harness
from tests.e2e.browser import PHONE, Person, axe, shot, too_wide
from tests.e2e.chain import REFS, SHIFT, order, put_back, served, serving
from tests.e2e.server import Server

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

SMALL: ViewportSize = {"width": 360, "height": 780}
ROW_TARGETS = "[data-rows] :is(.row-handle, .toggle, .more)"
BAR_TARGETS = "[data-bar] > :is(button, select):not([hidden]), [data-bar] summary, [data-many]"
SEGMENTS = "[data-strategies] button"
MISSED = """targets => targets.flatMap((target) => {
  const box = target.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const around = [[-21, 0], [21, 0], [0, -21], [0, 21]];
  const hits = ([dx, dy]) => target.contains(document.elementFromPoint(x + dx, y + dy));
  return around.every(hits) ? [] : [target.outerHTML.slice(0, 120)];
})"""
"""Of these elements, those that a finger misses within 44 by 44 pixels."""


CELLS = "[data-rows] .row :is(.can, .left, .speed, .success, .now, .by)"
CUT = """cells => cells.filter((cell) =>
  cell.scrollWidth > cell.clientWidth || cell.getBoundingClientRect().right > innerWidth
).map((cell) => cell.outerHTML)"""
"""Those of these cells of which something is not seen."""
WIDEST = {".left": "99.9 K tok a month", ".speed": "1,870 tok/s", ".success": "99.9 %"}
AFTER = "cell => getComputedStyle(cell, '::after').content.replaceAll('\"', '')"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("chain")) as server:
        yield server


@pytest.fixture(params=[PHONE, SMALL], ids=["390", "360"])
def person(
    request: pytest.FixtureRequest, browser: Browser, server: Server, login: StorageState
) -> Iterator[Person]:
    put_back(server)
    size: ViewportSize = request.param
    person = Person(browser, server, storage_state=login, viewport=size, has_touch=True)
    person.page.goto("/chain")
    expect(person.page.locator("[data-live]")).to_be_visible()
    yield person
    person.close()
    assert person.complaints == []


def tap(page: Page, what: str) -> None:
    page.get_by_role("button", name=what, exact=True).tap()


def choose(page: Page, *refs: str) -> None:
    """By the cards, anywhere but on their buttons."""
    for ref in refs:
        page.locator(f'[id="{ref}"] .can').tap()


def test_a_card_tells_what_a_row_does(person: Person, server: Server) -> None:
    page = person.page
    served(server)
    first, fourth = page.locator('[id="first/m"]'), page.locator('[id="fourth/n"]')
    # Figures alone are drawn anew every few seconds at most.
    expect(first.locator(".speed")).to_be_visible(timeout=15_000)
    for cell, said in ((".left", "today"), (".speed", "tok/s"), (".success", "100"), (".by", "")):
        expect(first.locator(cell)).to_be_visible()
        expect(first.locator(cell)).to_contain_text(said)
    expect(first.locator(".now")).to_have_text("next up")
    expect(fourth.locator(".can")).to_have_text("100 K")
    assert fourth.locator(".can").evaluate(AFTER) == " · tools · vision"
    for cell, text in WIDEST.items():
        first.locator(cell).evaluate("(cell, text) => (cell.textContent = text)", text)
    assert page.eval_on_selector_all(CELLS, CUT) == []
    # What was not measured is left out, not a dash without its heading.
    expect(fourth.locator(".speed")).to_be_hidden()
    shot(page, f"chain-card-{(page.viewport_size or PHONE)['width']}")


def test_the_menu_says_what_there_is_no_pointer_for(person: Person) -> None:
    page = person.page
    page.get_by_label("More for fourth/n").tap()
    menu = page.get_by_role("group", name="More for fourth/n")
    for words in (
        "fourth/n",
        "Calls tools, sees images, 100,000 tokens",
        "requests left today",
        "Not called",
    ):
        expect(menu).to_contain_text(words)
    expect(menu).to_be_in_viewport(ratio=1)
    assert axe(page) == []


def test_dragged_by_a_finger_the_next_call_follows(person: Person, server: Server) -> None:
    page = person.page
    assert page.eval_on_selector_all(ROW_TARGETS, MISSED) == []
    start = page.get_by_role("button", name="Move third/m").bounding_box()
    end = page.get_by_role("button", name="Move first/m").bounding_box()
    assert start and end
    finger = person.context.new_cdp_session(page)

    def touch(kind: str, *points: float) -> None:
        at = [{"x": start["x"] + 20, "y": y} for y in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    touch("touchStart", start["y"] + 20)
    for step in range(1, 11):
        touch("touchMove", start["y"] + 20 + step / 10 * (end["y"] - start["y"]))
    shot(page, "chain-touch")
    touch("touchEnd")
    expect(page.locator("[data-next]")).to_have_id("third/m")
    assert page.evaluate("scrollY") == 0
    assert served(server) == "from third"


def test_several_are_chosen_by_a_finger_and_moved(person: Person, server: Server) -> None:
    page = person.page
    tap(page, "Select")
    expect(page.locator(".row-handle:visible")).to_have_count(0)
    choose(page, "third/m", "fourth/n", "first/m")
    choose(page, "first/m")
    expect(page.locator("[data-chosen]")).to_have_text("2 models chosen")
    expect(page.locator("[data-announcer]")).to_contain_text("2 models chosen")
    page.evaluate("scrollTo(0, 0)")
    assert page.eval_on_selector_all(f"{BAR_TARGETS}, {SEGMENTS}", MISSED) == []
    assert too_wide(page) <= 0
    shot(page, f"chain-select-{(page.viewport_size or PHONE)['width']}")
    assert axe(page) == []
    tap(page, "To top")
    expect(page.locator("[data-next]")).to_have_id("third/m")
    expect(page.locator("[data-announcer]")).to_have_text("2 models were moved to the top.")
    assert served(server) == "from third"
    tap(page, "Down")
    expect(page.locator("[data-next]")).to_have_id("first/m")
    assert order(page) == ["first/m", "third/m", "fourth/n", "second/m"]
    tap(page, "To bottom")
    expect(page.locator("[data-rows] .row").last).to_have_id("fourth/n")
    tap(page, "Up")
    expect(page.locator("[data-rows] .row").last).to_have_id("second/m")
    expect(page.locator(".toast")).to_have_count(4)
    expect(page.locator(".toast:visible")).to_have_count(2)
    # Each Undo takes back one more, not the one before it.
    for last in ("fourth/n", "second/m", "second/m", "fourth/n"):
        page.get_by_role("button", name="Undo").last.tap()
        expect(page.locator("[data-rows] .row").last).to_have_id(last)
    expect(page.locator("[data-next]")).to_have_id("first/m")
    assert order(page) == list(REFS)
    tap(page, "Done")
    expect(page.locator("[data-selected]")).to_be_hidden()
    expect(page.get_by_role("button", name="Move first/m")).to_be_visible()
    expect(page.locator(".row-check:checked")).to_have_count(0)


def test_several_are_turned_off_and_on_again(person: Person, server: Server) -> None:
    page = person.page
    tap(page, "Select")
    choose(page, "first/m", "second/m")
    tap(page, "Turn off")
    expect(page.locator("[data-next]")).to_have_id("third/m")
    assert served(server) == "from third"
    page.get_by_text("more are not asked").tap()
    choose(page, "first/m", "second/m")
    tap(page, "Turn on")
    expect(page.locator("[data-next]")).to_have_id("first/m")
    expect(page.locator("[data-rows] .row")).to_have_count(len(REFS))
    page.get_by_role("button", name="Undo").last.tap()
    expect(page.locator("[data-rows] .row")).to_have_count(2)


def test_nothing_jumps_about(person: Person) -> None:
    page = person.page
    tap(page, "Select")
    choose(page, "third/m")
    tap(page, "Done")
    assert page.evaluate(SHIFT) <= 0.02
