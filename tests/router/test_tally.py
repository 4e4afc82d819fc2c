from __future__ import annotations

import pytest

from freellmapi.core.limits import Bucket, Limits, Usage, next_midnight, next_month
from freellmapi.router.counter import MINUTE_SLOTS
from freellmapi.router.ledger import Earlier, MemoryLedger
from freellmapi.router.pace import MEMORY
from freellmapi.router.tally import Window, windows

NOW = 1_790_000_000.0
ALL = Limits(
    rpm=30, rpd=1_000, tpm=6_000, tpd=90_000, requests_per_month=9_000, tokens_per_month=10**6
)


def used(limits: Limits, calls: int = 1, tokens: int = 10) -> list[Window]:
    """The windows of a bucket after so many calls."""
    ledger, bucket = MemoryLedger(), Bucket("b", limits, "US/Pacific")
    for _ in range(calls):
        ledger.reserve((bucket,), tokens, NOW)
    return list(windows(ledger.tally(bucket, NOW), NOW))


def test_every_stated_cap_is_a_window_that_resets_where_the_provider_counts() -> None:
    day, month = next_midnight(NOW, "US/Pacific"), next_month(NOW, "US/Pacific")
    minute = NOW + MINUTE_SLOTS
    assert [(w.window, w.cap, w.used, w.left, w.resets_at) for w in used(ALL, 3)] == [
        ("rpm", 30, 3, 27, minute),
        ("tpm", 6_000, 30, 5_970, minute),
        ("rpd", 1_000, 3, 997, day),
        ("tpd", 90_000, 30, 89_970, day),
        ("requests_per_month", 9_000, 3, 8_997, month),
        ("tokens_per_month", 10**6, 30, 10**6 - 30, month),
    ]


def test_what_is_not_stated_is_no_window() -> None:
    assert used(Limits()) == []


def test_uncapped_use_is_counted_all_the_same() -> None:
    ledger, bucket = MemoryLedger(), Bucket("b", Limits())
    held = ledger.reserve((bucket,), 10, NOW)
    assert held is not None
    ledger.settle(held, Usage(200, 56), spent=True)
    tally = ledger.tally(bucket, NOW)
    assert (tally.day.requests, tally.day.tokens) == (1, 256)
    assert tally.tokens_a_second == pytest.approx(256 / MEMORY)


def test_it_runs_out_at_the_pace_of_the_last_minutes() -> None:
    (window,) = used(Limits(rpd=100), 60)
    assert window.pace == pytest.approx(60 / MEMORY)
    assert window.runs_out_at == pytest.approx(NOW + 40 / (60 / MEMORY))


@pytest.mark.parametrize(
    ("limits", "calls"),
    [
        pytest.param(Limits(rpd=100_000), 3, id="it resets first"),
        pytest.param(Limits(rpd=100), 0, id="nothing is used"),
    ],
)
def test_it_does_not_run_out(limits: Limits, calls: int) -> None:
    (window,) = used(limits, calls)
    assert window.runs_out_at is None


def test_what_is_used_up_has_run_out_now() -> None:
    (window,) = used(Limits(rpd=3), 3)
    assert (window.left, window.runs_out_at) == (0, NOW)


def test_after_a_restart_the_pace_is_the_days_until_something_is_used() -> None:
    ledger, bucket = MemoryLedger(), Bucket("b", Limits(rpd=500))
    ledger.restore(bucket, Earlier(day=(300, 9_000)), NOW)
    day_so_far = NOW - (next_midnight(NOW, "UTC") - 86_400)
    (window,) = windows(ledger.tally(bucket, NOW), NOW)
    assert window.pace == pytest.approx(300 / day_so_far)
    ledger.reserve((bucket,), 1, NOW)
    (window,) = windows(ledger.tally(bucket, NOW), NOW)
    assert window.pace == pytest.approx(1 / MEMORY)


def test_a_window_says_itself_in_words() -> None:
    assert str(used(ALL, 2)[1]) == "20 of 6,000 tokens this minute"
