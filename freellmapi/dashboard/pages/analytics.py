"""The page Analytics at ``/analytics``, and what its script asks for under ``/api/analytics``."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

bp = Blueprint("analytics", __name__)


@bp.get("/analytics")
def page() -> ResponseReturnValue:
    return render_template("dashboard/analytics.html")
