"""The only place that reads the time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where every part of the program takes its time from."""

    def now(self) -> float:
        """Wall-clock time in epoch seconds (UTC)."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for measuring and waiting."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let other requests run for so many seconds."""
        ...


class SystemClock:
    """The machine's own clocks; gevent makes ``sleep`` cooperative."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
