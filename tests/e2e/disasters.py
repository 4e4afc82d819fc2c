"""What befalls a cluster under load: its Redis, its PostgreSQL and one machine die and return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from freellmapi.storage.logged import LoggedRequest
from tests.e2e.cluster import Cluster, Load, cluster, load
from tests.e2e.server import CLOCK
from tests.fakes import postgres
from tests.fakes.provider import Caps, FakeProvider, later, says

USAGE = (60, 40)
ANSWERS_AFTER = 0.2
OUTAGE = 2.0
ROOMS = {
    "requests": (Caps(rpm=30), 2),
    "tokens": (Caps(tpm=30 * sum(USAGE)), 2),
    "wide": (Caps(rpm=20_000, concurrency=60), 2),
}
"""Provider -> what each of its keys may do, truly, and how many keys there are. The last one
has room for all, so that the service can be seen to go on when the others are used up."""
FORGETTING = 5.0
"""Seconds after a machine's end in which what it had begun may still come to light."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """One that befell, from its beginning to when all was well again; monotonic seconds."""

    name: str
    began: float
    over: float


@dataclass(frozen=True, slots=True)
class Story:
    """What everybody saw."""

    answered: list[tuple[float, str]]
    lost: list[tuple[float, str]]
    refused: int
    rows: tuple[LoggedRequest, ...]
    mishaps: tuple[Mishap, ...]
    violations: dict[str, int]
    served: dict[str, int]
    logs: tuple[str, str]

    def unexplained(self) -> list[str]:
        """What clients lost, but for the calls that the killed machine had in its hands."""
        (killed,) = (m for m in self.mishaps if m.name == "machine")
        return [
            what for at, what in self.lost if not killed.began <= at <= killed.over + FORGETTING
        ]


def settings() -> str:
    """The configuration file but for the providers' addresses."""
    return "probe_interval = 0\nmax_wait = 2\n"


def config(urls: dict[str, str]) -> str:
    """A configuration in which the gateway knows the true caps."""
    lines = [f"chain = {[f'{name}/m' for name in urls]}", "[settings]", settings()]
    for name, (caps, keys) in ROOMS.items():
        stated = {"rpm": caps.rpm, "tpm": caps.tpm, "concurrency": caps.concurrency}
        limits = ", ".join(f"{k} = {v}" for k, v in stated.items() if v is not None)
        lines += ["[[providers]]", f'id = "{name}"', f'base_url = "{urls[name]}"']
        lines += [f'models = [{{ id = "m", context = 100000, limits = {{ {limits} }} }}]']
        for number in range(keys):
            lines += ["[[keys]]", f'provider = "{name}"', f'key = "{name}-key-{number}"']
    return "\n".join([*lines, ""])


@contextmanager
def providers() -> Iterator[dict[str, FakeProvider]]:
    with ExitStack() as stack:
        found = {
            name: stack.enter_context(FakeProvider(limits=caps))
            for name, (caps, _) in ROOMS.items()
        }
        for fake in found.values():
            fake.default = later(ANSWERS_AFTER, says("four words of answer", usage=USAGE))
        yield found


def told(
    folder: Path, clients: int, pause: float, seconds: float, tell: Callable[[str], None]
) -> Story:
    """The whole story, under load for at least so many seconds."""
    with providers() as fakes:
        text = config({name: fake.base_url for name, fake in fakes.items()})
        with cluster(folder, text) as site:
            until = CLOCK.monotonic() + seconds
            with load(site, clients, pause) as clients_at_work:
                mishaps = tuple(_mishaps(site, clients_at_work, clients, tell))
                CLOCK.sleep(max(0.0, until - CLOCK.monotonic()))
            return Story(
                clients_at_work.answered,
                clients_at_work.lost,
                clients_at_work.refused,
                site.machines[0].rows(),
                mishaps,
                {name: fake.violations for name, fake in fakes.items()},
                {name: len(fake.served) for name, fake in fakes.items()},
                (site.machines[0].log(), site.machines[1].log()),
            )


def _mishaps(
    site: Cluster, at_work: Load, clients: int, tell: Callable[[str], None]
) -> Iterator[Mishap]:
    """Each begins under load, and the next one when all is well again."""
    at_work.more(2 * clients)
    for name, befall in (("redis", _redis), ("postgres", _postgres), ("machine", _machine)):
        began, before = CLOCK.monotonic(), len(at_work.answered)
        befall(site, at_work, clients)
        site.until(lambda: site.counting() == {"together"}, f"all is well after {name}")
        over = CLOCK.monotonic()
        tell(f"{name}: {over - began:.1f} s, {len(at_work.answered) - before} answers meanwhile")
        yield Mishap(name, began, over)
        at_work.more(2 * clients)


def _redis(site: Cluster, at_work: Load, clients: int) -> None:
    site.redis.kill()
    site.until(lambda: site.counting() == {"alone"}, "all notice")
    at_work.more(clients)
    site.redis.start()


def _postgres(site: Cluster, at_work: Load, clients: int) -> None:
    server = postgres.cluster()
    server.stop()
    CLOCK.sleep(OUTAGE)
    server.start()
    at_work.more(clients)


def _machine(site: Cluster, at_work: Load, clients: int) -> None:
    """The one that leads is killed; the other one takes over."""
    site.until(lambda: any(site.leaders()), "one worker leads")
    leads = 0 if site.leaders()[0] else 1
    before = site.leaders()[1 - leads]
    site.machines[leads].kill()
    at_work.more(2 * clients)
    site.until(lambda: site.leaders()[1 - leads] > before, "the other machine leads")
    site.machines[leads].start()
