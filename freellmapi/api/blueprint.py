"""The blueprint ``api``: everything under ``/v1``."""

from __future__ import annotations

from flask import Blueprint

from freellmapi.api import auth, chat, models

bp = Blueprint("api", __name__, url_prefix="/v1")
bp.before_request(auth.authenticate)
chat.register(bp)
models.register(bp)
