"""What ``bench.pages`` measures on, and how it reads what Lighthouse says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import lighthouse
from bench.stock import stocked
from freellmapi.app import build_services
from freellmapi.settings import Settings

ROWS = 60


def test_the_stock_is_large_and_made_once(tmp_path: Path) -> None:
    stock = stocked(tmp_path / "full", ROWS)
    key = (tmp_path / "full" / "key").read_text()
    services = build_services(Settings.from_env(stock.environ(1)))
    try:
        assert len(services.configuration.snapshot.catalog.models) > 200
        assert len(services.keys.all()) >= 50
        assert len(services.request_log.recent(1000)) == ROWS
    finally:
        services.close()
    assert stocked(tmp_path / "full", ROWS) == stock
    assert (tmp_path / "full" / "key").read_text() == key


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(RuntimeError, match="holds something else"):
        stocked(tmp_path, ROWS)


def report(shown: str) -> dict[str, Any]:
    audits = {
        "speed": {"title": "Speed", "score": 0.5, "scoreDisplayMode": "numeric"},
        "names": {"title": "Names", "score": 1, "scoreDisplayMode": "binary"},
    }
    refs = {
        "performance": [{"id": "speed", "weight": 10, "acronym": "SPD"}],
        "accessibility": [{"id": "names", "weight": 7}],
        "best-practices": [],
    }
    return {
        "requestedUrl": "http://127.0.0.1/keys",
        "finalDisplayedUrl": shown,
        "environment": {"benchmarkIndex": 900.5},
        "audits": audits,
        "categories": {name: {"score": 0.954, "auditRefs": found} for name, found in refs.items()},
    }


def test_scores_and_what_cost_them_are_read() -> None:
    found = lighthouse.read(report("http://127.0.0.1/keys"))
    assert (found.scores, found.machine) == ((95, 95, 95), 900.5)
    assert found.failed == ("Speed (0.5)",)
    assert dict(found.metrics) == {"SPD": ""}


def test_a_page_that_led_elsewhere_counts_for_nothing() -> None:
    with pytest.raises(RuntimeError, match="login"):
        lighthouse.read(report("http://127.0.0.1/login"))
