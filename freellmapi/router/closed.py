"""Models that nobody can be asked for now: remembered, so that a plan passes them by at once.

Judging a model costs microseconds a key; hundreds of models at their caps would cost each
request milliseconds. What is remembered errs to one side only: it ends early, never late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LONGEST = 60.0
"""Seconds after which a model is judged anew, whatever was said of it."""


class Closed:
    """Refs of closed models, until when (epoch seconds), and for calls from what size on."""

    def __init__(self) -> None:
        self._closed: dict[str, tuple[float, int]] = {}
        self._by_bucket: dict[str, set[str]] = {}
        self._stamp: object = None

    def current(self, stamp: object) -> Mapping[str, tuple[float, int]]:
        """Ref -> (until, tokens); empty when the ``stamp`` has changed since.

        A call of so many tokens or more cannot be made before then. The stamp stands for
        all that may open a model other than time and headroom: configuration and benches.
        """
        if stamp != self._stamp:
            self._closed.clear()
            self._by_bucket.clear()
            self._stamp = stamp
        return self._closed

    def close(
        self, ref: str, tokens: int, until: float, buckets: Iterable[str], now: float
    ) -> None:
        """No key of this model has room for so many tokens before ``until``.

        ``buckets`` are the names of all that must stay as they are for that to hold.
        """
        self._closed[ref] = (min(until, now + LONGEST), tokens)
        for name in buckets:
            self._by_bucket.setdefault(name, set()).add(ref)

    def eased(self, bucket: str) -> None:
        """A bucket has more room than it had: what was closed by it may be open."""
        refs = self._by_bucket.pop(bucket, None)
        for ref in refs or ():
            self._closed.pop(ref, None)
