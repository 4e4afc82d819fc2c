"""How late what is due comes: the loop that all requests share must never be held for long."""

from __future__ import annotations

import logging
from collections.abc import Callable

from freellmapi.core import process
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


class Worst:
    """The worst of the last minute or two, in seconds."""

    def __init__(self) -> None:
        self._values = (0.0, 0.0)
        """Of this window, and of the one before."""
        self._ends = 0.0

    @property
    def value(self) -> float:
        return max(self._values)

    def note(self, value: float, now: float) -> None:
        if now >= self._ends:
            self._values = (0.0, self._values[0])
            self._ends = now + WINDOW
        self._values = (max(value, self._values[0]), self._values[1])


class Watchdog:
    """Sleeps a moment, again and again, and notes by how much each sleep was too long.

    Whose fault that is shows in ``held``: what is left without the time in which this
    process could have gone on, but others had the processors.
    """

    def __init__(self, waited: Callable[[], float] = process.waited_for_processor) -> None:
        self.lags = Histogram(LAGS)
        self.late, self.held = Worst(), Worst()
        self._waited = waited
        self._quiet_until = 0.0

    def run(self, clock: Clock) -> None:
        """For ever."""
        while True:
            self.look(clock)

    def look(self, clock: Clock) -> None:
        """One sleep, and what it tells."""
        waited, due = self._waited(), clock.monotonic() + INTERVAL
        clock.sleep(INTERVAL)
        now = clock.monotonic()
        lag = max(0.0, now - due)
        self.lags.add(lag)
        self.late.note(lag, now)
        waited = min(lag, self._waited() - waited)
        self.held.note(lag - waited, now)
        if lag > LATE and now >= self._quiet_until:
            self._quiet_until = now + QUIET
            others = f", {waited * 1000:.0f} of them for a processor" if waited > 0.001 else ""
            log.warning("everything waited for %.0f ms%s", lag * 1000, others)
