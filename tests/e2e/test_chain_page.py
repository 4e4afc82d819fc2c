"""The page Chain in a real browser: moved by mouse and by keyboard, the next call follows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.e2e import browser as harness
from tests.e2e.browser import DESKTOP, PHONE, Person, axe, shot, too_wide
from tests.e2e.chain import REFS, order, put_back, served, serving
from tests.e2e.server import Server

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("chain")) as server:
        yield server


@pytest.fixture
def person(browser: Browser, server: Server, login: StorageState) -> Iterator[Person]:
    put_back(server)
    person = Person(browser, server, storage_state=login)
    person.page.goto("/chain")
    expect(person.page.locator("[data-live]")).to_be_visible()
    yield person
    person.close()
    assert person.complaints == []


def drag(page: Page, what: str, onto: str) -> None:
    """By the handle of a row, or of a family, past the middle of another."""
    start = page.get_by_role("button", name=f"Move {what}").bounding_box()
    end = page.get_by_role("button", name=f"Move {onto}").bounding_box()
    assert start and end
    page.mouse.move(start["x"] + 10, start["y"] + 10)
    page.mouse.down()
    for step in range(1, 9):
        part = step / 8
        page.mouse.move(start["x"] + 10, start["y"] + 10 + part * (end["y"] - start["y"]), steps=2)
    page.mouse.up()


def test_dragged_by_mouse_the_next_call_follows(person: Person, server: Server) -> None:
    page = person.page
    assert served(server) == "from first"
    drag(page, "second/m", "first/m")
    expect(page.get_by_text("second/m is at place 1 of 4").first).to_be_visible()
    assert order(page) == ["second/m", "first/m", "third/m", "fourth/n"]
    expect(page.locator("[data-next]")).to_have_id("second/m")
    assert served(server) == "from second"
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-next]")).to_have_id("first/m")
    assert served(server) == "from first"


def test_moved_by_keyboard_the_next_call_follows(person: Person, server: Server) -> None:
    page = person.page
    page.get_by_role("button", name="Move third/m").focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-announcer]")).to_have_text("third/m, place 2 of 4.")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    expect(page.locator("[data-next]")).to_have_id("third/m")
    expect(page.get_by_role("button", name="Move third/m")).to_be_focused()
    assert served(server) == "from third"
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    assert order(page)[0] == "third/m"


def test_the_menu_and_the_switch(person: Person, server: Server) -> None:
    page = person.page
    page.get_by_label("More for second/m").click()
    shot(page, "chain-menu")
    page.get_by_role("button", name="Move to top").click()
    expect(page.locator("[data-next]")).to_have_id("second/m")
    page.get_by_role("switch", name="second/m").click()
    expect(page.locator("[data-next]")).to_have_id("first/m")
    assert served(server) == "from first"
    # It is off: there is one thing to do with it.
    page.locator("[data-folded-said]").click()
    page.get_by_role("link", name="More for second/m").click()
    menu = page.get_by_role("group", name="More for second/m")
    expect(menu.get_by_role("button")).to_have_text(["Turn on"])
    menu.get_by_role("button", name="Turn on").click()
    expect(page.locator("[data-next]")).to_have_id("second/m")
    page.get_by_role("link", name="More for second/m").click()
    expect(menu.get_by_role("button")).to_have_count(5)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator("[data-next]")).to_have_id("first/m")


def test_families_are_moved_whole(person: Person, server: Server) -> None:
    page = person.page
    page.get_by_role("button", name="By family").click()
    # The dots are drawn by the style sheet, once.
    expect(page.locator(".family-handle *")).to_have_count(0)
    page.get_by_role("button", name="Move the family n").focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-announcer]")).to_have_text("n, place 1 of 2 families.")
    page.keyboard.press("Space")
    expect(page.locator("[data-next]")).to_have_id("fourth/n")
    expect(page.get_by_role("button", name="Move the family n")).to_be_focused()
    assert served(server) == "from fourth"
    drag(page, "the family m", "the family n")
    expect(page.locator("[data-next]")).to_have_id("first/m")
    assert order(page) == list(REFS)
    # Within its family, a model is moved as in the plain list.
    page.get_by_role("button", name="Move second/m").focus()
    for key in ("Space", "ArrowUp", "ArrowUp", "Space"):
        page.keyboard.press(key)
    expect(page.locator("[data-next]")).to_have_id("second/m")
    drag(page, "third/m", "second/m")
    expect(page.locator("[data-next]")).to_have_id("third/m")
    assert order(page) == ["third/m", "second/m", "first/m", "fourth/n"]
    shot(page, "chain-family")
    assert axe(page) == []
    page.get_by_role("button", name="By family").click()
    assert order(page) == ["third/m", "second/m", "first/m", "fourth/n"]


def test_what_was_measured_is_shown(person: Person, server: Server) -> None:
    served(server)
    row = person.page.locator('[id="first/m"]')
    expect(row.locator(".speed")).to_contain_text("tok/s")
    expect(row.locator(".success")).to_contain_text("100")
    expect(row.locator(".left")).to_contain_text("today")
    for column, widest in (
        (".left", "99.9 K tok a month"),
        (".speed", "1,870 tok/s"),
        (".success", "99.9 %"),
    ):
        needed = "(at, said) => { at.textContent = said; return [at.scrollWidth, at.clientWidth]; }"
        width, room = row.locator(column).evaluate(needed, widest)
        assert width <= room, column


def test_a_preset_orders_at_once_and_is_taken_back(person: Person, server: Server) -> None:
    page = person.page
    page.locator(".chain-presets > summary").click()
    page.get_by_role("button", name="Most quota first").click()
    expect(page.locator(".toast", has_text="Most quota first.")).to_be_visible()
    page.get_by_label("More for fourth/n").click()
    page.get_by_role("button", name="Move to top").click()
    expect(page.locator("[data-next]")).to_have_id("fourth/n")
    assert served(server) == "from fourth"
    for many in (1, 2):
        page.get_by_role("button", name="Undo").last.click()
        expect(page.get_by_text("As it was before.")).to_have_count(many)
    expect(page.locator("[data-next]")).to_have_id("first/m")
    assert order(page) == list(REFS)


def test_a_second_tab_follows_within_two_seconds_and_says_so(person: Person) -> None:
    other = person.open_tab()
    # Its clock stands still but where it is told to go on, so no machine is too slow for this.
    other.clock.install()
    other.goto("/chain")
    expect(other.locator("[data-live]")).to_be_visible()
    other.clock.pause_at(other.evaluate("Date.now()") + 60_000)
    expect(other.locator("[data-next]")).to_have_id("first/m")
    page = person.page
    page.get_by_label("More for third/m").click()
    page.get_by_role("button", name="Move to top").click()
    expect(page.locator("[data-next]")).to_have_id("third/m")
    with other.expect_response("**/api/chain/live"):
        other.clock.run_for(2_000)
    expect(other.locator("[data-next]")).to_have_id("third/m")
    expect(other.get_by_text("The chain was changed elsewhere.")).to_be_visible()


def test_a_stale_tab_changes_nothing_says_so_and_shows_what_is(person: Person) -> None:
    other = person.open_tab()
    other.clock.install()
    other.goto("/chain")
    expect(other.locator("[data-live]")).to_be_visible()
    # It looks no more, so it knows nothing of what the first tab does.
    other.clock.pause_at(other.evaluate("Date.now()") + 60_000)
    expect(other.locator("[data-next]")).to_have_id("first/m")
    page = person.page
    page.get_by_label("More for third/m").click()
    page.get_by_role("button", name="Move to top").click()
    expect(page.locator("[data-next]")).to_have_id("third/m")
    other.get_by_role("switch", name="second/m").click()
    expect(other.get_by_text("your change was not made")).to_be_visible()
    expect(other.locator("[data-next]")).to_have_id("third/m")
    expect(other.get_by_role("switch", name="second/m")).to_have_attribute("aria-checked", "true")
    person.complaints[:] = [said for said in person.complaints if "409" not in said]


def test_a_lost_server_is_told_and_nothing_is_shown_that_it_did_not_do(person: Person) -> None:
    page = person.page
    switch = page.get_by_role("switch", name="second/m")
    person.context.set_offline(True)
    switch.click()
    expect(page.locator(".toast")).to_contain_text("The server cannot be reached. Nothing was")
    expect(page.get_by_text("Trying again")).to_be_visible()
    expect(switch).to_have_attribute("aria-checked", "true")
    page.get_by_label("More for third/m").click()
    page.get_by_role("button", name="Move to top").click()
    expect(page.locator(".toast", has_text="Nothing was changed")).to_have_count(2)
    assert order(page) == list(REFS)
    page.get_by_role("button", name="Fast", exact=True).click()
    expect(page.locator(".toast", has_text="Nothing was changed")).to_have_count(3)
    expect(page.get_by_role("button", name="Priority")).to_have_attribute("aria-pressed", "true")
    person.context.set_offline(False)
    expect(page.get_by_text("Trying again")).to_be_hidden()
    # It works again as it is, without a reload.
    switch.click()
    expect(page.locator(".toast", has_text="second/m is off.")).to_be_visible()
    expect(page.locator("[data-rows] .row")).to_have_count(len(REFS) - 1)
    person.complaints[:] = [said for said in person.complaints if "ERR_INTERNET" not in said]


def test_under_a_strategy_dragging_asks_to_switch(person: Person) -> None:
    page = person.page
    page.get_by_role("button", name="Smart", exact=True).click()
    expect(page.locator(".chain-list")).to_have_attribute("data-strategy", "smart")
    drag(page, order(page)[2], order(page)[0])
    expect(page.get_by_role("dialog", name="Order by hand?")).to_be_visible()
    assert axe(page) == []
    wanted = order(page)
    page.get_by_role("button", name="Switch and move").click()
    expect(page.locator(".chain-list")).to_have_attribute("data-strategy", "priority")
    assert order(page) == wanted
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator(".chain-list")).to_have_attribute("data-strategy", "smart")
    page.get_by_role("button", name="Priority", exact=True).click()
    expect(page.locator(".chain-list")).to_have_attribute("data-strategy", "priority")


def test_only_those_that_can_do_something_are_shown(person: Person, server: Server) -> None:
    page = person.page
    only = page.get_by_label("Show only")
    seen = page.locator("[data-rows] .row:visible")
    for label, refs in (
        ("With tools", REFS),
        ("With vision", ["fourth/n"]),
        ("With reasoning", []),
        ("Ready now", REFS),
        ("All models", REFS),
    ):
        only.select_option(label)
        expect(seen).to_have_count(len(refs))
        assert seen.evaluate_all("rows => rows.map((row) => row.id)") == list(refs)
        expect(page.get_by_text("No model in the chain is like that.")).to_be_visible(
            visible=not refs
        )


def test_search_families_and_several_at_once(person: Person) -> None:
    page = person.page
    page.get_by_label("Search the models").fill("second")
    expect(page.locator("[data-rows] .row:visible")).to_have_count(1)
    page.get_by_label("Search the models").fill("")
    page.get_by_role("button", name="By family").click()
    expect(page.locator(".family")).to_have_count(2)
    shot(page, "chain-family")
    page.get_by_role("button", name="By family").click()
    page.get_by_label("Choose second/m").check()
    page.get_by_label("Choose third/m").check()
    shot(page, "chain-chosen")
    assert axe(page) == []
    page.get_by_role("button", name="To top").click()
    expect(page.locator("[data-next]")).to_have_id("second/m")
    assert order(page) == ["second/m", "third/m", "first/m", "fourth/n"]


def test_chosen_models_go_with_the_one_that_is_dragged(person: Person, server: Server) -> None:
    page = person.page
    page.get_by_label("Choose second/m").check()
    page.get_by_label("Choose fourth/n").check()
    drag(page, "fourth/n", "first/m")
    expect(page.locator(".toast", has_text="2 models were moved.")).to_be_visible()
    assert order(page) == ["second/m", "fourth/n", "first/m", "third/m"]
    assert served(server) == "from second"
    # One that is not chosen goes alone.
    drag(page, "third/m", "second/m")
    expect(page.locator("[data-next]")).to_have_id("third/m")
    assert order(page) == ["third/m", "second/m", "fourth/n", "first/m"]


def test_words_move_through_the_whole_chain_whatever_a_filter_hides(person: Person) -> None:
    page = person.page
    page.get_by_label("Choose first/m").check()
    page.get_by_label("Search the models").fill("fourth")
    page.get_by_label("Choose fourth/n").check()
    expect(page.locator("[data-chosen]")).to_have_text("2 models chosen, 1 of them not in sight")
    page.get_by_role("button", name="To bottom").click()
    expect(page.locator('[id="fourth/n"]')).to_have_attribute("data-n", "4")
    assert order(page) == ["second/m", "third/m", "first/m", "fourth/n"]
    page.get_by_label("More for fourth/n").click()
    page.get_by_role("button", name="Move to top").click()
    expect(page.locator("[data-announcer]")).to_have_text("fourth/n is at place 1 of 4.")
    page.get_by_label("Search the models").fill("")
    expect(page.locator("[data-next]")).to_have_id("fourth/n")


def test_several_are_chosen_and_moved_by_the_keyboard(person: Person, server: Server) -> None:
    page = person.page
    first = page.get_by_label("Choose first/m")
    first.focus()
    page.keyboard.press("Space")
    expect(page.locator("[data-announcer]")).to_contain_text("1 model chosen. Press Enter")
    # With Shift, all in between are chosen as well.
    page.get_by_label("Choose third/m").click(modifiers=["Shift"])
    expect(page.locator("[data-chosen]")).to_have_text("3 models chosen")
    first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="To top")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("[data-next]")).to_have_id("fourth/n")
    assert served(server) == "from fourth"
    page.keyboard.press("Escape")
    expect(page.locator("[data-selected]")).to_be_hidden()
    expect(page.get_by_label("Choose third/m")).to_be_focused()


def test_why_shows_the_route_of_a_request_and_of_a_past_one(person: Person, server: Server) -> None:
    page = person.page
    served(server)
    request_id = server.rows()[-1].request_id
    page.get_by_role("button", name="Why?").click()
    panel = page.get_by_role("region", name="Why?")
    # An ordinary request is asked about at once: who would be asked, row by row, and in what order.
    expect(panel.locator(".why-plan summary strong")).to_have_text(REFS)
    expect(panel.get_by_text("Asked first: first/m")).to_be_visible()
    page.get_by_label("with tools").check()
    page.get_by_role("button", name="Show the route").click()
    expect(panel.get_by_text("needs tools")).to_be_visible()
    # Why the others are not needed is folded away, and what shuts the panel stays at hand.
    first, second = (
        panel.locator(".why-plan details").nth(0),
        panel.locator(".why-plan details").nth(1),
    )
    expect(first.get_by_text("capability:")).to_be_visible()
    expect(second.get_by_text("capability:")).to_be_hidden()
    second.locator("summary").click()
    expect(second.get_by_text("capability:")).to_be_visible()
    expect(panel.get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
    shot(page, "chain-why")
    assert axe(page) == []
    page.goto(f"/chain?request={request_id}")
    expect(panel.get_by_text("Answered by")).to_be_visible()
    expect(panel.locator(".why-plan > li")).to_have_count(1)
    shot(page, "chain-why-past")
    panel.get_by_role("button", name="Its route as of now").click()
    expect(panel.locator(".why-plan summary strong")).to_have_text(REFS)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_it_fits_a_phone_and_the_dark(person: Person) -> None:
    page = person.page
    for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            shot(page, f"chain-{scheme}{suffix}")
            assert axe(page) == []
            assert too_wide(page) <= 0


def test_without_a_script_the_buttons_are_enough(
    browser: Browser, server: Server, login: StorageState
) -> None:
    put_back(server)
    person = Person(browser, server, java_script_enabled=False, storage_state=login)
    page = person.page
    page.goto("/chain")
    page.get_by_label("More for third/m").click()
    page.get_by_role("button", name="Move to top").click()
    expect(page.locator("[data-next]")).to_have_id("third/m")
    assert served(server) == "from third"
    person.close()
