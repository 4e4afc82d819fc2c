"""The page Chain at ``/chain``, and what its script asks for under ``/api/chain``."""

from __future__ import annotations

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

from freellmapi.api.render import json_response
from freellmapi.api.schema import parse_json
from freellmapi.core.errors import GatewayError
from freellmapi.dashboard.pages.chain_changes import PRESETS, apply, clicked, parsed, preset
from freellmapi.dashboard.pages.chain_rows import KEPT, KEPT_FOR_TABS, Board, Boards, version_of
from freellmapi.dashboard.rendering import rendered
from freellmapi.services import services

bp = Blueprint("chain", __name__)

EXTENSION = "freellmapi.chain"


@bp.get("/chain")
def page() -> ResponseReturnValue:
    presets = [(name, words) for name, (words, _) in PRESETS.items()]
    return rendered("dashboard/chain.html", board=_board(), presets=presets)


@bp.post("/chain")
def change() -> ResponseReturnValue:
    """A button of the page, where no script runs."""
    parts = services()
    asked = clicked(request.form.get("change", ""), _board())
    try:
        apply(parts, asked, request.form.get("version"))
    except GatewayError as error:
        flash(error.message)
    return redirect(url_for("chain.page"))


@bp.get("/api/chain/rows")
def rows() -> ResponseReturnValue:
    """The list alone, as the page has it."""
    return rendered("dashboard/chain_rows.html", board=_board())


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


def _board(kept: float = KEPT) -> Board:
    boards: Boards = current_app.extensions.setdefault(EXTENSION, Boards())
    return boards.read(services().gateway, kept)


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
