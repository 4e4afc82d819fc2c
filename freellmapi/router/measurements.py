"""What each model has lately been like, as its calls tell it; kept across restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from freellmapi.core.errors import ErrorKind
from freellmapi.core.measurement import Measurement
from freellmapi.core.route import Attempt

TELLING = frozenset(
    {
        ErrorKind.SERVER_ERROR,
        ErrorKind.BAD_ANSWER,
        ErrorKind.TIMEOUT,
        ErrorKind.UNREACHABLE,
        ErrorKind.STREAM_BROKEN,
    }
)
"""Failures that tell about the model and its provider. Caps, keys and the request's own
faults do not: a model at its cap is no worse when the cap has opened."""
MIN_TOKENS = 16
"""Tokens of the shortest answer from which a speed is read."""
MAX_SPEED = 2_000.0
"""Tokens a second; a provider that sends a whole answer at once is no faster than that."""
TYPICAL_WAIT = 1.0
"""Seconds to the first token of a whole answer whose model has never streamed here."""


class Measurements:
    """The measurements of all models; only the one process's own calls.

    As many as there are models in the catalog, and those that have left it since the start.
    """

    def __init__(self, known: Iterable[Measurement] = ()) -> None:
        self._by_ref = {measurement.ref: measurement for measurement in known}
        self._changed: set[str] = set()

    def of(self, ref: str) -> Measurement:
        """The model's; without any weight if it was never called."""
        return self._by_ref.get(ref) or Measurement(ref)

    def all(self) -> tuple[Measurement, ...]:
        return tuple(self._by_ref.values())

    def record(self, attempt: Attempt, first_token: float | None = None) -> None:
        """Learn from a call that is over. Failures that tell nothing are passed over.

        ``first_token`` is for a stream: seconds from the start of this very call.
        """
        now = attempt.started_at + attempt.duration
        if attempt.error is None:
            old = self.of(attempt.ref)
            speed = _speed(attempt, first_token, old)
            self._put(old.answered(now, first_token, speed))
        elif attempt.error in TELLING:
            self._put(self.of(attempt.ref).failed(now))

    def save(self, write: Callable[[tuple[Measurement, ...]], None]) -> None:
        """Hand what has changed since the last time to ``write``; what it raises is raised,
        and is handed over again the next time."""
        refs, self._changed = self._changed, set()
        if not refs:
            return
        try:
            write(tuple(self._by_ref[ref] for ref in sorted(refs)))
        except BaseException:
            self._changed |= refs
            raise

    def _put(self, measurement: Measurement) -> None:
        self._by_ref[measurement.ref] = measurement
        self._changed.add(measurement.ref)


def _speed(attempt: Attempt, first_token: float | None, known: Measurement) -> float | None:
    """Tokens a second after the first, or None if the answer is too short to tell."""
    tokens = attempt.usage.completion_tokens if attempt.usage else 0
    if tokens < MIN_TOKENS:
        return None
    if first_token is None:
        # A whole answer does not show when it began; at the latest half-way.
        wait = known.first_token.value if known.first_token.weight else TYPICAL_WAIT
        first_token = min(wait, attempt.duration / 2)
    seconds = attempt.duration - first_token
    return min(tokens / seconds, MAX_SPEED) if seconds > 0 else MAX_SPEED
