"""Whose turn it is among requests that wait for the same: those of different clients alternate."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import field
from operator import attrgetter
from typing import TypeVar

from freellmapi.core.values import dataclass


@dataclass(eq=False, slots=True)
class Waiter:
    """One request that waits. ``client`` is the token that it came with."""

    client: int | None
    round: int = field(default=0, init=False)
    """Lower ones go first, and among equals who came first."""


W = TypeVar("W", bound=Waiter)


def round_of(client: int | None, lines: Iterable[Sequence[Waiter]]) -> int:
    """The round of a client's next request: after its others, not after those of others.

    It is kept, so that who is first in one line is first in every other one that it shares.
    """
    rounds = (
        line[0].round + sum(other.client == client for other in line) for line in lines if line
    )
    return max(rounds, default=0)


def join(line: list[W], who: W) -> None:
    """Behind all of the same round."""
    insort(line, who, key=attrgetter("round"))
