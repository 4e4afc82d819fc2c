"""``/healthz`` (alive) and ``/readyz`` (can serve)."""

from __future__ import annotations

from flask import Blueprint, Response

from freellmapi import __version__
from freellmapi.api.render import json_response
from freellmapi.router.cluster import TOGETHER, Cluster
from freellmapi.services import services
from freellmapi.storage.db import DatabaseUnavailable

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def healthz() -> Response:
    """200 while the process answers at all; which program it is, and the form of its database."""
    return json_response(
        {"status": "ok", "version": __version__, "schema": services().database.schema}
    )


@bp.get("/readyz")
def readyz() -> Response:
    """200 when a request to ``auto`` would find a candidate; else 503 and why."""
    parts = services()
    try:
        parts.database.check()
    except DatabaseUnavailable as exc:
        return json_response({"status": "unavailable", "reason": f"database: {exc}"}, 503)
    told = {} if parts.cluster is None else _together(parts.cluster)
    if parts.request_log.is_away:
        told["log"] = f"not written at the moment; {parts.request_log.kept} rows wait in memory"
    reason = parts.gateway.unavailable(parts.configuration.snapshot.auto)
    if reason is not None:
        return json_response({"status": "unavailable", "reason": reason, **told}, 503)
    return json_response({"status": "ready", **told})


def _together(cluster: Cluster) -> dict[str, str]:
    """How the workers count. Without Redis each still serves, from its share of the caps."""
    told = {"counting": cluster.state}
    if cluster.state != TOGETHER and cluster.reason:
        told["redis"] = cluster.reason
    return told
