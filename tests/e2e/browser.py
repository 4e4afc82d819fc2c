"""A real browser: Debian's Chromium, driven by Playwright, listening for every complaint."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    StorageState,
    ViewportSize,
    sync_playwright,
)

from tests.e2e.server import Server

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SHOTS = Path(os.environ.get("SHOTS") or Path(tempfile.gettempdir()) / "freellmapi-shots")
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
NAME, PASSWORD = "ada", "correct horse"
PATIENCE_MS = 15_000


def chromium() -> str | None:
    """Where the browser is, None when this machine has none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def network(how: int) -> Iterator[None]:
    """The machine's network: unchanged meanwhile (``LOCK_SH``), or to be changed (``LOCK_EX``).

    Chromium ends all that it loads when an address comes or goes (ERR_NETWORK_CHANGED), and the
    tests of other files run at the same time.
    """
    with (Path(tempfile.gettempdir()) / "freellmapi-network.lock").open("a") as file:
        fcntl.flock(file, how)
        yield


@contextmanager
def launched() -> Iterator[Browser]:
    """One browser; a context in it is a person with cookies of their own."""
    with network(fcntl.LOCK_SH), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Person:
    """Somebody at a browser. ``complaints`` collects console errors and CSP violations."""

    def __init__(self, browser: Browser, server: Server, **options: Any) -> None:
        self.server = server
        self.context: BrowserContext = browser.new_context(
            base_url=server.url, **{"viewport": DESKTOP, "reduced_motion": "reduce", **options}
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.page = self.open_tab()

    def open_tab(self) -> Page:
        page = self.context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        return page

    def close(self) -> None:
        self.context.close()

    def set_up(self) -> None:
        """Make the account, as on a first visit from the server's own machine."""
        self.page.goto("/")
        self.page.get_by_label("Name").fill(NAME)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Create account").click()
        self.page.wait_for_url("**/keys")

    def log_in(self, password: str = PASSWORD) -> None:
        self.page.goto("/login")
        self.page.get_by_label("Name").fill(NAME)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location})")


def logged_in(browser: Browser, server: Server) -> StorageState:
    """To be given to any ``Person`` as ``storage_state``: one login serves many tests."""
    person = Person(browser, server)
    person.log_in()
    person.page.wait_for_url("**/keys")
    state = person.context.storage_state()
    person.close()
    return state


def shot(page: Page, name: str, *, full: bool = False) -> Path:
    """A picture of the page in ``$SHOTS`` (or a temporary folder), to be looked at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / f"{name}.png"
    page.screenshot(path=path, full_page=full, animations="disabled")
    return path


def too_wide(page: Page) -> int:
    """Pixels by which the page can be scrolled sideways."""
    found = page.evaluate(
        "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    )
    return int(found)


def cut(page: Page, selector: str) -> list[str]:
    """Of what is seen there, the texts that are not seen in full."""
    found = page.locator(selector).evaluate_all(
        """(all) => all
          .filter((e) => e.checkVisibility())
          .filter((e) => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight + 1)
          .map((e) => e.textContent)"""
    )
    return [str(text) for text in found]


def axe(page: Page) -> list[str]:
    """What axe-core finds serious or critical: ``rule: element``, empty when all is well."""
    # Not as a script element, which the page's own policy would refuse.
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['target']} {node['html'][:160]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
