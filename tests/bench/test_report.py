"""The table that a run prints."""

from __future__ import annotations

from bench.report import Report


def test_medians_ranges_and_the_ratio_to_the_floor() -> None:
    report = Report()
    for gateway, floor in ((2.0, 1.0), (3.0, 1.5), (9.0, 1.0)):
        report.add("gateway", {"CPU ms": gateway, "failover": 4.0})
        report.add("floor", {"CPU ms": floor})
    lines = report.markdown().splitlines()
    assert lines[2] == "| CPU ms | 3.00 (2.00..9.00) | 1.00 (1.00..1.50) | 3.00 |"
    assert lines[3] == "| failover | 4.00 | - | - |"


def test_no_value_is_a_dash_and_not_nan() -> None:
    report = Report()
    report.add("gateway", {"first token": float("nan")})
    report.add("floor", {"first token": 1.0})
    assert report.markdown().splitlines()[2] == "| first token | - | 1.00 | - |"


def test_json_keeps_every_value_and_the_errors() -> None:
    report = Report()
    report.add("gateway", {"CPU ms": 1.0})
    report.add("gateway", {"CPU ms": 2.0})
    written = report.as_json({"gateway: no [DONE]": 3})
    assert written["figures"] == {"CPU ms": {"gateway": [1.0, 2.0]}}
    assert written["errors"] == {"gateway: no [DONE]": 3}
