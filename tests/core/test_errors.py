"""What we do about each failure: the table of BEHAVIOUR, row by row."""

from __future__ import annotations

import pytest

from freellmapi.core.errors import POLICY, Bench, ErrorKind, GatewayError, Until, UpstreamError

K, B, U = ErrorKind, Bench, Until

# kind, what is benched, until when, how many more may be asked, whether it may have been counted
RESPONSES = [
    (K.RATE_LIMITED, B.KEY_MODEL, U.MINUTE, None, False),
    (K.DAILY_QUOTA, B.POOL, U.RESET, None, False),
    (K.OUT_OF_CREDIT, B.KEY, U.DAY, None, False),
    (K.KEY_REJECTED, B.KEY, U.CLEARED, None, False),
    (K.MODEL_FORBIDDEN, B.KEY_MODEL, U.DAY, None, False),
    (K.MODEL_GONE, B.MODEL, U.DAY, None, False),
    (K.CONTEXT_TOO_LONG, B.NOTHING, U.NONE, None, False),
    (K.REQUEST_REFUSED, B.NOTHING, U.NONE, 2, False),
    (K.CONTENT_POLICY, B.NOTHING, U.NONE, 0, True),
    (K.SERVER_ERROR, B.KEY_MODEL, U.LADDER, None, True),
    (K.BAD_ANSWER, B.KEY_MODEL, U.LADDER, None, True),
    (K.TIMEOUT, B.PROVIDER, U.LADDER, None, True),
    (K.UNREACHABLE, B.PROVIDER, U.LADDER, None, False),
    (K.STREAM_BROKEN, B.KEY_MODEL, U.LADDER, None, True),
    (K.CLIENT_GONE, B.NOTHING, U.NONE, 0, True),
    (K.HEDGED_OUT, B.NOTHING, U.NONE, None, True),
]

# kind, and what the client sees when every candidate ends so
SEEN = [
    (K.RATE_LIMITED, 429, "rate_limited"),
    (K.DAILY_QUOTA, 429, "quota_exhausted"),
    (K.OUT_OF_CREDIT, 429, "out_of_credit"),
    (K.KEY_REJECTED, 502, "provider_authentication_failed"),
    (K.MODEL_FORBIDDEN, 404, "model_not_found"),
    (K.MODEL_GONE, 404, "model_not_found"),
    (K.CONTEXT_TOO_LONG, 413, "context_length_exceeded"),
    (K.REQUEST_REFUSED, 400, "request_refused"),
    (K.CONTENT_POLICY, 400, "content_filter"),
    (K.SERVER_ERROR, 502, "provider_error"),
    (K.BAD_ANSWER, 502, "provider_error"),
    (K.TIMEOUT, 504, "provider_timeout"),
    (K.UNREACHABLE, 502, "provider_unreachable"),
    (K.STREAM_BROKEN, 502, "stream_interrupted"),
    (K.CLIENT_GONE, 499, "client_closed_request"),
    (K.HEDGED_OUT, 502, "overtaken"),
]


@pytest.mark.parametrize(
    ("kind", "bench", "until", "tries_after", "spent"),
    RESPONSES,
    ids=[r[0].value for r in RESPONSES],
)
def test_what_we_do(
    kind: ErrorKind, bench: Bench, until: Until, tries_after: int | None, spent: bool
) -> None:
    policy = POLICY[kind]
    assert (policy.bench, policy.until) == (bench, until)
    assert (policy.tries_after, policy.spent) == (tries_after, spent)


@pytest.mark.parametrize(("kind", "status", "code"), SEEN, ids=[r[0].value for r in SEEN])
def test_what_the_client_sees(kind: ErrorKind, status: int, code: str) -> None:
    assert (POLICY[kind].status, POLICY[kind].code) == (status, code)


def test_every_kind_has_its_row() -> None:
    assert set(POLICY) == set(ErrorKind) == {row[0] for row in RESPONSES} == {r[0] for r in SEEN}


def test_nothing_is_benched_for_as_long_as_nothing() -> None:
    for kind, policy in POLICY.items():
        assert (policy.bench is Bench.NOTHING) == (policy.until is Until.NONE), kind


def test_the_clients_own_faults_bench_nothing() -> None:
    for policy in POLICY.values():
        if policy.status in (400, 413, 499):
            assert policy.bench is Bench.NOTHING


def test_an_upstream_error_knows_its_policy() -> None:
    error = UpstreamError(ErrorKind.MODEL_GONE, "gone", status=410)
    assert error.policy is POLICY[ErrorKind.MODEL_GONE]
    assert str(error) == "gone"


def test_a_gateway_error_has_all_four_members() -> None:
    body = GatewayError(429, "wait", code="rate_limited", type="rate_limit_error").body()
    assert body == {
        "error": {
            "message": "wait",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limited",
        }
    }
