"""Quota used against cap, by provider: all its keys and models together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from freellmapi.core.values import dataclass
from freellmapi.router.quota import AccountQuota, ProviderQuota, Quota
from freellmapi.router.tally import Window

_LONG = {
    "rpd": ("requests", "today"),
    "tpd": ("tokens", "today"),
    "requests_per_month": ("requests", "this month"),
    "tokens_per_month": ("tokens", "this month"),
}
_LOW, _VERY_LOW = 0.8, 0.95


@dataclass(frozen=True, slots=True)
class CapLine:
    """One provider's caps of one kind, summed.

    At the pace of the last minutes: ``runs_out_at``, None when it resets first, and
    ``expected``, what will be used when it resets.
    """

    provider: str
    name: str
    used: int
    cap: int
    unit: str
    period: str
    resets_at: float
    runs_out_at: float | None
    expected: float

    @property
    def share(self) -> float:
        return min(1.0, self.used / self.cap) if self.cap else 0.0

    @property
    def expected_share(self) -> float:
        return min(1.0, self.expected / self.cap) if self.cap else 0.0

    @property
    def state(self) -> str:
        if self.share >= _VERY_LOW:
            return "invalid"
        return "limited" if self.share >= _LOW or self.runs_out_at else "healthy"


def cap_lines(quota: Quota) -> tuple[CapLine, ...]:
    """What counts by day or month, the most used first; caps by the minute come and go."""
    lines = [
        _line(provider, kind, windows, quota.at)
        for provider in quota.providers
        for kind in _LONG
        if (windows := list(_windows(provider, kind)))
    ]
    return tuple(sorted(lines, key=lambda line: (-line.share, line.name, line.unit)))


def _windows(provider: ProviderQuota, kind: str) -> Iterator[Window]:
    for account in provider.accounts:
        if any(key.usable for key in account.keys):
            yield from _of_account(account, kind)


def _of_account(account: AccountQuota, kind: str) -> Iterable[Window]:
    """The cap over all its models, else the caps of those that are on."""
    whole = [window for window in account.windows if window.window == kind]
    models = (model for model in account.models if model.enabled)
    return whole or [w for model in models for w in model.windows if w.window == kind]


def _line(provider: ProviderQuota, kind: str, windows: list[Window], now: float) -> CapLine:
    unit, period = _LONG[kind]
    pace = sum(window.pace for window in windows)
    resets_at = max(window.resets_at for window in windows)
    runs_out_at = now + sum(w.left for w in windows) / pace if pace > 0 else None
    used = sum(window.used for window in windows)
    return CapLine(
        *(provider.provider, provider.name),
        used=used,
        cap=sum(window.cap for window in windows),
        unit=unit,
        period=period,
        resets_at=resets_at,
        runs_out_at=runs_out_at if runs_out_at and runs_out_at < resets_at else None,
        expected=used + pace * max(0.0, resets_at - now),
    )
