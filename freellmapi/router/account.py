"""A bucket's counter together with the caps in force: the catalog's, and what was learned."""

from __future__ import annotations

from dataclasses import field

from freellmapi.core.limits import NO_LIMITS, Limits
from freellmapi.core.values import dataclass
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.counter import MINUTE_SLOTS, NEVER, UNKNOWN, Counter
from freellmapi.router.headroom import Headroom
from freellmapi.router.learning import CAPS, StatedLimits

# Of a minute, what is left is compared only with answers this fresh (seconds): by later
# ones, calls have left our window that the answer still counts.
FRESH = MINUTE_SLOTS - 60.0
# Tokens are estimates until a call is settled. A difference below this share of the cap is
# one of estimates, and is not another program that uses the same key.
SURPRISE = 0.05
TOKENS = frozenset({"tpm", "tpd", "tokens_per_month"})
LONGEST_CLOSED = {"rpm": 120.0, "tpm": 120.0, "rpd": 90_000.0, "tpd": 90_000.0}
LONGEST_MONTH = 32 * 86_400.0


@dataclass(slots=True)
class Account(Counter):
    """A counter, its caps, and what its provider says of both."""

    limits: Limits = NO_LIMITS
    """The caps in force."""
    given: Limits | None = None
    """The caps of the catalog and the user, of which ``limits`` was made."""
    limits_until: float = 0.0
    """When a stated limit that is part of ``limits`` is forgotten."""
    stated: StatedLimits = field(default_factory=StatedLimits)
    left: tuple[int, Headroom] | None = None
    """What was left at that second; it still is while ``pressed`` is known."""

    def apply(self, given: Limits, now: float) -> None:
        """Put these caps in force, with the lower ones that the provider stated."""
        self.given = given
        self.limits, self.limits_until = self.stated.applied(given, now)
        self.pressed = UNKNOWN

    def observe(self, seen: Observation, now: float, sent_at: float) -> None:
        """Take over what an answer to a call made at ``sent_at`` says of one window."""
        if seen.limit is not None and self.stated.note(seen.window, seen.limit, now):
            self.apply(self.given or NO_LIMITS, now)
        if seen.remaining is None or self._is_stale(seen, now, sent_at):
            return
        if self._counts_others(CAPS[seen.window], seen.remaining, now):
            if seen.remaining == 0 and seen.resets_in is not None:
                wait = min(seen.resets_in, LONGEST_CLOSED.get(seen.window, LONGEST_MONTH))
                self.closed_until = max(self.closed_until, now + wait)

    def _is_stale(self, seen: Observation, now: float, sent_at: float) -> bool:
        """Whether our window has moved on since the provider counted its own."""
        if seen.window in ("rpm", "tpm"):
            return now - sent_at > FRESH
        return sent_at < (self.day if seen.window in ("rpd", "tpd") else self.month).since

    def is_news(self, seen: Observation, now: float, sent_at: float) -> bool:
        """Whether ``observe`` would change more than when a limit was last seen."""
        if seen.limit is not None and self.stated.is_news(seen.window, seen.limit, now):
            return True
        if seen.remaining is None or self._is_stale(seen, now, sent_at):
            return False
        if seen.remaining == 0 and seen.resets_in is not None and self.closed_until <= now:
            return True
        window = CAPS[seen.window]
        cap: int | None = getattr(self.limits, window)
        return cap is not None and self._missing(window, cap, seen.remaining, now) > 0

    def _counts_others(self, window: str, remaining: int, now: float) -> bool:
        """Count what others must have used; whether there was any, or may have been."""
        cap: int | None = getattr(self.limits, window)
        if cap is None:
            return True
        missing = self._missing(window, cap, remaining, now)
        if missing:
            self.add_others(window, missing, now)
        return missing > 0

    def _missing(self, window: str, cap: int, remaining: int, now: float) -> int:
        """What others must have used; 0 if that may be the difference of estimates."""
        missing = cap - self.used(window, now) - remaining
        return missing if missing > (cap * SURPRISE if window in TOKENS else 0) else 0

    def is_idle(self, now: float) -> bool:
        """Whether forgetting this counter would give no headroom away."""
        limits = self.limits
        by_month = (limits.requests_per_month, limits.tokens_per_month) != (None, None)
        return (
            self.in_flight == 0
            and now >= self.newest + MINUTE_SLOTS
            and now >= self.day.ends_at
            and not (by_month and now < self.month.ends_at)
            and now >= self.closed_until
            and not now < self.limits_until < NEVER
        )
