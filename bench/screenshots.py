"""``python -m bench.screenshots``: the pictures of the dashboard in docs/images, made anew.

A real server with made-up keys and traffic, in Chromium. ``--look FOLDER`` takes pictures
of every page there instead, on a phone too.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect

from bench.processes import ROOT
from bench.showcase import QUESTION, TEA_TIME, showcase
from tests.e2e.browser import DESKTOP, PHONE, Person, launched
from tests.e2e.playground import send
from tests.e2e.server import Server

IMAGES = ROOT / "docs" / "images"
SHARP = 2
"""Pixels of a picture for one of the page."""
QUALITY = 78
"""Of WebP: type stays crisp, and a picture below 150 kB."""
MOST_BYTES = 150_000
SETTLED_MS = 400
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SHOWN = ("keys", "chain", "playground", "analytics")
ALL = (*SHOWN, "settings", "account")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.screenshots", description=__doc__)
    parser.add_argument("--look", type=Path, metavar="FOLDER", help="every page, only to look at")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with showcase(Path(folder)) as server, launched() as browser:
            if given.look:
                pictures(browser, server, given.look, ALL, (DESKTOP, PHONE))
            else:
                pictures(browser, server, IMAGES, SHOWN, (DESKTOP,))


def pictures(
    browser: Browser,
    server: Server,
    folder: Path,
    names: Sequence[str],
    sizes: Sequence[ViewportSize],
) -> None:
    """``NAME-SCHEME.webp`` for each, ``NAME-phone-SCHEME.webp`` on a phone."""
    folder.mkdir(parents=True, exist_ok=True)
    person = Person(browser, server, device_scale_factor=SHARP, timezone_id=zone())
    person.log_in()
    page = person.page
    page.wait_for_url("**/keys")
    # First of all, so that every page knows of the call and of the provider that refused it.
    page.goto("/playground")
    expect(send(page, QUESTION).locator("[data-line]")).to_contain_text("tok/s")
    for name in names:
        visit(page, name)
        for size in sizes:
            page.set_viewport_size(size)
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                form = "" if size == DESKTOP else "-phone"
                take(page, folder / f"{name}{form}-{scheme}.webp")
    person.close()


def visit(page: Page, name: str) -> None:
    """The page as it is to be seen, with nothing on its way any more."""
    page.set_viewport_size(DESKTOP)
    page.goto(f"/{name}?range=7d" if name == "analytics" else f"/{name}")
    if name == "analytics":
        page.wait_for_function("Chart.getChart(document.querySelector('canvas'))")
    if name == "playground":
        expect(page.locator(".pg-answer [data-line]")).to_contain_text("tok/s")
    page.wait_for_timeout(SETTLED_MS)


def take(page: Page, file: Path) -> None:
    """Not by Playwright, which knows no WebP; without room for a scrollbar that is not drawn."""
    page.evaluate("document.documentElement.style.scrollbarGutter = 'auto'")
    page.wait_for_timeout(SETTLED_MS)
    seen = page.viewport_size or DESKTOP
    clip = {"x": 0, "y": page.evaluate("scrollY"), **seen, "scale": SHARP}
    session = page.context.new_cdp_session(page)
    asked = {"format": "webp", "quality": QUALITY, "clip": clip}
    taken = session.send("Page.captureScreenshot", asked)
    session.detach()
    picture = base64.b64decode(taken["data"])
    if len(picture) > MOST_BYTES:
        raise ValueError(f"{file.name} has {len(picture):,} bytes, more than {MOST_BYTES:,}")
    file.write_bytes(picture)
    print(f"{file} {len(picture):,}")


def zone() -> str:
    """The one in which it is tea time now, so that the charts end in an afternoon."""
    ahead = (TEA_TIME - datetime.now(timezone.utc).hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}"


if __name__ == "__main__":
    main()
