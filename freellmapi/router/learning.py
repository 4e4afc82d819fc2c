"""What answers teach of the caps: lower ones than the catalog's, for as long as they are seen.

A stated limit only ever lowers a cap. The catalog's may be old, but the user's own are
merged with it, and those no provider may raise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from freellmapi.core.limits import Bucket, Limits
from freellmapi.core.route import Candidate
from freellmapi.providers.ratelimit_headers import Observation
from freellmapi.router.counter import NEVER

REMEMBERED = 86_400.0
"""Seconds for which a stated limit counts after it was last seen."""
RENEWED = 3_600.0
"""Seconds after which it is worth telling others that a limit was seen again."""

CAPS: Mapping[str, str] = MappingProxyType(
    {
        "rpm": "rpm",
        "rpd": "rpd",
        "tpm": "tpm",
        "tpd": "tpd",
        "month_requests": "requests_per_month",
        "month_tokens": "tokens_per_month",
    }
)
"""The window of an observation -> the field of ``Limits`` that caps it."""


class Learner(Protocol):
    """The part of a ledger that takes observations."""

    def observe(
        self,
        bucket: Bucket,
        observations: Sequence[Observation],
        now: float,
        sent_at: float | None = None,
    ) -> None: ...


def learn(
    ledger: Learner,
    candidate: Candidate,
    observations: Sequence[Observation],
    now: float,
    sent_at: float | None = None,
) -> None:
    """Tell the ledger what an answer said, each window in the bucket that it belongs to.

    That is the model's own, unless the provider caps this window over the whole account.
    """
    if not observations:
        return
    model, *account = candidate.buckets
    if account:
        of_account = candidate.provider.account_limits
        shared = [o for o in observations if getattr(of_account, CAPS[o.window]) is not None]
        if shared:
            ledger.observe(account[0], shared, now, sent_at)
            observations = [o for o in observations if o not in shared]
    ledger.observe(model, observations, now, sent_at)


class StatedLimits:
    """The limits that a provider stated for one bucket, each with when it was last seen."""

    __slots__ = ("_seen",)

    def __init__(self, seen: Mapping[str, tuple[int, float]] | None = None) -> None:
        self._seen: dict[str, tuple[int, float]] = dict(seen or {})

    def same_as(self, other: StatedLimits) -> bool:
        """Whether the same limits were seen, last at the same times."""
        return self._seen == other._seen

    def note(self, window: str, limit: int, now: float) -> bool:
        """Whether this limit differs from the one seen last. One of 0 says nothing.

        A cap of nothing would never be asked again, so it could never be seen to end.
        """
        if limit < 1:
            return False
        before = self._seen.get(window)
        self._seen[window] = (limit, now)
        return before is None or before[0] != limit

    def is_news(self, window: str, limit: int, now: float) -> bool:
        """Whether ``note`` of it would be of use: it differs, or was seen long ago."""
        before = self._seen.get(window)
        return limit >= 1 and (before is None or before[0] != limit or now > before[1] + RENEWED)

    def applied(self, limits: Limits, now: float) -> tuple[Limits, float]:
        """``limits`` with lower ones where they were stated, and until when that holds."""
        until = NEVER
        lower: dict[str, int] = {}
        for window, (limit, seen_at) in list(self._seen.items()):
            if seen_at + REMEMBERED <= now:
                del self._seen[window]
                continue
            cap = getattr(limits, CAPS[window])
            if cap is None or limit < cap:
                lower[CAPS[window]] = limit
                until = min(until, seen_at + REMEMBERED)
        return replace(limits, **lower) if lower else limits, until
