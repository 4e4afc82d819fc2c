"""``python -m bench.figures FILE``: what the figures cost on a database of ``bench.seed``.

Times are the best of several, on the wall and of the CPU; each look opens the database anew,
as a page does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import orjson
from sqlalchemy import func, select

from bench.seed import usual
from freellmapi.core.catalog import Catalog
from freellmapi.core.clock import SystemClock
from freellmapi.dashboard.analytics import overview
from freellmapi.dashboard.periods import Range
from freellmapi.dashboard.queries import Filters, recent
from freellmapi.dashboard.recent import csv_rows, page
from freellmapi.providers.catalog import load_catalog
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.restore import restore
from freellmapi.router.settings import RouterSettings
from freellmapi.router.snapshot import LiveKey, Snapshot, merged_chain
from freellmapi.storage.db import Database
from freellmapi.storage.folding import fold
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.rollups import Rollups
from freellmapi.storage.tables import requests

SEARCHES = {
    "all": Filters(),
    "failed": Filters(failed=True),
    "one provider, after a failure": Filters(provider="cohere", fallback_only=True),
    "a model that nobody asked for": Filters(model="none"),
    "a piece of no id": Filters(text="zzz"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.figures", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--zone", default="Asia/Kolkata")
    given = parser.parse_args()
    database = Database.open(f"sqlite:///{given.file}")
    database.migrate()
    with database.connect() as connection:
        rows, now = connection.execute(select(func.count(), func.max(requests.c.at))).one()
    print(f"{rows:,} requests")
    measure("fold all hours", lambda: fold(database, now), times=1)
    measure("fold again", lambda: fold(database, now))
    catalog = load_catalog()
    for over in Range:
        measure(
            f"overview {over.value}",
            partial(_overview, database, catalog, over, given.zone, now),
        )
    for name, filters in SEARCHES.items():
        measure(f"recent, {name}", partial(_recent, database, filters))
    measure("CSV of 10,000", lambda: list(csv_rows(database, Filters(), 10_000)), times=1)
    measure("restore at start", lambda: restored(database, now))


def _overview(database: Database, catalog: Catalog, over: Range, zone: str, now: float) -> bytes:
    with Rollups(database).reading(now) as sums:
        return orjson.dumps(overview(sums, catalog, over, zone, now))


def _recent(database: Database, filters: Filters) -> bytes:
    return orjson.dumps(page(recent(database, filters)))


def restored(database: Database, now: float) -> None:
    catalog, spread = load_catalog(), usual()
    keys = [
        LiveKey(spread.key_id(provider, n), provider)
        for provider in spread.providers
        for n in range(spread.keys_each)
    ]
    snapshot = Snapshot.of(1, catalog, merged_chain(catalog, ()), keys, RouterSettings())
    log = RequestLog(database, SystemClock())
    restore(MemoryLedger(), snapshot, log, Rollups(database), now)
    log.close()


def measure(name: str, job: Callable[[], object], times: int = 9) -> None:
    wall = cpu = float("inf")
    for _ in range(times):
        started, busy = time.perf_counter(), time.process_time()
        job()
        wall = min(wall, time.perf_counter() - started)
        cpu = min(cpu, time.process_time() - busy)
    print(f"{name:36} {wall * 1e3:8.1f} ms  {cpu * 1e3:8.1f} ms CPU")


if __name__ == "__main__":
    main()
