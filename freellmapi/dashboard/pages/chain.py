"""The page Chain at ``/chain``, and what its script asks for under ``/api/chain``."""

from __future__ import annotations

from dataclasses import field

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    redirect,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from freellmapi.api.responses import json_response
from freellmapi.api.schema import parse_json
from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.pages.chain_cells import live
from freellmapi.dashboard.pages.chain_changes import PRESETS, apply, clicked, parsed, preset
from freellmapi.dashboard.pages.chain_drawn import Drawings
from freellmapi.dashboard.pages.chain_rows import KEPT, KEPT_FOR_TABS, Board, Boards, version_of
from freellmapi.dashboard.rendering import rendered
from freellmapi.services import services

bp = Blueprint("chain", __name__)

EXTENSION = "freellmapi.chain"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is not made again while it is as it was."""

    boards: Boards = field(default_factory=Boards)
    drawings: Drawings = field(default_factory=Drawings)


VERBS = (
    ("top", "Move to top"),
    ("up", "Move up"),
    ("down", "Move down"),
    ("bottom", "Move to bottom"),
    ("off", "Turn off"),
)
"""The menu of a row."""

MANY = (
    ("top", "To top", "top"),
    ("up", "Up", "up"),
    ("down", "Down", "down"),
    ("bottom", "To bottom", "bottom"),
    ("off", "Turn off", "power"),
)
"""What can be done with several rows: verb, words, drawing."""


@bp.get("/chain")
def page() -> ResponseReturnValue:
    """The chain; with ``folded`` asked for, the models that are not asked are rows too."""
    if "model" in request.args:
        return _model(request.args["model"])
    presets = [(name, words) for name, (words, _) in PRESETS.items()]
    unfolded = "folded" in request.args
    return _list("dashboard/chain.html", presets=presets, verbs=VERBS, many=MANY, unfolded=unfolded)


@bp.post("/chain")
def change() -> ResponseReturnValue:
    """A button of the page, where no script runs."""
    try:
        asked = clicked(request.form.get("change", ""), _board())
        apply(services(), asked, request.form.get("version"))
    except GatewayError as error:
        flash(error.message)
    return redirect(url_for("chain.page"))


@bp.get("/api/chain/rows")
def rows() -> ResponseReturnValue:
    """The list alone, as the page has it."""
    return _list("dashboard/chain_rows.html")


@bp.get("/api/chain/folded")
def folded() -> ResponseReturnValue:
    """The models that are not asked, as a list."""
    return _list("dashboard/chain_folded.html")


@bp.get("/api/chain/live")
def now() -> Response:
    """The order, and what each row says now: see ``chain_cells.live``."""
    board = _board()
    return json_response(services().off_hub(lambda: live(board)))


@bp.get("/api/chain")
def chain() -> Response:
    """The order: ``{"version", "strategy", "order": [ref], "enabled": {ref: bool}}``."""
    return _answer()


@bp.get("/api/chain/version")
def version() -> Response:
    """What an open tab asks every second: whether anything that it shows is different."""
    board = _board(KEPT_FOR_TABS)
    return json_response({"version": board.version, "state": board.state})


@bp.put("/api/chain")
def put() -> Response:
    """``{"version", "order"?, "enabled"?, "strategy"?, "preset"?}``; 409 if seen too long ago."""
    given = parse_json(request.get_data())
    parts = services()
    asked = parsed(given, parts.configuration.snapshot)
    name = given.get("preset")
    if name is not None:
        if not isinstance(name, str) or name not in PRESETS:
            raise GatewayError(400, "There is no such preset.", param="preset")
        asked = preset(name, _board())
    apply(parts, asked, given.get("version"))
    return _answer()


def _model(ref: str) -> ResponseReturnValue:
    """The menu of one model as a page, for where no script runs."""
    board = _board()
    row = next((row for row in (*board.rows, *board.folded) if row.model.ref == ref), None)
    if row is None:
        raise GatewayError(404, "There is no such model.", code="model_not_found", param="model")
    verbs = VERBS if row.place else [("on", "Turn on")] if not row.enabled else []
    return rendered("dashboard/chain_model.html", board=board, row=row, verbs=verbs)


def _list(template: str, **shown: object) -> str:
    now, drawings = services().clock.now(), _kept().drawings
    return rendered(template, board=_board(), drawings=drawings, now=now, **shown)


def _board(kept: float = KEPT) -> Board:
    return _kept().boards.read(services().gateway, kept)


def _kept() -> Kept:
    kept: Kept = current_app.extensions.setdefault(EXTENSION, Kept())
    return kept


def _answer() -> Response:
    snapshot = services().configuration.snapshot
    return json_response(
        {
            "version": version_of(snapshot),
            "strategy": snapshot.settings.strategy,
            "order": [entry.model.ref for entry in snapshot.chain],
            "enabled": {entry.model.ref: entry.enabled for entry in snapshot.chain},
        }
    )
