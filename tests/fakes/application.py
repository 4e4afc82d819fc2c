"""The whole application in this process, as Flask's own client asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from freellmapi import log
from freellmapi.app import in_front
from freellmapi.services import Services
from freellmapi.settings import Settings
from freellmapi.web import flask_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def application(settings: Settings, services: Services) -> Flask:
    """Flask with the door before it, and made at once."""
    log.configure(settings.log_format, settings.log_level)
    app = flask_app(settings, services)
    behind: WSGIApplication = app.wsgi_app
    app.wsgi_app = in_front(lambda: behind, settings, services)  # type: ignore[method-assign, assignment]
    return app
