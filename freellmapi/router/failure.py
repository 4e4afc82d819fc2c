"""What the client is told when nobody answered."""

from __future__ import annotations

from collections.abc import Sequence

from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import POLICY, ErrorKind, GatewayError
from freellmapi.core.route import Attempt, Gate, Outcome, Skipped
from freellmapi.router.counter import NEVER
from freellmapi.router.left_out import SHOWN


def failure(
    chat: ChatRequest, outcome: Outcome, skipped: Sequence[Skipped], any_key: bool, now: float
) -> GatewayError:
    """The error for a request that no candidate answered.

    The status on which all failures agree; else 429 if waiting would help; else 502. A
    verdict on the request itself, after which nobody else is asked, is the answer whatever
    failed before it. ``now`` is in epoch seconds.
    """
    kinds = [a.error for a in outcome.failed if a.error is not None]
    if kinds and POLICY[kinds[-1]].tries_after == 0:
        kinds = kinds[-1:]
    else:
        kinds += [s.kind or ErrorKind.RATE_LIMITED for s in skipped if s.until is not None]
    if not kinds:
        return _nobody_asked(chat, skipped, any_key, now)
    # An earlier call's wait is over by the time that the same candidate was asked again.
    message = _message(chat, outcome.standing, skipped, now)
    opens_at = _opens_at(outcome.standing, skipped)
    wait = None if opens_at is None else max(opens_at - now, 0.0)
    policies = [POLICY[kind] for kind in kinds]
    if len({(p.status, p.type) for p in policies}) == 1:
        agreed = policies[0]
        code = agreed.code if len({p.code for p in policies}) == 1 else _code(agreed.status)
        retry_after = wait if agreed.status == 429 else None
        return GatewayError(
            agreed.status, message, code=code, type=agreed.type, retry_after=retry_after
        )
    if wait is not None:
        return GatewayError(
            429, message, code="rate_limited", type="rate_limit_error", retry_after=wait
        )
    return GatewayError(502, message, code="all_providers_failed", type="upstream_error")


def _nobody_asked(
    chat: ChatRequest, skipped: Sequence[Skipped], any_key: bool, now: float
) -> GatewayError:
    if skipped and all(s.gate is Gate.GONE for s in skipped):
        message = _message(chat, (), skipped, now)
        return GatewayError(404, message, code="model_not_found", param="model")
    if skipped and any(s.kind is ErrorKind.KEY_REJECTED for s in skipped):
        message = _message(chat, (), skipped, now)
        policy = POLICY[ErrorKind.KEY_REJECTED]
        return GatewayError(policy.status, message, code=policy.code, type=policy.type)
    if not any_key:
        return GatewayError(
            503,
            "No provider key is configured. Add one with `freellmapi keys add PROVIDER`, or set "
            "an environment variable such as GROQ_API_KEY and restart.",
            code="no_providers_configured",
            type="api_error",
        )
    message = _message(chat, (), skipped, now)
    if any(s.gate is Gate.CAPABILITY for s in skipped):
        return GatewayError(422, message, code="no_capable_model")
    return GatewayError(503, message, code="no_providers_configured", type="api_error")


def _code(status: int) -> str:
    return "rate_limited" if status == 429 else "all_providers_failed"


def _opens_at(failed: Sequence[Attempt], skipped: Sequence[Skipped]) -> float | None:
    """When the first of those that only want time may be asked again (epoch seconds)."""
    waits = [(a.error, a.opens_at) for a in failed]
    waits += [(s.kind or ErrorKind.RATE_LIMITED, s.until) for s in skipped]
    times = [
        at
        for kind, at in waits
        if kind is not None and at is not None and POLICY[kind].status == 429 and at != NEVER
    ]
    return min(times, default=None)


def _message(
    chat: ChatRequest, failed: Sequence[Attempt], skipped: Sequence[Skipped], now: float
) -> str:
    """One line: what happened at each provider, and when to try again."""
    reasons: dict[str, str] = {}
    for attempt in failed:
        if attempt.error is not None:
            said = f" ({attempt.message})" if attempt.message else ""
            reasons[attempt.ref] = f"{attempt.error.words}{said}"
    for left_out in skipped:
        reasons.setdefault(left_out.ref, left_out.reason + _for(left_out.until, now))
    shown = [f"{ref}: {reason}" for ref, reason in list(reasons.items())[:SHOWN]]
    more = len(reasons) - len(shown) + sum(left_out.others for left_out in skipped)
    if more:
        shown.append(f"and {more} more")
    opens_at = _opens_at(failed, skipped)
    again = f" Try again in {max(opens_at - now, 0):.0f} s." if opens_at is not None else ""
    listed = "; ".join(shown) or "there is no candidate"
    return f"No provider could answer for {chat.model!r}. {listed}.{again}"


def _for(until: float | None, now: float) -> str:
    if until is None or until == NEVER:
        return ""
    return f", for {max(until - now, 0):.0f} s more"
