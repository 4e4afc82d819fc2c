"""What is said of a route: every candidate and gate, and always what the plan would do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freellmapi.core.catalog import GONE
from freellmapi.core.chat import ChatRequest, Need
from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Limits
from freellmapi.core.measurement import Average, Measurement
from freellmapi.core.route import Gate
from freellmapi.router.explain import AT_ONCE, Considered, Explanation, Meaning, explain
from freellmapi.router.judge import Picture
from freellmapi.router.measurements import Measurements
from freellmapi.router.plan import plan
from freellmapi.router.preferences import Preference
from freellmapi.router.resolve import resolve
from freellmapi.router.snapshot import LiveKey
from tests.fakes.clock import FrozenClock
from tests.router.conftest import QUICK, Lab, chat, failed, model, provider, snapshot

ALPHA, BETA, GAMMA = (model(name, "m") for name in ("alpha", "beta", "gamma"))
SMART = replace(QUICK, strategy="smart")


def lab(*models: object, **fields: object) -> Lab:
    return Lab(snapshot(*models, **fields), clock=FrozenClock())  # type: ignore[arg-type]


def picture(lab: Lab) -> Picture:
    return Picture(lab.snapshot, lab.cooldowns, lab.ledger, lab.clock, lab.windows)


def explained(
    lab: Lab,
    request: ChatRequest | None = None,
    *,
    stuck: bool = False,
    measured: Measurements | None = None,
) -> Explanation:
    request = request or chat()
    preference = Preference(resolve(request, lab.snapshot), stuck)
    return explain(request, preference, picture(lab), measured or Measurements())


def rows(found: Explanation) -> list[tuple[str, str | None, bool]]:
    return [(row.model, row.key, row.passed) for row in found.candidates]


def gate(row: Considered, gate: Gate) -> tuple[bool, str]:
    (judged,) = [g for g in row.gates if g.gate is gate]
    return judged.passed, judged.reason


def test_who_passes_every_gate_is_next() -> None:
    found = explained(lab(ALPHA, BETA))
    assert found.next is found.candidates[0]
    assert [row.next for row in found.candidates] == [True, False]
    assert [g.gate for g in found.candidates[0].gates] == [
        Gate.CAPABILITY,
        Gate.KEY,
        Gate.BENCH,
        Gate.HEADROOM,
    ]
    assert found.opens_at is None


def test_keys_are_listed_in_the_order_they_are_asked_and_the_unusable_after_them() -> None:
    keys = [
        LiveKey("1", "alpha", "first"),
        LiveKey("2", "alpha", "off", usable=False, reason="its key is disabled"),
        LiveKey("3", "alpha", "third"),
    ]
    town = lab(model(limits=Limits(rpm=10)), keys=keys)
    town.ledger.reserve(town.the("alpha/m", "1").buckets, 1, town.clock.now())

    found = explained(town)

    assert [(r.key, r.key_label) for r in found.candidates] == [
        ("3", "third"),
        ("1", "first"),
        ("2", "off"),
    ]
    assert gate(found.candidates[2], Gate.KEY) == (False, "its key is disabled")
    assert found.candidates[2].opens_at is None


def test_models_without_a_key_are_folded_by_provider_and_reason() -> None:
    more = [model("beta", id) for id in ("x", "y")]
    gone = model("gamma", "old", status=GONE, notes="no longer listed")
    found = explained(lab(ALPHA, *more, gone, keys=[LiveKey("1", "alpha")]))
    assert rows(found) == [("alpha/m", "1", True)]
    # A model that is gone is not in the chain at all.
    assert [(o.provider, o.gate, o.reason, o.models) for o in found.left_out] == [
        ("beta", Gate.KEY, "no key for beta", ("beta/x", "beta/y"))
    ]
    named = explained(lab(ALPHA, gone), chat("gamma/old"))
    assert [(o.gate, o.reason) for o in named.left_out] == [(Gate.GONE, "no longer listed")]


def test_a_model_that_cannot_serve_it_is_one_row_for_all_its_keys() -> None:
    keys = [LiveKey("1", "alpha"), LiveKey("2", "alpha")]
    found = explained(lab(model(context=15), keys=keys))
    assert rows(found) == [("alpha/m", None, False)]
    passed, reason = gate(found.candidates[0], Gate.CAPABILITY)
    assert (passed, reason) == (False, "context window of 15 tokens is too small for about 20")
    assert (found.next, found.opens_at) == (None, None)


def test_what_a_model_can_do_is_said_with_its_window() -> None:
    request = chat(needs=frozenset({Need.TOOLS}), prompt_tokens=1_204)
    found = explained(lab(model(context=8_192, tools=True)), request)
    assert gate(found.candidates[0], Gate.CAPABILITY) == (
        True,
        "needs about 1,204 tokens, window of 8,192; can do tools",
    )


def test_a_learned_window_counts() -> None:
    town = lab(model(context=100_000))
    town.windows["alpha/m"] = 15
    assert rows(explained(town)) == [("alpha/m", None, False)]


@pytest.mark.parametrize(
    ("kind", "fields", "reason", "scope", "wait"),
    [
        pytest.param(
            ErrorKind.RATE_LIMITED,
            {"retry_after": 7.0},
            "rate limited by Alpha, stated wait",
            "key_model",
            7.0,
            id="a stated wait",
        ),
        pytest.param(
            ErrorKind.RATE_LIMITED, {}, "rate limited by Alpha", "key_model", 60.0, id="a minute"
        ),
        pytest.param(
            ErrorKind.KEY_REJECTED,
            {},
            "the key was rejected by Alpha, until it is checked or replaced",
            "key",
            None,
            id="a rejection",
        ),
        pytest.param(
            ErrorKind.STREAM_BROKEN,
            {},
            "a stream of Alpha broke off, 2 times in a row",
            "key_model",
            5.0,
            id="our own judgement",
        ),
    ],
)
def test_a_bench_says_what_for_how_wide_and_until_when(
    kind: ErrorKind, fields: dict[str, float], reason: str, scope: str, wait: float | None
) -> None:
    town = lab(ALPHA, BETA)
    town.cooldowns.failed(town.the("alpha/m"), failed(kind, **fields))

    found = explained(town)

    (bench,) = [g for g in found.candidates[0].gates if g.gate is Gate.BENCH]
    assert (bench.passed, bench.reason, bench.scope) == (False, reason, scope)
    assert bench.until == (None if wait is None else town.clock.now() + wait)
    assert found.next is found.candidates[1]


def test_one_that_tries_again_says_so() -> None:
    town = lab(ALPHA)
    for _ in range(2):
        town.cooldowns.failed(town.the("alpha/m"), failed(ErrorKind.SERVER_ERROR))
    town.clock.sleep(5)
    town.cooldowns.begin(town.the("alpha/m"))
    (row,) = explained(town).candidates
    assert gate(row, Gate.BENCH) == (
        False,
        "Alpha had a server error; one request is trying it again",
    )


@pytest.mark.parametrize(
    ("limits", "used", "reason"),
    [
        pytest.param(Limits(rpm=3), 3, "3 of 3 requests this minute", id="requests"),
        pytest.param(
            Limits(tpm=50, rpm=30),
            1,
            "needs about 20 tokens: 40 of 50 tokens this minute",
            id="tokens",
        ),
        pytest.param(Limits(rpm=1, rpd=1), 1, "1 of 1 requests today", id="the longest"),
        pytest.param(Limits(rpd=0), 0, "its cap is 0", id="nothing at all"),
    ],
)
def test_a_cap_in_the_way_is_named_with_its_numbers(limits: Limits, used: int, reason: str) -> None:
    town = lab(model(limits=limits))
    for _ in range(used):
        town.ledger.reserve(town.the("alpha/m").buckets, 40, town.clock.now())

    found = explained(town)

    (row,) = found.candidates
    assert gate(row, Gate.HEADROOM) == (False, reason)
    opens = town.ledger.opens_at(town.the("alpha/m").buckets, 20, town.clock.now())
    assert found.opens_at == (None if limits.rpd == 0 else opens)
    assert (found.next, row.opens_at) == (None, found.opens_at)


def test_the_tightest_cap_is_shown_with_every_window_of_model_and_account() -> None:
    of = provider(account_limits=Limits(rpd=4))
    town = lab(model(limits=Limits(rpm=30, tpm=6_000)), providers=[of])
    town.ledger.reserve(town.the("alpha/m").buckets, 40, town.clock.now())

    (row,) = explained(town).candidates

    assert gate(row, Gate.HEADROOM) == (True, "1 of 4 requests today over all its models")
    windows = [(w.scope, w.window, w.cap, w.used, w.left) for w in row.gates[3].windows]
    assert windows == [
        ("model", "rpm", 30, 1, 29),
        ("model", "tpm", 6_000, 40, 5_960),
        ("account", "rpd", 4, 1, 3),
    ]


def test_calls_under_way_are_named_though_nobody_knows_when_one_ends() -> None:
    town = lab(model(limits=Limits(concurrency=1)))
    town.ledger.reserve(town.the("alpha/m").buckets, 40, town.clock.now())
    (row,) = explained(town).candidates
    passed, reason = gate(row, Gate.HEADROOM)
    assert passed
    assert "1 of 1 calls are under way" in reason


def test_when_nobody_can_be_asked_the_first_to_open_is_told() -> None:
    town = lab(ALPHA, model("beta", "m", limits=Limits(rpm=1)), GAMMA)
    town.ledger.reserve(town.the("beta/m").buckets, 1, town.clock.now())
    for name, wait in (("alpha", 90.0), ("beta", 10.0), ("gamma", 75.0)):
        error = failed(ErrorKind.RATE_LIMITED, retry_after=wait)
        town.cooldowns.failed(town.the(f"{name}/m"), error)

    found = explained(town)

    assert found.next is None
    # Beta's bench ends after 10 s, but its minute is full for longer.
    assert [r.opens_at for r in found.candidates] == [
        town.clock.now() + wait for wait in (90.0, 62.0, 75.0)
    ]
    assert found.opens_at == town.clock.now() + 62


def test_the_one_whose_own_bench_ends_first_is_the_last_resort() -> None:
    town = lab(ALPHA, BETA)
    for name, strikes in (("alpha", 3), ("beta", 2)):
        for _ in range(strikes):
            town.cooldowns.begin(town.the(f"{name}/m"))
            town.cooldowns.failed(town.the(f"{name}/m"), failed(ErrorKind.SERVER_ERROR))
            town.clock.sleep(1)

    found = explained(town)

    assert town.order() == ["beta/m"]
    assert found.next is not None
    assert (found.next.model, found.next.last_resort) == ("beta/m", True)
    assert not found.next.passed


KINDS = st.sampled_from([None, *ErrorKind])
REFS = [f"{name}/{id}" for name in ("alpha", "beta") for id in ("m", "n")]


@st.composite
def towns(draw: st.DrawFn) -> Lab:
    """Four models on two providers with two keys each, in some state."""
    small = st.none() | st.integers(0, 4)
    models = [
        model(
            *ref.split("/"),
            context=draw(st.sampled_from([None, 15, 4_096])),
            limits=Limits(rpm=draw(small), rpd=draw(small), concurrency=draw(small)),
        )
        for ref in REFS
    ]
    keys = [
        LiveKey(id, name, usable=draw(st.booleans()), reason="because")
        for name in ("alpha", "beta")
        for id in ("1", "2")
    ]
    town = lab(*models, keys=keys)
    everyone = [c for ref in REFS for c in town.snapshot.candidates[ref]]
    for candidate in everyone:
        for _ in range(draw(st.integers(0, 4))):
            town.ledger.reserve(candidate.buckets, draw(st.integers(0, 60)), town.clock.now())
        for kind in draw(st.lists(KINDS, max_size=3)):
            if kind is not None:
                wait = draw(st.none() | st.floats(0, 100))
                town.cooldowns.failed(candidate, failed(kind, retry_after=wait))
            town.clock.sleep(draw(st.floats(0, 20)))
    return town


@settings(deadline=None)
@given(towns())
def test_it_never_differs_from_the_plan(town: Lab) -> None:
    decided = plan(chat(), resolve(chat(), town.snapshot), picture(town))
    drawn = [(c.ref, c.key_id) for c in decided.candidates]

    found = explained(town)

    following = (found.next.model, found.next.key) if found.next else None
    assert following == (drawn[0] if drawn else None)
    if found.next is None or not found.next.last_resort:
        assert [(r.model, r.key) for r in found.candidates if r.passed] == drawn
    usable = town.snapshot.candidates
    said = {(s.ref, s.key_id): s.gate for s in decided.skipped if usable[s.ref]}
    stands = {
        (row.model, row.key or ""): next((g.gate for g in row.gates if not g.passed), None)
        for row in found.candidates
    }
    # One stands for all that are left out at the same gate for the same reason.
    assert said.items() - {(of, Gate.KEY) for of in said} <= stands.items()
    told = {stands[of] for of in stands} - {None, Gate.KEY}
    assert told == set(said.values()) - {Gate.KEY}
    assert {ref for out in found.left_out for ref in out.models} == {
        ref for ref in REFS if not town.snapshot.candidates[ref]
    }


@pytest.mark.parametrize(
    ("names", "understood"),
    [
        pytest.param(["auto"], [("auto", "chain", 3)], id="the chain"),
        pytest.param(["auto:fast"], [("auto:fast", "strategy", 3)], id="a strategy"),
        pytest.param(["alpha/m"], [("alpha/m", "model", 1)], id="one provider's model"),
        pytest.param(["f"], [("f", "family", 2)], id="a family"),
        pytest.param(["n"], [("n", "id", 2)], id="a provider's own id"),
        pytest.param(
            ["alpha/m", "f"], [("alpha/m", "model", 1), ("f", "family", 2)], id="an own chain"
        ),
    ],
)
def test_names_are_understood_as_they_are_resolved(
    names: list[str], understood: list[tuple[str, str, int]]
) -> None:
    town = lab(ALPHA, model("beta", "n", family="f"), model("gamma", "o", family="f"))
    found = explained(town, chat(names[0], fallbacks=tuple(names[1:])))
    assert found.understood == tuple(Meaning(*of) for of in understood)
    if len(names) == 1:
        assert len(found.candidates) == understood[0][2]


class Ticking(FrozenClock):
    """Time goes on while it is read."""

    def now(self) -> float:
        self.advance(0.001)
        return super().now()


def test_time_goes_on_while_it_is_explained() -> None:
    two_keys = [LiveKey(str(n), name) for name in ("alpha", "beta") for n in (1, 2)]
    moving = lab(ALPHA, BETA, keys=two_keys)
    moving.clock = Ticking()
    found = explained(moving)
    assert all(row.passed for row in found.candidates)
    assert len(found.candidates) == 4


def test_others_go_on_while_hundreds_of_models_are_judged() -> None:
    found = lab(*(model("alpha", f"m{n}") for n in range(AT_ONCE * 2 + 1)))
    preference = Preference(resolve(chat(), found.snapshot), False)
    pauses: list[None] = []
    told = explain(chat(), preference, picture(found), Measurements(), lambda: pauses.append(None))
    assert len(pauses) == 2
    assert told == explained(found)


def test_a_kept_model_is_named() -> None:
    assert explained(lab(ALPHA), stuck=True).sticky == "alpha/m"
    assert explained(lab(ALPHA)).sticky is None


def test_a_strategy_shows_what_each_score_is_made_of() -> None:
    town = lab(model(intelligence_rank=20, limits=Limits(rpm=4)), settings=SMART)
    town.ledger.reserve(town.the("alpha/m").buckets, 1, town.clock.now())
    measured = Measurements(
        [Measurement("alpha/m", town.clock.now(), Average(1.0, 20), Average(0.5, 20))]
    )

    found = explained(town, measured=measured)

    assert (found.strategy, found.weights is not None) == ("smart", True)
    (place,) = found.order
    assert place.score is not None
    assert (place.score.intelligence, place.score.headroom) == (0.8, 0.75)
    assert place.score.calls == 20
    assert 0.9 < place.score.success < 1
    assert 0.5 < place.score.first_token < 1


def test_the_order_of_the_chain_has_no_scores() -> None:
    found = explained(lab(ALPHA))
    assert (found.weights, [p.score for p in found.order]) == (None, [None])
