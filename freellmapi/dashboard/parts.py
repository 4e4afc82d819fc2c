"""What the dashboard's views share, made once for an application."""

from __future__ import annotations

from typing import cast

from flask import current_app
from flask_wtf import CSRFProtect

from freellmapi.core.values import dataclass
from freellmapi.dashboard.assets import Assets
from freellmapi.dashboard.doorman import Doorman

EXTENSION = "freellmapi.dashboard"


@dataclass(frozen=True, slots=True)
class Parts:
    assets: Assets
    doorman: Doorman
    csrf: CSRFProtect


def parts() -> Parts:
    """The parts of the application of this request."""
    return cast(Parts, current_app.extensions[EXTENSION])
