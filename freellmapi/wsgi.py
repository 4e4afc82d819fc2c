"""The application as a WSGI server loads it: ``freellmapi.wsgi:app``."""

from __future__ import annotations

from freellmapi.app import create_app
from freellmapi.settings import Settings

app = create_app(Settings.load())
