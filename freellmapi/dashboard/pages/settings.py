"""The page Settings at ``/settings``, and what its script asks for under ``/api/settings``."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

bp = Blueprint("settings", __name__)


@bp.get("/settings")
def page() -> ResponseReturnValue:
    return render_template("dashboard/settings.html")
