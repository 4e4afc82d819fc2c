"""Settings: what is taken, and what is said of the rest."""

from __future__ import annotations

import pytest

from freellmapi.router.settings import RouterSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strategy", "fast"),
        ("stream_recovery", "error"),
        ("max_wait", 0),
        ("connect_timeout", 2.5),
        ("max_attempts", 1),
        ("hedging", True),
        ("hedging_share", 0),
        ("hedging_share", 0.5),
        ("log_retention_days", 7),
    ],
)
def test_a_usable_value_is_taken(name: str, value: object) -> None:
    settings, problems = RouterSettings().merged({name: value})
    assert getattr(settings, name) == value
    assert problems == ()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("stratgy", "fast", "not a setting"),
        ("strategy", "best", "one of priority"),
        ("strategy", ["fast"], "one of"),
        ("hedging", 1, "not true or false"),
        ("hedging_share", 1.5, "a share from 0 to 1"),
        ("hedging_share", float("nan"), "a share from 0 to 1"),
        ("max_wait", "15", "not a number"),
        ("max_wait", True, "not a number"),
        ("max_wait", None, "not a number"),
        ("max_wait", -1, "out of range"),
        ("max_wait", float("nan"), "out of range"),
        ("max_wait", float("inf"), "out of range"),
        ("connect_timeout", 0, "out of range"),
        ("idle_timeout", 1e9, "out of range"),
        ("max_attempts", 0, "from 1 to 100"),
        ("max_attempts", 2.5, "from 1 to 100"),
    ],
)
def test_an_unusable_value_is_named_and_left_out(name: str, value: object, words: str) -> None:
    settings, problems = RouterSettings().merged({name: value, "patience": 1})
    assert settings == RouterSettings(patience=1)
    assert len(problems) == 1
    assert f"settings.{name}" in problems[0]
    assert words in problems[0]


def test_later_settings_win() -> None:
    settings, _ = RouterSettings().merged({"max_wait": 1, "patience": 2})
    settings, _ = settings.merged({"max_wait": 3})
    assert (settings.max_wait, settings.patience) == (3, 2)
