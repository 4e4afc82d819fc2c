"""What a model has lately been like: averages that fade, so that the past is forgiven."""

from __future__ import annotations

from freellmapi.core.values import dataclass

MOST = 20.0
"""Calls that an average stands for at the most: about the last twenty count."""
DOUBT = 5.0
"""Calls that it takes until a measured value counts as much as the expected one."""
HALF_LIFE = 7_200.0
"""Seconds after which what was measured stands for half as many calls."""
FORGIVING = 4.0
"""Calls that the past still stands for when a model that mostly failed answers again."""


@dataclass(frozen=True, slots=True)
class Average:
    """A moving average and how many calls it stands for (0: nothing was measured)."""

    value: float = 0.0
    weight: float = 0.0

    def plus(self, value: float | None, share: float = 1.0, most: float = MOST) -> Average:
        """With one more value (None: with none), after what was measured has come to stand for
        this ``share`` of its calls, and for ``most`` of them."""
        weight = min(self.weight * share, most)
        if value is None:
            return Average(self.value, weight) if self.weight else self
        weight += 1
        return Average(self.value + (value - self.value) / weight, min(weight, MOST))

    def against(self, expected: float, share: float = 1.0) -> float:
        """The measured value, drawn towards the expected one the less was measured."""
        weight = self.weight * share
        return expected + (self.value - expected) * weight / (weight + DOUBT)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The averages of one model."""

    ref: str
    at: float = 0.0
    """Epoch seconds of the newest call; 0: never called."""
    success: Average = Average()
    """Share of calls that were answered, 0 to 1."""
    first_token: Average = Average()
    """Seconds from the call to the first token of a stream."""
    speed: Average = Average()
    """Output tokens a second, after the first."""

    def share(self, now: float) -> float:
        """How much of their weight the averages still have, 1 to 0."""
        age = max(now - self.at, 0.0)
        return float(0.5 ** (age / HALF_LIFE))

    def answered(self, now: float, first_token: float | None, speed: float | None) -> Measurement:
        """After one more answer; ``None`` for what it did not tell."""
        # What is back after it had changed: little of the past counts.
        most = MOST if self.success.value >= 0.5 else FORGIVING
        return self._after(now, 1.0, first_token, speed, most)

    def failed(self, now: float) -> Measurement:
        """After one more failure that tells about the model."""
        return self._after(now, 0.0, None, None)

    def _after(
        self,
        now: float,
        success: float,
        first_token: float | None,
        speed: float | None,
        most: float = MOST,
    ) -> Measurement:
        """After one more call. Made in one piece: with an object for each step this was 1 % of
        all that a small request costs."""
        share = self.share(now)
        return Measurement(
            self.ref,
            max(now, self.at),
            self.success.plus(success, share, most),
            self.first_token.plus(first_token, share),
            self.speed.plus(speed, share),
        )
