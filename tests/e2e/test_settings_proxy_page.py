"""The outbound proxy in a real browser: taken back, exported, and imported into another server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.e2e import browser as harness
from tests.e2e.browser import DESKTOP, PASSWORD, PHONE, Person, axe, shot, too_wide
from tests.e2e.server import Server, config
from tests.e2e.test_proxy import ask, content, proxy
from tests.fakes.raw_server import RawServer

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

FAR = config({"far": "http://provider.test:8099/v1"}, max_wait=0, patience=0, probe_interval=0)
HUSH = "hush-hush-7731"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("proxied"), FAR) as server:
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield server


@pytest.fixture
def person(browser: Browser, server: Server, login: StorageState) -> Iterator[Person]:
    person = Person(browser, server, storage_state=login)
    person.page.goto("/settings")
    yield person
    person.close()
    assert person.complaints == []


def save(page: Page, port: int) -> None:
    form = page.locator("#proxy")
    page.get_by_label("HTTP proxy", exact=True).fill(f"http://me:{HUSH}@127.0.0.1:{port}")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("Set here")).to_be_visible()


def went_by(server: Server, way: RawServer) -> bool:
    """Whether the next request goes by it, with the password."""
    before = len(way.seen)
    response = ask(server, "far/m")
    if response.status_code != 200:
        return False
    assert content(response) == "by proxy"
    # me:hush-hush-7731
    return b"Basic bWU6aHVzaC1odXNoLTc3MzE=\r\n" in b"".join(way.seen[before:])


def test_a_saved_and_a_removed_proxy_are_taken_back(person: Person, server: Server) -> None:
    page = person.page
    form, http = page.locator("#proxy"), page.get_by_label("HTTP proxy", exact=True)
    told: list[str] = []
    page.on("response", lambda r: told.append(r.text()) if "/api/settings/proxy" in r.url else None)
    undo = page.get_by_role("button", name="Undo", exact=True)
    with proxy() as one, proxy() as two:
        save(page, one.port)
        undo.click()
        expect(page.get_by_text("Undone.")).to_be_visible()
        expect(form.get_by_text("Default")).to_be_visible()
        expect(http).to_have_value("")
        assert not went_by(server, one)
        save(page, one.port)
        expect(undo).to_be_visible()
        page.reload()
        save(page, two.port)
        undo.click()
        expect(http).to_have_value(f"http://me:••••@127.0.0.1:{one.port}")
        assert went_by(server, one), "the former one, with its password"
        page.reload()
        form.get_by_role("button", name="Use the environment's").click()
        expect(page.get_by_text("The proxy set here is removed.")).to_be_visible()
        expect(http).to_have_value("")
        shot(page, "settings-proxy-removed")
        assert axe(page) == []
        # As everywhere: by the keyboard too.
        page.locator("#network-title").click()
        page.keyboard.press("Control+z")
        expect(http).to_have_value(f"http://me:••••@127.0.0.1:{one.port}")
        assert went_by(server, one)
        assert len(told) == 7 and HUSH not in "".join(told)
        assert HUSH not in page.content() and HUSH not in server.log()
        form.get_by_role("button", name="Use the environment's").click()
        expect(form.get_by_text("Default")).to_be_visible()


def test_an_undo_that_comes_too_late_for_the_server_says_so(person: Person) -> None:
    page = person.page
    with proxy() as one:
        save(page, one.port)
        page.route("**/api/settings/proxy/undo", lambda route: route.abort())
        page.get_by_role("button", name="Undo", exact=True).click()
        expect(page.locator(".toast[data-kind=bad]")).to_be_visible()
        expect(page.locator("#proxy").get_by_text("Set here")).to_be_visible()
        page.unroute("**/api/settings/proxy/undo")
        page.locator("#proxy").get_by_role("button", name="Use the environment's").click()
        expect(page.locator("#proxy").get_by_text("Default")).to_be_visible()
    person.complaints = [c for c in person.complaints if "ERR_FAILED" not in c]


def test_what_was_exported_is_in_force_in_an_empty_server(
    person: Person, browser: Browser, tmp_path: Path
) -> None:
    page, file = person.page, tmp_path / "whole.toml"
    with proxy() as one:
        save(page, one.port)
        page.get_by_role("button", name="Export with keys").click()
        page.get_by_label("Your password").fill(PASSWORD)
        with page.expect_download() as coming:
            page.get_by_role("button", name="Download", exact=True).click()
        coming.value.save_as(file)
        assert HUSH in file.read_text()
        with page.expect_download() as coming:
            page.get_by_role("link", name="Export, keys masked").click()
        assert HUSH not in Path(coming.value.path()).read_text()
        (tmp_path / "other").mkdir()
        with Server(tmp_path / "other", ENCRYPTION_KEY="cd" * 32) as other:
            _import(browser, other, file, one)
        page.locator("#proxy").get_by_role("button", name="Use the environment's").click()
        expect(page.locator("#proxy").get_by_text("Default")).to_be_visible()


def _import(browser: Browser, other: Server, file: Path, way: RawServer) -> None:
    guest = Person(browser, other)
    guest.set_up()
    page = guest.page
    page.goto("/settings")
    page.get_by_label("File to import").set_input_files(file)
    shown = f"http://me:••••@127.0.0.1:{way.port}"
    preview = page.locator("#import-plan")
    expect(preview).to_contain_text(f"outbound proxy none → none for https, {shown} for http")
    assert HUSH not in preview.inner_html()
    page.locator("#configuration").scroll_into_view_if_needed()
    for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
        page.set_viewport_size(size)
        shot(page, f"settings-import-proxy{suffix}")
        assert too_wide(page) <= 0
    page.set_viewport_size(DESKTOP)
    page.get_by_role("button", name="Import", exact=True).click()
    http = page.get_by_label("HTTP proxy", exact=True)
    expect(http).to_have_value(shown)
    assert went_by(other, way)
    page.get_by_role("button", name="Undo the import").click()
    expect(http).to_have_value("")
    assert ask(other, "far/m").status_code == 404, "the endpoint is gone as well"
    assert HUSH not in page.content() and HUSH not in other.log()
    guest.close()
    assert guest.complaints == []
