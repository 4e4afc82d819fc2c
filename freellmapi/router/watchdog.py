"""How late what is due comes: the loop that all requests share must never be held for long."""

from __future__ import annotations

import logging
from collections.abc import Callable

from freellmapi.core.clock import Clock
from freellmapi.core.counts import Histogram

log = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between looks. One costs about 20 us."""
LATE = 0.05
"""Seconds from which being late is worth a line in the log."""
QUIET = 10.0
"""Seconds without a further line, so that a slow machine does not fill its log."""
WINDOW = 60.0
"""Seconds after which a worst case begins to be forgotten."""
LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Watchdog:
    """Sleeps a moment, again and again, and notes by how much each sleep was too long."""

    def __init__(self) -> None:
        self.lags = Histogram(LAGS)
        self._worst = (0.0, 0.0)
        """Of this window, and of the one before."""
        self._window_ends = 0.0
        self._quiet_until = 0.0

    @property
    def worst(self) -> float:
        """The worst lag of the last minute or two, in seconds."""
        return max(self._worst)

    def run(self, clock: Clock) -> None:
        """For ever."""
        while True:
            self.look(clock)

    def look(self, clock: Clock, held_by: Callable[[], str] = lambda: "") -> None:
        """One sleep, and what it tells."""
        due = clock.monotonic() + INTERVAL
        clock.sleep(INTERVAL)
        now = clock.monotonic()
        lag = max(0.0, now - due)
        self.lags.add(lag)
        if now >= self._window_ends:
            self._worst = (0.0, self._worst[0])
            self._window_ends = now + WINDOW
        self._worst = (max(lag, self._worst[0]), self._worst[1])
        if lag > LATE and now >= self._quiet_until:
            self._quiet_until = now + QUIET
            log.warning("everything waited for %.0f ms%s", lag * 1000, held_by())
