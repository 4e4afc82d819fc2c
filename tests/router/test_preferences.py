"""The order that a request wants: strategy, conversation, and the caller's own names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

import pytest

from freellmapi.core.chat import ChatRequest, Need
from freellmapi.core.errors import ErrorKind, GatewayError
from freellmapi.core.limits import Limits
from freellmapi.core.measurement import Average, Measurement
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.measurements import Measurements
from freellmapi.router.preferences import Preferences
from freellmapi.router.snapshot import LiveKey, Snapshot
from freellmapi.router.sticky import Session
from tests.fakes.clock import FrozenClock
from tests.router.conftest import candidate, chat, failed, model, provider, snapshot

CAPPED = Limits(rpm=10)
DULL = model("alpha", "dull", family="d", intelligence_rank=80, limits=CAPPED)
FAIR = model("beta", "fair", family="f", intelligence_rank=40, limits=CAPPED)
KIN = model("gamma", "fair-free", family="f", intelligence_rank=20, limits=CAPPED)
BEST = model("delta", "best", family="b", intelligence_rank=5, limits=CAPPED, tools=True)
WORLD = snapshot(DULL, FAIR, KIN, BEST)
SESSION = Session(b"conversation", continued=True)
TTL = 1_800.0


@dataclass
class World:
    """Preferences over these four models, asked without I/O."""

    clock: FrozenClock = field(default_factory=FrozenClock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def __post_init__(self) -> None:
        self.cooldowns = Cooldowns(self.clock)
        self.measurements = Measurements(
            Measurement(m.ref, self.clock.now(), Average(1.0, 20.0)) for m in (DULL, FAIR, KIN)
        )
        self.preferences = Preferences(
            self.measurements, self.ledger, self.cooldowns, self.clock, Random(0)
        )

    def order(
        self, name: str = "auto:smart", *fallbacks: str, session: Session | None = None
    ) -> list[str]:
        wanted = chat(name, fallbacks=fallbacks)
        found = self.preferences.of(wanted, session, WORLD, explore=False)
        return [m.id for m in found.wanted.models]

    def leaders(self, request: ChatRequest, times: int = 400, world: Snapshot = WORLD) -> set[str]:
        """Who was first in so many requests."""
        return {self.preferences.of(request, None, world).wanted.models[0].id for _ in range(times)}


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("names", "order"),
    [
        pytest.param(["auto"], ["dull", "fair", "fair-free", "best"], id="the chain"),
        pytest.param(["auto:smart"], ["best", "fair-free", "fair", "dull"], id="a strategy"),
        pytest.param(["f"], ["fair", "fair-free"], id="a family in the chain's order"),
        pytest.param(
            ["delta/best", "auto"], ["best", "dull", "fair", "fair-free"], id="names come first"
        ),
        pytest.param(
            ["auto:smart", "alpha/dull"],
            ["best", "fair-free", "fair", "dull"],
            id="a strategy with fallbacks",
        ),
        pytest.param(["d", "f", "b"], ["dull", "fair", "fair-free", "best"], id="an own chain"),
    ],
)
def test_order(world: World, names: list[str], order: list[str]) -> None:
    assert world.order(*names) == order


def test_an_unknown_model_is_said_so(world: World) -> None:
    with pytest.raises(GatewayError, match="does not exist"):
        world.order("nobody")


def test_a_conversation_keeps_its_model_until_it_lapses(world: World) -> None:
    world.preferences.served(SESSION, FAIR.ref, TTL)
    assert world.order("auto", session=SESSION) == ["fair", "dull", "fair-free", "best"]
    assert world.order("auto:smart", session=SESSION)[0] == "fair"
    assert world.preferences.of(chat(), SESSION, WORLD).stuck
    world.clock.advance(TTL)
    assert world.order("auto", session=SESSION)[0] == "dull"
    assert not world.preferences.of(chat(), SESSION, WORLD).stuck


def test_a_conversation_does_not_outweigh_the_callers_names(world: World) -> None:
    world.preferences.served(SESSION, FAIR.ref, TTL)
    assert world.order("b", "f", session=SESSION) == ["best", "fair", "fair-free"]
    assert world.order("b", session=SESSION) == ["best"]
    assert not world.preferences.of(chat("b"), SESSION, WORLD).stuck


def test_a_model_that_has_left_the_catalog_is_not_missed(world: World) -> None:
    world.preferences.served(SESSION, "alpha/gone", TTL)
    assert world.order("auto", session=SESSION) == ["dull", "fair", "fair-free", "best"]


def test_headroom_is_that_of_the_key_with_most_left(world: World) -> None:
    """At equal worth, a model that is half used up comes second, unless a key is fresh."""
    twins = [model(name, "twin", family="t", limits=CAPPED) for name in ("alpha", "beta")]
    one_key = snapshot(*twins)
    keys = [LiveKey("1", "alpha"), LiveKey("2", "alpha"), LiveKey("1", "beta")]
    two_keys = snapshot(*twins, keys=keys)
    for _ in range(5):
        buckets = candidate(provider("alpha"), twins[0]).buckets
        assert world.ledger.reserve(buckets, 1, world.clock.now())
    for found, leader in ((one_key, "beta"), (two_keys, "alpha")):
        wanted = world.preferences.of(chat("auto:balanced"), None, found).wanted
        assert wanted.models[0].provider == leader
        world.clock.advance(2)


class TestExploration:
    """``best`` leads once it is known to be well; it was last seen failing."""

    def unwell(self, world: World) -> World:
        best = Measurement(BEST.ref, world.clock.now() - 700, Average(0.1, 20.0))
        known = (*world.measurements.all(), best)
        world.preferences = Preferences(
            Measurements(known), world.ledger, world.cooldowns, world.clock, Random(0)
        )
        return world

    def test_a_fresh_chat_may_find_a_model_well_again(self, world: World) -> None:
        assert self.unwell(world).leaders(chat("auto:smart")) == {"fair-free", "best"}

    @pytest.mark.parametrize(
        "request_",
        [
            pytest.param(chat("auto:smart", needs=frozenset({Need.TOOLS})), id="tools"),
            pytest.param(chat("auto:smart", prompt_tokens=10**7), id="too large for it"),
        ],
    )
    def test_a_request_that_is_no_occasion_does_not(
        self, world: World, request_: ChatRequest
    ) -> None:
        small = snapshot(DULL, FAIR, KIN, replace(BEST, context=1_000))
        assert self.unwell(world).leaders(request_, world=small) == {"fair-free"}

    def test_a_stuck_conversation_does_not(self, world: World) -> None:
        self.unwell(world).preferences.served(SESSION, DULL.ref, TTL)
        asked = chat("auto:smart")
        for _ in range(400):
            assert world.preferences.of(asked, SESSION, WORLD).wanted.models[0] is DULL
        assert world.leaders(asked) == {"fair-free", "best"}, "nothing was explored before"

    def test_who_only_wants_to_know_explores_nothing(self, world: World) -> None:
        self.unwell(world)
        assert {world.order()[0] for _ in range(400)} == {"fair-free"}

    def test_a_benched_model_is_not_explored(self, world: World) -> None:
        self.unwell(world).cooldowns.failed(
            WORLD.candidates[BEST.ref][0], failed(ErrorKind.RATE_LIMITED)
        )
        assert world.leaders(chat("auto:smart")) == {"fair-free"}

    def test_a_model_at_its_cap_is_not_explored(self, world: World) -> None:
        self.unwell(world)
        for _ in range(10):
            buckets = WORLD.candidates[BEST.ref][0].buckets
            assert world.ledger.reserve(buckets, 1, world.clock.now())
        assert world.leaders(chat("auto:smart")) == {"fair-free"}
