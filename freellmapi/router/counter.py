"""What was used of one bucket: a sliding minute in slots, a day, a month, calls under way.

Minutes slide in slots of one second, so a counter's memory is bounded whatever the
traffic; days and months end at midnight in the provider's own zone. A slot may lie ahead:
a call that is booked for that second counts in it already.
"""

from __future__ import annotations

from dataclasses import field
from functools import lru_cache

from freellmapi.core.limits import day_start, month_start, next_midnight, next_month
from freellmapi.core.values import dataclass
from freellmapi.router.pace import Pace

# A call counts at the provider when it arrives, up to a second or so after it was
# reserved here. A slot therefore leaves the window two seconds after its minute began to
# end, which costs under 4 % of a cap and keeps true sliding windows free of a 429.
MINUTE_SLOTS = 62

QUARTER = 900

NEVER = float("inf")
UNKNOWN = -1.0


@dataclass(slots=True)
class Period:
    """A window that ends at a fixed time, such as a day."""

    since: float = 0.0
    ends_at: float = 0.0
    requests: int = 0
    tokens: int = 0

    def add(self, at: float, requests: int, tokens: int) -> None:
        if self.since <= at < self.ends_at:
            self.requests = max(0, self.requests + requests)
            self.tokens = max(0, self.tokens + tokens)


@dataclass(slots=True)
class Counter:
    """Everything counted for one bucket."""

    slots: dict[int, list[int]] = field(default_factory=dict)
    """Second -> [requests, tokens], oldest first."""
    requests: int = 0
    """Of all slots, those ahead included; and so are ``tokens``."""
    tokens: int = 0
    newest: int = 0
    """The latest second that has a slot, or had one."""
    rolled: int = -1
    """The second up to which windows have been rolled."""
    day: Period = field(default_factory=Period)
    month: Period = field(default_factory=Period)
    pace: Pace = field(default_factory=Pace)
    in_flight: int = 0
    closed_until: float = 0.0
    """Until when the provider itself said that nothing is left (epoch seconds)."""
    pressed: float = UNKNOWN
    """How used up it is, as far as that was asked for and nothing has changed since."""

    def roll(self, now: float, zone: str) -> None:
        """Forget what has left its window."""
        second = int(now)
        if second == self.rolled:
            return
        if second < self.rolled:
            # A clock that was set back: what was in the past may lie ahead again.
            self.pressed = UNKNOWN
        self.rolled = second
        if now >= self.day.ends_at:
            self.day = self._period(*day_of(now, zone))
            self.pressed = UNKNOWN
        if now >= self.month.ends_at:
            self.month = self._period(*month_of(now, zone))
            self.pressed = UNKNOWN
        slots, oldest = self.slots, second - MINUTE_SLOTS
        while slots:
            first = next(iter(slots))
            if first > oldest:
                break
            requests, tokens = slots.pop(first)
            self.requests -= requests
            self.tokens -= tokens
            self.pressed = UNKNOWN

    def _period(self, since: float, ends_at: float) -> Period:
        """A period that begins: what was booked ahead into it counts."""
        return Period(since, ends_at, *self.since(since))

    def since(self, at: float) -> tuple[int, int]:
        """Requests and tokens of the slots from then on."""
        found = [slot for second, slot in self.slots.items() if second >= at]
        return sum(slot[0] for slot in found), sum(slot[1] for slot in found)

    def add(self, at: float, requests: int, tokens: int) -> None:
        """Count a call at that time, which may lie ahead or a little behind."""
        self.pressed = UNKNOWN
        self.add_to_minute(int(at), requests, tokens)
        self.pace.add(at, requests, tokens)
        self.day.add(at, requests, tokens)
        self.month.add(at, requests, tokens)

    def add_to_minute(self, second: int, requests: int, tokens: int) -> None:
        self.pressed = UNKNOWN
        slot = self.slots.get(second)
        if slot is None:
            slot = self._new_slot(second)
        slot[0] += requests
        slot[1] += tokens
        self.requests += requests
        self.tokens += tokens

    def _new_slot(self, second: int) -> list[int]:
        slot = self.slots[second] = [0, 0]
        if second >= self.newest:
            self.newest = second
        else:
            self.slots = dict(sorted(self.slots.items()))
        return slot

    def correct(self, at: float, requests: int, tokens: int) -> None:
        """Change what was added at that time, in the windows that still hold it."""
        self.pressed = UNKNOWN
        slot = self.slots.get(int(at))
        if slot is not None:
            slot[0] += requests
            slot[1] += tokens
            self.requests += requests
            self.tokens += tokens
        self.pace.add(at, requests, tokens)
        self.day.add(at, requests, tokens)
        self.month.add(at, requests, tokens)

    def used(self, window: str, now: float) -> int:
        """What has been used of a window by now; the windows are those of ``Limits``."""
        if window == "rpm" or window == "tpm":
            which = 0 if window == "rpm" else 1
            if self.newest <= now:
                return (self.requests, self.tokens)[which]
            return sum(slot[which] for second, slot in self.slots.items() if second <= now)
        period = self.day if window in ("rpd", "tpd") else self.month
        return period.requests if window in ("rpd", "requests_per_month") else period.tokens

    def add_others(self, window: str, amount: int, now: float) -> None:
        """Count in one window alone what others have used of it."""
        self.pressed = UNKNOWN
        is_requests = window in ("rpm", "rpd", "requests_per_month")
        requests, tokens = (amount, 0) if is_requests else (0, amount)
        if window in ("rpm", "tpm"):
            self.add_to_minute(int(now), requests, tokens)
        else:
            period = self.day if window in ("rpd", "tpd") else self.month
            period.add(now, requests, tokens)

    def minute(self, now: float) -> tuple[int, int]:
        """The most requests, and tokens, in any minute that a call at ``now`` is part of."""
        second = int(now)
        if self.newest <= second:
            return self.requests, self.tokens
        most_requests = most_tokens = requests = tokens = 0
        held = [(at, slot) for at, slot in self.slots.items() if at > second - MINUTE_SLOTS]
        left = 0
        for at, slot in held:
            if at >= second + MINUTE_SLOTS:
                break
            requests, tokens = requests + slot[0], tokens + slot[1]
            while held[left][0] <= at - MINUTE_SLOTS:
                requests, tokens = requests - held[left][1][0], tokens - held[left][1][1]
                left += 1
            most_requests, most_tokens = max(most_requests, requests), max(most_tokens, tokens)
        return most_requests, most_tokens


def day_of(now: float, zone: str) -> tuple[float, float]:
    """When the day began in ``zone``, and when it ends."""
    return _day(int(now) // QUARTER, zone)


def month_of(now: float, zone: str) -> tuple[float, float]:
    """When the month began in ``zone``, and when it ends."""
    return _month(int(now) // QUARTER, zone)


# Midnights of all zones lie on quarters of an hour, so within one of them these are constant.
# A thousand counters may ask at once when a day begins.
@lru_cache(maxsize=64)
def _day(quarter: int, zone: str) -> tuple[float, float]:
    return day_start(quarter * QUARTER, zone), next_midnight(quarter * QUARTER, zone)


@lru_cache(maxsize=64)
def _month(quarter: int, zone: str) -> tuple[float, float]:
    return month_start(quarter * QUARTER, zone), next_month(quarter * QUARTER, zone)
