"""The page Playground at ``/playground``, and its script's ``/api/playground``."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

bp = Blueprint("playground", __name__)


@bp.get("/playground")
def page() -> ResponseReturnValue:
    return render_template("dashboard/playground.html")
