"""The blueprints ``api``, everything under ``/v1``, and ``health``.

What is asked for most is answered by ``door.py`` before Flask; it is here for all that Flask
does of addresses: redirections, other methods, what a browser asks before.
"""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from freellmapi.api import auth, chat, health, models
from freellmapi.api.responses import response
from freellmapi.services import services

bp = Blueprint("api", __name__, url_prefix="/v1")
health_bp = Blueprint("health", __name__)


@bp.before_request
def authenticate() -> None:
    """Set ``g.caller``, or refuse with 401."""
    g.caller = auth.caller(services(), g.request_id, auth.token_in(request.environ))


@bp.post("/chat/completions")
def chat_completions() -> Response:
    return response(chat.serve(services(), request.environ, g.caller))


@bp.get("/models")
def list_models() -> Response:
    return response(models.list_models(services()))


@bp.get("/models/<path:name>")
def one_model(name: str) -> Response:
    return response(models.one_model(services(), name))


@health_bp.get("/healthz")
def healthz() -> Response:
    return response(health.healthz(services()))


@health_bp.get("/readyz")
def readyz() -> Response:
    return response(health.readyz(services()))
