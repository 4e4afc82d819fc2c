"""One immutable picture of catalog, chain and keys."""

from __future__ import annotations

from freellmapi.core.errors import Bench
from freellmapi.core.limits import Limits
from freellmapi.router.snapshot import LiveKey, merged_chain
from tests.router.conftest import model, provider, snapshot

ALPHA, BETA = model("alpha"), model("beta", enabled=False)


def test_each_usable_key_makes_a_candidate() -> None:
    keys = [LiveKey("1", "alpha"), LiveKey("2", "alpha", usable=False), LiveKey("3", "alpha")]
    world = snapshot(ALPHA, keys=keys)
    assert [c.key_id for c in world.candidates["alpha/m"]] == ["1", "3"]


def test_a_candidate_counts_in_its_model_and_its_account() -> None:
    account = provider(account_limits=Limits(rpd=50), reset_zone="Europe/Berlin")
    world = snapshot(model(limits=Limits(rpm=5)), providers=[account])
    (found,) = world.candidates["alpha/m"]
    assert [(b.name, b.limits, b.zone) for b in found.buckets] == [
        ("alpha/1/m", Limits(rpm=5), "Europe/Berlin"),
        ("alpha/1", Limits(rpd=50), "Europe/Berlin"),
    ]


def test_keys_of_one_address_share_their_counters() -> None:
    keys = [LiveKey("1", "alpha"), LiveKey("2", "alpha")]
    shared = provider(pool="ip", account_limits=Limits(rpd=50))
    one, two = snapshot(ALPHA, providers=[shared], keys=keys).candidates["alpha/m"]
    assert one.buckets == two.buckets
    assert one.scopes[Bench.KEY] != two.scopes[Bench.KEY]


def test_new_models_stand_behind_the_stored_order_and_removed_ones_are_forgotten() -> None:
    world = snapshot(ALPHA, BETA, chain=[("beta/m", True), ("gone/m", True)])
    assert [(e.model.ref, e.enabled) for e in world.chain] == [("beta/m", True), ("alpha/m", True)]
    assert world.rank == {"beta/m": 0, "alpha/m": 1}


def test_a_new_model_is_on_or_off_as_the_catalog_says() -> None:
    world = snapshot(ALPHA, BETA)
    assert [m.ref for m in world.auto] == ["alpha/m"]
    assert merged_chain(world.catalog, ())[1].enabled is False


def test_why_a_model_has_no_candidate() -> None:
    bad = LiveKey("1", "alpha", usable=False, reason="its key was rejected")
    assert snapshot(ALPHA, keys=[]).why_no_candidate(ALPHA) == "no key for alpha"
    assert snapshot(ALPHA, keys=[bad]).why_no_candidate(ALPHA) == "its key was rejected"
