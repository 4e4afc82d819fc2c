"""Bringing the ledger back after a restart, from what the request log knows."""

from __future__ import annotations

from freellmapi.router.ledger import Ledger
from freellmapi.router.snapshot import Snapshot
from freellmapi.storage.request_log import RequestLog

LONGEST_MONTH = 31 * 86_400.0


def restore(ledger: Ledger, snapshot: Snapshot, log: RequestLog, now: float) -> None:
    """Count every logged call that is still in some window of its buckets."""
    buckets = {
        (candidate.provider.id, candidate.model.id, candidate.key_id): candidate.buckets
        for candidates in snapshot.candidates.values()
        for candidate in candidates
    }
    for row in log.usage_since(now - LONGEST_MONTH):
        for bucket in buckets.get((row.provider, row.model, row.key_id), ()):
            ledger.restore(bucket.name, bucket.zone, row.at, row.requests, row.tokens)
