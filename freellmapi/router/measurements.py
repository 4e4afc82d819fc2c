"""What each model has lately been like: success, speed, time to the first token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

WEIGHT = 0.1
"""Of the newest call in a moving average: about the last twenty calls count."""
FULL_CONFIDENCE = 20
MAX_REFS = 10_000


@dataclass(frozen=True, slots=True)
class Measurement:
    """Moving averages of one model; None where nothing was measured yet."""

    ref: str
    samples: int = 0
    success: float = 1.0
    """Share of calls that were answered, 0 to 1."""
    first_token: float | None = None
    """Seconds."""
    speed: float | None = None
    """Output tokens a second, after the first."""
    at: float = 0.0
    """Epoch seconds of the newest call."""


class Measurements:
    """The measurements of all models; the oldest go when there are too many."""

    def __init__(self, known: Iterable[Measurement] = ()) -> None:
        self._by_ref: dict[str, Measurement] = {m.ref: m for m in known}
        self.changed: set[str] = set()
        """Refs measured since they were last saved."""

    def of(self, ref: str) -> Measurement:
        return self._by_ref.get(ref) or Measurement(ref)

    def all(self) -> Mapping[str, Measurement]:
        return MappingProxyType(self._by_ref)

    def succeeded(
        self, ref: str, now: float, first_token: float | None, speed: float | None
    ) -> None:
        """A call was answered; ``first_token`` in seconds, ``speed`` in tokens a second."""
        old = self.of(ref)
        self._put(
            replace(
                old,
                samples=old.samples + 1,
                success=_moved(old.success, 1.0, old.samples),
                first_token=_measured(old.first_token, first_token, old.samples),
                speed=_measured(old.speed, speed, old.samples),
                at=now,
            )
        )

    def failed(self, ref: str, now: float) -> None:
        """A call failed for a reason that tells about the model, not about the request."""
        old = self.of(ref)
        success = _moved(old.success, 0.0, old.samples)
        self._put(replace(old, samples=old.samples + 1, success=success, at=now))

    def take_changed(self) -> tuple[Measurement, ...]:
        """What has to be saved; it counts as saved from here on."""
        refs, self.changed = self.changed, set()
        return tuple(self._by_ref[ref] for ref in refs if ref in self._by_ref)

    def _put(self, measurement: Measurement) -> None:
        # Re-inserted, so that the first key is the one that was measured longest ago.
        self._by_ref.pop(measurement.ref, None)
        self._by_ref[measurement.ref] = measurement
        self.changed.add(measurement.ref)
        if len(self._by_ref) > MAX_REFS:
            del self._by_ref[next(iter(self._by_ref))]


def _moved(old: float, new: float, samples: int) -> float:
    """The moving average with one more value; the first few count alike."""
    weight = max(WEIGHT, 1 / (samples + 1))
    return old + (new - old) * weight


def _measured(old: float | None, new: float | None, samples: int) -> float | None:
    if new is None:
        return old
    return new if old is None else _moved(old, new, samples)
