from __future__ import annotations

from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt
from freellmapi.router.happened import happened
from freellmapi.router.snapshot import LiveKey
from freellmapi.storage.logged import LoggedRequest
from tests.router.conftest import model, snapshot

AT = 1_790_000_000.0
WORLD = snapshot(
    model("alpha"), model("beta"), keys=[LiveKey("1", "alpha", "main"), LiveKey("2", "beta")]
)
REFUSED = Attempt(
    "alpha", "m", "1", AT + 0.1, 0.2, ErrorKind.RATE_LIMITED, 429, "slow down", spent=False
)
BROKEN = Attempt(
    "alpha", "m", "1", AT, 2.0, ErrorKind.STREAM_BROKEN, 200, "it stalled", Usage(9, 20, False)
)
ANSWERED = Attempt("beta", "m", "2", AT + 0.5, 1.5, usage=Usage(9, 30))


def row(
    *attempts: Attempt, stream: bool = True, served: Attempt | None = ANSWERED
) -> LoggedRequest:
    return LoggedRequest(
        request_id="req_1",
        at=AT,
        token_id=1,
        model="auto",
        stream=stream,
        status=200 if served else 429,
        error=None if served else "rate_limited",
        provider=served.provider if served else None,
        served_model=served.model if served else None,
        key_id=served.key_id if served else None,
        prompt_tokens=9,
        completion_tokens=30,
        exact=True,
        duration=2.0,
        first_token=0.7,
        attempts=attempts,
    )


def test_each_attempt_is_told_with_its_key_and_the_providers_reason() -> None:
    found = happened(row(REFUSED, ANSWERED), WORLD)
    refused, answered = found.attempts
    assert (refused.model, refused.key, refused.key_label) == ("alpha/m", "1", "main")
    assert (refused.kind, refused.status, refused.reason, refused.counted) == (
        ErrorKind.RATE_LIMITED,
        429,
        "slow down",
        False,
    )
    assert (refused.benched, answered.benched) == ("key_model", None)
    assert round(refused.after, 3) == 0.1
    assert (answered.answered, answered.completion_tokens) == (True, 30)
    assert (found.served_by, found.key, found.first_token) == ("beta/m", "2", 0.7)


def test_a_stream_that_another_one_ended_was_resumed() -> None:
    assert happened(row(BROKEN, ANSWERED), WORLD).resumed
    assert not happened(row(REFUSED, ANSWERED), WORLD).resumed
    assert not happened(row(BROKEN), WORLD).resumed


def test_a_request_that_nobody_served() -> None:
    found = happened(row(REFUSED, served=None), WORLD)
    assert (found.served_by, found.key_label, found.status) == (None, "", 429)


def test_a_key_that_is_no_longer_there_has_no_label() -> None:
    found = happened(row(ANSWERED), snapshot(model("alpha")))
    assert (found.attempts[0].key, found.attempts[0].key_label) == ("2", "")
