"""Which cap of a model is shown as what is left of it."""

from __future__ import annotations

import pytest

from freellmapi.core.route import Gate
from freellmapi.dashboard.pages.chain_left import left_of
from freellmapi.router.explain import Considered
from freellmapi.router.gates import GateWindow, Judged


def window(name: str, left: int, cap: int = 1000) -> GateWindow:
    return GateWindow("model", name, cap, cap - left, left, resets_at=0.0)


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ((window("rpm", 1), window("rpd", 900)), "900 of 1,000 requests left today"),
        ((window("tpd", 500), window("rpd", 900)), "900 of 1,000 requests left today"),
        ((window("tpd", 3), window("rpd", 900)), "3 of 1,000 tokens left today"),
        ((window("tpd", 3), window("rpd", 9)), "9 of 1,000 requests left today"),
        ((window("tpd", 0, cap=0), window("rpd", 900)), "0 of 0 tokens left today"),
        ((window("rpm", 1),), "1 of 1,000 requests left this minute"),
    ],
    ids=["a day", "requests", "used up", "both are low", "a cap of 0", "a minute"],
)
def test_the_cap_that_matters_most(windows: tuple[GateWindow, ...], said: str) -> None:
    gate = Judged(Gate.HEADROOM, True, "", windows=windows)
    found = left_of([Considered("m", "lab", "1", "", True, (gate,))], one_pool=False)
    assert found is not None
    assert found.said == said


def test_none_where_no_cap_is_known() -> None:
    gate = Judged(Gate.HEADROOM, True, "no cap is known")
    assert left_of([Considered("m", "lab", "1", "", True, (gate,))], one_pool=False) is None
