"""``/healthz`` (alive) and ``/readyz`` (can serve)."""

from __future__ import annotations

from freellmapi import __version__
from freellmapi.api.render import Reply, whole
from freellmapi.router.cluster import TOGETHER, Cluster
from freellmapi.services import Services
from freellmapi.storage.db import DatabaseUnavailable


def healthz(parts: Services) -> Reply:
    """200 while the process answers at all; which program it is, and the form of its database."""
    return whole({"status": "ok", "version": __version__, "schema": parts.database.schema})


def readyz(parts: Services) -> Reply:
    """200 when a request to ``auto`` would find a candidate; else 503 and why."""
    try:
        parts.database.check()
    except DatabaseUnavailable as exc:
        return whole({"status": "unavailable", "reason": f"database: {exc}"}, 503)
    told = {} if parts.cluster is None else _together(parts.cluster)
    if parts.request_log.is_away:
        told["log"] = f"not written at the moment; {parts.request_log.kept} rows wait in memory"
    reason = parts.gateway.unavailable(parts.configuration.snapshot.auto)
    if reason is not None:
        return whole({"status": "unavailable", "reason": reason, **told}, 503)
    return whole({"status": "ready", **told})


def _together(cluster: Cluster) -> dict[str, str]:
    """How the workers count. Without Redis each still serves, from its share of the caps."""
    told = {"counting": cluster.state}
    if cluster.state != TOGETHER and cluster.reason:
        told["redis"] = cluster.reason
    return told
