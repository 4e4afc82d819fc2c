"""Response headers that tell how a request was served."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from freellmapi.core.route import Outcome
from freellmapi.router.headroom import Headroom

_UNSAFE = re.compile(r"[^\x20-\x7e]")
MAX_VALUE = 1_000
MAX_TRAIL = 12
_CSP = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
FOR_BROWSERS = {
    "Content-Security-Policy": _CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""What every answer for a browser carries, where it says nothing else itself."""


def safe(value: str) -> str:
    """A header value without anything that could end it early."""
    return _UNSAFE.sub("?", value)[:MAX_VALUE]


def route_headers(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Who answered, after how many failed attempts, and which those were."""
    if outcome.served_by is not None:
        yield "X-Routed-Via", safe(outcome.served_by.ref)
    failed = outcome.failed
    if failed:
        yield "X-Fallback-Attempts", str(len(failed))
        trail = [f"{a.ref}={a.error.value}" for a in failed[:MAX_TRAIL] if a.error]
        yield "X-Fallback-Trail", safe(", ".join(trail))


def ratelimit_headers(pool: Sequence[Headroom], now: float) -> Iterator[tuple[str, str]]:
    """OpenAI's headers for what the pool has left of the served model.

    The tightest stated window of each key counts, summed over the keys; nothing is said
    where no cap is known. Resets are seconds, written as OpenAI does (``12s``).
    """
    requests = [w for h in pool if (w := h.tightest_requests()) is not None]
    tokens = [w for h in pool if (w := h.tightest_tokens()) is not None]
    for name, windows in (("requests", requests), ("tokens", tokens)):
        if not windows or len(windows) < len(pool):
            continue
        yield f"x-ratelimit-limit-{name}", str(sum(w.cap for w in windows))
        yield f"x-ratelimit-remaining-{name}", str(sum(w.left for w in windows))
        resets = min(w.resets_at for w in windows) - now
        yield f"x-ratelimit-reset-{name}", f"{max(resets, 0):.0f}s"
