"""``python -m bench.pages``: what each page of the dashboard costs, server and browser.

The real gunicorn on a database with 223 models, 50 keys and a million requests of 90 days,
which is seeded once a day. ``--lighthouse`` installs Lighthouse from npm beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser

from bench import browse, lighthouse
from bench.browse import FirstLoad
from bench.lighthouse import Scores
from bench.processes import Program, Server, wait_until_quiet
from bench.stock import NAME, PASSWORD, Stock, empty, stocked
from bench.subjects import GUNICORN, START_TIMEOUT, free_port
from bench.visit import Timing, Visitor, timed

ROWS = 1_000_000
FRESH_AGAIN = 1.1
"""Seconds between looks at a page: what it keeps for a second is made anew each time."""


@dataclass(frozen=True, slots=True)
class Page:
    """``who``: ``owner``, ``guest``, or ``first``, of a server without an account."""

    path: str
    who: str = "owner"


PAGES = (
    Page("/setup", "first"),
    Page("/login", "guest"),
    Page("/keys"),
    Page("/chain"),
    Page("/playground"),
    Page("/analytics?range=24h"),
    Page("/analytics?range=7d"),
    Page("/analytics?range=30d"),
    Page("/analytics?range=90d"),
    Page("/analytics?range=90d&by=model"),
    Page("/analytics?range=90d&by=key"),
    Page("/analytics?range=90d&by=client"),
    Page("/settings"),
    Page("/account"),
)


@dataclass(slots=True)
class Measured:
    page: Page
    timing: Timing
    load: FirstLoad | None = None
    scores: dict[str, Scores] = field(default_factory=dict)

    def cells(self) -> Iterator[str]:
        t = self.timing
        yield f"`{self.page.path}`"
        yield f"{t.median_ms:.0f} / {t.worst_ms:.0f}"
        yield f"{t.cpu_ms:.0f}"
        yield f"{t.held_ms:.0f}"
        yield f"{t.html / 1e3:.0f} / {t.packed / 1e3:.1f}"
        yield f"{self.load.bytes / 1e3:.0f} in {self.load.requests}" if self.load else "-"
        yield f"{self.load.shift:.3f}" if self.load else "-"
        for form in lighthouse.FORMS:
            found = self.scores.get(form)
            yield " / ".join(map(str, found.scores)) if found else "-"


HEADS = (
    "page",
    "server ms, median / worst",
    "CPU ms",
    "others wait ms",
    "HTML kB / gzip",
    "first load kB",
    "CLS",
    "desktop",
    "mobile",
)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.pages", description="What the pages cost.")
    add = parser.add_argument
    folder = Path(tempfile.gettempdir()) / "freellmapi-bench"
    add("--data", type=Path, default=folder, help=f"seeded once, then used again ({folder})")
    add("--rows", type=int, default=ROWS, help=f"requests in the log (default {ROWS:,})")
    add("--times", type=int, default=15, help="looks at each page (default 15)")
    add("--only", default="", help="pages whose address has this in it")
    add("--no-browser", action="store_true", help="the server's side alone")
    add("--lighthouse", action="store_true", help="its three scores, desktop and mobile")
    add("--runs", type=int, default=1, help="of Lighthouse, the median one counts (default 1)")
    return parser.parse_args(arguments)


def main() -> int:
    given = options()
    folder = given.data.resolve()
    with tempfile.TemporaryDirectory() as new:
        stocks = {"first": empty(Path(new) / "new"), "owner": stocked(folder / "full", given.rows)}
        found = [
            one
            for name, stock in stocks.items()
            for one in measured(given, stock, pages_of(name, given.only))
        ]
    print(f"| {' | '.join(HEADS)} |\n|---|{'---:|' * (len(HEADS) - 1)}")
    for one in found:
        print(f"| {' | '.join(one.cells())} |")
    return 0


def pages_of(stock: str, only: str) -> list[Page]:
    """Those that a server with this stock shows."""
    first = stock == "first"
    return [page for page in PAGES if (page.who == "first") == first and only in page.path]


def measured(given: argparse.Namespace, stock: Stock, pages: Sequence[Page]) -> list[Measured]:
    if not pages:
        return []
    with serving(stock) as (server, port):
        guest, owner = Visitor(port), Visitor(port)
        if pages[0].who != "first":
            owner.log_in(NAME, PASSWORD)
        visitors = {"owner": owner, "guest": guest, "first": guest}
        wait_until_quiet([server])
        found = [
            Measured(p, timed(visitors[p.who], server, p.path, given.times, FRESH_AGAIN))
            for p in pages
        ]
        if not given.no_browser:
            with browse.launched() as browser:
                for one in found:
                    one.load = look(browser, visitors[one.page.who], one.page)
        if given.lighthouse:
            program = lighthouse.install(given.data.resolve() / "lighthouse")
            for one in found:
                one.scores = judge(program, visitors[one.page.who], one.page, given.runs)
        return found


def look(browser: Browser, visitor: Visitor, page: Page) -> FirstLoad:
    cookies = visitor.cookies if page.who == "owner" else {}
    return browse.first_load(browser, url_of(visitor, page), cookies)


def judge(program: Path, visitor: Visitor, page: Page, runs: int) -> dict[str, Scores]:
    cookie = visitor.cookie_header() if page.who == "owner" else ""
    found: dict[str, Scores] = {}
    for form in lighthouse.FORMS:
        scores = found[form] = lighthouse.scored(program, url_of(visitor, page), cookie, form, runs)
        said = " ".join(f"{name} {value}" for name, value in scores.metrics.items())
        about = f"{page.path} {form} {scores.scores} on a machine of {scores.machine:.0f}"
        print(f"{about}: {said}; {scores.failed}", file=sys.stderr)
    return found


def url_of(visitor: Visitor, page: Page) -> str:
    return f"http://127.0.0.1:{visitor.port}{page.path}"


@contextmanager
def serving(stock: Stock) -> Iterator[tuple[Server, int]]:
    port = free_port()
    program = Program(GUNICORN, stock.environ(port), stock.folder / "server.log")
    with program.start() as server:
        deadline = time.monotonic() + START_TIMEOUT
        while not _is_up(port):
            server.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer on port {port}:\n{server.log_end()}")
            time.sleep(0.05)
        yield server, port


def _is_up(port: int) -> bool:
    try:
        return Visitor(port).get("/healthz").status == 200
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
