"""The loop: it fails over, counts, benches, and stops when it should."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import gevent
import pytest
from gevent.pool import Pool

from freellmapi.core.catalog import Model, Quirks
from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Limits
from freellmapi.core.route import Outcome
from freellmapi.router.snapshot import LiveKey
from tests.fakes.answers import Answer, Pause, Raw
from tests.fakes.provider import (
    FakeProvider,
    Reply,
    SeenRequest,
    calls_tool,
    drips,
    errors_in_band,
    hangs,
    later,
    raw_body,
    refuses,
    resets,
    says,
    status,
    streams,
)
from tests.router.conftest import QUICK, Lab, chat, model, provider, snapshot

K = ErrorKind
LIMITS = Limits(rpm=100)


class Street:
    """Fake providers alpha, beta and gamma, and labs that ask them in this order."""

    def __init__(self, stack: ExitStack, labs: list[Lab]) -> None:
        self._stack = stack
        self._labs = labs
        self.alpha, self.beta, self.gamma = (stack.enter_context(FakeProvider()) for _ in range(3))

    def lab(
        self,
        *names: str,
        urls: dict[str, str] | None = None,
        keys: list[LiveKey] | None = None,
        settings: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Lab:
        names = names or ("alpha", "beta")
        found = {name: getattr(self, name).base_url for name in names} | (urls or {})
        return self.over(
            *(model(name, limits=LIMITS, tools=True) for name in names),
            providers=[provider(name, found[name], **fields) for name in names],
            keys=keys,
            settings=replace(QUICK, **(settings or {})),
        )

    def over(self, *models: Model, **fields: Any) -> Lab:
        """A lab over models of one's own, at the same addresses."""
        known = [provider(name, getattr(self, name).base_url) for name in ("alpha", "beta")]
        lab = Lab(snapshot(*models, **{"providers": known, **fields}))
        self._labs.append(lab)
        return lab


@pytest.fixture
def street(labs: list[Lab]) -> Iterator[Street]:
    with ExitStack() as stack:
        yield Street(stack, labs)


def trail(outcome: Outcome) -> list[tuple[str, ErrorKind | None]]:
    return [(a.provider, a.error) for a in outcome.attempts]


def text(outcome: Outcome) -> str:
    """What was said, whole or streamed to its end."""
    if outcome.completion is not None:
        return outcome.completion.body["choices"][0]["message"]["content"] or ""
    assert outcome.stream is not None
    return "".join(chunk.text for batch in outcome.stream for chunk in batch)


FAULTS = [
    pytest.param(status(429, Retry_After="7"), K.RATE_LIMITED, 429, id="429"),
    pytest.param(status(500), K.SERVER_ERROR, 500, id="500"),
    pytest.param(status(503), K.SERVER_ERROR, 503, id="503"),
    pytest.param(status(401), K.KEY_REJECTED, 401, id="401"),
    pytest.param(status(404), K.MODEL_GONE, 404, id="404"),
    pytest.param(status(400), K.REQUEST_REFUSED, 400, id="400"),
    pytest.param(hangs(), K.TIMEOUT, None, id="accepts and never answers"),
    pytest.param(resets(), K.SERVER_ERROR, None, id="reset before headers"),
    pytest.param(raw_body(b"<html>oops</html>", "text/html"), K.BAD_ANSWER, 200, id="html"),
    pytest.param(raw_body(b"{}"), K.BAD_ANSWER, 200, id="empty object"),
    pytest.param(raw_body(b""), K.BAD_ANSWER, 200, id="empty body"),
    pytest.param(status(302, Location="http://127.0.0.1:1/"), None, 302, id="redirect"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("fault", "kind", "code"), FAULTS)
def test_the_second_answers_when_the_first_fails(
    street: Street, fault: Reply, kind: ErrorKind | None, code: int | None, stream: bool
) -> None:
    street.alpha.script = [fault]
    street.beta.script = [says("hi there")]
    lab = street.lab()

    outcome = lab.run(chat(stream=stream))

    assert text(outcome) == "hi there"
    assert outcome.served_by is not None
    assert outcome.served_by.ref == "beta/m"
    (attempt,) = outcome.failed
    assert attempt.error is not None
    assert kind is None or attempt.error is kind
    if code != 200:
        assert attempt.status == code
    assert len(street.alpha.requests) == 1


def test_a_refused_connection_fails_over(street: Street) -> None:
    outcome = street.lab(urls={"alpha": refuses()}).run()
    assert trail(outcome) == [("alpha", K.UNREACHABLE), ("beta", None)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_nobody_is_asked_when_the_first_answers(street: Street, stream: bool) -> None:
    street.alpha.script = [says("one", usage=(10, 3))]
    lab = street.lab()

    outcome = lab.run(chat(stream=stream))

    assert text(outcome) == "one"
    (attempt,) = lab.ended if stream else outcome.attempts
    assert attempt.error is None
    assert attempt.usage is not None
    assert (attempt.usage.prompt_tokens, attempt.usage.completion_tokens) == (10, 3)
    assert not street.beta.requests
    (seen,) = street.alpha.requests
    assert seen.key == "secret-of-1"
    assert (seen.model, seen.streamed) == ("m", stream)


STREAM_FAULTS = [
    pytest.param(later(5, says("late")), K.TIMEOUT, id="late headers"),
    pytest.param(drips("late", delay=5), K.TIMEOUT, id="late first token"),
    pytest.param(streams("lost", cut=0), K.SERVER_ERROR, id="cut before the first token"),
    pytest.param(streams(), K.BAD_ANSWER, id="no token at all"),
    pytest.param(streams(finish=None), K.BAD_ANSWER, id="only [DONE]"),
    pytest.param(streams(finish=None, no_done=True, usage=None), K.BAD_ANSWER, id="nothing"),
    pytest.param(streams("", "", no_done=True), K.BAD_ANSWER, id="empty texts"),
    pytest.param(
        errors_in_band({"error": {"message": "overloaded", "code": 503}}),
        K.SERVER_ERROR,
        id="error in the stream",
    ),
    pytest.param(streams(raw=b"data: {broken\n\n"), K.BAD_ANSWER, id="malformed"),
]


@pytest.mark.parametrize(("fault", "kind"), STREAM_FAULTS)
def test_until_the_first_token_any_failure_moves_on_unseen(
    street: Street, fault: Reply, kind: ErrorKind
) -> None:
    street.alpha.script = [fault]
    street.beta.script = [streams("he", "llo")]
    lab = street.lab()

    outcome = lab.run(chat(stream=True))

    assert text(outcome) == "hello"
    assert trail(outcome) == [("alpha", kind)]
    assert [a.provider for a in lab.ended] == ["beta"]


def test_a_finish_without_a_token_is_no_answer_even_when_the_body_never_ends(
    street: Street,
) -> None:
    finish = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    gate = threading.Event()
    street.alpha.script = [Answer((Raw(finish), Pause(gate)), None, None, done=False)]
    lab = street.lab(settings={"first_byte_timeout": 10})

    with gevent.Timeout(5):
        outcome = lab.run(chat(stream=True))
    gate.set()

    assert text(outcome) == "hello"
    assert trail(outcome) == [("alpha", K.BAD_ANSWER)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_that_is_a_tool_call_is_one(street: Street, stream: bool) -> None:
    street.alpha.script = [calls_tool("look", {"at": "it"})]
    outcome = street.lab().run(chat(stream=stream, tools=frozenset({"look"})))
    assert outcome.served_by is not None
    assert outcome.served_by.ref == "alpha/m"
    assert text(outcome) == ""


def test_failed_attempts_are_settled_by_what_they_cost(street: Street) -> None:
    street.alpha.script = [status(429), status(500), hangs()]
    lab = street.lab(keys=[LiveKey(n, "alpha") for n in "123"] + [LiveKey("1", "beta")])

    lab.run()

    used = {n: lab.ledger.headroom(lab.the("alpha/m", n).buckets, lab.clock.now()) for n in "123"}
    assert [used[n].requests[0].left for n in "123"] == [100, 99, 99]
    assert lab.requests_used("beta/m") == 1


def test_a_lone_candidate_is_asked_once_more(street: Street) -> None:
    street.alpha.script = [status(500), says("again")]
    outcome = street.lab("alpha").run()
    assert trail(outcome) == [("alpha", K.SERVER_ERROR), ("alpha", None)]


def test_a_lone_candidate_is_asked_once_more_after_a_reset(street: Street) -> None:
    street.alpha.script = [resets(), says("again")]
    assert trail(street.lab("alpha").run())[-1] == ("alpha", None)


@pytest.mark.parametrize(
    "fault",
    [status(429), status(503, Retry_After="9"), status(400), status(401)],
    ids=["429", "a stated wait", "400", "401"],
)
def test_what_a_second_try_cannot_help_is_not_tried_twice(street: Street, fault: Reply) -> None:
    street.alpha.script = [fault]
    outcome = street.lab("alpha").run()
    assert len(outcome.attempts) == len(street.alpha.requests) == 1


def test_a_lone_candidate_fails_at_most_twice(street: Street) -> None:
    street.alpha.script = [status(500)] * 5
    outcome = street.lab("alpha").run()
    assert outcome.served_by is None
    assert len(street.alpha.requests) == 2


def test_a_candidate_benched_by_an_earlier_failure_is_not_asked(street: Street) -> None:
    street.alpha.script = [status(401)]
    outcome = street.over(model("alpha", "one"), model("alpha", "two"), model("beta")).run()
    assert trail(outcome) == [("alpha", K.KEY_REJECTED), ("beta", None)]
    assert len(street.alpha.requests) == 1


def test_a_silent_providers_other_models_wait_until_all_others_were_asked(street: Street) -> None:
    street.alpha.default = hangs()
    street.beta.script = [status(500)]
    models = (model("alpha", "one"), model("alpha", "two"), model("beta", "one"))

    outcome = street.over(*models).run()

    assert [a.ref for a in outcome.attempts[:2]] == ["alpha/one", "beta/one"]
    assert outcome.attempts[2].ref == "alpha/two"


def test_when_only_our_own_bench_is_in_the_way_it_is_tried(street: Street) -> None:
    street.alpha.script = [status(500), status(500), says("back")]
    lab = street.lab("alpha")
    assert lab.run().served_by is None
    assert lab.cooldowns.blocking(lab.the("alpha/m"), lab.clock.now()) is not None

    assert text(lab.run()) == "back"
    assert not lab.cooldowns.entries()


def test_a_refused_request_is_shown_to_two_more_at_most(street: Street) -> None:
    keys = [LiveKey(n, "alpha") for n in "12345"]
    street.alpha.script = [status(400)] * 5
    lab = street.lab("alpha", keys=keys)

    outcome = lab.run()

    assert trail(outcome) == [("alpha", K.REQUEST_REFUSED)] * 3
    assert not lab.cooldowns.entries()


def test_a_content_policy_is_the_last_word(street: Street) -> None:
    error = {"message": "blocked by policy", "code": "content_policy_violation"}
    street.alpha.script = [status(400, {"error": error})]
    outcome = street.lab().run()
    assert trail(outcome) == [("alpha", K.CONTENT_POLICY)]
    assert not street.beta.requests


def test_at_most_so_many_attempts(street: Street) -> None:
    street.alpha.default = status(429)
    lab = street.lab(
        "alpha", keys=[LiveKey(str(n), "alpha") for n in range(30)], settings={"max_attempts": 20}
    )
    assert len(lab.run().attempts) == 20


def test_the_budget_ends_the_search_after_one_failover(street: Street) -> None:
    street.alpha.default = hangs()
    lab = street.lab(
        "alpha",
        "beta",
        "gamma",
        settings={"attempt_budget": 0.1, "first_byte_timeout": 0.2},
        urls={"beta": street.alpha.base_url, "gamma": street.alpha.base_url},
    )
    assert trail(lab.run()) == [("alpha", K.TIMEOUT), ("beta", K.TIMEOUT)]


def test_the_last_one_is_given_more_time(street: Street) -> None:
    street.alpha.script = [later(0.5, says("slow"))]
    street.beta.script = [later(0.5, says("slow"))]
    lab = street.lab(settings={"first_byte_timeout": 0.2, "last_first_byte_timeout": 3})
    outcome = lab.run(chat(stream=True))
    assert trail(outcome) == [("alpha", K.TIMEOUT)]
    assert text(outcome) == "slow"


def test_a_slow_provider_states_its_own_time(street: Street) -> None:
    street.alpha.script = [later(0.6, says("slow"))]
    lab = street.lab(
        settings={"first_byte_timeout": 0.2, "last_first_byte_timeout": 3}, first_byte_timeout=3
    )
    assert text(lab.run(chat(stream=True))) == "slow"


def test_a_candidate_at_its_cap_is_passed_by(street: Street) -> None:
    lab = street.lab()
    for _ in range(100):
        lab.ledger.reserve(lab.the("alpha/m").buckets, 1, lab.clock.now())
    assert trail(lab.run()) == [("beta", None)]
    (skipped,) = lab.plans[-1].skipped
    assert skipped.until is not None


def test_headroom_lost_between_plan_and_call_is_noticed(street: Street) -> None:
    street.alpha.script = [status(500)]
    lab = street.lab()
    beta = lab.the("beta/m").buckets

    def take_all(request: SeenRequest) -> None:
        for _ in range(100):
            lab.ledger.reserve(beta, 1, lab.clock.now())

    street.alpha.chooser = take_all

    outcome = lab.run()

    assert outcome.served_by is None
    assert [s.ref for s in lab.plans[-1].skipped] == ["beta/m"]
    assert not street.beta.requests


def test_a_refusal_whose_reason_never_comes_keeps_its_status(street: Street) -> None:
    class Stingy:
        def play(self, conn: Any, request: Any) -> None:
            conn.head(429, {"Retry-After": "3"}, 100)
            conn.pause(30)

    street.alpha.script = [Stingy()]
    outcome = street.lab().run()
    assert trail(outcome) == [("alpha", K.RATE_LIMITED), ("beta", None)]


def test_waits_that_were_stated_are_in_the_attempt(street: Street) -> None:
    street.alpha.script = [status(429, Retry_After="30")]
    lab = street.lab("alpha")
    (attempt,) = lab.run().attempts
    assert attempt.opens_at == pytest.approx(lab.clock.now() + 30, abs=2)


def test_tokens_nobody_counted_are_estimated(street: Street) -> None:
    street.alpha.script = [says("four words of text", usage=None)]
    outcome = street.lab().run(chat(prompt_tokens=12))
    assert outcome.completion is not None
    usage = outcome.completion.usage
    assert usage is not None
    assert not usage.exact
    assert usage.prompt_tokens == 12
    assert usage.completion_tokens > 0
    assert outcome.completion.body["usage"]["total_tokens"] == usage.total


def test_a_provider_that_cannot_stream_is_asked_for_the_whole_and_streamed(
    street: Street,
) -> None:
    street.alpha.script = [says("all at once", usage=None)]
    lab = street.lab("alpha", quirks=Quirks(flags=frozenset({"no_stream"})))

    outcome = lab.run(chat(stream=True))
    assert outcome.stream is not None
    chunks = [chunk for batch in outcome.stream for chunk in batch]

    assert "".join(c.text for c in chunks) == "all at once"
    assert [c.finish for c in chunks if c.finish] == ["stop"]
    assert chunks[-1].usage_only
    assert not street.alpha.requests[0].streamed
    assert [a.error for a in lab.ended] == [None]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_client_that_leaves_ends_the_call_and_benches_nothing(
    street: Street, stream: bool
) -> None:
    street.alpha.script = [hangs()]
    lab = street.lab()
    leaving = gevent.spawn_later(0.2, lab.cancel.cancel)

    with gevent.Timeout(3):
        outcome = lab.run(chat(stream=stream))
    leaving.join()
    gevent.sleep(0.001)

    assert trail(outcome) == [("alpha", K.CLIENT_GONE)]
    assert street.alpha.wait_client_gone(10)
    assert not street.beta.requests
    assert not lab.cooldowns.entries()


def test_a_request_whose_client_has_left_asks_nobody(street: Street) -> None:
    lab = street.lab()
    lab.cancel.cancel()
    assert lab.run().attempts == ()
    assert not street.alpha.requests


def test_a_fault_of_ours_settles_what_was_reserved(street: Street) -> None:
    lab = street.lab("alpha")
    lab.tools = type(lab.tools)(
        lab.transport, {}, lab.tools.endpoints, lab.ledger, lab.cooldowns, lab.clock
    )
    with pytest.raises(KeyError):
        lab.run()
    assert not lab.ledger._open


def test_many_requests_at_once_never_pass_a_cap(street: Street) -> None:
    lab = street.over(model("alpha", limits=Limits(rpm=25)), model("beta", limits=Limits(rpm=15)))
    outcomes = Pool(60).map(lambda _: lab.run(), range(60))
    assert sum(o.served_by is not None for o in outcomes) == 40
    assert (len(street.alpha.requests), len(street.beta.requests)) == (25, 15)
