"""kill -9 under load: nothing that was answered is lost. ``python -m bench.crashes`` does more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.crashes import VICTIMS, crashes
from tests.fakes import postgres

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(postgres.is_asked_for(), reason="of SQLite's file"),
]


def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    with crashes(tmp_path, seed=1) as killed:
        rounds = [killed.round(victim) for victim in VICTIMS]
    assert rounds[-1].answered > 0
