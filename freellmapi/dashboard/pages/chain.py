"""The page Chain at ``/chain``, and what its script asks for under ``/api/chain``."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

bp = Blueprint("chain", __name__)


@bp.get("/chain")
def page() -> ResponseReturnValue:
    return render_template("dashboard/chain.html")
