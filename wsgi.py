"""The application for any WSGI server that is pointed at a checkout: ``wsgi:app``."""

from freellmapi.wsgi import app

__all__ = ["app"]
