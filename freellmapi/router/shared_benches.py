"""Benches of all workers: what one has benched or lifted, the others know within a second.

Whether a call is on trial is not shared: after a bench of our own each worker may try its
scope once.
"""

from __future__ import annotations

from typing import Any

from freellmapi.core.clock import Clock
from freellmapi.core.errors import DAY, ErrorKind
from freellmapi.router.cooldowns import BenchEntry, Cooldowns
from freellmapi.router.counter import NEVER
from freellmapi.router.noticeboard import Noticeboard

TOPIC = "bench"
LINGERING = 3_600.0
"""Seconds for which a bench that is over is still known, for the next step of its ladder."""
LONGEST = 30 * DAY
FOR_EVER = 1e15
"""In JSON, in place of a time that never comes."""


def share_benches(cooldowns: Cooldowns, board: Noticeboard, clock: Clock) -> None:
    """Tell others of this worker's benches, and take over theirs."""

    def tell(name: str, entry: BenchEntry | None) -> None:
        if entry is None:
            board.pin(TOPIC, name, None, LINGERING)
        else:
            left = min(entry.until - clock.now(), LONGEST)
            board.pin(TOPIC, name, _note(entry), max(left, 0.0) + LINGERING)

    def read(name: str, note: Any) -> None:
        cooldowns.take_over(name, None if note is None else _entry(note))

    cooldowns.on_change = tell
    board.subscribe(TOPIC, read)


def _note(entry: BenchEntry) -> dict[str, Any]:
    return {
        "until": min(entry.until, FOR_EVER),
        "kind": entry.kind.value,
        "reason": entry.reason,
        "own": entry.own,
        "strikes": entry.strikes,
        "stated": entry.stated,
    }


def _entry(note: dict[str, Any]) -> BenchEntry:
    until = NEVER if note["until"] >= FOR_EVER else note["until"]
    return BenchEntry(
        until,
        ErrorKind(note["kind"]),
        note["reason"],
        note["own"],
        note["strikes"],
        stated=note["stated"],
    )
