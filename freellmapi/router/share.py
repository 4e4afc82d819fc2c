"""How the caps are divided among workers that cannot count together for a while."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace

from freellmapi.core.limits import Bucket, Limits
from freellmapi.core.values import dataclass
from freellmapi.router.account import TOKENS, Account

USUAL_CALL = 4_000
"""Tokens of a call that each worker's part of a cap must have room for."""
NOTHING = Limits(rpm=0)


@dataclass(frozen=True, slots=True)
class Part:
    """What a worker may use of one bucket by itself: caps, and how much each call weighs."""

    limits: Limits
    weight: int
    most_tokens: float
    """A call of more tokens is not this worker's to make."""


class Share:
    """How the caps are divided while the workers cannot count together.

    Each call of this worker weighs as many as there are workers: when all keep to that,
    none of them passes a cap, whatever the others do. Where a cap is too small to be
    divided so, one worker alone, the same in the eyes of all, may use it.
    """

    def __init__(self, workers: tuple[str, ...], worker: str) -> None:
        self._workers = workers
        self._worker = worker
        self._parts: dict[str, tuple[Limits, Part]] = {}

    def of(self, bucket: Bucket, counter: Account, now: float) -> Part:
        """This worker's part of a bucket."""
        found = self._parts.get(bucket.name)
        if found is None or found[0] is not bucket.limits:
            limits, _ = counter.stated.applied(bucket.limits, now)
            part = divided(limits, bucket.name, self._workers, self._worker)
            found = self._parts[bucket.name] = (bucket.limits, part)
        return found[1]


def divided(limits: Limits, name: str, workers: tuple[str, ...], worker: str) -> Part:
    """This worker's part of caps that so many workers keep to."""
    count = len(workers)
    caps = {f.name: cap for f in fields(limits) if (cap := getattr(limits, f.name)) is not None}
    if not caps:
        return Part(limits, 1, float("inf"))
    tokens = [cap for window, cap in caps.items() if window in TOKENS]
    requests = {window: cap for window, cap in caps.items() if window not in TOKENS}
    if count and min(requests.values(), default=count) >= count:
        if min(tokens, default=count * USUAL_CALL) >= count * USUAL_CALL:
            # A call weighs as many as there are workers, so that many must fit, not one.
            lower = {window: cap - (count - 1) for window, cap in requests.items()}
            most = min(tokens, default=float("inf")) / count
            return Part(replace(limits, **lower), count, most)
    if worker == owner(name, workers):
        return Part(limits, 1, float("inf"))
    return Part(NOTHING, 1, 0)


def owner(name: str, workers: tuple[str, ...]) -> str | None:
    """The one of these workers that a bucket belongs to, the same in the eyes of all."""
    return max(workers, key=lambda worker: _rank(f"{worker} {name}"), default=None)


def _rank(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
