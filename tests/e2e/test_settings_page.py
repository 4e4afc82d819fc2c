"""The page Settings in a real browser: saved at once, undone, tokens, files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, StorageState, expect

from tests.e2e import browser as harness
from tests.e2e.browser import DESKTOP, PASSWORD, PHONE, Person, axe, shot, too_wide
from tests.e2e.server import Server, config

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("settings")
    file = config({"lab": "http://127.0.0.1:9/v1"}, max_wait=9)
    with Server(
        folder, file, HTTPS_PROXY="http://me:hidden@proxy.lan:3128", DATABASE_URL=""
    ) as server:
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield server


@pytest.fixture
def person(browser: Browser, server: Server, login: StorageState) -> Iterator[Person]:
    person = Person(browser, server, storage_state=login)
    person.page.goto("/settings")
    yield person
    person.close()
    # Chromium itself notes each refusal in its console.
    assert [c for c in person.complaints if "422" not in c and "403" not in c] == []


def test_a_setting_is_saved_at_once_and_undone(person: Person) -> None:
    page = person.page
    row = page.locator("#max_wait")
    expect(row.get_by_text("Set in the configuration file")).to_be_visible()
    wait = page.get_by_label("Wait for room", exact=True)
    wait.fill("-3")
    wait.press("Enter")
    expect(row.get_by_text("out of range")).to_be_visible()
    expect(wait).to_have_value("-3")
    shot(page, "settings-wrong")
    wait.fill("4")
    wait.press("Tab")
    expect(row.get_by_text("Set here")).to_be_visible()
    expect(row.get_by_text("out of range")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(wait).to_have_value("9")
    expect(row.get_by_text("Set in the configuration file")).to_be_visible()
    page.get_by_label("Strategy", exact=True).select_option("fast")
    page.get_by_role("switch").check()
    expect(page.locator("#hedging").get_by_text("Set here")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Strategy", exact=True)).to_have_value("fast")
    expect(page.get_by_role("switch")).to_be_checked()
    page.get_by_role("button", name="Strategy: back to").click()
    expect(page.get_by_label("Strategy", exact=True)).to_have_value("priority")


def test_a_token_is_made_used_and_revoked(person: Person, server: Server) -> None:
    page = person.page
    page.get_by_label("New token for").fill("laptop")
    page.get_by_role("button", name="Create").click()
    token = page.locator("#token-text")
    expect(token).to_contain_text("freellmapi-")
    headers = {"Authorization": f"Bearer {token.inner_text()}"}
    assert requests.get(f"{server.url}/v1/models", headers=headers, timeout=30).ok
    shot(page, "settings-token")
    page.reload()
    row = page.locator(".token", has_text="laptop")
    expect(row.get_by_text("Last used")).to_be_visible()
    row.get_by_role("button", name="Revoke").click()
    dialog = page.get_by_role("dialog")
    shot(page, "settings-revoke")
    dialog.get_by_role("button", name="Revoke").click()
    expect(row).to_be_hidden()
    assert requests.get(f"{server.url}/v1/models", headers=headers, timeout=30).status_code == 401


def test_files_are_given_for_the_password(person: Person) -> None:
    page = person.page
    page.get_by_role("button", name="Download a backup").click()
    page.get_by_label("Your password").fill("wrong horse")
    page.get_by_role("button", name="Download", exact=True).click()
    expect(page.get_by_text("not your password")).to_be_visible()
    page.get_by_label("Your password").fill(PASSWORD)
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download", exact=True).click()
    assert coming.value.suggested_filename.endswith(".db")
    database = sqlite3.connect(coming.value.path())
    assert database.execute("SELECT name FROM accounts").fetchall() == [("ada",)]
    database.close()
    with page.expect_download() as coming:
        page.get_by_role("link", name="Export, keys masked").click()
    assert coming.value.suggested_filename.endswith(".toml")


def test_an_import_is_previewed_then_made(person: Person) -> None:
    page = person.page
    page.get_by_label("Import", exact=True).fill("[settings")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_text("This is not TOML")).to_be_visible()
    page.get_by_label("Import", exact=True).fill(
        "[settings]\npatience = 7\n[[limits]]\nprovider = 'lab'\n"
    )
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator(".changes")).to_contain_text("patience 3 → 7")
    page.locator("#configuration").scroll_into_view_if_needed()
    shot(page, "settings-import")
    assert axe(page) == []
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_label("Patience with a named model", exact=True)).to_have_value("7")


def test_a_file_is_imported_by_picker_or_drop_and_taken_back(
    person: Person, tmp_path: Path
) -> None:
    page = person.page
    picture, file = tmp_path / "a.png", tmp_path / "mine.toml"
    picture.write_bytes(b"\x89PNG\xff\xfe")
    file.write_text("[settings]\nidle_timeout = 31\n[[limits]]\nprovider = 'lab'\nrpd = 77\n")
    picker = page.get_by_label("File to import")
    picker.set_input_files(picture)
    expect(page.get_by_text("a.png is not text in UTF-8")).to_be_visible()
    picker.set_input_files(file)
    expect(page.locator(".changes")).to_contain_text("idle_timeout 25 → 31")
    expect(page.locator(".changes")).to_contain_text("rpd 77")
    page.get_by_role("button", name="Import", exact=True).click()
    silence = page.get_by_label("Silence within a stream", exact=True)
    expect(silence).to_have_value("31")
    expect(page.get_by_text("2 changes were imported")).to_be_visible()
    expect(page.locator("#own-limits")).to_contain_text("rpd 77")
    page.locator("#imported").scroll_into_view_if_needed()
    shot(page, "settings-imported")
    assert axe(page) == []
    page.get_by_role("button", name="Undo the import").click()
    expect(silence).to_have_value("25")
    expect(page.get_by_text("2 changes were imported")).to_be_hidden()
    dropped = page.evaluate_handle(
        "() => { const data = new DataTransfer();"
        "data.items.add(new File(['[settings]\\npatience = 8\\n'], 'b.toml')); return data; }"
    )
    page.dispatch_event("[data-import]", "drop", {"dataTransfer": dropped})
    expect(page.locator(".changes")).to_contain_text("→ 8")


def test_a_second_tab_follows_and_says_so(person: Person) -> None:
    other = person.open_tab()
    other.goto("/settings")
    page = person.page
    page.get_by_label("Most attempts", exact=True).fill("9")
    other.get_by_label("Connect", exact=True).fill("half typed")
    page.get_by_label("Most attempts", exact=True).press("Tab")
    expect(page.get_by_text("Most attempts is saved.")).to_be_visible()
    other.bring_to_front()
    expect(other.get_by_label("Most attempts", exact=True)).to_have_value("9", timeout=4000)
    expect(other.get_by_text("changed elsewhere")).to_be_visible()
    expect(other.get_by_label("Connect", exact=True)).to_have_value("half typed")
    page.bring_to_front()
    expect(page.get_by_text("changed elsewhere")).to_have_count(0)
    other.close()


def test_a_proxy_is_set_masked_and_given_back_to_the_environment(
    person: Person, server: Server
) -> None:
    page = person.page
    form = page.locator("#proxy")
    https = page.get_by_label("HTTPS proxy", exact=True)
    direct = page.get_by_label("No proxy for", exact=True)
    expect(form.get_by_text("From the environment")).to_be_visible()
    expect(https).to_have_value("http://me:••••@proxy.lan:3128")
    other = person.open_tab()
    other.goto("/settings")
    page.bring_to_front()
    https.fill("http://you:s3cret-too@other.lan:8080")
    direct.fill("*.example.com")
    direct.press("Enter")
    expect(form.get_by_text("*.example.com is no host")).to_be_visible()
    expect(direct).to_be_focused()
    expect(direct).to_have_value("*.example.com")
    expect(https).to_have_value("http://you:s3cret-too@other.lan:8080")
    form.scroll_into_view_if_needed()
    shot(page, "settings-proxy-wrong")
    assert axe(page) == []
    direct.fill("example.com")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The proxy is saved.")).to_be_visible()
    expect(https).to_have_value("http://you:••••@other.lan:8080")
    expect(form.get_by_text("Set here")).to_be_visible()
    expect(form.get_by_text("is no host")).to_be_hidden()
    assert "s3cret-too" not in page.content() and "s3cret-too" not in server.log()
    other.bring_to_front()
    theirs = other.get_by_label("HTTPS proxy", exact=True)
    expect(theirs).to_have_value("http://you:••••@other.lan:8080", timeout=4000)
    other.close()
    page.bring_to_front()
    form.scroll_into_view_if_needed()
    for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
        page.set_viewport_size(size)
        form.scroll_into_view_if_needed()
        shot(page, f"settings-proxy{suffix}")
        assert axe(page) == []
        assert too_wide(page) <= 0
    form.get_by_role("button", name="Use the environment's").click()
    expect(form.get_by_text("From the environment")).to_be_visible()
    expect(https).to_have_value("http://me:••••@proxy.lan:3128")
    expect(direct).to_have_value("")


def test_the_page_is_accessible_fits_and_names_no_password(person: Person) -> None:
    page = person.page
    expect(page.get_by_label("HTTPS proxy")).to_have_value("http://me:••••@proxy.lan:3128")
    assert "hidden@" not in page.content()
    for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            shot(page, f"settings-{scheme}{suffix}", full=True)
            assert axe(page) == []
            assert too_wide(page) <= 0


def test_on_a_phone_the_sections_are_one_row_that_is_pushed_sideways(person: Person) -> None:
    page = person.page
    page.set_viewport_size(PHONE)
    links = page.get_by_role("navigation", name="Sections").get_by_role("link")
    boxes = [box for link in links.all() if (box := link.bounding_box())]
    assert len({box["y"] for box in boxes}) == 1
    assert min(box["height"] for box in boxes) >= 44
    about = links.filter(has_text="About")
    expect(about).not_to_be_in_viewport()
    about.focus()
    expect(about).to_be_in_viewport()
    assert too_wide(page) <= 0


def test_without_scripts_a_setting_is_saved(browser: Browser, server: Server) -> None:
    person = Person(browser, server, java_script_enabled=False)
    person.log_in()
    page = person.page
    page.goto("/settings")
    page.get_by_label("Most attempts", exact=True).fill("500")
    page.locator("#max_attempts").get_by_role("button", name="Save").click()
    expect(page.get_by_text("from 1 to 100").first).to_be_visible()
    expect(page.get_by_label("Most attempts", exact=True)).to_have_value("500")
    page.get_by_label("Most attempts", exact=True).fill("12")
    page.locator("#max_attempts").get_by_role("button", name="Save").click()
    expect(page.locator("#max_attempts").get_by_text("Set here")).to_be_visible()
    shot(page, "settings-plain")
    person.close()
