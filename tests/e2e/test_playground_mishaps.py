"""The playground when something goes wrong: nothing is lost, and it works again by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, StorageState, expect

from tests.e2e import browser as harness
from tests.e2e.browser import PASSWORD, Person, axe, shot
from tests.e2e.playground import ask, choose, send
from tests.e2e.server import CLOCK, Server, config
from tests.fakes.provider import FakeProvider, drips, says, status, streams

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

AT_ONCE = 1.0
"""Seconds from the press of Stop in which the provider is to be rid of the call."""
BROKEN = "The answer broke off here."
NETWORK = ("ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY_RESPONSE", "ERR_SOCKET")


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[FakeProvider, FakeProvider]]:
    with FakeProvider() as first, FakeProvider() as second:
        yield first, second


@pytest.fixture(scope="module")
def server(
    fakes: tuple[FakeProvider, FakeProvider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    urls = {"google": fakes[0].base_url, "groq": fakes[1].base_url}
    keys = [("google", "of-google"), ("groq", "of-groq")]
    text = config(urls, keys=keys, stream_recovery="error", probe_interval=0)
    with Server(tmp_path_factory.mktemp("mishaps"), text) as server:
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield server


@pytest.fixture
def first(fakes: tuple[FakeProvider, FakeProvider]) -> FakeProvider:
    return _emptied(fakes[0])


@pytest.fixture
def second(fakes: tuple[FakeProvider, FakeProvider]) -> FakeProvider:
    return _emptied(fakes[1])


@pytest.fixture
def person(
    browser: Browser, server: Server, login: StorageState, first: FakeProvider, second: FakeProvider
) -> Iterator[Person]:
    person = Person(browser, server, storage_state=login)
    person.page.goto("/playground")
    yield person
    person.close()
    assert person.complaints == []


def _emptied(fake: FakeProvider) -> FakeProvider:
    fake.script.clear()
    fake.requests.clear()
    fake.closed.clear()
    fake.default = says("hi")
    return fake


def pardon(person: Person, *words: str) -> None:
    """Chromium notes by itself what did not come, and what was refused."""
    person.complaints = [c for c in person.complaints if not any(word in c for word in words)]


def test_stop_ends_the_providers_call_at_once(person: Person, second: FakeProvider) -> None:
    page = person.page
    gate = threading.Event()
    second.script = [drips("The first words", " never come", gate=gate)]
    try:
        answer = ask(page, "Go on for long.")
        expect(answer).to_contain_text("The first words")
        pressed = CLOCK.monotonic()
        page.get_by_role("button", name="Stop", exact=True).click()
        assert second.wait_client_gone(AT_ONCE), CLOCK.monotonic() - pressed
    finally:
        gate.set()
    expect(answer).to_contain_text("Stopped here.")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_stream_cut_midway_is_gone_on_with_on_the_spot(
    person: Person, second: FakeProvider
) -> None:
    page = person.page
    second.script = [streams("Half of ", "the answer", cut=1), says("the rest.")]
    answer = ask(page, "Tell me.")
    expect(answer).to_contain_text(BROKEN)
    expect(answer.locator(".md")).to_have_text("Half of")
    mark = answer.locator(".pg-mark")
    expect(mark.get_by_role("button", name="Retry")).to_be_visible()
    mark.get_by_role("button", name="Continue").click()
    expect(answer.locator(".md")).to_have_text("Half of the rest.")
    expect(answer).not_to_contain_text(BROKEN)
    expect(answer.locator("[data-line]")).to_contain_text("continued once")
    expect(send(page, "And now?").locator(".md")).to_have_text("hi")
    assert second.requests[-1].json["messages"][1]["content"] == "Half of the rest."


def test_a_server_that_dies_midway_is_waited_for(
    person: Person, server: Server, second: FakeProvider
) -> None:
    page = person.page
    gate = threading.Event()
    second.script = [drips("Half of", " it", gate=gate)]
    try:
        answer = ask(page, "Tell me.")
        expect(answer).to_contain_text("Half of")
        server.kill()
        expect(answer).to_contain_text(BROKEN)
        expect(answer).to_contain_text("The connection to the server was lost.")
    finally:
        gate.set()
    lost = send(page, "Is anybody there?")
    expect(lost).to_contain_text("The server cannot be reached. Your message is kept; try again.")
    expect(page.get_by_text("The server does not answer. Trying again")).to_be_visible()
    shot(page, "playground-lost")
    assert axe(page) == []
    server.start()
    expect(page.get_by_text("Trying again")).to_be_hidden()
    lost.get_by_role("button", name="Retry").first.click()
    expect(page.locator(".pg-answer .md").last).to_have_text("hi")
    sent = [m["content"] for m in second.requests[-1].json["messages"]]
    assert sent == ["Tell me.", "Half of", "Is anybody there?"]
    pardon(person, *NETWORK)


def test_what_failed_is_told_with_every_attempt(
    person: Person, first: FakeProvider, second: FakeProvider
) -> None:
    page = person.page
    first.default = status(500, {"error": {"message": "out of order"}})
    second.default = status(503, {"error": {"message": "overloaded"}})
    answer = ask(page, "Anybody?", "auto")
    expect(answer).to_contain_text("Nobody answered.")
    answer.get_by_text("failed attempts").click()
    tries = answer.locator(".pg-tries li")
    expect(tries.filter(has_text="google/m")).to_contain_text("500 · server error")
    expect(tries.filter(has_text="groq/m").first).to_contain_text("overloaded")
    shot(page, "playground-failed")
    assert axe(page) == []
    answer.get_by_label("More").click()
    answer.get_by_role("link", name="See its route").click()
    expect(page.locator("[data-why-answer]")).to_contain_text("groq/m")
    pardon(person, "502", "503")


def test_an_option_that_the_server_refuses_is_named_at_its_field(person: Person) -> None:
    page = person.page
    tool = '[{"type": "function", "function": {"name": "x", "parameters": 7}}]'
    page.get_by_label("Tools").fill(tool)
    ask(page, "Use it.")
    said = page.locator("#o-tools-said")
    expect(said).to_contain_text("parameters")
    expect(page.get_by_label("Tools")).to_have_value(tool)
    pardon(person, "400")


def test_a_tab_whose_session_was_renewed_elsewhere_goes_on(person: Person) -> None:
    page = person.page
    choose(page, "groq/m")
    other = person.open_tab()
    other.goto("/keys")
    other.get_by_label("Account and theme").click()
    other.get_by_role("button", name="Log out").click()
    other.wait_for_url("**/login")
    other.get_by_label("Name").fill(harness.NAME)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Log in").click()
    other.wait_for_url("**/keys")
    expect(send(page, "Still there?").locator(".md")).to_have_text("hi")
    pardon(person, "400")


def test_a_second_tab_follows_and_neither_loses_a_word(
    person: Person, second: FakeProvider
) -> None:
    page = person.page
    expect(ask(page, "First").locator(".md")).to_have_text("hi")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    other = person.open_tab()
    other.goto("/playground")
    expect(other.locator(".pg-said")).to_have_text("First")
    expect(send(page, "Second").locator(".md")).to_have_text("hi")
    expect(other.get_by_text("went on in another tab")).to_be_visible()
    expect(other.locator(".pg-said")).to_have_text(["First", "Second"])
    # Both at work at the same time: each keeps its own.
    gate = threading.Event()
    second.script = [drips("slow", " words", gate=gate)]
    slow = send(page, "Third, here")
    expect(slow).to_contain_text("slow")
    expect(send(other, "Third, there").locator(".md")).to_have_text("hi")
    gate.set()
    expect(slow.locator(".md")).to_have_text("slow words")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    for tab, last in ((page, "Third, here"), (other, "Third, there")):
        tab.reload()
        expect(tab.locator(".pg-said")).to_have_text(["First", "Second", last])


def test_what_is_copied_runs_and_is_answered(
    person: Person, server: Server, second: FakeProvider
) -> None:
    page = person.page
    person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("System prompt").fill('Be brief; it\'s "quoted".')
    answer = ask(page, "Say `hi` for $HOME")
    expect(answer.locator(".md")).to_have_text("hi")
    environ = {**os.environ, "FREELLMAPI_KEY": server.token, "NO_PROXY": "*"}
    for word, command in (("curl", ["bash", "-c"]), ("Python", [sys.executable, "-c"])):
        answer.get_by_label("More").click()
        answer.get_by_role("button", name=f"Copy as {word}").click()
        expect(page.get_by_text(f"Copied as {word}")).to_be_visible()
        code = page.evaluate("navigator.clipboard.readText()")
        assert server.token not in code
        done = subprocess.run([*command, code], env=environ, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert b"hi" in done.stdout
        assert second.requests[-1].json["messages"] == second.requests[0].json["messages"]
