"""Whether a call fits what is left of a bucket, and from when it will."""

from __future__ import annotations

from freellmapi.core.limits import Limits
from freellmapi.router.counter import MINUTE_SLOTS, NEVER, Counter, Period


def fits(counter: Counter, limits: Limits, tokens: int, now: float) -> bool:
    """Whether one more call of so many tokens is within every cap."""
    if counter.closed_until > now:
        return False
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
    at = max(_periods_open_at(counter, limits, tokens, now), counter.closed_until)
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
