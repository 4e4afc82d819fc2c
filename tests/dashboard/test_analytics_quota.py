"""Caps by provider: summed over keys and models, and what is to be expected of them."""

from __future__ import annotations

from freellmapi.dashboard.pages.analytics_quota import cap_lines
from freellmapi.router.quota import (
    AccountKey,
    AccountQuota,
    ModelQuota,
    ProviderQuota,
    Quota,
    Today,
)
from freellmapi.router.tally import Window

NOW = 1_790_000_000.0
HOUR = 3_600.0
NOTHING = Today(0, 0, 0, 0, 0, 0)


def window(used: int, cap: int = 100, pace: float = 0.0, kind: str = "rpd") -> Window:
    return Window(kind, cap, used, cap - used, NOW + HOUR, pace, None)


def account(*windows: Window, usable: bool = True, enabled: bool = True) -> AccountQuota:
    models = tuple(ModelQuota(f"lab/{n}", enabled, (w,), None, None) for n, w in enumerate(windows))
    return AccountQuota((AccountKey("1", "main", usable, ""),), (), None, models)


def quota(*accounts: AccountQuota) -> Quota:
    return Quota(NOW, NOTHING, (ProviderQuota("lab", "Lab", "UTC", accounts),))


def test_keys_and_models_of_a_provider_are_summed() -> None:
    (line,) = cap_lines(quota(account(window(10), window(20)), account(window(30))))
    assert (line.used, line.cap, line.unit, line.period) == (60, 300, "requests", "today")


def test_what_is_off_or_cannot_be_used_does_not_count() -> None:
    accounts = (account(window(10), usable=False), account(window(20), enabled=False))
    assert cap_lines(quota(*accounts)) == ()


def test_a_cap_that_will_not_last_says_until_when() -> None:
    (line,) = cap_lines(quota(account(window(40, pace=60 / 1800))))
    assert line.runs_out_at == NOW + 1800
    assert (line.expected, line.expected_share, line.state) == (160.0, 1.0, "limited")


def test_a_cap_that_lasts_says_what_will_be_used() -> None:
    (line,) = cap_lines(quota(account(window(40, pace=20 / HOUR))))
    assert line.runs_out_at is None
    assert (round(line.expected), round(line.expected_share, 3), line.state) == (60, 0.6, "healthy")


def test_the_most_used_comes_first_and_minutes_are_left_out() -> None:
    found = cap_lines(quota(account(window(5), window(90, kind="tpd"), window(99, kind="rpm"))))
    assert [(line.unit, line.share, line.state) for line in found] == [
        ("tokens", 0.9, "limited"),
        ("requests", 0.05, "healthy"),
    ]
