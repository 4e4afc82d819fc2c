"""``python -m bench.tabs``: how soon a second tab of the page Chain shows a change of the first.

From the click in one tab until the row is gone from, or back in, the other, in Chromium at a
real gunicorn.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, expect

from tests.e2e.browser import Person, launched, logged_in
from tests.e2e.chain import REFS, serving

TIMES = 20
PATIENCE_MS = 30_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.tabs", description="Two tabs of the page Chain.")
    parser.add_argument("--times", type=int, default=TIMES, help=f"changes (default {TIMES})")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        with launched() as browser:
            person = Person(browser, server, storage_state=logged_in(browser, server))
            first, second = person.page, person.open_tab()
            for page in (first, second):
                page.goto("/chain")
                expect(page.locator("[data-live]")).to_be_visible()
            first.locator("[data-folded-said]").click()
            took = [followed(first, second, len(REFS) - (n + 1) % 2) for n in range(given.times)]
            person.close()
    print(f"{len(took)} changes: median {median(took):.2f} s, worst {max(took):.2f} s")


def followed(first: Page, second: Page, rows: int) -> float:
    """Seconds from switching the last model until the other tab has so many ``rows``."""
    first.get_by_role("switch", name=REFS[-1]).click()
    began = time.perf_counter()
    expect(second.locator("[data-rows] .row")).to_have_count(rows, timeout=PATIENCE_MS)
    took = time.perf_counter() - began
    expect(first.locator("[data-rows] .row")).to_have_count(rows, timeout=PATIENCE_MS)
    return took


if __name__ == "__main__":
    main()
