"""What a row of the page Chain says of its model now, cell by cell: drawn once, then patched."""

from __future__ import annotations

from typing import Any

from freellmapi.core.values import dataclass
from freellmapi.dashboard.filters import count, iso, percent, tokens
from freellmapi.dashboard.pages.chain_left import Left
from freellmapi.dashboard.pages.chain_rows import Board, Row, State

BAR = 36
"""Pixels of a full bar. ``static/css/chain.css`` has a class for each."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its classes, its text, what it says on hover, and the state that colours it."""

    css: str
    text: str
    title: str = ""
    state: str = ""


Cells = tuple[Cell, Cell, Cell, Cell]
"""Left, speed, success, now: in the order of the columns."""


def cells(row: Row, quickest: float) -> Cells:
    return _left(row.left), _speed(row.speed, quickest), _success(row), _now(row)


def live(board: Board) -> dict[str, Any]:
    """All that a page that has the rows needs to keep them true."""
    return {
        "version": board.version,
        "state": board.state,
        "strategy": board.strategy,
        "folded": board.folded_said if board.folded else "",
        "rows": [_live(row, board.quickest) for row in board.rows],
    }


def _live(row: Row, quickest: float) -> list[Any]:
    """``[ref, next, until, [css, text, title, state] for each cell]``."""
    told = [[c.css, c.text, c.title, c.state] for c in cells(row, quickest)]
    until = opens_at(row)
    return [row.model.ref, row.next, None if until is None else iso(until), told]


def opens_at(row: Row) -> float | None:
    """When a row that is skipped is asked again."""
    return None if row.next else row.state.until


def _left(left: Left | None) -> Cell:
    if left is None:
        return Cell("left none", "–", "No cap is known")
    unit = "tok " if left.unit == "tokens" else ""
    text = f"{tokens(left.left)} {unit}{left.period.replace('this ', 'a ')}"
    return Cell(f"left {_bar(left.share)}", text, left.said, left.kind or "")


def _speed(speed: float | None, quickest: float) -> Cell:
    if speed is None:
        return Cell("speed none", "–", "Not measured yet")
    figure = count(round(speed))
    title = f"{figure} output tokens a second, of lately"
    return Cell(f"speed {_bar(speed / quickest)}", f"{figure} tok/s", title)


def _success(row: Row) -> Cell:
    if row.success is None:
        return Cell("success none", "–", "Not called yet")
    figure = percent(row.success)
    title = f"{figure} of its calls were answered, recent ones counting most"
    return Cell(f"success {_bar(row.success)}", figure, title)


def _now(row: Row) -> Cell:
    state: State = row.state
    if row.next:
        return Cell("now next", "next up", state.why)
    if state.kind == "ready":
        return Cell("now", "ready")
    return Cell("now state", f"skipped: {state.word}", state.why, state.kind)


def _bar(share: float) -> str:
    return f"b{round(min(1.0, max(0.0, share)) * BAR)}"
