"""How fast passwords may be guessed: slower with each wrong one, for whoever sends them."""

from __future__ import annotations

from collections import OrderedDict

from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass

FREE = 4
"""Wrong passwords before the first wait."""
LONGEST = 300.0
"""Seconds: the longest wait between two guesses."""
FORGOTTEN = 3_600.0
"""Seconds after its last guess in which a source is remembered."""
MOST = 10_000
"""Sources remembered; the one that has been quiet longest goes first."""

Source = tuple[str, str]
"""Who guesses (a known device or an address), and at whose password."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """What one source has tried; ``again_at`` is when its next guess is looked at."""

    n: int
    last_at: float
    again_at: float


class Throttle:
    """Counts by source, so that nobody's wrong passwords keep anybody else waiting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guesses: OrderedDict[Source, Guesses] = OrderedDict()

    def wait(self, source: Source) -> float:
        """Seconds until this source may guess again; 0 books the guess as a wrong one.

        Booked beforehand, so that guesses sent at the same time do not pass together;
        ``clear`` takes it back.
        """
        now = self._clock.monotonic()
        known = self._guesses.get(source)
        if known is not None and now < known.again_at:
            return known.again_at - now
        is_old = known is None or now - known.last_at > FORGOTTEN
        n = 1 if known is None or is_old else known.n + 1
        pause = 0.0 if n < FREE else min(2.0 ** (n - FREE), LONGEST)
        self._guesses[source] = Guesses(n, now, now + pause)
        self._guesses.move_to_end(source)
        while len(self._guesses) > MOST:
            self._guesses.popitem(last=False)
        return 0.0

    def clear(self, source: Source) -> None:
        """The password was right."""
        self._guesses.pop(source, None)
