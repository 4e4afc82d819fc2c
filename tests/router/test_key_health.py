from __future__ import annotations

import pytest

from freellmapi.core.errors import DAY
from freellmapi.providers.probe import ERROR, HEALTHY, INVALID, RATE_LIMITED, Verdict
from freellmapi.router.key_health import CONFIRM, RECHECK, START, UNCHECKED, KeyHealth

EVERY = 300.0


def after(*events: str, status: str = UNCHECKED) -> KeyHealth:
    """A key to which these things happened, a minute apart, from second 0 on.

    ``ok`` and ``401`` are live calls; what begins with ``probe`` is a probe's verdict.
    """
    key = KeyHealth(0.0, status)
    for minute, event in enumerate(events, start=1):
        now = minute * 60.0
        if event == "ok":
            key.answered(now)
        elif event == "401":
            key.refused(now, "no such key", live=True)
        else:
            key.probed(Verdict(event.removeprefix("probe "), "so it says"), now)
    return key


@pytest.mark.parametrize(
    ("events", "status", "rejected"),
    [
        (["ok"], HEALTHY, False),
        (["probe healthy"], HEALTHY, False),
        (["probe rate_limited"], RATE_LIMITED, False),
        (["probe error"], ERROR, False),
        (["probe error"] * 9, ERROR, False),
        (["ok", "probe error"], ERROR, False),
        (["probe error", "ok"], HEALTHY, False),
        (["probe rate_limited", "ok"], HEALTHY, False),
        (["ok", "401"], HEALTHY, True),
        (["401", "401"], INVALID, True),
        (["401", "probe invalid"], INVALID, True),
        (["probe invalid"], UNCHECKED, True),
        (["probe invalid", "probe invalid"], INVALID, True),
        (["probe invalid", "401"], INVALID, True),
        (["401", "probe healthy"], HEALTHY, False),
        (["ok", "401", "probe error"], HEALTHY, True),
        (["ok", "401", "probe rate_limited"], HEALTHY, True),
        (["ok", "401", "ok"], HEALTHY, True),
        (["401", "probe invalid", "probe error"], INVALID, True),
        (["401", "probe invalid", "ok"], INVALID, True),
        (["401", "probe invalid", "probe healthy"], HEALTHY, False),
        (["401", "probe healthy", "401"], INVALID, True),
        (["401", "probe healthy", "ok", "401"], HEALTHY, True),
    ],
    ids=lambda value: " then ".join(value) if isinstance(value, list) else str(value),
)
def test_what_is_known_of_a_key(events: list[str], status: str, rejected: bool) -> None:
    key = after(*events)
    assert (key.status, key.rejected) == (status, rejected)


def test_calls_that_fail_together_are_one_rejection() -> None:
    key = KeyHealth(0.0, HEALTHY)
    for moment in (100.0, 100.0, 103.0, 109.0):
        key.refused(moment, "no such key", live=True)
    assert key.status == HEALTHY
    key.refused(110.0, "no such key", live=True)
    assert key.status == INVALID


@pytest.mark.parametrize(
    ("events", "routine", "pace"),
    [
        ([], True, START),
        (["ok"], True, EVERY),
        (["probe healthy"], True, EVERY),
        (["probe error"], True, EVERY),
        (["probe rate_limited"], True, EVERY),
        (["401"], True, CONFIRM),
        (["401", "probe error"], True, 2 * CONFIRM),
        (["401", *["probe error"] * 20], True, RECHECK),
        (["401", "401"], True, RECHECK),
        ([], False, None),
        (["ok"], False, None),
        (["probe error"], False, None),
        (["401"], False, CONFIRM),
        (["401", "401"], False, RECHECK),
        (["401", "probe healthy", "401"], True, 2 * RECHECK),
        (["401", *["probe healthy", "401"] * 3], True, 8 * RECHECK),
        (["401", *["probe healthy", "401"] * 9], True, DAY),
        (["401", *["probe healthy", "401"] * 3, "probe healthy", "ok"], True, EVERY),
    ],
    ids=lambda value: " then ".join(value) if isinstance(value, list) else str(value),
)
def test_when_it_is_probed_next(events: list[str], routine: bool, pace: float | None) -> None:
    key = after(*events)
    assert key.due_at(EVERY, routine) == (None if pace is None else key.told_at + pace)


def test_live_traffic_puts_off_the_probe() -> None:
    key = after("probe healthy")
    key.answered(350.0)
    assert key.due_at(EVERY, routine=True) == 650.0
    key.let_in(600.0)
    assert key.due_at(EVERY, routine=True) == 900.0


def test_a_key_stored_as_invalid_is_looked_at_again_and_can_come_back() -> None:
    key = KeyHealth(0.0, INVALID)
    assert key.due_at(EVERY, routine=True) == RECHECK
    key.probed(Verdict(ERROR), RECHECK)
    assert key.status == INVALID
    key.probed(Verdict(HEALTHY), 2 * RECHECK)
    assert (key.status, key.rejected) == (HEALTHY, False)
