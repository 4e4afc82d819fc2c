"""A first look at a page in Chromium: what is transferred, and what jumps about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, ViewportSize, sync_playwright

SETTLED_MS = 1_500
"""After the load event: charts and first polls are there."""
VIEWPORTS: tuple[ViewportSize, ...] = (
    {"width": 1280, "height": 800},
    {"width": 390, "height": 844},
)
_SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({type: "layout-shift", buffered: true});
  setTimeout(() => done(sum), 200);
})"""


@dataclass(frozen=True, slots=True)
class FirstLoad:
    """``bytes`` over the wire with an empty cache, headers and all; ``requests`` for them;
    ``shift`` is the worse one of desktop and phone, all shifts added up."""

    bytes: int
    requests: int
    shift: float


@contextmanager
def launched() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def first_load(browser: Browser, url: str, cookies: Mapping[str, str]) -> FirstLoad:
    loads = [_load(browser, url, cookies, viewport) for viewport in VIEWPORTS]
    return FirstLoad(loads[0].bytes, loads[0].requests, max(load.shift for load in loads))


def _load(
    browser: Browser, url: str, cookies: Mapping[str, str], viewport: ViewportSize
) -> FirstLoad:
    context = browser.new_context(viewport=viewport)
    context.add_cookies([{"name": n, "value": v, "url": url} for n, v in cookies.items()])
    page = context.new_page()
    sizes: list[float] = []

    def finished(event: dict[str, Any]) -> None:
        sizes.append(event["encodedDataLength"])

    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", finished)
    page.goto(url, wait_until="load")
    page.wait_for_timeout(SETTLED_MS)
    shift = page.evaluate(_SHIFTS)
    context.close()
    return FirstLoad(int(sum(sizes)), len(sizes), shift)
