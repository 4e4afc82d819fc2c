"""The page Keys in a real browser, through gunicorn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Literal

import pytest
import requests
from playwright.sync_api import Browser, Route, StorageState, expect

from tests.e2e import browser as harness
from tests.e2e.browser import DESKTOP, PASSWORD, PHONE, Person, axe, shot, too_wide
from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider, Reply, SeenRequest
from tests.fakes.replies import status

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

GOOD = "gsk_" + "0not0a0real0key" * 4
BAD = "gsk_" + "1not1a1real1key" * 4
SLOW = "gsk_" + "3not3a3real3key" * 4
THIRD = "gsk_" + "2not2a2real2key" * 4
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def answer_slowly() -> threading.Event:
    """Set, it lets the slow key be answered."""
    return threading.Event()


@pytest.fixture(scope="module")
def upstream(answer_slowly: threading.Event) -> Iterator[FakeProvider]:
    refusal = status(401, {"error": {"message": "Invalid API Key"}})

    def choose(request: SeenRequest) -> Reply | None:
        if request.key == SLOW:
            answer_slowly.wait(PATIENCE)
        return refusal if request.key == BAD else None

    with FakeProvider(models=("alpha", "beta")) as fake:
        fake.chooser = choose
        yield fake
        answer_slowly.set()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: FakeProvider) -> Iterator[Server]:
    """Groq is at the fake's address."""
    providers = {"lab": upstream.base_url}
    text = config(providers, limits={"rpm": 30, "rpd": 1000})
    folder = tmp_path_factory.mktemp("keys")
    with Server(folder, text, FREELLMAPI_GROQ_BASE_URL=upstream.base_url) as server:
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield server


@pytest.fixture
def person(browser: Browser, server: Server, login: StorageState) -> Iterator[Person]:
    person = Person(browser, server, storage_state=login)
    person.page.goto("/keys")
    yield person
    person.close()
    assert person.complaints == []


def test_a_key_is_added_tested_removed_and_brought_back(person: Person) -> None:
    page = person.page
    page.get_by_label("Key", exact=True).fill(GOOD)
    expect(page.get_by_text("A key of Groq.")).to_be_visible()
    expect(page.get_by_label("Provider")).to_have_value("groq")
    page.get_by_label("Label").fill("mine")
    page.get_by_role("button", name="Add and test").click()
    expect(page.locator("#add-said")).to_have_text("Groq accepts the key.", timeout=4_000)
    expect(page.locator("#groq > summary")).to_contain_text("healthy")
    expect(page.locator('[data-step="key"]')).to_have_attribute("data-done", "")
    page.locator("#groq > summary").click()
    row = page.locator("#groq .key")
    expect(row).to_contain_text("mine")
    expect(page.get_by_role("table", name="Models of Groq")).to_be_visible()
    shot(page, "keys-open")
    assert axe(page) == []
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Undo").last.click()
    expect(row).to_contain_text("mine")
    row.get_by_role("button", name="Disable").click()
    expect(row).to_contain_text("disabled")
    row.get_by_role("button", name="Enable").click()
    expect(row.get_by_role("button", name="Disable")).to_be_visible()
    row.get_by_role("button", name="Check now").click()
    expect(page.get_by_text("Groq accepts the key.").last).to_be_visible()
    assert GOOD not in page.content()


def test_a_refused_key_is_said_to_be(person: Person) -> None:
    page = person.page
    page.get_by_label("Key", exact=True).fill(BAD)
    page.get_by_role("button", name="Add and test").click()
    expect(page.locator("#add-said")).to_contain_text("Groq refused the key")
    page.locator("#groq > summary").click()
    expect(page.locator("#groq .key", has_text="refused")).to_be_visible()
    shot(page, "keys-refused")


def test_a_slow_provider_is_not_waited_for(person: Person, answer_slowly: threading.Event) -> None:
    page = person.page
    page.get_by_label("Key", exact=True).fill(SLOW)
    page.get_by_role("button", name="Add and test").click()
    said = page.locator("#add-said")
    expect(said).to_contain_text("Groq has not answered yet: still testing")
    expect(page.get_by_role("button", name="Add and test")).not_to_have_attribute(
        "aria-busy", "true"
    )
    # What is typed meanwhile stays as it is.
    page.get_by_label("Key", exact=True).fill("unlike-any")
    answer_slowly.set()
    expect(page.locator(".toast", has_text="Groq accepts the key.")).to_be_visible()
    expect(page.get_by_label("Key", exact=True)).to_have_value("unlike-any")
    expect(said).to_contain_text("Not recognised yet")
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator(".toast", has_text="Removed")).to_be_visible()


def as_long_after_the_login(route: Route) -> None:
    error = {"message": "Your password is needed for this.", "code": "password_required"}
    route.fulfill(status=403, json={"error": error | {"param": "password", "type": "x"}})


def test_the_unified_key_is_copied_by_one_click_after_the_login(
    person: Person, server: Server
) -> None:
    page = person.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator(".toast", has_text="Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == server.token


def test_the_unified_key_is_shown_after_the_password(person: Person, server: Server) -> None:
    page = person.page
    assert server.token not in page.content()
    page.route("**/unified/reveal", as_long_after_the_login, times=1)
    page.locator('[data-unified-menu="reveal"] > summary').click()
    page.get_by_role("dialog").get_by_label("Your password").fill(PASSWORD)
    shot(page, "keys-password")
    page.get_by_role("dialog").get_by_role("button", name="Reveal").click()
    expect(page.locator("#unified-key")).to_have_text(server.token)
    expect(page.locator("#snippet-curl")).to_contain_text(server.token)
    page.locator("label", has_text="Python").click()
    expect(page.locator("#snippet-python")).to_be_visible()
    expect(page.locator('[data-step="copy"]')).to_have_attribute("data-done", "")
    requests.post(
        f"{server.url}/v1/chat/completions",
        headers=server.headers(),
        json={"model": "auto", "messages": HELLO},
        timeout=10,
    ).raise_for_status()
    # The page follows by itself.
    step = page.locator("[data-step=request]")
    expect(step).to_have_attribute("data-done", "", timeout=15_000)
    page.locator('[data-unified-menu="reveal"] > summary').click()
    assert server.token not in page.content()
    # Chromium itself notes what was refused.
    person.complaints[:] = [c for c in person.complaints if "403" not in c]


def test_a_pasted_env_is_previewed_and_imported(person: Person) -> None:
    page = person.page
    page.get_by_role("link", name="Import").click()
    page.locator("#env").fill(f"GROQ_API_KEY={THIRD}\nHOME=/root\n")
    expect(page.get_by_role("button", name="Import 1 key")).to_be_visible()
    expect(page.locator("[data-preview]")).to_contain_text("unknown variable")
    shot(page, "keys-import")
    assert axe(page) == []
    page.set_viewport_size(PHONE)
    shot(page, "keys-import-phone")
    assert too_wide(page) <= 0
    page.get_by_role("button", name="Import 1 key").click()
    expect(page.get_by_text("1 key was stored.")).to_be_visible()


def test_an_endpoint_is_added_and_removed(person: Person, upstream: FakeProvider) -> None:
    page = person.page
    page.get_by_text("Add an endpoint of your own").click()
    page.get_by_label("Base URL", exact=True).fill("http://169.254.169.254/v1")
    page.get_by_label("Id", exact=True).fill("box")
    page.get_by_role("button", name="Find its models").click()
    expect(page.locator("#endpoint-base_url-said")).to_contain_text("metadata")
    shot(page, "keys-endpoint")
    page.get_by_label("Base URL", exact=True).fill(upstream.base_url)
    page.get_by_role("button", name="Find its models").click()
    expect(page.get_by_text("with 2 models")).to_be_visible()
    page.locator("#box > summary").click()
    expect(page.locator("#box")).to_contain_text("alpha")
    page.locator("#box").get_by_role("button", name="Remove this endpoint").click()
    expect(page.locator("#box")).to_have_count(0)
    page.get_by_role("button", name="Undo").last.click()
    page.locator("#box > summary").click()
    expect(page.locator("#box")).to_contain_text("alpha")
    page.locator("#box").get_by_role("button", name="Remove this endpoint").click()
    expect(page.locator("#box")).to_have_count(0)
    person.complaints = [c for c in person.complaints if "422" not in c]


def test_it_fits_and_is_accessible_in_every_dress(person: Person) -> None:
    page = person.page
    page.locator("#lab > summary").click()
    for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.evaluate("scrollTo(0, 0)")
            shot(page, f"keys-{scheme}{suffix}", full=True)
            assert axe(page) == []
            assert too_wide(page) <= 0


def test_what_each_of_two_keys_has_left_keeps_to_its_column(person: Person, server: Server) -> None:
    for key in ("qR7sT2uV" * 4, "wX9yZ4aB" * 4):
        server.cli("keys", "add", "mistral", stdin=key)
    page = person.page
    page.goto("/keys?open=mistral#mistral")
    rows = page.locator("#mistral .key")
    expect(rows).to_have_count(2, timeout=harness.PATIENCE_MS)
    for row in rows.all():
        left = row.locator(".meter > span").bounding_box()
        actions = row.locator(".actions").bounding_box()
        assert left and actions and left["x"] + left["width"] <= actions["x"]


def test_it_works_without_scripts(browser: Browser, server: Server) -> None:
    person = Person(browser, server, java_script_enabled=False)
    person.log_in()
    page = person.page
    page.get_by_label("Key", exact=True).fill("unlike any key")
    page.get_by_role("button", name="Add and test").click()
    expect(page.get_by_text("choose whose it is")).to_be_visible()
    page.locator("#lab > summary").click()
    page.locator("#lab").get_by_role("button", name="Check now").click()
    expect(page.get_by_text("lab accepts the key.")).to_be_visible()
    shot(page, "keys-no-script")
    person.close()
