"""What an answer of ``/v1`` tells the browser of a page of another origin."""

from __future__ import annotations

EVERYONE = "*"
EXPOSED = (
    "X-Request-Id, X-Routed-Via, X-Fallback-Attempts, X-Fallback-Trail, Retry-After, "
    "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)


def headers(origins: tuple[str, ...], origin: str | None) -> list[tuple[str, str]]:
    """What an answer of ``/v1`` tells the browser of a page of this origin."""
    if not origins or (origin is None and origins == (EVERYONE,)):
        return []
    told = [] if origins == (EVERYONE,) else [("Vary", "Origin")]
    if origin and (EVERYONE in origins or origin in origins):
        told.append(("Access-Control-Allow-Origin", EVERYONE if EVERYONE in origins else origin))
        told.append(("Access-Control-Expose-Headers", EXPOSED))
    return told
