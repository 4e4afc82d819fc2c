"""The application as a WSGI server loads it: ``freellmapi.wsgi:app``."""

from __future__ import annotations

import sys

from freellmapi.app import create_app
from freellmapi.core.errors import SettingsError
from freellmapi.settings import Settings

# gunicorn ends, instead of trying again for ever, when a worker exits with this code.
_WORKER_BOOT_ERROR = 3

try:
    app = create_app(Settings.load())
except SettingsError as exc:
    sys.stderr.write(f"freellmapi: {exc}\n")
    sys.exit(_WORKER_BOOT_ERROR)
