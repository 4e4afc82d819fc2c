"""``GET /api/palette``: what ``Ctrl K`` finds beside the pages: sections, providers, models."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from freellmapi.api.responses import json_response
from freellmapi.services import services
from freellmapi.storage.backup import can_be_copied

bp = Blueprint("palette", __name__)

SECTIONS = (
    ("routing", "Routing"),
    ("tokens", "Client tokens"),
    ("retention", "Retention"),
    ("network", "Network"),
    ("appearance", "Appearance"),
    ("configuration", "Configuration: export and import"),
    ("backup-section", "Backup"),
    ("account", "Account"),
    ("about", "About"),
)
"""Of the page Settings, by their ids there."""


@bp.get("/api/palette")
def palette() -> Response:
    """``{"items": [{"kind", "label", "detail", "href"}]}``, from the snapshot alone."""
    parts = services()
    catalog = parts.configuration.snapshot.catalog
    keys, chain, settings = (url_for(f"{page}.page") for page in ("keys", "chain", "settings"))
    sections = [
        {"kind": "Settings", "label": word, "detail": "settings", "href": f"{settings}#{id}"}
        for id, word in SECTIONS
        if id != "backup-section" or can_be_copied(parts.database)
    ]
    providers = [
        {"kind": "Provider", "label": p.name, "detail": p.id, "href": f"{keys}#{p.id}"}
        for p in catalog.providers.values()
    ]
    models = [
        {
            "kind": "Model",
            "label": m.id,
            "detail": catalog.providers[m.provider].name,
            "href": f"{chain}#{m.ref}",
        }
        for m in catalog.by_ref.values()
    ]
    return json_response({"items": sections + providers + models})
