from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import pairwise
from random import Random
from typing import Any, TypeVar

import pytest

from freellmapi.core.catalog import KeyProbe, Provider
from freellmapi.core.errors import DAY, ErrorKind
from freellmapi.core.limits import Limits
from freellmapi.core.route import Candidate
from freellmapi.providers.origins import Proxies
from freellmapi.providers.probe import ERROR, HEALTHY, INVALID, RATE_LIMITED, Prober, Verdict
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.health import MOST_PER_ROUND, SPACING, Health
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.settings import RouterSettings
from freellmapi.router.snapshot import ANONYMOUS, LiveKey, Snapshot
from tests.fakes.clock import FrozenClock
from tests.fakes.provider import FakeProvider, status
from tests.router.conftest import failed, model, provider, snapshot

T = TypeVar("T")
EVERY = 300.0
NEVER = Verdict(ERROR, "no answer: it took too long")
COMPLETION = KeyProbe("/chat/completions", method="POST", model="m")
TELLS_CREDIT = KeyProbe("/key", valid=frozenset({200, 402}))


class FakeProber:
    """Answers by verdict, in order, then the last one for ever; remembers who was asked."""

    def __init__(self, clock: FrozenClock) -> None:
        self.verdicts: list[Verdict] = [Verdict(HEALTHY)]
        self.asked: list[tuple[float, str, str | None]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self._clock = clock

    def probe(self, provider: Provider, key: str | None) -> Verdict:
        self.asked.append((self._clock.now(), provider.id, key))
        self.meanwhile()
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]

    def close(self) -> None:
        pass


class Store:
    """Remembers what was written; ``broken`` is a locked database."""

    def __init__(self) -> None:
        self.written: list[tuple[int, str, str]] = []
        self.broken = False

    def set_status(self, id: int, status: str, reason: str = "") -> bool:
        if self.broken:
            raise OSError("database is locked")
        self.written.append((id, status, reason))
        return True


class Town:
    """A health over some keys, and everything around it to look into."""

    def __init__(self, live: Snapshot) -> None:
        self.snapshot = live
        self.clock = FrozenClock()
        self.prober = FakeProber(self.clock)
        self.store = Store()
        self.cooldowns = Cooldowns(self.clock)
        self.ledger = MemoryLedger()
        self.jobs = 0
        self.health = self.made(self.prober)

    def made(self, prober: Any) -> Health:
        return Health(
            self,
            self.store,
            prober,
            self.cooldowns,
            self.ledger,
            self.clock,
            Random(0),
            self.off_hub,
        )

    def off_hub(self, job: Callable[[], T]) -> T:
        self.jobs += 1
        return job()

    def secret(self, provider: str, key_id: str) -> str | None:
        return None if key_id == ANONYMOUS else f"secret-of-{key_id}"

    def pass_time(self, seconds: float) -> int:
        """A round every five seconds, as the background job does; how many probes were made."""
        probes = 0
        for _ in range(int(seconds / 5)):
            self.clock.advance(5)
            probes += self.health.run_once()
        return probes

    def live(self, kind: ErrorKind, key: str = "1", **fields: Any) -> None:
        """A live call failed so."""
        error = failed(kind, **fields)
        self.cooldowns.failed(self.candidate(key), error)
        self.health.failed(self.candidate(key), error)

    def candidate(self, key: str = "1", of: str = "alpha") -> Candidate:
        found = self.snapshot.catalog.providers[of]
        return Candidate.of(found, self.snapshot.catalog.by_ref[f"{of}/m"], key)

    def benched_for(self, key: str = "1") -> ErrorKind | None:
        entry = self.cooldowns.blocking(self.candidate(key), self.clock.now())
        return entry.kind if entry else None

    def status(self, key: str = "1") -> str:
        state = self.health.state("alpha", key)
        assert state is not None
        return state.status

    def rows(self, *keys: LiveKey) -> None:
        """Another configuration is in force."""
        self.snapshot = alpha_world(keys, self.snapshot.catalog.providers["alpha"])
        self.health.reconfigured()


def alpha_world(
    keys: Iterable[LiveKey], of: Provider | None = None, interval: float = EVERY
) -> Snapshot:
    return snapshot(
        model(limits=Limits(rpd=2)),
        providers=[of or provider()],
        keys=list(keys),
        settings=RouterSettings(probe_interval=interval),
    )


def town(*keys: LiveKey, of: Provider | None = None, interval: float = EVERY) -> Town:
    return Town(alpha_world(keys or [known("1")], of, interval))


def known(id: str, status: str = HEALTHY, **fields: Any) -> LiveKey:
    """A key that was checked just now."""
    checked_at = FrozenClock().now()
    return LiveKey(id, "alpha", status=status, checked_at=checked_at, **fields)


def test_an_idle_key_is_probed_every_interval_give_or_take_a_fifth() -> None:
    world = town()
    world.pass_time(3_600)
    times = [at for at, _, _ in world.prober.asked]
    gaps = [b - a for a, b in pairwise(times)]
    assert all(0.8 * EVERY <= gap <= 1.2 * EVERY + 5 for gap in gaps)
    assert len(set(gaps)) > 3
    assert world.prober.asked[0][1:] == ("alpha", "secret-of-1")


def test_nothing_is_probed_that_traffic_tells() -> None:
    world = town()
    for _ in range(12):
        world.health.answered(world.candidate())
        assert world.pass_time(200) == 0
    world.health.failed(world.candidate(), failed(ErrorKind.DAILY_QUOTA))
    assert world.pass_time(200) == 0
    assert world.pass_time(200) == 1


@pytest.mark.parametrize("kind", [ErrorKind.TIMEOUT, ErrorKind.UNREACHABLE, ErrorKind.SERVER_ERROR])
def test_trouble_with_the_provider_tells_nothing_about_the_key(kind: ErrorKind) -> None:
    world = town()
    world.pass_time(200)
    world.live(kind)
    assert world.pass_time(200) == 1


def test_a_new_key_is_probed_soon() -> None:
    world = town(LiveKey("1", "alpha"))
    assert world.pass_time(30) == 1
    assert world.store.written == [(1, HEALTHY, "")]


def test_no_interval_no_probes_but_statuses_are_kept() -> None:
    world = town(LiveKey("1", "alpha"), interval=0)
    world.health.answered(world.candidate())
    world.live(ErrorKind.KEY_REJECTED)
    assert world.pass_time(7_200) == 0
    assert world.store.written == [(1, HEALTHY, "")]


@pytest.mark.parametrize(
    ("key", "of"),
    [
        (known("1", enabled=False, usable=False), None),
        (LiveKey(ANONYMOUS, "alpha"), provider(keyless=True)),
        (known("1"), provider(base_url="")),
        (known("1"), provider(probe=COMPLETION)),
    ],
    ids=["disabled", "no key to prove", "not running", "a probe would cost a request"],
)
def test_keys_that_are_left_alone(key: LiveKey, of: Provider | None) -> None:
    assert town(key, of=of).pass_time(7_200) == 0


def test_one_provider_is_never_asked_twice_at_once() -> None:
    world = town(*(LiveKey(str(id), "alpha") for id in range(1, 13)))
    rounds: list[int] = []

    def takes_long() -> None:
        world.clock.advance(25)
        rounds.append(world.health.run_once())

    world.prober.meanwhile = takes_long
    world.pass_time(1_000)
    times = [at for at, _, _ in world.prober.asked]
    assert len(times) > 24
    assert all(b - a >= SPACING for a, b in pairwise(times))
    assert set(rounds) == {0}
    assert {key for _, _, key in world.prober.asked} == {f"secret-of-{id}" for id in range(1, 13)}


def test_a_round_is_bounded() -> None:
    names = [f"p{n}" for n in range(10)]
    keys = [LiveKey("1", name) for name in names]
    world = Town(snapshot(*(model(name) for name in names), keys=keys))
    world.clock.advance(60)
    assert world.health.run_once() == MOST_PER_ROUND
    assert world.jobs == 2 * MOST_PER_ROUND
    assert [world.health.run_once() for _ in range(3)] == [4, 2, 0]


def test_a_rejection_is_confirmed_within_a_minute_and_disables_then() -> None:
    world = town()
    world.prober.verdicts = [Verdict(INVALID, "no such key")]
    world.live(ErrorKind.KEY_REJECTED)
    assert (world.status(), world.benched_for()) == (HEALTHY, ErrorKind.KEY_REJECTED)
    world.pass_time(60)
    assert world.status() == INVALID
    assert world.store.written == [(1, INVALID, "no such key")]
    assert world.benched_for() is ErrorKind.KEY_REJECTED
    world.pass_time(2_000)
    assert len(world.prober.asked) == 1


def test_a_probe_alone_must_find_a_rejection_twice_too() -> None:
    world = town()
    world.prober.verdicts = [Verdict(INVALID, "no such key")]
    assert world.pass_time(370) in (1, 2)
    world.pass_time(60)
    assert world.status() == INVALID
    assert world.benched_for() is ErrorKind.KEY_REJECTED
    assert len(world.prober.asked) == 2


def test_a_probe_lifts_a_rejection() -> None:
    world = town()
    world.live(ErrorKind.KEY_REJECTED)
    world.pass_time(60)
    assert (world.status(), world.benched_for()) == (HEALTHY, None)


def test_an_invalid_key_comes_back_by_itself() -> None:
    world = town(known("1", INVALID, usable=False))
    assert world.pass_time(2_700) == 0
    assert world.pass_time(1_800) > 0
    assert world.store.written[0] == (1, HEALTHY, "")


def test_transport_trouble_disables_nothing() -> None:
    world = town()
    world.prober.verdicts = [NEVER]
    world.pass_time(3_600)
    assert len(world.prober.asked) > 5
    assert {written for _, written, _ in world.store.written} == {ERROR}
    assert world.benched_for() is None


def test_transport_trouble_confirms_nothing() -> None:
    world = town()
    world.prober.verdicts = [NEVER]
    world.live(ErrorKind.KEY_REJECTED)
    world.pass_time(3_600)
    assert (world.status(), world.benched_for()) == (HEALTHY, ErrorKind.KEY_REJECTED)
    assert len(world.prober.asked) < 10


def test_a_probe_that_takes_too_long_is_trouble_on_the_way() -> None:
    world = town(of=provider(probe=COMPLETION))
    world.live(ErrorKind.KEY_REJECTED)

    def too_long() -> None:
        raise TimeoutError

    world.prober.meanwhile = too_long
    assert world.pass_time(60) == 1
    assert world.status() == HEALTHY
    (window,) = world.ledger.headroom(world.candidate().buckets, world.clock.now()).requests
    assert window.left == 1


def test_a_limited_key_is_passed_by_for_a_minute() -> None:
    world = town()
    world.prober.verdicts = [Verdict(RATE_LIMITED, "slow down")]
    while not world.pass_time(5):
        pass
    assert (world.status(), world.benched_for()) == (RATE_LIMITED, ErrorKind.RATE_LIMITED)
    world.clock.advance(60)
    assert world.benched_for() is None


def test_what_a_live_call_said_during_the_probe_is_newer() -> None:
    world = town()
    world.prober.verdicts = [Verdict(INVALID, "no such key")]

    def served() -> None:
        world.clock.advance(2)
        world.health.answered(world.candidate())

    world.prober.meanwhile = served
    world.pass_time(3_600)
    assert world.prober.asked
    assert (world.status(), world.benched_for()) == (HEALTHY, None)


def test_a_public_list_vouches_for_a_bad_key_less_and_less_often() -> None:
    world = town()
    lifted: list[float] = []
    for _ in range(int(DAY / 60)):
        if world.benched_for() is None:
            lifted.append(world.clock.now())
            world.live(ErrorKind.KEY_REJECTED)
        world.pass_time(60)
    assert len(lifted) <= 6


def test_out_of_credit_ends_when_a_probe_can_tell() -> None:
    world = town(of=provider(probe=TELLS_CREDIT))
    broke = Verdict(HEALTHY, credit=False)
    world.prober.verdicts = [broke, broke, Verdict(HEALTHY, credit=True)]
    world.live(ErrorKind.OUT_OF_CREDIT)
    until = world.cooldowns.entries()["key alpha/1"].until
    world.pass_time(2 * 3_600)
    assert world.benched_for() is ErrorKind.OUT_OF_CREDIT
    assert world.cooldowns.entries()["key alpha/1"].until == until
    world.pass_time(2 * 3_600)
    assert (world.benched_for(), world.status()) == (None, HEALTHY)


def test_out_of_credit_waits_where_no_probe_can_tell() -> None:
    world = town()
    world.live(ErrorKind.OUT_OF_CREDIT)
    world.pass_time(6 * 3_600)
    assert world.benched_for() is ErrorKind.OUT_OF_CREDIT


def test_a_probe_that_finds_no_credit_spares_a_live_call() -> None:
    world = town(of=provider(probe=TELLS_CREDIT))
    world.prober.verdicts = [Verdict(HEALTHY, credit=False)]
    world.pass_time(400)
    assert (world.status(), world.benched_for()) == (RATE_LIMITED, ErrorKind.OUT_OF_CREDIT)


@pytest.mark.parametrize(
    ("verdict", "left"),
    [(Verdict(HEALTHY), 1), (NEVER, 1), (Verdict(INVALID), 2), (Verdict(RATE_LIMITED), 2)],
    ids=lambda value: getattr(value, "status", value),
)
def test_a_probe_that_is_a_request_is_counted(verdict: Verdict, left: int) -> None:
    world = town(of=provider(probe=COMPLETION))
    world.prober.verdicts = [verdict]
    world.live(ErrorKind.KEY_REJECTED)
    assert world.pass_time(40) == 1
    (window,) = world.ledger.headroom(world.candidate().buckets, world.clock.now()).requests
    assert window.left == left


def test_a_probe_never_goes_over_a_cap() -> None:
    world = town(of=provider(probe=COMPLETION))
    for _ in range(2):
        assert world.ledger.reserve(world.candidate().buckets, 1, world.clock.now())
    world.live(ErrorKind.KEY_REJECTED)
    world.pass_time(120)
    assert world.prober.asked == []


def test_keys_of_the_environment_are_known_in_memory_only() -> None:
    world = town(LiveKey("env:ALPHA_API_KEY", "alpha"))
    world.prober.verdicts = [Verdict(INVALID, "no such key")]
    world.live(ErrorKind.KEY_REJECTED, key="env:ALPHA_API_KEY")
    world.pass_time(60)
    assert world.status("env:ALPHA_API_KEY") == INVALID
    assert world.benched_for("env:ALPHA_API_KEY") is ErrorKind.KEY_REJECTED
    assert world.store.written == []


def test_a_status_is_written_when_it_changes_and_again_when_that_failed() -> None:
    world = town(known("1", ERROR))
    for _ in range(3):
        world.health.answered(world.candidate())
    world.store.broken = True
    with pytest.raises(OSError, match="locked"):
        world.health.run_once()
    world.store.broken = False
    world.health.run_once()
    world.health.answered(world.candidate())
    world.health.run_once()
    assert world.store.written == [(1, HEALTHY, "")]


def test_a_change_elsewhere_lifts_no_rejection() -> None:
    world = town(known("1"), known("2"))
    world.live(ErrorKind.KEY_REJECTED)
    world.rows(known("1"), known("2", ERROR), known("3"))
    assert world.benched_for() is ErrorKind.KEY_REJECTED


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (known("1", enabled=False, usable=False), known("1")),
        (known("1", INVALID, usable=False), known("1")),
        (known("1"), known("1", "unchecked")),
    ],
    ids=["enabled again", "checked by hand", "stored anew"],
)
def test_what_the_user_clears_is_asked_again(before: LiveKey, after: LiveKey) -> None:
    world = town(before)
    world.live(ErrorKind.KEY_REJECTED)
    world.rows(after)
    state = world.health.state("alpha", "1")
    assert world.benched_for() is None
    assert state is not None
    assert (state.status, state.rejected) == (after.status, False)


def test_our_own_writing_is_no_news() -> None:
    world = town()
    world.prober.verdicts = [Verdict(INVALID, "no such key")]
    world.live(ErrorKind.KEY_REJECTED)
    world.pass_time(60)
    world.rows(known("1", INVALID, usable=False))
    state = world.health.state("alpha", "1")
    assert state is not None
    assert state.reason == "no such key"


def test_our_own_writing_that_comes_back_late_is_no_news() -> None:
    world = town()
    world.prober.verdicts = [NEVER]
    world.pass_time(370)
    world.health.answered(world.candidate())
    world.rows(known("1", ERROR))
    assert world.status() == HEALTHY


def test_keys_that_are_gone_are_forgotten() -> None:
    world = town(known("1"), known("2", ERROR))
    world.health.answered(world.candidate("2"))
    world.rows(known("1"))
    world.health.run_once()
    world.health.answered(world.candidate("2"))
    world.health.failed(world.candidate("2"), failed(ErrorKind.KEY_REJECTED))
    assert world.health.state("alpha", "2") is None
    assert world.store.written == []


def test_a_real_probe_of_a_revoked_key_that_is_restored() -> None:
    with FakeProvider() as upstream:
        world = town(of=provider(base_url=upstream.base_url))
        refusal = {"error": {"message": "Invalid API key", "code": "invalid_api_key"}}
        upstream.routes["/v1/models"] = status(401, refusal)
        with closing(Prober(world.clock, Proxies())) as prober:
            world.health = world.made(prober)
            world.live(ErrorKind.KEY_REJECTED)
            world.pass_time(60)
            assert world.store.written == [(1, INVALID, "Invalid API key")]
            del upstream.routes["/v1/models"]
            world.pass_time(2 * 3_600)
        assert world.store.written[-1] == (1, HEALTHY, "")
        assert world.benched_for() is None
        assert upstream.requests[0].key == "secret-of-1"
        assert {r.method for r in upstream.requests} == {"GET"}
