"""The rows of the page Chain as HTML: each is drawn again only when it says something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import current_app
from markupsafe import Markup

from freellmapi.core.catalog import Model
from freellmapi.dashboard.pages.chain_cells import Cells, cells, opens_at
from freellmapi.dashboard.pages.chain_rows import Board

TEMPLATE = "dashboard/chain_row.html"
MINUTE = 60.0

_Said = tuple[Model, str, Cells, bool, "float | None", int]


class Drawings:
    """What was drawn last. Used off the hub, by several threads: at worst a row is drawn twice."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[_Said, Markup]] = {}

    def rows(self, board: Board, now: float) -> Markup:
        """Every row that is asked, numbered; ``now`` in epoch seconds, for the countdowns."""
        return Markup("").join(self._numbered(board, now))

    def _numbered(self, board: Board, now: float) -> Iterator[Markup]:
        parts = _parts()
        known, self._rows = self._rows, {}
        for place, row in enumerate(board.rows, 1):
            until = opens_at(row)
            minute = 0 if until is None else int(now / MINUTE)
            said = (
                *(row.model, row.provider, cells(row, board.quickest), row.next),
                *(until, minute),
            )
            kept = known.get(row.model.ref)
            if kept is None or kept[0] != said:
                html: Markup = parts.asked(row, said[2], until)
                kept = (said, html)
            self._rows[row.model.ref] = kept
            yield Markup(f'<li class="row" data-n="{place}"')
            yield kept[1]


def _parts() -> Any:
    """The macros of the template, as functions."""
    return current_app.jinja_env.get_template(TEMPLATE).module
