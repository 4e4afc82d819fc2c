"""What a client means by a model name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from freellmapi.core.catalog import Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import GatewayError
from freellmapi.core.near import near
from freellmapi.core.values import dataclass
from freellmapi.router.settings import STRATEGIES
from freellmapi.router.snapshot import Snapshot

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The models that may serve a request, best first, and how the order came about."""

    models: tuple[Model, ...]
    strategy: str
    named: bool
    """Whether the caller named the model, rather than leaving the choice to us."""


Ordered = Callable[[tuple[Model, ...], str], Sequence[Model]]
"""Orders the models that one name means, by a strategy."""


def as_they_are(models: tuple[Model, ...], strategy: str) -> Sequence[Model]:
    return models


def resolve(chat: ChatRequest, snapshot: Snapshot, ordered: Ordered = as_they_are) -> Wanted:
    """The models meant by ``model`` and ``fallbacks``; 404 for a name nobody knows.

    Each name's models are ``ordered`` among themselves: the names are the caller's order.
    """
    names = (chat.model, *chat.fallbacks)
    strategy = snapshot.settings.strategy
    head, _, suffix = chat.model.partition(":")
    if head == AUTO and suffix:
        if suffix not in STRATEGIES:
            raise _unknown(chat.model, [f"auto:{s}" for s in STRATEGIES])
        strategy = suffix
        names = (AUTO, *chat.fallbacks)
    groups = [ordered(_meant(name, snapshot), strategy) for name in names]
    return Wanted(_joined(groups), strategy, named=head != AUTO)


def _joined(groups: Sequence[Sequence[Model]]) -> tuple[Model, ...]:
    """All models in order, each once."""
    if len(groups) == 1:
        return tuple(groups[0])
    models: dict[str, Model] = {}
    for group in groups:
        for model in group:
            models.setdefault(model.ref, model)
    return tuple(models.values())


def _meant(name: str, snapshot: Snapshot) -> tuple[Model, ...]:
    if name == AUTO:
        return snapshot.auto
    exact = snapshot.catalog.by_ref.get(name)
    if exact is not None:
        # The full name is an explicit wish: it reaches a model that is off in the chain too.
        return (exact,)
    found = _family(name, snapshot)
    if not found:
        raise _unknown(name, list(known_names(snapshot)))
    enabled = {model.ref for model in snapshot.auto}
    ordered = sorted(found, key=lambda m: (m.id != name, snapshot.rank.get(m.ref, 0)))
    live = tuple(m for m in ordered if m.ref in enabled)
    return live or tuple(ordered)


def _family(name: str, snapshot: Snapshot) -> tuple[Model, ...]:
    """All models of the family that ``name`` is, or that a model with the id ``name`` is of."""
    catalog = snapshot.catalog
    family = catalog.families.get(name)
    if family is not None:
        return family
    same_id = catalog.by_id.get(name, ())
    found: dict[str, Model] = {}
    for model in same_id:
        for relative in catalog.families[model.family]:
            found.setdefault(relative.ref, relative)
    return tuple(found.values())


def known_names(snapshot: Snapshot) -> Iterator[str]:
    yield AUTO
    yield from snapshot.catalog.families
    yield from snapshot.catalog.by_ref
    yield from snapshot.catalog.by_id


def _unknown(name: str, names: list[str]) -> GatewayError:
    meant = near(name, names, 3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(n) for n in meant)}?" if meant else ""
    return GatewayError(
        404,
        f"The model {name[:200]!r} does not exist here.{hint} GET /v1/models lists what there is.",
        code="model_not_found",
        param="model",
    )
