"""Who is asked first: the strategy's order, and before it the conversation's own model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from freellmapi.core.catalog import Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.clock import Clock
from freellmapi.core.values import dataclass
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.filters import unfit
from freellmapi.router.ledger import Ledger
from freellmapi.router.measurements import Measurements
from freellmapi.router.resolve import Wanted, resolve
from freellmapi.router.snapshot import Snapshot
from freellmapi.router.sticky import Session, Sticky
from freellmapi.router.strategies import Strategies, first


@dataclass(frozen=True, slots=True)
class Preference:
    """The models in the order they should be asked, and whether the first is kept."""

    wanted: Wanted
    stuck: bool
    """Whether the conversation's own model is among them."""


class Preferences:
    """Orders what a request wants. Never takes a model away: the plan judges each."""

    def __init__(
        self,
        measurements: Measurements,
        ledger: Ledger,
        cooldowns: Cooldowns,
        clock: Clock,
        rng: Random,
        sticky: Sticky | None = None,
    ) -> None:
        self.measurements = measurements
        self._ledger = ledger
        self._cooldowns = cooldowns
        self._clock = clock
        self._strategies = Strategies(measurements, rng)
        self._sticky = sticky or Sticky()

    def of(
        self,
        chat: ChatRequest,
        session: Session | None,
        snapshot: Snapshot,
        *,
        explore: bool = True,
    ) -> Preference:
        """What the request wants, in order; 404 for a model that nobody knows.

        Asked once a request: an exploration counts when it is decided. ``explore`` False
        is for who only wants to know.
        """
        now = self._clock.now()
        kept = snapshot.catalog.by_ref.get(self._sticky.model(session, now) or "")
        pressure = self._pressure(snapshot, now)
        may_explore = None
        # What needs tools or a schema is work under way, and the worst place for a surprise.
        if explore and kept is None and not chat.needs:
            may_explore = self._could_serve(chat, snapshot, now)

        def ordered(models: tuple[Model, ...], strategy: str) -> Sequence[Model]:
            # A caller who named a family has chosen; only the whole chain is explored.
            exploring = may_explore if models is snapshot.auto else None
            found = self._strategies.order(
                models, strategy, snapshot.version, now, pressure, exploring
            )
            return first(found, kept)

        wanted = resolve(chat, snapshot, ordered)
        return Preference(wanted, stuck=bool(wanted.models) and wanted.models[0] is kept)

    def served(self, session: Session | None, ref: str, ttl: float) -> None:
        """The conversation was answered by this model, and keeps it for ``ttl`` seconds."""
        self._sticky.remember(session, ref, self._clock.now(), ttl)

    def _pressure(self, snapshot: Snapshot, now: float) -> Callable[[Model], float]:
        """How used up a model is on the key that has most left."""

        def pressure(model: Model) -> float:
            candidates = snapshot.candidates.get(model.ref, ())
            return min((self._ledger.pressure(c.buckets, now) for c in candidates), default=1.0)

        return pressure

    def _could_serve(
        self, chat: ChatRequest, snapshot: Snapshot, now: float
    ) -> Callable[[Model], bool]:
        """Whether a key of the model is neither benched nor at a cap right now."""

        def could_serve(model: Model) -> bool:
            return unfit(chat, model, model.context) is None and any(
                self._cooldowns.blocking(candidate, now) is None
                and self._ledger.opens_at(candidate.buckets, chat.prompt_tokens, now) <= now
                for candidate in snapshot.candidates.get(model.ref, ())
            )

        return could_serve
