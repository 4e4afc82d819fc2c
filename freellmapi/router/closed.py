"""Models that nobody can be asked for now: remembered, so that a plan passes them by at once.

Judging a model costs microseconds a key; hundreds of models at their caps would cost each
request milliseconds. What is remembered errs to one side only: it ends early, never late.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from freellmapi.core.catalog import Model

LONGEST = 60.0
"""Seconds after which a model is judged anew, whatever was said of it."""


@dataclass(frozen=True, slots=True)
class _Leading:
    """How many of the first of these models are closed, and for what."""

    models: Sequence[Model]
    count: int
    until: float
    tokens: int


class Closed:
    """Refs of closed models, until when (epoch seconds), and for calls from what size on."""

    def __init__(self) -> None:
        self._closed: dict[str, tuple[float, int]] = {}
        self._by_bucket: dict[str, set[str]] = {}
        self._stamp: object = None
        self._leading: _Leading | None = None

    def renew(self, stamp: object) -> None:
        """Forget all when the ``stamp`` has changed since.

        It stands for all that may open a model other than time and headroom:
        configuration and benches.
        """
        if stamp != self._stamp:
            self._closed.clear()
            self._by_bucket.clear()
            self._stamp = stamp
            self._leading = None

    def is_closed(self, ref: str, tokens: int, now: float) -> bool:
        """Whether nobody can be asked for so many tokens of this model."""
        shut = self._closed.get(ref)
        return shut is not None and shut[0] > now and shut[1] <= tokens

    def leading(self, models: Sequence[Model], tokens: int, now: float) -> int:
        """How many models at least, from the first on, are closed.

        The same sequence is mostly asked about again, so its answer is kept; it is too low
        for a call that is larger than the one it was found for.
        """
        kept = self._leading
        if (
            kept is not None
            and kept.models is models
            and kept.until > now
            and kept.tokens <= tokens
        ):
            return kept.count
        until, least, count = now + LONGEST, 0, 0
        for model in models:
            shut = self._closed.get(model.ref)
            if shut is None or shut[0] <= now or shut[1] > tokens:
                break
            until, least, count = min(until, shut[0]), max(least, shut[1]), count + 1
        self._leading = _Leading(models, count, until, least) if count else None
        return count

    def close(
        self, ref: str, tokens: int, until: float, buckets: Iterable[str], now: float
    ) -> None:
        """No key of this model has room for so many tokens before ``until``.

        ``buckets`` are the names of all that must stay as they are for that to hold.
        """
        self._closed[ref] = (min(until, now + LONGEST), tokens)
        self._leading = None
        for name in buckets:
            self._by_bucket.setdefault(name, set()).add(ref)

    def eased(self, bucket: str) -> None:
        """A bucket has more room than it had: what was closed by it may be open."""
        refs = self._by_bucket.pop(bucket, None)
        if refs is None:
            return
        self._leading = None
        for ref in refs:
            self._closed.pop(ref, None)
