from __future__ import annotations

import json
from datetime import timezone

import pytest

from freellmapi.cli.explain import as_json
from freellmapi.cli.quota import quota_text
from freellmapi.core.limits import Limits
from freellmapi.router.judge import Picture
from freellmapi.router.quota import quota
from tests.cli.conftest import Run
from tests.fakes.clock import FrozenClock
from tests.router.conftest import Lab, model, provider, snapshot


@pytest.fixture(autouse=True)
def nobody_listens(environ: dict[str, str]) -> None:
    environ["PORT"] = "1"


def test_without_a_server_the_log_is_counted(run: Run) -> None:
    found = json.loads(run("quota", "--json").output)
    assert found["source"] == "database"
    assert "lab" in {p["provider"] for p in found["providers"]}
    assert "freellmapi quota --all" in run("quota").output
    assert "lab/alpha" not in run("quota").output
    assert "lab/alpha" in run("quota", "--all").output


def test_caps_are_shown_with_what_is_left_and_until_when() -> None:
    of = provider(account_limits=Limits(rpd=90))
    town = Lab(
        snapshot(model(limits=Limits(rpm=30)), model(id="n"), providers=[of]), clock=FrozenClock()
    )
    for _ in range(60):
        town.ledger.reserve(town.the("alpha/n").buckets, 10, town.clock.now())
    picture = Picture(town.snapshot, town.cooldowns, town.ledger, town.clock, {})

    text = quota_text(as_json(quota(picture)), zone=timezone.utc)

    used, tokens, _, head, line, _, hidden = text.splitlines()
    said = "Today 60 requests were used, and 30 are left by daily caps"
    assert used == f"{said} and the day's share of monthly ones."
    assert tokens.endswith("; 2 models on keys have no such cap.")
    assert head.split()[:4] == ["model", "key", "cap", "used"]
    assert line.startswith("alpha (all models)")
    assert "90 requests a day" in line
    # 60 in the last minutes are 0.1 a second: the other 30 last five minutes.
    assert line.endswith("in 5 min (14:18:20)")
    assert hidden.startswith("One cap")
