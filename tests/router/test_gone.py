"""A model that its provider no longer lists is not asked, and says so."""

from __future__ import annotations

from freellmapi.core.catalog import GONE
from freellmapi.core.errors import GatewayError
from freellmapi.core.route import Candidate, Outcome, Skipped
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.failure import failure
from freellmapi.router.judge import Picture
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.plan import plan
from freellmapi.router.resolve import resolve
from tests.fakes.clock import FrozenClock
from tests.router.conftest import chat, model, snapshot

OLD = model(id="old", family="kin", status=GONE, notes="Alpha no longer lists it")
SAME = model("beta", "same", family="kin")


def planned(name: str) -> tuple[list[Candidate], list[Skipped]]:
    clock = FrozenClock()
    world = snapshot(OLD, SAME, chain=[("alpha/old", True), ("beta/same", True)])
    picture = Picture(world, Cooldowns(clock), MemoryLedger(), clock, {})
    request = chat(name)
    made = plan(request, resolve(request, world), picture)
    return list(made.candidates), made.skipped


def test_auto_passes_it_over() -> None:
    candidates, skipped = planned("auto")
    assert [c.ref for c in candidates] == ["beta/same"]
    assert skipped == []


def test_its_family_is_served_by_another_provider() -> None:
    assert [c.ref for c in planned("kin")[0]] == ["beta/same"]


def test_asked_for_by_name_it_is_a_404_that_says_why() -> None:
    candidates, skipped = planned("alpha/old")
    assert candidates == []
    error = answer(skipped)
    assert (error.status, error.code) == (404, "model_not_found")
    assert "Alpha no longer lists it" in error.message


def answer(skipped: list[Skipped]) -> GatewayError:
    return failure(chat("alpha/old"), Outcome(), skipped, any_key=True, now=0.0)
