"""Figures of the gateway that need no load: the analytics page, and the decision."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from bench import decision
from bench.measure import Figures
from bench.pages import FRESH_AGAIN, ROWS, serving
from bench.stock import NAME, PASSWORD, stocked
from bench.visit import Visitor, timed

LOOKS = 15


def analytics() -> Figures:
    """On the log of ``bench.pages``, which is seeded once a day."""
    figures: Figures = {}
    with serving(stocked(Path(tempfile.gettempdir()) / "freellmapi-bench" / "full", ROWS)) as up:
        server, port = up
        visitor = Visitor(port)
        visitor.log_in(NAME, PASSWORD)
        for days in (30, 90):
            path = f"/analytics?range={days}d"
            found = timed(visitor, server, path, LOOKS, FRESH_AGAIN)
            figures[f"analytics, {ROWS:,} requests, {days} days: ms"] = found.median_ms
    return figures


def decisions() -> Figures:
    rows = decision.table(decision.TURNS)
    return {f"decision, {name}: p99 us": worst for name, _, worst in rows}


ALONE: Mapping[str, Callable[[], Figures]] = MappingProxyType(
    {"analytics": analytics, "decision": decisions}
)
