from __future__ import annotations

from datetime import timezone

import pytest

from freellmapi.cli.times import in_time, span

NOW = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (0.84, "0.8 s"),
        (14.2, "14 s"),
        (89, "89 s"),
        (91, "2 min"),
        (5_340, "89 min"),
        (11_100, "3 h 05 min"),
        (7 * 86_400, "7 days"),
    ],
)
def test_a_length_of_time_is_said_shortly(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (-5.0, "now"),
        (14.0, "in 14 s (14:13:34)"),
        (3 * 86_400.0, "in 3 days (2026-09-24 14:13)"),
    ],
)
def test_a_time_is_told_as_wait_and_by_the_clock(after: float, said: str) -> None:
    assert in_time(NOW + after, NOW, timezone.utc) == said
