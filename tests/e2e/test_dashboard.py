"""The dashboard's frame in a real browser, through gunicorn: accounts, theme, phone, mishaps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, StorageState, ViewportSize, expect

from tests.e2e import browser as harness
from tests.e2e.browser import DESKTOP, PASSWORD, PHONE, Person, axe, cut, shot, too_wide
from tests.e2e.server import Server, config

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

PAGES = ("keys", "chain", "playground", "analytics", "settings", "account")
CAPS = {"rpm": 30, "rpd": 1000, "tpd": 3_000_000}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an account."""
    folder = tmp_path_factory.mktemp("dashboard")
    with Server(folder, config({"lab": "http://127.0.0.1:9/v1"}, limits=CAPS)) as server:
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield server


@pytest.fixture
def person(browser: Browser, server: Server, login: StorageState) -> Iterator[Person]:
    person = Person(browser, server, storage_state=login)
    person.page.goto("/keys")
    yield person
    person.close()
    assert person.complaints == []


def test_a_first_visit_makes_the_account(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path, config({"lab": "http://127.0.0.1:9/v1"})) as server:
        assert "setup code" in server.log()
        person = Person(browser, server)
        person.page.goto("/")
        shot(person.page, "setup")
        assert axe(person.page) == []
        person.set_up()
        expect(person.page.get_by_role("heading", name="Keys", exact=True)).to_be_visible()
        person.close()
    assert person.complaints == []


def test_a_wrong_password_is_said_at_its_field(browser: Browser, server: Server) -> None:
    person = Person(browser, server)
    person.log_in("wrong horse")
    expect(person.page.get_by_text("do not belong together")).to_be_visible()
    expect(person.page.get_by_label("Name")).to_have_value("ada")
    shot(person.page, "login-wrong")
    assert axe(person.page) == []
    person.close()
    # Chromium itself notes the 422 in its console.
    assert [c for c in person.complaints if "422" not in c] == []


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_accessible_and_fits(person: Person, page: str) -> None:
    tab = person.page
    tab.goto(f"/{page}")
    for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
        tab.set_viewport_size(size)
        for scheme in SCHEMES:
            tab.emulate_media(color_scheme=scheme)
            shot(tab, f"{page}-{scheme}{suffix}")
            assert axe(tab) == []
            assert too_wide(tab) <= 0


def test_pages_without_the_frame_are_accessible_and_fit(person: Person) -> None:
    tab = person.page
    tab.goto("/nowhere")
    expect(tab.get_by_role("heading", name="There is no such page")).to_be_visible()
    _check_alone(tab, "error")
    tab.goto("/account")
    tab.evaluate("document.querySelector('[name=csrf_token]').value = 'stale'")
    tab.get_by_label("Account and theme").click()
    tab.get_by_role("button", name="Log out").click()
    expect(tab.get_by_role("heading", name="That form is out of date")).to_be_visible()
    _check_alone(tab, "stale")
    person.context.clear_cookies()
    tab.goto("/login")
    _check_alone(tab, "login")
    person.complaints = [c for c in person.complaints if "404" not in c and "400" not in c]


def _check_alone(tab: Page, name: str) -> None:
    for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
        tab.set_viewport_size(size)
        for scheme in SCHEMES:
            tab.emulate_media(color_scheme=scheme)
            shot(tab, f"{name}-{scheme}{suffix}")
            assert axe(tab) == []
            assert too_wide(tab) <= 0


@pytest.mark.parametrize(
    "page", ["login", "keys", "playground", "analytics", "settings", "account"]
)
def test_a_thumb_hits_every_control(
    browser: Browser, server: Server, login: StorageState, page: str
) -> None:
    state = None if page == "login" else login
    person = Person(
        browser, server, viewport=PHONE, has_touch=True, is_mobile=True, storage_state=state
    )
    person.page.goto(f"/{page}")
    found: list[str] = person.page.evaluate(HARD_TO_HIT)
    assert found == []
    person.close()
    assert person.complaints == []


HARD_TO_HIT = """() => {
  const hit = (e, x, y) => {
    const there = document.elementFromPoint(x, y);
    return there !== null && (e.contains(there) || (e.closest("label") ?? e).contains(there));
  };
  const isHard = (e) => {
    const box = (e.closest("label") ?? e).getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const isWide = box.width >= 43.5 || (hit(e, x - 21, y) && hit(e, x + 21, y));
    const isHigh = box.height >= 43.5 || (hit(e, x, y - 21) && hit(e, x, y + 21));
    return !(isWide && isHigh);
  };
  return [...document.querySelectorAll("button, summary, a, input, select, textarea")]
    .filter((e) => e.checkVisibility())
    .filter((e) => !e.closest(".for-readers, .skip, [type=hidden], [data-submit]"))
    .filter((e) => !e.matches("p a"))
    .filter((e) => (e.scrollIntoView({block: "center"}), isHard(e)))
    .map((e) => `${e.getBoundingClientRect().height} ${e.outerHTML.slice(0, 90)}`);
}"""
"""Controls that are less than 44 pixels wide or high, counting what lies around them.

Not those within a sentence, whose lines would be torn apart.
"""


def test_the_theme_is_kept(person: Person) -> None:
    page = person.page
    page.get_by_label("Account and theme").click()
    shot(page, "menu")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
    page.goto("/chain")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_control_k_finds_pages_and_models(person: Person) -> None:
    page = person.page
    page.keyboard.press("Control+k")
    search = page.get_by_role("combobox", name="Search")
    search.fill("lab m")
    found = page.locator(".palette-list").get_by_role("option")
    expect(found.first).to_contain_text("Model")
    shot(page, "palette")
    assert axe(page) == []
    search.fill("settings ret")
    expect(found.first).to_have_text("RetentionSettings")
    page.keyboard.press("Enter")
    page.wait_for_url("**/settings#retention")
    page.keyboard.press("Control+k")
    search.fill("play")
    page.keyboard.press("Enter")
    page.wait_for_url("**/playground")


def test_on_a_phone_the_palette_shows_names_in_full(person: Person) -> None:
    page = person.page
    page.set_viewport_size(PHONE)
    page.get_by_role("button", name="Search, Ctrl K").click()
    page.get_by_role("combobox", name="Search").fill("instruct")
    found = page.locator(".palette-list").get_by_role("option")
    expect(found.first).to_contain_text("Model")
    shot(page, "palette-phone")
    assert cut(page, ".palette-item span") == []
    assert axe(page) == []


def test_an_expired_session_is_renewed_over_the_page(person: Person) -> None:
    page = person.page
    person.context.clear_cookies(name="freellmapi_session")
    page.evaluate(
        """async () => {
          const api = await import(document.querySelector('link[href$="lib/api.js"]').href);
          window.answer = api.post("/api/route/explain", {model: "auto"});
        }"""
    )
    login = page.get_by_role("dialog", name="Log in to go on")
    expect(login).to_be_visible()
    shot(page, "relogin")
    assert axe(page) == []
    login.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    assert page.evaluate("window.answer")
    assert page.url.endswith("/keys")
    person.complaints = [c for c in person.complaints if "401" not in c]


def test_a_lost_server_is_said_and_found_again(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path, config({"lab": "http://127.0.0.1:9/v1"})) as server:
        person = Person(browser, server)
        person.set_up()
        page = person.page
        server.kill()
        page.evaluate(
            """async () => {
              const api = await import(document.querySelector('link[href$="lib/api.js"]').href);
              window.answer = api.get("/api/quota");
            }"""
        )
        expect(page.get_by_text("Trying again")).to_be_visible()
        shot(page, "lost")
        server.start()
        assert page.evaluate("window.answer")["today"]
        expect(page.get_by_text("Trying again")).to_be_hidden()
        person.close()


def test_a_new_password_outlives_every_mishap(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path, config({"lab": "http://127.0.0.1:9/v1"})) as server:
        person = Person(browser, server)
        person.set_up()
        page = person.page
        page.goto("/account")
        current, new, again = (
            page.get_by_label(label, exact=True)
            for label in ("Current password", "New password", "New password again")
        )
        change = page.get_by_role("button", name="Change password")
        current.fill("wrong horse")
        new.fill("battery staple")
        again.fill("battery staple")
        change.click()
        expect(page.get_by_text("That is not your password.")).to_be_visible()
        expect(current).to_be_focused()
        expect(new).to_have_value("battery staple")
        assert axe(page) == []

        current.fill(PASSWORD)
        server.kill()
        change.click()
        expect(
            page.get_by_text("The server cannot be reached. Nothing was changed.")
        ).to_be_visible()
        server.start()
        expect(page.get_by_text("Trying again")).to_be_hidden()
        person.context.clear_cookies(name="freellmapi_session")
        change.click()
        login = page.get_by_role("dialog", name="Log in to go on")
        login.get_by_label("Password").fill(PASSWORD)
        login.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("Your password is changed.")).to_be_visible()
        expect(new).to_have_value("")
        page.goto("/keys")
        expect(page).to_have_url(f"{server.url}/keys")
        person.close()


def test_undo_is_offered_for_ten_seconds(person: Person) -> None:
    page = person.page
    page.evaluate(
        """async () => {
          const lib = document.querySelector('link[href$="lib/toast.js"]').href;
          const {toast} = await import(lib);
          toast("Key removed from Groq.", {undo: () => (window.undone = true)});
        }"""
    )
    shot(page, "toast")
    assert axe(page) == []
    page.get_by_role("button", name="Undo").click()
    assert page.evaluate("window.undone")
    expect(page.get_by_text("Key removed")).to_be_hidden()


SHIFTS = """new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) sum += entry.hadRecentInput ? 0 : entry.value;
  }).observe({type: "layout-shift", buffered: true});
  setTimeout(() => done(sum), 300);
})"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_first_load_is_light_and_nothing_jumps(
    browser: Browser, server: Server, size: ViewportSize
) -> None:
    person = Person(browser, server, viewport=size)
    person.log_in()
    person.page.wait_for_url("**/keys")
    person.page.wait_for_load_state("networkidle")
    sizes = person.page.evaluate(
        "performance.getEntries().map((e) => e.transferSize ?? 0).reduce((a, b) => a + b, 0)"
    )
    shifts = person.page.evaluate(SHIFTS)
    person.close()
    assert 0 < sizes < 60_000
    assert shifts <= 0.02


def test_the_first_tab_key_leads_past_the_bar(person: Person) -> None:
    page = person.page
    page.goto("/keys")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
