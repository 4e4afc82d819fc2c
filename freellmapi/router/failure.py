"""What the client is told when nobody answered."""

from __future__ import annotations

from collections.abc import Sequence

from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import POLICY, ErrorKind, GatewayError
from freellmapi.core.route import Attempt, Gate, Outcome, Skipped

SHOWN = 6
"""Providers named in a message before it says how many more there were."""


def failure(
    chat: ChatRequest, outcome: Outcome, skipped: Sequence[Skipped], any_key: bool, now: float
) -> GatewayError:
    """The error for a request that no candidate answered.

    The status on which all failures agree; else 429 if waiting would help; else 502.
    ``now`` is in epoch seconds.
    """
    if not outcome.attempts:
        return _nobody_asked(chat, skipped, any_key, now)
    opens_at = _opens_at(skipped)
    kinds = {a.error for a in outcome.failed if a.error is not None}
    kinds |= {s.kind or ErrorKind.RATE_LIMITED for s in skipped if s.until is not None}
    policies = {kind: POLICY[kind] for kind in kinds}
    message = _message(chat, outcome.failed, skipped, now)
    answers = {(p.status, p.type) for p in policies.values()}
    if len(answers) == 1:
        first = POLICY[_first_kind(outcome.failed)]
        wait = opens_at - now if first.status == 429 and opens_at is not None else None
        code = first.code if len({p.code for p in policies.values()}) == 1 else _code(first.status)
        return GatewayError(first.status, message, code=code, type=first.type, retry_after=wait)
    if opens_at is not None:
        return _wait(message, opens_at - now)
    return GatewayError(502, message, code="all_providers_failed", type="upstream_error")


def _nobody_asked(
    chat: ChatRequest, skipped: Sequence[Skipped], any_key: bool, now: float
) -> GatewayError:
    if not any_key:
        return GatewayError(
            503,
            "No provider key is configured. Add one with `freellmapi keys add PROVIDER`, or set "
            "an environment variable such as GROQ_API_KEY and restart.",
            code="no_providers_configured",
            type="api_error",
        )
    message = _message(chat, (), skipped, now)
    opens_at = _opens_at(skipped)
    if opens_at is not None:
        return _wait(message, opens_at - now)
    if any(s.gate is Gate.CAPABILITY for s in skipped) and not any(
        s.gate is Gate.BENCH for s in skipped
    ):
        return GatewayError(422, message, code="no_capable_model")
    if any(s.kind is ErrorKind.KEY_REJECTED for s in skipped):
        return GatewayError(
            502, message, code="provider_authentication_failed", type="upstream_error"
        )
    return GatewayError(503, message, code="no_providers_configured", type="api_error")


def _wait(message: str, seconds: float) -> GatewayError:
    return GatewayError(
        429, message, code="rate_limited", type="rate_limit_error", retry_after=max(seconds, 0.0)
    )


def _code(status: int) -> str:
    return "rate_limited" if status == 429 else "all_providers_failed"


def _first_kind(failed: Sequence[Attempt]) -> ErrorKind:
    return next(a.error for a in failed if a.error is not None)


def _opens_at(skipped: Sequence[Skipped]) -> float | None:
    """When the first of those left out may be asked again (epoch seconds)."""
    times = [s.until for s in skipped if s.until is not None and s.until != float("inf")]
    return min(times, default=None)


def _message(
    chat: ChatRequest, failed: Sequence[Attempt], skipped: Sequence[Skipped], now: float
) -> str:
    """One line: what happened at each provider, and when to try again."""
    reasons: dict[str, str] = {}
    for attempt in failed:
        if attempt.error is not None:
            said = f" ({attempt.message})" if attempt.message else ""
            reasons[attempt.ref] = f"{attempt.error.value.replace('_', ' ')}{said}"
    for left_out in skipped:
        reasons.setdefault(left_out.ref, left_out.reason + _for(left_out.until, now))
    shown = [f"{ref}: {reason}" for ref, reason in list(reasons.items())[:SHOWN]]
    if len(reasons) > SHOWN:
        shown.append(f"and {len(reasons) - SHOWN} more")
    opens_at = _opens_at(skipped)
    again = f" Try again in {max(opens_at - now, 0):.0f} s." if opens_at is not None else ""
    listed = "; ".join(shown) or "there is no candidate"
    return f"No provider could answer for {chat.model!r}. {listed}.{again}"


def _for(until: float | None, now: float) -> str:
    if until is None or until == float("inf"):
        return ""
    return f", for {max(until - now, 0):.0f} s more"
