"""The application as it is served, with all that is else loaded when somebody first asks for it."""

from __future__ import annotations

from werkzeug.test import EnvironBuilder, run_wsgi_app

from freellmapi.wsgi import app

__all__ = ["app"]

run_wsgi_app(app, EnvironBuilder("/metrics").get_environ())
