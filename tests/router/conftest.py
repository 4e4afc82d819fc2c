"""Small worlds for the router: builders with everything but the point already filled in."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest

from freellmapi.core.cancel import Cancellation
from freellmapi.core.catalog import Catalog, Model, Provider
from freellmapi.core.chat import ChatRequest
from freellmapi.core.clock import Clock, SystemClock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.route import Attempt, Candidate, Outcome, RoutePlan
from freellmapi.providers.endpoints import Endpoints
from freellmapi.providers.transport import Transport
from freellmapi.providers.wires import WIRES
from freellmapi.router.call import Tools
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.execute import Execution
from freellmapi.router.judge import Picture
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.plan import plan
from freellmapi.router.resolve import resolve
from freellmapi.router.settings import RouterSettings
from freellmapi.router.snapshot import LiveKey, Snapshot, merged_chain
from tests.fakes.clock import FrozenClock

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
QUICK = RouterSettings(
    connect_timeout=1,
    first_byte_timeout=0.4,
    last_first_byte_timeout=0.8,
    idle_timeout=0.6,
    ping_interval=0.2,
)
"""Settings under which a silent provider costs a test less than a second."""


def provider(id: str = "alpha", base_url: str = "http://alpha.test/v1", **fields: Any) -> Provider:
    return Provider(id, id.title(), base_url, **fields)


def model(provider: str = "alpha", id: str = "m", **fields: Any) -> Model:
    return Model(provider, id, id.upper(), fields.pop("family", id), **fields)


def candidate(of: Provider | None = None, serves: Model | None = None, key: str = "1") -> Candidate:
    of = of or provider()
    return Candidate.of(of, serves or model(of.id), key)


def chat(model: str = "auto", **fields: Any) -> ChatRequest:
    return ChatRequest(model, HELLO, **{"prompt_tokens": 10, "max_tokens": 10, **fields})


def snapshot(
    *models: Model,
    providers: Sequence[Provider] = (),
    keys: Sequence[LiveKey] | None = None,
    settings: RouterSettings = QUICK,
    chain: Sequence[tuple[str, bool]] = (),
) -> Snapshot:
    """These models, each provider with one key unless ``keys`` says otherwise."""
    names = dict.fromkeys(m.provider for m in models)
    known = {p.id: p for p in providers}
    catalog = Catalog([known.get(name) or provider(name) for name in names], models)
    live = [LiveKey("1", name) for name in names] if keys is None else keys
    return Snapshot.of(1, catalog, merged_chain(catalog, chain), live, settings)


def failed(kind: ErrorKind, **fields: Any) -> UpstreamError:
    return UpstreamError(kind, fields.pop("message", "so it said"), **fields)


class Keys:
    """A key store in which every key has the same harmless secret."""

    def secret(self, provider: str, key_id: str) -> str | None:
        return f"secret-of-{key_id}"


@dataclass
class Lab:
    """A router over these models, with the real transport; benches and ledger to look into."""

    snapshot: Snapshot
    clock: Clock = field(default_factory=SystemClock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    runs: list[tuple[Execution, int]] = field(default_factory=list)
    """Each with the attempts that there were when its stream began."""
    cancel: Cancellation = field(default_factory=Cancellation)
    plans: list[RoutePlan] = field(default_factory=list)
    windows: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cooldowns = Cooldowns(self.clock)
        self.transport = Transport(self.clock)
        self.tools = Tools(
            self.transport, WIRES, Endpoints(Keys(), {}), self.ledger, self.cooldowns, self.clock
        )

    def plan(self, request: ChatRequest | None = None) -> RoutePlan:
        request = request or chat()
        picture = Picture(self.snapshot, self.cooldowns, self.ledger, self.clock, self.windows)
        self.plans.append(plan(request, resolve(request, self.snapshot), picture))
        return self.plans[-1]

    def order(self, request: ChatRequest | None = None) -> list[str]:
        """The refs of the candidates that would be asked."""
        return [c.ref for c in self.plan(request).candidates]

    def run(self, request: ChatRequest | None = None) -> Outcome:
        request = request or chat()
        settings = self.snapshot.settings
        execution = Execution(self.tools, request, settings, self.cancel)
        outcome = execution.run(self.plan(request))
        self.runs.append((execution, len(outcome.attempts)))
        return outcome

    @property
    def ended(self) -> list[Attempt]:
        """The attempts of streams, as they ended."""
        return [a for run, begun in self.runs for a in run.outcome.attempts[begun:]]

    def the(self, ref: str, key: str = "1") -> Candidate:
        return next(c for c in self.snapshot.candidates[ref] if c.key_id == key)

    def requests_used(self, ref: str) -> int:
        """What the ledger counts in the minute of a model that states an rpm."""
        (window,) = self.ledger.headroom(self.the(ref).buckets, self.clock.now()).requests
        return window.cap - window.left


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def busy_url() -> Iterator[str]:
    """A listener whose queue is full: it answers no further connection."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}/v1"


@pytest.fixture
def labs() -> Iterator[list[Lab]]:
    """Labs whose connections are closed when the test is over."""
    made: list[Lab] = []
    yield made
    for lab in made:
        lab.transport.close()
    # gevent closes sockets in its loop, which nothing else turns in a test.
    gevent.sleep(0.001)
