"""What the client is told when nobody answered."""

from __future__ import annotations

import pytest

from freellmapi.core.errors import POLICY, ErrorKind, GatewayError
from freellmapi.core.route import Attempt, Gate, Outcome, Skipped
from freellmapi.router.counter import NEVER
from freellmapi.router.failure import failure
from freellmapi.router.left_out import SHOWN
from tests.router.conftest import chat

NOW = 1_790_000_000.0
K = ErrorKind


def tried(
    kind: ErrorKind, provider: str = "alpha", wait: float | None = None, message: str = "it said"
) -> Attempt:
    opens_at = None if wait is None else NOW + wait
    return Attempt(provider, "m", "1", NOW, 0.1, kind, 500, message, opens_at=opens_at)


def left_out(gate: Gate, wait: float | None = None, kind: ErrorKind | None = None) -> Skipped:
    until = None if wait is None else NOW + wait
    return Skipped("beta/m", "1", gate, "at its cap", until, kind)


def told(*seen: Attempt | Skipped, any_key: bool = True) -> GatewayError:
    attempts = tuple(s for s in seen if isinstance(s, Attempt))
    skipped = [s for s in seen if isinstance(s, Skipped)]
    return failure(chat("some-model"), Outcome(attempts), skipped, any_key, NOW)


CAPPED = left_out(Gate.HEADROOM, 30)


@pytest.mark.parametrize("kind", [k for k in K if k not in (K.CLIENT_GONE, K.HEDGED_OUT)])
def test_the_status_on_which_all_agree(kind: ErrorKind) -> None:
    error = told(tried(kind, "alpha"), tried(kind, "beta"))
    policy = POLICY[kind]
    assert (error.status, error.code, error.type) == (policy.status, policy.code, policy.type)


@pytest.mark.parametrize(
    ("seen", "status", "code", "wait"),
    [
        ([tried(K.RATE_LIMITED, wait=7)], 429, "rate_limited", 7),
        ([tried(K.RATE_LIMITED, wait=7), CAPPED], 429, "rate_limited", 7),
        ([tried(K.RATE_LIMITED, wait=70), CAPPED], 429, "rate_limited", 30),
        ([tried(K.DAILY_QUOTA, wait=9000)], 429, "quota_exhausted", 9000),
        ([tried(K.DAILY_QUOTA, wait=9000), CAPPED], 429, "rate_limited", 30),
        ([CAPPED], 429, "rate_limited", 30),
        ([tried(K.SERVER_ERROR), CAPPED], 429, "rate_limited", 30),
        ([tried(K.SERVER_ERROR), tried(K.RATE_LIMITED, wait=5)], 429, "rate_limited", 5),
        ([tried(K.SERVER_ERROR), tried(K.TIMEOUT)], 502, "all_providers_failed", None),
        ([tried(K.SERVER_ERROR), tried(K.BAD_ANSWER)], 502, "provider_error", None),
        ([tried(K.SERVER_ERROR), tried(K.UNREACHABLE)], 502, "all_providers_failed", None),
        ([tried(K.KEY_REJECTED), tried(K.MODEL_GONE)], 502, "all_providers_failed", None),
        ([tried(K.TIMEOUT), left_out(Gate.BENCH, 5, K.TIMEOUT)], 504, "provider_timeout", None),
        (
            [tried(K.REQUEST_REFUSED), left_out(Gate.BENCH, 5, K.SERVER_ERROR)],
            502,
            "all_providers_failed",
            None,
        ),
        ([left_out(Gate.BENCH, 86_400, K.MODEL_FORBIDDEN)], 404, "model_not_found", None),
        (
            [left_out(Gate.BENCH, NEVER, K.KEY_REJECTED)],
            502,
            "provider_authentication_failed",
            None,
        ),
        ([left_out(Gate.CAPABILITY)], 422, "no_capable_model", None),
        ([left_out(Gate.CAPABILITY), left_out(Gate.KEY)], 422, "no_capable_model", None),
        ([left_out(Gate.CAPABILITY), CAPPED], 429, "rate_limited", 30),
        ([left_out(Gate.KEY)], 503, "no_providers_configured", None),
        (
            [tried(K.CONTEXT_TOO_LONG), left_out(Gate.CAPABILITY)],
            413,
            "context_length_exceeded",
            None,
        ),
        ([tried(K.SERVER_ERROR), tried(K.CONTENT_POLICY)], 400, "content_filter", None),
        ([tried(K.RATE_LIMITED, wait=5), tried(K.CONTENT_POLICY)], 400, "content_filter", None),
    ],
    ids=[
        "a stated wait",
        "the shorter of two waits",
        "the other shorter of two waits",
        "a used-up day",
        "a used-up day, but another opens",
        "nobody asked: caps only",
        "waiting would help",
        "waiting would help, as one that was asked said",
        "two statuses",
        "one status, one code",
        "one status, two codes",
        "a mixture without time",
        "own benches of the same kind agree",
        "own benches are nothing to wait for",
        "forbidden for a day",
        "a rejected key is still benched",
        "no capable model",
        "no capable model, and one without a key",
        "the capable one is at its cap",
        "no key for what was wanted",
        "too long for all that could be asked",
        "the verdict on the request is the answer",
        "the verdict outweighs a wait",
    ],
)
def test_the_answer_to_a_mixture(
    seen: list[Attempt | Skipped], status: int, code: str, wait: float | None
) -> None:
    error = told(*seen)
    assert (error.status, error.code, error.retry_after) == (status, code, wait)


def test_nothing_configured_says_where_to_add_a_key() -> None:
    error = told(any_key=False)
    assert (error.status, error.code) == (503, "no_providers_configured")
    assert "freellmapi keys add" in error.message


def test_the_message_says_who_said_what_and_when_to_come_back() -> None:
    error = told(tried(K.RATE_LIMITED, wait=7, message="slow down"), CAPPED)
    assert "alpha/m: rate limited (slow down)" in error.message
    assert "beta/m: at its cap, for 30 s more" in error.message
    assert error.message.endswith("Try again in 7 s.")
    assert "'some-model'" in error.message


def test_a_wait_that_was_waited_out_is_not_told_again() -> None:
    error = told(tried(K.RATE_LIMITED, wait=-1), tried(K.RATE_LIMITED, wait=2))
    assert error.retry_after == 2
    assert error.message.endswith("Try again in 2 s.")


def test_a_long_list_of_failures_is_cut() -> None:
    error = told(*(tried(K.SERVER_ERROR, f"p{n}") for n in range(SHOWN + 4)))
    assert "and 4 more" in error.message
