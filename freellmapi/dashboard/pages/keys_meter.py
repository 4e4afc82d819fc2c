"""What a provider has left today, as one bar."""

from __future__ import annotations

from collections.abc import Iterator

from freellmapi.core.values import dataclass
from freellmapi.router.quota import AccountQuota, ProviderQuota
from freellmapi.router.tally import Window

# The first that is stated is shown: people ask what is left of the day.
_WORDS = {
    "rpd": "today",
    "tpd": "tokens today",
    "requests_per_month": "this month",
    "tokens_per_month": "tokens this month",
}
_LOW = 0.2


@dataclass(frozen=True, slots=True)
class Left:
    """One cap, over all keys: of the whole account, else of its models together."""

    left: int
    cap: int
    word: str
    """What is counted: ``today``, ``tokens today``."""
    resets_at: float

    @property
    def share(self) -> float:
        return self.left / self.cap if self.cap else 0.0

    @property
    def kind(self) -> str | None:
        if not self.left:
            return "invalid"
        return "limited" if self.share <= _LOW else None


def left_of(quota: ProviderQuota) -> Left | None:
    """The cap of the day, else of the month; None where none is stated."""
    for name, word in _WORDS.items():
        found = [pair for account in quota.accounts for pair in _windows(account, name)]
        if found:
            return Left(
                sum(left for left, _ in found),
                sum(window.cap for _, window in found),
                word,
                min(window.resets_at for _, window in found),
            )
    return None


def left_of_account(account: AccountQuota) -> Left | None:
    """As ``left_of``, for one key alone."""
    return left_of(ProviderQuota("", "", "UTC", (account,)))


def blocked_until(quota: ProviderQuota) -> tuple[float | None, str] | None:
    """When the first of its models opens again, and why; None while one of them is open.

    The time is None when nobody knows it.
    """
    waits: list[tuple[float | None, str]] = []
    for account in quota.accounts:
        for model in account.models if any(k.usable for k in account.keys) else ():
            if not model.enabled:
                continue
            closed = max(account.closed_until or 0.0, model.closed_until or 0.0)
            if model.bench is not None and (model.bench.until or 0.0) >= closed:
                waits.append((model.bench.until, model.bench.reason))
            elif closed:
                waits.append((closed, "the provider says that nothing is left"))
            else:
                return None
    known = [(until, why) for until, why in waits if until is not None]
    return min(known) if known else (waits[0] if waits else None)


def _windows(account: AccountQuota, name: str) -> Iterator[tuple[int, Window]]:
    """(what is left, window) of the account, or where it has none of each of its models."""
    shared = [window for window in account.windows if window.window == name]
    if shared:
        yield from ((0 if account.closed_until else w.left, w) for w in shared)
        return
    # Those that are off in the chain can still be asked by name.
    models = [model for model in account.models if model.enabled] or account.models
    for model in models:
        for window in model.windows:
            if window.window == name:
                closed = account.closed_until or model.closed_until
                yield 0 if closed else window.left, window
