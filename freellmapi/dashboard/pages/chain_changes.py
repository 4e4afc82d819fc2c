"""What can be done to the chain: moved, switched, ordered by a preset or by a strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.pages.chain_rows import Board, Row, version_of
from freellmapi.router.configuration import Configuration
from freellmapi.router.settings import STRATEGIES
from freellmapi.router.snapshot import ChainEntry, Snapshot
from freellmapi.services import Services
from freellmapi.storage.config import ChainRow

BY_HAND = "priority"
MOST_TRIES = 5


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different. ``order`` names some models or all: they share out the places
    that they have among them."""

    order: tuple[str, ...] = ()
    enabled: Mapping[str, bool] = field(default_factory=dict)
    strategy: str | None = None


def parsed(given: Mapping[str, Any], snapshot: Snapshot) -> Change:
    """A change as a script sends it; a 400 names the field that is wrong."""
    order, enabled, strategy = (given.get(name) for name in ("order", "enabled", "strategy"))
    known = snapshot.catalog.by_ref
    if order is not None and (
        not isinstance(order, list) or not all(isinstance(ref, str) for ref in order)
    ):
        raise _bad("order", "must be a list of models")
    if enabled is not None and (
        not isinstance(enabled, dict) or not all(isinstance(on, bool) for on in enabled.values())
    ):
        raise _bad("enabled", "must be an object of models, each true or false")
    for name, refs in (("order", order or ()), ("enabled", enabled or {})):
        unknown = [ref for ref in refs if ref not in known]
        if unknown:
            raise _bad(name, f"names {unknown[0][:100]!r}, which is no model here")
    if len(set(order or ())) != len(order or ()):
        raise _bad("order", "names a model twice")
    if strategy is not None and strategy not in STRATEGIES:
        raise _bad("strategy", f"must be one of {', '.join(STRATEGIES)}")
    return Change(tuple(order or ()), dict(enabled or {}), strategy)


def clicked(text: str, board: Board) -> Change:
    """A change as the button of a form names it: ``top:groq/m``, ``off:groq/m``, ``preset:fast``.

    Whoever moves a row by hand orders by hand from then on.
    """
    verb, _, name = text.partition(":")
    if verb == "strategy" and name in STRATEGIES:
        return Change(strategy=name)
    if verb == "preset" and name in PRESETS:
        return preset(name, board)
    if verb in ("on", "off"):
        return Change(enabled={name: verb == "on"})
    order = [row.model.ref for row in board.rows]
    if verb in ("top", "up", "down", "bottom") and name in order:
        place = order.index(name)
        order.remove(name)
        places = {"top": 0, "up": max(place - 1, 0), "down": place + 1, "bottom": len(order)}
        order.insert(places[verb], name)
        return Change(tuple(order), strategy=BY_HAND)
    raise _bad("change", "is none that can be made; load the page again")


def _quota(row: Row) -> tuple[float, int]:
    """A cap that nobody knows is taken for less than any that is known."""
    return -(row.left.calls_a_day if row.left is not None else -1), row.model.intelligence_rank


def _speed(row: Row) -> tuple[float, int, int]:
    return -(row.speed or 0.0), row.model.speed_rank, row.model.intelligence_rank


def _wits(row: Row) -> tuple[int, int]:
    return row.model.intelligence_rank, row.model.speed_rank


PRESETS: Mapping[str, tuple[str, Callable[[Row], Any]]] = {
    "fastest": ("Fastest first", _speed),
    "smartest": ("Smartest first", _wits),
    "quota": ("Most quota first", _quota),
}
"""Orders to begin with: their words, and what they sort by."""


def preset(name: str, board: Board) -> Change:
    """The models sorted once; those without a key among themselves, for when they get one."""
    key = PRESETS[name][1]
    rows = [*sorted(board.rows, key=key), *sorted(board.folded, key=key)]
    return Change(tuple(row.model.ref for row in rows), strategy=BY_HAND)


def applied(chain: Sequence[ChainEntry], change: Change) -> tuple[ChainRow, ...]:
    """The chain after the change."""
    moving = iter(change.order)
    moved = set(change.order)
    order = [next(moving) if e.model.ref in moved else e.model.ref for e in chain]
    enabled = {e.model.ref: e.enabled for e in chain} | dict(change.enabled)
    return tuple(ChainRow(ref, enabled[ref]) for ref in order)


def apply(parts: Services, change: Change, seen: object) -> None:
    """Write the change, and let the next request follow it.

    ``seen`` is the version that it was made on: a 409 when another tab, or the command line,
    was quicker. Nothing is lost of what others write at the same time, such as keys.
    """
    if not parts.off_hub(lambda: _written(parts, change, seen)):
        raise GatewayError(
            409,
            "The chain was changed elsewhere in the meantime. It is shown as it is now; "
            "your change was not made.",
            code="chain_changed",
        )
    parts.gateway.reconfigured()


def _written(parts: Services, change: Change, seen: object) -> bool:
    configuration = parts.configuration
    for _ in range(MOST_TRIES):
        configuration.refresh()
        snapshot = configuration.snapshot
        if version_of(snapshot) != seen:
            return False
        settings = {} if change.strategy is None else {"strategy": change.strategy}
        rows = _rows(configuration, change)
        if parts.config.put_chain(rows, settings, only_at=snapshot.version):
            configuration.refresh()
            return True
    return False


def _rows(configuration: Configuration, change: Change) -> Iterable[ChainRow]:
    return applied(configuration.snapshot.chain, change)


def _bad(param: str, problem: str) -> GatewayError:
    return GatewayError(400, f"'{param}' {problem}.", code="invalid_value", param=param)
