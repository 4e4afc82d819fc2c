"""Puts the dashboard into an application: its doors, its pages, what the templates know."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from flask import Flask, g, request
from flask_wtf import CSRFProtect

from freellmapi import __version__
from freellmapi.dashboard import assets, auth, errors, filters, guard, headers, palette, sessions
from freellmapi.dashboard.assets import Assets
from freellmapi.dashboard.doorman import Doorman
from freellmapi.dashboard.pages import PAGES, TABS
from freellmapi.dashboard.parts import EXTENSION, Parts
from freellmapi.router.quota import Today
from freellmapi.services import Services, services

THEMES = ("light", "dark")


def register(app: Flask, parts: Services, folder: Path, key: bytes) -> None:
    """``folder`` holds ``templates/`` and ``static/``; ``key`` signs the cookies."""
    app.template_folder = str(folder / "templates")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    # One check for all, in the guard, which knows who needs none.
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None)
    files = Assets(folder / "static")
    doorman = Doorman(parts.accounts, parts.clock, parts.off_hub)
    app.extensions[EXTENSION] = Parts(files, doorman, CSRFProtect(app))
    sessions.register(app, key)
    guard.register(app)
    headers.register(app)
    filters.register(app)
    app.context_processor(lambda: _known_to_templates(files))
    for bp in (auth.bp, palette.bp, assets.blueprint(files, parts.off_hub), *PAGES):
        app.register_blueprint(bp)
    errors.register(app)


def _left_today() -> Today:
    if "left_today" not in g:
        g.left_today = services().gateway.meter.read().today
    return cast(Today, g.left_today)


def _known_to_templates(files: Assets) -> dict[str, Any]:
    theme = request.cookies.get("theme")
    return {
        "asset": files.url,
        "tabs": TABS,
        "account": g.get("account"),
        "left_today": _left_today,
        "theme": theme if theme in THEMES else None,
        "version": __version__,
        "request_id": g.get("request_id", ""),
    }
