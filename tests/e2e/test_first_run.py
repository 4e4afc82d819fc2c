"""From an empty server to the first answer, as whoever has just installed it goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e import browser as harness
from tests.e2e.browser import NAME, PASSWORD, Person, axe, shot
from tests.e2e.playground import ask
from tests.e2e.server import Server
from tests.fakes.provider import FakeProvider, says

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

KEY = "gsk_" + "0not0a0real0key" * 4
NEW_PASSWORD = "battery staple"
ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}


def test_from_an_empty_server_to_the_first_answer(browser: Browser, tmp_path: Path) -> None:
    with FakeProvider() as fake, Server(tmp_path, FREELLMAPI_GROQ_BASE_URL=fake.base_url) as server:
        fake.default = says("Welcome aboard.")
        person = Person(browser, server)
        person.set_up()
        page = person.page
        steps = page.get_by_role("region", name="First steps")
        expect(steps.locator("li[data-done]")).to_have_count(0)
        shot(page, "first-run")
        page.get_by_label("Key", exact=True).fill(KEY)
        page.get_by_role("button", name="Add and test").click()
        expect(steps.locator('[data-step="key"]')).to_have_attribute("data-done", "")
        page.get_by_role("link", name="Playground").click()
        answer = ask(page, "Hello?", "groq")
        expect(answer.locator(".md")).to_have_text("Welcome aboard.")
        expect(answer.locator("[data-line]")).to_contain_text("groq /")
        page.get_by_role("link", name="Keys").click()
        expect(page.locator('[data-step="request"]')).to_have_attribute("data-done", "")
        person.close()
    assert person.complaints == []


def test_from_elsewhere_the_code_of_the_log_makes_the_account(
    browser: Browser, tmp_path: Path
) -> None:
    with Server(tmp_path) as server:
        person = Person(browser, server, extra_http_headers=ELSEWHERE)
        page = person.page
        page.goto("/")
        page.get_by_label("Name").fill(NAME)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Setup code").fill("AAAA-BBBB-CCCC")
        page.get_by_role("button", name="Create account").click()
        expect(page.get_by_text("That is not the code.")).to_be_visible()
        expect(page.get_by_label("Name")).to_have_value(NAME)
        shot(page, "setup-code")
        assert axe(page) == []
        found = re.search(r"setup code (\S+)", server.log())
        assert found is not None
        page.get_by_label("Setup code").fill(found[1])
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Create account").click()
        page.wait_for_url("**/keys")
        change_password(person, browser, server)
        server.cli("admin", "reset-password", NAME, "--password-stdin", stdin=f"{PASSWORD}\n")
        page.goto("/keys")
        page.wait_for_url("**/login**")
        person.log_in()
        page.wait_for_url("**/keys")
        person.close()
    # Chromium itself notes what was refused.
    assert [c for c in person.complaints if "422" not in c] == []


def change_password(person: Person, browser: Browser, server: Server) -> None:
    """A new password logs out every other browser, and this one goes on."""
    other = Person(browser, server)
    other.log_in()
    other.page.wait_for_url("**/keys")
    page = person.page
    page.goto("/account")
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    page.get_by_label("New password again").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Your password is changed.").first).to_be_visible()
    other.page.goto("/chain")
    expect(other.page).to_have_url(re.compile("/login"))
    other.close()
    assert other.complaints == []
