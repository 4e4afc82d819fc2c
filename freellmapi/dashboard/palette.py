"""``GET /api/palette``: what ``Ctrl K`` finds beside the pages: providers and models."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from freellmapi.api.render import json_response
from freellmapi.services import services

bp = Blueprint("palette", __name__)


@bp.get("/api/palette")
def palette() -> Response:
    """``{"items": [{"kind", "label", "detail", "href"}]}``, from the snapshot alone."""
    catalog = services().configuration.snapshot.catalog
    keys, chain = url_for("keys.page"), url_for("chain.page")
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
    return json_response({"items": providers + models})
