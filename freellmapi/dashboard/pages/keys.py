"""The page Keys at ``/keys``, and what its script asks for under ``/api/keys``."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

bp = Blueprint("keys", __name__)


@bp.get("/keys")
def page() -> ResponseReturnValue:
    return render_template("dashboard/keys.html")
