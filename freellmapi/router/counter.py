"""What was used of one bucket: a sliding minute in slots, a day, a month, calls under way.

Minutes slide in slots of one second, so a counter's memory is bounded whatever the
traffic; days and months end at midnight in the provider's own zone. A slot may lie ahead:
a call that is booked for that second counts in it already.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from freellmapi.core.limits import Limits, next_midnight, next_month

# A call counts at the provider when it arrives, up to a second or so after it was
# reserved here. A slot therefore leaves the window two seconds after its minute began to
# end, which costs under 4 % of a cap and keeps true sliding windows free of a 429.
MINUTE_SLOTS = 62

NEVER = float("inf")


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
    in_flight: int = 0

    def roll(self, now: float, zone: str) -> None:
        """Forget what has left its window."""
        second = int(now)
        if second == self.rolled:
            return
        self.rolled = second
        if now >= self.day.ends_at:
            self.day = self._next(self.day, now, next_midnight(now, zone))
        if now >= self.month.ends_at:
            self.month = self._next(self.month, now, next_month(now, zone))
        slots, oldest = self.slots, second - MINUTE_SLOTS
        while slots:
            first = next(iter(slots))
            if first > oldest:
                break
            requests, tokens = slots.pop(first)
            self.requests -= requests
            self.tokens -= tokens

    def _next(self, over: Period, now: float, ends_at: float) -> Period:
        """The period after one that is over: what was booked ahead into it counts."""
        new = Period(over.ends_at or now, ends_at)
        if over.ends_at:
            new.requests, new.tokens = self.since(over.ends_at)
        return new

    def since(self, at: float) -> tuple[int, int]:
        """Requests and tokens of the slots from then on."""
        found = [slot for second, slot in self.slots.items() if second >= at]
        return sum(slot[0] for slot in found), sum(slot[1] for slot in found)

    def add(self, at: float, requests: int, tokens: int) -> None:
        """Count a call at that time, which may lie ahead or a little behind."""
        second = int(at)
        slot = self.slots.get(second)
        if slot is None:
            slot = self._new_slot(second)
        slot[0] += requests
        slot[1] += tokens
        self.requests += requests
        self.tokens += tokens
        self.day.add(at, requests, tokens)
        self.month.add(at, requests, tokens)

    def _new_slot(self, second: int) -> list[int]:
        slot = self.slots[second] = [0, 0]
        if second >= self.newest:
            self.newest = second
        else:
            self.slots = dict(sorted(self.slots.items()))
        return slot

    def correct(self, at: float, requests: int, tokens: int) -> None:
        """Change what was added at that time, in the windows that still hold it."""
        slot = self.slots.get(int(at))
        if slot is not None:
            slot[0] += requests
            slot[1] += tokens
            self.requests += requests
            self.tokens += tokens
        self.day.add(at, requests, tokens)
        self.month.add(at, requests, tokens)

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


def fits(counter: Counter, limits: Limits, tokens: int, now: float) -> bool:
    """Whether one more call of so many tokens is within every cap."""
    if _over(limits.concurrency, counter.in_flight, 1):
        return False
    if _periods_open_at(counter, limits, tokens, now) > now:
        return False
    if limits.rpm is None and limits.tpm is None:
        return True
    requests, used = counter.minute(now)
    return not (_over(limits.rpm, requests, 1) or _over(limits.tpm, used, tokens))


def opens_at(counter: Counter, limits: Limits, tokens: int, now: float) -> float:
    """Epoch seconds from which such a call fits; ``NEVER`` under a cap of 0.

    When calls under way are all that is in the way, nobody can say: ``now``.
    """
    if 0 in (limits.rpm, limits.tpm, limits.rpd, limits.tpd, limits.concurrency):
        return NEVER
    at = _periods_open_at(counter, limits, tokens, now)
    if limits.rpm is not None or limits.tpm is not None:
        at = max(at, _minute_opens_at(counter, limits, tokens, now))
    return at


def lasting(counter: Counter, limits: Limits, tokens: int, now: float) -> bool:
    """Whether nothing but a full minute is in the way of such a call."""
    return (
        not _over(limits.concurrency, counter.in_flight, 1)
        and _periods_open_at(counter, limits, tokens, now) == now
    )


def _periods_open_at(counter: Counter, limits: Limits, tokens: int, at: float) -> float:
    """The end of the day or month that lacks room for a call at ``at``; else ``at``."""
    opens = at
    if limits.rpd is not None or limits.tpd is not None:
        opens = _opens_at(counter, counter.day, (limits.rpd, limits.tpd), tokens, at)
    monthly = (limits.requests_per_month, limits.tokens_per_month)
    if monthly != (None, None):
        opens = max(opens, _opens_at(counter, counter.month, monthly, tokens, at))
    return opens


def _opens_at(
    counter: Counter,
    period: Period,
    caps: tuple[int | None, int | None],
    tokens: int,
    at: float,
) -> float:
    """``at``, or the end of the period if it lacks room; of the next one nothing is known."""
    ahead = at >= period.ends_at
    requests, used = counter.since(period.ends_at) if ahead else (period.requests, period.tokens)
    if _over(caps[0], requests, 1) or _over(caps[1], used, tokens):
        return NEVER if ahead or 0 in caps else period.ends_at
    return at


def _minute_opens_at(counter: Counter, limits: Limits, tokens: int, now: float) -> float:
    """When every minute that the call would be part of has room for it.

    The slots are gone through once: a minute that ends with a full one is in the way
    until enough of its oldest slots have left it.
    """
    rpm, tpm = limits.rpm, limits.tpm
    opens = second = int(now)
    held = [(at, *slot) for at, slot in counter.slots.items() if at > second - MINUTE_SLOTS]
    left = requests = used = 0
    for at, more_requests, more_tokens in held:
        requests, used = requests + more_requests, used + more_tokens
        until = 0
        while held[left][0] <= at - MINUTE_SLOTS:
            requests, used = requests - held[left][1], used - held[left][2]
            left += 1
        while _over(rpm, requests, 1) or _over(tpm, used, tokens):
            until = held[left][0] + MINUTE_SLOTS
            requests, used = requests - held[left][1], used - held[left][2]
            left += 1
        if at - MINUTE_SLOTS < opens < until:
            opens = until
    return now if opens == second else float(opens)


def _over(cap: int | None, used: int, more: int) -> bool:
    # A call larger than the whole cap may go when nothing else is in the window: the
    # estimate counts output that may never come. Prompts that cannot fit are left out
    # before this.
    return cap is not None and used + more > cap and (used > 0 or cap == 0)


def pressure(counter: Counter, limits: Limits, now: float) -> float:
    """How used up the tightest window is, 0 (all left) to 1 (nothing left)."""
    day, month = counter.day, counter.month
    minute = counter.minute(now)
    windows = (
        (limits.rpm, minute[0]),
        (limits.tpm, minute[1]),
        (limits.rpd, day.requests),
        (limits.tpd, day.tokens),
        (limits.concurrency, counter.in_flight),
        (limits.requests_per_month, month.requests),
        (limits.tokens_per_month, month.tokens),
    )
    most = 0.0
    for cap, used in windows:
        if cap is not None:
            share = used / cap if cap else 1.0
            most = share if share > most else most
    return min(most, 1.0)
