"""What passes through the gateway, counted for metrics; only this process's own."""

from __future__ import annotations

from freellmapi.core.counts import Counts
from freellmapi.storage.logged import LoggedRequest

NOBODY = "none"
"""Stands for the provider of a request that nobody served."""
ANSWERED = "answered"
DURATIONS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds that separate the buckets of whole requests."""
FIRST_TOKENS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0)


class Traffic:
    """Counters of finished requests, and how many are at which point of their way."""

    def __init__(self) -> None:
        self.counts = Counts()
        # Shown as 0 from the start, unlike what has labels.
        self.counts.counters["freellmapi_fallbacks",] = 0
        self.under_way = 0
        """Requests that have come and are not in the log yet."""
        self.waiting = 0
        """Those of them that wait for a slot."""
        self.streams = 0
        """Those of them that are being streamed to their client."""

    def answered(self, status: int) -> None:
        """An answer of ``/v1`` begins, of whatever kind."""
        self.counts.counters["freellmapi_http_answers", str(status)] += 1

    def ended(self, row: LoggedRequest) -> None:
        """A request is over. Every label has few values: none comes from a client."""
        self.under_way -= 1
        counters = self.counts.counters
        provider = row.provider or NOBODY
        stream = "true" if row.stream else "false"
        counters["freellmapi_requests", str(row.status), row.error or "", stream] += 1
        if row.fell_back:
            counters["freellmapi_fallbacks",] += 1
        counters["freellmapi_tokens", provider, "prompt"] += row.prompt_tokens
        counters["freellmapi_tokens", provider, "completion"] += row.completion_tokens
        for attempt in row.attempts:
            kind = attempt.error.value if attempt.error is not None else ANSWERED
            counters["freellmapi_attempts", attempt.provider, kind] += 1
        duration = ("freellmapi_request_duration_seconds", provider, stream)
        self.counts.observe(duration, row.duration, DURATIONS)
        if row.first_token is not None:
            first = ("freellmapi_first_token_seconds", provider)
            self.counts.observe(first, row.first_token, FIRST_TOKENS)
