"""Whether a candidate that has just failed is asked once more, and how soon."""

from __future__ import annotations

from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.route import Candidate

RETRY_PAUSE = 0.25
"""Seconds before the same candidate is asked once more."""
RETRIED_FOR_LOYALTY = (500, 502, None)
"""Statuses after which a named model is worth a second try; None is a reset connection."""
WORTH_A_SECOND_TRY = frozenset({ErrorKind.SERVER_ERROR, ErrorKind.BAD_ANSWER})


def pause_before_retry(
    candidate: Candidate,
    error: UpstreamError,
    following: Candidate | None,
    *,
    loyal: bool,
    patience: float,
) -> float | None:
    """Seconds after which the same candidate is asked again; None: it is not.

    Where it is the last there is, or where the caller is loyal to its model and only
    another model would come next. A wait that the provider stated is kept if it is
    within ``patience`` (seconds).
    """
    if following is not None and (not loyal or following.model.family == candidate.model.family):
        return None
    if error.kind is ErrorKind.RATE_LIMITED:
        wait = error.retry_after
        near = wait is not None and wait <= patience
        return wait if near and loyal else None
    if error.kind not in WORTH_A_SECOND_TRY or error.retry_after is not None:
        return None
    if following is None:
        return RETRY_PAUSE
    return RETRY_PAUSE if error.status in RETRIED_FOR_LOYALTY else None
