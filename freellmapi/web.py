"""The Flask application: the pages, and all of the API that the door leaves to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response, g

from freellmapi.api import blueprint as api
from freellmapi.api import cors, errors, metrics, openapi
from freellmapi.api.chat import MAX_BODY
from freellmapi.dashboard import frame
from freellmapi.router.views import bp as routes
from freellmapi.services import EXTENSION, Services
from freellmapi.settings import Settings, checkout_root
from freellmapi.storage.vault import parse_key, session_key


class Application(Flask):
    """Flask, but for a question that has one answer here."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        # No view or hook is a coroutine; Flask would look at each of ten in each request.
        return func


def flask_app(settings: Settings, services: Services) -> Flask:
    """The application without the door before it."""
    app = Application("freellmapi", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.extensions[EXTENSION] = services
    app.before_request(_name_request(services.new_id))
    app.after_request(_show_request_id)
    cors.register(app, settings.cors_origins)
    for bp in (api.bp, api.health_bp, metrics.bp, openapi.bp, routes):
        app.register_blueprint(bp)
    errors.register(app)
    key = session_key(parse_key(settings.encryption_key))
    frame.register(app, services, asset_folder(), key)
    return app


def asset_folder() -> Path:
    """Where ``templates/`` and ``static/`` are: in the checkout, or packed into the wheel."""
    return checkout_root() or Path(__file__).parent / "_assets"


def _name_request(new_id: Callable[[], str]) -> Callable[[], None]:
    def name_request() -> None:
        g.request_id = new_id()

    return name_request


def _show_request_id(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    return response
