"""The table that a run prints."""

from __future__ import annotations

import os

import pytest

from bench.goals import GOALS
from bench.load import Target
from bench.peers import peer
from bench.report import Report


def test_medians_ranges_and_the_ratio_to_the_floor() -> None:
    report = Report()
    for gateway, floor in ((2.0, 1.0), (3.0, 1.5), (9.0, 1.0)):
        report.add("gateway", {"CPU ms": gateway, "failover": 4.0})
        report.add("floor", {"CPU ms": floor})
    lines = report.markdown().splitlines()
    assert lines[2] == "| CPU ms | - | - | 3.00 (2.00..9.00) | 1.00 (1.00..1.50) | 3.00 |"
    assert lines[3] == "| failover | - | - | 4.00 | - | - |"


@pytest.mark.parametrize(
    ("gateway", "floor", "met"), [(0.9, 0.6, "yes"), (1.1, 0.7, "no"), (0.9, 0.4, "no")]
)
def test_a_goal_is_met_against_the_floor_too(gateway: float, floor: float, met: str) -> None:
    report = Report()
    report.add("gateway", {"CPU ms per request": gateway})
    report.add("floor", {"CPU ms per request": floor})
    row = report.markdown().splitlines()[2].split(" | ")
    assert row[:3] == ["| CPU ms per request", "<= 1, <= 1.8 x floor", met]


def test_a_figure_that_is_to_be_high_is_met_from_its_goal_on() -> None:
    assert GOALS["requests/s, 32 connections"].is_met(916, 1_500)
    assert not GOALS["requests/s, 32 connections"].is_met(914, 1_500)


def test_a_peer_is_somebody_elses_on_this_machine() -> None:
    subject, server = peer(f"other=http://127.0.0.1:81/api/v1/,key,model,{os.getpid()}")
    assert subject.target == Target(81, "key", "model", "/api/v1/chat/completions")
    assert server.memory_mib() > 5
    server.stop()
    with pytest.raises(ValueError, match="expected"):
        peer("other=https://example.com/v1,key,model")


def test_no_value_is_a_dash_and_not_nan() -> None:
    report = Report()
    report.add("gateway", {"first token": float("nan")})
    report.add("floor", {"first token": 1.0})
    assert report.markdown().splitlines()[2] == "| first token | - | - | - | 1.00 | - |"


def test_json_keeps_every_value_and_the_errors() -> None:
    report = Report()
    report.add("gateway", {"CPU ms": 1.0})
    report.add("gateway", {"CPU ms": 2.0})
    written = report.as_json({"gateway: no [DONE]": 3})
    assert written["figures"] == {"CPU ms": {"gateway": [1.0, 2.0]}}
    assert written["errors"] == {"gateway: no [DONE]": 3}
