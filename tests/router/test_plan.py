"""Who is asked, in what order, and who is left out and why."""

from __future__ import annotations

import pytest

from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Limits
from freellmapi.core.route import Gate, Reservation, Skipped
from freellmapi.router.calibration import Calibration
from freellmapi.router.judge import cost
from freellmapi.router.plan import roughly
from freellmapi.router.snapshot import LiveKey
from tests.fakes.clock import FrozenClock
from tests.router.conftest import Lab, chat, failed, model, snapshot

ALPHA, BETA, GAMMA = (model(name, "m") for name in ("alpha", "beta", "gamma"))


def lab(*models: object, **fields: object) -> Lab:
    return Lab(snapshot(*models, **fields), clock=FrozenClock())  # type: ignore[arg-type]


def drawn(lab: Lab) -> list[str]:
    return [f"{c.ref}:{c.key_id}" for c in lab.plan().candidates]


def only_skipped(lab: Lab) -> Skipped:
    list(lab.plan().candidates)
    (skipped,) = lab.plans[-1].skipped
    return skipped


def test_candidates_come_in_the_order_of_the_chain() -> None:
    chain = [("gamma/m", True), ("alpha/m", False), ("beta/m", True)]
    assert lab(ALPHA, BETA, GAMMA, chain=chain).order() == ["gamma/m", "beta/m"]


def test_the_key_with_most_headroom_comes_first() -> None:
    capped = model(limits=Limits(rpm=10))
    keys = [LiveKey(id, "alpha") for id in ("1", "2", "3")]
    town = lab(capped, keys=keys)
    for key, calls in (("1", 5), ("3", 2)):
        for _ in range(calls):
            town.ledger.reserve(town.the("alpha/m", key).buckets, 1, town.clock.now())

    assert drawn(town) == ["alpha/m:2", "alpha/m:3", "alpha/m:1"]


def test_nothing_is_judged_before_it_is_asked_for() -> None:
    town = lab(ALPHA, BETA)
    plan = town.plan()
    candidates = iter(plan.candidates)
    assert next(candidates).ref == "alpha/m"

    town.cooldowns.failed(town.the("beta/m"), failed(ErrorKind.RATE_LIMITED))

    assert list(candidates) == []
    assert [s.ref for s in plan.skipped] == ["beta/m"]


def test_a_model_that_cannot_do_it_is_left_out_once() -> None:
    town = lab(model(context=15), keys=[LiveKey("1", "alpha"), LiveKey("2", "alpha")])
    skipped = only_skipped(town)
    assert (skipped.gate, skipped.until) == (Gate.CAPABILITY, None)
    assert "too small" in skipped.reason


def test_a_window_learned_from_a_refusal_counts() -> None:
    town = lab(model(context=100_000))
    assert town.order() == ["alpha/m"]
    town.windows["alpha/m"] = 15
    assert town.order() == []


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([], "no key for alpha"),
        (
            [LiveKey("1", "alpha", usable=False, reason="its key is disabled")],
            "its key is disabled",
        ),
    ],
)
def test_a_model_without_a_usable_key_is_left_out(keys: list[LiveKey], reason: str) -> None:
    skipped = only_skipped(lab(ALPHA, keys=keys))
    assert (skipped.gate, skipped.reason) == (Gate.KEY, reason)


def test_a_capped_candidate_is_left_out_until_it_opens() -> None:
    town = lab(model(limits=Limits(tpm=50)))
    town.ledger.reserve(town.the("alpha/m").buckets, 40, town.clock.now())

    skipped = only_skipped(town)

    assert skipped.gate is Gate.HEADROOM
    assert skipped.until == town.ledger.opens_at(
        town.the("alpha/m").buckets, roughly(chat()), town.clock.now()
    )


def test_a_cap_of_nothing_is_no_matter_of_time() -> None:
    skipped = only_skipped(lab(model(limits=Limits(rpd=0))))
    assert (skipped.reason, skipped.until) == ("its cap is 0", None)


def test_a_benched_candidate_is_left_out_and_its_reason_kept() -> None:
    town = lab(ALPHA, BETA)
    error = failed(ErrorKind.RATE_LIMITED, message="slow down", retry_after=7)
    town.cooldowns.failed(town.the("alpha/m"), error)

    assert town.order() == ["beta/m"]
    (skipped,) = town.plans[-1].skipped
    assert (skipped.gate, skipped.kind) == (Gate.BENCH, ErrorKind.RATE_LIMITED)
    assert skipped.until == town.clock.now() + 7
    assert "slow down" in skipped.reason


def test_when_only_our_own_benches_are_in_the_way_the_first_to_end_is_tried() -> None:
    town = lab(ALPHA, BETA, GAMMA)
    for name, strikes in (("alpha", 4), ("beta", 2), ("gamma", 3)):
        for _ in range(strikes):
            town.cooldowns.begin(town.the(f"{name}/m"))
            town.cooldowns.failed(town.the(f"{name}/m"), failed(ErrorKind.SERVER_ERROR))

    assert town.order() == ["beta/m"]


def test_a_stated_wait_is_kept_even_when_nobody_else_is_there() -> None:
    town = lab(ALPHA)
    town.cooldowns.failed(town.the("alpha/m"), failed(ErrorKind.SERVER_ERROR, retry_after=20))
    assert town.order() == []


def test_a_benched_one_is_not_tried_when_another_was() -> None:
    town = lab(ALPHA, BETA)
    for _ in range(2):
        town.cooldowns.failed(town.the("alpha/m"), failed(ErrorKind.SERVER_ERROR))
    assert town.order() == ["beta/m"]


@pytest.mark.parametrize(("max_tokens", "tokens"), [(None, 10 + 1024), (7, 17)])
def test_prompt_and_wanted_output_are_reserved(max_tokens: int | None, tokens: int) -> None:
    assert roughly(chat(max_tokens=max_tokens)) == tokens


def full(town: Lab, ref: str) -> Reservation:
    """All of a model's room, taken by one call under way."""
    held = town.ledger.reserve(town.the(ref).buckets, 1, town.clock.now())
    assert held is not None
    return held


def test_models_passed_by_are_told_of_when_asked() -> None:
    town = lab(model("alpha", limits=Limits(rpm=1)), BETA)
    full(town, "alpha/m")

    for _ in range(2):
        made = town.plan()
        assert [c.ref for c in made.candidates] == ["beta/m"]
        assert [(s.ref, s.gate) for s in made.skipped] == [("alpha/m", Gate.HEADROOM)]


def test_room_that_is_given_back_is_used_at_once() -> None:
    town = lab(model("alpha", limits=Limits(rpm=1)), BETA)
    held = full(town, "alpha/m")
    assert town.order() == ["beta/m"]

    town.ledger.settle(held, None, spent=False)

    assert town.order() == ["alpha/m", "beta/m"]


def test_a_bench_that_is_lifted_is_no_longer_passed_by() -> None:
    town = lab(ALPHA, BETA)
    town.cooldowns.failed(town.the("alpha/m"), failed(ErrorKind.KEY_REJECTED))
    assert town.order() == ["beta/m"]

    town.cooldowns.clear("key alpha/1", ErrorKind.KEY_REJECTED)

    assert town.order() == ["alpha/m", "beta/m"]


def test_what_is_closed_for_a_large_call_may_be_open_for_a_small_one() -> None:
    town = lab(model("alpha", limits=Limits(tpm=100)), BETA)
    town.ledger.reserve(town.the("alpha/m").buckets, 60, town.clock.now())

    assert town.order(chat(max_tokens=80)) == ["beta/m"]
    assert town.order(chat(max_tokens=10)) == ["alpha/m", "beta/m"]


def test_a_models_own_counting_is_what_is_held() -> None:
    calibration, found = Calibration(), model()
    before = cost(chat(), found, calibration)
    for _ in range(5):
        calibration.note(found.ref, 10, 20)
    assert cost(chat(), found, calibration) > before


def test_of_all_that_are_at_their_caps_anyone_can_be_asked_about() -> None:
    few = Limits(rpm=1)
    town = lab(
        *(model("alpha", f"m{n}", limits=few) for n in range(9)),
        model("alpha", "narrow", limits=few, context=15),
        model("alpha", "free"),
    )
    for n in range(9):
        full(town, f"alpha/m{n}")
    asked = [town.the(f"alpha/{id}") for id in ("m8", "narrow", "free", "m2")]

    made = town.plan()
    list(made.candidates)
    assert [s.ref for s in made.at_caps(asked)] == ["alpha/m8", "alpha/m2"]

    named = town.plan(chat("alpha/m2"))
    assert [s.ref for s in named.at_caps(asked)] == ["alpha/m2"]


def test_hundreds_of_closed_models_are_summed_up() -> None:
    town = lab(*(model("alpha", f"m{n}", limits=Limits(rpm=1)) for n in range(200)))
    for n in reversed(range(200)):
        full(town, f"alpha/m{n}")
        town.clock.sleep(0.1)
    assert town.order() == []

    for _ in range(2):
        made = town.plan()
        assert list(made.candidates) == []
        assert len(made.skipped) < 10
        assert len(made.skipped) + sum(s.others for s in made.skipped) == 200
        assert min(s.until for s in made.skipped if s.until) == town.ledger.opens_at(
            town.the("alpha/m199").buckets, 20, town.clock.now()
        )
